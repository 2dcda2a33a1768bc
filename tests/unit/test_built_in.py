"""The built-in strategies on data of which the right answer is known."""

from __future__ import annotations

import random
from decimal import Decimal
from math import exp, log
from typing import Any

import pytest

from exchanges.model.flow import Rest
from exchanges.model.order import Side
from strategies.alpha import Alpha
from strategies.errors import StrategyError
from strategies.fair_value import FairValue
from strategies.maker import Maker
from strategies.orderflow import OrderFlow
from tests.unit.strategy_rig import Rig
from tests.unit.strategy_session import SYMBOL, Session, market, trade

EVENT = "kalshi:KXHIGHNY-24AUG08-T85"


# -- alpha -------------------------------------------------------------------------


def rising(length: int, step: float, seed: int = 3) -> list[float]:
    source = random.Random(seed)
    price, made = 100.0, []
    for _ in range(length):
        price *= exp(step + source.gauss(0, 2e-4))
        made.append(price)
    return made


@pytest.mark.parametrize(("step", "side"), [(2e-4, Side.BUY), (-2e-4, Side.SELL)])
def test_alpha_goes_with_a_straight_movement_and_says_what_each_source_thinks(step: float, side: Side) -> None:
    rig = Rig(Alpha)
    for number, price in enumerate(rising(200, step)):
        rig.trade(number, price)
    first = rig.signals[0]
    assert first.side is side
    assert set(first.sources) == {"trend", "momentum", "reversion"}
    assert first.sources["trend"] * side.sign > 0.5
    assert first.sources["momentum"] * side.sign > 0.5
    assert first.sources["reversion"] * side.sign < 0
    assert first.conviction == abs(first.features["blend"])


def test_alpha_bets_against_a_sudden_distance_from_a_calm_mean() -> None:
    rig, source = Rig(Alpha, {"enter": 0.8}), random.Random(4)
    for number in range(300):
        rig.trade(number, 100.0 + source.uniform(-0.05, 0.05) + 0.05 * (-1) ** number)
    assert rig.signals == []
    (signal,) = rig.trade(300, 99.7)
    assert signal.side is Side.BUY
    assert signal.sources["reversion"] == 1.0
    assert signal.sources["momentum"] < 0


def test_alpha_blends_by_weights_and_by_how_straight_the_prices_are() -> None:
    strategy: Any = Alpha.create(SYMBOL, {"trend": 1.0, "momentum_weight": 3.0, "reversion": 2.0})
    opinions = {"trend": 1.0, "momentum": 0.5, "reversion": -1.0}
    assert strategy.blend(opinions, 1.0) == pytest.approx((1 + 1.5) / 4)
    assert strategy.blend(opinions, 0.0) == -1.0
    assert strategy.blend(opinions, 0.5) == pytest.approx((0.5 + 0.75 - 1.0) / 3)


def held(rig: Rig, prices: list[float]) -> int:
    """Feed prices until the first entry, and fill it; returns how many it took."""
    for number, price in enumerate(prices):
        entries = rig.trade(number, price)
        if entries:
            rig.fill(entries[0], price)
            return number
    raise AssertionError("expected an entry, found none")


def test_alpha_leaves_when_its_opinions_turn() -> None:
    rig = Rig(Alpha, {"stop": 1e6})
    at = held(rig, rising(200, 2e-4))
    price, exits = float(rig.strategy.position.average_price), []
    while not exits and at < 500:
        at, price = at + 1, price * (1 - 3e-4)
        exits = rig.trade(at, price)
    assert exits[0].reduce_only and exits[0].side is Side.SELL
    assert exits[0].reason == "its opinions have turned"


def test_alpha_gives_up_at_its_stop_and_after_too_long() -> None:
    rig = Rig(Alpha, {"leave": 1.0, "patience": 1})
    at = held(rig, rising(200, 2e-4))
    rig.trade(at + 1, float(rig.strategy.position.average_price))
    (gone,) = rig.trade(at + 2, 80.0)
    assert gone.reduce_only and gone.reason.startswith("stopped")
    rig = Rig(Alpha, {"leave": 1.0, "hold": 5, "patience": 1})
    at = held(rig, rising(200, 2e-4))
    reasons = [signal.reason for step in range(6) for signal in rig.trade(at + 1 + step, 105.0 + 1e-3 * step)]
    assert reasons[0] == "held too long"


