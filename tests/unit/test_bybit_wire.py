"""Bybit's wire format: exact numbers, known samples, and nothing that stops a stream."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.bybit import requests, wire
from exchanges.bybit.books import OrderBook
from exchanges.bybit.parser import Parser
from exchanges.bybit.settings import BybitMode, BybitSettings
from exchanges.bybit.streams import public_topics
from exchanges.bybit.symbols import SymbolError, coins, full, native
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Bar, Book, Quote, Ticker, Trade
from exchanges.model.order import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Source, Trigger
from exchanges.model.venue import (
    BalanceReport,
    FillReport,
    OrderReport,
    PaymentReport,
    PlaceOrder,
    VenuePosition,
)

D = Decimal
SETTINGS = BybitSettings(mode=BybitMode.DEMO, key="k", secret="hidden-secret")
ORDER = {
    "category": "linear", "symbol": "BTCUSDT", "orderId": "1", "orderLinkId": "L1", "side": "Buy", "orderType": "Limit",
    "price": "61800.10", "qty": "0.010", "timeInForce": "PostOnly", "orderStatus": "Cancelled",
    "rejectReason": "EC_PostOnlyWillTakeLiquidity", "cancelType": "UNKNOWN", "leavesQty": "0", "cumExecQty": "0.004",
    "avgPrice": "61800.1", "reduceOnly": True, "updatedTime": "1700000000123",
}  # fmt: skip
EXECUTION = {
    "category": "linear", "symbol": "BTCUSDT", "execId": "e", "orderId": "1", "orderLinkId": "L1", "side": "Sell",
    "execPrice": "61800.1", "execQty": "0.004", "execFee": "-0.02", "isMaker": True, "execType": "Trade",
    "execTime": "1700000000123",
}  # fmt: skip


def parser() -> tuple[Parser, Counter[str], list[str]]:
    counters: Counter[str] = Counter()
    problems: list[str] = []
    return Parser(SETTINGS, counters, lambda text, problem: problems.append(problem)), counters, problems


def message(topic: str, data: object, **more: object) -> str:
    return msgspec.json.encode({"topic": topic, "type": "snapshot", "ts": 5, "data": data, **more}).decode()


def test_public_trades_become_trades_in_order() -> None:
    rows = [
        {"T": 7, "s": "BTCUSDT", "S": side, "v": "0.5", "p": "1.25", "L": "PlusTick", "i": side, "BT": False}
        for side in ("Buy", "Sell")
    ]
    found = parser()[0].parse(message("publicTrade.BTCUSDT", rows), 9)
    assert found == [
        Trade("bybit:BTCUSDT", 0, 0, 7_000_000, 9, 1.25, 0.5, "buy", "Buy"),
        Trade("bybit:BTCUSDT", 0, 0, 7_000_000, 9, 1.25, 0.5, "sell", "Sell"),
    ]


def test_a_candle_is_closed_only_when_the_venue_confirms_it() -> None:
    row = {"start": 60_000, "end": 1, "interval": "5", "open": "1", "close": "2", "high": "3", "low": "0.5",
           "volume": "9", "turnover": "1", "confirm": False, "timestamp": 1}  # fmt: skip
    found = parser()[0].parse(message("kline.5.BTCUSDT", [row]), 9)
    assert found == [Bar("bybit:BTCUSDT", 0, 0, 60_000_000_000, 9, 1.0, 3.0, 0.5, 2.0, 9.0, 300_000_000_000, False)]


def test_the_best_level_becomes_a_quote_and_the_deep_book_its_top() -> None:
    reader = parser()[0]
    best = {"s": "BTCUSDT", "b": [["10", "1"]], "a": [["11", "2"]], "u": 1, "seq": 1}
    assert reader.parse(message("orderbook.1.BTCUSDT", best, cts=4), 9) == (
        Quote("bybit:BTCUSDT", 0, 0, 4_000_000, 9, 10.0, 1.0, 11.0, 2.0),
    )
    deep = {"s": "BTCUSDT", "b": [[str(n), "1"] for n in range(1, 30)], "a": [["40", "1"], ["35", "2"]], "u": 1}
    reader.parse(message("orderbook.50.BTCUSDT", deep), 9)
    change = {"s": "BTCUSDT", "b": [["29", "0"], ["28", "7"], ["99999", "0"]], "a": [], "u": 2}
    (book,) = reader.parse(message("orderbook.50.BTCUSDT", change, type="delta"), 9)
    assert isinstance(book, Book)
    assert book.bids[:2] == ((28.0, 7.0), (27.0, 1.0))
    assert len(book.bids) == SETTINGS.book_levels
    assert book.asks == ((35.0, 2.0), (40.0, 1.0))


def test_a_change_without_a_snapshot_and_a_stale_one_are_counted_and_not_used() -> None:
    reader, counters, _ = parser()
    change = {"s": "BTCUSDT", "b": [["10", "1"]], "a": [["11", "1"]], "u": 5}
    assert reader.parse(message("orderbook.50.BTCUSDT", change, type="delta"), 9) == ()
    reader.parse(message("orderbook.50.BTCUSDT", change), 9)
    assert reader.parse(message("orderbook.50.BTCUSDT", change, type="delta"), 9) == ()
    assert counters["book_updates_unusable"] == 2
    reader.reset()
    assert reader.parse(message("orderbook.50.BTCUSDT", {**change, "u": 6}, type="delta"), 9) == ()


def test_ticker_changes_keep_what_they_do_not_name() -> None:
    reader = parser()[0]
    first = {"symbol": "BTCUSDT", "bid1Price": "1", "bid1Size": "2", "ask1Price": "3", "ask1Size": "4"}
    reader.parse(message("tickers.BTCUSDT", first), 9)
    (quote,) = reader.parse(message("tickers.BTCUSDT", {"symbol": "BTCUSDT", "ask1Price": "2.5"}, type="delta"), 9)
    assert quote == Quote("bybit:BTCUSDT", 0, 0, 5_000_000, 9, 1.0, 2.0, 2.5, 4.0)


def test_orders_and_executions_are_read_exactly() -> None:
    order = wire.order(ORDER)
    assert (order.symbol, order.side, order.type) == ("bybit:BTCUSDT", Side.BUY, OrderType.LIMIT)
    assert (order.status, order.filled, order.quantity) == (OrderStatus.CANCELLED, D("0.004"), D("0.01"))
    assert (order.price, order.time_in_force, order.reduce_only) == (D("61800.1"), TimeInForce.POST_ONLY, True)
    assert order.reason == "EC_PostOnlyWillTakeLiquidity"
    fill = wire.fill(EXECUTION)
    assert fill is not None
    assert (fill.side, fill.price, fill.fee, fill.liquidity) == (Side.SELL, D("61800.1"), D("-0.02"), Liquidity.MAKER)


def test_funding_is_no_fill_but_cash_received_or_paid() -> None:
    row = {**EXECUTION, "execType": "Funding", "execFee": "0.75", "feeCurrency": ""}
    assert wire.fill(row) is None
    paid = wire.payment(row)
    assert paid is not None
    assert (paid.kind, paid.symbol, paid.amount, paid.currency) == ("funding", "bybit:BTCUSDT", D("-0.75"), "USDT")
    received = wire.payment({**row, "execFee": "-0.75"})
    assert received is not None
    assert received.amount == D("0.75")
    assert wire.payment(EXECUTION) is None


@pytest.mark.parametrize(
    ("more", "currency"),
    [
        ({"category": "linear"}, "USDT"),
        ({"category": "spot", "side": "Sell"}, "USDT"),
        ({"category": "spot", "side": "Buy"}, "BTC"),
        ({"category": "spot", "side": "Buy", "feeCurrency": "MNT"}, "MNT"),
    ],
)
def test_the_currency_of_a_fee_is_the_venues_word_or_what_it_takes_it_from(more: dict[str, str], currency: str) -> None:
    fill = wire.fill({**EXECUTION, **more})
    assert fill is not None
    assert fill.fee_currency == currency


def test_a_spot_holding_is_what_the_wallet_has_of_the_coin() -> None:
    rows = [
        {"coin": "BTC", "walletBalance": "0.5", "usdValue": "30000", "spotBorrow": "0"},
        {"coin": "ETH", "walletBalance": "0", "usdValue": "-191", "spotBorrow": "0.06"},
    ]
    symbols = {"bybit:BTCUSDT.SPOT": "BTC", "bybit:ETHUSDT.SPOT": "ETH", "bybit:SOLUSDT.SPOT": "SOL"}
    assert wire.holdings({"coin": rows}, symbols) == (
        VenuePosition("bybit:BTCUSDT.SPOT", D("0.5"), D(60000), D(60000)),
        VenuePosition("bybit:ETHUSDT.SPOT", D("-0.06"), D(0), D(0)),
        VenuePosition("bybit:SOLUSDT.SPOT", D(0), D(0), D(0)),
    )


def test_what_spot_orders_lock_is_not_available() -> None:
    (coin,) = wire.balances({"coin": [{"coin": "USDT", "walletBalance": "100", "locked": "40"}]})
    assert (coin.total, coin.available) == (D(100), D(60))


def test_a_half_of_a_hedged_position_is_refused() -> None:
    fields = {"symbol": "BTCUSDT", "side": "Buy", "size": "1", "positionIdx": 2}
    with pytest.raises(wire.WireError, match="one-way mode"):
        wire.position(fields)


def test_the_rules_of_a_pair_and_of_a_perpetual_are_read_from_where_the_venue_puts_them() -> None:
    lots = {"basePrecision": "0.0001", "minOrderQty": "0.001", "maxOrderQty": "100", "minOrderAmt": "10"}
    row = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading", "lotSizeFilter": lots,
           "priceFilter": {"tickSize": "0.1"}}  # fmt: skip
    pair = wire.instrument(row, D("0.001"), D("0.001"), "spot")
    assert (pair.symbol, pair.kind, pair.short) == ("bybit:BTCUSDT.SPOT", ContractKind.SPOT, False)
    assert (pair.lot, pair.min_quantity, pair.max_quantity, pair.min_notional) == (D("0.0001"), D("0.001"), 100, 10)
    lots = {"qtyStep": "0.001", "minOrderQty": "0.002", "maxOrderQty": "50", "maxMktOrderQty": "20",
            "minNotionalValue": "5"}  # fmt: skip
    more = {"lotSizeFilter": lots, "leverageFilter": {"maxLeverage": "75"}, "fundingInterval": 480}
    perpetual = wire.instrument({**row, **more}, D(0), D(0))
    assert (perpetual.kind, perpetual.short) == (ContractKind.LINEAR_PERPETUAL, True)
    assert (perpetual.lot, perpetual.max_quantity, perpetual.min_notional) == (D("0.001"), 20, 5)
    assert (perpetual.max_leverage, perpetual.funding_interval_ns) == (75, 8 * 3_600_000_000_000)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "1e999", ""])
def test_no_price_that_is_none_gets_through(value: str) -> None:
    reader, _, problems = parser()
    trade = {"T": 1, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": value}
    assert reader.parse(message("publicTrade.BTCUSDT", [trade]), 9) == ()
    assert len(problems) == 1


def test_a_book_that_can_not_be_kept_asks_for_a_new_connection_once() -> None:
    asked: list[str] = []
    reader = Parser(SETTINGS, Counter(), lambda text, problem: None, "linear", asked.append)

    def book(kind: str, bids: list[list[str]], number: int) -> str:
        data = {"s": "BTCUSDT", "b": bids, "a": [["10", "1"]], "u": number}
        return message("orderbook.50.BTCUSDT", data, type=kind)

    assert len(reader.parse(book("snapshot", [["9", "1"]], 1), 9)) == 1
    assert reader.parse(book("delta", [["11", "1"]], 2), 9) == ()
    assert reader.parse(book("delta", [["8", "1"]], 3), 9) == ()
    assert len(asked) == 1
    assert "BTCUSDT" in asked[0]
    assert len(reader.parse(book("snapshot", [["9", "1"]], 4), 9)) == 1
    assert reader.parse(book("delta", [["nan", "1"]], 5), 9) == ()
    assert len(asked) == 2


def test_a_ticker_gives_mark_price_and_funding() -> None:
    reader = parser()[0]
    first = {"symbol": "BTCUSDT", "markPrice": "61800.5", "indexPrice": "61799", "fundingRate": "-0.0001",
             "nextFundingTime": "1700000000000"}  # fmt: skip
    (ticker,) = reader.parse(message("tickers.BTCUSDT", first), 9)
    assert isinstance(ticker, Ticker)
    assert (ticker.mark, ticker.index, ticker.funding_rate) == (61800.5, 61799.0, -0.0001)
    assert ticker.funding_ns == 1_700_000_000_000_000_000
    (later,) = reader.parse(message("tickers.BTCUSDT", {"symbol": "BTCUSDT", "markPrice": "61801"}, type="delta"), 9)
    assert isinstance(later, Ticker)
    assert (later.mark, later.funding_rate) == (61801.0, -0.0001)


@pytest.mark.parametrize(("side", "size", "quantity"), [("Buy", "2", 2), ("Sell", "2", -2), ("", "0", 0)])
def test_a_position_is_signed_by_its_side(side: str, size: str, quantity: int) -> None:
    fields = {"symbol": "BTCUSDT", "side": side, "size": size, "entryPrice": "5", "markPrice": "6"}
    assert wire.position(fields) == VenuePosition("bybit:BTCUSDT", D(quantity), D(5), D(6))


def test_private_messages_become_reports() -> None:
    reader = parser()[0]
    coin = {"coin": "USDT", "walletBalance": "100", "totalPositionIM": "30", "totalOrderIM": "5", "equity": "90"}
    kinds = [
        type(found)
        for text in (
            message("order", [ORDER]),
            message("execution", [EXECUTION, {**EXECUTION, "execType": "Funding"}]),
            message("wallet", [{"accountType": "UNIFIED", "coin": [coin]}]),
            message("order", [{**ORDER, "category": "spot"}]),
        )
        for found in reader.parse(text, 9)
    ]
    assert kinds == [OrderReport, FillReport, PaymentReport, BalanceReport, OrderReport]
    (spot,) = reader.parse(message("order", [{**ORDER, "category": "spot"}]), 9)
    assert isinstance(spot, OrderReport)
    assert spot.order.symbol == "bybit:BTCUSDT.SPOT"
    assert reader.parse(message("order", [{**ORDER, "category": "option"}]), 9) == []
    assert wire.balances({"coin": [coin]})[0].available == D(65)


@pytest.mark.parametrize(
    "text",
    [
        "<html>", "", "[]", "null", '{"topic":"publicTrade.BTCUSDT"}', '{"topic":"unheard.of","data":[]}',
        '{"topic":"publicTrade.BTCUSDT","data":[{"T":1,"s":"X","S":"Up","v":"1","p":"1"}]}',
        '{"topic":"kline.abc.BTCUSDT","data":[]}', '{"topic":"order","data":[{"symbol":"X"}]}',
        '{"topic":"order","data":[{"symbol":"X","side":"Buy","orderStatus":"New","qty":"NaN"}]}',
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_counted_and_told(text: str) -> None:
    reader, _, problems = parser()
    reader.parse(text, 9)
    assert len(problems) == 1
    assert reader.parse(message("wallet", []), 9) == []


TEXTS = st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin1")), st.just(message("order", [ORDER])))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_no_text_whatsoever_stops_the_parser(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    parser()[0].parse(text[:cut], 9)
    parser()[0].parse('{"topic":"publicTrade.' + text[cut:], 9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), max_size=30))
def test_a_book_of_deltas_is_the_book_of_their_last_sizes(changes: list[tuple[int, int]]) -> None:
    book = OrderBook("bybit:X")
    first = wire.BookRow("X", [("0.5", "1")], [("1000", "1")], 1)
    assert book.apply(wire.BookMessage("orderbook.50.X", "snapshot", 1, first))
    for number, (price, size) in enumerate(changes, 2):
        row = wire.BookRow("X", [(str(price), str(size))], [], number)
        assert book.apply(wire.BookMessage("orderbook.50.X", "delta", 1, row))
    last = {float(price): float(size) for price, size in changes}
    assert book.bids == {0.5: 1.0, **{price: size for price, size in last.items() if size}}


def test_an_order_leaves_as_the_venue_wants_it() -> None:
    limit = PlaceOrder("c", "bybit:BTCUSDT", Side.SELL, OrderType.LIMIT, D("1E-3"), D("6.18E4"), TimeInForce.IOC, True)
    assert requests.place_request(limit) == {
        "category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit", "qty": "0.001",
        "price": "61800", "timeInForce": "IOC", "orderLinkId": "c", "reduceOnly": True, "positionIdx": 0,
    }  # fmt: skip
    market = PlaceOrder("c", "bybit:BTCUSDT", Side.BUY, OrderType.MARKET, D(1))
    assert "price" not in requests.place_request(market)
    with pytest.raises(wire.WireError, match="expected a price"):
        requests.place_request(msgspec.structs.replace(limit, price=None))


def test_a_stop_leaves_as_a_conditional_order_of_a_perpetual() -> None:
    trigger = Trigger(Direction.BELOW, D("6E4"), Source.MARK)
    stop = PlaceOrder("c", "bybit:BTCUSDT", Side.SELL, OrderType.MARKET, D(1), reduce_only=True, trigger=trigger)
    assert requests.place_request(stop) == {
        "category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "1",
        "orderLinkId": "c", "reduceOnly": True, "positionIdx": 0, "triggerPrice": "60000", "triggerDirection": 2,
        "triggerBy": "MarkPrice",
    }  # fmt: skip
    rising = msgspec.structs.replace(stop, trigger=Trigger(Direction.ABOVE, D(7)))
    assert (requests.place_request(rising)["triggerDirection"], requests.place_request(rising)["triggerBy"]) == (
        1,
        "LastPrice",
    )
    for wrong in (
        msgspec.structs.replace(stop, symbol="bybit:BTCUSDT.SPOT"),
        msgspec.structs.replace(stop, trigger=Trigger(Direction.BELOW, D(7), Source.BID)),
    ):
        with pytest.raises(wire.WireError, match="expected a perpetual and a trigger on the last or mark price"):
            requests.place_request(wrong)


@pytest.mark.parametrize(
    ("status", "ours", "triggered"),
    [
        ("Untriggered", OrderStatus.OPEN, False),
        ("Triggered", OrderStatus.OPEN, True),
        ("New", OrderStatus.OPEN, True),
        ("Filled", OrderStatus.FILLED, True),
        ("Cancelled", OrderStatus.CANCELLED, True),
        ("Deactivated", OrderStatus.CANCELLED, False),
        ("Rejected", OrderStatus.REJECTED, False),
    ],
)
def test_a_conditional_order_says_what_it_waits_for_and_whether_that_has_come(
    status: str, ours: OrderStatus, triggered: bool
) -> None:
    row = {
        "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "1", "orderStatus": status,
        "triggerPrice": "60000", "triggerDirection": 2, "triggerBy": "LastPrice",
    }  # fmt: skip
    order = wire.order(row)
    assert (order.status, order.trigger, order.triggered) == (ours, Trigger(Direction.BELOW, D(60_000)), triggered)
    plain = wire.order({**row, "triggerPrice": "0.00", "triggerDirection": 0, "triggerBy": ""})
    assert (plain.trigger, plain.triggered) == (None, False)


def test_a_spot_order_says_what_its_quantity_is_and_knows_no_reduce_only() -> None:
    market = PlaceOrder("c", "bybit:BTCUSDT.SPOT", Side.BUY, OrderType.MARKET, D(1))
    assert requests.place_request(market) == {
        "category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "1",
        "orderLinkId": "c", "marketUnit": "baseCoin",
    }  # fmt: skip
    with pytest.raises(wire.WireError, match="expected a sale to reduce a spot holding"):
        requests.place_request(msgspec.structs.replace(market, reduce_only=True))
    sale = PlaceOrder("c", "bybit:BTCUSDT.SPOT", Side.SELL, OrderType.LIMIT, D(1), D(9), reduce_only=True)
    assert not {"reduceOnly", "positionIdx", "marketUnit"} & set(requests.place_request(sale))


def test_symbols_name_the_category_and_nothing_else_passes() -> None:
    assert native("bybit:BTCUSDT") == ("linear", "BTCUSDT")
    assert native("bybit:BTCUSDT.SPOT") == ("spot", "BTCUSDT")
    for symbol in ("bybit:BTCUSDT", "bybit:BTCUSDT.SPOT", "bybit:BTC-26DEC25"):
        category, name = native(symbol)
        assert full(name, category) == symbol
    for wrong in ("alpaca:AAPL", "bybit:", "bybit:.SPOT", "BTCUSDT", "bybit:BTC&x=1", "bybit:BTC/USDT"):
        with pytest.raises(SymbolError, match=r"bybit:BTCUSDT\.SPOT"):
            native(wrong)


@pytest.mark.parametrize(
    ("name", "found"),
    [("BTCUSDT", ("BTC", "USDT")), ("ETHBTC", ("ETH", "BTC")), ("USDCUSDT", ("USDC", "USDT")), ("USDT", ("", ""))],
)
def test_the_coins_of_a_pair_are_told_by_its_name(name: str, found: tuple[str, str]) -> None:
    assert coins(name) == found


def test_the_topics_follow_the_wanted_streams() -> None:
    wanted = msgspec.structs.replace(SETTINGS, streams=("trade", "quote", "bar", "book", "ticker"), bar_interval_s=300)
    assert public_topics(wanted, ["BTCUSDT"]) == [
        "publicTrade.BTCUSDT", "orderbook.1.BTCUSDT", "kline.5.BTCUSDT", "orderbook.50.BTCUSDT", "tickers.BTCUSDT",
    ]  # fmt: skip


# -- settings --------------------------------------------------------------------------------


def test_the_secret_is_in_no_text_of_the_settings() -> None:
    assert "hidden-secret" not in f"{SETTINGS!r}{SETTINGS}{SETTINGS.__rich_repr__()}"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"mode": BybitMode.SIM}, "mode sim"),
        ({"mode": BybitMode.SIM, "rest_url": "https://api.bybit.com", "public_url": "ws://localhost:1",
          "private_url": "ws://localhost:1"}, "on this machine"),
        ({"mode": BybitMode.DEMO, "rest_url": "https://api.bybit.com"}, "mode demo at api-demo.bybit.com"),
        ({"mode": BybitMode.LIVE, "rest_url": "https://api-demo.bybit.com"}, "that of mode demo"),
        ({"mode": BybitMode.DEMO, "streams": ("trades",)}, "found trades"),
        ({"mode": BybitMode.DEMO, "bar_interval_s": 61}, "bar_interval_s"),
    ],
)  # fmt: skip
def test_settings_that_mix_modes_or_make_no_sense_are_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        BybitSettings(**fields)  # type: ignore[arg-type]
