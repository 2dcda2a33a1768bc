"""Commands carried out: one call each, never repeated, and an outcome whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from exchanges.bybit import wire
from exchanges.bybit.failures import Failure, classify
from exchanges.bybit.rest import RestClient, TooBusyError
from exchanges.bybit.settings import BybitSettings
from exchanges.interface import Sink
from exchanges.model.order import Fill, Order
from exchanges.model.position import Balance
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    FetchState,
    Outcome,
    PlaceOrder,
    QueryOrder,
    VenuePosition,
    VenueState,
)

T = TypeVar("T")
_WEEK_NS = 7 * 86_400 * 1_000_000_000
_PAGES = 200
"""Pages of one list, at most: a venue that never ends its list must not keep us for ever."""


class Commands:
    """Runs commands against the REST interface and reports to the sink."""

    def __init__(self, settings: BybitSettings, rest: RestClient, sink: Sink, counters: Counter[str]) -> None:
        self._settings = settings
        self._rest = rest
        self._sink = sink
        self._counters = counters

    async def run(self, command: Command) -> None:
        """Carry out ``command``; the sink gets a ``CommandResult`` or a ``VenueState``."""
        if isinstance(command, FetchState):
            self._sink(await self._state(command.since_ns))
            return
        work: dict[type[Command], Callable[[Any], Awaitable[CommandResult]]] = {
            PlaceOrder: self._place,
            AmendOrder: self._amend,
            CancelOrder: self._cancel,
            CancelAll: self._cancel_all,
            QueryOrder: self._query,
        }
        handler = work.get(type(command))
        if handler is None:
            self._sink(_result(command, Outcome.NOT_SENT, "UNSUPPORTED", f"no {type(command).__name__} here"))
            return
        try:
            answer = await handler(command)
        except Exception as error:
            # A command always ends in an outcome: what the error means for it is decided in one place.
            failure = self.failure(error)
            self._counters[f"outcome_{failure.outcome.value}"] += 1
            answer = _result(command, failure.outcome, failure.code, failure.reason, retry=failure.retry_after_ns)
        self._sink(answer)

    def failure(self, error: Exception) -> Failure:
        """What ``error`` means for the command it ended."""
        if isinstance(error, TooBusyError):
            return Failure(Outcome.NOT_SENT, "LIMITER", str(error), error.wait_ns)
        return classify(error, time.time_ns())

    # -- orders ----------------------------------------------------------------------------

    async def _place(self, command: PlaceOrder) -> CommandResult:
        request = wire.place_request(command, self._settings.category)
        result = await self._rest.order(lambda session: session.place_order(**request))
        return _result(command, Outcome.ACCEPTED, venue_id=str(result.get("orderId", "")))

    async def _amend(self, command: AmendOrder) -> CommandResult:
        request = self._named(command.client_id, command.symbol)
        if command.quantity is not None:
            request["qty"] = wire.plain(command.quantity)
        if command.price is not None:
            request["price"] = wire.plain(command.price)
        result = await self._rest.order(lambda session: session.amend_order(**request))
        return _result(command, Outcome.ACCEPTED, venue_id=str(result.get("orderId", "")))

    async def _cancel(self, command: CancelOrder) -> CommandResult:
        request = self._named(command.client_id, command.symbol)
        result = await self._rest.cancel(lambda session: session.cancel_order(**request))
        return _result(command, Outcome.ACCEPTED, venue_id=str(result.get("orderId", "")))

    async def _cancel_all(self, command: CancelAll) -> CommandResult:
        request: dict[str, Any] = {"category": self._settings.category}
        if command.symbol:
            request["symbol"] = wire.native(command.symbol)
        else:
            request["settleCoin"] = self._settings.settle_coin
        await self._rest.cancel(lambda session: session.cancel_all_orders(**request))
        return _result(command, Outcome.ACCEPTED)

    def _named(self, client_id: str, symbol: str) -> dict[str, Any]:
        return {"category": self._settings.category, "symbol": wire.native(symbol), "orderLinkId": client_id}

    async def _query(self, command: QueryOrder) -> CommandResult:
        """Open orders first, then history: an order that ends in between is in the second answer."""
        request = self._named(command.client_id, command.symbol)
        for name in ("get_open_orders", "get_order_history"):
            result = await self._rest.query(_calling(name, request))
            for row in result["list"]:
                if row.get("orderLinkId") == command.client_id:
                    found = wire.order(row)
                    return _result(command, Outcome.ACCEPTED, venue_id=found.venue_id, order=found)
        return _result(command, Outcome.NOT_FOUND)

    # -- the whole state -------------------------------------------------------------------

    async def _state(self, since_ns: int) -> VenueState:
        """Fetch everything at once; what fails makes the answer incomplete, and is named."""
        started_ns = time.time_ns()
        problems: list[str] = []
        orders, fills, positions, balances = await asyncio.gather(
            self._part("orders", self._orders(), problems),
            self._part("fills", self._fills(since_ns, started_ns), problems),
            self._part("positions", self._positions(), problems),
            self._part("balances", self._balances(), problems),
        )
        if problems:
            self._counters["states_incomplete"] += 1
        return VenueState(not problems, started_ns, orders, fills, positions, balances, "; ".join(problems))

    async def _part(self, name: str, work: Awaitable[tuple[T, ...]], problems: list[str]) -> tuple[T, ...]:
        """One part of the state; a failure goes to ``problems``."""
        try:
            return await work
        except Exception as error:
            failure = self.failure(error)
            problems.append(f"{name}: {failure.code} {failure.reason}")
            return ()

    async def _orders(self) -> tuple[Order, ...]:
        request = self._settled(limit=50, openOnly=0)
        rows = await self._pages("get_open_orders", request)
        return tuple(order for row in rows if not (order := wire.order(row)).status.final)

    async def _positions(self) -> tuple[VenuePosition, ...]:
        rows = await self._pages("get_positions", self._settled(limit=200))
        return tuple(wire.position(row) for row in rows)

    async def _fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        """Executions since ``since_ns``, in windows of the seven days the venue allows."""
        made: dict[str, Fill] = {}
        start = max(since_ns, until_ns - 26 * _WEEK_NS)
        while start <= until_ns:
            end = start + _WEEK_NS - wire.MS
            request: dict[str, Any] = {
                "category": self._settings.category,
                "limit": 100,
                "startTime": start // wire.MS,
                "endTime": end // wire.MS,
            }
            for row in await self._pages("get_executions", request):
                fill = wire.fill(row)
                if fill is not None:
                    made[fill.execution_id] = fill
            start = end + wire.MS
        return tuple(made.values())

    async def _balances(self) -> tuple[Balance, ...]:
        result = await self._rest.query(lambda session: session.get_wallet_balance(accountType="UNIFIED"))
        return tuple(balance for account in result["list"] for balance in wire.balances(account))

    def _settled(self, **more: Any) -> dict[str, Any]:
        return {"category": self._settings.category, "settleCoin": self._settings.settle_coin, **more}

    async def _pages(self, name: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        """All rows of a paged list; the cursor goes back exactly as it came."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            result = await self._rest.query(_calling(name, {**request, "cursor": cursor} if cursor else request))
            rows.extend(result["list"])
            following = str(result.get("nextPageCursor") or "")
            if not following or not result["list"] or following == cursor:
                return rows
            cursor = following
        raise wire.WireError(f"expected {name} to end within {_PAGES} pages, found more")


def _calling(name: str, request: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda session: getattr(session, name)(**request)


def _result(
    command: Command,
    outcome: Outcome,
    code: str = "",
    reason: str = "",
    *,
    venue_id: str = "",
    order: Order | None = None,
    retry: int = 0,
) -> CommandResult:
    client_id, symbol = getattr(command, "client_id", ""), getattr(command, "symbol", "")
    return CommandResult(type(command).__name__, client_id, symbol, outcome, code, reason, venue_id, order, retry)
