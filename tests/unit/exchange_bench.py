"""A bench for the exchange connection's brain: a journal and a venue in memory around it."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

import msgspec

from actors.exchange.brain import ExchangeBrain
from actors.exchange.outbox import key_of
from actors.exchange.settings import ExchangeSettings
from actors.messages.orders import Filled, OrderChanged, Paid, Repaired, SymbolHalted
from actors.messages.signals import Approved, ApprovedOrder, Blocked, Expired, Unsent
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus
from exchanges.model.venue import (
    VENUE_PORT,
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    FetchState,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PaymentReport,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
    VenuePosition,
    VenueState,
)
from runtime.lifecycle import CaughtUp, Started
from runtime.message import Message
from tests.unit.brain_context import SECOND, START_NS, FakeContext, entry_of
from tests.unit.brain_samples import BTC, ETH, EXCHANGE, make_approved, make_instrument, make_signal

SETTINGS = ExchangeSettings("bybit", (BTC, ETH))
D = Decimal


def make_brain(**changes: Any) -> ExchangeBrain:
    return ExchangeBrain(msgspec.structs.replace(SETTINGS, **changes))


def live(**changes: Any) -> tuple[ExchangeBrain, FakeContext]:
    """A brain that is connected, reconciled and flat."""
    brain, ctx = make_brain(**changes), FakeContext(EXCHANGE, journal=False)
    ctx.start(brain)
    connect(brain, ctx)
    ctx.deliver(brain, CaughtUp(0), "bus")
    reconcile(brain, ctx)
    ctx.clear()
    return brain, ctx


def connect(brain: ExchangeBrain, ctx: FakeContext) -> None:
    report = InstrumentsReport((make_instrument(BTC), make_instrument(ETH)))
    for message in (report, StreamStatus("public", True), StreamStatus("private", True)):
        ctx.deliver(brain, message, VENUE_PORT)


def reconcile(brain: ExchangeBrain, ctx: FakeContext, **state: Any) -> None:
    """Answer a ``FetchState``: begun now, so that nothing before it is newer."""
    ctx.now += 1
    fields = {"complete": True, "started_ns": ctx.now, **state}
    ctx.deliver(brain, VenueState(**fields), VENUE_PORT)


def approved(ordinal: int = 0, *, now: int = START_NS, **changes: Any) -> ApprovedOrder:
    order = make_approved(make_signal(ordinal, now=now, symbol=changes.pop("symbol", BTC)), now=now)
    return msgspec.structs.replace(order, **changes)


def approve(brain: ExchangeBrain, ctx: FakeContext, order: ApprovedOrder, seq: int = 1) -> ApprovedOrder:
    event = Approved(order.signal_id, order.strategy, order.symbol, order)
    ctx.deliver(brain, entry_of(event, seq), "bus")
    return order


def result(
    asked: ApprovedOrder | PlaceOrder, outcome: Outcome, command: type[Command] = PlaceOrder, **more: Any
) -> CommandResult:
    return CommandResult(command.__name__, asked.client_id, asked.symbol, outcome, **more)


def venue_order(order: ApprovedOrder, status: OrderStatus, filled: str = "0", **changes: Any) -> Order:
    view = Order(
        order.client_id,
        order.symbol,
        order.side,
        order.type,
        order.quantity,
        order.price,
        order.time_in_force,
        order.reduce_only,
        status,
        f"v-{order.client_id}",
        D(filled),
        D(100) if D(filled) else D(0),
    )
    return msgspec.structs.replace(view, **changes)


def venue_fill(
    order: ApprovedOrder, execution: str, quantity: str, price: str = "100", ts: int = START_NS + 1, **changes: Any
) -> Fill:
    fill = Fill(
        execution,
        order.client_id,
        f"v-{order.client_id}",
        order.symbol,
        order.side,
        D(price),
        D(quantity),
        D("0.01"),
        "USDT",
        Liquidity.TAKER,
        ts,
    )
    return msgspec.structs.replace(fill, **changes)


def tell(brain: ExchangeBrain, ctx: FakeContext, *messages: Message) -> None:
    for message in messages:
        ctx.deliver(brain, message, VENUE_PORT)


def last_order(ctx: FakeContext) -> Order:
    """The order of the last ``OrderChanged`` told to the bus."""
    return ctx.sent(OrderChanged, "bus")[-1].order


class World:
    """A venue, a journal and a brain that can crash between any two effects."""

    def __init__(self) -> None:
        self.settings = msgspec.structs.replace(SETTINGS, reconcile_ns=3 * SECOND, symbols=(BTC,))
        self.rules = make_instrument(BTC)
        self.brain = ExchangeBrain(self.settings)
        self.ctx = FakeContext(EXCHANGE, journal=False)
        self.journal: list[Message] = []
        self.keys: set[str] = set()
        self.snapshot: tuple[bytes, int] | None = None
        self.cursor = 0
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.payments: list[PaymentReport] = []
        self.position = D(0)
        self.inbox: deque[Message] = deque()
        self.plan: deque[str] = deque()
        self.duplicates: list[str] = []
        self.executions = 0

    # -- running -----------------------------------------------------------------------------

    def begin(self, *, restored: bool = False) -> None:
        self.run(Started(self.ctx.epoch, restored))
        self.subscribe()
        instruments = InstrumentsReport((self.rules,))
        self.inbox.extend([instruments, StreamStatus("public", True), StreamStatus("private", True)])

    def subscribe(self) -> None:
        for number in range(self.cursor, len(self.journal)):
            self.entry(number)
        self.run(CaughtUp(len(self.journal)))

    def entry(self, number: int) -> None:
        self.cursor = number + 1
        self.run(entry_of(self.journal[number], number + 1, ts=self.ctx.now))

    def run(self, message: Message, lost: int | None = None) -> None:
        """Hand over one message and carry out its effects, but for the last ``lost`` of them."""
        self.ctx.sends.clear()
        self.ctx.deliver(self.brain, message, VENUE_PORT)
        effects = list(self.ctx.sends)
        kept = effects if lost is None else effects[: max(0, len(effects) - lost)]
        for sent in kept:
            if sent.to == VENUE_PORT:
                self.venue(sent.message)
            elif sent.to == "bus":
                self.bus(sent.message)

    def deliver_all(self) -> None:
        """Let everything under way arrive: journal entries and the venue's answers."""
        while self.inbox or self.cursor < len(self.journal):
            if self.cursor < len(self.journal):
                self.entry(self.cursor)
            if self.inbox:
                self.run(self.inbox.popleft())

    def pass_time(self, nanoseconds: int) -> None:
        until = self.ctx.now + nanoseconds
        while True:
            due = sorted((at, key) for key, (at, _) in self.ctx.timers.items() if at <= until)
            if not due:
                break
            at, key = due[0]
            message = self.ctx.timers.pop(key)[1]
            self.ctx.now = max(self.ctx.now, at)
            self.run(message)
        self.ctx.now = until

    def save(self) -> None:
        self.snapshot = (self.brain.snapshot(), self.cursor)

    def crash(self) -> None:
        """Lose everything since the last snapshot, and what was on its way; start again."""
        self.inbox.clear()
        self.brain = ExchangeBrain(self.settings)
        self.ctx.timers.clear()
        self.ctx.epoch += 1
        self.ctx.now += SECOND
        self.cursor = 0
        if self.snapshot is not None:
            self.brain.restore(self.snapshot[0])
            self.cursor = self.snapshot[1]
        self.begin(restored=self.snapshot is not None)

    # -- the bus -----------------------------------------------------------------------------

    def bus(self, message: Message) -> None:
        """Journal it once; an ``Unsent`` ends the signal as the real bus would."""
        if isinstance(message, Unsent):
            event: Message = Blocked(message.signal_id, "trend", BTC, message.gate, message.code, message.detail)
            if message.expired:
                event = Expired(message.signal_id, "trend", BTC, message.code)
        elif isinstance(message, OrderChanged | Filled | Paid | Repaired | SymbolHalted):
            event = message
        else:
            return
        if key_of(event) not in self.keys:
            self.keys.add(key_of(event))
            self.journal.append(event)

    def approve(self, order: ApprovedOrder) -> None:
        self.journal.append(Approved(order.signal_id, order.strategy, order.symbol, order))

    # -- the venue ---------------------------------------------------------------------------

    def venue(self, command: Message) -> None:
        if isinstance(command, PlaceOrder):
            self._place(command)
        elif isinstance(command, QueryOrder):
            found = self.orders.get(command.client_id)
            outcome = Outcome.ACCEPTED if found else Outcome.NOT_FOUND
            self.inbox.append(CommandResult("QueryOrder", command.client_id, command.symbol, outcome, order=found))
        elif isinstance(command, CancelOrder):
            self._cancel(command)
        elif isinstance(command, CancelAll):
            for client_id, order in list(self.orders.items()):
                if not order.status.final:
                    self._cancel(CancelOrder(client_id, order.symbol))
            self.inbox.append(CommandResult("CancelAll", "", "", Outcome.ACCEPTED))
        elif isinstance(command, FetchState):
            self._state(command)

    def _place(self, command: PlaceOrder) -> None:
        fault = self.plan.popleft() if self.plan else "fill"
        if command.client_id in self.orders:
            self.duplicates.append(command.client_id)
            self._answer(command, Outcome.REJECTED, "110072")
            return
        if fault == "not_sent":
            self._answer(command, Outcome.NOT_SENT)
            return
        if fault == "lost_before":
            self._answer(command, Outcome.UNKNOWN)
            return
        if fault == "rejected":
            self._answer(command, Outcome.REJECTED, "110007")
            return
        self.orders[command.client_id] = Order(
            command.client_id,
            command.symbol,
            command.side,
            command.type,
            command.quantity,
            command.price,
            command.time_in_force,
            command.reduce_only,
            OrderStatus.OPEN,
            f"v-{command.client_id}",
            trigger=command.trigger,
        )
        self._answer(command, Outcome.UNKNOWN if fault == "lost_after" else Outcome.ACCEPTED)
        share = {"rest": D(0), "half": command.quantity / 2}.get(fault, command.quantity)
        share = D(0) if command.trigger is not None else share
        if share:
            self.fill(command.client_id, share)

    def fill(self, client_id: str, quantity: Decimal) -> None:
        order = self.orders[client_id]
        self.executions += 1
        self.ctx.now += 1
        fill = Fill(
            f"e{self.executions}",
            client_id,
            order.venue_id,
            order.symbol,
            order.side,
            D(100),
            quantity,
            D(0),
            "USDT",
            Liquidity.TAKER,
            self.ctx.now,
        )
        self.fills.append(fill)
        self.position += quantity * fill.side.sign
        filled = order.filled + quantity
        status = OrderStatus.FILLED if filled >= order.quantity else OrderStatus.PARTIALLY_FILLED
        self._update(order, status=status, filled=filled, average_price=D(100))
        self.inbox.append(FillReport(fill))

    def pay(self, amount: Decimal) -> None:
        self.ctx.now += 1
        paid = PaymentReport(f"p{len(self.payments)}", "funding", BTC, amount, "USDT", self.ctx.now)
        self.payments.append(paid)
        self.inbox.append(paid)

    def _cancel(self, command: CancelOrder) -> None:
        order = self.orders.get(command.client_id)
        if order is None or order.status.final:
            refused = CommandResult("CancelOrder", command.client_id, command.symbol, Outcome.REJECTED, "110001")
            self.inbox.append(refused)
            return
        self._update(order, status=OrderStatus.CANCELLED)
        self.inbox.append(CommandResult("CancelOrder", command.client_id, command.symbol, Outcome.ACCEPTED))

    def _update(self, order: Order, **changes: Any) -> None:
        updated = self.orders[order.client_id] = msgspec.structs.replace(order, **changes)
        self.inbox.append(OrderReport(updated))

    def _answer(self, command: PlaceOrder, outcome: Outcome, code: str = "") -> None:
        self.inbox.append(CommandResult("PlaceOrder", command.client_id, command.symbol, outcome, code))

    def _state(self, command: FetchState) -> None:
        self.ctx.now += 1
        working = tuple(order for order in self.orders.values() if not order.status.final)
        fills = tuple(fill for fill in self.fills if fill.ts_ns >= command.since_ns)
        held = (VenuePosition(BTC, self.position, D(100)),) if self.position else ()
        self.inbox.extend(paid for paid in self.payments if paid.ts_ns >= command.since_ns)
        self.inbox.append(VenueState(True, self.ctx.now, working, fills, held))
