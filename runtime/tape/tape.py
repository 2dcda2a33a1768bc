"""A host's tape as its cells see it: frames are gathered, encoded in batches and handed to the writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from runtime.errors import BigwheelError
from runtime.host.cell import Effect, Redo
from runtime.tape.format import BEGIN, STATE, TapeRules
from runtime.tape.writer import TapeWriter

BATCH = 128
"""Frames of a cell that are encoded at one go, at most: some 30 microseconds."""

DIGEST = 8
CLOSE_S = 2.0
"""How long an ending host waits for its tape."""

_encode = msgspec.msgpack.Encoder().encode


def digest_of(effects: bytes) -> bytes:
    """What is kept of encoded effects where they are not kept themselves."""
    return blake2b(effects, digest_size=DIGEST).digest()


def _digested(frames: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        (*frame[:4], digest_of(_encode(frame[4]))) if len(frame) == 5 and isinstance(frame[4], list) else frame
        for frame in frames
    ]


class Track:
    """One cell's part of the tape; is its ``Witness``."""

    __slots__ = ("_tape", "anchored", "first", "frames", "index")

    def __init__(self, tape: Tape, index: int) -> None:
        self._tape = tape
        self.index = index
        self.first = 0
        self.anchored = False
        self.frames: list[tuple[Any, ...]] = []

    def began(self, now: int, cursor: int, state: bytes | None) -> None:
        """What the incarnation starts from; ``None`` for nothing."""
        self.frames.append((None, BEGIN, now, cursor, state))
        self.anchored = True

    def took(self, given: Redo, effects: Sequence[Effect]) -> None:
        """A message was handled."""
        frames = self.frames
        frames.append((*given, effects) if effects else given)
        if len(frames) >= BATCH:
            self._tape.flush()

    def failed(self, given: Redo, reason: str) -> None:
        """A message raised, and the cell is brought back to just before it."""
        self.frames.append((*given, reason))

    def captured(self, now: int, cursor: int, state: bytes) -> None:
        """A snapshot was taken. A file's first one is kept, so that a replay can begin there."""
        self.frames.append((None, STATE, now, cursor, None if self.anchored else state))
        self.anchored = True


class Tape:
    """The tape of one incarnation of a host. ``count`` adds to the host's counters."""

    def __init__(self, writer: TapeWriter, rules: TapeRules, count: Callable[[str, int], None]) -> None:
        self.writer = writer
        self._digests = rules.effects == "digest"
        self._count = count
        self._tracks: list[Track] = []
        self._turned = self._lost = 0
        self._breaks = writer.breaks
        writer.start()

    def track(self, now: int, cursor: int, state: bytes | None) -> Track:
        """The part of the next cell, in the order of the host's assignment."""
        track = Track(self, len(self._tracks))
        self._tracks.append(track)
        track.began(now, cursor, state)
        return track

    def flush(self) -> None:
        """Hand everything gathered to the writer."""
        sections = []
        frames = 0
        for track in self._tracks:
            if track.frames:
                sections.append((track.index, track.first, track.frames))
                frames += len(track.frames)
                track.first += len(track.frames)
                track.frames = []
        if sections:
            self._hand(sections, frames)
        self._look_after()

    def _hand(self, sections: list[tuple[int, int, list[tuple[Any, ...]]]], frames: int) -> None:
        try:
            if self._digests:
                sections = [(index, first, _digested(given)) for index, first, given in sections]
            data = _encode(sections)
        except Exception as error:
            # A message of a user's own may hold anything; what can't be written down must not stop it.
            self._count("tape_unwritable", frames)
            self.writer.skip(frames, f"a message could not be encoded: {error}")
            return
        self.writer.put(data, frames)

    def _look_after(self) -> None:
        """Begin a new file where one is full; have states written again where something is missing."""
        writer = self.writer
        if writer.full > self._turned:
            self._turned = writer.full
            writer.turn()
            self._unanchor()
        if writer.breaks != self._breaks:
            self._breaks = writer.breaks
            self._unanchor()
        if writer.lost != self._lost:
            lost = writer.lost
            self._count("tape_lost", lost - self._lost)
            self._lost = lost

    def _unanchor(self) -> None:
        for track in self._tracks:
            track.anchored = False

    def close(self, reason: str, timeout_s: float = CLOSE_S) -> None:
        """Write what is left and end the tape.

        Raises:
            BigwheelError: the disk was too slow for that.
        """
        self.flush()
        ended = self.writer.end(reason, timeout_s)
        self._look_after()
        if not ended:
            raise BigwheelError(
                f"expected the tape in {self.writer.folder} to be written within {timeout_s:g} s, found the disk busy: "
                "its end is missing"
            )

    def stats(self) -> dict[str, object]:
        """JSON-ready facts for status."""
        writer = self.writer
        return {"bytes": writer.written, "segment": writer.segment, "lost": writer.lost, "failure": writer.failure}
