"""Raw stream frames to ours. Whatever can't be read is counted and told, and the stream goes on.

A frame is ``{"channel": NAME, "data": ...}`` (documented). What comes on subscribing is a picture of the past: fills
and fundings of one are marked ``isSnapshot`` and left to the reconciliation, trades are known by their ids (that a
subscription to trades begins with some old ones is uncertain, and dealt with).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.fields import SECOND, Fields, WireError, optional_text, text
from exchanges.hyperliquid import market, wire
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.names import full
from exchanges.hyperliquid.settings import INTERVALS, HyperliquidSettings
from exchanges.identities import Identities
from exchanges.model.market import Bar, MarketData
from exchanges.model.order import Side
from exchanges.model.venue import FillReport, OrderReport
from runtime.message import Message

_TRADES_KEPT = 512
"""Trade ids remembered of each coin, to know again what a subscription begins with."""

_AHEAD_NS = 600 * SECOND
"""How far the venue's clock may be ahead of ours."""

_GRACE_NS = SECOND
"""How much later than a candle's end other data must be to close it: channels don't keep step."""


class Frame(msgspec.Struct):
    """What every frame of the venue's is made of."""

    channel: str
    data: Any = None

    @property
    def fields(self) -> dict[str, Any]:
        """What it says; raises ``WireError`` where that isn't an object."""
        if not isinstance(self.data, dict):
            raise WireError(f"expected an object in data of {self.channel[:80]!r}, found {type(self.data).__name__}")
        return self.data

    def rows(self, data: object) -> list[dict[str, Any]]:
        """``data`` as rows; raises ``WireError`` where it is none."""
        return wire.listed(data, self.channel[:80])


_decode = msgspec.json.Decoder(Frame).decode


def decode(text: str | bytes) -> Frame:
    """The frame in ``text``; raises ``WireError`` if it is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(f"expected a frame with a channel, found {error}") from error


class PublicParser:
    """Trades, quotes, books, candles and contexts of the public channels, over all connections of one stream."""

    def __init__(self, settings: HyperliquidSettings, coins: Sequence[str], counters: Counter[str]) -> None:
        self._settings = settings
        self._counters = counters
        self._coins = frozenset(coins)
        self._interval = INTERVALS[settings.bar_interval_s]
        self._interval_ns = settings.bar_interval_s * SECOND
        self._trades: dict[str, OrderedDict[str, None]] = {}
        self._best: dict[str, tuple[Decimal, Decimal]] = {}
        self._open: dict[str, Bar] = {}
        """By symbol, the candle of the present interval as last told."""
        self._ended_ns: dict[str, int] = {}
        """By symbol, the start of the newest candle that was given as closed."""
        self.unfinished: dict[str, int] = {}
        """By symbol, the start of the candle a connection ended in: those since have to be fetched."""
        self._clock_ns = 0
        self._takers: dict[str, Callable[[Frame, int], Iterator[MarketData]]] = {
            "trades": self._traded,
            "bbo": self._quoted,
            "l2Book": self._booked,
            "candle": self._candle,
            "activeAssetCtx": self._context,
        }

    def reset(self) -> None:
        """A new connection begins: what was open may have ended unseen."""
        self._best.clear()
        for symbol, bar in self._open.items():
            self.unfinished.setdefault(symbol, bar.ts_ns)
        self._open.clear()

    def best(self, coin: str, side: Side) -> Decimal | None:
        """The best price an order of ``side`` would meet; ``None`` while it isn't known."""
        found = self._best.get(coin)
        return (found[1] if side is Side.BUY else found[0]) if found is not None else None

    def take(self, frame: Frame, recv_ns: int) -> list[Message]:
        """The messages in a data frame; raises ``WireError`` if it can't be read."""
        taker = self._takers.get(frame.channel)
        if taker is None:
            self._counters["frames_unknown"] += 1
            raise WireError(f"expected a known channel, found {frame.channel[:80]!r}")
        return list(taker(frame, recv_ns))

    def closed(self, bar: Bar) -> Iterator[Bar]:
        """A candle that has ended, unless it was given before."""
        if bar.ts_ns > self._ended_ns.get(bar.symbol, 0):
            self._ended_ns[bar.symbol] = bar.ts_ns
            yield msgspec.structs.replace(bar, closed=True)

    # -- channels --------------------------------------------------------------------------

    def _known(self, fields: Fields, name: str = "coin") -> str:
        coin = text(fields, name)
        if coin not in self._coins:
            raise WireError(f"expected one of the subscribed perpetuals, found {coin!r}")
        return coin

    def _traded(self, frame: Frame, recv_ns: int) -> Iterator[MarketData]:
        for row in frame.rows(frame.data):
            coin, trade = self._known(row), market.trade(row, recv_ns)
            seen = self._trades.setdefault(coin, OrderedDict())
            if trade.trade_id in seen:
                self._counters["trades_repeated"] += 1
                continue
            self._check_time(trade)
            seen[trade.trade_id] = None
            if len(seen) > _TRADES_KEPT:
                seen.popitem(last=False)
            if "trade" in self._settings.streams:
                yield trade
            yield from self._reached(trade)

    def _quoted(self, frame: Frame, recv_ns: int) -> Iterator[MarketData]:
        coin = self._known(frame.fields)
        self._best.pop(coin, None)
        quote = market.quote(frame.fields, recv_ns)
        if quote is None:
            return
        self._check_time(quote)
        self._best[coin] = Decimal(repr(quote.bid)), Decimal(repr(quote.ask))
        yield quote
        yield from self._reached(quote)

    def _booked(self, frame: Frame, recv_ns: int) -> Iterator[MarketData]:
        self._known(frame.fields)
        book = market.book(frame.fields, recv_ns, self._settings.book_levels)
        if book is not None:
            self._check_time(book)
            yield book
            yield from self._reached(book)

    def _context(self, frame: Frame, recv_ns: int) -> Iterator[MarketData]:
        self._known(frame.fields)
        yield market.ticker(frame.fields, recv_ns)

    def _candle(self, frame: Frame, recv_ns: int) -> Iterator[MarketData]:
        """A candle as it stands; the venue doesn't say that one has ended, the next one does."""
        coin = self._known(frame.fields, "s")
        bar = market.bar(frame.fields, self._interval, self._interval_ns, recv_ns, closed=False)
        self._check_time(bar)
        held = self._open.get(full(coin))
        if bar.ts_ns <= self._ended_ns.get(bar.symbol, 0) or (held is not None and bar.ts_ns < held.ts_ns):
            self._counters["candles_late"] += 1
            return
        if held is not None and bar.ts_ns > held.ts_ns:
            yield from self.closed(held)
        self._open[bar.symbol] = bar
        yield bar

    # -- time ------------------------------------------------------------------------------

    def _check_time(self, data: MarketData) -> None:
        if data.ts_ns > data.recv_ns + _AHEAD_NS:
            raise WireError(f"expected data of the past, found {data.ts_ns} ns received at {data.recv_ns} ns")

    def _reached(self, data: MarketData) -> Iterator[Bar]:
        """The data has come to a time: gives every candle that ended well before."""
        if data.ts_ns <= self._clock_ns:
            return
        self._clock_ns = data.ts_ns
        due = data.ts_ns - self._interval_ns - _GRACE_NS
        for symbol in [symbol for symbol, bar in self._open.items() if bar.ts_ns <= due]:
            yield from self.closed(self._open.pop(symbol))


