"""Raw stream messages to ours. Whatever can't be read is counted and told, and the stream goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from exchanges.bybit import wire
from exchanges.bybit.books import OrderBook
from exchanges.bybit.settings import BybitSettings
from exchanges.bybit.symbols import CATEGORIES, LINEAR, full
from exchanges.model.market import MarketData
from exchanges.model.venue import BalanceReport, FillReport, OrderReport
from runtime.message import Message

_MALFORMED = (msgspec.DecodeError, ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


class Parser:
    """Keeps the books and tickers of one public stream, or nothing for the private one.

    ``category`` is the public stream's; private rows name theirs. ``broken`` is called when a book can't
    be kept any more: only a new subscription brings a snapshot.
    """

    def __init__(
        self,
        settings: BybitSettings,
        counters: Counter[str],
        malformed: Callable[[str, str], None],
        category: str = LINEAR,
        broken: Callable[[str], None] | None = None,
    ) -> None:
        self._broken = broken
        self._settings = settings
        self._category = category
        self._counters = counters
        self._malformed = malformed
        self._books: dict[str, OrderBook] = {}
        self._tickers: dict[str, wire.TickerRow] = {}

    def reset(self) -> None:
        """A new connection begins: deltas need a snapshot first."""
        self._books.clear()
        self._tickers.clear()

    def parse(self, text: str, recv_ns: int) -> Sequence[Message]:
        """The messages in ``text``; none for answers, heartbeats and what can't be read."""
        try:
            if text.startswith('{"topic":"publicTrade.'):
                return wire.trades(text, recv_ns, self._category)
            return self._other(text, recv_ns)
        except _MALFORMED as error:
            self._malformed(text, f"{type(error).__name__}: {error}")
            return ()

    def _other(self, text: str, recv_ns: int) -> Sequence[Message]:
        envelope = wire.decode_envelope(text)
        kind = envelope.topic.partition(".")[0]
        if kind == "publicTrade":
            return wire.trades(text, recv_ns, self._category)
        if kind == "orderbook":
            return self._book(wire.decode_book(text), recv_ns)
        if kind == "kline":
            return wire.bars(text, recv_ns, self._category)
        if kind == "tickers":
            return self._ticker(wire.decode_ticker(text), recv_ns)
        # The whole topic: its relatives (execution.fast) say less, a fill without its fee for one.
        if envelope.topic in ("order", "execution", "position", "wallet"):
            return self._private(kind, envelope)
        if not envelope.op:
            raise wire.WireError(f"expected a known topic or an op, found topic {envelope.topic!r}")
        return ()

    def _book(self, message: wire.BookMessage, recv_ns: int) -> Sequence[MarketData]:
        book = self._books.get(message.topic)
        if book is None:
            book = self._books[message.topic] = OrderBook(full(message.data.s, self._category))
        kept = book.valid
        try:
            usable = book.apply(message)
        finally:
            if kept and not book.valid:
                self._counters["books_broken"] += 1
            if kept and not book.valid and self._broken is not None:
                self._broken(f"expected updates that fit the book of {book.symbol}, found one that doesn't")
        if not usable:
            self._counters["book_updates_unusable"] += 1
            return ()
        ts_ns = (message.cts or message.ts) * wire.MS
        if message.topic.startswith("orderbook.1."):
            quote = book.quote(ts_ns, recv_ns)
            return (quote,) if quote is not None else ()
        if not book.bids or not book.asks:
            return ()
        return (book.book(ts_ns, recv_ns, self._settings.book_levels),)

    def _ticker(self, message: wire.TickerMessage, recv_ns: int) -> Sequence[MarketData]:
        """Tickers come as changes: what is missing is as it was."""
        new, old = message.data, self._tickers.get(message.data.symbol)
        if old is not None:
            kept = {name: getattr(new, name) or getattr(old, name) for name in wire.TickerRow.__struct_fields__}
            new = wire.TickerRow(**kept)
        self._tickers[new.symbol] = new
        quote = wire.ticker_quote(new, message.ts, recv_ns, self._category)
        marked = wire.ticker(new, message.ts, recv_ns, self._category)
        return [piece for piece in (quote, marked) if piece is not None]

    def _private(self, kind: str, envelope: wire.Envelope) -> Sequence[Message]:
        made: list[Message] = []
        for row in wire.decode_rows(envelope.data):
            if row.get("category", LINEAR) not in CATEGORIES:
                self._counters["other_categories"] += 1
                continue
            try:
                made.extend(_report(kind, row))
            except _MALFORMED as error:
                self._malformed(msgspec.json.encode(row).decode(), f"{type(error).__name__}: {error}")
        return made


def _report(kind: str, row: dict[str, object]) -> Sequence[Message]:
    if kind == "order":
        return (OrderReport(wire.order(row)),)
    if kind == "execution":
        fill, paid = wire.fill(row), wire.payment(row)
        return [*([FillReport(fill)] if fill is not None else ()), *([paid] if paid is not None else ())]
    if kind == "position":
        return (wire.position(row),)
    return (BalanceReport(wire.balances(row)),)
