"""Bybit's wire format: exact numbers, known samples, and nothing that stops a stream."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.bybit import wire
from exchanges.bybit.books import OrderBook
from exchanges.bybit.parser import Parser
from exchanges.bybit.settings import BybitMode, BybitSettings
from exchanges.bybit.streams import public_topics
from exchanges.model.market import Bar, Book, Quote, Trade
from exchanges.model.order import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import BalanceReport, FillReport, OrderReport, PlaceOrder, VenuePosition

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


def test_funding_is_no_fill() -> None:
    assert wire.fill({**EXECUTION, "execType": "Funding"}) is None


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
    assert kinds == [OrderReport, FillReport, BalanceReport]
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
    reader, counters, problems = parser()
    reader.parse(text, 9)
    assert counters["malformed"] == 1
    assert problems
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
    assert wire.place_request(limit, "linear") == {
        "category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit", "qty": "0.001",
        "price": "61800", "timeInForce": "IOC", "orderLinkId": "c", "reduceOnly": True, "positionIdx": 0,
    }  # fmt: skip
    market = PlaceOrder("c", "bybit:BTCUSDT", Side.BUY, OrderType.MARKET, D(1))
    assert "price" not in wire.place_request(market, "linear")
    with pytest.raises(wire.WireError, match="expected a price"):
        wire.place_request(msgspec.structs.replace(limit, price=None), "linear")
    with pytest.raises(wire.WireError, match="bybit:BTCUSDT"):
        wire.native("alpaca:AAPL")


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
        ({"mode": BybitMode.DEMO, "rest_url": "https://api.bybit.com"}, "demo account's addresses"),
        ({"mode": BybitMode.LIVE, "rest_url": "https://api-demo.bybit.com"}, "live addresses"),
        ({"mode": BybitMode.DEMO, "streams": ("trades",)}, "found \\['trades'\\]"),
        ({"mode": BybitMode.DEMO, "bar_interval_s": 61}, "bar_interval_s"),
    ],
)  # fmt: skip
def test_settings_that_mix_modes_or_make_no_sense_are_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        BybitSettings(**fields)  # type: ignore[arg-type]
