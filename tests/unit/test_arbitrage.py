"""Arbitrage between two symbols: both legs or none, whatever becomes of one of them."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.arbitrage import Arbitrage, Phase
from strategies.errors import StrategyError
from strategies.signal import Signal
from tests.unit.strategy_rig import Rig

NEAR, FAR = "bybit:BTCUSDT", "alpaca:BTC/USD"
PARAMS: dict[str, Any] = {"size": "2", "window": 40, "every_s": 0.5, "fees_bps": 4.0, "patience_s": 5.0}


class Desk(Rig):
    """Two markets, one after the other every tenth of a second."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        super().__init__(Arbitrage, {**PARAMS, **(params or {})}, (NEAR, FAR))
        self.at_s = 0.0

    def both(self, near: float, far: float, half: float = 0.005) -> list[Signal]:
        """Quote both symbols; returns what it led to."""
        self.at_s += 0.5
        first = self.quote(self.at_s, near - half, near + half, symbol=NEAR)
        return first + self.quote(self.at_s + 0.1, far - half, far + half, symbol=FAR)

    def calm(self, count: int = 60, half: float = 0.005) -> None:
        """A spread that wobbles by a hundredth of a percent."""
        source = random.Random(6)
        for _ in range(count):
            assert self.both(100.0 + source.gauss(0, 0.01), 100.0, half) == []

    def wide(self) -> tuple[Signal, Signal]:
        """The first symbol becomes dear: both legs are sent."""
        sent = self.both(100.5, 100.0)
        assert len(sent) == 2
        return sent[0], sent[1]

    def wait(self, seconds: float, near: float = 100.5, far: float = 100.0) -> list[Signal]:
        """Let time pass at these prices."""
        return [signal for _ in range(int(seconds / 0.5)) for signal in self.both(near, far)]

    @property
    def phase(self) -> Phase:
        return Phase(self.strategy.phase)

    @property
    def held(self) -> tuple[Decimal, Decimal]:
        return tuple(self.strategy.positions[symbol].quantity for symbol in (NEAR, FAR))  # type: ignore[return-value]


def opened(params: dict[str, Any] | None = None) -> Desk:
    desk = Desk(params)
    desk.calm()
    near, far = desk.wide()
    desk.fill(near, 100.5)
    desk.fill(far, 100.0)
    desk.both(100.5, 100.0)
    assert desk.phase is Phase.OPEN
    return desk


def test_it_sells_the_dear_one_and_buys_the_cheap_one_in_the_same_size() -> None:
    desk = Desk()
    desk.calm()
    near, far = desk.wide()
    assert {(s.symbol, s.side.value, s.quantity) for s in (near, far)} == {(NEAR, "sell", 2), (FAR, "buy", 2)}
    assert near.price == pytest.approx(100.5) and far.price == 100.0
    assert near.features["gain"] > 0
    assert desk.phase is Phase.OPENING


def test_a_spread_that_does_not_pay_for_both_markets_and_the_fees_is_left_alone() -> None:
    desk = Desk({"fees_bps": 45.0})
    desk.calm()
    assert desk.both(100.5, 100.0) == []
    wide = Desk()
    wide.calm(half=0.15)
    assert wide.both(100.5, 100.0, half=0.15) == []


def test_an_old_quote_is_not_traded_on() -> None:
    desk = Desk({"fresh_s": 2.0})
    desk.calm()
    assert desk.quote(desk.at_s + 3.0, 100.49, 100.51, symbol=NEAR) == []
    assert desk.phase is Phase.FLAT


def test_it_closes_both_legs_when_the_prices_have_met() -> None:
    desk = opened()
    assert desk.both(100.4, 100.0) == []
    closing = desk.both(100.0, 100.0)
    assert {(s.symbol, s.side.value, s.quantity, s.reduce_only) for s in closing} == {
        (NEAR, "buy", 2, True), (FAR, "sell", 2, True),
    }  # fmt: skip
    for signal in closing:
        desk.fill(signal, 100.0)
    desk.both(100.0, 100.0)
    assert (desk.phase, desk.held) == (Phase.FLAT, (0, 0))
    profit = sum(position.realized for position in desk.strategy.positions.values())
    assert profit == Decimal("1.0")


def test_a_leg_that_fills_alone_is_unwound_once_the_other_has_had_its_time() -> None:
    desk = Desk()
    desk.calm()
    near, _ = desk.wide()
    desk.fill(near, 100.5)
    assert desk.wait(4.0) == []
    unwinding = desk.wait(2.0)
    assert [(s.symbol, s.side.value, s.quantity, s.reduce_only) for s in unwinding] == [(NEAR, "buy", 2, True)]
    assert desk.phase is Phase.UNWINDING
    desk.fill(unwinding[0], 100.6)
    desk.both(100.0, 100.0)
    assert (desk.phase, desk.held) == (Phase.FLAT, (0, 0))


