"""Bybit's commands: how each is asked of the venue, and what its answer says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from exchanges.bybit import endpoints, requests, wire
from exchanges.bybit.failures import classify
from exchanges.bybit.rest import Rest
from exchanges.bybit.settings import BybitSettings
from exchanges.bybit.symbols import LINEAR, SPOT, by_category, native
from exchanges.commands import CommandRunner
from exchanges.commands import result as outcome_of
from exchanges.interface import Sink
from exchanges.model.order import Fill, Order
from exchanges.model.position import Balance
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CommandResult,
    Outcome,
    PlaceOrder,
    QueryOrder,
    VenuePosition,
)
from exchanges.resilience import Endpoint

_WEEK_NS = 7 * 86_400 * 1_000_000_000
_PAGES = 200
"""Pages of one list, at most: a venue that never ends its list must not keep us for ever."""


class Commands(CommandRunner):
    """Runs commands against the REST interface and reports to the sink.

    Args:
        symbols: Whose categories are asked about.
        bases: The base coins of the spot pairs among them, by symbol, as far as they are known.
    """

    stops = True

    def __init__(
        self,
        settings: BybitSettings,
        rest: Rest,
        symbols: tuple[str, ...],
        bases: Mapping[str, str],
        sink: Sink,
        counters: Counter[str],
    ) -> None:
        super().__init__(sink, counters, classify)
        self._settings = settings
        self._rest = rest
        self._categories = sorted(by_category(symbols))
        self._bases = bases

    # -- orders ----------------------------------------------------------------------------

    async def place(self, command: PlaceOrder) -> CommandResult:
        request = requests.place_request(command)
        result = await self._rest.order(endpoints.PLACE, _calling("place_order", request), key=command.client_id)
        return outcome_of(command, Outcome.ACCEPTED, venue_id=str(result.get("orderId", "")))

    async def amend(self, command: AmendOrder) -> CommandResult:
        request = _named(command.client_id, command.symbol)
        if command.quantity is not None:
            request["qty"] = wire.plain(command.quantity)
        if command.price is not None:
            request["price"] = wire.plain(command.price)
        if command.trigger_price is not None:
            request["triggerPrice"] = wire.plain(command.trigger_price)
        result = await self._rest.order(endpoints.AMEND, _calling("amend_order", request), key=command.client_id)
        return outcome_of(command, Outcome.ACCEPTED, venue_id=str(result.get("orderId", "")))

    async def cancel(self, command: CancelOrder) -> CommandResult:
        request = _named(command.client_id, command.symbol, command.venue_id)
        result = await self._rest.ask_account(
            endpoints.CANCEL, _calling("cancel_order", request), key=command.client_id
        )
        return outcome_of(command, Outcome.ACCEPTED, venue_id=str(result.get("orderId", "")))

    async def cancel_all(self, command: CancelAll) -> CommandResult:
        """All of a symbol, or of every category; one category's failure doesn't keep the others from it.

        Without an ``orderFilter`` the venue takes conditional orders of perpetuals along.
        """
        if command.symbol:
            category, name = native(command.symbol)
            wanted = [{"category": category, "symbol": name}]
        else:
            wanted = [self._settled(category) for category in self._categories]
        ends = await asyncio.gather(*(self._cancel_many(request) for request in wanted), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return outcome_of(command, Outcome.ACCEPTED)

    async def _cancel_many(self, request: dict[str, Any]) -> None:
        await self._rest.ask_account(endpoints.CANCEL_ALL, _calling("cancel_all_orders", request))

    async def query(self, command: QueryOrder) -> CommandResult:
        """Open orders first, then history: an order that ends in between is in the second answer."""
        request = _named(command.client_id, command.symbol, command.venue_id)
        asked = "orderId" if command.venue_id else "orderLinkId"
        for endpoint, name in ((endpoints.QUERY_OPEN, "get_open_orders"), (endpoints.QUERY_ENDED, "get_order_history")):
            result = await self._rest.ask_account(endpoint, _calling(name, request), key=command.client_id)
            for row in result["list"]:
                if row.get(asked) == request[asked]:
                    found = wire.order(row, request["category"])
                    return outcome_of(command, Outcome.ACCEPTED, venue_id=found.venue_id, order=found)
        return outcome_of(command, Outcome.NOT_FOUND)

    # -- the whole state -------------------------------------------------------------------

    async def orders(self) -> tuple[Order, ...]:
        """Without an ``orderFilter`` the venue lists conditional orders among the others."""
        found = [(category, await self._rows(category, "get_open_orders", limit=50, openOnly=0))
                 for category in self._categories]  # fmt: skip
        orders = [wire.order(row, category) for category, rows in found for row in rows]
        return tuple(order for order in orders if not order.status.final)

    async def _rows(self, category: str, name: str, **more: Any) -> list[dict[str, Any]]:
        return await self._pages(endpoints.OPEN_ORDERS, name, {**self._settled(category), **more})

    async def positions(self) -> tuple[VenuePosition, ...]:
        """Perpetuals as the venue lists them; of spot pairs what the wallet holds of the base coin."""
        made: list[VenuePosition] = []
        if LINEAR in self._categories:
            request = {**self._settled(LINEAR), "limit": 200}
            rows = await self._pages(endpoints.POSITIONS, "get_positions", request)
            made.extend(wire.position(row) for row in rows)
        if SPOT in self._categories:
            for account in await self._wallet():
                made.extend(wire.holdings(account, self._bases))
        return tuple(made)

    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        """Executions since ``since_ns``, in windows of the seven days the venue allows.

        Funding payments are in the same list; they go to the sink by themselves.
        """
        made: dict[str, Fill] = {}
        for category in self._categories:
            start = max(since_ns, until_ns - 26 * _WEEK_NS)
            while start <= until_ns:
                end = start + _WEEK_NS - wire.MS
                for row in await self._executions(category, start // wire.MS, end // wire.MS):
                    fill, paid = wire.fill(row, category), wire.payment(row, category)
                    if fill is not None:
                        made[fill.execution_id] = fill
                    if paid is not None:
                        self.sink(paid)
                start = end + wire.MS
        return tuple(made.values())

    async def _executions(self, category: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        request = {"category": category, "limit": 100, "startTime": start_ms, "endTime": end_ms}
        return await self._pages(endpoints.EXECUTIONS, "get_executions", request)

    async def balances(self) -> tuple[Balance, ...]:
        return tuple(balance for account in await self._wallet() for balance in wire.balances(account))

    async def _wallet(self) -> list[dict[str, Any]]:
        """The accounts; the parts of one reconciliation share one answer, which is never older than it."""
        result = await self._rest.ask_account(
            endpoints.WALLET, _calling("get_wallet_balance", {"accountType": "UNIFIED"}), key=self.fetch
        )
        accounts: list[dict[str, Any]] = result["list"]
        return accounts

    def _settled(self, category: str) -> dict[str, Any]:
        """What narrows a list down as the venue wants it: perpetuals by settlement coin, spot not at all."""
        return {"category": category} | ({"settleCoin": self._settings.settle_coin} if category == LINEAR else {})

    async def _pages(self, endpoint: Endpoint, name: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        """All rows of a paged list; the cursor goes back exactly as it came."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            call = _calling(name, {**request, "cursor": cursor} if cursor else request)
            result = await self._rest.ask_account(endpoint, call, key=request["category"])
            rows.extend(result["list"])
            following = str(result.get("nextPageCursor") or "")
            if not following or not result["list"] or following == cursor:
                return rows
            cursor = following
        raise wire.WireError(f"expected {name} to end within {_PAGES} pages, found more")


def _named(client_id: str, symbol: str, venue_id: str = "") -> dict[str, Any]:
    category, name = native(symbol)
    return {"category": category, "symbol": name} | ({"orderId": venue_id} if venue_id else {"orderLinkId": client_id})


def _calling(name: str, request: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda session: getattr(session, name)(**request)
