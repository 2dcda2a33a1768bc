"""What is pushed: trades as they are, the rest of the market at its pace, private changes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from exchanges.matching.record import Changes, Execution, Funding, OrderRecord
from exchanges.simulators.base.client import Client
from exchanges.simulators.base.disguise import disguised
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.feeds.row import Row

MOST_TRADES = 500
"""Trades in one message."""


class Notice(NamedTuple):
    """A private message and the topic whose subscribers of the account get it."""

    topic: str
    message: Any


class Publisher(ABC):
    """Hands messages to the subscribers' queues; what they look like is the venue's package's business."""

    status_fields: ClassVar[tuple[str, ...]] = ()
    """The fields of private messages that hold an order's status or another enumeration."""

    def __init__(self, venue: Venue, streams: Streams) -> None:
        self.venue = venue
        self.streams = streams
        self.sent: dict[str, int] = {}
        self._late: set[asyncio.TimerHandle] = set()
        self._held: list[tuple[str, Sequence[Notice]]] = []
        venue.listeners.append(self.changes)
        streams.on_subscribe = self.first

    @abstractmethod
    async def tell_trades(self, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        """Queue at most 500 trades of one symbol, which ``market`` has just noted, for their subscribers.

        With ``wait`` through ``streams.put`` (recorded data waits for its peers), else through
        ``streams.offer``. Candles made of these trades belong here too.
        """

    @abstractmethod
    def refresh(self) -> None:
        """Ten times a second: what is sent at its own pace (books, quotes, tickers, candles under way)."""

    @abstractmethod
    def orders(self, account: str, records: Sequence[OrderRecord], changes: Changes) -> Iterable[Notice]:
        """Messages about the account's orders that changed (copies, as they are now)."""

    @abstractmethod
    def execution(self, done: Execution) -> Iterable[Notice]:
        """Messages about one fill."""

    def funding(self, paid: Funding) -> Iterable[Notice]:
        """Messages about a funding payment; none unless a venue has perpetuals."""
        return ()

    @abstractmethod
    def holdings(self, account: str, changes: Changes) -> Iterable[Notice]:
        """Messages about positions and cash after a change."""

    def first(self, client: Client, topic: str) -> None:
        """What a new subscriber of ``topic`` gets at once; nothing unless a venue does."""
        return

    def end_candles(self, now_ms: int) -> None:
        """Close the candles whose time is over though no trade has come since, where a venue has candles."""
        return

    async def trades(self, key: str, rows: Sequence[Row], *, wait: bool) -> None:
        """Send the trades of one symbol, in messages of at most 500, to all its subscribers.

        With ``wait`` this returns when there is room for them in the peers' queues, so that a slow
        subscriber slows the feed down; without it, such a peer is cut off in the end.
        """
        market = self.venue.markets[key]
        self.sent[key] = self.sent.get(key, 0) + len(rows)
        for start in range(0, len(rows), MOST_TRADES):
            part = rows[start : start + MOST_TRADES]
            for row in part:
                market.note(row)
            await self.tell_trades(market, part, wait=wait)

    async def flushed(self, keys: Iterable[str]) -> None:
        """Return when the sockets of everyone who watches these symbols have taken what was queued."""
        watchers = dict.fromkeys(client for key in keys for client in self.streams.watchers(key))
        await asyncio.gather(*(client.flushed() for client in watchers))

    def changes(self, changes: Changes) -> None:
        """Tell the accounts what has changed for them."""
        by_account: dict[str, list[OrderRecord]] = {account: [] for account in changes.accounts}
        for record in changes.orders:
            by_account[record.account].append(record)
        for account, records in by_account.items():
            self._tell(account, self.orders(account, records, changes), orders=True)
        for done in changes.executions:
            self._deliver(done.account, list(self.execution(done)))
        for paid in changes.fundings:
            self._tell(paid.account, self.funding(paid))
        for account in by_account:
            self._tell(account, self.holdings(account, changes))

    def _tell(self, account: str, notices: Iterable[Notice], *, orders: bool = False) -> None:
        for topic, message in notices:
            if orders and self.venue.faults.order():
                message = disguised(message, self.status_fields)
            self.streams.offer(self.streams.of_account(account, topic), topic, message)

    def _deliver(self, account: str, notices: Sequence[Notice]) -> None:
        """Send what tells of one fill, as the fault plan has it."""
        delivery = self.venue.faults.execution()
        if delivery.held:
            self._held.append((account, notices))
            self._later(delivery.seconds, self._release)
            return
        for _ in range(delivery.copies):
            if delivery.seconds > 0:
                self._later(delivery.seconds, lambda: self._tell(account, notices))
            else:
                self._tell(account, notices)
        self._release()

    def _release(self) -> None:
        """Send what was held back until another message had gone."""
        held, self._held = self._held, []
        for account, notices in held:
            self._tell(account, notices)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        handle = loop.call_later(seconds, work)
        self._late = {h for h in self._late if not h.cancelled() and h.when() > loop.time()}
        self._late.add(handle)

    def close(self) -> None:
        """Drop what was to be sent late."""
        for handle in self._late:
            handle.cancel()
