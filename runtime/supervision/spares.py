"""How a warm spare gets its assignment: a Unix socket on which its constructor waits.

The spare listens, the supervisor connects and writes eight bytes of length and the data, and
the spare answers with its process id. A spare whose socket file has been removed is no
longer wanted and ends by itself, so none outlives its supervisor's folder.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from runtime.errors import SupervisionError

_LENGTH = struct.Struct(">Q")
_LOOK_S = 1.0


def await_assignment(path: str) -> bytes:
    """Block until somebody hands an assignment over at ``path``, and return it.

    The file appears at ``path`` when the spare is listening, not before.

    Raises:
        SupervisionError: no path was given, or the socket was removed while waiting.
    """
    if not path:
        raise SupervisionError("expected an assignment or a spare's socket path, found neither; pass one of them")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.settimeout(_LOOK_S)
        listener.bind(path + "~")
        listener.listen(1)
        # Renamed only now, so that whoever sees the file can connect.
        os.replace(path + "~", path)
        while True:
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                if not Path(path).exists():
                    raise SupervisionError(f"the socket {path} was removed: this spare is not wanted") from None
                continue
            with peer:
                data = _receive(peer)
                if data is not None:
                    Path(path).unlink(missing_ok=True)
                    peer.sendall(_LENGTH.pack(os.getpid()))
                    return data


def hand_over(path: str, data: bytes, timeout_s: float = 2.0) -> int:
    """Give ``data`` to the spare that listens at ``path``; returns the spare's process id.

    Raises:
        SupervisionError: nobody took it within ``timeout_s``. The spare may still have got it:
            kill it, and use a new epoch for the next attempt.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(timeout_s)
            peer.connect(path)
            peer.sendall(_LENGTH.pack(len(data)) + data)
            answer = _exactly(peer, _LENGTH.size)
    except OSError as error:
        raise SupervisionError(f"expected a warm spare at {path}, found {error!r}; start a new one") from error
    if answer is None:
        raise SupervisionError(f"the spare at {path} closed the connection without taking its assignment")
    return int(_LENGTH.unpack(answer)[0])


def _receive(peer: socket.socket) -> bytes | None:
    """A whole assignment, or ``None`` when the peer left before its end."""
    peer.settimeout(_LOOK_S * 10)
    try:
        head = _exactly(peer, _LENGTH.size)
        return None if head is None else _exactly(peer, _LENGTH.unpack(head)[0])
    except OSError:
        return None


def _exactly(peer: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = peer.recv(min(size - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return bytes(data)
