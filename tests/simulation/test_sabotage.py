"""The checker checked: brains that break an invariant on purpose are caught."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.bus.brain import BusBrain
from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.messages.orders import Filled, LegPlanned
from actors.messages.signals import Approved, Verdict
from exchanges.model.venue import VENUE_PORT, FillReport, PlaceOrder
from runtime import codec
from runtime.behavior import Context
from runtime.lifecycle import Entry
from runtime.message import Message
from runtime.simulation.faults import MILLISECOND, FaultPlan
from runtime.simulation.world import SimulationFailure
from tests.simulation.scenario import EXCHANGE, FLOW_TRADERS, Scenario
from tests.simulation.venue import VenueFaults

QUIET = VenueFaults()
SLOW_DISK = FaultPlan(commit_ns=(200 * MILLISECOND, 250 * MILLISECOND))


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
            order = message.event.order
            client_id = f"{order.client_id[:-1]}9"
            place = PlaceOrder(client_id, order.symbol, order.side, order.type, order.quantity, order.price)
            ctx.send(VENUE_PORT, place)


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


def test_an_order_that_leaves_before_its_approval_is_committed_is_caught() -> None:
    scenario = Scenario(1, plan=SLOW_DISK, venue=QUIET, bus=HastyBus, trace=0)
    with pytest.raises(SimulationFailure, match="of which no approval is committed"):
        scenario.run(4.0)


def test_an_order_of_a_flow_that_leaves_before_its_plan_is_committed_is_caught() -> None:
    scenario = Scenario(1, plan=SLOW_DISK, venue=QUIET, exchange=EagerExchange, traders=FLOW_TRADERS, trace=0)
    with pytest.raises(SimulationFailure, match="of which no approval is committed"):
        scenario.run(4.0)


def test_a_second_order_for_one_signal_is_caught() -> None:
    scenario = Scenario(1, plan=FaultPlan(), venue=QUIET, exchange=DoublingExchange, trace=0)
    with pytest.raises(SimulationFailure, match=r"no approval is committed|became two orders"):
        scenario.run(4.0)


def test_books_that_differ_from_the_venues_are_caught() -> None:
    scenario = Scenario(1, plan=FaultPlan(), venue=QUIET, exchange=DeafExchange, trace=0)
    with pytest.raises(SimulationFailure, match=r"the venue [\d.-]+|had to be repaired"):
        scenario.run(4.0)


def test_an_execution_journaled_twice_is_caught() -> None:
    scenario = Scenario(1, plan=FaultPlan(), venue=QUIET, bus=ForgetfulBus, trace=0)
    with pytest.raises(SimulationFailure, match="is in the journal twice"):
        scenario.run(4.0)
