"""One actor's tape, a message at a time, through all its incarnations."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from bigwheel.replay import Builder, Builders, opened
from runtime import codec
from runtime.errors import DecodeError
from runtime.host.cell import CellState, Effect, Parcel
from runtime.lanes import Lane
from runtime.message import Message
from runtime.supervision.assignment import CellAssignment
from runtime.tape.format import BEGIN, FOREVER, Frame, Head
from runtime.tape.player import CellPlayer, Window
from runtime.tape.reader import Incarnation, Missing, Read, items

Numbers = Callable[[], int]
STATES = 8
"""How many states of an actor are kept: one is saved a while after it was captured."""

GRACE_NS = 60_000_000_000
"""How long after a stretch that is not on a sender's tape its messages may still arrive."""


class Past:
    """What one life of an actor leaves to the next: its latest states, and whether it has decided otherwise."""

    def __init__(self) -> None:
        self.states: deque[bytes] = deque(maxlen=STATES)
        self.otherwise = False

    def instead_of(self, recorded: bytes) -> bytes:
        """The state to go on from, where the session went on from ``recorded``.

        That one, as long as nothing was decided otherwise; then this run's own, at the same place of the journal or
        the latest before it.
        """
        if not self.otherwise:
            return recorded
        place = _cursor(recorded)
        return next((state for state in reversed(self.states) if _cursor(state) <= place), recorded)


class RerunPlayer(CellPlayer):
    """Runs one incarnation of an actor on messages that its caller chooses, and goes on after a difference.

    ``armed`` are the timers it has set: what it is woken with, by what the recording says it was woken with.
    ``midway`` says that it began from a state in the middle of its life, so it may have set others before.
    """

    def __init__(
        self, plan: CellAssignment, epoch: int, build: Builder, *, journals: bool, digests: bool, numbers: Numbers
    ) -> None:
        made = functools.partial(build, plan)
        super().__init__(plan.name, epoch, made, journals=journals, digests=digests, window=Window())
        self.plan, self.journals = plan, journals
        self.past = Past()
        self.armed: dict[bytes, bytes] = {}
        self.same = True
        self.midway = False
        self.last_ns = 0
        self._numbers = numbers

    @property
    def live(self) -> bool:
        """Whether there is a brain that can be given something."""
        return self.cell is not None and not self.over

    @property
    def exact(self) -> bool:
        """Whether it is held to all its effects: it began from a state that leaves nothing out."""
        return not self._partial

    @property
    def made(self) -> list[Effect]:
        """What it did with the last message."""
        return self._made

    def play(self, place: int, frame: Frame) -> None:
        """Run the frame at ``place``."""
        self.same, self._made = True, []
        self.last_ns = max(self.last_ns, frame.now)
        self.take(place, [frame])

    def come(self, place: int) -> None:
        """The frame at ``place`` is next: notice if some before it are missing."""
        if place != self._seen:
            self.take(place, [])

    def pass_over(self, place: int) -> None:
        """Leave a frame out."""
        self.past.otherwise = True
        self._seen = place + 1

    def add(self, message: Message, sender: str, now: int) -> None:
        """Run a message that the recording does not have."""
        if self.cell is None:
            return
        self.same, self.past.otherwise = False, True
        self._made, self._error = [], ""
        self._now = self.last_ns = max(self.last_ns, now)
        self.cell.offer(Parcel(message, sender), Lane.CONTROL)
        self.cell.step()

    def next_seq(self) -> int:
        return self._numbers() if self.journals else 0

    def _mark(self, frame: Frame) -> None:
        begins, recorded = self.cell is None, msgspec.msgpack.decode(frame.extra, type=bytes | None)
        if frame.mark == BEGIN and recorded is not None:
            state = msgspec.msgpack.encode(self.past.instead_of(recorded))
            frame = msgspec.structs.replace(frame, extra=msgspec.Raw(state))
        super()._mark(frame)
        if self.cell is None:
            return
        if begins:
            self.midway = frame.mark != BEGIN
        elif self.cell.base is not None:
            self.past.states.append(self.cell.base)

    def _differed(self, frame: Frame, message: Message) -> None:
        self.same, self.past.otherwise = False, True
        if self.tally.difference is None:
            super()._differed(frame, message)
            self.over = False


class Turn(NamedTuple):
    """The next frame of an actor. ``message`` is ``None`` for a mark, and for what this program can't read."""

    player: RerunPlayer
    place: int
    frame: Frame
    message: Message | None


class Lost(NamedTuple):
    """Something of a host's tape is missing here."""

    player: RerunPlayer
    missing: Missing


class Fresh(NamedTuple):
    """A message to this actor that the recording does not have."""

    sent_ns: int
    message: Message
    sender: str


