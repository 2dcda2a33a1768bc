"""A live risk brain with fresh data, for the tests of the risk supervisor."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from actors.messages.signals import Approved, Evaluate, Verdict
from actors.risk.brain import RiskBrain
from actors.risk.settings import RiskSettings
from exchanges.model.order import Side
from runtime.lifecycle import Started
from runtime.message import Message
from strategies.signal import Signal
from tests.unit.brain_context import FakeContext, entry_of
from tests.unit.brain_samples import (
    BTC,
    ETH,
    EXCHANGE,
    make_exchange_state,
    make_filled,
    make_signal,
    make_trade,
)

SETTINGS = RiskSettings(symbols=(BTC, ETH), cooldown_ns=0)


class Desk:
    """A risk brain that is live, with fresh data at 100 and an exchange that is up."""

    def __init__(self, settings: RiskSettings = SETTINGS, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(settings, **changes)
        self.brain = RiskBrain(self.settings)
        self.ctx = FakeContext("risk", journal=False)
        self.seq = 0
        self.ctx.start(self.brain, caught_up=0)
        self.refresh()

    def refresh(self, price: float = 100.0) -> None:
        now = self.ctx.now
        for symbol in (BTC, ETH):
            self.ctx.deliver(self.brain, make_trade(price, symbol=symbol, ts=now), EXCHANGE)
        self.ctx.deliver(self.brain, make_exchange_state(), EXCHANGE)

    def entry(self, event: Message) -> None:
        self.seq += 1
        self.ctx.deliver(self.brain, entry_of(event, self.seq, ts=self.ctx.now), "bus")

    def ask(self, signal: Signal, attempt: int = 1, after: str = "") -> Verdict:
        self.ctx.deliver(self.brain, Evaluate(signal, attempt, after), "bus")
        return self.ctx.sent(Verdict, "bus")[-1]

    def signal(self, ordinal: int = 0, **changes: Any) -> Signal:
        return make_signal(ordinal, now=self.ctx.now, **changes)

    def hold(self, quantity: str, price: str = "100", symbol: str = BTC) -> None:
        """Make a position by a fill."""
        side = Side.BUY if Decimal(quantity) > 0 else Side.SELL
        signal = self.signal(900 + self.seq, symbol=symbol, side=side, strategy="other")
        self.entry(make_filled(signal, f"h{self.seq}", str(abs(Decimal(quantity))), price))

    def approve(self, signal: Signal) -> Verdict:
        verdict = self.ask(signal)
        assert verdict.order is not None, verdict.code
        self.entry(Approved(signal.id, signal.strategy, signal.symbol, verdict.order, verdict.steps))
        return verdict

    def restart(self, snapshot: bytes) -> None:
        self.brain = RiskBrain(self.settings)
        self.brain.restore(snapshot)
        self.ctx.epoch += 1
        self.ctx.deliver(self.brain, Started(self.ctx.epoch, True))


def code(verdict: Verdict) -> str:
    return verdict.code
