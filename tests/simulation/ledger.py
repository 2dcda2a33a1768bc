"""A small application for the kernel's own simulation: accounts in a ledger, and who watches them.

Use it as ``from tests.simulation.ledger import build_ledger``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import msgspec

from runtime import codec
from runtime.behavior import Behavior, Context
from runtime.lanes import Lane
from runtime.lifecycle import CaughtUp, Entry, PeerUp, Started, Subscribe
from runtime.message import Message
from runtime.simulation.faults import MILLISECOND, FaultPlan
from runtime.simulation.process import CellSpec, HostSpec, Process
from runtime.simulation.world import World

LEDGER, COUNTER = "bus", "counter"
PERIOD_NS = 10 * MILLISECOND


class LedgerAdd(Message):
    """Source to ledger: book this, unless it is booked."""

    id: str
    source: str
    number: int
    amount: int


class LedgerReceipt(Message):
    """Ledger to source: it is booked for good."""

    number: int


class LedgerAdded(Message):
    """The journaled booking."""

    id: str
    source: str
    number: int
    amount: int


class LedgerHit(Message):
    """Source to ledger: counted without any dedupe by the ledger itself."""

    source: str
    epoch: int
    number: int


class LedgerHitCounted(Message):
    """The journaled hit."""

    source: str
    epoch: int
    number: int


class LedgerTick(Message, array_like=True):
    """A source's timer."""

    lane: ClassVar[Lane] = Lane.DATA


class Brain:
    """State as one dict of plain values."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.state)

    def restore(self, data: bytes) -> None:
        self.state = msgspec.msgpack.decode(data)

    def status(self) -> dict[str, object]:
        return {}


class LedgerBrain(Brain):
    """Books each id once, and every hit it gets."""

    def __init__(self, *, hasty: bool = False) -> None:
        super().__init__()
        self.state = {"seen": {}, "total": 0, "hits": 0}
        self._hasty = hasty

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, LedgerAdd):
            if message.id not in self.state["seen"]:
                added = LedgerAdded(message.id, message.source, message.number, message.amount)
                ctx.record(added, keys={"source": message.source}, urgent=message.number % 3 == 0)
                self._book(added)
            ctx.send(ctx.sender, LedgerReceipt(message.number), eager=self._hasty)
        elif isinstance(message, LedgerHit):
            ctx.record(LedgerHitCounted(message.source, message.epoch, message.number), keys={}, urgent=False)
            self.state["hits"] += 1
        elif isinstance(message, Entry):
            event = message.event
            if isinstance(event, LedgerAdded):
                self._book(event)
            else:
                self.state["hits"] += 1

    def _book(self, added: LedgerAdded) -> None:
        self.state["seen"][added.id] = added.amount
        self.state["total"] += added.amount


class SourceBrain(Brain):
    """Sends numbered bookings until told to stop, and again whatever has no receipt."""

    def __init__(self) -> None:
        super().__init__()
        self.state = {"next": 0, "open": {}}
        self.ready = False
        self.stopped = False
        self.hits = 0

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Started):
            ctx.timer("tick", PERIOD_NS, LedgerTick())
        elif isinstance(message, CaughtUp):
            self.ready = True
            self._again(ctx)
        elif isinstance(message, PeerUp):
            self._again(ctx)
        elif isinstance(message, Entry):
            event = message.event
            assert isinstance(event, LedgerAdded)
            self.state["open"].pop(str(event.number), None)
            self.state["next"] = max(self.state["next"], event.number + 1)
        elif isinstance(message, LedgerTick):
            ctx.timer("tick", PERIOD_NS, LedgerTick())
            if self.ready and not self.stopped:
                self._emit(ctx)

    def _emit(self, ctx: Context) -> None:
        number = self.state["next"]
        self.state["next"] = number + 1
        self.state["open"][str(number)] = number * 7 % 101
        self._send(number, ctx)
        ctx.send(LEDGER, LedgerHit(ctx.name, ctx.epoch, self.hits))
        self.hits += 1

    def _again(self, ctx: Context) -> None:
        if self.ready:
            for number in self.state["open"]:
                self._send(int(number), ctx)

    def _send(self, number: int, ctx: Context) -> None:
        ctx.send(LEDGER, LedgerAdd(f"{ctx.name}-{number}", ctx.name, number, number * 7 % 101))


class CounterBrain(Brain):
    """Adds up the log."""

    def __init__(self) -> None:
        super().__init__()
        self.state = {"total": 0, "entries": 0, "last": 0}

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Entry):
            event = message.event
            assert message.seq > self.state["last"], f"entry {message.seq} after {self.state['last']}"
            assert isinstance(event, LedgerAdded)
            self.state["last"] = message.seq
            self.state["total"] += event.amount
            self.state["entries"] += 1


class LedgerHistory:
    """Checks while the run goes on; ``finish`` checks the end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sources: list[str] = []
        self.receipts: set[str] = set()
        self.booked: Counter[str] = Counter()
        self._folded = 0
        world.observers.append(self.observe)

    def observe(self, process: Process, ctx: Context, message: Message) -> None:
        if isinstance(message, LedgerReceipt):
            name = f"{ctx.name}-{message.number}"
            self.receipts.add(name)
            if name not in self._booked():
                self.world.fail("committed-before-acknowledged", f"{name} was acknowledged before it was committed")

    def _booked(self) -> Counter[str]:
        for record in self.world.shelf.records[self._folded : self.world.durable]:
            event = codec.decode(record.body)
            if isinstance(event, LedgerAdded):
                self.booked[event.id] += 1
        self._folded = self.world.durable
        return self.booked

    def finish(self) -> None:
        """After quiescence: every booking once, none lost, all books equal."""
        world, booked = self.world, self._booked()
        twice = [name for name, times in booked.items() if times > 1]
        if twice:
            world.fail("booked-once", f"booked twice: {twice[:5]}")
        if lost := sorted(self.receipts - set(booked)):
            world.fail("nothing-lost", f"acknowledged and lost: {lost[:5]}")
        total = 0
        for record in world.shelf.records:
            event = codec.decode(record.body)
            total += event.amount if isinstance(event, LedgerAdded) else 0
        for cell in (LEDGER, COUNTER):
            found = brain(world, cell).state["total"]
            if found != total:
                world.fail("books-agree", f"the journal adds up to {total}, {cell} has {found}")
        for source in self.sources:
            self._finish_source(source, booked)
        self._finish_hits()

    def _finish_source(self, source: str, booked: Counter[str]) -> None:
        state = brain(self.world, source).state
        if state["open"]:
            self.world.fail("every-receipt-comes", f"{source} never got a receipt for {sorted(state['open'])[:5]}")
        missing = [number for number in range(state["next"]) if f"{source}-{number}" not in booked]
        if missing:
            self.world.fail("nothing-lost", f"{source} sent {missing[:5]}, which the journal does not have")

    def _finish_hits(self) -> None:
        """What one incarnation sends arrives once and in order: no number missing before another."""
        numbers: Counter[tuple[str, int]] = Counter()
        for record in self.world.shelf.records:
            event = codec.decode(record.body)
            if isinstance(event, LedgerHitCounted):
                key = (event.source, event.epoch)
                if event.number != numbers[key]:
                    self.world.fail("in-order", f"{key} sent hit {numbers[key]} next, the journal has {event.number}")
                numbers[key] += 1


