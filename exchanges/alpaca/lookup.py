"""What the venue says of orders and executions when asked: single orders, chains, paged lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exchanges.alpaca import wire
from exchanges.alpaca.failures import undecided
from exchanges.alpaca.lineage import Lineage, Node, successor_of
from exchanges.alpaca.rest import FILLS, ORDERS, QUERY, Rest
from exchanges.alpaca.values import SECOND, WireError, rfc3339, rows_of, text
from exchanges.failures import FailureKind, VenueError
from exchanges.resilience import Endpoint

ORDERS_A_PAGE = 500
FILLS_A_PAGE = 100
_PAGES = 200
"""Pages of one list, at most: a venue that never ends its list must not keep us for ever."""

_GENERATIONS = 100
_FEW = 5
"""So many unknown orders are asked for one by one; more are looked for in the list of all."""

_DAY_NS = 86_400 * SECOND


class Lookup:
    """Asks for orders and executions, and notes all it finds in the lineage."""

    def __init__(self, rest: Rest, lineage: Lineage) -> None:
        self._rest = rest
        self.lineage = lineage

    # -- one order -------------------------------------------------------------------------

    async def by_client_id(self, client_id: str) -> Node | None:
        """The order that was placed under ``client_id``, with those that replaced it; ``None`` if there is none."""
        node = await self._one("/orders:by_client_order_id", {"client_order_id": client_id})
        return node and await self.complete(node)

    async def by_id(self, order_id: str) -> Node | None:
        """An order by the venue's id, with its ancestors and successors; ``None`` if there is none."""
        node = await self._one(f"/orders/{order_id}")
        return node and await self.complete(node)

    async def complete(self, node: Node) -> Node:
        """Look up what the order replaced and what replaced it, where that is not known; returns ``node``."""
        before = node
        for _ in range(_GENERATIONS):
            earlier = before.order.replaces
            if not earlier:
                break
            found = self.lineage.get(earlier) or await self._one(f"/orders/{earlier}")
            if found is None:
                break
            if found.order.status != "replaced":
                # It may have taken its leave since it was seen: whether it did decides which of them stands.
                found = await self._one(f"/orders/{earlier}") or found
            before = found
        after = node
        for _ in range(_GENERATIONS):
            found = await self._successor(after)
            if found is None:
                break
            after = found
        return node

    async def _successor(self, node: Node) -> Node | None:
        order = node.order
        if order.replaced_by:
            return await self._one(f"/orders/{order.replaced_by}")
        if order.status != "replaced":
            return None
        return await self._one("/orders:by_client_order_id", {"client_order_id": successor_of(order.client_id)})

    async def _one(self, path: str, params: dict[str, str | int] | None = None) -> Node | None:
        try:
            answer = await self._rest.get(QUERY, path, params)
        except VenueError as error:
            if error.failure.kind is FailureKind.NOT_FOUND:
                return None
            raise
        return self.lineage.add(readable(wire.order, answer))

    # -- lists -----------------------------------------------------------------------------

    async def orders(self, status: str, after_ns: int, symbol: str = "") -> list[Node]:
        """All orders of a ``status`` (``open``, ``all``) submitted since ``after_ns``, oldest first."""
        found: dict[str, Node] = {}
        after = after_ns
        for _ in range(_PAGES):
            params: dict[str, str | int] = {
                "status": status,
                "limit": ORDERS_A_PAGE,
                "direction": "asc",
                "nested": "false",
            }
            if after:
                params["after"] = rfc3339(after)
            if symbol:
                params["symbols"] = symbol
            rows = rows_of(await self._rest.get(ORDERS, "/orders", params), "the orders")
            page = [self.lineage.add(wire.order(row)) for row in rows]
            new = [node for node in page if node.order.id not in found]
            found.update((node.order.id, node) for node in page)
            if len(rows) < ORDERS_A_PAGE:
                return list(found.values())
            if not new:
                raise WireError(f"expected orders after {rfc3339(after)} on the next page, found the same again")
            # Several may have been submitted at one instant: that one is asked for again.
            after = max(node.order.submitted_ns for node in page) - 1
        raise WireError(f"expected the {status} orders to end within {_PAGES} pages, found more")

    async def executions(self, since_ns: int) -> list[wire.Execution]:
        """All executions since ``since_ns`` and some from just before, with the orders they belong to noted.

        Activities are stamped to the millisecond, the stream's executions to the nanosecond: cutting
        here would lose one of the first millisecond.
        """
        found: dict[str, wire.Execution] = {}
        async for row in self._activities(FILLS, since_ns):
            execution = wire.activity(row)
            found[execution.id] = execution
        await self._owners((execution.order_id for execution in found.values()), since_ns)
        for execution in found.values():
            self.lineage.fetched(execution)
        return list(found.values())

    async def _activities(self, endpoint: Endpoint, since_ns: int) -> Any:
        """The rows of the account's ``FILL`` activities, page by page; a page's last id leads to the next."""
        # Whether "after" takes parts of a second is not documented: one more is asked for.
        params: dict[str, str | int] = {
            "direction": "asc",
            "page_size": FILLS_A_PAGE,
            "after": rfc3339(max(0, since_ns // SECOND - 1) * SECOND),
        }
        for _ in range(_PAGES):
            rows = rows_of(await self._rest.get(endpoint, "/account/activities/FILL", params), "the activities")
            for row in rows:
                yield row
            if len(rows) < FILLS_A_PAGE:
                return
            token = text(rows[-1], "id")
            if token == params.get("page_token"):
                raise WireError(f"expected activities after {token} on the next page, found the same again")
            params["page_token"] = token
        raise WireError(f"expected the activities to end within {_PAGES} pages, found more")

    async def _owners(self, order_ids: Iterable[str], since_ns: int) -> None:
        """Look up orders that are not known yet: activities name the venue's order, not ours.

        Raises:
            VenueError: one can't be had; its executions would count as someone else's.
        """
        missing = self._unknown(order_ids)
        if len(missing) > _FEW:
            await self.orders("all", max(0, since_ns - _DAY_NS))
            missing = self._unknown(missing)
        for order_id in missing:
            if await self.by_id(order_id) is None:
                raise VenueError(undecided("ORDER_MISSING", f"the venue has executions of order {order_id}, not it"))

    def _unknown(self, order_ids: Iterable[str]) -> list[str]:
        unknown = []
        for order_id in dict.fromkeys(order_ids):
            node = self.lineage.get(order_id)
            if node is None or node.root is None:
                unknown.append(order_id)
        return unknown


def readable(read: Any, answer: object) -> Any:
    """What ``read`` makes of an answer to what was carried out already.

    Raises:
        VenueError: it can't be read, so nobody knows what it said.
    """
    try:
        return read(answer)
    except WireError as error:
        raise VenueError(undecided("UNREADABLE", str(error))) from error
