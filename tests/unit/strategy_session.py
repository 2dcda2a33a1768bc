"""A tiny session around one strategy brain: a seeded market, fills, crashes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from actors.messages.learning import FeedbackIssued
from actors.messages.orders import Filled, Watch, Watching
from actors.messages.signals import Emit, Generated
from actors.strategy.brain import StrategyBrain
from actors.strategy.settings import BrainSettings
from exchanges.model.market import Bar, Book, MarketData, Quote, Trade
from exchanges.model.order import Fill, Liquidity, Side
from exchanges.model.position import Position
from runtime.lifecycle import CaughtUp, Entry, Started
from strategies.signal import Signal
from strategies.strategy import Feedback, Strategy
from tests.unit.brain_context import START_NS, FakeContext, entry_of

SYMBOL = "bybit:BTCUSDT"
LABEL = "mine"
NAME = f"strategy/{LABEL}/{SYMBOL}"


class Buyer(Strategy):
    """Buys at every trade, with the conviction its parameters say."""

    conviction = 1.0
    times = 1

    def on_trade(self, trade: Trade) -> None:
        for _ in range(self.params.times):
            self.buy(self.params.conviction, "because", price=trade.price)


class Diary(Strategy):
    """Writes down every call of a hook."""

    def on_start(self) -> None:
        self.pages: list[Any] = ["start"]

    def on_tick(self, data: MarketData) -> None:
        self.pages.append(("tick", type(data).__name__, data.seq))

    def on_trade(self, trade: Trade) -> None:
        self.pages.append(("trade", trade.seq))

    def on_quote(self, quote: Quote) -> None:
        self.pages.append(("quote", quote.seq))

    def on_book(self, book: Book) -> None:
        self.pages.append(("book", book.seq))

    def on_bar(self, bar: Bar) -> None:
        self.pages.append(("bar", bar.seq))

    def on_fill(self, fill: Fill, position: Position) -> None:
        self.pages.append(("fill", fill.execution_id, str(position.quantity)))

    def on_feedback(self, feedback: Feedback) -> None:
        self.pages.append(("feedback", feedback.version))

    def on_timer(self, name: str) -> None:
        self.pages.append(("timer", name))


class Fragile(Strategy):
    """Counts trades and fills; breaks on the price and the quantity it was told to break on."""

    def __init__(self) -> None:
        self.seen = 0
        self.fills = 0

    def on_trade(self, trade: Trade) -> None:
        self.seen += 1
        if trade.price == 13.0:
            raise ValueError("unlucky")

    def on_fill(self, fill: Fill, position: Position) -> None:
        self.fills += 1
        if fill.quantity == 13:
            raise ValueError("unlucky")


def feedback(version: int, threshold: float, strategy: str = LABEL, symbol: str = SYMBOL) -> FeedbackIssued:
    return FeedbackIssued(strategy, symbol, version, 0.5, threshold, 3, 7, -0.001)


def pages(brain: Any) -> list[Any]:
    found: list[Any] = brain.strategy.pages
    return found


def trade(seq: int, price: float = 100.0, *, epoch: int = 1, symbol: str = SYMBOL) -> Trade:
    """The ``seq``-th trade, received a millisecond times ``seq`` after the start."""
    at = START_NS + seq * 1_000_000
    return Trade(symbol, epoch, seq, at, at, price, 1.0, "buy", f"t{seq}")


def market(seed: int, length: int, *, step: float = 3e-4, pull: float = 0.0) -> list[Trade]:
    """Trades of a seeded price that drifts one way for a while, then another, with ``pull`` to its start."""
    source = random.Random(seed)
    price, drift, trades = 100.0, 0.0, []
    for seq in range(1, length + 1):
        if seq % 150 == 1:
            drift = source.choice((-1, 1)) * step / 3 if not pull else 0.0
        price *= math.exp(source.gauss(drift, step) - pull * math.log(price / 100.0))
        trades.append(trade(seq, round(price, 4)))
    return trades


def filled(
    seq: int,
    side: Side,
    quantity: str,
    price: str = "100",
    *,
    strategy: str = LABEL,
    signal: str = "",
    execution: str = "",
) -> Entry:
    """The journal entry of a fill."""
    fill = Fill(
        execution or f"e{seq}", f"bw-{signal or 'S'}-0-0", f"v{seq}", SYMBOL, side, Decimal(price), Decimal(quantity),
        Decimal("0.01"), "USDT", Liquidity.TAKER, START_NS + seq,
    )  # fmt: skip
    return entry_of(Filled(signal or "S", strategy, fill, Position(SYMBOL).apply(fill)), seq)


def make(
    owner: type[Strategy], params: Mapping[str, Any] | None = None, settings: BrainSettings | None = None
) -> StrategyBrain:
    """A fresh brain of ``owner`` under the session's label and symbol."""
    return StrategyBrain(settings or BrainSettings(), owner.create(SYMBOL, params, LABEL))


