"""The cases of orders that wait at the venue for a price, after the others in the same table."""

from __future__ import annotations

from decimal import Decimal

from exchanges.model.instrument import Instrument
from exchanges.model.market import Trade
from exchanges.model.order import Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, StopOrders, Trigger
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
)
from exchanges.simulators.faults import RequestFault
from exchanges.simulators.keys import key_of
from tests.conformance.cases import CASES as CASES
from tests.conformance.cases import case
from tests.conformance.desk import Desk

FAR, NEAR = Decimal("0.8"), Decimal("0.85")
"""Where stops wait, as parts of the last price."""


def _rules(d: Desk) -> tuple[Instrument, StopOrders | None]:
    instrument = d.of(InstrumentsReport)[-1].instruments[0]
    return instrument, instrument.stops


def _level(d: Desk, part: Decimal) -> Decimal:
    instrument, _ = _rules(d)
    return instrument.round_price(Decimal(str(d.of(Trade)[-1].price)) * part, Side.SELL)


def _stop(d: Desk, offered: StopOrders, part: Decimal = FAR) -> PlaceOrder:
    level = _level(d, part)
    return PlaceOrder(
        d.client_id(),
        d.stand.symbol,
        Side.SELL,
        OrderType.MARKET,
        d.stand.quantity,
        None,
        TimeInForce.GTC,
        offered.reduce_only,
        Trigger(Direction.BELOW, level, offered.sources[0]),
    )


async def _waiting(d: Desk) -> PlaceOrder | None:
    """A stop of a position at the venue; ``None`` where there is no such thing, which has been looked at then."""
    _, offered = _rules(d)
    assert d.exchange.capabilities.stops is (offered is not None)
    if offered is None:
        answer = await d.ask(_stop(d, StopOrders()))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "UNSUPPORTED"), answer
        assert not d.books()["orders"]
        return None
    await d.bought()
    order = _stop(d, offered)
    answer = await d.ask(order)
    assert answer.outcome is Outcome.ACCEPTED, answer
    return order


def _falls_to(d: Desk, price: Decimal) -> None:
    """The venue's market trades at that price once, and is marked there."""
    venue = d.simulator.venue
    venue.engine.on_mark(d.stand.symbol, price)
    venue.trade((venue.now_ns(), key_of(d.stand.symbol), float(price), 1.0, Side.SELL, "crash"))


def _seen(d: Desk, client_id: str) -> list[Order]:
    return [report.order for report in d.of(OrderReport) if report.order.client_id == client_id]


@case(79, "a stop waits at the venue, and is reported, listed and found as it was asked for")
async def _(d: Desk) -> None:
    order = await _waiting(d)
    if order is None:
        return
    await d.until(lambda: _seen(d, order.client_id), "its report")
    listed = [o for o in (await d.state()).orders if o.client_id == order.client_id]
    found = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert found is not None
    for view in (*listed, found):
        assert (view.status, view.trigger, view.triggered) == (OrderStatus.OPEN, order.trigger, False)
        assert (view.quantity, view.side, view.reduce_only) == (order.quantity, Side.SELL, order.reduce_only)
    assert len(listed) == 1
    pushed = _seen(d, order.client_id)[-1]
    assert (pushed.status, pushed.quantity, pushed.triggered) == (OrderStatus.OPEN, order.quantity, False)
    assert pushed.trigger in (order.trigger, None)


@case(80, "a stop whose price comes is filled, and reported with its client order id and as met")
async def _(d: Desk) -> None:
    order = await _waiting(d)
    if order is None or order.trigger is None:
        return
    _falls_to(d, order.trigger.price)
    await d.until(lambda: d.filled(order.client_id) == order.quantity, "its fills")
    await d.until(lambda: OrderStatus.FILLED in d.statuses(order.client_id), "the report of its end")
    found = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert found is not None and found.triggered
    assert not [p for p in (await d.state()).positions if p.quantity]


@case(81, "a waiting stop gets another price and another quantity under the same client order id")
async def _(d: Desk) -> None:
    order = await _waiting(d)
    instrument, offered = _rules(d)
    if order is None or offered is None or not offered.amend:
        return
    half = instrument.round_quantity(order.quantity / 2)
    level = _level(d, NEAR)
    for amendment in (
        AmendOrder(order.client_id, d.stand.symbol, trigger_price=level),
        AmendOrder(order.client_id, d.stand.symbol, quantity=half),
    ):
        answer = await d.ask(amendment)
        assert answer.outcome is Outcome.ACCEPTED, answer
    found = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert found is not None and found.trigger is not None
    assert (found.trigger.price, found.quantity, found.status) == (level, half, OrderStatus.OPEN)
    assert (await d.ask(CancelOrder(order.client_id, d.stand.symbol))).outcome is Outcome.ACCEPTED
    await d.until(lambda: OrderStatus.CANCELLED in d.statuses(order.client_id), "the report of its end")
    assert not _seen(d, order.client_id)[-1].triggered


@case(82, "a stop that is through the market already is refused with the venue's code")
async def _(d: Desk) -> None:
    if await _waiting(d) is None:
        return
    offered = _rules(d)[1]
    assert offered is not None
    await d.ask(CancelAll(d.stand.symbol))
    answer = await d.ask(_stop(d, offered, Decimal("1.2")))
    assert (answer.outcome, bool(answer.code)) == (Outcome.REJECTED, True), answer


@case(83, "cancelling all takes waiting stops along, of one symbol and of all")
async def _(d: Desk) -> None:
    order = await _waiting(d)
    if order is None:
        return
    assert (await d.ask(CancelAll(d.stand.symbol))).outcome is Outcome.ACCEPTED
    await d.until(lambda: OrderStatus.CANCELLED in d.statuses(order.client_id), "the report of its end")
    offered = _rules(d)[1]
    assert offered is not None
    again = _stop(d, offered)
    assert (await d.ask(again)).outcome is Outcome.ACCEPTED
    assert (await d.ask(CancelAll())).outcome is Outcome.ACCEPTED
    await d.until(lambda: OrderStatus.CANCELLED in d.statuses(again.client_id), "the report of its end")
    assert (await d.state()).orders == ()


@case(84, "a stop whose call timed out after the venue had taken it is found as waiting, and there is one")
async def _(d: Desk) -> None:
    if await _waiting(d) is None:
        return
    await d.ask(CancelAll(d.stand.symbol))
    offered = _rules(d)[1]
    assert offered is not None
    d.fault(RequestFault.TIMEOUT_AFTER)
    order = _stop(d, offered)
    assert (await d.ask(order)).outcome is Outcome.UNKNOWN
    found = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert found is not None
    assert (found.trigger, found.triggered, found.status) == (order.trigger, False, OrderStatus.OPEN)
    assert len(d.orders(order.client_id)) == 1
