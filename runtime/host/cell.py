"""One hosted behavior: its mailbox, context, log cursor, snapshot and in-place restart.

Sans-IO: the live host and the simulation drive the same cell. A message's effects are
collected while the behavior handles it and applied together afterwards, so a behavior
that raises has done nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from runtime.behavior import Behavior
from runtime.errors import BigwheelError, JournalError, SnapshotError
from runtime.lanes import Delivery, Lane
from runtime.lifecycle import CaughtUp, Entry, Started, Stopping
from runtime.mailbox import Mailbox
from runtime.message import Message
from runtime.telemetry import logs

log = logging.getLogger(__name__)

REDO_LIMIT = 20_000


class Parcel(NamedTuple):
    """A message in a mailbox; ``token`` tells the driver what to acknowledge."""

    message: Message
    sender: str
    token: tuple[str, int, Lane, int] | None = None


class Send(NamedTuple):
    to: str
    message: Message
    eager: bool
    delivery: Delivery


class Record(NamedTuple):
    event: Message
    keys: Mapping[str, str]
    correlation: str
    causation: int
    urgent: bool


class Timer(NamedTuple):
    key: str
    due_ns: int
    message: Message | None


Effect = Send | Record | Timer

Redo = tuple[Message, str, int, int]
"""What is needed to run a message again exactly as it was run: message, sender, time, base sequence
number. A plain tuple: the garbage collector stops looking at those, and there are many."""


class CellState(msgspec.Struct, frozen=True):
    """A snapshot as it is stored: the behavior's state and how far in the log it is."""

    version: int
    cursor: int
    state: bytes


class Driver(Protocol):
    """What a cell needs of the host or simulation that drives it."""

    def now(self) -> int: ...

    def next_seq(self) -> int:
        """The sequence number the next journal record will get; 0 without a journal."""

    def apply(self, cell: Cell, effects: list[Effect]) -> None: ...

    def handled(self, cell: Cell, parcel: Parcel) -> None: ...

    def dead_letter(self, cell: Cell, parcel: Parcel, reason: str) -> None: ...

    def failed(self, cell: Cell, error: BaseException) -> bool:
        """A message raised: may the cell be restored and go on (``False``: give it up)?"""

    def count(self, name: str, amount: int) -> None: ...

    def observe(self, name: str, nanoseconds: int) -> None: ...


class Witness(Protocol):
    """Who writes down what a cell is given and what it does."""

    def took(self, given: Redo, effects: Sequence[Effect]) -> None:
        """A message was handled."""

    def failed(self, given: Redo, reason: str) -> None:
        """A message raised; the cell is brought back to just before it, or given up."""

    def captured(self, now: int, cursor: int, state: bytes) -> None:
        """A snapshot was taken: from here on the cell is restored to this state when it fails."""


class CellContext:
    """The context of one cell: collects effects instead of carrying them out."""

    __slots__ = ("_cell", "_driver", "_muted", "base_seq", "effects", "epoch", "name", "now", "recorded", "sender")

    def __init__(self, cell: Cell, driver: Driver) -> None:
        self._cell, self._driver = cell, driver
        self.name, self.epoch = cell.name, cell.epoch
        self.now, self.sender = 0, ""
        self.base_seq, self.recorded = 0, 0
        self.effects: list[Effect] = []
        self._muted = False

    def begin(self, sender: str, now: int, base_seq: int, *, muted: bool = False) -> None:
        """Get ready for one message; ``muted`` while messages are run again."""
        self.sender, self.now, self.base_seq, self.recorded = sender, now, base_seq, 0
        self.effects = []
        self._muted = muted

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        self.effects.append(Send(to, message, eager, delivery))

    def record(
        self,
        event: Message,
        *,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
        urgent: bool = True,
    ) -> int:
        if not self.base_seq:
            raise JournalError(f"{self.name} has no journal: send the event to the bus instead of recording it")
        self.effects.append(Record(event, keys, correlation, causation, urgent))
        self.recorded += 1
        return self.base_seq + self.recorded - 1

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        self.effects.append(Timer(key, self.now + delay_ns, message))

    def cancel(self, key: str) -> None:
        self.effects.append(Timer(key, 0, None))

    def count(self, name: str, amount: int = 1) -> None:
        if not self._muted:
            self._driver.count(name, amount)

    def observe(self, name: str, nanoseconds: int) -> None:
        if not self._muted:
            self._driver.observe(name, nanoseconds)


