"""Orders at the venue that are not ours: known while they work, and taken under management when asked to."""

from __future__ import annotations

import msgspec

from actors.exchange.execution import Execution
from actors.exchange.latch import Latch
from actors.exchange.outbox import Outbox
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ADOPTED_PREFIX, ConnectionState, TrackedOrder
from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Adopted
from exchanges.model.order import Order, OrderStatus
from runtime.behavior import Context

ADOPT = "adopt"
EVERY = "*"
"""The target of a control that means all of them."""


class Adoption:
    """Makes tracked orders of foreign ones. From then on they are cancelled and filled as ours are.

    What had filled before is in the position already, by the venue's figure or as a repair: only what
    fills afterwards is booked as a fill of the order.
    """

    def __init__(
        self, settings: ExchangeSettings, state: ConnectionState, outbox: Outbox, execution: Execution, latch: Latch
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._execution = execution
        self._latch = latch

    def control(self, control: Control, ctx: Context) -> None:
        """Adopt the order that ``target`` names by the venue's id or its client order id, or all of them."""
        if control.id in self._state.controls:
            ctx.count("exchange.controls_again")
            return
        self._latch.remember(control.id)
        asked = [o for o in self._state.foreign.values() if control.target in (EVERY, o.venue_id, o.client_id)]
        taken = [order for order in asked if order.symbol in self._settings.symbols]
        for order in taken:
            self._adopt(order, control, ctx)
        detail = f"adopted={len(taken)} not_traded_here={len(asked) - len(taken)}"
        self._outbox.report(ControlTaken(control.id, control.action, control.by, ctx.name, detail), ctx)

    def fold(self, event: Adopted) -> None:
        """Take over an adoption from the journal that the snapshot does not have."""
        if self._state.find(event.order.client_id) is None:
            tracked = self._state.active[event.order.client_id] = tracked_of(event.order)
            tracked.outstanding = True

    def _adopt(self, order: Order, control: Control, ctx: Context) -> None:
        ctx.count("exchange.orders_adopted")
        del self._state.foreign[order.venue_id]
        named = msgspec.structs.replace(order, client_id=order.client_id or f"{ADOPTED_PREFIX}{order.venue_id}")
        tracked = self._state.active[named.client_id] = tracked_of(named)
        self._outbox.report(Adopted(self._settings.venue, tracked.order, control.by, control.id), ctx)
        self._execution.changed(tracked, ctx)


def tracked_of(order: Order) -> TrackedOrder:
    """An order as it was when it was adopted, without a signal."""
    status = OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.OPEN
    return TrackedOrder(
        msgspec.structs.replace(order, status=status),
        reference_price=order.price or order.average_price,
        attempts=1,
        maybe_sent=True,
        claimed=OrderStatus.OPEN,
        claimed_filled=order.filled,
        claimed_price=order.average_price,
        executed=order.filled,
        value=order.filled * order.average_price,
        adopted=True,
    )