def test_what_was_not_unwound_is_asked_for_again() -> None:
    desk = Desk()
    desk.calm()
    near, _ = desk.wide()
    desk.fill(near, 100.5)
    asked = desk.wait(20.0)
    assert len(asked) >= 3
    assert all(signal.reduce_only and signal.symbol == NEAR for signal in asked)
    assert len({signal.id for signal in asked}) == len(asked)


def test_legs_that_fill_alike_in_part_are_kept_and_unlike_ones_are_not() -> None:
    for second, phase in (("1", Phase.OPEN), ("1.5", Phase.UNWINDING)):
        desk = Desk()
        desk.calm()
        near, far = desk.wide()
        desk.fill(near, 100.5, "1")
        desk.fill(far, 100.0, second)
        desk.wait(5.5)
        assert desk.phase is phase


def test_legs_that_never_fill_are_given_up_and_a_late_fill_is_unwound() -> None:
    desk = Desk()
    desk.calm()
    near, _ = desk.wide()
    for _ in range(12):
        desk.both(100.0, 100.0)
    assert desk.phase is Phase.FLAT
    desk.fill(near, 100.5)
    (unwinding,) = desk.both(100.0, 100.0)
    assert (unwinding.symbol, unwinding.reduce_only) == (NEAR, True)
    assert desk.phase is Phase.UNWINDING


def test_a_leg_that_is_taken_away_takes_the_other_with_it() -> None:
    desk = opened()
    closer = desk.signals[0]
    desk.strategy.desk.positions[NEAR] = type(desk.strategy.positions[NEAR])(NEAR)
    (unwinding,) = desk.both(100.5, 100.0)
    assert (unwinding.symbol, unwinding.side.value, unwinding.reduce_only) == (FAR, "sell", True)
    assert closer.id != unwinding.id


def test_it_gives_up_when_the_prices_go_further_apart_and_after_too_long() -> None:
    desk = opened()
    assert desk.both(100.6, 100.0) == []
    assert {(s.symbol, s.reason) for s in desk.both(101.0, 100.0)} == {
        (symbol, "stopped: the prices went further apart") for symbol in (NEAR, FAR)
    }
    late = opened({"hold_s": 3.0, "leave": 0.0})
    assert {signal.reason for signal in late.wait(4.0)} == {"held too long"}


def test_one_leg_that_is_withheld_takes_the_other_back() -> None:
    desk = Desk()
    desk.calm()
    desk.strategy.desk.thresholds[FAR] = 1.0
    desk.strategy.desk.thresholds[NEAR] = 0.0
    desk.strategy.params.__dict__["full"] = 1e6
    sent = desk.both(100.5, 100.0)
    assert [signal.symbol for signal in sent] == [NEAR]
    assert desk.withdrawn == [sent[0].id]
    assert desk.phase is Phase.OPENING


def test_it_goes_on_after_a_restart_in_any_phase() -> None:
    desk = opened()
    desk.restart()
    assert desk.phase is Phase.OPEN
    closing = desk.both(100.0, 100.0)
    assert len(closing) == 2
    desk.restart()
    assert desk.phase is Phase.CLOSING


@pytest.mark.parametrize("symbols", [(NEAR,), (NEAR, FAR, "bybit:ETHUSDT")])
def test_it_wants_exactly_two_symbols(symbols: tuple[str, ...]) -> None:
    with pytest.raises(StrategyError, match="two symbols of the same thing"):
        Arbitrage.create(symbols[0], {}, "mine", symbols if len(symbols) > 1 else ())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(99.0, 101.5), st.integers(0, 3)), min_size=5, max_size=50), st.integers(0, 99))
def test_whatever_fills_no_leg_stays_alone_once_everything_fills_again(
    steps: list[tuple[float, int]], seed: int
) -> None:
    """``fate``: 0 nothing fills, 1 the first alone, 2 the first half, 3 everything."""
    desk, source = Desk({"patience_s": 1.0, "hold_s": 20.0}), random.Random(seed)
    desk.calm()
    for price, fate in steps:
        for number, signal in enumerate(desk.both(price, 100.0)):
            _fill(desk, signal, fate if number == 0 or fate != 1 else 0)
    for _ in range(60):
        for signal in desk.both(100.0 + source.gauss(0, 0.01), 100.0):
            _fill(desk, signal, 3)
    first, second = desk.held
    assert first == -second


def _fill(desk: Desk, signal: Signal, fate: int) -> None:
    if fate and signal.quantity is not None:
        desk.fill(signal, 100.0, str(signal.quantity / 2 if fate == 2 else signal.quantity))