def test_alpha_earns_where_prices_move_in_trends() -> None:
    session = Session(Alpha)
    session.run(market(11, 4_000, step=6e-4))
    assert len(session.signals) > 10
    assert session.brain.strategy.position.realized > 0


def test_alpha_refuses_weights_and_periods_that_make_no_sense() -> None:
    with pytest.raises(StrategyError, match="expected fast < slow"):
        Alpha.create(SYMBOL, {"fast": 40})
    with pytest.raises(StrategyError, match="at least one opinion"):
        Alpha.create(SYMBOL, {"trend": 0.0, "momentum_weight": 0.0, "reversion": 0.0})


# -- order flow --------------------------------------------------------------------

QUICK = {"trades": 10, "quotes": 10, "window": 30, "enter": 2.5}


def balanced(rig: Rig, count: int = 80) -> None:
    """Both sides alike, with a little noise."""
    source = random.Random(8)
    for number in range(count):
        rig.trade(number * 0.1, 100.0, 1.0 + source.random() / 10, "buy" if number % 2 else "sell")
        rig.quote(number * 0.1 + 0.05, 99.9, 100.1, (5 + source.random(), 5 + source.random()))


@pytest.mark.parametrize(("side", "growing"), [("buy", 0), ("sell", 1)])
def test_flow_goes_with_the_side_that_takes_and_whose_queue_grows(side: str, growing: int) -> None:
    rig = Rig(OrderFlow, QUICK)
    balanced(rig)
    assert rig.signals == []
    sizes = [5.0, 5.0]
    for number in range(20):
        sizes[growing] += 4.0
        rig.quote(8.0 + number * 0.1, 99.9, 100.1, (sizes[0], sizes[1]))
        rig.trade(8.05 + number * 0.1, 100.0, 3.0, side)
    first = max(rig.signals, key=lambda signal: signal.conviction)
    assert {signal.side for signal in rig.signals} == {Side(side)}
    assert all(opinion * first.side.sign > 0 for opinion in first.sources.values())
    assert set(first.sources) == {"trades", "book"}
    assert first.ttl_ns == 2_000_000_000


def test_flow_waits_for_both_sources_and_without_the_book_for_trades_alone() -> None:
    rig, alone = Rig(OrderFlow, QUICK), Rig(OrderFlow, {**QUICK, "book_weight": 0.0})
    for each in (rig, alone):
        for number in range(60):
            each.trade(number * 0.1, 100.0, 1.0, "buy" if number % 2 else "sell")
        for number in range(10):
            each.trade(6.0 + number * 0.1, 100.0, 9.0, "buy")
    assert rig.signals == []
    assert alone.signals[0].side is Side.BUY
    assert (alone.brain.watched, rig.brain.watched) == (("Trade",), ("Trade", "Quote"))


def test_flow_leaves_after_its_time_and_when_the_flow_turns() -> None:
    for rest_s, side, reason in ((30.0, "", "held long enough"), (9.0, "sell", "the flow has turned")):
        rig = Rig(OrderFlow, {**QUICK, "book_weight": 0.0, "hold_s": 20.0})
        balanced(rig)
        entry = next(s for number in range(20) for s in rig.trade(8.0 + number / 10, 100.0, 3.0, "buy"))
        rig.fill(entry, 100.0)
        found = []
        for number in range(40):
            found += rig.trade(8.0 + rest_s / 2 + number * rest_s / 40, 100.0, 3.0, side or ("buy", "sell")[number % 2])
            if found:
                break
        assert found[0].reduce_only
        assert side == "" or found[0].reason == reason


# -- market making -----------------------------------------------------------------

CALM: dict[str, Any] = {"size": "0.5", "window": 5, "settle_s": 0.5, "lifetime_s": 10.0}


def quoting(params: dict[str, Any] | None = None) -> Rig:
    """A maker that has seen enough to quote: a price that swings a little each second."""
    rig = Rig(Maker, {**CALM, **(params or {})})
    for second in range(6):
        rig.quote(float(second), 99.99 + 0.01 * (second % 2), 100.01 + 0.01 * (second % 2))
    return rig


