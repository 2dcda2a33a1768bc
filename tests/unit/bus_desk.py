"""A live bus, and what it is told, for the tests of the bus."""

from __future__ import annotations

from actors.bus.brain import BusBrain
from actors.bus.settings import BusSettings
from actors.messages.learning import Lesson
from actors.messages.signals import (
    Emit,
    Verdict,
)
from runtime.lifecycle import CaughtUp, Started
from strategies.signal import Signal
from tests.unit.brain_context import SECOND, FakeContext
from tests.unit.brain_samples import (
    make_approved,
)


def started(settings: BusSettings | None = None) -> tuple[BusBrain, FakeContext]:
    brain, ctx = BusBrain(settings), FakeContext("bus")
    ctx.start(brain, caught_up=0)
    return brain, ctx


def approved(brain: BusBrain, ctx: FakeContext, signal: Signal, quantity: str = "1") -> None:
    ctx.deliver(brain, Emit(signal), "strategy/trend/bybit:BTCUSDT")
    order = make_approved(signal, quantity=quantity, now=ctx.now)
    ctx.deliver(brain, Verdict(signal.id, (), order), "risk")


def restarted(brain: BusBrain, ctx: FakeContext, *, snapshot: bytes | None = None, cursor: int = 0) -> BusBrain:
    """A successor that gets the records after ``cursor``; its context is the same journal."""
    again = BusBrain()
    if snapshot is not None:
        again.restore(snapshot)
    ctx.epoch += 1
    ctx.deliver(again, Started(ctx.epoch, snapshot is not None))
    for entry in ctx.entries(cursor):
        ctx.deliver(again, entry)
    ctx.deliver(again, CaughtUp(ctx.next_seq - 1))
    return again


def steps(ctx: FakeContext, signal: Signal) -> list[str]:
    return [r.keys["state"] for r in ctx.records if r.correlation == signal.id and "state" in r.keys]


def lesson(signal: Signal, state: str = "EXECUTED", value: float = 0.01) -> Lesson:
    return Lesson(signal.id, signal.strategy, signal.symbol, state, 100.0, 101.0, value, SECOND, state != "EXECUTED")
