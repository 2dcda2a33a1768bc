"""Predicts the next seconds from order flow: who takes, and how the best quotes' queues change."""

from __future__ import annotations

from pydantic import Field

from exchanges.model.market import Quote, Trade
from exchanges.model.order import Fill
from exchanges.model.position import Position
from strategies.indicators import OrderFlowImbalance, TradeImbalance, ZScore
from strategies.strategy import Feedback, Strategy, StrategyParams

SECOND = 1_000_000_000


class OrderFlow(Strategy):
    """Goes with an unusual imbalance of the flow, for a few seconds.

    Two sources, each a z-score in its own window: ``trades`` is the takers' signed volume, ``book`` the
    order-flow imbalance of the best quotes, which moves prices nearly linearly over short times
    (R. Cont, A. Kukanov, S. Stoikov, The Price Impact of Order Book Events, 2014). It leaves after
    ``hold_s``, or when the flow turns.
    """

    class Params(StrategyParams):
        trades: int = Field(default=40, ge=2, description="trades the signed volume is taken over")
        quotes: int = Field(default=40, ge=2, description="changes of the best quotes the imbalance is taken over")
        window: int = Field(default=200, ge=10, description="values a z-score compares the newest with")
        book_weight: float = Field(default=0.5, ge=0, le=1, description="weight of the book against the trades")
        enter: float = Field(default=2.0, gt=0, description="weighted z-score at which it enters")
        leave: float = Field(default=0.5, ge=0, description="z-score against the position at which it leaves")
        full: float = Field(default=4.0, gt=0, description="z-score of conviction 1")
        hold_s: float = Field(default=10.0, gt=0, description="seconds after which it leaves in any case")
        ttl_s: float = Field(default=2.0, gt=0, description="seconds a signal stays good")
        pause_s: float = Field(default=1.0, ge=0, description="seconds between a signal and the next")
        short: bool = Field(default=True, description="whether it may sell what it does not have")

    def __init__(self) -> None:
        params = self.params
        self.taken = TradeImbalance(params.trades)
        self.queues = OrderFlowImbalance(params.quotes)
        self.scores = {"trades": ZScore(params.window), "book": ZScore(params.window)}
        self.entered_ns = 0
        self.quiet_ns = 0
        self.bar = params.enter

    def watches(self) -> tuple[str, ...]:
        return ("Trade",) if not self.params.book_weight else ("Trade", "Quote")

    def on_trade(self, trade: Trade) -> None:
        imbalance = self.taken.update_trade(trade.size, trade.side)
        if self.taken.ready:
            self.scores["trades"].update(imbalance)
        self.decide(trade.recv_ns)

    def on_quote(self, quote: Quote) -> None:
        imbalance = self.queues.update_quote(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        if self.queues.ready:
            self.scores["book"].update(imbalance)
        self.decide(quote.recv_ns)

    def on_fill(self, fill: Fill, position: Position) -> None:
        self.entered_ns = self.now if position.quantity and not self.entered_ns else self.entered_ns
        if not position.quantity:
            self.entered_ns = 0

    def on_feedback(self, feedback: Feedback) -> None:
        """Ask more of an entry when convictions this low have lost."""
        self.bar = max(self.params.enter, feedback.conviction_threshold * self.params.full)

    def flow(self) -> float | None:
        """The weighted z-score; ``None`` until every source that counts has seen enough."""
        weights = {"trades": 1.0 - self.params.book_weight, "book": self.params.book_weight}
        if any(weight and not self.scores[name].ready for name, weight in weights.items()):
            return None
        return float(sum(weight * self.scores[name].value for name, weight in weights.items()))

    def decide(self, now_ns: int) -> None:
        """Enter, leave or do nothing."""
        flow = self.flow()
        if flow is None or now_ns < self.quiet_ns:
            return
        held = self.position.quantity
        if held:
            along = flow if held > 0 else -flow
            if along <= -self.params.leave:
                self.act(self.exit("the flow has turned", score=flow), now_ns)
            elif self.entered_ns and now_ns - self.entered_ns >= self.params.hold_s * SECOND:
                self.act(self.exit("held long enough", score=flow), now_ns)
        elif abs(flow) >= self.bar and (flow > 0 or self.params.short):
            self.enter(flow, now_ns)

    def enter(self, flow: float, now_ns: int) -> None:
        """Go with the flow."""
        full = self.params.full
        sources = {name: max(-1.0, min(1.0, score.value / full)) for name, score in self.scores.items() if score.ready}
        side, word = ("buy", "buyers") if flow > 0 else ("sell", "sellers")
        signal = self.signal(
            side,
            min(abs(flow) / full, 1.0),
            f"more {word} than usual",
            ttl=self.params.ttl_s,
            sources=sources,
            score=flow,
            taken=self.taken.value,
            queues=self.queues.value,
        )
        self.act(signal, now_ns)

    def act(self, signal: str, now_ns: int) -> None:
        """Wait a little after a signal that went out."""
        if signal:
            self.quiet_ns = now_ns + int(self.params.pause_s * SECOND)
