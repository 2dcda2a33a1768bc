"""Alpaca's commands: how each is asked of the venue, and what its answer says.

What the venue can't do is refused here, with a code of ours: ``POST_ONLY`` and the like
``UNSUPPORTED``, closing more than is held ``REDUCE_ONLY``, amending what is partly filled
``AMEND_PARTIALLY_FILLED`` (whether the venue counts the new quantity with or without what was
filled is not documented), trading a closed market ``MARKET_CLOSED`` (the venue would keep the order
for the next opening).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

from exchanges.alpaca import wire
from exchanges.alpaca.failures import classify, refused, undecided
from exchanges.alpaca.hours import Session
from exchanges.alpaca.lineage import Node, successor_of
from exchanges.alpaca.lookup import Lookup, readable
from exchanges.alpaca.resolver import fill_of
from exchanges.alpaca.rest import ACCOUNT, AMEND, CANCEL, CANCEL_ALL, CLOSABLE, PLACE, POSITIONS, Rest
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import WireError, is_crypto, native, plain, rows_of
from exchanges.commands import CommandRunner
from exchanges.commands import result as outcome_of
from exchanges.failures import Failure, FailureKind, VenueError
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

T = TypeVar("T")
_ZERO = Decimal(0)
_ONE = Decimal(1)


class Commands(CommandRunner):
    """Runs commands against the REST interface and reports to the sink.

    ``session`` says what equities do now; ``None`` while the venue's clock hasn't been heard.
    """

    def __init__(
        self,
        settings: AlpacaSettings,
        rest: Rest,
        lookup: Lookup,
        sink: Sink,
        counters: Counter[str],
        session: Callable[[], Session | None],
    ) -> None:
        super().__init__(sink, counters, classify)
        self._settings = settings
        self._rest = rest
        self._lookup = lookup
        self._lineage = lookup.lineage
        self._session = session

    # -- orders ----------------------------------------------------------------------------

    async def place(self, command: PlaceOrder) -> CommandResult:
        body = self._body(command)
        if command.reduce_only:
            await _unsent(self._check_reducing(command))
        placed = readable(wire.order, await self._rest.post(PLACE, "/orders", body))
        self._rest.stack.forget(ACCOUNT)
        if placed.client_id != command.client_id:
            raise VenueError(undecided("OTHER_ORDER", f"expected order {command.client_id}, found {placed.client_id}"))
        self._lineage.add(placed)
        return outcome_of(command, Outcome.ACCEPTED, venue_id=placed.id)

    def _body(self, command: PlaceOrder) -> dict[str, str | bool]:
        """The order as the venue takes it, if it would do with it what is meant."""
        crypto = is_crypto(native(command.symbol))
        session = None if crypto else self._session()
        if session is None and not crypto and not command.reduce_only:
            unheard = Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "HOURS_UNKNOWN", "the clock wasn't heard yet")
            raise VenueError(unheard)
        outside = session is Session.EXTENDED
        if session is Session.CLOSED or (outside and not self._settings.extended_hours):
            raise refused("MARKET_CLOSED", f"{command.symbol} isn't traded now; the venue would keep the order")
        simple = command.type is OrderType.LIMIT and command.time_in_force is TimeInForce.GTC
        if outside and not simple:
            raise refused("MARKET_CLOSED", "only limit orders without IOC or FOK are traded in extended hours")
        try:
            return wire.order_request(command, extended=self._settings.extended_hours and simple)
        except WireError as error:
            raise refused("UNSUPPORTED", str(error)) from error

    async def _check_reducing(self, command: PlaceOrder) -> None:
        """The venue has no reduce-only orders: refuse one that would open or turn a position.

        What other working orders are going to close counts as closed.
        """
        rows = rows_of(await self._rest.get(CLOSABLE, "/positions"), "the positions")
        free = next((wire.closable(row) for row in rows if wire.position(row).symbol == command.symbol), _ZERO)
        reducing = free > 0 if command.side is Side.SELL else free < 0
        if not reducing or command.quantity > abs(free):
            raise refused("REDUCE_ONLY", f"quantity={command.quantity} {command.side.value} closable={free}")

    async def amend(self, command: AmendOrder) -> CommandResult:
        node = await _unsent(self._current(command.client_id, fresh=True))
        if node is None:
            return outcome_of(command, Outcome.NOT_FOUND)
        order = node.order
        if order.final:
            raise refused("ORDER_FINAL", f"order {command.client_id} has ended: {order.status}")
        if any(member.order.filled for member in self._chain(node)):
            raise refused("AMEND_PARTIALLY_FILLED", f"filled={order.filled}; cancel it and place another")
        if command.quantity is not None and not order.crypto and (command.quantity % _ONE or order.quantity % _ONE):
            raise refused("AMEND_FRACTIONAL", f"quantity={command.quantity}; fractions of a share can't be amended")
        body: dict[str, str | bool] = {"client_order_id": successor_of(order.client_id)}
        if command.quantity is not None:
            body["qty"] = plain(command.quantity)
        if command.price is not None:
            body["limit_price"] = plain(command.price)
        answer = await self._rest.patch(AMEND, f"/orders/{order.id}", body)
        successor = self._lineage.add(readable(wire.order, answer))
        return outcome_of(command, Outcome.ACCEPTED, venue_id=successor.order.id)

    async def cancel(self, command: CancelOrder) -> CommandResult:
        """Cancel the order that stands for it now; one that was replaced unnoticed is looked up once."""
        node = await _unsent(self._current(command.client_id, venue_id=command.venue_id))
        if node is None:
            return outcome_of(command, Outcome.NOT_FOUND)
        try:
            await self._rest.delete(CANCEL, f"/orders/{node.order.id}")
        except VenueError as error:
            if error.failure.kind not in (FailureKind.REJECTED, FailureKind.INVALID):
                raise
            now = await _unsent(self._current(command.client_id, fresh=True, venue_id=command.venue_id))
            if now is None or now.order.id == node.order.id:
                raise
            node = now
            await self._rest.delete(CANCEL, f"/orders/{node.order.id}")
        return outcome_of(command, Outcome.ACCEPTED, venue_id=node.order.id)

    async def cancel_all(self, command: CancelAll) -> CommandResult:
        """Cancel everything; for one symbol, which the venue has no call for, order by order."""
        if command.symbol:
            return await self._cancel_symbol(command)
        failed = [
            (order_id, status)
            for order_id, status in readable(wire.cancelled, await self._rest.delete(CANCEL_ALL, "/orders"))
            if status >= 400 and status not in (404, 422)
        ]
        if failed:
            told = ", ".join(f"{order_id}: {status}" for order_id, status in failed[:10])
            raise VenueError(undecided("CANCEL_ALL_PARTIAL", f"{len(failed)} orders were not cancelled: {told}"))
        return outcome_of(command, Outcome.ACCEPTED)

    async def _cancel_symbol(self, command: CancelAll) -> CommandResult:
        nodes = await self._lookup.orders("open", 0, native(command.symbol))
        problems: list[VenueError] = []
        for node in nodes:
            if node.order.symbol != command.symbol:
                continue
            try:
                await self._rest.delete(CANCEL, f"/orders/{node.order.id}")
            except VenueError as error:
                # One that has ended meanwhile needs no cancelling; of the others the worst is reported.
                if error.failure.outcome not in (Outcome.REJECTED, Outcome.NOT_FOUND):
                    problems.append(error)
        if problems:
            raise problems[0]
        return outcome_of(command, Outcome.ACCEPTED)

    async def query(self, command: QueryOrder) -> CommandResult:
        node = await self._found(command.client_id, command.venue_id)
        if node is None:
            return outcome_of(command, Outcome.NOT_FOUND)
        view = await self._view(node)
        return outcome_of(command, Outcome.ACCEPTED, venue_id=view.venue_id, order=view)

    async def _view(self, node: Node) -> Order:
        """The order that ``node`` belongs to, as we count it.

        Raises:
            VenueError: it was replaced, and what by can't be found out.
        """
        view = self._known_view(node)
        if view is not None:
            return view
        await self._lookup.complete(node)
        view = self._known_view(node)
        if view is None:
            await self._lookup.executions(min((n.order.submitted_ns for n in self._chain(node)), default=0))
            self._lineage.settle(node.root or "")
            view = self._known_view(node)
        if view is None and node.order.status == "replaced":
            raise VenueError(undecided("CHAIN_UNKNOWN", f"order {node.order.id} was replaced, not known by what"))
        if view is None:
            self.counters["chains_broken"] += 1
        return view or self._lineage.alone(node)

    def _known_view(self, node: Node) -> Order | None:
        return self._lineage.view(node.root) if node.root is not None else None

    def _chain(self, node: Node) -> list[Node]:
        return self._lineage.chain(node.root or "")

    async def _found(self, client_id: str, venue_id: str) -> Node | None:
        """An order by the venue's id, where it is given."""
        return await (self._lookup.by_id(venue_id) if venue_id else self._lookup.by_client_id(client_id))

    async def _current(self, client_id: str, *, fresh: bool = False, venue_id: str = "") -> Node | None:
        """The venue's order that stands for ``client_id``, or for one of the venue's own, now."""
        known = self._lineage.head(client_id)
        if known is not None and not fresh:
            return known
        first = await self._found(client_id, venue_id)
        if first is None:
            return None
        return self._lineage.head(first.root or "") or first

    # -- the whole state -------------------------------------------------------------------

    async def orders(self) -> tuple[Order, ...]:
        """The working orders, each of ours once, however often it was replaced."""
        views: dict[str, Order] = {}
        for node in await self._lookup.orders("open", 0):
            view = await self._view(node)
            if not view.status.final:
                views[node.root or node.order.id] = view
        return tuple(views.values())

    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        """The executions since ``since_ns``; the venue's list has no end but the present."""
        executions = await self._lookup.executions(since_ns)
        return tuple(fill_of(self._lineage, execution, self._settings.crypto_taker_fee) for execution in executions)

    async def positions(self) -> tuple[VenuePosition, ...]:
        rows = rows_of(await self._rest.get(POSITIONS, "/positions"), "the positions")
        return tuple(wire.position(row) for row in rows)

    async def balances(self) -> tuple[Balance, ...]:
        return (wire.account(await self._rest.get(ACCOUNT, "/account")).balance,)


async def _unsent(reading: Awaitable[T]) -> T:
    """What has to be read before a command is sent: whatever becomes of it, the command has not left.

    Raises:
        VenueError: ``NOT_SENT`` where the answer is missing.
    """
    try:
        return await reading
    except VenueError as error:
        failure = error.failure
        if failure.outcome is not Outcome.UNKNOWN:
            raise
        raise VenueError(failure._replace(kind=FailureKind.UNAVAILABLE, outcome=Outcome.NOT_SENT)) from error
