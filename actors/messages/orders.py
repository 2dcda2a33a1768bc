"""What the exchange connection tells the bus, which journals it and passes it on."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from exchanges.model.flow import Role
from exchanges.model.instrument import Instrument
from exchanges.model.order import Fill, Order
from exchanges.model.position import Position
from runtime.lanes import Delivery, Lane
from runtime.message import Message


class OrderChanged(Message):
    """An order of ours took a new state. Times in ns; 0 where the step has not happened.

    ``attempted_ns`` is when the call to the venue was begun.
    """

    signal_id: str
    strategy: str
    order: Order
    tick_recv_ns: int = 0
    signal_ns: int = 0
    attempted_ns: int = 0


class Filled(Message):
    """A fill and the position after it, one record; ``lot`` is the instrument's quantity step, 0 where unknown."""

    signal_id: str
    strategy: str
    fill: Fill
    position: Position
    lot: Decimal = Decimal(0)


class Paid(Message):
    """Cash that moved without a trade, journaled once for each ``payment_id``, with the position after it.

    ``kind`` is ``funding``, or ``insurance`` where a fund paid what a liquidation lost beyond the equity; ``amount`` is
    positive when received, in ``currency``; ``ts_ns`` the venue's time.
    """

    venue: str
    symbol: str
    kind: str
    amount: Decimal
    currency: str
    payment_id: str
    ts_ns: int
    position: Position


class Adopted(Message):
    """An order that was placed elsewhere is under management from now on; journaled once.

    ``order`` is as the venue had it then. ``order.client_id`` is the name it is tracked under, made
    of the venue's id where it has none.
    """

    venue: str
    order: Order
    by: str
    control_id: str = ""


FEE_ROUNDED, FEE_RECKONED = "fee rounding", "fee reckoned"
"""``Repaired.what`` where what is held showed that a fee taken in the coin bought was a little more or less."""


class LegPlanned(Message):
    """The next order (leg) of a flow: asked of the bus, journaled by it, and only then sent.

    ``number`` and ``attempt`` are those in the order's client id. ``reason`` says what it follows
    from. It is not sent any more at ``expires_ns``.
    """

    signal_id: str
    strategy: str
    symbol: str
    order: Order
    role: Role
    number: int
    attempt: int
    reason: str
    planned_ns: int
    expires_ns: int


class LegRefused(Message):
    """The bus found a planned leg outside of its approval, and journaled that: it is never sent."""

    signal_id: str
    symbol: str
    client_id: str
    reason: str


class FlowEnded(Message):
    """No order of the flow's entry will be sent any more, and none works. Sums over all its entry's orders.

    ``gate``, ``code`` and ``detail`` say why; ``expired`` that it is nobody's refusal. ``lives_on``: the exits
    of a bracket go on, and another one follows for them, whose ``exited`` is what they have sold.
    """

    signal_id: str
    strategy: str
    symbol: str
    filled: Decimal
    average_price: Decimal
    gate: str
    code: str
    detail: str
    expired: bool
    lives_on: bool = False
    exited: Decimal = Decimal(0)


class Repaired(Message):
    """Reconciliation changed our books: what it was, what it is, and the evidence.

    ``id`` numbers the repairs of one connection (``epoch.number``). ``position`` is the position
    after it, where it changed one; ``fill`` the foreign execution that caused it; ``as_of_ns``
    the moment the venue's answer describes.
    """

    venue: str
    symbol: str
    what: str
    before: str
    after: str
    evidence: str
    id: str = ""
    position: Position | None = None
    fill: Fill | None = None
    as_of_ns: int = 0

    @property
    def recharged(self) -> Decimal:
        """By how much less of a fee in the coin bought was taken than was booked, 0 for any other repair."""
        return Decimal(self.after) - Decimal(self.before) if self.what in (FEE_ROUNDED, FEE_RECKONED) else Decimal(0)


class SymbolHalted(Message):
    """A difference nobody can explain: no new exposure in this symbol until it is lifted."""

    venue: str
    symbol: str
    halted: bool
    reason: str


class ExchangeState(Message):
    """What an exchange connection knows of itself; risk fails closed without a fresh one."""

    venue: str
    public_up: bool
    private_up: bool
    reconciled: bool
    instruments: tuple[Instrument, ...] = ()
    cash: Decimal = Decimal(0)
    equity: Decimal = Decimal(0)
    unknown_orders: tuple[str, ...] = ()


class Watch(Message):
    """Asks an exchange connection for market data of ``symbols``.

    ``kinds`` are ``Trade``, ``Quote``, ``Bar``, ``Book`` (empty: all of them). ``after`` gives, by
    symbol, the last ``(epoch, seq)`` the sender has: what is still kept after it is sent
    again. A later request replaces an earlier one. The answer to one with a ``ticket`` begins
    with a ``Watching``; market data that comes before it belongs to an earlier request.
    """

    symbols: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    delivery: int = Delivery.ALL
    after: dict[str, tuple[int, int]] = {}
    ticket: int = 0


class Watching(Message, array_like=True):
    """What follows on this lane answers the ``Watch`` with this ticket."""

    lane: ClassVar[Lane] = Lane.DATA
    ticket: int