def context(epoch: int = 1) -> FakeContext:
    return FakeContext(NAME, epoch=epoch, journal=False)


def started(
    owner: type[Strategy], params: Mapping[str, Any] | None = None, **options: Any
) -> tuple[StrategyBrain, FakeContext]:
    """A brain that runs and has caught up with an empty journal."""
    brain, ctx = make(owner, params, BrainSettings(**options)), context()
    ctx.start(brain, caught_up=0)
    return brain, ctx


def pump(brain: StrategyBrain, ctx: FakeContext) -> None:
    """Deliver what the brain has sent itself, as the host would."""
    while own := [sent for sent in ctx.sends if sent.to == ctx.name]:
        ctx.sends = [sent for sent in ctx.sends if sent.to != ctx.name]
        for sent in own:
            ctx.deliver(brain, sent.message)


def feed(brain: StrategyBrain, ctx: FakeContext, data: Iterable[MarketData]) -> None:
    """Deliver market data on the clock of its arrival, to a brain whose request was answered."""
    answered(brain, ctx)
    for piece in data:
        ctx.now = max(ctx.now, piece.recv_ns)
        ctx.deliver(brain, piece, "exchange/bybit")
        pump(brain, ctx)


def answered(brain: StrategyBrain, ctx: FakeContext) -> None:
    """The exchange begins to serve the last request for market data."""
    for watch in ctx.sent(Watch)[-1:]:
        ctx.deliver(brain, Watching(watch.ticket), "exchange/bybit")


def emitted(ctx: FakeContext) -> list[Signal]:
    """The signals sent to the bus so far."""
    return [emit.signal for emit in ctx.sent(Emit, "bus")]


class Session:
    """Runs a brain over trades; each signal is journaled and filled ``delay`` trades later."""

    def __init__(self, owner: type[Strategy], params: Mapping[str, Any] | None = None, *, delay: int = 2) -> None:
        self.owner, self.params, self.delay = owner, params, delay
        self.signals: dict[str, Signal] = {}
        self.journal: list[Entry] = []
        self.due: list[tuple[int, Signal]] = []
        self.brain, self.ctx = started(owner, params)

    def run(self, trades: Iterable[Trade]) -> None:
        """Feed trades, fill what is due before each."""
        for piece in trades:
            for _, signal in [item for item in self.due if item[0] <= piece.seq]:
                self.fill(signal, piece.price)
            self.due = [item for item in self.due if item[0] > piece.seq]
            feed(self.brain, self.ctx, [piece])
            for signal in emitted(self.ctx):
                if signal.id not in self.signals:
                    self.signals[signal.id] = signal
                    self.append(entry_of(Generated(signal.id, LABEL, SYMBOL, signal), len(self.journal) + 1))
                    self.due.append((piece.seq + self.delay, signal))
            self.ctx.clear()

    def fill(self, signal: Signal, price: float) -> None:
        quantity = str(signal.quantity or Decimal("1"))
        seq = len(self.journal) + 1
        self.append(filled(seq, signal.side, quantity, str(price), signal=signal.id, execution=f"x-{signal.id}"))

    def append(self, entry: Entry) -> None:
        """Journal an entry and deliver it."""
        self.journal.append(entry)
        self.ctx.deliver(self.brain, entry, "bus")
        pump(self.brain, self.ctx)

    def crash(self, snapshot: bytes, cursor: int) -> None:
        """Start a successor from ``snapshot``, taken when the journal stood at ``cursor``."""
        self.ctx = context(self.ctx.epoch + 1)
        self.brain = make(self.owner, self.params)
        self.brain.restore(snapshot)
        self.ctx.deliver(self.brain, Started(self.ctx.epoch, True))
        for entry in self.journal[cursor:]:
            self.ctx.deliver(self.brain, entry, "bus")
        self.ctx.deliver(self.brain, CaughtUp(len(self.journal)), "bus")
        pump(self.brain, self.ctx)
