"""Liquidation: when, in what order, at what price and fee, and what is left; money is worked out by hand."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.bybit import wire as bybit
from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import LIQUIDATION, Changes
from exchanges.matching.rejection import OrderRejectedError
from exchanges.model.instrument import Instrument, MarginTier, lowest_maintenance
from exchanges.model.market import Bar
from exchanges.model.order import LIQUIDATION_PREFIX, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import PlaceOrder
from exchanges.simulators.bybit import wire as simulated
from tests.unit.matching_bench import BTC

MARGINED = msgspec.structs.replace(BTC, maintenance_rate=D("0.005"), max_leverage=D(100))
OTHER = msgspec.structs.replace(MARGINED, symbol="test:ETHUSDT", native="ETHUSDT", base="ETH")
FEE = D("0.00055")


class Desk:
    """One account of 1,000 on markets that are quoted wide and deep at whole prices."""

    def __init__(
        self, *instruments: Instrument, balance: str = "1000", leverage: str = "20", insured: bool = False
    ) -> None:
        self.engine = MatchingEngine(insured=insured)
        self.account = self.engine.open_account("a", D(balance))
        self.placed = 0
        for instrument in instruments or (MARGINED,):
            self.engine.list_instrument(instrument)
            self.account.leverage[instrument.symbol] = D(leverage)
            self.quote(100, symbol=instrument.symbol)

    def quote(self, price: float, symbol: str = BTC.symbol) -> list[D]:
        """The market stands at a price on both sides, and trades there; what liquidations filled at."""
        return [done.fill.price for done in self.fall(price, symbol).executions if done.liquidation]

    def fall(self, price: float, symbol: str = BTC.symbol) -> Changes:
        """The same; all that it changed."""
        exact = D(repr(price))
        self.engine.on_quote(symbol, (exact, D(10**6)), (exact, D(10**6)))
        return self.engine.on_trade(symbol, price, 1.0, Side.BUY, 1)

    def buy(self, quantity: str, side: Side = Side.BUY, price: str = "", symbol: str = BTC.symbol) -> str:
        self.placed += 1
        name, kind = f"c{self.placed}", OrderType.LIMIT if price else OrderType.MARKET
        force = TimeInForce.GTC
        command = PlaceOrder(name, symbol, side, kind, D(quantity), D(price) if price else None, force)
        self.engine.place("a", command, 1)
        return name

    def held(self, symbol: str = BTC.symbol) -> D:
        return self.account.position(symbol).quantity


def test_a_long_is_closed_when_its_equity_is_its_maintenance_margin() -> None:
    # 100 at 100 with 1,000: fee 5.50. Equity 994.50 + 100 (p - 100) meets 0.5 p at p = 90.5075... so 90.6 is carried.
    desk = Desk()
    desk.buy("100")
    assert desk.account.wallet == D("994.5")
    assert desk.quote(90.6) == [] and desk.held() == 100
    assert desk.quote(90.5) == [D("90.5")]
    # Sold 100 at 90.5 with a fee of 9,050 x 0.00055 = 4.9775: 994.5 - 950 - 4.9775.
    assert desk.held() == 0 and desk.account.wallet == D("39.5225")
    assert desk.account.equity(desk.engine.mark) == D("39.5225")


def test_a_short_is_closed_on_the_way_up() -> None:
    # Equity 994.5 - 100 (p - 100) meets 0.5 p at p = 109.398...
    desk = Desk()
    desk.buy("100", Side.SELL)
    assert desk.quote(109.3) == []
    assert desk.quote(109.4) == [D("109.4")]
    assert desk.account.wallet == D("994.5") - D(940) - D(10_940) * FEE


def test_orders_are_cancelled_first_and_what_they_reserved_is_free() -> None:
    desk = Desk()
    desk.buy("100")
    adding, exiting = desk.buy("10", price="80"), desk.buy("50", Side.SELL, "120")
    assert desk.account.reserved > 0
    desk.quote(90)
    for name in (adding, exiting):
        found = desk.engine.find("a", client_id=name)
        assert found is not None and (found.status, found.reason) == (OrderStatus.CANCELLED, LIQUIDATION)
    assert desk.engine.working("a") == [] and desk.account.reserved == 0
    (closing,) = [record for record in desk.engine.orders("a") if not record.client_id]
    assert (closing.status, closing.reason, closing.filled) == (OrderStatus.FILLED, LIQUIDATION, D(100))


def test_the_heaviest_position_goes_first_and_the_rest_stays_if_it_is_carried() -> None:
    desk = Desk(MARGINED, OTHER)
    desk.buy("100")
    desk.buy("10", symbol=OTHER.symbol)
    # 1,000 - 5.5 - 0.55 = 993.95; at 90.5 and 100 the equity is 43.95, the margins 45.25 and 5.
    assert desk.quote(90.5) == [D("90.5")]
    assert desk.held() == 0 and desk.held(OTHER.symbol) == 10
    assert desk.account.equity(desk.engine.mark) == D("43.95") - D(9_050) * FEE


def test_a_loss_of_one_perpetual_closes_another_if_that_is_the_heavier() -> None:
    desk = Desk(MARGINED, OTHER)
    desk.buy("100")
    desk.buy("90", Side.SELL, symbol=OTHER.symbol)
    wallet = D(1000) - D(190) * D(100) * FEE
    # The short at 111 has lost 990; equity is -0.45, and its margin, 49.95, is less than the long's 50.
    assert desk.quote(111, OTHER.symbol) == [D(100), D(111)]
    assert desk.account.wallet == wallet - D(990) - (D(10_000) + D(90) * D(111)) * FEE
    assert desk.account.wallet < 0, "a gap through the equity leaves a debt: there is no insurance fund"


def test_a_bar_liquidates_at_the_price_on_its_path() -> None:
    desk = Desk()
    desk.buy("100")
    # Open 99, low 89 (the nearer extreme), high 110, close 105: the recovery comes too late.
    desk.engine.on_quote(BTC.symbol, (D(89), D(1_000)), (D(89), D(1_000)))
    changes = desk.engine.on_bar(Bar(BTC.symbol, 0, 0, 1, 1, 99.0, 110.0, 89.0, 105.0, 4_000.0, 60), 5)
    (done,) = changes.executions
    assert (done.liquidation, done.fill.price, done.fill.ts_ns) == (True, D(89), 5)


def test_the_venues_own_mark_decides_not_the_last_trade() -> None:
    desk = Desk()
    desk.buy("100")
    desk.engine.on_mark(BTC.symbol, D(100))
    assert desk.quote(85) == []
    desk.engine.on_mark(BTC.symbol, D("90.4"))
    (done,) = desk.engine.liquidate(2, BTC.symbol).executions
    assert done.fill.price == D(85)


def test_funding_can_be_what_breaks_it() -> None:
    desk = Desk()
    desk.buy("100")
    assert desk.quote(91) == []
    desk.engine.fund(BTC.symbol, D("0.01"), 1)  # 91 of an equity of 94.5
    (done,) = desk.engine.liquidate(2, BTC.symbol).executions
    assert done.liquidation and desk.account.wallet == D("994.5") - 91 - 900 - D(9_100) * FEE


def test_what_cannot_be_sold_stays_until_the_market_has_depth_again() -> None:
    desk = Desk()
    desk.buy("100")
    desk.engine.on_book(BTC.symbol, [(D(90), D(40))], [(D(91), D(40))])
    first = desk.engine.on_trade(BTC.symbol, 90.0, 1.0, Side.SELL, 1)
    assert sum(done.fill.quantity for done in first.executions) == 40 and desk.held() == 60
    assert not desk.engine.on_trade(BTC.symbol, 90.0, 1.0, Side.SELL, 2), "nothing is there to sell to"
    assert desk.quote(89) == [D(89)] and desk.held() == 0


@pytest.mark.parametrize("rate", ["0", "0.005"])
def test_without_a_maintenance_rate_nothing_is_closed(rate: str) -> None:
    desk = Desk(msgspec.structs.replace(MARGINED, maintenance_rate=D(rate)))
    desk.buy("100")
    assert bool(desk.quote(50)) is (rate != "0")


def test_a_higher_leverage_lets_more_be_held_and_never_more_than_the_equity_carries() -> None:
    tight, loose = Desk(leverage="2"), Desk(leverage="50")
    for desk, most in ((tight, "19"), (loose, "400")):
        desk.buy(most)
        assert desk.held() == D(most)
    # 19 at 100 never fail above 47.9; 400 carry 978 - 400 (100 - p) down to 2 p = 978 - 40,000 + 400 p.
    assert tight.quote(60) == []
    assert loose.quote(98.1) == [] and loose.quote(98.0) == [D("98.0")]


def test_the_lowest_tier_needs_half_of_the_initial_margin() -> None:
    assert [lowest_maintenance(D(most)) for most in (100, 40, 3)] == [D("0.005"), D("0.0125"), D("0.166667")]
    assert lowest_maintenance(D(1)) == 0, "paid in full, or unknown"


@settings(max_examples=60, deadline=None)
@given(
    quantity=st.integers(min_value=1, max_value=180),
    short=st.booleans(),
    moves=st.lists(st.integers(min_value=-40, max_value=40), min_size=1, max_size=40),
)
def test_what_is_held_after_each_trade_is_carried(quantity: int, short: bool, moves: list[int]) -> None:
    desk = Desk()
    desk.buy(str(quantity), Side.SELL if short else Side.BUY)
    tenths = 1_000
    for move in moves:
        tenths = max(tenths + move, 1)
        held, before = desk.held(), desk.account.wallet
        price = D(tenths) / 10
        entry = desk.account.position(BTC.symbol).average_price
        failing = bool(held) and before + held * (price - entry) <= abs(held) * price * D("0.005")
        closed = desk.quote(tenths / 10)
        assert bool(closed) is failing
        assert desk.held() == (0 if failing else held)


def test_a_market_that_takes_no_orders_fills_none() -> None:
    desk = Desk()
    name = desk.buy("1", price="95")
    closed = msgspec.structs.replace(MARGINED, trading=False)
    desk.engine.relist(closed)
    assert desk.quote(90) == [] and desk.held() == 0
    assert desk.engine.mark(BTC.symbol) == 90, "its price is known all the same"
    with pytest.raises(OrderRejectedError, match="NOT_TRADING"):
        desk.buy("1")
    desk.engine.relist(MARGINED)
    desk.engine.on_trade(BTC.symbol, 94.0, 5.0, Side.SELL, 3)
    assert desk.held() == 1
    found = desk.engine.find("a", client_id=name)
    assert found is not None and found.status is OrderStatus.FILLED


def test_an_order_whose_time_is_over_expires_and_frees_its_margin() -> None:
    desk = Desk()
    found = desk.engine.find("a", client_id=desk.buy("1", price="95"))
    assert found is not None and desk.account.reserved == D("4.75")
    desk.engine.expire(found, 7)
    assert (found.status, found.updated_ns, desk.account.reserved) == (OrderStatus.EXPIRED, 7, 0)
    assert desk.engine.working("a") == []


def test_the_venue_tells_a_liquidation_as_such_and_the_adapter_keeps_that() -> None:
    desk = Desk(msgspec.structs.replace(MARGINED, symbol="bybit:BTCUSDT"))
    desk.engine.place("a", PlaceOrder("c", "bybit:BTCUSDT", Side.BUY, OrderType.MARKET, D(100)), 1)
    desk.engine.on_quote("bybit:BTCUSDT", (D(90), D(10**6)), (D(90), D(10**6)))
    (done,) = desk.engine.on_trade("bybit:BTCUSDT", 90.0, 1.0, Side.BUY, 10**6).executions
    assert done.fill.execution_id.startswith(LIQUIDATION_PREFIX) and done.fill.forced and not done.fill.settles
    told = simulated.execution(done, D(90))
    assert (told["execType"], told["orderLinkId"]) == ("BustTrade", "")
    assert not told["execId"].startswith(LIQUIDATION_PREFIX)
    assert bybit.fill(told) == done.fill
    assert not (bybit.fill(told | {"execType": "Trade"}) or done.fill).forced


# -- tiers, steps and the insurance fund -----------------------------------------------------

TIERED = msgspec.structs.replace(
    MARGINED, maintenance_tiers=(MarginTier(D(5_000), D("0.02")), MarginTier(D(8_000), D("0.1")))
)


def test_each_part_of_a_position_has_the_rate_of_its_tier() -> None:
    # 5,000 x 0.005, then 3,000 x 0.02, then 2,000 x 0.1; by the last tier's rate less a deduction of 715.
    assert [TIERED.maintenance(D(value)) for value in (4_000, 5_000, 8_000, 10_000)] == [20, 25, 85, 285]
    assert TIERED.maintenance(D(10_000)) == 10_000 * D("0.1") - 715
    assert MARGINED.maintenance(D(10_000)) == 50


def test_a_large_position_is_closed_down_to_where_its_tier_begins() -> None:
    desk = Desk(TIERED)
    desk.buy("100")
    # 994.5 + 100 (p - 100) meets 25 + 60 + (100 p - 8,000) / 10 at p = 92.11...: 8,000 / 92.1 is 86.862 and is kept.
    assert desk.quote(92.2) == []
    assert desk.quote(92.1) == [D("92.1")]
    assert desk.held() == D("86.862")
    assert desk.engine.working("a") == []
    # The rest, worth 8,000, needs 85 and has 994.5 - 790 - the fee of the part that was sold.
    assert desk.account.equity(desk.engine.mark) == D("204.5") - D("13.138") * D("92.1") * FEE


def test_a_fall_through_all_tiers_closes_it_step_by_step() -> None:
    desk = Desk(TIERED)
    desk.buy("100")
    filled = desk.quote(90)
    assert filled == [D(90)] * 3 and desk.held() == 0
    closing = [record.filled for record in desk.engine.orders("a") if not record.client_id]
    assert closing == [D("11.112"), D("33.333"), D("55.555")]
    assert desk.account.wallet == D("994.5") - 1_000 - D(9_000) * FEE


@pytest.mark.parametrize("insured", [True, False])
def test_what_is_lost_beyond_the_equity_is_the_funds_if_there_is_one(insured: bool) -> None:
    desk = Desk(insured=insured)
    desk.buy("100")
    desk.quote(100)
    changes = desk.fall(80)
    loss = D("994.5") - 2_000 - 8_000 * FEE
    assert [(paid.kind, paid.amount) for paid in changes.fundings] == ([("insurance", loss)] if insured else [])
    assert desk.account.wallet == (0 if insured else loss)
    market = desk.engine.markets[BTC.symbol]
    assert desk.account.wallet - 1_000 + desk.account.fees + market.external_cash == 0, "somebody pays it"


def test_a_liquidation_that_leaves_something_is_no_matter_of_the_fund() -> None:
    desk = Desk(insured=True)
    desk.buy("100")
    assert desk.fall(90.5).fundings == []
    assert desk.account.wallet == D("39.5225")


@settings(max_examples=60, deadline=None)
@given(
    quantity=st.integers(min_value=1, max_value=180),
    short=st.booleans(),
    moves=st.lists(st.integers(min_value=-60, max_value=60), min_size=1, max_size=40),
)
def test_by_tiers_what_is_held_is_carried_and_cash_is_never_below_zero(
    quantity: int, short: bool, moves: list[int]
) -> None:
    desk = Desk(TIERED, insured=True)
    desk.buy(str(quantity), Side.SELL if short else Side.BUY)
    tenths = 1_000
    for move in moves:
        tenths, before = max(tenths + move, 1), abs(desk.held())
        desk.quote(tenths / 10)
        held = abs(desk.held())
        equity = desk.account.equity(desk.engine.mark)
        assert held <= before
        assert equity > TIERED.maintenance(held * D(tenths) / 10) if held else desk.account.wallet >= 0
