"""Which of our orders is which of the venue's, where it reports by its own ids."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from exchanges.model.order import Order


class Identity(NamedTuple):
    """One order under both its names; ``client_id`` is empty for one that was placed elsewhere."""

    order_id: str
    client_id: str
    native: str


class Identities:
    """Orders by either id, the newest ``kept`` of them. What isn't known can be learnt from the venue."""

    def __init__(self, kept: int = 20_000) -> None:
        self._kept = kept
        self._by_order: OrderedDict[str, Identity] = OrderedDict()
        self._by_client: dict[str, Identity] = {}

    def learn(self, order_id: str, client_id: str, native: str) -> None:
        """Note that both ids are of one order."""
        known = self._by_order.get(order_id)
        if not order_id or (known is not None and (known.client_id or not client_id)):
            return
        found = Identity(order_id, client_id, native)
        self._by_order[order_id] = found
        if client_id:
            self._by_client[client_id] = found
        while len(self._by_order) > self._kept:
            _, oldest = self._by_order.popitem(last=False)
            self._by_client.pop(oldest.client_id, None)

    def seen(self, order: Order) -> None:
        """Learn from the venue's view of an order."""
        self.learn(order.venue_id, order.client_id, order.symbol.partition(":")[2])

    def order_id(self, client_id: str) -> str:
        """The venue's id of our order, empty if it isn't known."""
        found = self._by_client.get(client_id)
        return found.order_id if found is not None else ""

    def client_id(self, order_id: str) -> str | None:
        """Our id of the venue's order: empty if it has none, ``None`` if that isn't known."""
        found = self._by_order.get(order_id)
        return found.client_id if found is not None else None

    def __len__(self) -> int:
        return len(self._by_order)
