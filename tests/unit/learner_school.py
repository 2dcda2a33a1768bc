"""A live learner with its journal and a market, for the tests of the learner."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from actors.learner import stages
from actors.learner.brain import LearnerBrain
from actors.learner.settings import LearnerSettings
from actors.messages.control import ControlTaken
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.orders import Watch
from actors.messages.signals import Blocked, Executed, Generated
from runtime.lifecycle import CaughtUp, Started
from runtime.message import Message
from strategies.signal import Signal
from tests.unit.brain_context import SECOND, START_NS, FakeContext, entry_of
from tests.unit.brain_samples import BTC, ETH, EXCHANGE, make_filled, make_signal, make_trade

SETTINGS = LearnerSettings(
    symbols=(BTC, ETH),
    horizon_ns=60 * SECOND,
    taker_fee=0.0,
    minimum_outcomes=3,
    shadow_samples=0,
    trial_samples=0,
    policy_every=1,
)
"""What is learned is in force at once."""


class School:
    """A live learner, its bus's journal, and a market whose data can be served again."""

    def __init__(self, settings: LearnerSettings = SETTINGS, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(settings, **changes)
        self.brain = LearnerBrain(self.settings)
        self.ctx = FakeContext("learner", journal=False)
        self.journal: list[Message] = []
        self.ring: dict[str, list[Message]] = {BTC: [], ETH: []}
        self.known: set[object] = set()
        self.heard = 0
        self.ctx.start(self.brain, caught_up=0)

    def entry(self, *events: Message) -> None:
        for event in events:
            self.journal.append(event)
            self.known.add(_name(event))
            seq = len(self.journal)
            self.ctx.deliver(self.brain, entry_of(event, seq, ts=self.ctx.now), "bus")

    def price(self, price: float, at: int, symbol: str = BTC) -> None:
        """Market data of venue time ``at`` seconds after the start."""
        seq = len(self.ring[symbol]) + 1
        data = make_trade(price, symbol=symbol, ts=START_NS + at * SECOND, seq=seq)
        self.ring[symbol].append(data)
        self.ctx.deliver(self.brain, data, EXCHANGE)

    def journal_what_was_sent(self) -> None:
        """The bus takes each lesson, each stage of a policy and each version once."""
        while self.heard < len(self.ctx.sends):
            message = self.ctx.sends[self.heard].message
            self.heard += 1
            told = isinstance(message, Lesson | FeedbackIssued | PolicyIssued | ControlTaken)
            if told and _name(message) not in self.known:
                self.entry(message)

    def lessons(self) -> list[Lesson]:
        return self.ctx.sent(Lesson, "bus")

    def restart(self, snapshot: bytes, cursor: int) -> None:
        """A successor from ``snapshot``: the journal after the cursor, then the data it asks for."""
        self.brain = LearnerBrain(self.settings)
        self.brain.restore(snapshot)
        self.ctx.epoch += 1
        before = len(self.ctx.sent(Watch))
        self.ctx.deliver(self.brain, Started(self.ctx.epoch, True))
        after = self.ctx.sent(Watch)[before].after
        for seq, event in enumerate(self.journal, start=1):
            if seq > cursor:
                self.ctx.deliver(self.brain, entry_of(event, seq, ts=self.ctx.now), "bus")
        self.ctx.deliver(self.brain, CaughtUp(len(self.journal)))
        for symbol, ring in self.ring.items():
            for data in ring[after.get(symbol, (1, 0))[1] :]:
                self.ctx.deliver(self.brain, data, EXCHANGE)


def _name(message: Message) -> object:
    if isinstance(message, Lesson):
        return ("lesson", message.signal_id)
    if isinstance(message, FeedbackIssued):
        return ("feedback", message.strategy, message.symbol, message.version)
    if isinstance(message, PolicyIssued):
        return stages.named(message)
    if isinstance(message, ControlTaken):
        return ("taken", message.control_id)
    return id(message)


def generated(signal: Signal) -> Generated:
    return Generated(signal.id, signal.strategy, signal.symbol, signal)


def executed(signal: Signal, price: str = "100", fee: str = "0") -> tuple[Message, ...]:
    fill = make_filled(signal, f"e-{signal.id}", "1", price, ts=signal.cause.ts_ns, fee=fee)
    done = Executed(signal.id, signal.strategy, signal.symbol, "c", Decimal(1), Decimal(price))
    return generated(signal), fill, done


def blocked(signal: Signal, gate: str = "symbol_notional") -> tuple[Message, ...]:
    return generated(signal), Blocked(signal.id, signal.strategy, signal.symbol, gate, "CODE", "x=1")


def at(seconds: int, ordinal: int = 0, **changes: Any) -> Signal:
    return make_signal(ordinal, now=START_NS + seconds * SECOND, **changes)


def teach(school: School, values: list[float], first: int = 0, **changes: Any) -> None:
    """One executed signal after the other, each with the given return."""
    for number, value in enumerate(values, start=first):
        second = number * 100
        school.entry(*executed(at(second, number, **changes), "100"))
        school.price(100.0 * (1 + value), second + 60)
        school.journal_what_was_sent()
