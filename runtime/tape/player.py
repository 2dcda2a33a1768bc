"""Runs a tape through the brains again, in the same cells that hosts use, and compares what they do.

A cell begins where its incarnation did, or at the first state that is kept after something is missing. From there
on it is given each message with the sender, the time and the sequence number it saw the first time. Its effects
are carried out by nobody: their bytes are held against those on the tape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from runtime import codec
from runtime.behavior import Behavior
from runtime.errors import BigwheelError, DecodeError
from runtime.host.cell import Cell, Effect, Parcel, Send, Timer
from runtime.lanes import Lane
from runtime.message import Message
from runtime.tape.format import BEGIN, FOREVER, Frame
from runtime.tape.reader import Cause, Missing
from runtime.tape.tape import digest_of

_EMPTY = b""
_NONE = b"\x90"
_encode = msgspec.msgpack.Encoder().encode


class Window(NamedTuple):
    """What is looked at: messages handled from ``since`` to ``until`` (ns, both included).

    Whoever writes the journal stops before record ``stop`` as well, for it counts exactly.
    """

    since: int = 0
    until: int = FOREVER
    stop: int = FOREVER


class Difference(msgspec.Struct, frozen=True):
    """The first decision that was not made again. ``recorded`` and ``replayed`` are lines for people."""

    actor: str
    epoch: int
    number: int
    now: int
    sender: str
    message: str
    recorded: list[str]
    replayed: list[str]


class Tally(msgspec.Struct):
    """What became of one cell's tape: messages run, decisions compared, what was left out and why."""

    actor: str
    epoch: int
    messages: int = 0
    compared: int = 0
    left_out: int = 0
    skipped: int = 0
    difference: Difference | None = None
    missing: list[Missing] = []


class CellPlayer:
    """Replays one cell of an incarnation; is its ``Driver``."""

    def __init__(
        self, name: str, epoch: int, build: Callable[[], Behavior], *, journals: bool, digests: bool, window: Window
    ) -> None:
        self.tally = Tally(name, epoch)
        self.cell: Cell | None = None
        self.over = False
        self.begun_ns = 0
        self._build, self._journals, self._digests, self._window = build, journals, digests, window
        self._seen = 0
        self._explained = False
        self._partial = False
        self._now = self._base = 0
        self._made: list[Effect] = []
        self._error = ""

    # -- the tape ------------------------------------------------------------------

    def take(self, first: int, frames: list[Frame]) -> None:
        """Run the next frames; ``first`` is how many came before them."""
        if self.over:
            return
        if first != self._seen:
            self._broken(first - self._seen)
        self._explained = False
        for frame in frames:
            self._frame(frame)
        self._seen = first + len(frames)

    def missing(self, cause: Cause) -> None:
        """Something of the host's tape is not there: a jump that follows is explained by that."""
        self._explained = self._explained or cause is not Cause.NOTE

    def _broken(self, lost: int) -> None:
        """Messages are missing: the brain is not what it was, until a state is found."""
        cause = Cause.NOTE if self._explained or not self._seen else Cause.DAMAGE
        self.tally.missing.append(Missing(f"{lost} of its messages are not on the tape", cause))
        self.cell = None

    def _frame(self, frame: Frame) -> None:
        late = frame.now > self._window.until
        if self.over or late or (self._journals and frame.base >= self._window.stop and not frame.mark):
            self.over = True
        elif frame.mark:
            self._mark(frame)
        elif self.cell is None:
            self.tally.skipped += 1
        else:
            self._run(self.cell, frame)

    def _mark(self, frame: Frame) -> None:
        cell = self.cell
        if cell is not None and frame.mark != BEGIN:
            # It is from here that it was restored when it failed, so it must be from here again.
            try:
                cell.snapshot(frame.base)
            except BigwheelError as error:
                self._give_up(f"its state could be captured, and now can't be: {error}")
            return
        state = msgspec.msgpack.decode(frame.extra, type=bytes | None)
        if state is None and frame.mark != BEGIN:
            return
        self.begun_ns = self.begun_ns or frame.now
        try:
            self.cell = Cell(
                self.tally.actor,
                self.tally.epoch,
                self._build,
                self,
                snapshots=(state,) if state is not None else (),
                journals=self._journals,
            )
        except Exception as error:
            # Building a strategy runs its author's code.
            self._give_up(f"it can't be built here: {error}")
            return
        if state is not None and not self.cell.restored:
            self._give_up(f"a state of {len(state)} bytes can't be restored by this program")
            return
        self._partial = frame.mark != BEGIN and bool(getattr(self.cell.behavior, "forgets", ""))

    def _give_up(self, reason: str) -> None:
        self.tally.missing.append(Missing(reason, Cause.DAMAGE))
        self.cell, self.over = None, True

    # -- one message ---------------------------------------------------------------

    def _run(self, cell: Cell, frame: Frame) -> None:
        tally = self.tally
        try:
            message = codec.decode(frame.message)
        except DecodeError as error:
            self._give_up(f"message {tally.messages + 1} can't be read by this program: {error}")
            return
        self._now, self._base, self._made, self._error = frame.now, frame.base, [], ""
        cell.offer(Parcel(message, frame.sender), Lane.CONTROL)
        cell.step()
        tally.messages += 1
        if frame.now >= self._window.since and not self._same(frame):
            self._differed(frame, message)

    def _differed(self, frame: Frame, message: Message) -> None:
        """The first other decision ends the tape: what follows comes from it."""
        tally = self.tally
        tally.difference = Difference(
            tally.actor,
            tally.epoch,
            tally.messages,
            frame.now,
            frame.sender,
            repr(message),
            recorded_lines(bytes(frame.extra)),
            made_lines(self._made, self._error),
        )
        self.over = True

    def _same(self, frame: Frame) -> bool:
        extra = bytes(frame.extra)
        made = self._made
        if not extra and not made and not self._error:
            return True
        if self._error or _is_text(extra):
            self.tally.compared += 1
            return bool(self._error) and _is_text(extra)
        if self._partial:
            return self._same_in_part(extra)
        self.tally.compared += max(len(made), 1)
        if not made:
            return extra in (_EMPTY, _NONE)
        encoded = _encode(made)
        return (_encode(digest_of(encoded)) if self._digests else encoded) == extra

    def _same_in_part(self, extra: bytes) -> bool:
        """Compare what a brain decides that had forgotten something when its state was captured."""
        if self._digests:
            # A digest is of all effects together.
            self.tally.left_out += max(len(self._made), 1)
            return True
        recorded = msgspec.msgpack.decode(extra, type=list[msgspec.Raw]) if extra else []
        theirs = [bytes(raw) for raw in recorded if _matters(raw)]
        ours = [_encode(effect) for effect in self._made if _decides(effect)]
        self.tally.compared += len(theirs)
        self.tally.left_out += len(recorded) - len(theirs)
        return ours == theirs

    # -- what the cell asks (Driver) -------------------------------------------------

    def now(self) -> int:
        return self._now

    def next_seq(self) -> int:
        return self._base

    def apply(self, cell: Cell, effects: list[Effect]) -> None:
        """Carried out by nobody."""
        self._made = effects

    def handled(self, cell: Cell, parcel: Parcel) -> None:
        """Nobody waits for an acknowledgement."""

    def dead_letter(self, cell: Cell, parcel: Parcel, reason: str) -> None:
        self._error = reason or "it failed"

    def failed(self, cell: Cell, error: BaseException) -> bool:
        """It is brought back each time: where it was given up, its tape ends."""
        return True

    def count(self, name: str, amount: int) -> None:
        """Counted the first time."""

    def observe(self, name: str, nanoseconds: int) -> None:
        """Measured the first time."""


