"""A small brain in a cell whose tape is kept, and what a replay of that tape finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec

from runtime.behavior import Behavior, Context
from runtime.host.cell import Cell, Effect, Parcel
from runtime.lanes import Delivery, Lane
from runtime.message import Message
from runtime.tape.format import Head, TapeRules, folder_of
from runtime.tape.player import CellPlayer, Tally, Window
from runtime.tape.reader import Incarnation, Missing, Read, incarnations, items
from runtime.tape.tape import Tape
from runtime.tape.writer import TapeWriter

HOST = "strategy/toy/bybit:BTCUSDT"
RULES = TapeRules(enabled=True)
MODULUS = 1 << 60
ALL = Window()


class TapeTick(Message, array_like=True):
    """A number; a negative one makes the brain fail."""

    lane: ClassVar[Lane] = Lane.DATA
    value: int


class TapeSum(Message):
    total: int
    largest: int


class Summer:
    """Adds up, tells every third sum, sets a timer at every fifth, passes even ticks on, fails below zero."""

    bias = 0

    def __init__(self) -> None:
        self.total = self.largest = self.count = 0

    def receive(self, message: Message, ctx: Context) -> None:
        if not isinstance(message, TapeTick):
            return
        self.count += 1
        self.total = (self.total + message.value) % MODULUS
        self.largest = max(self.largest, message.value % MODULUS)
        if message.value < 0:
            raise ValueError(f"{message.value} is below zero")
        if self.count % 3 == 0:
            ctx.send("bus", TapeSum(self.total + self.bias, self.largest))
        if self.count % 5 == 0:
            ctx.timer("again", self.total, message)
        if message.value % 2 == 0:
            ctx.send("risk", message, delivery=Delivery.LATEST)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.total, self.largest, self.count))

    def restore(self, data: bytes) -> None:
        self.total, self.largest, self.count = msgspec.msgpack.decode(data, type=tuple[int, int, int])

    def status(self) -> dict[str, object]:
        return {"total": self.total}


class Taping:
    """A host of cells of ``kind`` without Ray; is their ``Driver``."""

    def __init__(
        self,
        store: Path,
        *,
        epoch: int = 1,
        rules: TapeRules = RULES,
        kind: type[Behavior] = Summer,
        state: bytes | None = None,
        cells: int = 1,
        retry_s: float = 0.0,
    ) -> None:
        head = Head(HOST, epoch, 0, "tests:None", rules.effects)
        self.writer = TapeWriter(folder_of(store, HOST), rules, head, retry_s=retry_s)
        self.counted: dict[str, int] = {}
        self.tape = Tape(self.writer, rules, self.count)
        self.time = 1_000
        self.cells = []
        for number in range(cells):
            snapshots = (state,) if state is not None else ()
            cell = Cell(f"cell-{number}", epoch, kind, self, snapshots=snapshots)
            cell.witness = self.tape.track(self.time, cell.cursor, cell.base)
            cell.begin()
            self.cells.append(cell)

    def tell(self, *values: int, cell: int = 0) -> None:
        for value in values:
            self.cells[cell].offer(Parcel(TapeTick(value), "feed"))
            self.cells[cell].step()

    def settle(self) -> None:
        """Hand over what was gathered, and wait until it is written."""
        self.tape.flush()
        writer = self.writer
        while writer._given != writer._taken:
            writer._thread.join(0.001)

    def now(self) -> int:
        self.time += 1_000
        return self.time

    def next_seq(self) -> int:
        return 0

    def apply(self, cell: Cell, effects: list[Effect]) -> None:
        """Carried out by nobody."""

    def handled(self, cell: Cell, parcel: Parcel) -> None:
        """Nobody waits."""

    def dead_letter(self, cell: Cell, parcel: Parcel, reason: str) -> None:
        """Nobody reads it."""

    def failed(self, cell: Cell, error: BaseException) -> bool:
        return True

    def count(self, name: str, amount: int) -> None:
        self.counted[name] = self.counted.get(name, 0) + amount

    def observe(self, name: str, nanoseconds: int) -> None:
        """Measured by nobody."""


class Found(msgspec.Struct):
    """What replays of one incarnation found: by cell, and of the files as such."""

    tallies: dict[str, Tally]
    missing: list[Missing]

    @property
    def texts(self) -> str:
        return "\n".join(missing.text for missing in self.missing)


def replay(
    incarnation: Incarnation, kind: Any = Summer, *, window: Window = ALL, digests: bool = False, cells: int = 1
) -> Found:
    """Run an incarnation's tape through brains of ``kind``."""
    players = [
        CellPlayer(f"cell-{n}", incarnation.epoch, kind, journals=False, digests=digests, window=window)
        for n in range(cells)
    ]
    missing: list[Missing] = []
    for item in items(incarnation):
        if isinstance(item, Missing):
            missing.append(item)
            for player in players:
                player.missing(item.cause)
        elif not isinstance(item, Head | Read):
            players[item.cell].take(item.first, item.frames)
    return Found({player.tally.actor: player.tally for player in players}, missing)


def only(store: Path) -> Incarnation:
    """The one incarnation there is."""
    (found,) = incarnations(store)
    return found
