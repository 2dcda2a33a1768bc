"""Raw stream frames to ours. Whatever can't be read is counted and told, and the stream goes on."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.identities import Identities
from exchanges.kalshi import amounts, market, wire
from exchanges.kalshi.amounts import SECOND, Fields, WireError
from exchanges.kalshi.bars import BarBuilder
from exchanges.kalshi.books import YesBook
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.settings import KalshiSettings
from exchanges.model.market import MarketData, Quote, Trade
from exchanges.model.order import Side
from exchanges.model.venue import FillReport, OrderReport
from runtime.message import Message

_TRADES_KEPT = 512
"""Trade ids remembered of each market, to know again what is fetched after a gap."""


ANSWERS = ("subscribed", "ok", "unsubscribed")
_CROSSED_NS = SECOND // 2
_AHEAD_NS = 600 * SECOND
"""How far the venue's clock may be ahead of ours."""


class Frame(msgspec.Struct):
    """What every frame of the venue's is made of; answers to commands have an ``id``, data a ``sid``."""

    type: str
    sid: int = 0
    seq: int = 0
    id: int = 0
    msg: Any = None

    @property
    def fields(self) -> dict[str, Any]:
        """What it says; raises ``WireError`` where that isn't an object."""
        if not isinstance(self.msg, dict):
            raise WireError(f"expected an object in msg of a {self.type[:80]!r}, found {type(self.msg).__name__}")
        return self.msg


_decode = msgspec.json.Decoder(Frame).decode