class Part:
    """What one actor was given in all its lives. ``more`` reads on, and is false at the end."""

    def __init__(self, name: str, more: Callable[[], bool]) -> None:
        self.name = name
        self.player: RerunPlayer | None = None
        self.past = Past()
        self.coming: deque[Turn | Lost] = deque()
        self.fresh: deque[Fresh] = deque()
        self._more = more
        self._last_ns = 0
        self._lost_from: int | None = 0
        self._holes: list[tuple[int, int]] = []

    def peek(self) -> Turn | Lost | None:
        """What comes next; ``None`` at the end."""
        while not self.coming:
            if not self._more():
                return None
        return self.coming[0]

    @property
    def next_ns(self) -> int:
        """When that was; for ever where nothing comes."""
        coming = self.peek()
        if coming is None:
            return FOREVER
        return coming.frame.now if isinstance(coming, Turn) else self._last_ns

    def went(self, player: RerunPlayer, now: int, *, mark: bool = False) -> None:
        """A frame was dealt with: with a message the actor is known again, or not yet."""
        self.player = player
        self._last_ns = max(self._last_ns, now)
        if not player.live:
            self._lost_from = self._last_ns if self._lost_from is None else self._lost_from
        elif self._lost_from is not None and not mark:
            self._holes.append((self._lost_from, now))
            self._lost_from = None

    def lose(self) -> None:
        """Something is missing from here on."""
        self._lost_from = self._last_ns if self._lost_from is None else self._lost_from

    @property
    def lost(self) -> bool:
        """Whether something before what comes next is missing."""
        return self._lost_from is not None

    def unknown(self, now: int) -> bool:
        """Whether what it sent around then may be missing from its tape."""
        if self._lost_from is not None and self._lost_from <= now:
            return True
        return any(first <= now <= last + GRACE_NS for first, last in self._holes)


class Reel:
    """The tapes of one host, all its incarnations one after the other; fills the parts of its actors.

    Args:
        found: the incarnations in order.
        part: the part of an actor, by host and name; the last argument reads on.
        numbers: the number of the journal's next record.
        lost: told of what is missing, by incarnation.
        progress: told of bytes that were read.
    """

    def __init__(
        self,
        found: list[Incarnation],
        part: Callable[[str, str, Callable[[], bool]], Part],
        builders: Builders,
        *,
        numbers: Callable[[], int],
        lost: Callable[[str, Missing], None],
        progress: Callable[[int], None],
    ) -> None:
        self._part_of, self._builders, self._numbers, self._lost = part, builders, numbers, lost
        self.players: list[RerunPlayer] = []
        self._host = found[0].host
        self._steps = self._read(found, progress)

    def more(self) -> bool:
        """Read a little; false at the end."""
        return next(self._steps, False)

    def _read(self, found: list[Incarnation], progress: Callable[[int], None]) -> Iterator[bool]:
        for incarnation in found:
            name = f"{incarnation.host}#{incarnation.epoch}"
            told = opened(incarnation, self._builders)
            if told is None or isinstance(told, Missing):
                if told is not None:
                    self._lost(name, told)
                progress(incarnation.size)
                continue
            head, assignment, build = told
            players = [
                RerunPlayer(
                    cell,
                    incarnation.epoch,
                    build,
                    journals=bool(assignment.journal),
                    digests=head.effects == "digest",
                    numbers=self._numbers,
                )
                for cell in assignment.cells
            ]
            self.players += players
            for player in players:
                player.past = self._part(player).past
            yield True
            for item in items(incarnation):
                if isinstance(item, Missing):
                    self._lost(name, item)
                    for player in players:
                        self._part(player).coming.append(Lost(player, item))
                elif isinstance(item, Read):
                    progress(item.size)
                elif not isinstance(item, Head) and item.cell < len(players):
                    self._fill(players[item.cell], item.first, item.frames)
                yield True

    def _part(self, player: RerunPlayer) -> Part:
        return self._part_of(self._host, player.plan.name, self.more)

    def _fill(self, player: RerunPlayer, first: int, frames: list[Frame]) -> None:
        coming = self._part(player).coming
        for place, frame in enumerate(frames, first):
            coming.append(Turn(player, place, frame, None if frame.mark else _message(frame)))


def _cursor(state: bytes) -> int:
    return msgspec.msgpack.decode(state, type=CellState).cursor


def _message(frame: Frame) -> Message | None:
    try:
        return codec.decode(frame.message)
    except DecodeError:
        return None


def replaced(frame: Frame, body: bytes) -> Frame:
    """The frame with another message."""
    return msgspec.structs.replace(frame, message=msgspec.Raw(body))
