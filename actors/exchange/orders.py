"""How an order's state moves: a table for each (status, event), and the merging of evidence."""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from actors.exchange.state import TrackedOrder
from exchanges.model.order import Fill, Order, OrderStatus

NEVER_REACHED = "NEVER_REACHED_VENUE"
UNSENT = "UNSENT"
"""How the reason of a flow's order begins that was given up before it left."""
_S = OrderStatus


class OrderEvent(enum.StrEnum):
    """What can happen to an order. The last seven are the venue's own evidence."""

    SEND = "send"
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"
    LOSE = "lose"
    """The outcome of a call is unknown."""
    LAPSE = "lapse"
    """Given up before it ever reached the venue."""
    ABSENT = "absent"
    """The venue, asked twice, knows no such order."""
    LIST = "list"
    FILL = "fill"
    COMPLETE = "complete"
    CANCEL = "cancel"
    REJECT = "reject"
    EXPIRE = "expire"


_E = OrderEvent
_ENDINGS = {_S.FILLED: _E.COMPLETE, _S.CANCELLED: _E.CANCEL, _S.REJECTED: _E.REJECT, _S.EXPIRED: _E.EXPIRE}
_ENDED = {_E.COMPLETE: _S.FILLED, _E.CANCEL: _S.CANCELLED, _E.REJECT: _S.REJECTED, _E.EXPIRE: _S.EXPIRED}
_EVIDENCE = {_E.LIST: _S.OPEN, _E.FILL: _S.PARTIALLY_FILLED, **_ENDED}
_RESTING = {_E.FILL: _S.PARTIALLY_FILLED, _E.ABSENT: _S.EXPIRED, **_ENDED}

TRANSITIONS: dict[OrderStatus, dict[OrderEvent, OrderStatus]] = {
    _S.PENDING: {_E.SEND: _S.SENT, _E.REFUSE: _S.REJECTED, _E.LAPSE: _S.EXPIRED, **_EVIDENCE},
    _S.SENT: {
        _E.SEND: _S.SENT,
        _E.ACKNOWLEDGE: _S.OPEN,
        _E.REFUSE: _S.REJECTED,
        _E.LOSE: _S.UNKNOWN,
        _E.LAPSE: _S.EXPIRED,
        _E.ABSENT: _S.REJECTED,
        **_EVIDENCE,
    },
    _S.UNKNOWN: {
        _E.ACKNOWLEDGE: _S.OPEN,
        _E.REFUSE: _S.REJECTED,
        _E.ABSENT: _S.REJECTED,
        **_EVIDENCE,
    },
    _S.OPEN: _RESTING,
    _S.PARTIALLY_FILLED: {_E.ABSENT: _S.EXPIRED, **_ENDED},
    _S.FILLED: {},
    _S.CANCELLED: {},
    _S.REJECTED: {},
    _S.EXPIRED: {},
}
"""What follows; an event that isn't listed for a status changes nothing."""


def step(tracked: TrackedOrder, event: OrderEvent, reason: str = "") -> bool:
    """Take ``event`` in; ``False`` if the order is past it."""
    undone = tracked.inferred and event in _EVIDENCE
    target = TRANSITIONS[_S.UNKNOWN if undone else tracked.status].get(event)
    if target is None:
        return False
    tracked.inferred = event is _E.ABSENT
    tracked.order = msgspec.structs.replace(tracked.order, status=target, reason=reason or tracked.order.reason)
    return True


def acknowledge(tracked: TrackedOrder, venue_id: str) -> None:
    """The venue took the order; its reports may have come before."""
    step(tracked, OrderEvent.ACKNOWLEDGE)
    tracked.order = msgspec.structs.replace(tracked.order, venue_id=tracked.order.venue_id or venue_id)


def claim(tracked: TrackedOrder, view: Order) -> None:
    """Take in the venue's view of the order, however late or repeated.

    A claim only moves forward: an ended order stays ended, and filled quantity never shrinks.
    """
    tracked.absent_ns = 0
    if view.status.final and not (tracked.claimed and tracked.claimed.final):
        tracked.claimed = view.status
    elif tracked.claimed is None:
        tracked.claimed = _S.OPEN
    filled = max(view.filled, view.quantity) if view.status is _S.FILLED else view.filled
    if filled > tracked.claimed_filled:
        tracked.claimed_filled, tracked.claimed_price = filled, view.average_price
    _adopt(tracked, view)
    settle(tracked, view.reason if view.status.final else "")


def execute(tracked: TrackedOrder, fill: Fill) -> None:
    """Add one new execution."""
    tracked.absent_ns = 0
    tracked.executed += fill.quantity
    tracked.value += fill.quantity * fill.price
    settle(tracked)


def take_total(tracked: TrackedOrder) -> None:
    """Believe the venue's total although some of its executions can't be had."""
    missing = tracked.claimed_filled - tracked.executed
    tracked.executed = tracked.claimed_filled
    tracked.value += missing * (tracked.claimed_price or tracked.reference_price)
    settle(tracked)


def settle(tracked: TrackedOrder, reason: str = "") -> None:
    """Derive status and filled quantity from claims and executions."""
    event = _evidence(tracked)
    if event is not None:
        step(tracked, event, reason)
    average = tracked.value / tracked.executed if tracked.executed else Decimal(0)
    tracked.order = msgspec.structs.replace(tracked.order, filled=tracked.executed, average_price=average)


def _evidence(tracked: TrackedOrder) -> OrderEvent | None:
    claimed = tracked.claimed
    if claimed is not None and claimed.final and not tracked.waits_for_fills:
        return _ENDINGS[claimed]
    if tracked.executed >= tracked.order.quantity:
        return OrderEvent.COMPLETE
    if tracked.executed > 0:
        return OrderEvent.FILL
    return OrderEvent.LIST if claimed is not None else None


def _adopt(tracked: TrackedOrder, view: Order) -> None:
    """Take over the venue's id, and what an amendment changed."""
    order = tracked.order
    newer = view.updated_ns > order.updated_ns
    trigger = view.trigger if newer and view.trigger is not None and not view.triggered else order.trigger
    if trigger != order.trigger or (newer and view.quantity not in (0, order.quantity)):
        # What was refused is old: the venue has it otherwise now.
        tracked.amend_refused = False
    tracked.order = msgspec.structs.replace(
        order,
        venue_id=view.venue_id or order.venue_id,
        quantity=view.quantity if newer and view.quantity > 0 else order.quantity,
        price=view.price if newer and view.price else order.price,
        updated_ns=max(view.updated_ns, order.updated_ns),
        trigger=trigger,
        triggered=order.triggered or view.triggered,
    )
