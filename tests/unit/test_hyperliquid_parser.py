"""Frames of the stream: candles close, trades come once, the past is not told again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from exchanges.fields import WireError
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.parser import PrivateParser, PublicParser, decode
from exchanges.hyperliquid.streams import PublicStream, public_subscriptions
from exchanges.identities import Identities
from exchanges.model.market import Bar, Book, Quote, Ticker, Trade
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import FillReport, OrderReport, PaymentReport
from runtime.message import Message
from tests.unit import hyperliquid_samples as samples
from tests.unit.hyperliquid_samples import CLIENT_ID, CLOID, COIN, NOW_MS, NOW_NS, SYMBOL, D, settings

MINUTE_MS = 60_000
START_MS = NOW_MS // MINUTE_MS * MINUTE_MS


class Desk:
    def __init__(self, **changes: Any) -> None:
        self.counters: Counter[str] = Counter()
        told = settings(streams=("trade", "quote", "bar", "book", "ticker"), **changes)
        self.public = PublicParser(told, [COIN], self.counters)
        self.public.reset()
        self.ids, self.nameless, self.malformed = Identities(), list[Any](), list[str]()
        self.private = PrivateParser(self.counters, Cloids(), self.ids, self.nameless.append)

    def heard(self, channel: str, data: Any) -> list[Any]:
        frame = decode(msgspec.json.encode({"channel": channel, "data": data}))
        return list(self.public.take(frame, NOW_NS))

    def told(self, channel: str, data: Any) -> list[Any]:
        frame = decode(msgspec.json.encode({"channel": channel, "data": data}))
        return list(self.private.take(frame, lambda text, problem: self.malformed.append(problem)))

    def candle(self, start_ms: int, close: str = "61795.0") -> list[Bar]:
        return self.heard("candle", {**samples.CANDLE, "t": start_ms, "T": start_ms + 59_999, "c": close})


# -- market data -----------------------------------------------------------------------------


def test_each_channel_becomes_its_kind_of_market_data() -> None:
    desk = Desk()
    (trade,) = desk.heard("trades", [samples.TRADE])
    assert trade == Trade(SYMBOL, 0, 0, NOW_NS, NOW_NS, 61_795.0, 0.00123, "sell", "118906512037719")
    (quote,) = desk.heard("bbo", samples.BBO)
    assert quote == Quote(SYMBOL, 0, 0, NOW_NS, NOW_NS, 61_795.0, 1.5, 61_796.0, 0.4)
    (book,) = desk.heard("l2Book", samples.BOOK)
    assert book == Book(SYMBOL, 0, 0, NOW_NS, NOW_NS, ((61_795.0, 1.5), (61_794.0, 2.0)), ((61_796.0, 0.4),))
    (ticker,) = desk.heard("activeAssetCtx", samples.CONTEXT)
    assert isinstance(ticker, Ticker)
    assert (ticker.mark, ticker.index, ticker.funding_rate) == (61_795.5, 61_790.0, 0.0000125)
    assert ticker.funding_ns % (3_600 * 10**9) == 0
    assert ticker.funding_ns > NOW_NS


def test_the_wanted_streams_are_subscribed_to_for_every_perpetual() -> None:
    wanted = public_subscriptions(settings(streams=("trade", "bar")), ["BTC", "ETH"])
    assert wanted == [
        {"type": "trades", "coin": "BTC"}, {"type": "candle", "coin": "BTC", "interval": "1m"},
        {"type": "trades", "coin": "ETH"}, {"type": "candle", "coin": "ETH", "interval": "1m"},
    ]  # fmt: skip


def test_the_best_price_is_that_of_the_other_side_and_unknown_without_one() -> None:
    desk = Desk()
    assert desk.public.best(COIN, Side.BUY) is None
    desk.heard("bbo", samples.BBO)
    assert (desk.public.best(COIN, Side.BUY), desk.public.best(COIN, Side.SELL)) == (D("61796.0"), D("61795.0"))
    assert desk.heard("bbo", {**samples.BBO, "bbo": [None, samples.BBO["bbo"][1]]}) == []
    assert desk.public.best(COIN, Side.SELL) is None
    desk.heard("bbo", samples.BBO)
    desk.public.reset()
    assert desk.public.best(COIN, Side.BUY) is None


def test_a_trade_comes_once_over_all_connections() -> None:
    desk = Desk()
    assert len(desk.heard("trades", [samples.TRADE, samples.TRADE])) == 1
    desk.public.reset()
    assert len(desk.heard("trades", [samples.TRADE, {**samples.TRADE, "tid": 2}])) == 1
    assert desk.counters["trades_repeated"] == 2


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        ("trades", [{**samples.TRADE, "coin": "ETH"}]),
        ("trades", [{**samples.TRADE, "time": NOW_MS + 700_000}]),
        ("trades", {"coin": COIN}),
        ("bbo", {**samples.BBO, "bbo": samples.BBO["bbo"][::-1]}),
        ("l2Book", {**samples.BOOK, "levels": samples.BOOK["levels"][::-1]}),
        ("candle", {**samples.CANDLE, "i": "5m"}),
        ("candle", {**samples.CANDLE, "h": "1.0"}),
        ("activeAssetCtx", {**samples.CONTEXT, "ctx": {**samples.CONTEXT["ctx"], "funding": "0.5"}}),
        ("novelty", {}),
    ],
)
def test_what_makes_no_sense_is_refused(channel: str, data: Any) -> None:
    with pytest.raises(WireError):
        Desk().heard(channel, data)


# -- candles ---------------------------------------------------------------------------------


def test_a_candle_is_closed_by_the_next_one() -> None:
    desk = Desk()
    assert [bar.closed for bar in desk.candle(START_MS)] == [False]
    made = desk.candle(START_MS + MINUTE_MS)
    assert [(bar.ts_ns // 10**6, bar.closed) for bar in made] == [(START_MS, True), (START_MS + MINUTE_MS, False)]


def test_a_candle_is_closed_by_other_data_a_second_after_its_end_and_not_before() -> None:
    desk = Desk()
    desk.candle(START_MS)
    early = desk.heard("trades", [{**samples.TRADE, "tid": 2, "time": START_MS + MINUTE_MS + 900}])
    assert not [bar for bar in early if isinstance(bar, Bar)]
    late = desk.heard("bbo", {**samples.BBO, "time": START_MS + MINUTE_MS + 1_000})
    assert [(bar.closed, bar.close) for bar in late if isinstance(bar, Bar)] == [(True, 61_795.0)]
    assert desk.candle(START_MS, "61800.0") == []
    assert desk.counters["candles_late"] == 1


def test_a_candle_that_ended_without_a_connection_is_fetched_and_given_once() -> None:
    desk = Desk()
    (held,) = desk.candle(START_MS)
    desk.public.reset()
    assert desk.public.unfinished == {SYMBOL: START_MS * 10**6}
    assert [bar.closed for bar in desk.candle(START_MS + MINUTE_MS)] == [False]
    whole = msgspec.structs.replace(held, close=61_800.0)
    assert [(bar.close, bar.closed) for bar in desk.public.closed(whole)] == [(61_800.0, True)]
    assert list(desk.public.closed(whole)) == []


def test_what_was_missed_between_two_connections_is_fetched_and_a_failure_loses_data_alone() -> None:
    desk, told, asked = Desk(), list[Message](), list[tuple[str, int]]()
    (held,) = desk.candle(START_MS)

    async def missed(symbol: str, since_ns: int) -> list[Bar]:
        asked.append((symbol, since_ns))
        if len(asked) > 1:
            raise ConnectionError("gone")
        return [held, msgspec.structs.replace(held, ts_ns=held.ts_ns + MINUTE_MS * 10**6)]

    async def ready() -> None:
        return

    stream = PublicStream([COIN], desk.public, missed, settings(), told.append, desk.counters, ready)
    desk.public.reset()
    asyncio.run(stream.caught_up())
    assert [(bar.ts_ns // 10**6, bar.closed) for bar in told if isinstance(bar, Bar)] == [
        (START_MS, True),
        (START_MS + MINUTE_MS, True),
    ]
    desk.candle(START_MS + 2 * MINUTE_MS)
    desk.public.reset()
    asyncio.run(stream.caught_up())
    assert desk.counters["backfills_failed"] == 1
    assert [since // 10**6 for _, since in asked] == [START_MS, START_MS + 2 * MINUTE_MS]


# -- the account -----------------------------------------------------------------------------


def test_orders_and_fills_and_fundings_are_reported() -> None:
    desk = Desk()
    (order,) = desk.told("orderUpdates", [samples.REPORT])
    assert isinstance(order, OrderReport)
    assert order.order.client_id == CLIENT_ID
    (fill,) = desk.told("userFills", {"user": "0x1", "fills": [samples.FILL]})
    assert isinstance(fill, FillReport)
    assert fill.fill.client_id == CLIENT_ID
    (paid,) = desk.told("userFundings", {"user": "0x1", "fundings": [samples.FUNDING]})
    assert isinstance(paid, PaymentReport)


def test_a_picture_of_the_past_is_left_to_the_reconciliation() -> None:
    desk = Desk()
    assert (
        desk.told("userFills", {"isSnapshot": True, "user": "0x1", "fills": [{**samples.FILL, "cloid": CLOID}]}) == []
    )
    assert desk.told("userFundings", {"isSnapshot": True, "user": "0x1", "fundings": [samples.FUNDING]}) == []
    assert not desk.nameless


def test_a_fill_that_names_its_cloid_needs_no_look_and_one_of_an_unknown_order_is_looked_up() -> None:
    desk = Desk()
    (fill,) = desk.told("userFills", {"user": "0x1", "fills": [{**samples.FILL, "cloid": CLOID}]})
    assert fill.fill.client_id == CLIENT_ID
    assert desk.told("userFills", {"user": "0x1", "fills": [samples.FILL]}) == []
    assert desk.nameless == [samples.FILL]


def test_a_row_that_can_not_be_read_loses_none_of_the_others() -> None:
    desk = Desk()
    bad = {**samples.REPORT, "order": {**samples.ORDER, "sz": "-1"}}
    assert len(desk.told("orderUpdates", [bad, samples.REPORT])) == 1
    assert len(desk.malformed) == 1


def test_an_unknown_status_ends_nothing_and_is_counted() -> None:
    desk = Desk()
    (told,) = desk.told("orderUpdates", [{**samples.REPORT, "status": "somethingNew"}])
    assert told.order.status is OrderStatus.PARTIALLY_FILLED
    assert desk.counters["order_status_unknown"] == 1


def test_other_markets_of_the_account_are_passed_over() -> None:
    desk = Desk()
    assert desk.told("orderUpdates", [{**samples.REPORT, "order": {**samples.ORDER, "coin": "@107"}}]) == []
    assert desk.told("userFills", {"user": "0x1", "fills": [{**samples.FILL, "coin": "PURR/USDC"}]}) == []
    assert desk.counters["other_markets"] == 2


def test_an_unknown_channel_of_the_account_is_refused() -> None:
    with pytest.raises(WireError, match="expected a known channel"):
        Desk().told("novelty", [])
