"""Brains that break an invariant on purpose."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors import names
from actors.bus.brain import BusBrain
from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.messages.orders import Filled, LegPlanned
from actors.messages.signals import Approved, ApprovedOrder, Verdict
from exchanges.model.order import Order
from exchanges.model.venue import VENUE_PORT, CommandResult, FillReport, Outcome, PlaceOrder
from runtime import codec
from runtime.behavior import Context
from runtime.lifecycle import CaughtUp, Entry
from runtime.message import Message

EXCHANGE = names.exchange("bybit")


class HastyBus(BusBrain):
    """Shows the exchange connection an approval while it is still being written."""

    def receive(self, message: Message, ctx: Context) -> None:
        super().receive(message, ctx)
        if isinstance(message, Verdict) and message.order is not None:
            order = message.order
            event = Approved(order.signal_id, order.strategy, order.symbol, order, message.steps)
            seq = self._state.ledger.seq
            ctx.send(EXCHANGE, Entry(seq, ctx.now, "bus", ctx.epoch, "", 0, codec.encode(event)), eager=True)


class EagerExchange(ExchangeBrain):
    """Sends an order of a flow at once, not waiting for its plan to be journaled."""

    def __init__(self, settings: ExchangeSettings) -> None:
        super().__init__(settings)
        self.hurried: set[str] = set()

    def receive(self, message: Message, ctx: Context) -> None:
        super().receive(message, ctx)
        for data in self.state.unconfirmed.values():
            planned = codec.decode(data)
            if isinstance(planned, LegPlanned) and planned.order.client_id not in self.hurried:
                order = planned.order
                self.hurried.add(order.client_id)
                shape = (order.client_id, order.symbol, order.side, order.type, order.quantity, order.price)
                ctx.send(VENUE_PORT, PlaceOrder(*shape, order.time_in_force, order.reduce_only))


class DoublingExchange(ExchangeBrain):
    """Sends every order a second time, under a client order id of its own making."""

    def receive(self, message: Message, ctx: Context) -> None:
        super().receive(message, ctx)
        if isinstance(message, Entry) and isinstance(message.event, Approved):
            ctx.send(VENUE_PORT, _again(message.event.order))


class DeafExchange(ExchangeBrain):
    """Takes every fill for a little less than it was."""

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, FillReport):
            smaller = msgspec.structs.replace(message.fill, quantity=message.fill.quantity - Decimal("0.001"))
            message = FillReport(smaller)
        super().receive(message, ctx)


class ForgetfulBus(BusBrain):
    """Takes the same execution for a new one."""

    def receive(self, message: Message, ctx: Context) -> None:
        super().receive(message, ctx)
        if isinstance(message, Filled):
            ctx.record(message, keys={"symbol": message.fill.symbol})


class ImpatientExchange(ExchangeBrain):
    """Takes an order whose outcome is unknown for lost, and sends it again under another client order id."""

    def receive(self, message: Message, ctx: Context) -> None:
        super().receive(message, ctx)
        if isinstance(message, CommandResult) and message.outcome is Outcome.UNKNOWN:
            known = {**self.state.closed, **self.state.active}
            if message.command == "PlaceOrder" and message.client_id in known:
                ctx.send(VENUE_PORT, _again(known[message.client_id].order))


class ForgetfulExchange(ExchangeBrain):
    """After a restart sends again what it had not seen the end of, without asking the venue first."""

    def receive(self, message: Message, ctx: Context) -> None:
        unsure = [each for each in self.state.active.values() if each.outstanding and not each.status.final]
        super().receive(message, ctx)
        if isinstance(message, CaughtUp):
            for tracked in unsure:
                ctx.send(VENUE_PORT, _again(tracked.order))


def _again(order: Order | ApprovedOrder) -> PlaceOrder:
    client_id = f"{order.client_id[:-1]}9"
    return PlaceOrder(client_id, order.symbol, order.side, order.type, order.quantity, order.price)
