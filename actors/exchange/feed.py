"""Market data: numbered once, kept for a while, handed to whoever watches.

Who asked for the latest alone gets the first piece of a kind and symbol at once, and within
``conflate_ns`` of it no other: what comes meanwhile waits here, the newest in place of the older.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence

import msgspec

from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState
from actors.messages.orders import Watch, Watching
from exchanges.model.market import Bar, MarketData, last_price
from runtime.behavior import Context
from runtime.lanes import Delivery
from runtime.message import Message

_TIMER = "feed"


class FeedDue(Message):
    """The timer after which what was held back for conflation is sent."""


class _Watcher:
    """One subscriber's wish, ready to be applied to each piece of data."""

    __slots__ = ("away", "delivery", "kinds", "name", "quiet", "sent", "waiting")

    def __init__(self, name: str, watch: Watch) -> None:
        self.name = name
        self.kinds = frozenset(watch.kinds)
        self.delivery = Delivery(watch.delivery)
        self.away = False
        self.sent: dict[str, int] = {}
        self.quiet: dict[str, int] = {}
        """Until when nothing more is sent, by conflation key."""
        self.waiting: dict[str, MarketData] = {}


class Feed:
    """Numbers market data by symbol, from 1 in each epoch, and serves the watchers.

    The rings are not part of the snapshot: after a crash the venue has moved on anyway, and a
    gap in the numbers' epoch tells the subscriber so. Watches are.
    """

    def __init__(self, settings: ExchangeSettings, state: ConnectionState) -> None:
        self._settings = settings
        self._state = state
        self.last: dict[str, float] = {}
        self._rings: defaultdict[str, deque[MarketData]] = defaultdict(lambda: deque(maxlen=settings.ring))
        self._armed = False
        self._watchers: dict[str, _Watcher] = {}
        self._by_symbol: dict[str, list[_Watcher]] = {}
        self.revision = 0
        """Grows with each change of who is sent what."""
        for name, watch in state.watches.items():
            self._seat(name, watch)

    def publish(self, data: MarketData, ctx: Context) -> None:
        """Number one piece of data, keep it and pass it on."""
        symbol = data.symbol
        seqs = self._state.seqs
        seq = seqs[symbol] = seqs.get(symbol, 0) + 1
        numbered = msgspec.structs.replace(data, epoch=ctx.epoch, seq=seq)
        self._rings[symbol].append(numbered)
        price = last_price(numbered)
        if price:
            self.last[symbol] = price
        kind = type(numbered).__name__
        counted = self._state.counted.setdefault(symbol, {})
        told = _told(numbered)
        counted[told] = counted.get(told, 0) + 1
        for watcher in self._by_symbol.get(symbol, ()):
            if watcher.away or (watcher.kinds and kind not in watcher.kinds):
                continue
            if watcher.delivery is Delivery.LATEST:
                self._conflate(watcher, numbered, ctx)
                continue
            self._hand(watcher, numbered, ctx)

    def audience(self, symbol: str, kind: str) -> list[str]:
        """Who is sent a kind of a symbol's data, in the order in which they are."""
        watchers = self._by_symbol.get(symbol, ())
        return [each.name for each in watchers if not each.away and (not each.kinds or kind in each.kinds)]

    def absorb(self, data: Sequence[MarketData]) -> None:
        """Take in data of one symbol, numbered already, that the watchers have been handed otherwise.

        Raises:
            ValueError: the numbers don't follow on those of before.
        """
        last = data[-1]
        symbol = last.symbol
        seqs = self._state.seqs
        before = seqs.get(symbol, 0)
        if last.seq != before + len(data):
            raise ValueError(f"expected {symbol} up to number {before + len(data)}, found {last.seq}")
        seqs[symbol] = last.seq
        self._rings[symbol].extend(data)
        price = next(filter(None, map(last_price, reversed(data))), 0.0)
        if price:
            self.last[symbol] = price
        newest = {type(each).__name__: each for each in data}
        counted = self._state.counted.setdefault(symbol, {})
        for told, count in Counter(map(_told, data)).items():
            counted[told] = counted.get(told, 0) + count
        for watcher in self._by_symbol.get(symbol, ()):
            got = [each.seq for kind, each in newest.items() if not watcher.kinds or kind in watcher.kinds]
            if got and not watcher.away:
                watcher.sent[symbol] = max(got)

    def _conflate(self, watcher: _Watcher, data: MarketData, ctx: Context) -> None:
        """Send at once what comes after a pause; hold back what follows it closely."""
        key = data.conflation_key
        if key in watcher.waiting or ctx.now < watcher.quiet.get(key, 0):
            if not self._armed:
                self._armed = True
                ctx.timer(_TIMER, self._settings.conflate_ns, FeedDue())
            watcher.waiting[key] = data
            return
        watcher.quiet[key] = ctx.now + self._settings.conflate_ns
        self._hand(watcher, data, ctx)

    def due(self, ctx: Context) -> None:
        """Send what was held back."""
        self._armed = False
        for watcher in self._watchers.values():
            waiting, watcher.waiting = watcher.waiting, {}
            for key, data in waiting.items():
                watcher.quiet[key] = ctx.now + self._settings.conflate_ns
                self._hand(watcher, data, ctx)

    @staticmethod
    def _hand(watcher: _Watcher, data: MarketData, ctx: Context) -> None:
        watcher.sent[data.symbol] = data.seq
        ctx.send(watcher.name, data, delivery=watcher.delivery)

    def watch(self, name: str, watch: Watch, ctx: Context) -> None:
        """Begin, change or (with no symbols) end a subscription; serve what ``after`` lacks."""
        if not watch.symbols:
            self._state.watches.pop(name, None)
            self._unseat(name)
            return
        self._state.watches[name] = msgspec.structs.replace(watch, after={})
        watcher = self._seat(name, watch)
        if watch.ticket:
            ctx.send(name, Watching(watch.ticket))
        for symbol in watch.symbols:
            if symbol not in self._settings.symbols:
                ctx.count("exchange.watches_of_unknown_symbols")
        self._serve(watcher, {symbol: watch.after[symbol] for symbol in watch.symbols if symbol in watch.after}, ctx)

    def peer_down(self, name: str) -> None:
        """Stop sending to a subscriber that can't be reached: its link would fill up."""
        watcher = self._watchers.get(name)
        if watcher is not None:
            self.revision += 1
            watcher.away = True
            watcher.waiting.clear()

    def peer_up(self, name: str, *, same: bool, ctx: Context) -> None:
        """Go on where we stopped; a new incarnation (not ``same``) says itself what it lacks."""
        watcher = self._watchers.get(name)
        if watcher is None or not watcher.away:
            return
        if not same:
            return
        watcher.away = False
        self.revision += 1
        symbols = self._state.watches[name].symbols
        self._serve(watcher, {symbol: (ctx.epoch, watcher.sent.get(symbol, 0)) for symbol in symbols}, ctx)

    def watchers(self) -> int:
        return len(self._watchers)

    def seats(self) -> int:
        """Watchers of each symbol, added up."""
        return sum(map(len, self._by_symbol.values()))

    def _serve(self, watcher: _Watcher, after: Mapping[str, tuple[int, int]], ctx: Context) -> None:
        """Send what is kept after these ``(epoch, seq)``, of all symbols in the order in which it came."""
        served = 0
        rings = [self._rings.get(symbol, ()) for symbol in after]
        for data in heapq.merge(*rings, key=lambda kept: kept.recv_ns):
            if (data.epoch, data.seq) <= after[data.symbol] or (
                watcher.kinds and type(data).__name__ not in watcher.kinds
            ):
                continue
            served += 1
            self._hand(watcher, data, ctx)
        ctx.count("exchange.data_served_again", served)

    def _seat(self, name: str, watch: Watch) -> _Watcher:
        self.revision += 1
        self._unseat(name)
        watcher = self._watchers[name] = _Watcher(name, watch)
        for symbol in watch.symbols:
            self._by_symbol.setdefault(symbol, []).append(watcher)
        return watcher

    def _unseat(self, name: str) -> None:
        self.revision += 1
        old = self._watchers.pop(name, None)
        if old is not None:
            for watchers in self._by_symbol.values():
                if old in watchers:
                    watchers.remove(old)


def _told(data: MarketData) -> str:
    """What data are counted as: their kind, but bars that are still forming apart."""
    return "BarUpdate" if type(data) is Bar and not data.closed else type(data).__name__