def decode(text: str | bytes) -> Frame:
    """The frame in ``text``; raises ``WireError`` if it is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(f"expected a frame with a type, found {error}") from error


class PublicParser:
    """Books, quotes, trades and bars of the public channels, over all connections of one stream.

    ``moved`` is told the ticker of each lifecycle event. Markets whose book has to be sent anew
    wait in ``wanted``, by the subscription their book came on.
    """

    def __init__(
        self,
        settings: KalshiSettings,
        tickers: Sequence[str],
        counters: Counter[str],
        moved: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._moved = moved
        self._tickers = frozenset(tickers)
        self._symbols = tuple(market.full(ticker) for ticker in tickers)
        self._books: dict[str, YesBook] = {}
        self._crossed: dict[str, tuple[int, int]] = {}
        """By ticker, the subscription of a crossed book and since when (received) it is."""
        self._quotes: dict[str, tuple[float, float, float, float]] = {}
        self._bars = BarBuilder(settings.bar_interval_s * SECOND, counters) if "bar" in settings.streams else None
        self._last: dict[int, int] = {}
        """By subscription, the number of its last frame."""
        self._kinds: dict[int, str] = {}
        """By subscription, what it is of: ``orderbook``, ``trade``, ``ticker``."""
        self._trades: dict[str, OrderedDict[str, None]] = {}
        self._held: list[Trade] | None = None
        self.clock_ns = 0
        """The newest time any data bore."""
        self.wanted: dict[str, int] = {}
        self._takers: dict[str, Callable[[Frame, Fields, int], Iterator[Message]]] = {
            "orderbook_snapshot": self._snapshot,
            "orderbook_delta": self._delta,
            "trade": self._trade,
            "ticker": self._ticker,
            "market_lifecycle_v2": self._lifecycle,
            "multivariate_market_lifecycle": self._lifecycle,
            "event_lifecycle": self._ignored,
            "event_fee_update": self._ignored,
        }

    # -- connections -----------------------------------------------------------------------

    def reset(self) -> None:
        """A new connection begins: books need a snapshot; trades wait until ``release`` fills the gap."""
        self._last.clear()
        self._kinds.clear()
        self._books.clear()
        self._crossed.clear()
        self._quotes.clear()
        self.wanted.clear()
        self._held = []

    def release(self, fetched: Mapping[str, Sequence[Trade]]) -> list[Message]:
        """Go on with trades: first those ``fetched`` by ticker (all since the last seen), then those held back.

        A market that is not in ``fetched`` has a gap.
        """
        held, self._held = self._held or [], None
        made: list[Message] = []
        for ticker in sorted(self._tickers):
            if ticker in fetched:
                for trade in sorted(fetched[ticker], key=lambda trade: trade.ts_ns):
                    made.extend(self._traded(trade, ticker))
            elif self._bars is not None:
                self._bars.missed(market.full(ticker))
        for trade in held:
            made.extend(self._traded(trade, market.native(trade.symbol)))
        return made

    def best(self, ticker: str, side: Side) -> Decimal | None:
        """The best price an order of ``side`` would meet; ``None`` without a book that holds."""
        book = self._books.get(ticker)
        if book is None:
            return None
        return book.best_ask if side is Side.BUY else book.best_bid

    # -- frames ----------------------------------------------------------------------------

    def take(self, frame: Frame, recv_ns: int) -> list[Message]:
        """The messages in a data frame.

        Raises:
            WireError: it can't be read; what it leaves uncertain is marked so.
        """
        taker = self._takers.get(frame.type)
        if taker is None:
            self._counters["frames_unknown"] += 1
            raise WireError(f"expected a known type of frame, found {frame.type[:80]!r}")
        fields = frame.fields
        self._kinds[frame.sid] = frame.type.partition("_")[0]
        return list(taker(frame, fields, recv_ns)) if self.numbered(frame) else []

    def numbered(self, frame: Frame) -> bool:
        """Whether a frame is new; a gap before it spoils what its subscription kept up to date.

        Answers to changes of a subscription bear a number of its sequence too.
        """
        if not frame.seq or (frame.sid not in self._last and frame.type in ANSWERS):
            return True
        last = self._last.get(frame.sid)
        snapshot = frame.type == "orderbook_snapshot"
        if last is not None and frame.seq <= last and not (snapshot and frame.seq == last):
            self._counters["frames_repeated"] += 1
            return False
        self._last[frame.sid] = frame.seq
        if last is not None and frame.seq > last + 1:
            self._gap(frame.sid, self._kinds.get(frame.sid, ""))
        return True

    def _gap(self, sid: int, kind: str) -> None:
        self._counters[f"gaps_{kind}"] += 1
        if kind == "orderbook":
            for ticker, book in self._books.items():
                book.valid = False
                self.wanted[ticker] = sid
        elif kind == "trade" and self._bars is not None:
            for symbol in self._symbols:
                self._bars.missed(symbol)

    def _known(self, fields: Fields) -> str:
        ticker = amounts.text(fields, "market_ticker", "ticker")
        if ticker not in self._tickers:
            raise WireError(f"expected one of the subscribed markets, found {ticker!r}")
        return ticker

    def _time(self, fields: Fields, recv_ns: int) -> int:
        """The time of the data, which moves the clock of the bars; the newest known where it has none."""
        found = amounts.instant(fields, "ts_ms", "ts", "created_time")
        if found > recv_ns + _AHEAD_NS:
            raise WireError(f"expected data of the past, found {found} ns received at {recv_ns} ns")
        self.clock_ns = max(self.clock_ns, found)
        return found or self.clock_ns or recv_ns

    # -- books -----------------------------------------------------------------------------

    def _snapshot(self, frame: Frame, fields: Fields, recv_ns: int) -> Iterator[MarketData]:
        ticker = self._known(fields)
        book = self._books.setdefault(ticker, YesBook(market.full(ticker)))
        book.valid = False
        self.wanted[ticker] = frame.sid
        self._crossed.pop(ticker, None)
        bids = market.levels(_first(fields, "yes_dollars_fp", "yes_dollars"), "yes_dollars_fp", flipped=False)
        # The subscription asks for prices of YES on both sides.
        asks = market.levels(_first(fields, "no_dollars_fp", "no_dollars"), "no_dollars_fp", flipped=False)
        if not book.replace(bids, asks):
            self._counters["books_crossed"] += 1
            return
        del self.wanted[ticker]
        yield from self._shown(ticker, book, self._time(fields, recv_ns), recv_ns)

    def _delta(self, frame: Frame, fields: Fields, recv_ns: int) -> Iterator[MarketData]:
        ticker = self._known(fields)
        book = self._books.get(ticker)
        if book is None or not book.valid:
            self._counters["book_updates_unusable"] += 1
            self.wanted.setdefault(ticker, frame.sid)
            return
        book.valid = False
        self.wanted[ticker] = frame.sid
        side = amounts.text(fields, "side")
        price = amounts.traded_price(amounts.dollars(fields, "price"), "price_dollars")
        delta = amounts.count(fields, "delta")
        if delta is None:
            raise WireError("expected delta_fp, found none")
        ts_ns = self._time(fields, recv_ns)
        book.valid = True
        if not book.change(side, price, delta, yes_scale=True):
            self._counters["books_spoilt"] += 1
            return
        del self.wanted[ticker]
        yield from self._reached(ts_ns)
        if book.crossed:
            self._crossed.setdefault(ticker, (frame.sid, recv_ns))
            self.overdue(recv_ns)
            return
        self._crossed.pop(ticker, None)
        yield from self._shown(ticker, book, ts_ns, recv_ns)

    def overdue(self, now_ns: int) -> None:
        """Give up the books that have been crossed for too long: no change takes that long to arrive."""
        for ticker, (sid, since_ns) in list(self._crossed.items()):
            if now_ns - since_ns > _CROSSED_NS:
                del self._crossed[ticker]
                self._counters["books_crossed"] += 1
                self._books[ticker].valid = False
                self.wanted[ticker] = sid

    def _shown(self, ticker: str, book: YesBook, ts_ns: int, recv_ns: int) -> Iterator[MarketData]:
        if "quote" in self._settings.streams:
            yield from self._quoted(ticker, book.quote(ts_ns, recv_ns))
        if "book" in self._settings.streams:
            yield book.book(ts_ns, recv_ns, self._settings.book_levels)

    def _quoted(self, ticker: str, quote: Quote | None) -> Iterator[Quote]:
        """A quote, unless it says what the last one said."""
        if quote is None:
            return
        told = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        if self._quotes.get(ticker) != told:
            self._quotes[ticker] = told
            yield quote

    # -- trades and tickers ----------------------------------------------------------------

    def _trade(self, frame: Frame, fields: Fields, recv_ns: int) -> Iterator[MarketData]:
        ticker = self._known(fields)
        trade = market.trade(fields, recv_ns)
        self._time(fields, recv_ns)
        if self._held is not None:
            self._held.append(trade)
            return
        yield from self._traded(trade, ticker)

    def _traded(self, trade: Trade, ticker: str) -> Iterator[MarketData]:
        """A trade once, and the bars it changes."""
        seen = self._trades.setdefault(ticker, OrderedDict())
        if trade.trade_id in seen:
            self._counters["trades_repeated"] += 1
            return
        seen[trade.trade_id] = None
        if len(seen) > _TRADES_KEPT:
            seen.popitem(last=False)
        if "trade" in self._settings.streams:
            yield trade
        if self._bars is not None:
            yield from self._bars.trade(trade)
        yield from self._reached(trade.ts_ns)

    def _ticker(self, frame: Frame, fields: Fields, recv_ns: int) -> Iterator[MarketData]:
        ticker, ts_ns = self._known(fields), self._time(fields, recv_ns)
        bid, ask = amounts.dollars(fields, "yes_bid"), amounts.dollars(fields, "yes_ask")
        sizes = [amounts.not_negative(amounts.count(fields, f"yes_{side}_size"), "size") for side in ("bid", "ask")]
        yield from self._reached(ts_ns)
        if bid is None or ask is None or bid == 0 or ask in (0, 1):
            return
        best = [amounts.traded_price(price, name) for price, name in ((bid, "yes_bid"), (ask, "yes_ask"))]
        if bid >= ask:
            raise WireError(f"expected yes_bid below yes_ask, found {bid} and {ask}")
        made = [float(value) for value in (best[0], sizes[0], best[1], sizes[1])]
        if "ticker" in self._settings.streams:
            yield Quote(market.full(ticker), 0, 0, ts_ns, recv_ns, *made)

    def _reached(self, ts_ns: int) -> Iterator[MarketData]:
        if self._bars is not None and self._held is None:
            self._bars.seen(self._symbols, ts_ns)
            yield from self._bars.reached(ts_ns)

    # -- the rest --------------------------------------------------------------------------

    def _lifecycle(self, frame: Frame, fields: Fields, recv_ns: int) -> Iterator[MarketData]:
        """All markets' events come here; those of ours are looked into."""
        ticker = amounts.text(fields, "market_ticker")
        if ticker in self._tickers:
            self._moved(ticker, amounts.text(fields, "event_type"))
        yield from ()

    def _ignored(self, frame: Frame, fields: Fields, recv_ns: int) -> Iterator[MarketData]:
        yield from ()


