"""A bench for flows: the exchange connection's brain and a real bus, a venue and a journal in memory."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.bus.brain import BusBrain
from actors.exchange.brain import KINDS
from actors.messages.orders import Filled, FlowEnded, LegPlanned
from actors.messages.signals import Emit, Verdict, Withdraw
from actors.risk.approval import approve
from actors.risk.settings import RiskSettings
from actors.risk.sizing import Plan
from exchanges.model.flow import Flow, protects
from exchanges.model.order import Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import StopOrders
from exchanges.model.venue import AmendOrder, CancelOrder, Command, CommandResult, Outcome, PlaceOrder
from runtime.lifecycle import CaughtUp, PeerUp, Started
from runtime.message import Message
from strategies.signal import Signal
from tests.unit.brain_context import SECOND, FakeContext
from tests.unit.brain_samples import BTC, EXCHANGE, make_instrument, make_signal, make_trade
from tests.unit.exchange_bench import World

D = Decimal
MS = 1_000_000


class FlowWorld(World):
    """``World`` with the bus's own brain, orders that rest or take, amendments, prices and withdrawals.

    ``places`` are the client ids of every order that left, in order; ``refuse_amends`` makes the venue
    refuse amendments. While ``bus_down`` nothing reaches the bus. The next cancel comes after a fill of ``beaten``.
    With ``stops`` the venue has orders that wait for a price, which is the venue's own ``market``.
    """

    def __init__(self, stops: StopOrders | None = None) -> None:
        super().__init__()
        self.rules, self.market = make_instrument(BTC, stops=stops), D(100)
        self.hub, self.hub_ctx, self.read = BusBrain(), FakeContext("bus"), 0
        self.hub_ctx.now = self.ctx.now
        self.hub_ctx.start(self.hub, caught_up=0)
        self.signals: list[Signal] = []
        self.places: list[PlaceOrder] = []
        self.amends: list[AmendOrder] = []
        self.refuse_amends = self.bus_down = False
        self.beaten = D(0)
        self.ticks = 0

    # -- what a test does ----------------------------------------------------------------

    def start(self) -> None:
        self.begin()
        self.deliver_all()
        self.price(100)

    def approve_flow(
        self,
        flow: Flow,
        quantity: str = "1",
        *,
        side: Side = Side.BUY,
        price: str = "101",
        market: bool = False,
        reduce_only: bool = False,
        strategy: str = "trend",
    ) -> Signal:
        """Emit a signal with the flow, and have risk approve it within ``price``; nothing is delivered yet."""
        closes = reduce_only or protects(flow)
        signal = make_signal(
            len(self.signals) + 100,
            now=self.ctx.now,
            side=side,
            strategy=strategy,
            flow=flow,
            reduce_only=closes,
            limit_price=D(price) if not market else None,
        )
        self.signals.append(signal)
        kind = OrderType.MARKET if market else OrderType.LIMIT
        plan = Plan(D(quantity), D(quantity), kind, D(price), D(price), D(100), closes)
        order = approve(signal, plan, self.ctx.now, RiskSettings())
        self._tell_bus(Emit(signal), f"strategy/{strategy}/{signal.symbol}")
        self._tell_bus(Verdict(signal.id, (), order, attempt=1), "risk")
        return signal

    def withdraw(self, signal: Signal) -> None:
        name = f"strategy/{signal.strategy}/{signal.symbol}"
        self._tell_bus(Withdraw(signal.id, signal.symbol, signal.strategy, "test"), name)

    def price(self, price: float) -> None:
        """The market moves, and the connection sees it."""
        self.moves(price)
        self.ticks += 1
        self.run(make_trade(price, ts=self.ctx.now, seq=self.ticks))

    def moves(self, price: float) -> None:
        """The market moves, and only the venue sees it: what waits there is met."""
        self.market = D(str(price))
        for order in list(self.orders.values()):
            waits = order.trigger is not None and not order.triggered and not order.status.final
            if waits and order.trigger.reached(self.market):
                self.ctx.now += 1
                self._update(order, triggered=True, updated_ns=self.ctx.now)
                self.fill(order.client_id, order.remaining)
                if not self.orders[order.client_id].status.final:
                    self._update(self.orders[order.client_id], status=OrderStatus.CANCELLED)

    def settle(self, nanoseconds: int, step: int = 250 * MS) -> None:
        """Let everything arrive while time passes."""
        for _ in range(max(nanoseconds // step, 1)):
            self.deliver_all()
            self.pass_time(step)
        self.deliver_all()

    def crash_bus(self) -> None:
        """A successor of the bus reads its journal; the connection sends again what that lacks."""
        self.bus_down = False
        self.hub = BusBrain()
        self.hub_ctx.epoch += 1
        self.hub_ctx.timers.clear()
        self.hub_ctx.deliver(self.hub, Started(self.hub_ctx.epoch, False))
        for entry in self.hub_ctx.entries():
            self.hub_ctx.deliver(self.hub, entry)
        self.hub_ctx.deliver(self.hub, CaughtUp(self.hub_ctx.next_seq - 1))
        self._take_records()
        self.run(PeerUp("bus", self.hub_ctx.epoch))

    # -- what it came to -----------------------------------------------------------------

    def legs(self, signal: Signal) -> list[Order]:
        """The venue's view of the signal's orders, in the order they were taken."""
        return [order for client_id, order in self.orders.items() if signal.id in client_id]

    def planned(self, signal: Signal) -> list[LegPlanned]:
        return [e for e in self.hub_ctx.events(LegPlanned) if e.signal_id == signal.id]

    def filled(self, signal: Signal, side: Side) -> Decimal:
        fills = (fill for fill in self.fills if signal.id in fill.client_id and fill.side is side)
        return sum((fill.quantity for fill in fills), D(0))

    def ended(self, signal: Signal) -> FlowEnded | None:
        found = [e for e in self.hub_ctx.events(FlowEnded) if e.signal_id == signal.id and not e.lives_on]
        return found[-1] if found else None

    def state(self, signal: Signal) -> str:
        found = self.hub._state.ledger.state_of(signal.id)
        return found.value if found is not None else ""

    def journaled(self) -> list[str]:
        return [e.fill.execution_id for e in self.hub_ctx.events(Filled)]

    # -- the bus -------------------------------------------------------------------------

    def bus(self, message: Message) -> None:
        if not self.bus_down:
            self._tell_bus(message, EXCHANGE)

    def pass_time(self, nanoseconds: int) -> None:
        super().pass_time(nanoseconds)
        self.hub_ctx.advance(self.hub, self.ctx.now - self.hub_ctx.now)
        self._take_records()

    def _tell_bus(self, message: Message, sender: str) -> None:
        self.hub_ctx.now = self.ctx.now
        self.hub_ctx.deliver(self.hub, message, sender)
        self._take_records()

    def _take_records(self) -> None:
        new = self.hub_ctx.records[self.read :]
        self.read += len(new)
        self.journal.extend(record.event for record in new if type(record.event).__name__ in KINDS)

    # -- the venue -----------------------------------------------------------------------

    def venue(self, command: Command) -> None:
        if isinstance(command, AmendOrder):
            self._amend(command)
            return
        if isinstance(command, CancelOrder) and self.beaten:
            order = self.orders.get(command.client_id)
            if order is not None and not order.status.final:
                self.beaten, quantity = D(0), self.beaten
                self.fill(command.client_id, quantity)
        super().venue(command)

    def _place(self, command: PlaceOrder) -> None:
        self.places.append(command)
        waits = command.trigger is not None
        rests = waits or (command.type is OrderType.LIMIT and command.time_in_force is not TimeInForce.IOC)
        if rests and (not self.plan or (waits and self.plan[0] in ("fill", "half"))):
            self.plan.appendleft("rest")
        if command.trigger is not None and command.trigger.reached(self.market):
            self.plan.appendleft("rejected")
        super()._place(command)
        order = self.orders.get(command.client_id)
        if order is not None and not rests and not order.status.final:
            self._update(order, status=OrderStatus.CANCELLED)

    def fill(self, client_id: str, quantity: Decimal) -> None:
        """Fill some of it, on the lot; of a reduce-only order no more than there is to close."""
        order = self.orders[client_id]
        most = min(quantity, order.remaining)
        if order.reduce_only:
            most = min(most, max(-self.position * order.side.sign, D(0)))
        part = most.quantize(D("0.001"))
        if part > 0:
            super().fill(client_id, part)

    def _amend(self, command: AmendOrder) -> None:
        self.amends.append(command)
        order, trigger = self.orders.get(command.client_id), None
        if order is not None and order.trigger is not None and command.trigger_price is not None:
            trigger = msgspec.structs.replace(order.trigger, price=command.trigger_price)
        through = trigger is not None and trigger.reached(self.market)
        if order is None or order.status.final or self.refuse_amends or through:
            answer = CommandResult("AmendOrder", command.client_id, command.symbol, Outcome.REJECTED, "110001")
        else:
            self.ctx.now += 1
            asked = {"price": command.price, "quantity": command.quantity, "trigger": trigger}
            given = {name: value for name, value in asked.items() if value is not None}
            self._update(order, updated_ns=self.ctx.now, **given)
            answer = CommandResult("AmendOrder", command.client_id, command.symbol, Outcome.ACCEPTED)
        self.inbox.append(answer)


def make_flow_world(stops: StopOrders | None = None) -> FlowWorld:
    world = FlowWorld(stops)
    world.start()
    return world


def bought(world: FlowWorld, quantity: str) -> None:
    """The strategy ``trend`` gets a long position the plain way."""
    plan = Plan(D(quantity), D(quantity), OrderType.MARKET, D(100), D(100), D(100), False)
    signal = make_signal(7, now=world.ctx.now)
    world._tell_bus(Emit(signal), f"strategy/trend/{signal.symbol}")
    world._tell_bus(Verdict(signal.id, (), approve(signal, plan, world.ctx.now, RiskSettings()), attempt=1), "risk")
    world.settle(SECOND)
    assert world.filled(signal, Side.BUY) == D(quantity)
