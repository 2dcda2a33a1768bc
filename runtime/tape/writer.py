"""Writes a host's tape on a thread of its own.

Who hands something over never waits. What can't be taken, because the disk is full or slow, is counted, and the
next thing that can be written is a gap that says how much is missing and why.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import msgspec

from runtime.tape.format import END, FRAMES, GAP, HEAD, SUFFIX, Head, TapeRules, file_name, order_of, pack, preamble

log = logging.getLogger(__name__)

WAITING_BYTES = 16 << 20
"""What may wait to be written, at most; one piece alone may be larger."""

BUSY_BYTES = 4 << 20
"""While more than this waits, it is written as it is: room on the disk is cheaper than a gap."""

SEGMENTS = 8
"""A tape of the allowed size has about this many files, so that the oldest can go by itself."""

RETRY_S = 5.0
"""How long a disk that refused is left alone."""

_SLOW = "more came than could be written"
_encode = msgspec.msgpack.Encoder().encode


class _Piece(NamedTuple):
    """What is handed to the thread; ``dropped`` frames before it were not."""

    kind: int
    data: bytes
    frames: int
    dropped: int


class TapeWriter:
    """The files of one incarnation in ``folder``; ``head`` begins each of them.

    ``full`` is the number of the last file that has its size, ``lost`` how many frames are missing so
    far. A thread of its own sets them.
    """

    def __init__(self, folder: Path, rules: TapeRules, head: Head, *, retry_s: float = RETRY_S) -> None:
        self.folder = folder
        self.full = self.lost = self.segment = self.written = 0
        self.failure = ""
        self._rules, self._head, self._retry_s = rules, head, retry_s
        self._size = max(rules.max_bytes // SEGMENTS, 1)
        self._queue: SimpleQueue[_Piece | None] = SimpleQueue()
        self._given = self._taken = self._dropped = 0
        self._refused = self._breaks = 0
        self._file = -1
        self._offset = 0
        self._owed, self._reason, self._retry_at = 0, "", 0.0
        self._thread = threading.Thread(target=self._run, name=f"tape {head.host}", daemon=True)

    # -- on the event loop ---------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def put(self, data: bytes, frames: int) -> None:
        """Take encoded sections; never waits."""
        waiting = self._given - self._taken
        if waiting and waiting + len(data) > WAITING_BYTES:
            self._dropped += frames
            self._refused += 1
            return
        self._given += len(data)
        self._queue.put(_Piece(FRAMES, data, frames, self._shed()))

    def skip(self, frames: int, reason: str) -> None:
        """Note that frames are missing."""
        self._refused += 1
        self._queue.put(_Piece(GAP, reason.encode(), frames, self._shed()))

    @property
    def breaks(self) -> tuple[int, int]:
        """Changes whenever something was lost."""
        return self._refused, self._breaks

    def _shed(self) -> int:
        dropped, self._dropped = self._dropped, 0
        return dropped

    def turn(self) -> None:
        """Go on in a new file."""
        self._queue.put(None)

    def end(self, reason: str, timeout_s: float) -> bool:
        """Write what waits and close the tape; ``False`` if that took too long."""
        self._queue.put(_Piece(END, _encode((True, reason)), 0, self._shed()))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # -- on the thread -------------------------------------------------------------

    def _run(self) -> None:
        while True:
            piece = self._queue.get()
            if piece is None:
                self._close(last=False)
                continue
            self._write(piece)
            self._taken += len(piece.data) if piece.kind == FRAMES else 0
            if piece.kind == END:
                self._shut()
                return

    def _write(self, piece: _Piece) -> None:
        if piece.dropped:
            self._lose(piece.dropped, _SLOW)
        if piece.kind == GAP:
            self._lose(piece.frames, piece.data.decode())
            return
        try:
            if not self._opened():
                self._lose(piece.frames, self._reason)
                return
            if self._owed:
                self._append(GAP, _encode((self._owed, self._reason)))
                self._owed = 0
            self._append(piece.kind, piece.data)
        except OSError as error:
            self._broke(error)
            self._lose(piece.frames, self._reason)
            return
        if self._offset >= self._size:
            self.full = self.segment

    def _lose(self, frames: int, reason: str) -> None:
        self._owed += frames
        self._reason = reason
        self.lost += frames
        self._breaks += 1

    def _broke(self, error: OSError) -> None:
        """Go back to the last whole chunk, and leave the disk alone for a while."""
        self._reason = f"{error.strerror or error}"
        if not self.failure:
            log.error("the tape in %s has a gap from here: %s; trading goes on", self.folder, self._reason)
        self.failure = self._reason
        self._retry_at = time.monotonic() + self._retry_s
        if self._file < 0:
            return
        try:
            if self._offset:
                os.ftruncate(self._file, self._offset)
            else:
                (self.folder / file_name(self._head.epoch, self.segment)).unlink()
                self.segment -= 1
        except OSError as second:
            log.error("the end of the tape in %s is torn: %s", self.folder, second)
        self._shut()

    def _opened(self) -> bool:
        """Whether there is a file to write to; a new one is begun where there is none."""
        if self._file >= 0:
            return True
        if time.monotonic() < self._retry_at:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        self.segment += 1
        name = self.folder / file_name(self._head.epoch, self.segment)
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._offset = 0
        self._all(preamble() + pack(HEAD, _encode(msgspec.structs.replace(self._head, segment=self.segment))))
        self.failure = ""
        self._make_room()
        return True

    def _append(self, kind: int, payload: bytes) -> None:
        self._all(pack(kind, payload, plain=self._given - self._taken > BUSY_BYTES))

    def _all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._offset += len(data)
        self.written += len(data)

    def _make_room(self) -> None:
        """Remove the oldest files until there is room for one more."""
        files = sorted(self.folder.glob(f"*{SUFFIX}"), key=order_of)
        sizes = [file.stat().st_size for file in files]
        total = sum(sizes) + self._size
        for file, size in zip(files[:-1], sizes, strict=False):
            if total <= self._rules.max_bytes:
                return
            file.unlink(missing_ok=True)
            total -= size

    def _close(self, *, last: bool) -> None:
        """Finish the file at hand; the next piece begins another one."""
        if self._file < 0:
            return
        try:
            self._append(END, _encode((last, "")))
        except OSError as error:
            self._broke(error)
        self._shut()

    def _shut(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
