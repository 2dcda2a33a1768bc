"""Hyperliquid's commands: how each is asked of the venue, and what its answer says.

The venue has no market order, no fill-or-kill, no cancel-all, and its ``modify`` makes an order of another id whose
counts begin at nothing (documented). A market order goes as immediate-or-cancel (see ``pricing``), cancelling all as
one action for all that is listed; fill-or-kill and amending, also of stops, are declared as missing, and refused here.

A stop is a trigger order of its own (``tpsl`` "sl", met by the mark price: documented). That it keeps its number and
its cloid when it is met, and is listed as a trigger order afterwards, is uncertain; nothing here rests on the latter.

Whether the venue refuses a cloid that an ended order had is uncertain, so this side does: an id that may have
reached it is never sent again. That ``orderStatus`` says ``unknownOid`` of orders it has is reported (issue 253 of the
SDK), so the history is asked as well before an order counts as unknown.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from hyperliquid.utils.types import Cloid

from exchanges.commands import CommandRunner, result
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.fields import MS, SECOND, WireError
from exchanges.hyperliquid import endpoints, market, wire
from exchanges.hyperliquid.catalogue import Catalogue
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.failures import DUPLICATE, MISSING, Garbage, OrderRefused, classify, order_code, rejected
from exchanges.hyperliquid.market import FUNDING_NS
from exchanges.hyperliquid.names import native
from exchanges.hyperliquid.parser import named
from exchanges.hyperliquid.pricing import market_limit
from exchanges.hyperliquid.rest import Question, Rest
from exchanges.identities import Identities
from exchanges.interface import Sink
from exchanges.model.order import Fill, Order, OrderType, Side, TimeInForce
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

_BATCH = 40
"""Cancels in one action: as many as cost what one does."""

_FILLS, _FUNDINGS = 2_000, 500
"""Rows of one answer, at most (documented)."""

_PAID_NS = 60 * SECOND
"""How long after the hour its funding is told at the latest."""

_PAGES = 200
"""Pages of one list, at most: a venue that never ends its list must not keep us for ever."""

_SENT_KEPT = 20_000


class Knowledge(Protocol):
    """What the adapter knows of the market."""

    def best(self, coin: str, side: Side) -> Decimal | None:
        """The best price that an order of ``side`` would meet, if the stream tells it."""


class Commands(CommandRunner):
    """Runs commands against the REST interface and reports to the sink."""

    stops = True

    def __init__(
        self,
        rest: Rest,
        catalogue: Catalogue,
        knowledge: Knowledge,
        cloids: Cloids,
        identities: Identities,
        sink: Sink,
        counters: Counter[str],
    ) -> None:
        super().__init__(sink, counters, classify)
        self._rest = rest
        self._user = rest.settings.user
        self._catalogue = catalogue
        self._knowledge = knowledge
        self._cloids = cloids
        self._ids = identities
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._funded_hour, self._funded_ns = -1, 0
        """The last hour whose funding was asked for, and from when on the next answer has to be."""

    # -- orders ----------------------------------------------------------------------------

    async def place(self, command: PlaceOrder) -> CommandResult:
        """Send a new order, unless its id may have reached the venue before."""
        if command.client_id in self._sent:
            raise rejected(DUPLICATE, f"expected an id that was never sent, found {command.client_id} again")
        price, force = await self._terms(command)
        asset = await self._catalogue.asset(native(command.symbol))
        action = wire.place_action(command, asset, price, force, self._cloids.of(command.client_id))
        self._note(command.client_id)
        try:
            found = await self._rest.act(endpoints.PLACE, action, key=command.client_id)
        except VenueError as error:
            if error.failure.outcome is Outcome.NOT_SENT:
                self._sent.pop(command.client_id, None)
            raise
        order_id = self._named(_only(found))
        self._ids.learn(order_id, command.client_id, native(command.symbol))
        return result(command, Outcome.ACCEPTED, venue_id=order_id)

    def _note(self, client_id: str) -> None:
        self._sent[client_id] = None
        while len(self._sent) > _SENT_KEPT:
            self._sent.popitem(last=False)

    async def _terms(self, command: PlaceOrder) -> tuple[Decimal, TimeInForce]:
        """Limit price and time in force to send."""
        force = command.time_in_force
        if force is TimeInForce.FOK:
            raise rejected("FILL_OR_KILL", "expected GTC, IOC or post-only, found fill-or-kill, which the venue lacks")
        if command.type is OrderType.MARKET and command.trigger is not None:
            rules, slippage = self._catalogue.rules(native(command.symbol)), self._rest.settings.market_slippage
            return market_limit(command.side, command.trigger.price, slippage, rules), TimeInForce.GTC
        if command.type is OrderType.MARKET:
            return await self._market_price(command), TimeInForce.IOC
        if command.price is None:
            raise WireError(f"expected a price of limit order {command.client_id}, found none")
        return command.price, force

    async def _market_price(self, command: PlaceOrder) -> Decimal:
        coin = native(command.symbol)
        rules = self._catalogue.rules(coin)
        best = self._knowledge.best(coin, command.side)
        if best is None:
            bid, ask = market.best(await self._rest.ask(endpoints.BOOK, lambda info: info.l2_snapshot(coin), key=coin))
            best = ask if command.side is Side.BUY else bid
        if not best:
            reason = f"expected somebody to trade with in {coin}, found an empty book"
            raise VenueError(Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_LIQUIDITY", reason))
        return market_limit(command.side, best, self._rest.settings.market_slippage, rules)

    def _named(self, status: Any) -> str:
        """The order's id in its status, empty if it has none: the order exists all the same."""
        if isinstance(status, dict):
            if "error" in status:
                raise OrderRefused(str(status["error"]))
            for word in ("resting", "filled"):
                oid = status[word].get("oid") if isinstance(status.get(word), dict) else None
                if isinstance(oid, int):
                    return str(oid)
        self.counters["answers_unreadable"] += 1
        return ""

    async def amend(self, command: AmendOrder) -> CommandResult:
        """Refused: under another id the venue would begin to count anew."""
        return result(command, Outcome.NOT_SENT, "UNSUPPORTED", "orders can't be amended here; cancel, and place anew")

    async def cancel(self, command: CancelOrder) -> CommandResult:
        """Cancel by cloid, or by the venue's number where that is all there is."""
        asset = await self._catalogue.asset(native(command.symbol))
        if command.venue_id:
            action = wire.cancel_many([(asset, int(command.venue_id))])
        else:
            action = wire.cancel_action(asset, self._cloids.of(command.client_id))
        _ensure_cancelled(_only(await self._rest.act(endpoints.CANCEL, action, key=command.client_id)))
        return result(command, Outcome.ACCEPTED)

    async def cancel_all(self, command: CancelAll) -> CommandResult:
        """Cancel everything the venue lists, of one symbol or of all; one part's failure keeps no other from it."""
        wanted = native(command.symbol) if command.symbol else ""
        orders = [
            (await self._catalogue.asset(str(row["coin"])), wire.whole(row, "oid"))
            for row in await self._listed(endpoints.CANCELLABLE)
            if not wanted or row["coin"] == wanted
        ]
        parts = [orders[start : start + _BATCH] for start in range(0, len(orders), _BATCH)]
        ends = await asyncio.gather(*(self._cancel_many(part) for part in parts), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return result(command, Outcome.ACCEPTED)

    async def _cancel_many(self, orders: list[tuple[int, int]]) -> None:
        """Cancel several; one that is gone already is as good."""
        for status in await self._rest.act(endpoints.CANCEL, wire.cancel_many(orders)):
            if not (isinstance(status, dict) and order_code(str(status.get("error"))) == MISSING):
                _ensure_cancelled(status)

    # -- finding ---------------------------------------------------------------------------

    async def query(self, command: QueryOrder) -> CommandResult:
        found = await (self._numbered(command.venue_id) if command.venue_id else self._find(command.client_id))
        if found is None:
            return result(command, Outcome.NOT_FOUND)
        return result(command, Outcome.ACCEPTED, venue_id=found.venue_id, order=found)

    async def _find(self, client_id: str) -> Order | None:
        """The venue's view of our order: by its cloid, else among the newest 2000 of the account."""
        cloid = self._cloids.of(client_id)
        answer = await self._rest.ask(
            endpoints.ORDER,
            lambda info: info.query_order_by_cloid(self._user, Cloid.from_str(cloid)),
            key=client_id,
        )
        row = _status_row(answer)
        if row is not None:
            return self._order(row)
        for row in wire.listed(
            await self._rest.ask(endpoints.HISTORY, lambda info: info.historical_orders(self._user)), "orders"
        ):
            if str(wire.inner(row, "order").get("cloid")).lower() == cloid:
                return self._order(row)
        return None

    async def _numbered(self, venue_id: str) -> Order | None:
        """The venue's view of the order with its number."""
        oid = int(venue_id)
        answer = await self._rest.ask(endpoints.ORDER, lambda info: info.query_order_by_oid(self._user, oid), key=oid)
        row = _status_row(answer)
        return self._order(row) if row is not None else None

    def _order(self, row: dict[str, Any]) -> Order:
        order = wire.report(row, self._cloids)
        if wire.status_of(str(row.get("status"))) is None:
            self.counters["order_status_unknown"] += 1
        self._ids.seen(order)
        return order

    async def identify(self, row: dict[str, Any]) -> None:
        """Learn our id of the order a fill is of; one the venue doesn't know counts as somebody else's.

        Raises:
            VenueError, WireError: it could not be had.
        """
        oid = wire.whole(row, "oid")
        if await self._numbered(str(oid)) is None:
            self.counters["orders_unidentified"] += 1
            self._ids.learn(str(oid), "", str(row.get("coin")))

    # -- the whole state -------------------------------------------------------------------

    async def orders(self) -> tuple[Order, ...]:
        """What works in the books or waits for its price; what closes a whole position has no size of its own."""
        listed = await self._listed(endpoints.OPEN_ORDERS)
        made = [wire.working(row, self._cloids) for row in listed if not wire.of_a_position(row)]
        self.counters["trigger_orders_listed"] += len(listed) - len(made)
        for order in made:
            self._ids.seen(order)
        return tuple(made)

    async def _listed(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        """The working orders of our markets."""
        answer = await self._rest.ask(endpoint, lambda info: info.frontend_open_orders(self._user))
        return [row for row in wire.listed(answer, "orders") if wire.ours(row)]

    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        """Executions since ``since_ns``; funding payments go to the sink by themselves."""
        end = _end_ms(until_ns)
        found, _ = await asyncio.gather(
            self._since(endpoints.FILLS, _FILLS, since_ns, lambda first: _fills(self._user, first, end)),
            self._payments(since_ns, until_ns),
        )
        made = [await self.fill(row) for row in found if wire.ours(row)]
        return tuple({fill.execution_id: fill for fill in made}.values())

    async def _payments(self, since_ns: int, until_ns: int) -> None:
        """Report the funding since the last answer, once for each hour it is paid in: the stream tells it as well."""
        hour = (until_ns - _PAID_NS) // FUNDING_NS
        if hour <= self._funded_hour:
            return
        first_ns, end = self._funded_ns or since_ns, _end_ms(until_ns)
        for row in await self._since(
            endpoints.FUNDING, _FUNDINGS, first_ns, lambda first: _fundings(self._user, first, end)
        ):
            delta = wire.inner(row, "delta")
            if wire.ours(delta):
                self.sink(wire.payment(delta, wire.instant(row, "time")))
        self._funded_hour, self._funded_ns = hour, until_ns - 2 * _PAID_NS

    async def fill(self, row: dict[str, Any]) -> Fill:
        """One execution; whose order it is of is asked where it isn't known.

        Raises:
            VenueError, WireError: it could not be had.
        """
        client_id = named(row, self._cloids, self._ids)
        if client_id is None:
            await self.identify(row)
            client_id = self._ids.client_id(str(row["oid"]))
        return wire.fill(row, client_id or "")

    async def _since(
        self, endpoint: Endpoint, most: int, since_ns: int, question: Callable[[int], Question]
    ) -> list[dict[str, Any]]:
        """All rows of a list told by time, the oldest first; what two pages share is there twice."""
        made: list[dict[str, Any]] = []
        first_ms = max(since_ns, 0) // MS
        for _ in range(_PAGES):
            page = wire.listed(await self._rest.ask(endpoint, question(first_ms)), endpoint.name)
            made.extend(page)
            if len(page) < most:
                return made
            first_ms = max(wire.instant(row, "time") for row in page) // MS
        raise WireError(f"expected {endpoint.name} to end within {_PAGES} pages, found more")

    async def positions(self) -> tuple[VenuePosition, ...]:
        return wire.positions(await self._state())

    async def balances(self) -> tuple[Balance, ...]:
        return (wire.balance(await self._state()),)

    async def _state(self) -> dict[str, Any]:
        """The account; the parts of one reconciliation share one answer, which is never older than it."""
        answer = await self._rest.ask(endpoints.STATE, lambda info: info.user_state(self._user), key=self.fetch)
        return dict(wire.inner({"state": answer}, "state"))


def _end_ms(until_ns: int) -> int:
    """The last moment to ask for: the venue's clock may be ahead of ours."""
    return until_ns // MS + 60_000


def _fills(user: str, first_ms: int, end_ms: int) -> Question:
    return lambda info: info.user_fills_by_time(user, first_ms, end_ms)


def _fundings(user: str, first_ms: int, end_ms: int) -> Question:
    return lambda info: info.user_funding_history(user, first_ms, end_ms)


def _only(found: list[Any]) -> Any:
    """The status of an action of one; raises ``Garbage`` where there is another number of them."""
    if len(found) != 1:
        raise Garbage(f"expected one status, found {len(found)}")
    return found[0]


def _ensure_cancelled(status: Any) -> None:
    if status == "success":
        return
    if isinstance(status, dict) and "error" in status:
        raise OrderRefused(str(status["error"]))
    raise Garbage(f"expected success or an error, found {repr(status)[:200]}")


def _status_row(answer: Any) -> dict[str, Any] | None:
    """The order in an ``orderStatus``, ``None`` where the venue knows none; raises ``Garbage`` for anything else."""
    if isinstance(answer, dict):
        if isinstance(answer.get("order"), dict):
            row: dict[str, Any] = answer["order"]
            return row
        if answer.get("status") == "unknownOid":
            return None
    raise Garbage(f"expected an order or unknownOid, found {repr(answer)[:200]}")