def _is_text(extra: bytes) -> bool:
    """Whether a frame's last element is an error."""
    return bool(extra) and (0xA0 <= extra[0] <= 0xBF or extra[0] in (0xD9, 0xDA, 0xDB))


def _decides(effect: Effect) -> bool:
    """Whether an effect is a decision, and not market data passed on or a timer."""
    return type(effect) is not Timer and not (type(effect) is Send and effect.message.lane is Lane.DATA)


def _matters(raw: msgspec.Raw) -> bool:
    """The same, for an effect on a tape."""
    parts = msgspec.msgpack.decode(raw, type=list[msgspec.Raw])
    if len(parts) == len(Timer._fields):
        return False
    return len(parts) != len(Send._fields) or codec.decode(parts[1]).lane is not Lane.DATA


def made_lines(effects: list[Effect], error: str) -> list[str]:
    """What a brain did, a line for each effect."""
    return [f"failed: {error}"] if error else [_line(msgspec.Raw(_encode(effect))) for effect in effects]


def recorded_lines(extra: bytes) -> list[str]:
    """What a brain did according to its tape."""
    if not extra:
        return []
    found: Any = msgspec.msgpack.decode(extra)
    if isinstance(found, str):
        return [f"failed: {found}"]
    if isinstance(found, bytes):
        return [f"effects whose digest is {found.hex()} (set audit.effects to full to have them kept)"]
    return [_line(raw) for raw in msgspec.msgpack.decode(extra, type=list[msgspec.Raw])]


def _line(raw: msgspec.Raw) -> str:
    """One effect in words: the three kinds differ in their number of parts."""
    parts = msgspec.msgpack.decode(raw, type=list[msgspec.Raw])
    said = [_said(part) for part in parts]
    if len(parts) == len(Timer._fields):
        return f"timer {said[0]} due {said[1]}: {said[2]}"
    if len(parts) == len(Send._fields):
        return f"send to {said[0]}: {said[1]}" + (" (eager)" if said[2] == "True" else "")
    return f"record {said[0]} keys={said[1]} correlation={said[2]} causation={said[3]} urgent={said[4]}"


def _said(part: msgspec.Raw) -> str:
    found = msgspec.msgpack.decode(part)
    if (isinstance(found, dict) and "$type" in found) or (isinstance(found, list) and found):
        try:
            return repr(codec.decode(part))
        except DecodeError:
            return repr(found)
    return str(found)
