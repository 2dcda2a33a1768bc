"""Order operations of ``/portfolio/events/orders``."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from exchanges.matching import record as reasons
from exchanges.matching.market import within
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.matching.rejection import OrderRejectedError
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from exchanges.simulators.kalshi import form, wire
from exchanges.simulators.kalshi.annex import Ticket
from exchanges.simulators.kalshi.errors import ApiError, invalid, missing, translated
from exchanges.simulators.kalshi.floor import Floor
from exchanges.simulators.kalshi.form import Json, Params

SIDES = {"bid": Side.BUY, "ask": Side.SELL}
TIMES = {
    "good_till_canceled": TimeInForce.GTC,
    "immediate_or_cancel": TimeInForce.IOC,
    "fill_or_kill": TimeInForce.FOK,
}
TAKER, MAKER = "taker_at_cross", "maker"
MOST_BATCHED = 50
CLIENT_ID_LENGTH = 64
SECOND = 1_000_000_000
_NOT_HERE = ("subaccount", "exchange_index", "order_group_id")
"""Parameters of the exchange that must be absent or neutral: what they are for isn't simulated."""


def create(floor: Floor, account: str, params: Params) -> Json:
    """``POST /portfolio/events/orders``."""
    form.known(params, ("ticker", "client_order_id", "side", "count", "price", "time_in_force", "post_only",
                        "reduce_only", "expiration_time", "self_trade_prevention_type", "cancel_order_on_pause",
                        *_NOT_HERE))  # fmt: skip
    _neutral(params)
    _, market = floor.market(form.text(params, "ticker"))
    self_trade = form.choice(params, "self_trade_prevention_type", (TAKER, MAKER))
    command = PlaceOrder(
        client_id=_client_id(params),
        symbol=market.instrument.symbol,
        side=SIDES[form.choice(params, "side", tuple(SIDES))],
        type=OrderType.LIMIT,
        quantity=form.count(params, "count"),
        price=form.dollars(params, "price"),
        time_in_force=_time_in_force(params),
        reduce_only=form.flag(params, "reduce_only"),
    )
    ticket = Ticket(
        order_id="",
        initial=wire.count(command.quantity),
        self_trade=self_trade,
        expires_ns=_expiry(floor, params),
        cancel_on_pause=form.flag(params, "cancel_order_on_pause"),
    )
    return wire.placed(_place(floor, account, command, ticket))


def _place(floor: Floor, account: str, command: PlaceOrder, ticket: Ticket) -> OrderRecord:
    """Into the engine; the ticket is noted before anyone is told of the order."""
    stopped = _meeting_own(floor, account, command) if ticket.self_trade == TAKER else None
    changes = floor.venue.engine.place(account, stopped or command, floor.venue.now_ns())
    record = changes.subject
    if record is None:
        raise RuntimeError("expected the order that was placed, found none: a fault of the matching engine")
    if stopped is not None:
        record.price, record.time_in_force = command.price, command.time_in_force
        record.reason = reasons.SELF_TRADE if record.status is OrderStatus.CANCELLED else record.reason
    ticket.order_id = record.id
    floor.annex.save_ticket(ticket)
    floor.venue.apply(changes)
    return record


def _meeting_own(floor: Floor, account: str, command: PlaceOrder) -> PlaceOrder | None:
    """The order as it ends under ``taker_at_cross``, if it would come to an order of the account itself.

    The engine cancels the resting one and goes on. To stop at it instead, the order takes only what
    is better than its own price, and nothing rests. What others have at that very price is left.
    """
    engine, price = floor.venue.engine, command.price
    market, reducible = engine.markets[command.symbol], engine.reducible_in(command.symbol)
    own = floor.own_best(account, command.symbol, command.side.opposite)
    if own is None or price is None or not within(command.side, own, price):
        return None
    before = own - market.instrument.tick_at(own) * command.side.sign
    if market.available(command.side, before, account, command.quantity, reducible) >= command.quantity:
        return None
    if not 0 < before < market.instrument.contract_value or command.time_in_force is TimeInForce.POST_ONLY:
        return msgspec.structs.replace(command, time_in_force=TimeInForce.POST_ONLY)
    time = TimeInForce.FOK if command.time_in_force is TimeInForce.FOK else TimeInForce.IOC
    return msgspec.structs.replace(command, price=before, time_in_force=time)


def _neutral(params: Params) -> None:
    for name in _NOT_HERE:
        if params.get(name) not in (None, 0, "", "0"):
            raise invalid(f"expected {name} absent or 0 (the simulator has no such thing), found {params[name]!r}")


def _client_id(params: Params) -> str:
    client_id = form.text(params, "client_order_id", "")
    if len(client_id) > CLIENT_ID_LENGTH:
        raise invalid(f"expected client_order_id of at most {CLIENT_ID_LENGTH} characters, found {len(client_id)}")
    return client_id


def _time_in_force(params: Params) -> TimeInForce:
    time = TIMES[form.choice(params, "time_in_force", tuple(TIMES))]
    if form.flag(params, "reduce_only") and time is TimeInForce.GTC:
        raise invalid("expected reduce_only with immediate_or_cancel or fill_or_kill, found good_till_canceled")
    if form.flag(params, "post_only"):
        if time is not TimeInForce.GTC:
            raise invalid(f"expected post_only with good_till_canceled, found {params['time_in_force']}")
        return TimeInForce.POST_ONLY
    return time


