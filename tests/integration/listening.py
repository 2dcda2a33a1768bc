"""What the processes of a session listen on, as the kernel tells it."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from tests.integration.stage import descends

LISTEN = "0A"


def listeners(root: int) -> dict[str, str]:
    """Address and port of every TCP socket that ``root`` and its descendants listen on, with the command's name."""
    names: dict[str, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and descends(int(entry.name), root):
            names.update(dict.fromkeys(_sockets(entry), _name(entry)))
    found = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in names:
                place, _, port = fields[1].partition(":")
                found[f"{_address(place, family)} {int(port, 16)}"] = names[fields[9]]
    return found


def is_loopback(listener: str) -> bool:
    """Whether nobody on another machine reaches the address of a ``listeners`` entry."""
    address = ipaddress.ip_address(listener.split()[0])
    within = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (within or address).is_loopback


def _address(text: str, family: int) -> str:
    """The kernel writes an address as words of 32 bits, each in this machine's order of bytes."""
    raw = bytes.fromhex(text)
    return socket.inet_ntop(family, b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))


def _sockets(process: Path) -> set[str]:
    """The inodes of the sockets a process holds; none if it is gone."""
    found = set()
    try:
        for handle in (process / "fd").iterdir():
            target = str(handle.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "gone"