def brain(world: World, cell: str) -> Any:
    """The present behavior of ``cell``."""
    watched: Any = world.processes[world.hosts_by_cell[cell]].engine.seats[cell].cell.behavior
    return watched.inner


def build_ledger(
    seed: int,
    plan: FaultPlan | None = None,
    *,
    sources: int = 3,
    hasty: bool = False,
    calls: bool = False,
    trace: int = 2_000,
) -> tuple[World, LedgerHistory]:
    """A world with a ledger, ``sources`` sources and a counter; ``hasty`` sends receipts too early."""
    world = World(seed, plan, log=LEDGER, calls=calls, trace=trace)
    history = LedgerHistory(world)

    def ledger() -> Behavior:
        return LedgerBrain(hasty=hasty)

    world.add_host(HostSpec("bus-host", (CellSpec(LEDGER, ledger),), journal=True))
    world.add_host(HostSpec("counter-host", (CellSpec(COUNTER, CounterBrain, Subscribe(0, ("LedgerAdded",))),)))
    for number in range(sources):
        name = f"source/{number}"
        history.sources.append(name)
        wanted = Subscribe(0, ("LedgerAdded",), "source", name)
        world.add_host(HostSpec(name, (CellSpec(name, SourceBrain, wanted, (LEDGER,)),)))
    return world, history


def run_ledger(world: World, history: LedgerHistory, seconds: float = 3.0) -> None:
    """Run with faults, stop the sources, heal, wait until nothing moves, check."""
    try:
        _run(world, history, seconds)
    finally:
        world.close()


def _run(world: World, history: LedgerHistory, seconds: float) -> None:
    second = 1_000_000_000
    world.start()
    world.run(int(seconds * second))
    world.heal()
    world.run(int((seconds + 4.0) * second))
    for source in history.sources:
        brain(world, source).stopped = True
    world.run(int((seconds + 6.0) * second))
    history.finish()