def _expiry(floor: Floor, params: Params) -> int:
    expires_ns = form.integer(params, "expiration_time", 0, 0, 1 << 33) * SECOND
    if expires_ns and params.get("time_in_force") != "good_till_canceled":
        raise invalid(f"expected expiration_time with good_till_canceled, found {params.get('time_in_force')}")
    if expires_ns and expires_ns <= floor.venue.now_ns():
        raise invalid(f"expected expiration_time after {floor.venue.now_ns() // SECOND}, found {expires_ns // SECOND}")
    return expires_ns


def cancel(floor: Floor, account: str, params: Params) -> Json:
    """``DELETE /portfolio/events/orders/{order_id}``; an order that has ended is as missing as one that never was."""
    form.known(params, ("order_id", *_NOT_HERE))
    return wire.cancelled(_cancel(floor, account, form.text(params, "order_id")))


def _cancel(floor: Floor, account: str, order_id: str) -> OrderRecord:
    record = _found(floor, account, order_id)
    return floor.venue.cancel(account, CancelOrder(record.client_id, record.symbol), order_id=order_id)


def _found(floor: Floor, account: str, order_id: str) -> OrderRecord:
    record = floor.venue.engine.find(account, order_id=order_id)
    if record is None:
        raise missing("order", order_id)
    return record


def cancel_all(floor: Floor, account: str, params: Params) -> None:
    """``DELETE /portfolio/events/orders``: every resting order of the account. Takes no filter."""
    form.known(params, _NOT_HERE)
    floor.venue.cancel_all(account)


def amend(floor: Floor, account: str, params: Params) -> Json:
    """``POST .../{order_id}/amend``: another price, or another ``count`` of filled and resting together."""
    form.known(params, ("order_id", "ticker", "side", "count", "price", "client_order_id", "updated_client_order_id",
                        *_NOT_HERE))  # fmt: skip
    record = _found(floor, account, form.text(params, "order_id"))
    given = {
        "ticker": floor.venue.engine.markets[record.symbol].instrument.native,
        "side": wire.BOOK_SIDES[record.side],
        "client_order_id": record.client_id,
        "updated_client_order_id": record.client_id,
    }
    for name, expected in given.items():
        if params.get(name) not in (None, "", expected):
            raise invalid(f"expected {name} of the order ({expected!r}), found {params[name]!r}")
    command = AmendOrder(
        record.client_id,
        record.symbol,
        form.count(params, "count") if "count" in params else None,
        form.dollars(params, "price") if "price" in params else None,
    )
    return wire.placed(floor.venue.amend(account, command, order_id=record.id))


def decrease(floor: Floor, account: str, params: Params) -> Json:
    """``POST .../{order_id}/decrease``: ``reduce_by`` contracts, or ``reduce_to`` that many resting ones."""
    form.known(params, ("order_id", "reduce_by", "reduce_to", *_NOT_HERE))
    record = _found(floor, account, form.text(params, "order_id"))
    if record.status.final:
        raise missing("resting order", record.id)
    if ("reduce_by" in params) is ("reduce_to" in params):
        raise invalid("expected exactly one of reduce_by and reduce_to")
    left = form.count(params, "reduce_to") if "reduce_to" in params else record.open - form.count(params, "reduce_by")
    if not 0 <= left < record.open:
        raise invalid(f"expected fewer contracts than the {wire.count(record.open)} that rest, found {left} left")
    if left == 0:
        ended = _cancel(floor, account, record.id)
        return wire.placed(ended)
    command = AmendOrder(record.client_id, record.symbol, quantity=record.filled + left)
    return wire.placed(floor.venue.amend(account, command, order_id=record.id))


def create_batch(floor: Floor, account: str, params: Params) -> Json:
    """``POST .../batched``: each order stands or falls by itself."""
    return _each(floor, account, params, create, lambda row: {"client_order_id": row.get("client_order_id")})


def cancel_batch(floor: Floor, account: str, params: Params) -> Json:
    """``DELETE .../batched``."""
    none = wire.count(ZERO)
    return _each(floor, account, params, cancel, lambda row: {"order_id": row.get("order_id"), "reduced_by": none})


def _each(
    floor: Floor,
    account: str,
    params: Params,
    run: Callable[[Floor, str, Params], Json],
    refused: Callable[[Json], Json],
) -> Json:
    """``run`` for each of ``orders``; ``refused`` is what is told of a row besides its error."""
    form.known(params, ("orders",))
    answers: list[Json] = []
    for row in form.rows(params, "orders", MOST_BATCHED):
        try:
            answers.append(run(floor, account, row) | {"error": None})
        except (ApiError, OrderRejectedError) as error:
            answers.append(refused(row) | {"error": _told(error)})
    return {"orders": answers}


def _told(error: ApiError | OrderRejectedError) -> Json:
    api = translated(error) if isinstance(error, OrderRejectedError) else error
    return {"code": api.code, "message": api.message, "details": api.details}


def legacy(floor: Floor, account: str, params: Params) -> Json:
    """The order routes of before: gone, whatever they are called with."""
    raise ApiError(
        410,
        "deprecated_v1_order_endpoint",
        "this endpoint has been removed",
        "use /trade-api/v2/portfolio/events/orders",
    )