class PrivateParser:
    """Orders, fills and positions of the private channels.

    ``nameless`` is given the row of a fill whose order isn't known by our id: it is reported once
    that has been found out, so that no fill of ours is taken for somebody else's.
    """

    def __init__(
        self,
        counters: Counter[str],
        identities: Identities,
        charges: Charges,
        nameless: Callable[[dict[str, Any]], None],
    ) -> None:
        self._counters = counters
        self._ids = identities
        self._charges = charges
        self._nameless = nameless

    def take(self, frame: Frame) -> list[Message]:
        """The messages in a data frame; raises ``WireError`` if it can't be read."""
        fields = frame.fields
        if frame.type == "user_order":
            order = wire.order(fields)
            if not wire.known_status(str(fields.get("status"))):
                self._counters["order_status_unknown"] += 1
            self._ids.seen(order)
            return [OrderReport(order)]
        if frame.type == "fill":
            return self._fill(fields)
        if frame.type == "market_position":
            return [wire.position(fields)]
        self._counters["frames_unknown"] += 1
        raise WireError(f"expected a known type of frame, found {frame.type[:80]!r}")

    def _fill(self, fields: dict[str, Any]) -> list[Message]:
        order_id = amounts.text(fields, "order_id")
        told = amounts.optional_text(fields, "client_order_id")
        client_id = told or self._ids.client_id(order_id)
        if client_id is None:
            # Read once, so that what makes no sense is told now.
            wire.fill(fields, "", lambda *of: amounts.ZERO)
            self._nameless(fields)
            return []
        fill = wire.fill(fields, client_id, self._charges.fee)
        self._ids.learn(order_id, told, amounts.text(fields, "market_ticker", "ticker"))
        return [FillReport(fill)]


def _first(fields: Fields, *names: str) -> object:
    return next((fields[name] for name in names if fields.get(name) is not None), None)
