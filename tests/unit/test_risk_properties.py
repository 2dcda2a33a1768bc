"""Whatever comes, in whatever order, through crashes: the granted exposure stays within its limits."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages.orders import OrderChanged
from actors.messages.signals import Approved, ApprovedOrder, Evaluate, Executed, Expired, Verdict
from actors.risk.brain import RiskBrain
from actors.risk.settings import RiskSettings
from exchanges.model.order import OrderStatus, Side
from exchanges.model.position import Position
from runtime.lifecycle import CaughtUp, Started
from runtime.message import Message
from strategies.signal import Signal
from tests.unit.brain_context import SECOND, FakeContext, entry_of
from tests.unit.brain_samples import (
    BTC,
    ETH,
    EXCHANGE,
    make_exchange_state,
    make_filled,
    make_order,
    make_signal,
    make_trade,
)

LIMITS = RiskSettings(
    symbols=(BTC, ETH),
    order_notional=Decimal(600),
    symbol_notional=Decimal(1000),
    total_notional=Decimal(1500),
    cooldown_ns=0,
    orders_per_second=1000,
    orders_per_minute=1000,
)
PRICE = Decimal(100)


class World:
    """A bus, a venue and a journal that may lag behind them; the risk brain sees the journal alone."""

    def __init__(self) -> None:
        self.ctx = FakeContext("risk", journal=False)
        self.brain = RiskBrain(LIMITS)
        self.journal: list[Message] = []
        self.seen = 0
        self.signals: dict[str, Signal] = {}
        self.evaluating: list[str] = []
        self.verdicts: dict[str, Verdict] = {}
        self.orders: dict[str, ApprovedOrder] = {}
        self.filled: dict[str, Decimal] = {}
        self.positions = {BTC: Position(BTC), ETH: Position(ETH)}
        self.stored: tuple[bytes, int] | None = None
        self.last_approved = ""
        self.executions = 0
        self.ctx.start(self.brain, caught_up=0)
        self.refresh()

    def refresh(self) -> None:
        for symbol in (BTC, ETH):
            self.ctx.deliver(self.brain, make_trade(float(PRICE), symbol=symbol, ts=self.ctx.now), EXCHANGE)
        self.ctx.deliver(self.brain, make_exchange_state(), EXCHANGE)

    # -- what can happen ---------------------------------------------------------------------

    def emit(self, symbol: str, side: Side, quantity: int, reduce_only: int) -> None:
        """A strategy of its own for each signal, so that only the limits hold it back."""
        count = len(self.signals)
        signal = make_signal(
            count,
            symbol=symbol,
            side=side,
            now=self.ctx.now,
            strategy=f"s{count}",
            quantity=Decimal(quantity),
            reduce_only=bool(reduce_only),
            ttl_ns=3600 * SECOND,
        )
        self.signals[signal.id] = signal
        self.evaluating.append(signal.id)
        self.ask(signal)

    def ask(self, signal: Signal) -> None:
        before = len(self.ctx.sent(Verdict))
        self.ctx.deliver(self.brain, Evaluate(signal, 1, self.last_approved), "bus")
        self.collect(before)

    def collect(self, before: int) -> None:
        for verdict in self.ctx.sent(Verdict)[before:]:
            known = self.verdicts.get(verdict.signal_id)
            assert known is None or known == verdict
            if verdict.order is None:
                assert verdict.code
                assert verdict.gate
                assert "=" in verdict.detail
            self.verdicts[verdict.signal_id] = verdict

    def decide(self, pick: int) -> None:
        """The bus takes one verdict that is on its way."""
        ready = [s for s in self.evaluating if s in self.verdicts]
        if not ready:
            return
        signal_id = ready[pick % len(ready)]
        self.evaluating.remove(signal_id)
        verdict, signal = self.verdicts[signal_id], self.signals[signal_id]
        if verdict.order is not None:
            self.orders[signal_id] = verdict.order
            self.filled[signal_id] = Decimal(0)
            self.last_approved = signal_id
            self.journal.append(Approved(signal_id, signal.strategy, signal.symbol, verdict.order, verdict.steps))

    def fill(self, pick: int, ends: bool) -> None:
        """Half of what an order has left fills, or it ends."""
        if not self.orders:
            return
        signal_id = list(self.orders)[pick % len(self.orders)]
        order, signal = self.orders[signal_id], self.signals[signal_id]
        position = self.positions[order.symbol]
        quantity = (order.quantity - self.filled[signal_id]) / 2
        if order.reduce_only:
            quantity = min(quantity, max(-position.quantity * order.side.sign, Decimal(0)))
        if quantity > 0:
            self.executions += 1
            event = make_filled(signal, f"e{self.executions}", str(quantity), str(PRICE), position=position)
            self.positions[order.symbol] = event.position
            self.filled[signal_id] += quantity
            self.journal.append(event)
        if ends:
            self.end(signal_id)

    def end(self, signal_id: str) -> None:
        order, signal, done = self.orders.pop(signal_id), self.signals[signal_id], self.filled[signal_id]
        told = make_order(signal, OrderStatus.CANCELLED, quantity=str(order.quantity), filled=str(done))
        self.journal.append(OrderChanged(signal_id, signal.strategy, told))
        if done:
            self.journal.append(Executed(signal_id, signal.strategy, order.symbol, order.client_id, done, PRICE))
        else:
            self.journal.append(Expired(signal_id, signal.strategy, order.symbol, "unfilled"))

    def flush(self, amount: int) -> None:
        """The journal reaches risk, a few records at a time."""
        for _ in range(amount):
            if self.seen < len(self.journal):
                before = len(self.ctx.sent(Verdict))
                self.seen += 1
                entry = entry_of(self.journal[self.seen - 1], self.seen, ts=self.ctx.now)
                self.ctx.deliver(self.brain, entry, "bus")
                self.collect(before)

    def store(self) -> None:
        self.stored = (self.brain.snapshot(), self.seen)

    def crash(self, lag: int) -> None:
        """Risk starts from its last snapshot, while the last ``lag`` records are not flushed yet."""
        self.brain = RiskBrain(LIMITS)
        self.ctx.epoch += 1
        data, self.seen = self.stored or (b"", 0)
        if data:
            self.brain.restore(data)
        for signal_id in self.evaluating:
            self.verdicts.pop(signal_id, None)
        self.ctx.clear()
        self.ctx.deliver(self.brain, Started(self.ctx.epoch, bool(data)))
        self.flush(max(len(self.journal) - lag - self.seen, 0))
        self.ctx.deliver(self.brain, CaughtUp(self.seen))
        self.refresh()
        for signal_id in self.evaluating:
            self.ask(self.signals[signal_id])

    # -- what must hold ----------------------------------------------------------------------

    def check(self) -> None:
        granted = dict(self.orders)
        for signal_id in self.evaluating:
            verdict = self.verdicts.get(signal_id)
            if verdict is not None and verdict.order is not None:
                granted[signal_id] = verdict.order
        worst = {symbol: self.worst(symbol, granted) * PRICE for symbol in (BTC, ETH)}
        assert max(worst.values()) <= LIMITS.symbol_notional, worst
        assert sum(worst.values()) <= LIMITS.total_notional, worst

    def worst(self, symbol: str, granted: dict[str, ApprovedOrder]) -> Decimal:
        """The largest position any order of complete fills leads to, by trying them all."""
        mine = [(order, self.filled.get(key, Decimal(0))) for key, order in granted.items() if order.symbol == symbol]
        held = self.positions[symbol].quantity
        worst = abs(held)
        for run in permutations(mine):
            quantity = held
            for order, done in run:
                amount = order.quantity - done
                if order.reduce_only:
                    amount = min(amount, max(-quantity * order.side.sign, Decimal(0)))
                quantity += amount * order.side.sign
                worst = max(worst, abs(quantity))
        return worst


_emit = st.tuples(
    st.just("emit"),
    st.sampled_from([BTC, ETH]),
    st.sampled_from(list(Side)),
    st.integers(1, 6),
    st.sampled_from([0, 0, 1]),
)
_steps = st.lists(
    st.one_of(
        _emit,
        _emit,
        _emit,
        st.tuples(st.just("decide"), st.integers(0, 5)),
        st.tuples(st.just("fill"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("flush"), st.integers(1, 8)),
        st.tuples(st.just("store")),
        st.tuples(st.just("crash"), st.integers(0, 3)),
    ),
    min_size=25,
    max_size=45,
)


@settings(max_examples=80, deadline=None)
@given(_steps)
def test_granted_exposure_never_exceeds_the_limits(steps: list[tuple[object, ...]]) -> None:
    world = World()
    for name, *arguments in steps:
        if name == "emit" and len(world.orders) + len(world.evaluating) >= 6:
            continue
        getattr(world, str(name))(*arguments)
        world.check()


@settings(max_examples=20, deadline=None)
@given(_steps)
def test_a_restored_risk_supervisor_is_equal_to_the_one_that_was_captured(steps: list[tuple[object, ...]]) -> None:
    world = World()
    for name, *arguments in steps:
        if name == "emit" and len(world.orders) + len(world.evaluating) >= 6:
            continue
        getattr(world, str(name))(*arguments)
    again = RiskBrain(LIMITS)
    again.restore(world.brain.snapshot())
    assert again.snapshot() == world.brain.snapshot()
    assert again.status() == world.brain.status()
