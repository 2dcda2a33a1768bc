"""What holds for the matching engine whatever is done to it."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal as D

from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes, Execution
from exchanges.matching.rejection import OrderRejectedError
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Position
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from tests.unit.matching_bench import BTC, SYMBOL

ACCOUNTS = ("a", "b", "c")
START = D(1_000_000)
TINY = D("1e-12")


def scenario(seed: int, length: int) -> list[tuple[object, ...]]:
    """``length`` steps around a price of 100, drawn from ``seed``.

    Hypothesis chooses and shrinks both numbers: lists it draws itself are too short and too
    uniform to bring many orders together.
    """
    draw = random.Random(seed)
    return [_step(draw) for _ in range(length)]


def _step(draw: random.Random) -> tuple[object, ...]:
    kind = draw.choices(["place", "amend", "cancel", "trade", "book"], [10, 2, 1, 3, 1])[0]
    price, size, side = (
        draw.randint(993, 1_007),
        draw.choice([60, 100, 250, 600, 1_000, 2_500]),
        draw.choice(list(Side)),
    )
    if kind == "place":
        times = [TimeInForce.GTC] * 6 + list(TimeInForce)
        limit = None if draw.random() < 0.1 else price
        return kind, draw.choice(ACCOUNTS), side, size, limit, draw.choice(times), draw.random() < 0.25
    if kind == "amend":
        return kind, draw.randint(0, 60), draw.choice([None, size]), draw.choice([None, price])
    if kind == "cancel":
        return kind, draw.randint(0, 60)
    if kind == "trade":
        return kind, price, draw.choice([60, 1_000, 5_000]), side
    return kind, price, draw.randint(1, 5), size


steps = st.builds(scenario, st.integers(0, 2**32), st.integers(20, 60))


class Run:
    """Plays steps into an engine and keeps what it reported."""

    def __init__(self, depth: SyntheticDepth | None = None, *, external: bool = True) -> None:
        self.engine = MatchingEngine(depth=depth)
        self.engine.list_instrument(BTC)
        for name in ACCOUNTS:
            self.engine.open_account(name, START)
        self.executions: list[Execution] = []
        self.external = external
        self.names: list[tuple[str, str]] = []
        self.now = 0

    def play(self, played: list[tuple[object, ...]]) -> None:
        for step in played:
            self.now += 1
            changes = self._one(step)
            if changes is not None:
                self.executions.extend(changes.executions)
            self.check()

    def _one(self, step: tuple[object, ...]) -> Changes | None:
        try:
            return getattr(self, f"_{step[0]}")(*step[1:])  # type: ignore[no-any-return]
        except OrderRejectedError:
            return None

    def _place(
        self, account: str, side: Side, size: int, at: int | None, time_in_force: TimeInForce, reduce: bool
    ) -> Changes:
        name = f"n{len(self.names)}"
        self.names.append((account, name))
        kind = OrderType.MARKET if at is None else OrderType.LIMIT
        price = None if at is None else D(at) / 10
        command = PlaceOrder(name, SYMBOL, side, kind, D(size) / 1000, price, time_in_force, reduce)
        available = None
        if time_in_force is TimeInForce.FOK:
            market, reducible = self.engine.markets[SYMBOL], self.engine.reducible_in(SYMBOL)
            available = market.available(side, price, account, command.quantity, reducible)
        changes = self.engine.place(account, command, self.now)
        self._check_priority(changes, side, account)
        record = changes.subject
        assert record is not None
        if time_in_force is TimeInForce.FOK:
            assert record.filled in (D(0), record.quantity)
            assert (record.filled == record.quantity) == (available is not None and available >= record.quantity)
        if time_in_force is TimeInForce.POST_ONLY:
            assert all(e.is_maker for e in changes.executions)
        return changes

    def _check_priority(self, changes: Changes, side: Side, account: str) -> None:
        own = [e.fill.price for e in changes.executions if e.account == account and not e.is_maker]
        assert own == sorted(own, reverse=side is Side.SELL)
        by_price = defaultdict(list)
        for execution in changes.executions:
            if execution.account != account:
                record = self.engine.find(execution.account, order_id=execution.fill.venue_id)
                assert record is not None
                by_price[execution.fill.price].append(record.sequence)
        assert all(sequences == sorted(sequences) for sequences in by_price.values())

    def _amend(self, index: int, size: int | None, at: int | None) -> Changes:
        account, name = self.names[index % len(self.names)] if self.names else ("a", "none")
        quantity = None if size is None else D(size) / 1000
        return self.engine.amend(
            account, AmendOrder(name, SYMBOL, quantity, None if at is None else D(at) / 10), self.now
        )

    def _cancel(self, index: int) -> Changes:
        account, name = self.names[index % len(self.names)] if self.names else ("a", "none")
        return self.engine.cancel(account, CancelOrder(name, SYMBOL), self.now)

    def _trade(self, at: int, size: int, side: Side) -> Changes | None:
        if not self.external:
            return None
        changes = self.engine.on_trade(SYMBOL, at / 10, size / 1000, side, self.now)
        assert sum((e.fill.quantity for e in changes.executions), D(0)) <= D(size) / 1000
        assert all(e.fill.price == e.order_price for e in changes.executions)
        reached = [e.fill.price * side.sign <= D(at) / 10 * side.sign for e in changes.executions]
        assert all(reached)
        assert all(e.fill.side is side.opposite for e in changes.executions)
        return changes

    def _book(self, middle: int, levels: int, size: int) -> None:
        if self.external:
            bids = [(D(middle - 1 - i) / 10, D(size) / 1000) for i in range(levels)]
            asks = [(D(middle + 1 + i) / 10, D(size) / 1000) for i in range(levels)]
            self.engine.on_book(SYMBOL, bids, asks)

    def check(self) -> None:
        market = self.engine.markets[SYMBOL]
        bid, ask = market.book.bids.best(), market.book.asks.best()
        assert bid is None or ask is None or bid < ask
        shown_bids, shown_asks = market.depth(3)
        assert not shown_bids or not shown_asks or shown_bids[0][0] < shown_asks[0][0]
        self._check_positions()
        self._check_orders()

    def _check_positions(self) -> None:
        market = self.engine.markets[SYMBOL]
        positions = {name: Position(SYMBOL) for name in ACCOUNTS}
        for execution in self.executions:
            positions[execution.account] = positions[execution.account].apply(execution.fill)
        held = {name: self.engine.accounts[name].position(SYMBOL) for name in ACCOUNTS}
        assert held == positions
        assert sum((p.quantity for p in held.values()), market.external_quantity) == 0
        cash = sum((-e.fill.quantity * e.fill.price * e.fill.side.sign for e in self.executions), D(0))
        assert cash + market.external_cash == 0
        mark = D(100)
        fees = sum((e.fill.fee for e in self.executions), D(0))
        equity = sum((self.engine.accounts[n].wallet + held[n].unrealized(mark) for n in ACCOUNTS), D(0))
        outside = market.external_cash + market.external_quantity * mark
        assert abs(equity + fees + outside - START * len(ACCOUNTS)) < TINY

    def _check_orders(self) -> None:
        for name in ACCOUNTS:
            reserved = D(0)
            for record in self.engine.orders(name):
                fills = [e.fill for e in self.executions if e.fill.venue_id == record.id]
                assert record.filled == sum((f.quantity for f in fills), D(0)) <= record.quantity
                assert record.value == sum((f.quantity * f.price for f in fills), D(0))
                assert record.resting is not record.status.final
                assert (record.status is OrderStatus.FILLED) == (record.open == 0)
                if record.reduce_only and record.resting:
                    assert record.open <= self.engine.accounts[name].reducible(SYMBOL, record.side)
                reserved += record.margin
            assert reserved == self.engine.accounts[name].reserved


@settings(max_examples=300, deadline=None)
@given(steps)
def test_quantity_cash_and_book_hold_with_an_external_market(played: list[tuple[object, ...]]) -> None:
    Run().play(played)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_quantity_cash_and_book_hold_with_synthetic_depth(played: list[tuple[object, ...]]) -> None:
    Run(SyntheticDepth(5, top_notional=D(100))).play([step for step in played if step[0] != "book"])


@settings(max_examples=100, deadline=None)
@given(steps)
@example(scenario(9682906, 49))
def test_without_an_external_market_the_accounts_positions_add_up_to_nothing(played: list[tuple[object, ...]]) -> None:
    run = Run(external=False)
    run.play(played)
    assert sum((run.engine.accounts[name].position(SYMBOL).quantity for name in ACCOUNTS), D(0)) == 0


@settings(max_examples=30, deadline=None)
@given(steps)
def test_the_same_calls_give_the_same_executions(played: list[tuple[object, ...]]) -> None:
    first, second = Run(SyntheticDepth(5)), Run(SyntheticDepth(5))
    first.play(played)
    second.play(played)
    assert first.executions == second.executions


@settings(max_examples=100, deadline=None)
@given(steps, steps)
def test_a_restored_engine_goes_on_as_if_nothing_had_happened(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    played = [step for step in before if step[0] != "book"]
    kept, copied = Run(), Run()
    kept.play(played)
    copied.play(played)
    old, copied.engine = copied.engine, MatchingEngine()
    copied.engine.list_instrument(BTC)
    orders = [record for name in ACCOUNTS for record in old.orders(name)]
    copied.engine.restore(old.counters(), old.accounts.values(), orders)
    fresh = ("book", 1000, 3, 500)
    for run in (kept, copied):
        count = len(run.executions)
        assert run._one(fresh) is None
        for step in after:
            run.now += 1
            changes = run._one(step)
            run.executions.extend(changes.executions if changes else [])
        del run.executions[:count]
    assert kept.executions == copied.executions