def test_a_maker_rests_a_quote_on_each_side_and_takes_from_nobody() -> None:
    rig = quoting()
    bid, ask = rig.signals
    assert (bid.side, ask.side) == (Side.BUY, Side.SELL)
    assert bid.flow == ask.flow == Rest(lifetime_ns=10_000_000_000, post_only=True)
    assert bid.quantity == ask.quantity == Decimal("0.5")
    assert bid.limit_price is not None and ask.limit_price is not None
    assert float(bid.limit_price) <= 99.99 + 0.01
    assert float(ask.limit_price) >= 100.01


def test_the_quotes_are_those_of_avellaneda_and_stoikov() -> None:
    rig = quoting({"least_bps": 0.0, "gamma": 150.0, "kappa": 900.0})
    bid, ask = rig.signals
    volatility = bid.features["volatility"]
    fair = bid.features["fair"]
    half = (150.0 * volatility**2 * 60.0 + 2 / 150.0 * log(1 + 150.0 / 900.0)) / 2
    assert float(bid.limit_price or 0) == pytest.approx(fair * (1 - half), rel=1e-12)
    assert float(ask.limit_price or 0) == pytest.approx(fair * (1 + half), rel=1e-12)


def test_inventory_moves_both_quotes_against_it_and_at_the_limit_one_side_is_left() -> None:
    flat, long = quoting(), quoting({"gamma": 2_000.0, "band_bps": 1000.0})
    flat_bid = float(flat.signals[0].limit_price or 0)
    long.fill(long.signals[0], 100.0, "1.0")
    for second in (7.0, 7.6, 8.2):
        long.quote(second, 100.0, 100.02)
    bid, ask = long.signals[-2:]
    assert long.withdrawn == [signal.id for signal in long.signals[:2]]
    assert float(bid.limit_price or 0) < flat_bid
    assert bid.features["lots"] == 2.0
    long.fill(bid, 100.0, "0.5")
    for second in (9.0, 9.6, 10.2):
        long.quote(second, 100.0, 100.02)
    assert [signal.side for signal in long.signals[4:]] == [Side.SELL]
    assert ask.id in long.withdrawn


def test_a_quote_is_kept_within_its_band_and_taken_back_before_it_is_replaced() -> None:
    rig = quoting({"band_bps": 3.0})
    first = list(rig.signals)
    assert rig.quote(6.0, 100.0, 100.02) == []
    assert rig.withdrawn == []
    assert rig.quote(6.1, 100.5, 100.52) == []
    assert rig.withdrawn == [signal.id for signal in first]
    assert rig.quote(6.3, 100.5, 100.52) == []
    again = rig.quote(6.7, 100.5, 100.52)
    assert [signal.side for signal in again] == [Side.BUY, Side.SELL]
    assert rig.withdrawn == [signal.id for signal in first]


def test_a_quote_that_ended_by_itself_is_not_cancelled_and_is_placed_anew() -> None:
    rig = quoting({"band_bps": 1000.0})
    assert rig.quote(20.0, 100.0, 100.02) == []
    assert rig.withdrawn == []
    assert len(rig.quote(20.6, 100.0, 100.02)) == 2


def test_a_maker_that_may_not_be_short_offers_what_it_has() -> None:
    rig = quoting({"short": False})
    assert [signal.side for signal in rig.signals] == [Side.BUY]
    rig.fill(rig.signals[0], 100.0, "0.2")
    for second in (7.0, 7.6, 8.2):
        rig.quote(second, 100.0, 100.02)
    ask = next(signal for signal in rig.signals if signal.side is Side.SELL)
    assert ask.quantity == Decimal("0.2")


def test_a_maker_goes_on_with_its_quotes_after_a_restart() -> None:
    rig = quoting({"band_bps": 1000.0})
    rig.restart()
    assert rig.quote(6.2, 100.0, 100.02) == []
    rig.quote(6.4, 120.0, 120.02)
    assert len(rig.withdrawn) == 2


def test_without_a_size_the_lot_is_a_notional_and_risk_sizes_the_quote() -> None:
    rig = quoting({"size": None, "lot": 50.0})
    assert rig.signals[0].quantity is None
    rig.fill(rig.signals[0], 100.0, "1")
    assert rig.strategy.lots(100.0) == 2.0


