"""Where a logical name is to be found: symbolic links on one node, a callable across nodes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from runtime.errors import FencedError, LinkError

_PATH_LIMIT = 107
_SLUG = 29
_SOCKET = re.compile(r"(?P<host>.+)\.(?P<epoch>\d+)\.sock")


class Address(NamedTuple):
    """How a host is reached.

    Attributes:
        kind: ``unix`` or ``ray``.
        host: The host's name or its slug; what makes two addresses the same host.
        target: The socket's path, or the actor's handle.
        epoch: The host's incarnation where the directory knows it, else 0.
    """

    kind: str
    host: str
    target: Any
    epoch: int = 0


Resolver = Callable[[str], "tuple[str, Any] | None"]
"""Logical name to the hosting host's name and its actor handle; must answer from memory."""


def same_host(address_host: str, name: str) -> bool:
    """Whether an address's ``host`` stands for the host called ``name``."""
    return address_host in (name, slug(name))


def slug(name: str) -> str:
    """A file name for a logical name: readable, at most 29 bytes, distinct by a 48-bit hash."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-16:]
    return f"{readable}-{hashlib.blake2b(name.encode(), digest_size=6).hexdigest()}"


class Directory(Protocol):
    """Finds hosts, and makes one's own host found."""

    def listen_path(self, host: str, epoch: int) -> str | None:
        """Where the host is to listen for Unix connections; ``None`` where it does not."""

    def publish(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Make the host found under its own name and those of its cells."""

    def retract(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Undo ``publish``, where no successor has replaced it."""

    def locate(self, cell: str) -> Address | None:
        """Where ``cell`` is now; ``None`` if no one knows."""

    def refused(self, address: Address) -> None:
        """No one listens at ``address`` any more."""


class UnixDirectory:
    """One folder per node: a socket per host, a symbolic link per logical name.

    Args:
        run_dir: Created if missing; on a local file system.

    Raises:
        LinkError: the path is too long for a Unix socket in it.
    """

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self._dir = Path(run_dir).absolute()
        longest = len(os.fsencode(self._dir)) + 1 + _SLUG + len(".1000000000.sock")
        if longest > _PATH_LIMIT:
            raise LinkError(
                f"expected a run folder whose socket paths stay within {_PATH_LIMIT} bytes, found {longest} "
                f"for {self._dir}; choose a shorter one"
            )
        self._dir.mkdir(parents=True, exist_ok=True)

    def listen_path(self, host: str, epoch: int) -> str | None:
        """The socket of this incarnation of ``host``, cleared of what a dead process left.

        Raises:
            LinkError: a running process listens there.
        """
        path = str(self._dir / f"{slug(host)}.{epoch}.sock")
        if _answers(path):
            raise LinkError(
                f"expected no one at {path}, found a process listening as host {host!r} epoch {epoch}; "
                "each incarnation needs an epoch of its own"
            )
        Path(path).unlink(missing_ok=True)
        return path

    def publish(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Point the names of the host and its cells at its socket, each atomically.

        Raises:
            FencedError: a later incarnation of the host is published; nothing was changed.
        """
        own, names = slug(host), [slug(name) for name in dict.fromkeys((host, *cells))]
        with self._locked():
            for name in names:
                found = self._read(name)
                if found is not None and found.host == own and found.epoch > epoch:
                    raise FencedError(
                        f"expected to publish host {host!r} with epoch {epoch}, found epoch {found.epoch} "
                        "in its place: this incarnation has been replaced and must stop"
                    )
            for name in names:
                fresh = self._dir / f"{name}.{own}.{epoch}.new"
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(f"{own}.{epoch}.sock")
                fresh.rename(self._dir / f"{name}.at")
            for old in self._dir.glob(f"{own}.*.sock"):
                match = _SOCKET.fullmatch(old.name)
                if match is not None and int(match["epoch"]) < epoch:
                    old.unlink(missing_ok=True)

    def retract(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Remove the names that still point at this incarnation."""
        own = slug(host)
        with self._locked():
            for name in (slug(name) for name in dict.fromkeys((host, *cells))):
                found = self._read(name)
                if found is not None and (found.host, found.epoch) == (own, epoch):
                    (self._dir / f"{name}.at").unlink(missing_ok=True)
            (self._dir / f"{own}.{epoch}.sock").unlink(missing_ok=True)

    def locate(self, cell: str) -> Address | None:
        """The socket ``cell`` points at, unless it is gone."""
        found = self._read(slug(cell))
        return found if found is not None and os.path.exists(found.target) else None

    def refused(self, address: Address) -> None:
        """Remove the socket a dead process left, so that the name counts as unknown."""
        # A socket is published only after it listens, so a refusal can't mean "not yet".
        Path(address.target).unlink(missing_ok=True)

    def _read(self, name: str) -> Address | None:
        try:
            target = os.readlink(f"{self._dir}/{name}.at")
        except FileNotFoundError:
            return None
        match = _SOCKET.fullmatch(target)
        if match is None:
            return None
        return Address("unix", match["host"], f"{self._dir}/{target}", int(match["epoch"]))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._dir / "directory.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            # Its queue of new connections is full, so someone owns it.
            return True
    return True


class RayDirectory:
    """Finds hosts as Ray actors with a method ``link(frame: bytes) -> bytes``.

    Args:
        resolve: See ``Resolver``; called on the loop, so it must not wait for anything.
    """

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve

    def listen_path(self, host: str, epoch: int) -> str | None:
        """Nowhere: calls arrive through the actor."""
        return None

    def publish(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Nothing to do: whoever answers ``resolve`` knows the actors."""

    def retract(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Nothing to do, as for ``publish``."""

    def locate(self, cell: str) -> Address | None:
        """The actor that hosts ``cell``."""
        found = self._resolve(cell)
        return None if found is None else Address("ray", slug(found[0]), found[1])

    def refused(self, address: Address) -> None:
        """Nothing to forget: ``resolve`` is asked again each time."""


class NearestDirectory:
    """Asks several directories in turn: this node's sockets before Ray."""

    def __init__(self, directories: Sequence[Directory]) -> None:
        self._directories = tuple(directories)

    def listen_path(self, host: str, epoch: int) -> str | None:
        """The first path any of them names."""
        paths = (directory.listen_path(host, epoch) for directory in self._directories)
        return next((path for path in paths if path is not None), None)

    def publish(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Publish in all of them."""
        names = tuple(cells)
        for directory in self._directories:
            directory.publish(host, epoch, names)

    def retract(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Retract from all of them."""
        names = tuple(cells)
        for directory in self._directories:
            directory.retract(host, epoch, names)

    def locate(self, cell: str) -> Address | None:
        """The first answer."""
        for directory in self._directories:
            address = directory.locate(cell)
            if address is not None:
                return address
        return None

    def refused(self, address: Address) -> None:
        """Tell the Unix directory alone: no other remembers addresses."""
        for directory in self._directories:
            if isinstance(directory, UnixDirectory) == (address.kind == "unix"):
                directory.refused(address)


def open_directory(links: str, run_dir: str | os.PathLike[str], resolve: Resolver | None = None) -> Directory:
    """The directory for a ``links`` setting: ``unix``, ``ray``, or ``auto`` (both, nearest first).

    Raises:
        LinkError: an unknown setting, or ``ray`` without ``resolve``.
    """
    if links not in ("auto", "unix", "ray"):
        raise LinkError(f"expected links to be auto, unix or ray, found {links!r}; correct the setting")
    if links == "ray" and resolve is None:
        raise LinkError("expected a resolver of actor handles for links: ray, found none; pass resolve")
    found: list[Directory] = []
    if links != "ray":
        found.append(UnixDirectory(run_dir))
    if links != "unix" and resolve is not None:
        found.append(RayDirectory(resolve))
    return found[0] if len(found) == 1 else NearestDirectory(found)
