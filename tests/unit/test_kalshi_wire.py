"""Kalshi's wire format: exact numbers, known samples, recorded ones, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchanges.kalshi import amounts, market, wire
from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.fees import rates
from exchanges.kalshi.market import MarketState
from exchanges.kalshi.parser import decode
from exchanges.kalshi.rest import Answer, read
from exchanges.model.instrument import ContractKind, FeeModel
from exchanges.model.market import Bar
from exchanges.model.order import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import PlaceOrder
from tests.unit import kalshi_samples as samples
from tests.unit.kalshi_samples import CANDLE, FILL, MARKET, ORDER, POSITION, SETTLEMENT, SYMBOL, TICKER, TRADE, recorded

D = Decimal
MINUTE_NS = 60_000_000_000


def no_fee(*told: object) -> Decimal:
    return D(0)


# -- orders ----------------------------------------------------------------------------------


def test_an_order_is_read_in_terms_of_yes() -> None:
    found = wire.order(ORDER)
    assert (found.side, found.price, found.quantity, found.filled) == (Side.SELL, D("0.45"), D(10), D(4))
    assert (found.client_id, found.venue_id, found.symbol) == (ORDER["client_order_id"], "o-1", SYMBOL)
    assert (found.type, found.status) == (OrderType.LIMIT, OrderStatus.PARTIALLY_FILLED)
    assert found.average_price == D("0.45"), "four sold contracts tied up 2.20 dollars, 0.55 each"
    assert found.updated_ns == 1_723_140_000_123_456_000


@pytest.mark.parametrize(
    ("status", "filled", "remaining", "ours", "quantity"),
    [
        ("resting", "0.00", "10.00", OrderStatus.OPEN, "10"),
        ("resting", "3.00", "7.00", OrderStatus.PARTIALLY_FILLED, "10"),
        ("resting", "3.00", "2.00", OrderStatus.PARTIALLY_FILLED, "5"),
        ("canceled", "3.00", "0.00", OrderStatus.CANCELLED, "10"),
        ("executed", "10.00", "0.00", OrderStatus.FILLED, "10"),
        ("executed", "5.00", "0.00", OrderStatus.FILLED, "5"),
    ],
)
def test_statuses_and_amended_counts_are_understood(
    status: str, filled: str, remaining: str, ours: OrderStatus, quantity: str
) -> None:
    row = {**ORDER, "status": status, "fill_count_fp": filled, "remaining_count_fp": remaining}
    found = wire.order(row)
    assert (found.status, found.quantity) == (ours, D(quantity))


def test_an_unknown_status_ends_nothing_and_is_named() -> None:
    found = wire.order({**ORDER, "status": "hibernating", "fill_count_fp": "0.00", "remaining_count_fp": "10.00"})
    assert found.status is OrderStatus.OPEN
    assert "hibernating" in found.reason
    assert not wire.known_status("hibernating")


@pytest.mark.parametrize(
    ("action", "leg", "side"),
    [("buy", "yes", Side.BUY), ("sell", "yes", Side.SELL), ("buy", "no", Side.SELL), ("sell", "no", Side.BUY)],
)
def test_the_older_pair_of_action_and_leg_is_understood(action: str, leg: str, side: Side) -> None:
    row = {name: value for name, value in ORDER.items() if name not in ("book_side", "outcome_side")}
    assert wire.order({**row, "action": action, "side": leg}).side is side


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("yes_price_dollars", "1.2000"), ("yes_price_dollars", "-0.1000"), ("yes_price_dollars", "NaN"),
        ("yes_price_dollars", 0.45), ("fill_count_fp", "-1.00"), ("fill_count_fp", "Infinity"), ("status", None),
        ("book_side", "middle"), ("order_id", ""), ("ticker", None), ("client_order_id", 7),
        ("last_update_time", "yesterday"),
    ],
)  # fmt: skip
def test_an_order_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(WireError, match="expected"):
        wire.order({**ORDER, name: value})


# -- fills and settlements -------------------------------------------------------------------


def test_a_fill_is_exact_and_bears_the_trades_id() -> None:
    found = wire.fill(FILL, "bw-1", no_fee)
    assert (found.execution_id, found.client_id, found.venue_id) == ("t-1", "bw-1", "o-1")
    assert (found.side, found.price, found.quantity, found.fee) == (Side.BUY, D("0.45"), D("2.5"), D("0.18"))
    assert (found.liquidity, found.fee_currency) == (Liquidity.TAKER, "USD")
    assert found.ts_ns == 1_723_140_000_500_000_000


def test_stream_and_rest_give_the_same_execution_the_same_id() -> None:
    pushed = {name: value for name, value in FILL.items() if name not in ("fill_id", "ticker", "created_time")}
    found = wire.fill({**pushed, "ts_ms": 1_723_140_000_500}, "bw-1", no_fee)
    assert found == wire.fill(FILL, "bw-1", no_fee)


def test_a_fee_the_venue_does_not_tell_is_worked_out() -> None:
    asked: list[tuple[object, ...]] = []

    def fee_of(*told: object) -> Decimal:
        asked.append(told)
        return D("0.05")

    row = {name: value for name, value in FILL.items() if name != "fee_cost"}
    assert wire.fill({**row, "is_taker": False}, "", fee_of).fee == D("0.05")
    assert asked == [("o-1", TICKER, Side.BUY, D("0.45"), D("2.5"), Liquidity.MAKER)]


@pytest.mark.parametrize(
    ("result", "yes", "no", "side", "quantity", "price"),
    [
        ("yes", "10.00", "0.00", Side.SELL, "10", "1"),
        ("no", "10.00", "0.00", Side.SELL, "10", "0"),
        ("yes", "0.00", "7.50", Side.BUY, "7.5", "1"),
        ("no", "2.00", "9.50", Side.BUY, "7.5", "0"),
        ("scalar", "10.00", "0.00", Side.SELL, "10", "0.37"),
        ("void", "10.00", "0.00", Side.SELL, "10", "0.45"),
    ],
)
def test_a_settlement_is_the_fill_that_closes_the_position(
    result: str, yes: str, no: str, side: Side, quantity: str, price: str
) -> None:
    row = {**SETTLEMENT, "market_result": result, "yes_count_fp": yes, "no_count_fp": no, "value": 37}
    found = wire.settlement(row)
    assert found is not None
    assert (found.execution_id, found.client_id, found.venue_id) == (f"settlement-{TICKER}", "", "")
    assert (found.side, found.quantity, found.price, found.fee) == (side, D(quantity), D(price), D(0))
    assert found.ts_ns == int(datetime(2024, 8, 9, 14, tzinfo=UTC).timestamp()) * 10**9


def test_a_settlement_of_nothing_held_is_no_fill() -> None:
    assert wire.settlement({**SETTLEMENT, "yes_count_fp": "3.00", "no_count_fp": "3.00"}) is None


@pytest.mark.parametrize("change", [{"market_result": "maybe"}, {"market_result": "scalar", "value": 250}])
def test_a_settlement_with_an_unknown_result_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="expected"):
        wire.settlement({**SETTLEMENT, **change})


# -- positions and cash ----------------------------------------------------------------------


def test_a_negative_position_is_no_at_the_price_of_yes() -> None:
    found = wire.position(POSITION)
    assert (found.symbol, found.quantity, found.average_price) == (SYMBOL, D(-10), D("0.45"))
    long = wire.position({**POSITION, "position_fp": "10.00", "market_exposure_dollars": "4.5000"})
    assert (long.quantity, long.average_price) == (D(10), D("0.45"))


def test_an_average_price_that_cannot_be_is_not_passed_on() -> None:
    assert wire.position({**POSITION, "market_exposure_dollars": "55.0000"}).average_price == 0


def test_the_balance_is_the_cash_that_positions_have_left() -> None:
    found = wire.balance({"balance": 9450, "balance_dollars": "94.5000"})
    assert (found.total, found.available) == (D("94.5"), D("94.5"))


def test_cents_are_read_where_dollars_are_missing() -> None:
    assert wire.balance({"balance": 10001}).available == D("100.01")


# -- markets ---------------------------------------------------------------------------------


def test_a_market_becomes_an_instrument_with_its_tick_table_fees_and_times() -> None:
    row = market.market(MARKET)
    assert (row.series, row.state) == ("KXHIGHNY", MarketState.ACTIVE)
    made = market.instrument(row, rates("quadratic_with_maker_fees", D(1)), samples.settings())
    assert (made.symbol, made.native, made.kind, made.quote) == (SYMBOL, TICKER, ContractKind.BINARY_EVENT, "USD")
    assert [made.tick_at(D(price)) for price in ("0.05", "0.10", "0.50", "0.90", "0.95")] == [
        D("0.001"), D("0.01"), D("0.01"), D("0.001"), D("0.001"),
    ]  # fmt: skip
    assert (made.tick, made.lot, made.min_quantity, made.contract_value) == (D("0.001"), D("0.01"), D("0.01"), D(1))
    assert (made.fee_model, made.maker_fee, made.taker_fee) == (FeeModel.QUADRATIC, D("0.0175"), D("0.07"))
    assert made.trading
    assert made.closes_ns == int(datetime(2024, 8, 9, 3, 59, tzinfo=UTC).timestamp()) * 10**9
    assert made.fault(D("1.5"), D("0.055")) == ""
    assert made.fault(D("1.5"), D("0.555")).startswith("PRICE_STEP")
    assert made.fault(D("0.001"), D("0.55")).startswith("QUANTITY_STEP")


def test_fees_of_the_instrument_are_rounded_as_the_account_is() -> None:
    row, series = market.market(MARKET), rates("quadratic", D(1))
    usual = market.instrument(row, series, samples.settings())
    direct = market.instrument(row, series, samples.settings(direct_member=True))
    assert usual.fee(D("0.5"), D(1), Liquidity.TAKER) == D("0.02")
    assert direct.fee(D("0.5"), D("0.01"), Liquidity.TAKER) == D("0.0002")
    assert usual.fee(D("0.5"), D(100), Liquidity.MAKER) == 0


@pytest.mark.parametrize(
    ("word", "state", "trading"),
    [
        ("initialized", MarketState.INITIALIZED, False), ("active", MarketState.ACTIVE, True),
        ("inactive", MarketState.INACTIVE, False), ("closed", MarketState.CLOSED, False),
        ("determined", MarketState.DETERMINED, False), ("disputed", MarketState.DISPUTED, False),
        ("amended", MarketState.AMENDED, False), ("finalized", MarketState.FINALIZED, False),
        ("levitating", MarketState.UNKNOWN, False),
    ],
)  # fmt: skip
def test_only_an_active_market_takes_orders(word: str, state: MarketState, trading: bool) -> None:
    row = market.market({**MARKET, "status": word})
    assert row.state is state
    made = market.instrument(row, rates("quadratic", D(1)), samples.settings())
    assert made.trading is trading
    assert bool(made.opens_ns) is (word == "initialized")
    assert bool(made.closes_ns) is (word in ("active", "inactive"))
    assert state.pending is (word in ("closed", "determined", "disputed", "amended"))


def test_whole_contracts_alone_where_the_market_says_so() -> None:
    assert market.market({**MARKET, "fractional_trading_enabled": False}).lot == D(1)


@pytest.mark.parametrize(
    "ranges",
    [
        [{"start": "0.0000", "end": "1.0000", "step": "0.0000"}],
        [{"start": "0.0000", "end": "2.0000", "step": "0.0100"}],
        [{"start": "0.5000", "end": "0.2000", "step": "0.0100"}],
        [{"start": "0.0000", "end": "0.6000", "step": "0.01"}, {"start": "0.5000", "end": "1.0", "step": "0.01"}],
        [{"start": "0.0055", "end": "1.0000", "step": "0.0100"}],
        [{"start": None, "end": "1.0000", "step": "0.0100"}],
        ["0.01"],
    ],
)
def test_a_tick_table_that_makes_no_sense_is_refused(ranges: object) -> None:
    with pytest.raises(WireError, match="expected"):
        market.market({**MARKET, "price_ranges": ranges})


def test_a_symbol_of_another_venue_is_refused() -> None:
    assert market.native(SYMBOL) == TICKER
    for symbol in ("bybit:BTCUSDT", TICKER, "kalshi:", "kalshi:../portfolio"):
        with pytest.raises(WireError, match="expected a symbol"):
            market.native(symbol)


# -- trades, candles, books ------------------------------------------------------------------


def test_a_trade_is_at_the_price_of_yes_with_the_takers_side() -> None:
    found = market.trade(TRADE, 9)
    assert (found.symbol, found.price, found.size, found.side) == (SYMBOL, 0.45, 3.0, "sell")
    assert (found.trade_id, found.ts_ns) == ("p-1", samples.NOW_NS)


@pytest.mark.parametrize("price", ["0.0000", "1.0000", "1.0001", "-0.5", "", None])
def test_a_trade_outside_of_the_dollar_is_refused(price: str | None) -> None:
    with pytest.raises(WireError, match="yes_price"):
        market.trade({**TRADE, "yes_price_dollars": price}, 9)


def test_a_candle_is_dated_by_its_beginning_and_skipped_without_trades() -> None:
    found = market.candle(CANDLE, TICKER, MINUTE_NS, 9)
    assert found == Bar(SYMBOL, 0, 0, samples.NOW_NS - MINUTE_NS, 9, 0.11, 0.12, 0.08, 0.09, 28.0, MINUTE_NS, True)
    assert market.candle({**CANDLE, "price": {"open_dollars": None}}, TICKER, MINUTE_NS, 9) is None
    with pytest.raises(WireError, match="low"):
        market.candle({**CANDLE, "price": {**CANDLE["price"], "low_dollars": "0.2"}}, TICKER, MINUTE_NS, 9)


def test_longer_candles_are_put_together_from_shorter_ones() -> None:
    bars = [
        Bar(SYMBOL, 0, 0, n * MINUTE_NS, 9, 0.5 + n / 100, 0.6, 0.4 - n / 100, 0.5, 2.0, MINUTE_NS, True)
        for n in (0, 2, 4, 5)
    ]
    made = market.merged(bars, 5 * MINUTE_NS)
    assert [(bar.ts_ns, bar.open, bar.high, round(bar.low, 2), bar.volume) for bar in made] == [
        (0, 0.5, 0.6, 0.36, 6.0),
        (5 * MINUTE_NS, 0.55, 0.6, 0.35, 2.0),
    ]


def test_a_fetched_book_turns_bids_for_no_into_asks_for_yes() -> None:
    body = {"orderbook_fp": {"yes_dollars": [["0.4400", "10.00"]], "no_dollars": [["0.4700", "150.00"]]}}
    assert market.rest_book(body) == ({D("0.44"): D(10)}, {D("0.53"): D(150)})


# -- requests --------------------------------------------------------------------------------


def test_a_new_order_says_everything_as_exact_text() -> None:
    command = PlaceOrder("bw-1", SYMBOL, Side.SELL, OrderType.LIMIT, D("2.5"), D("0.555"), reduce_only=True)
    assert wire.place_request(command, D("0.555"), TimeInForce.IOC, "taker_at_cross") == {
        "ticker": TICKER, "client_order_id": "bw-1", "side": "ask", "count": "2.50", "price": "0.5550",
        "time_in_force": "immediate_or_cancel", "self_trade_prevention_type": "taker_at_cross", "reduce_only": True,
    }  # fmt: skip
    made = wire.place_request(command, D("0.5"), TimeInForce.POST_ONLY, "maker")
    assert (made["time_in_force"], made["post_only"]) == ("good_till_canceled", True)


@pytest.mark.parametrize(
    ("price", "count"), [("0.45001", "1"), ("0", "1"), ("1", "1"), ("0.45", "0.001"), ("0.45", "0")]
)
def test_what_cannot_be_written_exactly_never_leaves(price: str, count: str) -> None:
    command = PlaceOrder("bw-1", SYMBOL, Side.BUY, OrderType.LIMIT, D(count), D(price))
    with pytest.raises(WireError, match="expected"):
        wire.place_request(command, D(price), TimeInForce.GTC, "maker")


# -- amounts and times -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.5, True, None, "1_000", "٣", "", "1e", "1E+30", "0.0000000001", [1]])
def test_a_number_that_is_not_exact_text_is_refused(value: object) -> None:
    with pytest.raises(WireError, match="expected a number"):
        amounts.decimal_of(value, "field")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-08-08T18:00:00Z", 1_723_140_000_000_000_000),
        ("2024-08-08T18:00:00.5Z", 1_723_140_000_500_000_000),
        ("2024-08-08T14:00:00.123456789-04:00", 1_723_140_000_123_456_789),
        ("2024-08-08T18:00:00+00:00", 1_723_140_000_000_000_000),
        ("2024-08-08T18:00:00", 1_723_140_000_000_000_000),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, ns: int) -> None:
    assert amounts.instant({"t": text}, "t") == ns
    assert amounts.instant({"t_ms": ns // 1_000_000}, "t_ms") == ns // 1_000_000 * 1_000_000
    assert amounts.instant({"t": ns // 10**9}, "t") == ns // 10**9 * 10**9


# -- recorded messages -----------------------------------------------------------------------


def _orders(body: dict[str, Any]) -> int:
    rows = body.get("orders") or [body]
    return len([wire.order(row.get("order", row)) for row in rows])


READERS: dict[str, Any] = {
    "rest_portfolio_orders": _orders,
    "rest_portfolio_order_single": _orders,
    "rest_create_order": _orders,
    "rest_cancel_order": _orders,
    "rest_batch_create_orders": _orders,
    "rest_batch_cancel_orders": _orders,
    "rest_portfolio_fills": lambda body: len([wire.fill(row, "", no_fee) for row in body["fills"]]),
    "rest_portfolio_positions": lambda body: len([wire.position(row) for row in body["market_positions"]]),
    "rest_portfolio_balance": lambda body: wire.balance(body).available == D(100),
    "rest_markets_list": lambda body: len([market.market(row) for row in body["markets"]]),
    "rest_event_with_settled_markets": lambda body: len(
        [row for row in map(market.market, body["markets"]) if row.state is MarketState.FINALIZED]
    ),
    "rest_trades_list": lambda body: len([market.trade(row, 9) for row in body["trades"]]),
    "rest_trades_100": lambda body: len([market.trade(row, 9) for row in body["trades"]]),
    "rest_series_candlesticks": lambda body: len(
        [bar for row in body["candlesticks"] if (bar := market.candle(row, "K", 24 * 60 * MINUTE_NS, 9))]
    ),
    "rest_orderbook": lambda body: market.rest_book(body) == ({}, {}),
    "rest_series_single": lambda body: rates(body["series"]["fee_type"], D(body["series"]["fee_multiplier"])).known,
}


@recorded
@pytest.mark.parametrize("name", sorted(path.stem for path in samples.WIRE.glob("*.json")))
def test_every_recorded_message_decodes(name: str) -> None:
    body = samples.sample(name)
    if name.startswith("ws_error"):
        assert decode((samples.WIRE / f"{name}.json").read_bytes()).msg == body["msg"]
    elif name == "ws_orderbook_delta_msg":
        assert amounts.count(body, "delta") == D(1079)
        assert amounts.dollars(body, "price") == D("0.03")
    elif name.startswith("ws_orderbook"):
        assert decode((samples.WIRE / f"{name}.json").read_bytes()).seq in (2, 3)
    elif name.startswith("rest"):
        assert read(Answer(200, (samples.WIRE / f"{name}.json").read_bytes())) == body
        if name in READERS:
            assert READERS[name](body)


@recorded
def test_recorded_numbers_come_out_exactly() -> None:
    fills = [wire.fill(row, "", no_fee) for row in samples.sample("rest_portfolio_fills")["fills"]]
    assert (fills[0].price, fills[0].quantity, fills[0].side) == (D("0.6"), D(32), Side.BUY)
    orders = [wire.order(row) for row in samples.sample("rest_portfolio_orders")["orders"]]
    assert orders[3].side is Side.BUY, "selling NO buys YES"
    assert orders[3].price == D("0.97")
    ranges = samples.sample("rest_markets_list")["markets"]
    assert {
        market.instrument(market.market(row), rates("quadratic", D(1)), samples.settings()).tick for row in ranges
    } == {D("0.001")}
    bars = [
        market.candle(row, "K", 24 * 60 * MINUTE_NS, 9)
        for row in samples.sample("rest_series_candlesticks")["candlesticks"]
    ]
    first = next(bar for bar in bars if bar is not None)
    assert (first.open, first.high, first.low, first.close, first.volume) == (0.11, 0.11, 0.08, 0.08, 28.0)
