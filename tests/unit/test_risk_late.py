"""Fills are told of late and in any order: what the book says can be is never less than what is."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages.signals import Approved, Executed
from exchanges.model.order import Side
from exchanges.model.position import Position
from strategies.signal import client_order_id
from tests.unit.brain_samples import BTC, make_filled
from tests.unit.risk_desk import Desk

D = Decimal
_ZERO = D(0)


class Venue:
    """Fills orders at once or later, and tells of it whenever it likes; the book is the risk brain's own."""

    def __init__(self) -> None:
        self.desk = Desk(
            symbol_notional=D(10**6), order_notional=D(10**6), total_notional=D(10**6), ensemble=False,
            leverage=D(10**3), orders_per_second=10**6, orders_per_minute=10**6, loss_streak=0, correlated_share=D(1),
        )  # fmt: skip
        self.true = _ZERO
        self.told = Position(BTC)
        self.left: dict[str, tuple[Any, Decimal, bool]] = {}
        self.untold: list[tuple[Any, Decimal]] = []
        self.filled: dict[str, Decimal] = {}
        self.count = 0
        self.low = self.high = _ZERO

    def order(self, side: Side, quantity: int, reduce_only: bool) -> None:
        self.count += 1
        lots = None if reduce_only else D(quantity)
        signal = self.desk.signal(
            self.count, side=side, strategy=f"s{self.count}", quantity=lots, reduce_only=reduce_only
        )
        verdict = self.desk.ask(signal)
        if verdict.order is not None:
            self.desk.entry(Approved(signal.id, signal.strategy, BTC, verdict.order, verdict.steps))
            self.left[signal.id] = (signal, verdict.order.quantity, verdict.order.reduce_only)
            bounds = self.desk.brain._state.book.bounds(BTC)
            self.low, self.high = bounds.low, bounds.high

    def fill(self, pick: int, whole: bool) -> None:
        """An order fills as far as it may; nobody is told yet."""
        if not self.left:
            return
        signal, left, reduce_only = self.left[list(self.left)[pick % len(self.left)]]
        quantity = left if whole else left / 2
        if reduce_only:
            quantity = min(quantity, max(-self.true * signal.side.sign, _ZERO))
        self.true += quantity * signal.side.sign
        if quantity:
            self.untold.append((signal, quantity))
        if whole or quantity == left:
            del self.left[signal.id]
        else:
            self.left[signal.id] = (signal, left - quantity, reduce_only)

    def tell(self, pick: int) -> None:
        """Any fill, not the oldest one; the position told with it is what the tidings come to."""
        if not self.untold:
            return
        signal, quantity = self.untold.pop(pick % len(self.untold))
        self.count += 1
        event = make_filled(signal, f"e{self.count}", str(quantity), "100", position=self.told)
        self.told = event.position
        self.filled[signal.id] = self.filled.get(signal.id, _ZERO) + quantity
        self.desk.entry(event)

    def end(self, pick: int) -> None:
        """An order that is done is told to be."""
        done = [s for s in self.filled if s not in self.left and all(s != other.id for other, _ in self.untold)]
        if done:
            signal_id = done[pick % len(done)]
            self.filled.pop(signal_id)
            self.desk.entry(Executed(signal_id, "s", BTC, client_order_id(signal_id), D(1), D(100)))

    def check(self) -> None:
        bounds = self.desk.brain._state.book.bounds(BTC)
        assert bounds.low <= self.true <= bounds.high, (bounds, self.true, self.told.quantity)
        assert self.low <= self.true <= self.high, "what was granted when the last order was"


_moves = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from(list(Side)), st.integers(1, 9), st.booleans()),
        st.tuples(st.just("fill"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("fill"), st.integers(0, 5), st.just(True)),
        st.tuples(st.just("tell"), st.integers(0, 5)),
        st.tuples(st.just("end"), st.integers(0, 5)),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(_moves)
def test_the_true_position_is_within_what_the_book_says_can_be(moves: list[tuple[Any, ...]]) -> None:
    venue = Venue()
    for name, *arguments in moves:
        getattr(venue, name)(*arguments)
        venue.check()


def test_it_is_so_in_long_runs() -> None:
    for seed in range(40):
        rng, venue = random.Random(seed), Venue()
        for _ in range(120):
            name = rng.choice(("order", "order", "fill", "fill", "fill", "tell", "tell", "end"))
            if name == "order":
                venue.order(rng.choice(list(Side)), rng.randint(1, 9), rng.random() < 0.4)
            elif name == "fill":
                venue.fill(rng.randint(0, 5), rng.random() < 0.7)
            else:
                getattr(venue, name)(rng.randint(0, 5))
            venue.check()


def test_an_exit_that_filled_before_another_sale_and_is_told_of_after_it_counts() -> None:
    venue = Venue()
    venue.order(Side.BUY, 5, False)
    venue.fill(0, True)
    venue.tell(0)
    venue.end(0)
    venue.order(Side.SELL, 0, True)
    venue.fill(0, True)
    venue.order(Side.SELL, 5, False)
    venue.fill(0, True)
    venue.tell(1)
    assert (venue.true, venue.told.quantity) == (-5, 0)
    bounds = venue.desk.brain._state.book.bounds(BTC)
    assert (bounds.low, bounds.high) == (-5, 0)
