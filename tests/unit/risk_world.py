"""A bus, two venues and a journal that may lag behind them, around one risk brain that sees the journal alone.

Use it as ``from tests.unit.risk_world import World``. Strategies emit anything; ``check`` holds what was granted
against every limit, reckoned from the orders themselves and not from the brain's book.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec

from actors.messages.control import Control, TradingState, TradingStateChanged
from actors.messages.orders import Filled, OrderChanged
from actors.messages.signals import Approved, ApprovedOrder, Blocked, Evaluate, Executed, Expired, Generated, Verdict
from actors.risk.brain import RiskBrain
from actors.risk.settings import RiskSettings, VenueLimits
from exchanges.model.instrument import ContractKind
from exchanges.model.order import OrderStatus, Side
from exchanges.model.position import Position
from runtime.lifecycle import CaughtUp, Started
from runtime.message import Message
from strategies.signal import Signal
from tests.unit.brain_context import SECOND, FakeContext, entry_of
from tests.unit.brain_samples import (
    BTC,
    ETH,
    make_exchange_state,
    make_filled,
    make_instrument,
    make_order,
    make_signal,
    make_trade,
)

STOCK = "alpaca:AAPL"
SYMBOLS = (BTC, ETH, STOCK)
CATEGORIES = {ETH: "growth", STOCK: "growth"}
PRICE = Decimal(100)
DAY = 86_400 * SECOND
EQUITY = Decimal(10_000)
LIMITS = RiskSettings(
    symbols=SYMBOLS,
    order_notional=Decimal(600),
    symbol_notional=Decimal(1_000),
    venue_notional=Decimal(1_200),
    total_notional=Decimal(1_500),
    correlated_share=Decimal("0.9"),
    category_share=Decimal("0.7"),
    categories=CATEGORIES,
    max_open_positions=2,
    daily_budget=Decimal(4_000),
    venues={"alpaca": VenueLimits(order_notional=Decimal(400))},
    cooldown_ns=0,
    loss_streak=3,
    orders_per_second=1_000,
    orders_per_minute=1_000,
    max_data_age_ns=10 * DAY,
    max_state_age_ns=10 * DAY,
    rounding_tolerance=Decimal(1),
)
_ZERO = Decimal(0)


class World:
    """What happens is a method each; ``most`` bounds how many orders can be out, as all their orders are tried.

    ``told`` is what the brain is told in place of ``limits``, to see that the checks would notice.
    """

    def __init__(self, limits: RiskSettings = LIMITS, most: int = 5, told: RiskSettings | None = None) -> None:
        self.limits, self.most = limits, most
        self.told = told or limits
        self.ctx = FakeContext("risk", journal=False)
        self.brain = RiskBrain(self.told)
        self.journal: list[tuple[Message, int]] = []
        self.seen = 0
        self.signals: dict[str, Signal] = {}
        self.evaluating: list[str] = []
        self.verdicts: dict[str, Verdict] = {}
        self.orders: dict[str, ApprovedOrder] = {}
        self.granted: dict[str, ApprovedOrder] = {}
        self.filled: dict[str, Decimal] = {}
        self.positions = {symbol: Position(symbol) for symbol in SYMBOLS}
        self.shares: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        """By strategy and symbol what its fills come to."""
        self.trading = TradingState.ACTIVE
        """As the brain last said."""
        self.profits = [_ZERO]
        """By the number of records seen: what they come to at ``PRICE``."""
        self.stored: tuple[bytes, int] | None = None
        self.last_approved = ""
        self.executions = 0
        self.measured = True
        """Whether the day's loss and the drawdown can be told from the records alone."""
        self.approved: Counter[str] = Counter()
        self.ctx.start(self.brain, caught_up=0)
        self.refresh()
        self.store()

    def refresh(self) -> None:
        for symbol in SYMBOLS:
            venue = symbol.partition(":")[0]
            self.ctx.deliver(self.brain, make_trade(float(PRICE), symbol=symbol, ts=self.ctx.now), f"exchange/{venue}")
        stock = make_instrument(STOCK, kind=ContractKind.EQUITY, quote="USD", short=False)
        self.ctx.deliver(self.brain, make_exchange_state(equity=EQUITY), "exchange/bybit")
        self.ctx.deliver(
            self.brain, make_exchange_state("alpaca", instruments=(stock,), equity=EQUITY), "exchange/alpaca"
        )

    # -- what can happen ---------------------------------------------------------------------

    def emit(self, symbol: str, side: Side, **changes: Any) -> None:
        """A strategy of its own for each signal, unless told otherwise, so that only the limits hold it back."""
        if len(self.orders) + len(self.evaluating) >= self.most:
            return
        count = len(self.signals)
        fields = {"strategy": f"s{count}", "ttl_ns": 3600 * SECOND, **changes}
        signal = make_signal(count, symbol=symbol, side=side, now=self.ctx.now, **fields)
        self.signals[signal.id] = signal
        self.evaluating.append(signal.id)
        self.record(Generated(signal.id, signal.strategy, signal.symbol, signal))
        self.ask(signal)

    def ask(self, signal: Signal) -> None:
        self.ctx.deliver(self.brain, Evaluate(signal, 1, self.last_approved), "bus")
        self.collect()

    def collect(self) -> None:
        """Take what the brain has sent since."""
        for verdict in self.ctx.sent(Verdict):
            known = self.verdicts.get(verdict.signal_id)
            assert known is None or known == verdict
            if verdict.order is None:
                assert verdict.code
                assert verdict.gate
                assert "=" in verdict.detail
            elif known is None:
                self.check_grant(verdict.order)
            self.verdicts[verdict.signal_id] = verdict
        for change in self.ctx.sent(TradingStateChanged):
            self.trading = change.state
            self.record(change)
        self.ctx.clear()

    def record(self, event: Message) -> None:
        self.journal.append((event, self.ctx.now))

    def decide(self, pick: int) -> None:
        """The bus takes one verdict that is on its way."""
        ready = self._judged()
        if not ready:
            return
        signal_id = ready[pick % len(ready)]
        self.evaluating.remove(signal_id)
        verdict, signal = self.verdicts[signal_id], self.signals[signal_id]
        of = (signal_id, signal.strategy, signal.symbol)
        if verdict.order is None:
            self.record(Blocked(*of, verdict.gate, verdict.code, verdict.detail, verdict.steps))
            return
        self.approved["reduction" if verdict.order.reduce_only else "entry"] += 1
        self.orders[signal_id] = self.granted[signal_id] = verdict.order
        self.filled[signal_id] = _ZERO
        self.last_approved = signal_id
        self.record(Approved(*of, verdict.order, verdict.steps))

    def forget(self, pick: int) -> None:
        """The bus lets a signal expire whatever its verdict was."""
        if self.evaluating:
            signal = self.signals[self.evaluating.pop(pick % len(self.evaluating))]
            self.record(Expired(signal.id, signal.strategy, signal.symbol, "TTL_EXCEEDED"))

    def fill(self, pick: int, ends: bool, away: int = 0) -> None:
        """Half of what an order has left fills, ``away`` dollars from the price, or it ends."""
        if not self.orders:
            return
        signal_id = list(self.orders)[pick % len(self.orders)]
        order, signal = self.orders[signal_id], self.signals[signal_id]
        position = self.positions[order.symbol]
        quantity = (order.quantity - self.filled[signal_id]) / 2
        if order.reduce_only:
            quantity = min(quantity, max(-position.quantity * order.side.sign, _ZERO))
        if quantity > 0:
            self.executions += 1
            price = str(PRICE + away)
            event = make_filled(signal, f"e{self.executions}", str(quantity), price, position=position, fee="0.1")
            self.positions[order.symbol] = event.position
            self.shares[order.strategy, order.symbol] += event.fill.delta
            self.filled[signal_id] += quantity
            self.record(event)
        if ends:
            self.end(signal_id)

    def unknown(self, pick: int) -> None:
        """An order times out: it is still out for all anybody knows."""
        if self.orders:
            signal_id = list(self.orders)[pick % len(self.orders)]
            order, signal, done = self.orders[signal_id], self.signals[signal_id], self.filled[signal_id]
            told = make_order(signal, OrderStatus.UNKNOWN, quantity=str(order.quantity), filled=str(done))
            self.record(OrderChanged(signal_id, signal.strategy, told))

    def end(self, signal_id: str) -> None:
        order, signal, done = self.orders.pop(signal_id), self.signals[signal_id], self.filled[signal_id]
        told = make_order(signal, OrderStatus.CANCELLED, quantity=str(order.quantity), filled=str(done))
        self.record(OrderChanged(signal_id, signal.strategy, told))
        if done:
            self.record(Executed(signal_id, signal.strategy, order.symbol, order.client_id, done, PRICE))
        else:
            self.record(Expired(signal_id, signal.strategy, order.symbol, "unfilled"))

    def flush(self, amount: int) -> None:
        """The journal reaches risk, a few records at a time."""
        for _ in range(amount):
            if self.seen < len(self.journal):
                self.seen += 1
                event, ts = self.journal[self.seen - 1]
                if len(self.profits) <= self.seen:
                    self.profits.append(self._profit())
                self.ctx.deliver(self.brain, entry_of(event, self.seen, ts=ts), "bus")
                self.collect()

    def wait(self, seconds: int) -> None:
        """Time goes by, and with it the brain's timers."""
        self.measured = self.measured and seconds < 3600
        self.ctx.advance(self.brain, seconds * SECOND)
        self.collect()

    def control(self, action: str) -> None:
        """Somebody at the controls."""
        self.ctx.deliver(self.brain, Control(f"{action}-{len(self.journal)}", action, "ops"), "gateway")
        self.collect()

    def store(self) -> None:
        self.stored = (self.brain.snapshot(), self.seen)

    def crash(self, lag: int, lost: bool = False) -> None:
        """Risk starts from its last snapshot (or none), while the last ``lag`` records are not flushed yet."""
        self.brain = RiskBrain(self.told)
        self.ctx.epoch += 1
        data, self.seen = (b"", 0) if lost or self.stored is None else self.stored
        self.measured = self.measured and not lost
        if data:
            self.brain.restore(data)
        for signal_id in self.evaluating:
            self.verdicts.pop(signal_id, None)
        self.ctx.clear()
        self.ctx.deliver(self.brain, Started(self.ctx.epoch, bool(data)))
        self.flush(max(len(self.journal) - lag - self.seen, 0))
        self.ctx.deliver(self.brain, CaughtUp(self.seen))
        self.refresh()
        self.collect()
        for signal_id in self.evaluating:
            self.ask(self.signals[signal_id])

    # -- what must hold ----------------------------------------------------------------------

    def check(self) -> None:
        """Every limit on what may come to be."""
        out = dict(self.orders)
        for signal_id in self.evaluating:
            verdict = self.verdicts.get(signal_id)
            if verdict is not None and verdict.order is not None:
                out[signal_id] = verdict.order
        reach = {symbol: self._reach(symbol, out) for symbol in SYMBOLS}
        worst = {symbol: max(-low, high) * PRICE for symbol, (low, high) in reach.items()}
        limits = self.limits
        assert max(worst.values()) <= limits.symbol_notional, worst
        assert sum(worst.values()) <= limits.total_notional, worst
        assert worst[BTC] + worst[ETH] <= (limits.venue_notional or limits.total_notional), worst
        assert worst[ETH] + worst[STOCK] <= limits.category_share * limits.total_notional, worst
        assert sum(1 for value in worst.values() if value) <= limits.max_open_positions, worst
        for way in (0, 1):
            together = sum(max(reached[way] * (way * 2 - 1), _ZERO) for reached in reach.values()) * PRICE
            assert together <= limits.correlated_share * limits.total_notional, reach
        self._check_budget({**self.granted, **out})

    def _check_budget(self, orders: dict[str, ApprovedOrder]) -> None:
        days: Counter[int] = Counter()
        for order in orders.values():
            if not order.reduce_only and not order.closes:
                days[order.approved_ns // DAY] += order.quantity * (order.price or order.reference_price)  # type: ignore[assignment]
        assert max(days.values(), default=0) <= (self.limits.daily_budget or math.inf), days

    def check_grant(self, order: ApprovedOrder) -> None:
        """What must hold when an entry is granted: its own size, and what was lost by then."""
        if order.reduce_only:
            return
        limits = self.limits
        if self.measured:
            profit, peak = self.profits[self.seen], max(self.profits[: self.seen + 1])
            assert -profit < limits.daily_loss, profit
            assert peak - profit < limits.max_drawdown * (2 * EQUITY + peak - profit), (peak, profit)
        if order.closes:
            self._check_leaving(order)
            return
        own = limits.at(order.symbol.partition(":")[0]).order_notional or limits.order_notional
        assert order.quantity * max(order.price or _ZERO, order.reference_price) <= max(
            own, limits.high.order_notional or own
        )

    def _judged(self) -> list[str]:
        """Signals that are being evaluated still, and of which the verdict is known."""
        return [key for key in self.evaluating if key in self.verdicts]

    def _check_leaving(self, order: ApprovedOrder) -> None:
        """It ends no more than the strategy holds, all its other orders the same way filled, and nobody said stop."""
        assert self.signals[order.signal_id].reduce_only
        assert self.trading is TradingState.ACTIVE
        mine, granted = (order.strategy, order.symbol, order.side), [self.verdicts[key] for key in self._judged()]
        out = [*self.orders.values(), *(known.order for known in granted if known.order is not None)]
        same = sum(
            each.quantity - self.filled.get(each.signal_id, _ZERO)
            for each in out
            if (each.strategy, each.symbol, each.side) == mine
        )
        held = -self.shares[order.strategy, order.symbol] * order.side.sign
        assert order.quantity + same <= held, (order, same, held)
        self.approved["leaving"] += 1

    def _profit(self) -> Decimal:
        """What the records seen come to at ``PRICE``."""
        last = {
            event.position.symbol: event.position for event, _ in self.journal[: self.seen] if isinstance(event, Filled)
        }
        return sum((held.realized - held.fees + held.unrealized(PRICE) for held in last.values()), _ZERO)

    def _reach(self, symbol: str, out: dict[str, ApprovedOrder]) -> tuple[Decimal, Decimal]:
        """The least and the greatest position any order of complete fills leads to, by trying them all."""
        mine = [(order, self.filled.get(key, _ZERO)) for key, order in out.items() if order.symbol == symbol]
        held = self.positions[symbol].quantity
        low = high = held
        for run in permutations(mine):
            quantity = held
            for order, done in run:
                amount = order.quantity - done
                if order.reduce_only:
                    amount = min(amount, max(-quantity * order.side.sign, _ZERO))
                quantity += amount * order.side.sign
                low, high = min(low, quantity), max(high, quantity)
        return min(low, _ZERO), max(high, _ZERO)

    def same_after_restore(self) -> None:
        """A successor that takes over the snapshot is the same."""
        again = RiskBrain(self.told)
        again.restore(self.brain.snapshot())
        assert again.snapshot() == self.brain.snapshot()
        assert msgspec.to_builtins(again.status()) == msgspec.to_builtins(self.brain.status())
