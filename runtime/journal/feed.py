"""Hands committed records to the subscribers: first what they missed, then what comes.

Sans-IO: the live host and the simulation drive the same object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from runtime.errors import JournalError
from runtime.journal.base import History
from runtime.journal.record import Record
from runtime.lifecycle import CaughtUp, Entry, Serving, Subscribe
from runtime.message import Message

_ALL = ("", "", "")


class _Subscription:
    """One subscriber's place: ``position`` is the last number it needs no more."""

    __slots__ = ("announced", "kinds", "live", "owes", "position", "queue", "request", "routes", "until")

    def __init__(self, request: Subscribe, head: int) -> None:
        self.request = request
        self.kinds = frozenset(request.kinds)
        self.position = request.cursor
        self.until = head
        self.announced = request.ticket == 0
        self.owes = True
        self.live = False
        self.queue: deque[Entry] = deque()
        if request.index:
            self.routes = [("key", request.index, request.value)]
        else:
            self.routes = [("kind", kind, "") for kind in sorted(self.kinds)] or [_ALL]


class Feed:
    """Delivers to each subscriber exactly the fitting records, in order, once.

    A subscriber that is behind reads from the journal; one that has caught up gets its records
    from a queue of at most ``tail`` entries, and falls back to the journal when it lets that
    overflow. A record is looked up by its keys, so it costs nothing to those it does not fit.
    """

    def __init__(self, journal: History, *, tail: int = 10_000) -> None:
        self._journal = journal
        self._tail = tail
        self._subscriptions: dict[str, _Subscription] = {}
        self._routes: dict[tuple[str, str, str], dict[str, _Subscription]] = {}
        self._ready: dict[str, None] = {}

    def subscribe(self, name: str, request: Subscribe) -> None:
        """Begin, or begin anew, to serve ``name``.

        Raises:
            JournalError: the cursor lies outside the journal.
        """
        head = self._journal.head
        if not 0 <= request.cursor <= head:
            raise JournalError(
                f"expected {name} to ask for records after a number from 0 to {head}, found {request.cursor}: its "
                "state is newer than this journal (an older backup was restored, or it belongs to another "
                "environment); forget its snapshot to let it begin anew"
            )
        self.unsubscribe(name)
        self._subscriptions[name] = _Subscription(request, head)
        self._ready[name] = None

    def unsubscribe(self, name: str) -> None:
        """Stop serving ``name``; nothing happens if it is no subscriber."""
        subscription = self._subscriptions.pop(name, None)
        self._ready.pop(name, None)
        if subscription is not None:
            self._leave(name, subscription)

    def committed(self, records: Iterable[Record]) -> None:
        """Offer what a commit returned to the subscribers that have caught up."""
        routes = self._routes
        if not routes:
            return
        everything = routes.get(_ALL)
        for record in records:
            found = [everything] if everything else []
            for index, value in record.keys:
                fitting = routes.get(("key", index, value))
                if fitting:
                    found.append(fitting)
            fitting = routes.get(("kind", record.kind, ""))
            if fitting:
                found.append(fitting)
            if found:
                self._offer(record, found)
                everything = routes.get(_ALL)

    def take(self, name: str, room: int) -> list[Message]:
        """The next messages for ``name``, at most ``room``; empty when it has all of them."""
        subscription = self._subscriptions.get(name)
        if subscription is None or room <= 0:
            return []
        out: list[Message] = []
        if not subscription.announced:
            subscription.announced = True
            out.append(Serving(subscription.request.ticket))
        while not subscription.live and len(out) < room:
            self._replay(name, subscription, out, room)
        if subscription.live and len(out) < room:
            if subscription.owes:
                subscription.owes = False
                out.append(CaughtUp(subscription.until))
            queue = subscription.queue
            while queue and len(out) < room:
                out.append(queue.popleft())
            if out and isinstance(out[-1], Entry):
                subscription.position = max(subscription.position, out[-1].seq)
        if subscription.live and not subscription.queue and not subscription.owes:
            self._ready.pop(name, None)
        return out

    def ready(self) -> list[str]:
        """The subscribers that may have something to take."""
        return list(self._ready)

    def _replay(self, name: str, subscription: _Subscription, out: list[Message], room: int) -> None:
        request = subscription.request
        head = self._journal.head
        asked = room - len(out)
        records = self._journal.read(
            subscription.position, asked, kinds=request.kinds, index=request.index, value=request.value
        )
        for record in records:
            if subscription.owes and record.seq > subscription.until:
                subscription.owes = False
                out.append(CaughtUp(subscription.until))
            if len(out) == room:
                return
            out.append(record.entry())
            subscription.position = record.seq
        if len(records) < asked:
            subscription.position = max(subscription.position, head)
            self._join(name, subscription)

    def _join(self, name: str, subscription: _Subscription) -> None:
        subscription.live = True
        for route in subscription.routes:
            self._routes.setdefault(route, {})[name] = subscription

    def _leave(self, name: str, subscription: _Subscription) -> None:
        if not subscription.live:
            return
        subscription.live = False
        subscription.queue.clear()
        for route in subscription.routes:
            names = self._routes[route]
            del names[name]
            if not names:
                del self._routes[route]

    def _offer(self, record: Record, found: list[dict[str, _Subscription]]) -> None:
        entry: Entry | None = None
        overflowed: list[tuple[str, _Subscription]] = []
        for names in found:
            for name, subscription in names.items():
                if record.seq <= subscription.position:
                    continue
                if subscription.kinds and record.kind not in subscription.kinds:
                    continue
                if len(subscription.queue) >= self._tail:
                    overflowed.append((name, subscription))
                    continue
                if entry is None:
                    entry = record.entry()
                subscription.queue.append(entry)
                self._ready[name] = None
        for name, subscription in overflowed:
            self._leave(name, subscription)