# -- fair value --------------------------------------------------------------------


def event(params: dict[str, Any]) -> Rig:
    return Rig(FairValue, {"probability": 0.60, "margin": 0.02, "pause_s": 1.0, **params}, (EVENT,))


def test_yes_is_bought_only_where_it_pays_more_than_the_fee_and_the_margin() -> None:
    fee = 0.07 * 0.56 * 0.44
    assert event({}).quote(0, 0.54, 0.57) == []
    assert event({"margin": 0.60 - 0.56 - fee + 1e-6}).quote(0, 0.54, 0.56) == []
    (signal,) = event({"margin": 0.60 - 0.56 - fee - 1e-6}).quote(0, 0.54, 0.56)
    assert (signal.side, signal.limit_price, signal.reduce_only) == (Side.BUY, Decimal("0.56"), False)
    assert signal.features["gain"] == pytest.approx(0.60 - 0.56 - fee)
    assert signal.conviction == pytest.approx((0.60 - 0.56 - fee) / 0.10)


def test_no_is_bought_by_selling_yes_and_not_where_that_is_off() -> None:
    (signal,) = event({}).quote(0, 0.70, 0.72)
    assert (signal.side, signal.limit_price, signal.reduce_only) == (Side.SELL, Decimal("0.7"), False)
    assert event({"short": False}).quote(0, 0.70, 0.72) == []


def test_what_is_held_is_sold_where_others_value_it_more_and_else_kept_to_settlement() -> None:
    rig = event({"quantity": 10})
    (bought,) = rig.quote(0, 0.48, 0.50)
    assert bought.quantity == 10
    rig.fill(bought, 0.50)
    assert rig.quote(5, 0.60, 0.62) == []
    (sold,) = rig.quote(10, 0.64, 0.66)
    assert (sold.side, sold.quantity, sold.reduce_only, sold.limit_price) == (Side.SELL, 10, True, Decimal("0.64"))
    rig.fill(sold, 0.64)
    (no,) = rig.quote(20, 0.72, 0.74)
    assert no.side is Side.SELL and not no.reduce_only
    rig.fill(no, 0.72)
    assert rig.quote(30, 0.60, 0.62) == []
    (back,) = rig.quote(40, 0.50, 0.54)
    assert (back.side, back.reduce_only, back.limit_price) == (Side.BUY, True, Decimal("0.54"))


def test_without_a_probability_it_is_the_markets_own_drawn_to_one_half_and_tilted_by_who_takes() -> None:
    rig = Rig(FairValue, {"smooth": 5, "shrink": 0.1, "tilt": 0.2, "trades": 4}, (EVENT,))
    for number in range(10):
        assert rig.quote(number, 0.79, 0.81) == []
    odds = log(0.8 / 0.2) * 0.9
    assert rig.strategy.fair() == pytest.approx(1 / (1 + exp(-odds)))
    for number in range(4):
        rig.trade(20 + number, 0.8, 3.0, "sell")
    assert rig.strategy.fair() == pytest.approx(1 / (1 + exp(-(odds - 0.2))))


def test_a_probability_stays_within_its_bounds_and_a_broken_quote_is_passed_over() -> None:
    rig = Rig(FairValue, {"smooth": 2, "shrink": 0.0, "bound": 0.05}, (EVENT,))
    for number in range(5):
        rig.quote(number, 0.985, 0.995)
    assert rig.strategy.fair() == 0.95
    before = rig.strategy.market.value
    for bid, ask in ((0.0, 0.5), (0.5, 1.0), (0.6, 0.5)):
        assert rig.quote(9, bid, ask) == []
    assert rig.strategy.market.value == before


def test_feedback_raises_what_a_contract_has_to_gain() -> None:
    rig = event({"margin": 0.0})
    rig.strategy.on_feedback(type("Learned", (), {"conviction_threshold": 0.9})())
    assert rig.quote(0, 0.50, 0.54) == []
    assert len(rig.quote(5, 0.46, 0.48)) == 1


def test_a_trade_alone_decides_nothing() -> None:
    session = Session(FairValue, {"probability": 0.9})
    session.run([trade(1, 0.5), trade(2, 0.5)])
    assert session.signals == {}