class PrivateParser:
    """Orders, fills and fundings of the account's channels.

    ``nameless`` is given the row of a fill whose order isn't known by our id: it is reported once
    that has been found out, so that no fill of ours is taken for somebody else's.
    """

    def __init__(
        self,
        counters: Counter[str],
        cloids: Cloids,
        identities: Identities,
        nameless: Callable[[dict[str, Any]], None],
    ) -> None:
        self._counters = counters
        self._cloids = cloids
        self._ids = identities
        self._nameless = nameless
        self._takers: dict[str, Callable[[Frame], Iterator[Message]]] = {
            "orderUpdates": self._orders,
            "userFills": self._fills,
            "userFundings": self._fundings,
        }

    def take(self, frame: Frame, malformed: Callable[[str, str], None]) -> list[Message]:
        """The messages in a data frame. A row that can't be read is told to ``malformed``, the others are taken.

        Raises:
            WireError: nothing of it can be read.
        """
        taker = self._takers.get(frame.channel)
        if taker is None:
            self._counters["frames_unknown"] += 1
            raise WireError(f"expected a known channel, found {frame.channel[:80]!r}")
        made: list[Message] = []
        for part in _parts(frame):
            try:
                made.extend(taker(part))
            except WireError as error:
                malformed(msgspec.json.encode(part.data).decode(), str(error))
        return made

    def _orders(self, part: Frame) -> Iterator[Message]:
        if not wire.ours(wire.inner(part.fields, "order")):
            self._counters["other_markets"] += 1
            return
        order = wire.report(part.fields, self._cloids)
        if wire.status_of(text(part.fields, "status")) is None:
            self._counters["order_status_unknown"] += 1
        self._ids.seen(order)
        yield OrderReport(order)

    def _fills(self, part: Frame) -> Iterator[Message]:
        row = part.fields
        if not wire.ours(row):
            self._counters["other_markets"] += 1
            return
        client_id = named(row, self._cloids, self._ids)
        fill = wire.fill(row, client_id or "")
        if client_id is None:
            self._nameless(row)
            return
        yield FillReport(fill)

    def _fundings(self, part: Frame) -> Iterator[Message]:
        if wire.ours(part.fields):
            yield wire.payment(part.fields, wire.instant(part.fields, "time"))


def named(row: Fields, cloids: Cloids, identities: Identities) -> str | None:
    """Our id of the order a fill is of: empty if it isn't ours, ``None`` if that isn't known."""
    cloid = optional_text(row, "cloid")
    if cloid:
        return cloids.client_id(cloid)
    return identities.client_id(str(wire.whole(row, "oid")))


def _parts(frame: Frame) -> list[Frame]:
    """A frame of the account taken apart by rows; none of a picture of the past."""
    data = frame.data
    if frame.channel != "orderUpdates":
        if frame.fields.get("isSnapshot") is True:
            return []
        data = frame.fields.get("fills" if frame.channel == "userFills" else "fundings")
    return [Frame(frame.channel, row) for row in frame.rows(data)]
