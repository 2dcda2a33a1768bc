"""Kalshi's commands: how each is asked of the venue, and what its answer says."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from exchanges.commands import CommandRunner, result
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.identities import Identities
from exchanges.interface import Sink
from exchanges.kalshi import amounts, market, rest, wire
from exchanges.kalshi.amounts import SECOND, WireError
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.failures import classify
from exchanges.kalshi.market import Market
from exchanges.kalshi.pricing import market_limit
from exchanges.kalshi.rest import RestClient
from exchanges.kalshi.settings import KalshiSettings
from exchanges.model.order import Fill, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CommandResult,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    VenuePosition,
)
from exchanges.resilience import Endpoint

ORDERS_PATH = "/portfolio/events/orders"
LIST_PATH = "/portfolio/orders"
_PAGE = 200
_PATIENCE_S = 1.0
"""How long a market order waits for an empty book to fill."""

_FILL_OR_LESS = (TimeInForce.IOC, TimeInForce.FOK)


class Knowledge(Protocol):
    """What the adapter knows of the markets."""

    def known(self, ticker: str) -> Market | None:
        """The market's row as last seen."""

    def best(self, ticker: str, side: Side) -> Decimal | None:
        """The best price of YES that an order of ``side`` would meet, if the book is in hand."""


class Commands(CommandRunner):
    """Runs commands against the REST interface and reports to the sink."""

    def __init__(
        self,
        settings: KalshiSettings,
        client: RestClient,
        knowledge: Knowledge,
        identities: Identities,
        charges: Charges,
        sink: Sink,
        counters: Counter[str],
    ) -> None:
        super().__init__(sink, counters, classify)
        self._settings = settings
        self._rest = client
        self._knowledge = knowledge
        self._ids = identities
        self._charges = charges

    # -- orders ----------------------------------------------------------------------------

    async def place(self, command: PlaceOrder) -> CommandResult:
        """Send a new order. Market orders and resting reduce-only ones, which the venue lacks, go as IOC."""
        price, force = await self._terms(command)
        body = wire.place_request(command, price, force, self._settings.self_trade_prevention)
        answer = await self._rest.send(rest.CREATE, "POST", ORDERS_PATH, body)
        order_id = self._named(answer)
        self._ids.learn(order_id, command.client_id, market.native(command.symbol))
        self._ended(command, price, order_id, answer)
        return result(command, Outcome.ACCEPTED, venue_id=order_id)

    async def _terms(self, command: PlaceOrder) -> tuple[Decimal, TimeInForce]:
        """Limit price and time in force to send."""
        if command.type is OrderType.MARKET:
            force = TimeInForce.FOK if command.time_in_force is TimeInForce.FOK else TimeInForce.IOC
            return await self._market_price(command), force
        if command.price is None:
            raise WireError(f"expected a price of limit order {command.client_id}, found none")
        force = command.time_in_force
        if command.reduce_only and force is TimeInForce.POST_ONLY:
            raise _rejected("REDUCE_ONLY_RESTING", "expected IOC or FOK of a reduce-only order, found post-only")
        if command.reduce_only and force not in _FILL_OR_LESS:
            self.counters["reduce_only_sent_as_ioc"] += 1
            force = TimeInForce.IOC
        return command.price, force

    async def _market_price(self, command: PlaceOrder) -> Decimal:
        ticker = market.native(command.symbol)
        row = self._knowledge.known(ticker)
        if row is None:
            raise _rejected("INSTRUMENT_UNKNOWN", f"expected a market of the subscribed symbols, found {ticker}")
        best = await self._best(ticker, command.side)
        return market_limit(command.side, best, self._settings.market_slippage, row.steps, row.value)

    async def _best(self, ticker: str, side: Side) -> Decimal:
        """The best price of the other side: of the stream's book, else of a fetched one; an empty one gets a moment.

        Raises:
            VenueError: nobody is there to trade with, and nothing was sent.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            best = self._knowledge.best(ticker, side)
            if best is not None:
                return best
            answer = await self._rest.get(rest.BOOK, rest.path_of("markets", ticker, "orderbook"))
            bids, asks = market.rest_book(answer)
            if side is Side.BUY and asks:
                return min(asks)
            if side is Side.SELL and bids:
                return max(bids)
            if time.monotonic() > deadline:
                reason = f"expected somebody to trade with in {ticker}, found an empty book for {_PATIENCE_S:g} s"
                raise VenueError(Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_LIQUIDITY", reason))
            await asyncio.sleep(_PATIENCE_S / 8)

    def _ended(self, command: PlaceOrder, price: Decimal, order_id: str, answer: dict[str, Any]) -> None:
        """Report an order that the answer itself says has ended: fully filled, or filled in part and cancelled."""
        try:
            filled = amounts.not_negative(amounts.count(answer, "fill_count"), "fill_count")
            remaining = amounts.count(answer, "remaining_count")
        except WireError:
            # The order was taken, whatever else the answer holds: the stream and queries tell its fate.
            self.counters["answers_unreadable"] += 1
            return
        if remaining is None or remaining != 0:
            return
        order = Order(
            command.client_id,
            command.symbol,
            command.side,
            OrderType.LIMIT,
            command.quantity,
            price,
            status=OrderStatus.FILLED if filled >= command.quantity else OrderStatus.CANCELLED,
            venue_id=order_id,
            filled=filled,
        )
        self.sink(OrderReport(order))

    def _named(self, answer: dict[str, Any]) -> str:
        """The order id in an answer, empty if it has none: the order exists all the same."""
        found = answer.get("order_id")
        if isinstance(found, str) and found:
            return found
        self.counters["answers_unreadable"] += 1
        return ""

    async def amend(self, command: AmendOrder) -> CommandResult:
        """Change price or total quantity; the venue wants both, so what stays is asked for first."""
        order = await self._find(command.client_id, command.symbol, rest.ORDERS)
        if order is None:
            return result(command, Outcome.NOT_FOUND)
        price = command.price if command.price is not None else order.price
        if price is None:
            raise WireError(f"expected a price of order {command.client_id}, found none; give one")
        body = {
            "ticker": market.native(command.symbol),
            "side": "bid" if order.side is Side.BUY else "ask",
            "price": wire.plain_price(price),
            "count": wire.plain_count(command.quantity if command.quantity is not None else order.quantity),
            "client_order_id": command.client_id,
        }
        path = f"{ORDERS_PATH}{rest.path_of(order.venue_id, 'amend')}"
        answer = await self._rest.send(rest.AMEND, "POST", path, body)
        return result(command, Outcome.ACCEPTED, venue_id=self._named(answer) or order.venue_id)

    async def cancel(self, command: CancelOrder) -> CommandResult:
        """Cancel by the venue's id; one we have forgotten is looked up first."""
        order_id = command.venue_id or self._ids.order_id(command.client_id)
        if not order_id:
            found = await self._find(command.client_id, command.symbol, rest.FIND)
            if found is None or found.status.final:
                return result(command, Outcome.NOT_FOUND, "NOT_WORKING", "the venue lists no working order of that id")
            order_id = found.venue_id
        await self._rest.send(rest.CANCEL, "DELETE", f"{ORDERS_PATH}{rest.path_of(order_id)}")
        return result(command, Outcome.ACCEPTED, venue_id=order_id)

    async def cancel_all(self, command: CancelAll) -> CommandResult:
        """Cancel everything, or every working order of one market, one by one.

        By the venue's word, its own cancel-all may also take orders placed within the minute after.
        """
        if not command.symbol:
            await self._rest.send(rest.CANCEL_ALL, "DELETE", ORDERS_PATH)
            return result(command, Outcome.ACCEPTED)
        working = await self._listed(rest.FIND, ticker=market.native(command.symbol), status="resting")
        ended = await asyncio.gather(*(self._cancelled(order) for order in working))
        failure = next((failure for failure in ended if failure is not None), None)
        if failure is not None:
            raise VenueError(failure)
        return result(command, Outcome.ACCEPTED)

    async def _cancelled(self, order: Order) -> Failure | None:
        """Cancel one of many; gone already is as good."""
        try:
            await self._rest.send(rest.CANCEL, "DELETE", f"{ORDERS_PATH}{rest.path_of(order.venue_id)}")
        except VenueError as error:
            return None if error.failure.kind is FailureKind.NOT_FOUND else error.failure
        return None

    # -- finding ---------------------------------------------------------------------------

    async def query(self, command: QueryOrder) -> CommandResult:
        """Resting orders first, then all: one that ends in between is in the second answer."""
        found = await self._find(command.client_id, command.symbol, rest.ORDERS, command.venue_id)
        if found is None:
            return result(command, Outcome.NOT_FOUND)
        return result(command, Outcome.ACCEPTED, venue_id=found.venue_id, order=found)

    async def _find(self, client_id: str, symbol: str, endpoint: Endpoint, venue_id: str = "") -> Order | None:
        """The venue's view of an order, by listing its market's orders; there is no other way by our id."""
        ticker = market.native(symbol)
        for more in ({"status": "resting"}, {}):
            for order in await self._listed(endpoint, ticker=ticker, **more):
                if (order.venue_id == venue_id) if venue_id else (order.client_id == client_id):
                    return order
        return None

    async def _listed(self, endpoint: Endpoint, **query: str) -> list[Order]:
        """The orders of a list; rows that can't be read fail it, as one of them may be ours."""
        found = await self._rest.pages(endpoint, LIST_PATH, "orders", limit=_PAGE, **query)
        return [self._order(row) for row in found]

    def _order(self, row: dict[str, Any]) -> Order:
        order = wire.order(row)
        if not wire.known_status(str(row.get("status"))):
            self.counters["order_status_unknown"] += 1
        self._ids.seen(order)
        return order

    async def refresh(self, ticker: str) -> None:
        """Report the orders of a market anew: it may have cancelled them by itself.

        Raises:
            VenueError, WireError: they could not be had.
        """
        for order in await self._listed(rest.ORDERS, ticker=ticker):
            self.sink(OrderReport(order))

    # -- the whole state -------------------------------------------------------------------

    async def orders(self) -> tuple[Order, ...]:
        return tuple(order for order in await self._listed(rest.ORDERS, status="resting") if not order.status.final)

    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        """Executions since ``since_ns``, and the payments of markets that were settled since."""
        since = max(0, since_ns) // SECOND
        found, paid = await asyncio.gather(
            self._rest.pages(rest.FILLS, "/portfolio/fills", "fills", limit=_PAGE, min_ts=since),
            self.settled(since_ns=since_ns),
        )
        await self._identify(found)
        made = {fill.execution_id: fill for fill in (self.fill(row) for row in found)}
        made.update({fill.execution_id: fill for fill in paid})
        return tuple(made.values())

    def fill(self, row: dict[str, Any]) -> Fill:
        """One row of executions; its order is looked up among those known."""
        client_id = amounts.optional_text(row, "client_order_id") or self._ids.client_id(amounts.text(row, "order_id"))
        return wire.fill(row, client_id or "", self._charges.fee)

    async def _identify(self, found: Sequence[dict[str, Any]]) -> None:
        """Learn which orders the fills are of: the venue's list of fills names its own ids alone."""
        unknown = {
            amounts.text(row, "order_id"): amounts.text(row, "market_ticker", "ticker")
            for row in found
            if not row.get("client_order_id") and self._ids.client_id(amounts.text(row, "order_id")) is None
        }
        for ticker in sorted(set(unknown.values())):
            await self._listed(rest.ORDERS, ticker=ticker)
        for order_id, ticker in unknown.items():
            if self._ids.client_id(order_id) is None:
                await self.identify(order_id, ticker)

    async def identify(self, order_id: str, ticker: str) -> None:
        """Learn our id of one order; one the venue has no more counts as somebody else's.

        Raises:
            VenueError, WireError: it could not be had.
        """
        try:
            answer = await self._rest.get(rest.ORDER, f"{LIST_PATH}{rest.path_of(order_id)}")
        except VenueError as error:
            if error.failure.kind is not FailureKind.NOT_FOUND:
                raise
            self.counters["orders_unidentified"] += 1
            self._ids.learn(order_id, "", ticker)
            return
        row = answer.get("order")
        if not isinstance(row, dict):
            raise WireError(f"expected an object in order, found {type(row).__name__}")
        self._order(row)

    async def settled(self, *, since_ns: int = 0, ticker: str = "") -> tuple[Fill, ...]:
        """The payments of settled markets, as the fills that close the positions."""
        query: dict[str, str | int] = {"ticker": ticker} if ticker else {"min_ts": max(0, since_ns) // SECOND}
        found = await self._rest.pages(rest.SETTLEMENTS, "/portfolio/settlements", "settlements", limit=_PAGE, **query)
        made = []
        for row in found:
            try:
                paid = wire.settlement(row)
            except WireError:
                # A result we can't read leaves the position unexplained, which stops its symbol, and no other.
                self.counters["settlements_unreadable"] += 1
                continue
            if paid is not None and (ticker or paid.ts_ns >= since_ns):
                made.append(paid)
        return tuple(made)

    async def positions(self) -> tuple[VenuePosition, ...]:
        found = await self._rest.pages(rest.POSITIONS, "/portfolio/positions", "market_positions", limit=_PAGE)
        return tuple(position for row in found if (position := wire.position(row)).quantity)

    async def balances(self) -> tuple[Balance, ...]:
        return (wire.balance(await self._rest.get(rest.BALANCE, "/portfolio/balance")),)


def _rejected(code: str, reason: str) -> VenueError:
    """An order we refuse ourselves because the venue could not carry it out."""
    return VenueError(Failure(FailureKind.REJECTED, Outcome.REJECTED, code, reason))
