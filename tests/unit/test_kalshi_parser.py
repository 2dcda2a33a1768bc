"""Kalshi's streams: one YES book, sequences, bars made of trades, and nothing that stops the stream."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exchanges.identities import Identities
from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.bars import BarBuilder
from exchanges.kalshi.books import YesBook
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.market import Levels
from exchanges.kalshi.parser import PrivateParser, PublicParser, decode
from exchanges.model.market import Bar, Book, Quote, Trade
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import FillReport, OrderReport, VenuePosition
from runtime.message import Message
from tests.unit.kalshi_samples import (
    DELTA,
    FILL,
    NOW_NS,
    ORDER,
    POSITION,
    SNAPSHOT,
    SYMBOL,
    TICK,
    TICKER,
    TRADE,
    frame,
    settings,
)

D = Decimal
SECOND = 1_000_000_000
MS = 1_000_000


class Reader:
    """A public parser with its counters, behind a connection that has just begun."""

    def __init__(self, *streams: str, tickers: tuple[str, ...] = (TICKER,)) -> None:
        self.counters: Counter[str] = Counter()
        self.moved: list[tuple[str, str]] = []
        told = settings(streams=streams or ("trade", "quote", "bar"))
        self.parser = PublicParser(
            told, tickers, self.counters, lambda ticker, event: self.moved.append((ticker, event))
        )
        self.parser.reset()
        self.parser.release({})

    def take(self, kind: str, message: dict[str, Any], *, sid: int = 1, seq: int = 0) -> list[Message]:
        return self.parser.take(decode(frame(kind, message, sid=sid, seq=seq)), NOW_NS)


def trade(ts_ns: int, price: str, size: str = "1.00", trade_id: str = "") -> dict[str, Any]:
    name = trade_id or f"t{ts_ns}-{price}"
    return {**TRADE, "trade_id": name, "ts_ms": ts_ns // MS, "yes_price_dollars": price, "count_fp": size}


# -- books -----------------------------------------------------------------------------------


def test_a_snapshot_becomes_a_quote_of_yes_and_a_delta_moves_it() -> None:
    reader = Reader("quote")
    (quote,) = reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    assert quote == Quote(SYMBOL, 0, 0, NOW_NS, NOW_NS, 0.45, 300.0, 0.47, 150.0)
    assert reader.take("orderbook_delta", DELTA, seq=2) == [], "a level behind the best changes no quote"
    (quote,) = reader.take("orderbook_delta", {**DELTA, "price_dollars": "0.4600", "delta_fp": "7.00"}, seq=3)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ts_ns) == (0.46, 7.0, 0.47, NOW_NS)
    (quote,) = reader.take("orderbook_delta", {**DELTA, "price_dollars": "0.4600", "delta_fp": "-7.00"}, seq=4)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size) == (0.45, 300.0)


def test_levels_of_no_come_in_prices_of_yes_and_change_the_asks() -> None:
    reader = Reader("quote")
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    change = {**DELTA, "side": "no", "price_dollars": "0.4700", "delta_fp": "-150.00"}
    (quote,) = reader.take("orderbook_delta", change, seq=2)
    assert isinstance(quote, Quote)
    assert (quote.ask, quote.ask_size) == (0.48, 20.0)


def test_the_best_price_an_order_meets_is_the_other_sides() -> None:
    reader = Reader("quote")
    assert reader.parser.best(TICKER, Side.BUY) is None
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    assert (reader.parser.best(TICKER, Side.BUY), reader.parser.best(TICKER, Side.SELL)) == (D("0.47"), D("0.45"))


def test_the_top_of_the_book_is_given_best_first() -> None:
    (book,) = Reader("book").take("orderbook_snapshot", SNAPSHOT, seq=1)
    assert isinstance(book, Book)
    assert book.bids == ((0.45, 300.0), (0.43, 5.0))
    assert book.asks == ((0.47, 150.0), (0.48, 20.0))


def test_a_book_with_an_empty_side_gives_no_quote() -> None:
    assert Reader("quote").take("orderbook_snapshot", {**SNAPSHOT, "no_dollars_fp": None}, seq=1) == []


def test_a_gap_in_the_sequence_spoils_every_book_of_its_subscription_until_a_snapshot() -> None:
    other = "KXOTHER-1"
    reader = Reader("quote", tickers=(TICKER, other))
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    reader.take("orderbook_snapshot", {**SNAPSHOT, "market_ticker": other}, seq=2)
    assert reader.take("orderbook_delta", {**DELTA, "price_dollars": "0.4600"}, seq=4) == []
    assert reader.parser.wanted == {TICKER: 1, other: 1}
    assert reader.parser.best(TICKER, Side.BUY) is None
    assert reader.counters["gaps_orderbook"] == 1
    reader.take("orderbook_snapshot", {**SNAPSHOT, "yes_dollars_fp": [["0.4600", "1.00"]]}, seq=5)
    assert reader.parser.wanted == {other: 1}
    assert reader.parser.best(TICKER, Side.SELL) == D("0.46")


def test_a_repeated_frame_changes_nothing() -> None:
    reader = Reader("quote")
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    reader.take("orderbook_delta", {**DELTA, "price_dollars": "0.4500", "delta_fp": "1.00"}, seq=2)
    assert reader.take("orderbook_delta", {**DELTA, "price_dollars": "0.4500", "delta_fp": "1.00"}, seq=2) == []
    assert reader.counters["frames_repeated"] == 1
    (quote,) = reader.take("orderbook_delta", {**DELTA, "price_dollars": "0.4500", "delta_fp": "1.00"}, seq=3)
    assert isinstance(quote, Quote)
    assert quote.bid_size == 302.0


@pytest.mark.parametrize("change", [{"price_dollars": "0.4500", "delta_fp": "-301.00"}, {"delta_fp": "-1.00"}])
def test_a_negative_level_asks_for_a_snapshot_and_is_not_passed_on(change: dict[str, str]) -> None:
    reader = Reader("quote")
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    assert reader.take("orderbook_delta", {**DELTA, **change}, seq=2) == []
    assert reader.parser.wanted == {TICKER: 1}
    assert reader.counters["books_spoilt"] == 1
    assert reader.take("orderbook_delta", DELTA, seq=3) == []
    assert reader.counters["book_updates_unusable"] == 1


CROSSING = [{"price_dollars": "0.4700", "side": "yes"}, {"price_dollars": "0.4500", "side": "no"}]


@pytest.mark.parametrize("change", CROSSING)
def test_a_crossed_book_is_not_passed_on_until_the_change_is_complete(change: dict[str, str]) -> None:
    reader = Reader("quote", "book")
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    assert reader.take("orderbook_delta", {**DELTA, **change}, seq=2) == []
    assert reader.parser.best(TICKER, Side.BUY) is None
    undone = {**DELTA, **change, "delta_fp": "-5.00"}
    assert len(reader.take("orderbook_delta", undone, seq=3)) == 1, "the book again, and a quote that is the same"
    assert reader.parser.best(TICKER, Side.BUY) == D("0.47")


@pytest.mark.parametrize("change", CROSSING)
def test_a_book_that_stays_crossed_asks_for_a_snapshot(change: dict[str, str]) -> None:
    reader = Reader("quote")
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    reader.take("orderbook_delta", {**DELTA, **change}, seq=2)
    reader.parser.overdue(NOW_NS + SECOND // 4)
    assert reader.parser.wanted == {}
    reader.parser.overdue(NOW_NS + SECOND)
    assert reader.parser.wanted == {TICKER: 1}
    assert reader.counters["books_crossed"] == 1


def test_a_delta_that_cannot_be_read_spoils_the_book_it_was_for() -> None:
    reader = Reader("quote")
    reader.take("orderbook_snapshot", SNAPSHOT, seq=1)
    with pytest.raises(WireError):
        reader.take("orderbook_delta", {**DELTA, "price_dollars": "7.0000"}, seq=2)
    assert reader.parser.wanted == {TICKER: 1}


def test_a_snapshot_that_crosses_is_not_believed() -> None:
    reader = Reader("quote")
    assert reader.take("orderbook_snapshot", {**SNAPSHOT, "no_dollars_fp": [["0.4500", "1.00"]]}, seq=1) == []
    assert reader.parser.wanted == {TICKER: 1}
    assert reader.counters["books_crossed"] == 1


def test_books_of_an_earlier_connection_are_not_used_in_the_next() -> None:
    reader = Reader("quote")
    reader.take("orderbook_snapshot", SNAPSHOT, sid=1, seq=7)
    reader.parser.reset()
    assert reader.parser.best(TICKER, Side.BUY) is None
    reader.take("orderbook_snapshot", SNAPSHOT, sid=1, seq=1)
    assert reader.parser.best(TICKER, Side.BUY) == D("0.47")


PRICES = st.integers(1, 99).map(lambda cents: D(cents) / 100)


@given(
    bids=st.dictionaries(PRICES, st.integers(1, 50).map(D)),
    asks=st.dictionaries(PRICES, st.integers(1, 50).map(D)),
    changes=st.lists(st.tuples(st.sampled_from(["yes", "no"]), PRICES, st.integers(-60, 60).map(D)), max_size=40),
    yes_scale=st.booleans(),
)
def test_a_valid_book_has_no_empty_level_and_never_gives_a_crossed_quote(
    bids: Levels, asks: Levels, changes: list[tuple[str, Decimal, Decimal]], yes_scale: bool
) -> None:
    book = YesBook(SYMBOL)
    book.replace(bids, asks)
    for side, price, delta in changes:
        held = book.change(side, price, delta, yes_scale=yes_scale)
        assert held is book.valid
        if book.valid:
            assert all(size > 0 for levels in (book.bids, book.asks) for size in levels.values())
            assert all(0 < price < 1 for levels in (book.bids, book.asks) for price in levels)
        quote = book.quote(1, 1)
        assert quote is None or (book.valid and quote.bid < quote.ask)


@given(price=PRICES, size=st.integers(1, 50).map(D))
def test_both_scales_of_no_lead_to_the_same_ask(price: Decimal, size: Decimal) -> None:
    ours, theirs = YesBook(SYMBOL), YesBook(SYMBOL)
    ours.replace({}, {})
    theirs.replace({}, {})
    ours.change("no", price, size, yes_scale=True)
    theirs.change("no", 1 - price, size, yes_scale=False)
    assert ours.asks == theirs.asks == {price: size}


# -- trades, tickers, lifecycle --------------------------------------------------------------


def test_a_trade_is_passed_on_once() -> None:
    reader = Reader("trade")
    assert reader.take("trade", TRADE, seq=1) == [Trade(SYMBOL, 0, 0, NOW_NS, NOW_NS, 0.45, 3.0, "sell", "p-1")]
    assert reader.take("trade", TRADE, seq=2) == []
    assert reader.counters["trades_repeated"] == 1


def test_a_ticker_becomes_a_quote_where_both_sides_are_there() -> None:
    reader = Reader("ticker")
    assert reader.take("ticker", TICK) == [Quote(SYMBOL, 0, 0, NOW_NS, NOW_NS, 0.45, 300.0, 0.47, 150.0)]
    assert reader.take("ticker", {**TICK, "yes_ask_dollars": "1.0000"}) == []
    assert reader.take("ticker", {**TICK, "yes_bid_dollars": "0.0000"}) == []
    with pytest.raises(WireError, match="below"):
        reader.take("ticker", {**TICK, "yes_bid_dollars": "0.4800"})


def test_a_lifecycle_event_of_one_of_our_markets_is_told() -> None:
    reader = Reader()
    reader.take("market_lifecycle_v2", {"market_ticker": TICKER, "event_type": "determined", "result": "yes"})
    reader.take("market_lifecycle_v2", {"market_ticker": "KXSOMEBODYELSES-1", "event_type": "created"})
    reader.take("event_lifecycle", {"event_ticker": "KXSOMEBODYELSES"})
    assert reader.moved == [(TICKER, "determined")]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("horoscope", {"market_ticker": TICKER}),
        ("trade", {**TRADE, "market_ticker": "KXNOTOURS-1"}),
        ("trade", {**TRADE, "taker_book_side": "middle"}),
        ("trade", {**TRADE, "ts_ms": (NOW_NS + 3_600 * SECOND) // MS}),
        ("orderbook_snapshot", {**SNAPSHOT, "yes_dollars_fp": [["0.4500"]]}),
        ("ticker", {**TICK, "yes_bid_dollars": "1.2000"}),
    ],
)
def test_a_frame_that_makes_no_sense_is_refused(kind: str, message: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="expected"):
        Reader("trade", "quote", "ticker").take(kind, message)


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}", '{"type": 5}', '{"type":"trade","sid":"x"}', "\ud800"])
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="expected a frame"):
        decode(text)


# -- bars ------------------------------------------------------------------------------------

MINUTE = 60 * SECOND
START = NOW_NS - NOW_NS % MINUTE - 10 * MINUTE


def bars(found: list[Message], *, closed: bool) -> list[Bar]:
    return [message for message in found if isinstance(message, Bar) and message.closed is closed]


def test_a_bar_is_closed_by_the_first_trade_of_a_later_interval() -> None:
    reader = Reader("bar")
    reader.take("trade", trade(START - MINUTE, "0.30"))
    for at, price in ((1, "0.40"), (20, "0.50"), (40, "0.35"), (59, "0.45")):
        found = reader.take("trade", trade(START + at * SECOND, price, "2.00"))
    (present,) = bars(found, closed=False)
    assert (present.open, present.high, present.low, present.close, present.volume) == (0.4, 0.5, 0.35, 0.45, 8.0)
    (closed,) = bars(reader.take("trade", trade(START + 3 * MINUTE, "0.60")), closed=True)
    assert (closed.ts_ns, closed.open, closed.high, closed.low, closed.close) == (START, 0.4, 0.5, 0.35, 0.45)
    assert (closed.volume, closed.interval_ns) == (8.0, MINUTE)


def test_other_data_of_a_later_time_closes_a_bar_too() -> None:
    reader = Reader("bar", "ticker")
    reader.take("trade", trade(START - MINUTE, "0.30"))
    reader.take("trade", trade(START, "0.40"))
    assert not bars(reader.take("ticker", {**TICK, "ts_ms": (START + MINUTE) // MS}), closed=True)
    (closed,) = bars(reader.take("ticker", {**TICK, "ts_ms": (START + MINUTE) // MS + 300}), closed=True)
    assert closed.ts_ns == START


def test_the_interval_a_stream_begins_in_gives_no_bar() -> None:
    reader = Reader("bar")
    assert not bars(reader.take("trade", trade(START + 30 * SECOND, "0.40")), closed=False)
    assert not bars(reader.take("trade", trade(START + MINUTE, "0.50")), closed=True)
    assert reader.counters["bars_incomplete"] == 1
    assert bars(reader.take("trade", trade(START + 2 * MINUTE, "0.50")), closed=True)


def test_a_gap_in_the_trades_costs_the_bar_it_is_in() -> None:
    reader = Reader("bar")
    reader.take("trade", trade(START - MINUTE, "0.30"), seq=1)
    reader.take("trade", trade(START, "0.40"), seq=2)
    reader.take("trade", trade(START + SECOND, "0.50"), seq=4)
    assert not bars(reader.take("trade", trade(START + MINUTE, "0.50"), seq=5), closed=True)
    assert reader.counters["gaps_trade"] == 1


def test_trades_fetched_after_a_reconnect_make_the_bar_whole() -> None:
    reader = Reader("trade", "bar")
    reader.take("trade", trade(START - MINUTE, "0.30"))
    reader.take("trade", trade(START, "0.40", "1.00", "a"))
    reader.parser.reset()
    assert reader.take("trade", trade(START + 9 * SECOND, "0.55", "1.00", "c")) == []
    missed = [
        Trade(SYMBOL, 0, 0, START, NOW_NS, 0.4, 1.0, "sell", "a"),
        Trade(SYMBOL, 0, 0, START + 5 * SECOND, NOW_NS, 0.7, 4.0, "sell", "b"),
    ]
    found = reader.parser.release({TICKER: missed})
    assert [message.trade_id for message in found if isinstance(message, Trade)] == ["b", "c"]
    (closed,) = bars(reader.take("trade", trade(START + MINUTE, "0.50")), closed=True)
    assert (closed.high, closed.close, closed.volume) == (0.7, 0.55, 6.0)


def test_a_bar_broken_off_by_a_reconnect_is_not_given_without_them() -> None:
    reader = Reader("trade", "bar")
    reader.take("trade", trade(START - MINUTE, "0.30"))
    reader.take("trade", trade(START, "0.40"))
    reader.parser.reset()
    reader.parser.release({})
    assert not bars(reader.take("trade", trade(START + MINUTE, "0.50")), closed=True)


@hypothesis_settings(max_examples=60)
@given(
    steps=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 99), st.integers(1, 9)), min_size=2, max_size=60),
    interval=st.sampled_from([7, 60, 300]),
)
def test_bars_hold_exactly_the_trades_of_their_interval(steps: list[tuple[int, int, int]], interval: int) -> None:
    builder, at = BarBuilder(interval * SECOND, Counter()), START
    builder.seen([SYMBOL], 0)
    made: list[Bar] = []
    trades: dict[int, list[Trade]] = {}
    for wait, cents, size in steps:
        at += wait * SECOND
        one = Trade(SYMBOL, 0, 0, at, at, cents / 100, float(size), "buy", str(len(made)))
        trades.setdefault(at - at % (interval * SECOND), []).append(one)
        made += [bar for bar in builder.trade(one) if bar.closed]
        made += [bar for bar in builder.reached(at) if bar.closed]
    made += list(builder.reached(at + 2 * interval * SECOND))
    assert [bar.ts_ns for bar in made] == sorted(trades)
    for bar in made:
        inside = [trade.price for trade in trades[bar.ts_ns]]
        assert (bar.open, bar.high, bar.low, bar.close) == (inside[0], max(inside), min(inside), inside[-1])
        assert bar.volume == sum(trade.size for trade in trades[bar.ts_ns])


# -- the account -----------------------------------------------------------------------------


class Account:
    """A private parser and what it learnt."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.ids = Identities()
        self.nameless: list[dict[str, Any]] = []
        self.parser = PrivateParser(self.counters, self.ids, Charges(settings()), self.nameless.append)

    def take(self, kind: str, message: dict[str, Any]) -> list[Message]:
        return self.parser.take(decode(frame(kind, message)))


