"""A strategy on constructed data: quotes and trades in, signals out, fills as the test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from actors.messages.orders import Filled, Watch, Watching
from actors.messages.signals import Emit, Withdraw
from actors.names import exchange_of
from actors.strategy.brain import StrategyBrain
from actors.strategy.settings import BrainSettings
from exchanges.model.market import MarketData, Quote, Trade
from exchanges.model.order import Fill, Liquidity
from exchanges.model.position import Position
from strategies.signal import Signal
from strategies.strategy import Strategy
from tests.unit.brain_context import START_NS, FakeContext, entry_of
from tests.unit.strategy_session import LABEL, SYMBOL, pump

SECOND = 1_000_000_000


class Rig:
    """Runs a brain; times are in seconds since the start."""

    def __init__(
        self, owner: type[Strategy], params: Mapping[str, Any] | None = None, symbols: tuple[str, ...] = (SYMBOL,)
    ) -> None:
        several = symbols if len(symbols) > 1 else ()
        self.owner, self.params, self.symbols = owner, dict(params or {}), symbols
        self.brain = StrategyBrain(BrainSettings(), owner.create(symbols[0], self.params, LABEL, several))
        self.ctx = FakeContext("strategy/mine", journal=False)
        self.seqs = dict.fromkeys(symbols, 0)
        self.entries = 0
        self.ctx.start(self.brain, caught_up=0)
        self._answer()

    def _answer(self) -> None:
        for watch in self.ctx.sent(Watch):
            self.ctx.deliver(self.brain, Watching(watch.ticket), exchange_of(watch.symbols[0]))

    @property
    def strategy(self) -> Any:
        return self.brain.strategy

    @property
    def signals(self) -> list[Signal]:
        """All that were emitted so far."""
        return [emit.signal for emit in self.ctx.sent(Emit, "bus")]

    @property
    def withdrawn(self) -> list[str]:
        """The ids of what was cancelled so far."""
        return [withdraw.signal_id for withdraw in self.ctx.sent(Withdraw, "bus")]

    def quote(
        self, at_s: float, bid: float, ask: float, sizes: tuple[float, float] = (1.0, 1.0), symbol: str = ""
    ) -> list[Signal]:
        """Show a quote; returns what it led to."""
        head = self._head(at_s, symbol)
        return self._show(Quote(*head, bid, sizes[0], ask, sizes[1]))

    def trade(self, at_s: float, price: float, size: float = 1.0, side: str = "buy", symbol: str = "") -> list[Signal]:
        """Show a trade; returns what it led to."""
        return self._show(Trade(*self._head(at_s, symbol), price, size, side))

    def _head(self, at_s: float, symbol: str) -> tuple[str, int, int, int, int]:
        symbol = symbol or self.symbols[0]
        self.seqs[symbol] += 1
        at_ns = START_NS + int(at_s * SECOND)
        return symbol, 1, self.seqs[symbol], at_ns, at_ns

    def _show(self, data: MarketData) -> list[Signal]:
        before = len(self.signals)
        self.ctx.now = max(self.ctx.now, data.recv_ns)
        self.ctx.deliver(self.brain, data, exchange_of(data.symbol))
        return self.signals[before:]

    def fill(self, signal: Signal, price: float, quantity: str = "") -> None:
        """Fill a signal, wholly or in part."""
        self.entries += 1
        amount = Decimal(quantity) if quantity else signal.quantity or Decimal(1)
        fill = Fill(
            f"x{self.entries}", f"bw-{signal.id}-0-0", "v", signal.symbol, signal.side, Decimal(str(price)), amount,
            Decimal(0), "USDT", Liquidity.TAKER, self.ctx.now,
        )  # fmt: skip
        event = Filled(signal.id, LABEL, fill, Position(signal.symbol).apply(fill))
        self.ctx.deliver(self.brain, entry_of(event, self.entries), "bus")
        pump(self.brain, self.ctx)

    def restart(self) -> None:
        """Go on as a successor from a snapshot."""
        snapshot, entries = self.brain.snapshot(), self.entries
        several = self.symbols if len(self.symbols) > 1 else ()
        self.brain = StrategyBrain(BrainSettings(), self.owner.create(self.symbols[0], self.params, LABEL, several))
        self.brain.restore(snapshot)
        self.ctx = FakeContext("strategy/mine", epoch=self.ctx.epoch + 1, now=self.ctx.now, journal=False)
        self.ctx.start(self.brain, restored=True, caught_up=entries)
        self._answer()
