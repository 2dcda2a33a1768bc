"""How a signal is being carried out: its state, its orders, what has filled; and giving signals by hand."""

from __future__ import annotations

import time
import uuid
from decimal import Decimal
from typing import Any

import msgspec

from actors.bus.lifecycle import STATE_OF
from actors.gateway.requests import OrderRequest
from actors.messages.orders import Filled, FlowEnded, LegPlanned, OrderChanged
from actors.messages.signals import Approved, Blocked, Expired, Generated, SignalEvent
from bigwheel.client import GatewayClient
from bigwheel.errors import SessionError, UsageError
from bigwheel.queries import open_journal, whole
from exchanges.model.flow import Flow
from exchanges.model.order import Order, Side
from runtime.journal.base import History
from runtime.message import Message
from strategies.signal import Signal

_ZERO = Decimal(0)
TAKEN_S = 20.0
AGAIN_S = 2.0


class LegStatus(msgspec.Struct):
    """One order. ``role`` is ``entry``, ``take_profit`` or ``stop``; ``fills`` how many executions it had."""

    client_id: str
    role: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None
    status: str = "planned"
    venue_id: str = ""
    filled: Decimal = _ZERO
    average_price: Decimal = _ZERO
    fills: int = 0
    reason: str = ""


class ExecutionStatus(msgspec.Struct):
    """A signal's execution as the journal has it.

    ``filled``, ``remaining`` and ``average_price`` are of the entry alone, ``exited`` what a bracket's
    exits have closed. ``working`` says that orders of it may still be sent or filled.
    """

    signal: str
    strategy: str
    symbol: str
    side: str
    state: str
    flow: str = ""
    quantity: Decimal = _ZERO
    filled: Decimal = _ZERO
    remaining: Decimal = _ZERO
    average_price: Decimal = _ZERO
    exited: Decimal = _ZERO
    working: bool = True
    reason: str = ""
    legs: list[LegStatus] = []


class _Folding:
    """The fold of one signal's records."""

    def __init__(self, signal: Signal) -> None:
        self.status = ExecutionStatus(signal.id, signal.strategy, signal.symbol, signal.side.value, "GENERATED")
        self.legs: dict[str, LegStatus] = {}
        self.value = _ZERO
        self.over = False

    def take(self, event: Message) -> None:
        status = self.status
        if isinstance(event, SignalEvent) and type(event) in STATE_OF:
            status.state = STATE_OF[type(event)].value
        if isinstance(event, Approved):
            status.quantity = event.order.quantity
            status.flow = type(event.order.flow).__name__.lower() if event.order.flow else ""
        elif isinstance(event, Blocked):
            status.reason = f"{event.gate}: {event.code}: {event.detail}"
        elif isinstance(event, Expired):
            status.reason = event.reason
        elif isinstance(event, FlowEnded):
            self.over = not event.lives_on
            status.reason = f"{event.code}: {event.detail}" if event.detail else event.code
        elif isinstance(event, LegPlanned):
            self._leg(event.order, event.role.value)
        elif isinstance(event, OrderChanged):
            self._changed(event.order)
        elif isinstance(event, Filled):
            self._filled(event)

    def _leg(self, order: Order, role: str) -> LegStatus:
        leg = self.legs.get(order.client_id)
        if leg is None:
            leg = self.legs[order.client_id] = LegStatus(
                order.client_id, role, order.side.value, order.type.value, order.quantity, order.price
            )
        return leg

    def _changed(self, order: Order) -> None:
        leg = self._leg(order, "entry")
        leg.status, leg.venue_id = order.status.value, order.venue_id or leg.venue_id
        leg.price, leg.reason = order.price, order.reason
        leg.filled, leg.average_price = order.filled, order.average_price

    def _filled(self, event: Filled) -> None:
        fill = event.fill
        if fill.client_id in self.legs:
            self.legs[fill.client_id].fills += 1
        if fill.side.value != self.status.side:
            self.status.exited += fill.quantity
            return
        self.status.filled += fill.quantity
        self.value += fill.quantity * fill.price

    def result(self) -> ExecutionStatus:
        status = self.status
        status.legs = list(self.legs.values())
        status.remaining = max(status.quantity - status.filled, _ZERO)
        status.average_price = self.value / status.filled if status.filled else _ZERO
        ended = status.state in ("BLOCKED", "EXPIRED", "EXECUTED", "LEARNED")
        status.working = not (self.over if status.flow and status.legs else ended)
        return status


def execution_status(journal: History, signal_id: str) -> ExecutionStatus:
    """The execution of a signal.

    Raises:
        UsageError: the journal has no such signal.
    """
    folding: _Folding | None = None
    for record in whole(journal, signal_id):
        event = record.event
        if isinstance(event, Generated):
            folding = _Folding(event.signal)
        if folding is not None:
            folding.take(event)
    if folding is None:
        raise UsageError(f"expected the id of a signal, found {signal_id!r}; `bigwheel signals` lists the ids")
    return folding.result()


def execute(client: GatewayClient, symbol: str, side: Side | str, **options: Any) -> str:
    """Give a signal and wait until the journal has it; returns its id.

    ``options`` are the other fields of ``actors.gateway.requests.OrderRequest``.

    Raises:
        UsageError: the request is faulty.
        SessionError: no session runs, or it does not take the signal.
    """
    plain = {"id": uuid.uuid4().hex, "symbol": symbol, "side": str(side), **options}
    try:
        request: OrderRequest = msgspec.convert(msgspec.to_builtins(plain, str_keys=True), OrderRequest, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"expected an order, found: {error}; correct the call") from error
    wrong = request.fault()
    if wrong:
        raise UsageError(wrong)
    body, limit, asked = msgspec.json.encode(request), time.monotonic() + TAKEN_S, -AGAIN_S
    with open_journal(client.store) as journal:
        while time.monotonic() < limit:
            if time.monotonic() - asked >= AGAIN_S:
                asked = time.monotonic()
                client.post("/execute", body)  # the same id: sent again it is the same signal
            if journal.read(0, 1, index="signal", value=request.signal):
                return request.signal
            time.sleep(0.02)
    raise SessionError(
        f"expected signal {request.signal} to be taken within {TAKEN_S:g} s, found nothing of it in the journal; "
        "`bigwheel status` says what is down"
    )


def withdraw(client: GatewayClient, signal_id: str, reason: str = "") -> None:
    """Ask that what a signal led to be cancelled, as far as it has not happened."""
    with open_journal(client.store) as journal:
        symbol = execution_status(journal, signal_id).symbol
    client.post("/withdraw", msgspec.json.encode({"signal": signal_id, "symbol": symbol, "reason": reason}))


def parse_flow(text: str) -> Flow:
    """A flow from JSON such as ``{"kind": "twap", "duration_ns": 60000000000, "slices": 6}``; raises ``UsageError``."""
    try:
        made: Flow = msgspec.json.decode(text, type=Flow)
    except msgspec.DecodeError as error:
        raise UsageError(f'expected a flow as JSON with its "kind", found {text!r}: {error}') from error
    return made