class Cell:
    """Runs one behavior message by message.

    ``build`` makes a fresh behavior; it is called at the start and again after a failure.
    ``snapshots`` are tried newest first; none usable means starting empty from the log's
    beginning. States: ``running``, ``failed`` (given up) and ``stopped``.
    """

    def __init__(
        self,
        name: str,
        epoch: int,
        build: Callable[[], Behavior],
        driver: Driver,
        *,
        snapshots: tuple[bytes, ...] = (),
        journals: bool = False,
        redo_limit: int = REDO_LIMIT,
    ) -> None:
        self.name, self.epoch = name, epoch
        self.build, self.driver, self.journals = build, driver, journals
        self.mailbox: Mailbox[Parcel] = Mailbox()
        self.cursor = 0
        self.restarts = 0
        self.state = "running"
        self.last_error = ""
        self.dirty = False
        self.caught_up = False
        self.scheduled = False
        self.witness: Witness | None = None
        self.uncaptured = ""
        """Why the last attempt at a snapshot failed; empty once one has succeeded."""
        self._redo: list[Redo] = []
        self._redo_limit = redo_limit
        self._exact = True
        self._data_refused = False
        self.behavior, self._base, self.restored = self._load(snapshots)
        self.context = CellContext(self, driver)

    @property
    def base(self) -> bytes | None:
        """The stored form of the state it is restored to when it fails; ``None`` for an empty one."""
        return msgspec.msgpack.encode(self._base) if self._base is not None else None

    def _load(self, snapshots: tuple[bytes, ...]) -> tuple[Behavior, CellState | None, bool]:
        """A behavior from the newest snapshot that can be restored."""
        for number, data in enumerate(snapshots):
            behavior = self.build()
            try:
                state = msgspec.msgpack.decode(data, type=CellState)
                behavior.restore(state.state)
            except Exception as error:
                # A snapshot is the user's code's own output: whatever it raises, the older one is next.
                log.error("snapshot %d of %s can't be restored, trying the one before it: %r", number, self.name, error)
                self.driver.count("snapshots_refused", 1)
                continue
            self.cursor = state.cursor
            return behavior, state, True
        return self.build(), None, False

    def begin(self) -> None:
        """Deliver ``Started``."""
        self._run(Parcel(Started(self.epoch, self.restored), self.name))

    def offer(
        self, parcel: Parcel, lane: Lane | None = None, *, key: str = "", delivery: Delivery = Delivery.ALL
    ) -> None:
        """Put a message into the mailbox.

        It is taken even by a full lane: the sender's window (or the port's pause) is what
        bounds it, and a message that was accepted must not be lost between the two.
        """
        place = lane if lane is not None else parcel.message.lane
        self.mailbox.offer(place, parcel, key=key, delivery=delivery, force=True)

    def step(self, max_lane: Lane = Lane.DATA) -> bool:
        """Handle the next message of the mailbox; ``False`` when there was none."""
        parcel = self.mailbox.take(max_lane)
        if parcel is None:
            return False
        if self.state == "running":
            self._run(parcel)
        else:
            self._refuse(parcel)
            self.driver.handled(self, parcel)
        return True

    def _refuse(self, parcel: Parcel) -> None:
        """Answer for a cell that runs no more. Market data goes on coming: its first piece is told, all count."""
        if parcel.message.lane is Lane.DATA:
            self.driver.count("data_refused", 1)
            if self._data_refused:
                return
            self._data_refused = True
        self.driver.dead_letter(self, parcel, f"{self.name} is {self.state}: {self.last_error}")

    def _run(self, parcel: Parcel) -> None:
        message = parcel.message
        kind, driver = type(message), self.driver
        if kind is Entry and message.seq <= self.cursor:  # type: ignore[attr-defined]
            driver.handled(self, parcel)
            return
        context = self.context
        now, base = driver.now(), driver.next_seq() if self.journals else 0
        context.begin(parcel.sender, now, base)
        try:
            self.behavior.receive(message, context)
        except (Exception, SystemExit) as error:
            # A behavior that asks the process to exit means itself; its siblings go on.
            self._fail(parcel, error)
            self.driver.handled(self, parcel)
            return
        self.dirty = True
        if kind is Entry or kind is CaughtUp:
            self._advance(message)
        given = (message, parcel.sender, now, base)
        self._redo.append(given)
        if self.witness is not None:
            self.witness.took(given, context.effects)
        if context.effects:
            driver.apply(self, context.effects)
        driver.handled(self, parcel)
        if len(self._redo) >= self._redo_limit and not self.journals:
            self._shorten()

    def _shorten(self) -> None:
        """Let go of the messages that would be run again, for a snapshot in their place."""
        try:
            self.snapshot()
        except BigwheelError as error:
            # It trades on, but the next failure can't be undone any more.
            log.error("%s keeps no way back, for it can't be captured: %s", self.name, error)
            self._redo, self._exact = [], False

    def _advance(self, message: Message) -> None:
        if isinstance(message, Entry):
            self.cursor = message.seq
        elif isinstance(message, CaughtUp):
            self.caught_up = True

    def _fail(self, parcel: Parcel, error: BaseException) -> None:
        """Set the poisonous message aside and bring the behavior back to just before it."""
        self.last_error = f"{type(error).__name__}: {error}"
        token = logs.actor.set(self.name)
        log.error("%s failed on %s", self.name, type(parcel.message).__name__, exc_info=error)
        logs.actor.reset(token)
        self._advance(parcel.message)
        if self.witness is not None:
            self.witness.failed(
                (parcel.message, parcel.sender, self.context.now, self.context.base_seq), self.last_error
            )
        self.driver.dead_letter(self, parcel, self.last_error)
        self.driver.count("cell_failures", 1)
        if not self.driver.failed(self, error):
            self.state = "failed"
            return
        try:
            self._recover()
        except Exception as second:
            self.state = "failed"
            self.last_error = f"{self.last_error}; and it could not be restored: {second!r}"
            log.error("%s could not be restored", self.name, exc_info=second)

    def _recover(self) -> None:
        """Restore the last snapshot and run again, muted, what came after it."""
        if not self._exact:
            raise SnapshotError(f"{self.name} has no snapshot to go back to: {self.uncaptured}")
        behavior = self.build()
        if self._base is not None:
            behavior.restore(self._base.state)
        for message, sender, now, base in self._redo:
            self.context.begin(sender, now, base, muted=True)
            behavior.receive(message, self.context)
        self.behavior = behavior
        self.restarts += 1
        self.driver.count("cell_restarts", 1)

    def snapshot(self, cursor: int | None = None) -> bytes:
        """The stored form of the present state; ``cursor`` overrides the log position.

        Raises:
            SnapshotError: the behavior can't be captured; its own error says why.
        """
        try:
            state = self.behavior.snapshot()
        except BigwheelError as error:
            self.uncaptured = str(error)
            raise
        except Exception as error:
            self.uncaptured = f"{self.name} could not be captured: {error!r}"
            raise SnapshotError(self.uncaptured) from error
        base = CellState(1, self.cursor if cursor is None else cursor, state)
        self._base, self._redo, self.dirty = base, [], False
        self._exact, self.uncaptured = True, ""
        stored = msgspec.msgpack.encode(base)
        if self.witness is not None:
            self.witness.captured(self.context.now, base.cursor, stored)
        return stored

    def wind_down(self, reason: str) -> None:
        """Deliver ``Stopping``; the cell still handles what its last work brings back."""
        if self.state == "running":
            self._run(Parcel(Stopping(reason), self.name))

    def close(self) -> None:
        """End the cell: whatever still comes is answered with a dead letter."""
        if self.state == "running":
            self.state = "stopped"