def test_orders_fills_and_positions_are_reported() -> None:
    account = Account()
    (report,) = account.take("user_order", ORDER)
    assert isinstance(report, OrderReport)
    assert report.order.status is OrderStatus.PARTIALLY_FILLED
    (fill,) = account.take("fill", {**FILL, "client_order_id": ORDER["client_order_id"]})
    assert isinstance(fill, FillReport)
    assert fill.fill.client_id == ORDER["client_order_id"]
    (position,) = account.take("market_position", {"market_ticker": TICKER, "position_fp": POSITION["position_fp"]})
    assert isinstance(position, VenuePosition)
    assert position.quantity == D(-10)


def test_a_fill_without_our_id_is_given_it_where_the_order_is_known() -> None:
    account = Account()
    account.take("user_order", ORDER)
    (report,) = account.take("fill", FILL)
    assert isinstance(report, FillReport)
    assert report.fill.client_id == ORDER["client_order_id"]


def test_a_fill_of_an_unknown_order_waits_until_it_is_known_whose_it_is() -> None:
    account = Account()
    assert account.take("fill", FILL) == []
    assert account.nameless == [FILL]


def test_a_fill_of_somebody_elses_order_is_reported_without_an_id() -> None:
    account = Account()
    account.take("user_order", {**ORDER, "client_order_id": ""})
    (report,) = account.take("fill", FILL)
    assert isinstance(report, FillReport)
    assert report.fill.client_id == ""


def test_an_unknown_order_status_is_counted_and_ends_nothing() -> None:
    account = Account()
    (report,) = account.take("user_order", {**ORDER, "status": "hibernating"})
    assert isinstance(report, OrderReport)
    assert not report.order.status.final
    assert account.counters["order_status_unknown"] == 1


def test_the_oldest_identities_are_forgotten_first() -> None:
    ids = Identities(kept=2)
    for number in range(3):
        ids.learn(f"o{number}", f"c{number}", TICKER)
    assert (ids.order_id("c0"), ids.client_id("o0"), len(ids)) == ("", None, 2)
    assert (ids.order_id("c2"), ids.client_id("o1")) == ("o2", "c1")


def test_an_identity_once_known_is_not_lost_to_a_message_without_it() -> None:
    ids = Identities()
    ids.learn("o", "", TICKER)
    assert ids.client_id("o") == ""
    ids.learn("o", "c", TICKER)
    ids.learn("o", "", TICKER)
    assert (ids.client_id("o"), ids.order_id("c")) == ("c", "o")
