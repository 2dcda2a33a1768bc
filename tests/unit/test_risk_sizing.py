"""How large an order is: three methods, two tracks, the caps, and what rounding may take away."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.learning import Policy, PolicyIssued, Stage
from actors.messages.signals import Verdict
from actors.risk import state
from actors.risk.market import correlation, returns, volatility
from actors.risk.series import Series
from actors.risk.settings import GridSettings, HighTrack, Method, RiskSettings, VenueLimits
from actors.risk.sizing import Room, plan
from exchanges.model.instrument import ContractKind
from exchanges.model.order import Side
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import BTC, ETH, EXCHANGE, make_exchange_state, make_instrument, make_signal, make_trade
from tests.unit.risk_desk import Desk, code

D = Decimal
GRID = GridSettings(SECOND, 30)
PAIR = f"trend|{BTC}"


def sized(verdict: Verdict) -> dict[str, str]:
    return next(step.inputs for step in verdict.steps if step.name == "sizing")


def moving(desk: Desk, move: float, steps: int = 40) -> None:
    """A price that goes up and down by ``move`` each second, and ends at 100."""
    desk.ctx.now += 3600 * SECOND
    start = desk.ctx.now - steps * SECOND
    for step in range(steps):
        price = 100.0 * math.exp(move * (step % 2))
        desk.ctx.deliver(desk.brain, make_trade(price, ts=start + step * SECOND, seq=step + 5), EXCHANGE)
    desk.refresh()


def calibrated(desk: Desk, probability: float) -> None:
    knots = ((0.0, probability), (1.0, probability))
    desk.entry(PolicyIssued(Policy(1, calibration={PAIR: knots}), Stage.FULL))


def test_a_volatility_target_sizes_wild_markets_smaller() -> None:
    quantities = []
    for move in (0.0001, 0.0002):
        desk = Desk(method=Method.VOLATILITY, target_volatility=0.001, grid=GRID)
        moving(desk, move)
        verdict = desk.ask(desk.signal())
        assert verdict.order is not None, verdict.code
        quantities.append(verdict.order.quantity)
        measured = move * math.sqrt(86_400)
        assert float(sized(verdict)["measured"]) == pytest.approx(measured, rel=1e-4)
        assert float(verdict.order.quantity) == pytest.approx(10_000 * 0.001 / measured / 100, rel=0.01)
    assert quantities[1] < quantities[0]


@pytest.mark.parametrize("steps", [0, 10])
def test_without_a_volatility_there_is_no_size_by_it(steps: int) -> None:
    desk = Desk(method=Method.VOLATILITY, grid=GRID)
    moving(desk, 0.001, steps)
    assert code(desk.ask(desk.signal(0))) == "NO_VOLATILITY"
    assert desk.ask(desk.signal(1, quantity=D(1))).order is not None


def test_a_market_that_stands_still_has_no_volatility() -> None:
    desk = Desk(method=Method.VOLATILITY, grid=GRID)
    moving(desk, 0.0)
    assert code(desk.ask(desk.signal())) == "NO_VOLATILITY"


def test_kelly_takes_its_share_of_the_edge_that_was_learned() -> None:
    desk = Desk(method=Method.KELLY, kelly_fraction=0.25, kelly_payoff=1.0)
    calibrated(desk, 0.6)
    verdict = desk.ask(desk.signal())
    assert verdict.order is not None
    assert (sized(verdict)["method"], sized(verdict)["fraction"]) == ("kelly", "0.05")  # 0.25 * (0.6 - 0.4)
    assert verdict.order.quantity == D(5)


def test_kelly_without_an_edge_is_no_order() -> None:
    desk = Desk(method=Method.KELLY)
    calibrated(desk, 0.5)
    assert (code(desk.ask(desk.signal(0))), desk.ask(desk.signal(1)).gate) == ("NO_EDGE", "sizing")


def test_kelly_without_a_calibration_is_a_fixed_fraction_and_says_so() -> None:
    verdict = Desk(method=Method.KELLY).ask(Desk().signal())
    assert verdict.order is not None and verdict.order.quantity == D(1)
    seen = sized(verdict)
    assert (seen["method"], seen["wanted_method"], seen["calibration"]) == ("fixed", "kelly", "none")


@pytest.mark.parametrize(("side", "payoff"), [(Side.BUY, 3.0), (Side.SELL, 1 / 3)])
def test_the_payoff_of_an_event_contract_follows_from_its_price(side: Side, payoff: float) -> None:
    desk = Desk(method=Method.KELLY, kelly_fraction=1.0, order_notional=D(10**6), symbol_notional=D(10**6))
    event = make_instrument(
        BTC, kind=ContractKind.BINARY_EVENT, tick=D("0.01"), lot=D(1), min_quantity=D(1), max_quantity=D(10**6)
    )
    desk.ctx.deliver(desk.brain, make_exchange_state(instruments=(event,)), EXCHANGE)
    desk.ctx.deliver(desk.brain, make_trade(0.25, ts=desk.ctx.now), EXCHANGE)
    calibrated(desk, 0.8)
    seen = sized(desk.ask(desk.signal(side=side)))
    assert float(seen["payoff"]) == pytest.approx(payoff, rel=1e-5)
    assert float(seen["fraction"]) == pytest.approx(0.8 - 0.2 / payoff, rel=1e-5)


@pytest.mark.parametrize("method", list(Method))
def test_no_method_gets_past_the_order_limit(method: Method) -> None:
    desk = Desk(
        method=method, equity_fraction=D(1), target_volatility=1.0, kelly_fraction=1.0, kelly_payoff=9.0, grid=GRID,
        order_notional=D(700),
    )  # fmt: skip
    moving(desk, 0.00001)
    calibrated(desk, 0.99)
    order = desk.ask(desk.signal()).order
    assert order is not None
    assert D(690) < order.quantity * D("100.3") <= D(700)


def test_signals_of_high_conviction_are_on_a_track_of_their_own() -> None:
    high = HighTrack(0.7, equity_fraction=D("0.05"), order_notional=D(400))
    desk = Desk(high=high, order_notional=D(250), ensemble=False)
    ordinary, strong = desk.ask(desk.signal(0, conviction=0.6)), desk.ask(desk.signal(1, conviction=0.7, symbol=ETH))
    assert ordinary.order is not None and strong.order is not None
    assert (sized(ordinary)["track"], sized(strong)["track"]) == ("ordinary", "high")
    assert (ordinary.order.quantity, strong.order.quantity) == (D("1.000"), D("3.988"))  # 400 / 100.3
    assert code(desk.ask(desk.signal(2, conviction=0.6, quantity=D(3), strategy="b"))) == "ORDER_NOTIONAL"
    assert desk.ask(desk.signal(3, conviction=0.9, quantity=D(3), strategy="b")).order is not None


def test_a_tracks_method_may_differ() -> None:
    methods = {}
    for conviction in (0.6, 0.7):
        desk = Desk(high=HighTrack(0.7, method=Method.KELLY))
        calibrated(desk, 0.6)
        methods[conviction] = sized(desk.ask(desk.signal(conviction=conviction)))["method"]
    assert methods == {0.6: "fixed", 0.7: "kelly"}


def test_a_venues_slippage_may_be_a_distance_in_price() -> None:
    desk = Desk(venues={"bybit": VenueLimits(slippage_price=D("2.5"))})
    order = desk.ask(desk.signal()).order
    assert order is not None and order.price == D("102.5")
    tight = Desk(venues={"bybit": VenueLimits(max_slippage=D("0.001"))})
    order = tight.ask(tight.signal(side=Side.SELL)).order
    assert order is not None and order.price == D("99.9")


@given(
    lot=st.sampled_from(["0.001", "0.01", "0.1", "1", "7"]),
    fraction=st.decimals("0.0001", "1", places=4),
    multiplier=st.floats(0, 2),
    price=st.decimals("0.5", "5000", places=1),
    most=st.integers(10, 5_000),
    side=st.sampled_from(list(Side)),
)
def test_a_size_of_our_own_is_the_nearest_lot_within_the_limit(
    lot: str, fraction: Decimal, multiplier: float, price: Decimal, most: int, side: Side
) -> None:
    instrument = make_instrument(lot=D(lot), min_quantity=D(lot))
    room = Room(D(10_000), fraction, multiplier, D(most), D(1), D(0), False)
    drawn = plan(make_signal(side=side), instrument, price, room, RiskSettings())
    assert drawn.quantity % D(lot) == 0
    assert drawn.quantity * drawn.worst <= most
    assert abs(drawn.quantity - drawn.wanted) <= D(lot)
    assert drawn.quantity <= instrument.max_quantity


@given(st.decimals("0.001", "200", places=6), st.sampled_from(["0.001", "0.1", "1"]))
def test_what_a_strategy_asks_for_is_never_rounded_up(asked: Decimal, lot: str) -> None:
    instrument = make_instrument(lot=D(lot))
    room = Room(D(10_000), D(1), 1.0, D(10**6), D(1), D(0), False)
    drawn = plan(make_signal(quantity=asked), instrument, D(100), room, RiskSettings())
    assert 0 <= asked - drawn.quantity < D(lot)


@pytest.mark.parametrize(("tolerance", "expected"), [("0.01", "SIZE_ROUNDING"), ("0.06", "")])
def test_a_size_that_rounding_changes_too_much_is_blocked_with_the_reason(tolerance: str, expected: str) -> None:
    desk = Desk(rounding_tolerance=D(tolerance))
    coarse = tuple(make_instrument(symbol, lot=D("0.7"), min_quantity=D("0.7")) for symbol in (BTC, ETH))
    desk.ctx.deliver(desk.brain, make_exchange_state(equity=D(20_000), instruments=coarse), EXCHANGE)
    verdict = desk.ask(desk.signal())
    assert code(verdict) == expected
    if expected:
        assert (sized(verdict)["wanted"], sized(verdict)["off"]) == ("2", "0.05")


# -- what it is measured by -----------------------------------------------------------------


def related(one: Series, other: Series, grid: GridSettings) -> float | None:
    return correlation(returns(one), returns(other), grid)


def series(closes: list[float], bucket: int = 100) -> Series:
    return Series(bucket, closes[-1] if closes else 0.0, closes)


def test_the_daily_volatility_is_that_of_the_steps_by_the_square_root_of_time() -> None:
    closes = [100 * math.exp(0.01 * (step % 2)) for step in range(31)]
    assert volatility(series(closes), GRID) == pytest.approx(0.01 * math.sqrt(86_400))
    assert volatility(series(closes[:10]), GRID) is None


def test_the_correlation_is_pearsons_over_the_steps_both_have() -> None:
    one = [100.0, 101.0, 100.0, 102.0, 101.0, 103.0, 102.0, 104.0]
    grid = GridSettings(SECOND, 7)
    inverse = [10_000 / price for price in one]
    assert related(series(one), series(one), grid) == pytest.approx(1.0)
    assert related(series(one), series(inverse), grid) == pytest.approx(-1.0)
    assert related(series(one), series([*one[-6:], 99.0], 101), grid) == pytest.approx(1.0)
    assert related(series(one), series(one, 200), grid) is None
    assert related(series(one), series([5.0] * 8), grid) is None


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=4, max_size=30), st.integers(-3, 3))
def test_a_correlation_is_symmetrical_and_between_minus_one_and_one(
    told: list[tuple[float, float]], shift: int
) -> None:
    one, other = series([a for a, _ in told]), series([b for _, b in told], 100 + shift)
    grid = GridSettings(SECOND, 4)
    found = related(one, other, grid)
    assert found is None or -1.0 <= found <= 1.0
    assert found == related(other, one, grid)


def test_a_restart_keeps_what_sizes_are_measured_by() -> None:
    desk = Desk(method=Method.VOLATILITY, grid=GRID)
    moving(desk, 0.0001)
    before: dict[str, Any] = msgspec.to_builtins(state.decode(desk.brain.snapshot()).markets)
    desk.restart(desk.brain.snapshot())
    assert msgspec.to_builtins(state.decode(desk.brain.snapshot()).markets) == before
