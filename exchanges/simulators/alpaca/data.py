"""The data interface: bars, quotes, trades, order books and snapshots of stocks and crypto."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from exchanges.simulators.alpaca import wire
from exchanges.simulators.alpaca.bars import CountedBar, frame
from exchanges.simulators.alpaca.errors import BAD_REQUEST, ApiError
from exchanges.simulators.alpaca.instruments import is_crypto
from exchanges.simulators.alpaca.request import Asked, Call, Reply
from exchanges.simulators.alpaca.wire import Json
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.rest import CallKind, Route
from exchanges.simulators.feeds.row import TS

STOCKS, CRYPTO = "/v2/stocks", "/v1beta3/crypto/us"
MOST_ROWS = 10_000
_MINUTE = "1Min"
_DAY = "1Day"

History = Callable[[Asked, SymbolMarket], Iterator[Json]]
"""A symbol's rows in the time asked for, oldest first."""
Latest = Callable[[Asked, SymbolMarket], Json | None]


def _markets(asked: Asked, *, crypto: bool) -> list[SymbolMarket]:
    """The markets of the symbols asked for; those that aren't listed are left out, as the venue does."""
    if not asked.names("symbols"):
        raise ApiError(BAD_REQUEST, "symbols is required")
    found = (asked.desk.venue.markets.get(name) for name in asked.names("symbols"))
    return sorted((m for m in found if m is not None and is_crypto(m.instrument) is crypto), key=lambda m: m.key)


def _within(asked: Asked) -> tuple[int, int]:
    """Start and end, both included; by default today so far."""
    now = asked.desk.venue.now_ns()
    day = 86_400_000_000_000
    return asked.time("start", now - now % day), asked.time("end", now, end_of_day=True)


def _bars(asked: Asked, market: SymbolMarket) -> Iterator[Json]:
    start, end = _within(asked)
    crypto = is_crypto(market.instrument)
    cut = frame(asked.query.get("timeframe", ""), crypto=crypto)
    for candle, count in asked.publisher.bars.series(market, cut):
        if start <= candle.start * 1_000_000 <= end:
            yield wire.bar(candle, count)


def _trades(asked: Asked, market: SymbolMarket) -> Iterator[Json]:
    start, end = _within(asked)
    crypto = is_crypto(market.instrument)
    return (wire.trade(row, crypto=crypto) for row in market.recent if start <= row[TS] <= end)


def _quotes(asked: Asked, market: SymbolMarket) -> Iterator[Json]:
    start, end = _within(asked)
    crypto = is_crypto(market.instrument)
    kept = asked.publisher.quotes.get(market.key, ())
    return (wire.quote(levels, at, crypto=crypto) for at, levels in kept if start <= at <= end)


def _latest_trade(asked: Asked, market: SymbolMarket) -> Json | None:
    return wire.trade(market.recent[-1], crypto=is_crypto(market.instrument)) if market.recent else None


def _latest_quote(asked: Asked, market: SymbolMarket) -> Json | None:
    """The best prices of the moment, at the time at which they became that."""
    levels, kept = asked.publisher.levels(market), asked.publisher.quotes.get(market.key)
    if levels is None:
        return None
    known = kept is not None and len(kept) > 0 and kept[-1][1] == levels
    at = kept[-1][0] if kept is not None and known else asked.desk.venue.now_ns()
    return wire.quote(levels, at, crypto=is_crypto(market.instrument))


def _bar(asked: Asked, market: SymbolMarket, name: str, back: int = 1) -> Json | None:
    bars: list[CountedBar] = asked.publisher.bars.series(market, frame(name, crypto=is_crypto(market.instrument)))
    return wire.bar(*bars[-back]) if len(bars) >= back else None


def _latest_bar(asked: Asked, market: SymbolMarket) -> Json | None:
    return _bar(asked, market, _MINUTE)


def _latest_book(asked: Asked, market: SymbolMarket) -> Json | None:
    return asked.publisher.book(market) if market.last else None


def _snapshot(asked: Asked, market: SymbolMarket) -> Json | None:
    return {
        "latestTrade": _latest_trade(asked, market),
        "latestQuote": _latest_quote(asked, market),
        "minuteBar": _latest_bar(asked, market),
        "dailyBar": _bar(asked, market, _DAY),
        "prevDailyBar": _bar(asked, market, _DAY, back=2),
    }


def _history(name: str, rows: History, *, crypto: bool) -> Call:
    """Pages of ``limit`` rows, symbol after symbol; ``next_page_token`` is where the next one starts."""

    def call(asked: Asked) -> Reply:
        limit, first = asked.number("limit", 1_000, MOST_ROWS), _offset(asked.query.get("page_token", ""))
        descending = asked.choice("sort", ("asc", "desc")) == "desc"
        found = []
        for market in _markets(asked, crypto=crypto):
            own = list(rows(asked, market))
            found += [(market.key, row) for row in (reversed(own) if descending else own)]
        page: dict[str, list[Json]] = {}
        for key, row in itertools.islice(found, first, first + limit):
            page.setdefault(key, []).append(row)
        following = first + limit if first + limit < len(found) else 0
        return Reply({name: page, "next_page_token": _token(following) if following else None})

    return call


def _latest(name: str, row: Latest, *, crypto: bool) -> Call:
    def call(asked: Asked) -> Reply:
        found = {market.key: row(asked, market) for market in _markets(asked, crypto=crypto)}
        told: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
        return Reply({name: told} if name else told)

    return call


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"rows|{offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        kind, _, offset = base64.urlsafe_b64decode(token).decode().partition("|")
        if kind == "rows" and offset.isdigit():
            return int(offset)
    except (binascii.Error, UnicodeDecodeError):
        kind = ""
    raise ApiError(BAD_REQUEST, f"invalid page_token: expected one from an answer, found {token!r} ({kind!r})")


def _stocks(path: str, call: Call) -> Route[Call]:
    return Route("GET", STOCKS + path, CallKind.MARKET, call, group="data")


def _crypto(path: str, call: Call) -> Route[Call]:
    return Route("GET", CRYPTO + path, CallKind.MARKET, call, signed=False, group="data")


ROUTES: tuple[Route[Call], ...] = (
    _stocks("/bars", _history("bars", _bars, crypto=False)),
    _stocks("/trades", _history("trades", _trades, crypto=False)),
    _stocks("/quotes", _history("quotes", _quotes, crypto=False)),
    _stocks("/bars/latest", _latest("bars", _latest_bar, crypto=False)),
    _stocks("/trades/latest", _latest("trades", _latest_trade, crypto=False)),
    _stocks("/quotes/latest", _latest("quotes", _latest_quote, crypto=False)),
    _stocks("/snapshots", _latest("", _snapshot, crypto=False)),
    _crypto("/bars", _history("bars", _bars, crypto=True)),
    _crypto("/trades", _history("trades", _trades, crypto=True)),
    _crypto("/quotes", _history("quotes", _quotes, crypto=True)),
    _crypto("/latest/bars", _latest("bars", _latest_bar, crypto=True)),
    _crypto("/latest/trades", _latest("trades", _latest_trade, crypto=True)),
    _crypto("/latest/quotes", _latest("quotes", _latest_quote, crypto=True)),
    _crypto("/latest/orderbooks", _latest("orderbooks", _latest_book, crypto=True)),
    _crypto("/snapshots", _latest("snapshots", _snapshot, crypto=True)),
)
