"""Reports to the bus, kept until the journal has them.

The bus is told everything in the order it happened: the link keeps that order, the journal keeps
it too, and so an entry that comes back confirms every report before it as well. For the same
reason a new incarnation says nothing until it has caught up, when what its predecessor had left
to say goes first. What a crashed bus lost is sent again.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import OUR_PREFIX, ConnectionState, TrackedOrder
from actors.messages.control import ControlTaken
from actors.messages.orders import (
    Adopted,
    Filled,
    FlowEnded,
    LegPlanned,
    LegRefused,
    OrderChanged,
    Paid,
    Repaired,
    SymbolHalted,
)
from actors.messages.signals import Blocked, Expired, Unsent
from actors.names import BUS
from actors.window import forget_oldest
from exchanges.model.order import Fill
from exchanges.model.position import Position
from runtime import codec
from runtime.behavior import Context
from runtime.message import Message


def signal_of(client_id: str) -> str:
    """The signal in one of our client order ids (``bw-SIGNAL-leg-attempt``), empty if there is none."""
    parts = client_id.removeprefix(OUR_PREFIX).rsplit("-", 2)
    made_here = client_id.startswith(OUR_PREFIX) and len(parts) == 3
    return parts[0] if made_here and len(parts[0]) == 20 and parts[0].isupper() else ""


def key_of(message: Message) -> str:
    """What a report and its journal entry have in common."""
    if isinstance(message, OrderChanged):
        order = message.order
        shape = f"{order.quantity}/{order.price}"
        if order.trigger is not None:
            shape += f"/{order.trigger.price}/{order.triggered}"
        return f"order/{order.client_id}/{order.status.value}/{order.filled}/{order.venue_id}/{shape}"
    if isinstance(message, Filled):
        return f"fill/{message.fill.execution_id}"
    if isinstance(message, Adopted):
        return f"adopted/{message.order.client_id}"
    if isinstance(message, Paid):
        return f"paid/{message.payment_id}"
    if isinstance(message, LegPlanned | LegRefused):
        return f"leg/{message.order.client_id if isinstance(message, LegPlanned) else message.client_id}"
    if isinstance(message, FlowEnded):
        return f"flow/{message.signal_id}/{message.lives_on}"
    if isinstance(message, Repaired):
        return f"repair/{message.id}"
    if isinstance(message, SymbolHalted):
        return f"halt/{message.symbol}/{message.halted}/{message.reason}"
    if isinstance(message, Unsent | Blocked | Expired):
        return f"unsent/{message.signal_id}"
    if isinstance(message, ControlTaken):
        return f"control/{message.control_id}"
    return type(message).__name__


class Outbox:
    """The only way reports leave for the bus."""

    def __init__(self, settings: ExchangeSettings, state: ConnectionState) -> None:
        self._settings = settings
        self._state = state

    def report(self, message: Message, ctx: Context) -> None:
        """Keep ``message`` until it comes back as an entry; send it now, or in its turn at ``resend``."""
        kept, key = self._state.unconfirmed, key_of(message)
        kept.pop(key, None)
        kept[key] = codec.encode(message)
        if self._state.live:
            ctx.send(BUS, message)

    def confirm(self, message: Message) -> None:
        """An entry came: it and all reports before it need not be kept."""
        kept, key = self._state.unconfirmed, key_of(message)
        if key not in kept:
            return
        confirmed = ""
        while confirmed != key:
            confirmed, _ = forget_oldest(kept)

    def resend(self, ctx: Context) -> None:
        """Send everything unconfirmed again, in order; the bus recognises what it has."""
        for data in list(self._state.unconfirmed.values()):
            ctx.count("exchange.reports_resent")
            ctx.send(BUS, codec.decode(data))

    def order(self, tracked: TrackedOrder, ctx: Context) -> None:
        """Report the order if it is not as it was last told."""
        order = tracked.order
        told = tracked.told
        if told is not None and msgspec.structs.replace(told, updated_ns=order.updated_ns) == order:
            return
        tracked.told = order
        self.report(
            OrderChanged(
                tracked.signal_id,
                tracked.strategy,
                order,
                tracked.tick_recv_ns,
                tracked.signal_ns,
                tracked.attempted_ns,
            ),
            ctx,
        )

    def filled(self, tracked: TrackedOrder | None, fill: Fill, position: Position, ctx: Context) -> None:
        """Report an execution of ours with the position after it."""
        signal_id = tracked.signal_id if tracked else signal_of(fill.client_id)
        instrument = self._state.instruments.get(fill.symbol)
        lot = instrument.lot if instrument else Decimal(0)
        self.report(Filled(signal_id, tracked.strategy if tracked else "", fill, position, lot), ctx)

    def unsent(self, tracked: TrackedOrder, expired: bool, gate: str, code: str, detail: str, ctx: Context) -> None:
        """Report that an approved order never left."""
        ctx.count(f"exchange.unsent.{gate}")
        self.report(Unsent(tracked.signal_id, tracked.client_id, expired, gate, code, detail), ctx)

    def repaired(
        self,
        symbol: str,
        what: str,
        before: Decimal | str,
        after: Decimal | str,
        evidence: str,
        ctx: Context,
        *,
        position: Position | None = None,
        fill: Fill | None = None,
        as_of_ns: int = 0,
    ) -> None:
        """Report a change of our books that no order of ours explains."""
        state = self._state
        state.repairs = state.repairs + 1 if state.repair_mark[0] == ctx.epoch else 1
        state.repair_mark = (ctx.epoch, state.repairs)
        ctx.count("exchange.repairs")
        number = f"{ctx.epoch}.{state.repairs}"
        venue = self._settings.venue
        self.report(
            Repaired(venue, symbol, what, str(before), str(after), evidence, number, position, fill, as_of_ns), ctx
        )
