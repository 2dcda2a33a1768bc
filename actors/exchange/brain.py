"""The exchange connection's brain: takes each message to where it is handled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from actors.exchange import state as states
from actors.exchange.account import Account
from actors.exchange.admission import Admission
from actors.exchange.adoption import ADOPT, Adoption
from actors.exchange.execution import Execution
from actors.exchange.feed import Feed, FeedDue
from actors.exchange.flows.prices import NEVER_NS
from actors.exchange.flows.runner import Flows
from actors.exchange.flows.watching import Watched
from actors.exchange.latch import Latch
from actors.exchange.ledger import FillLedger
from actors.exchange.outbox import Outbox
from actors.exchange.panic import Panic
from actors.exchange.past import Past
from actors.exchange.reconcile import Reconciler
from actors.exchange.replay import Replay
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState
from actors.messages.control import Control, ControlTaken, TradingStateChanged
from actors.messages.history import AskHistory
from actors.messages.orders import Paid, Watch
from actors.names import BUS
from exchanges.model.market import MarketData
from exchanges.model.order import Order
from exchanges.model.venue import (
    BalanceReport,
    CancelAll,
    CommandResult,
    FillReport,
    HistoryReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PaymentReport,
    PriceReport,
    StreamStatus,
    VenuePosition,
    VenueState,
)
from runtime.behavior import Context
from runtime.lifecycle import CaughtUp, DeadLetter, Entry, PeerDown, PeerUp, Started, Stopping
from runtime.message import Message

KINDS = (
    "Adopted",
    "Approved",
    "Blocked",
    "ControlTaken",
    "Expired",
    "Filled",
    "FlowEnded",
    "LegPlanned",
    "LegRefused",
    "OrderChanged",
    "Paid",
    "Repaired",
    "SymbolHalted",
    "TradingStateChanged",
    "Withdraw",
)
"""The journal entries the connection subscribes to."""

_TICK = "tick"


class ExchangeTick(Message):
    """The connection's own timer."""


class ExchangeBrain:
    """Executes approved orders at one venue, and keeps its orders and positions true to the venue."""

    forgets = "market data kept for late-comers and held back for conflation"

    def __init__(self, settings: ExchangeSettings) -> None:
        self.settings = settings
        self._down: dict[str, str] = {}
        self._handlers: dict[type[Message], Callable[[Any, Context], None]] = {
            Started: self._started,
            CaughtUp: self._caught_up,
            Entry: self._entry,
            ExchangeTick: self._tick,
            Stopping: self._stopping,
            PeerUp: self._peer_up,
            PeerDown: self._peer_down,
            StreamStatus: self._stream,
            InstrumentsReport: self._instruments,
            OrderReport: self._order,
            FillReport: self._fill,
            BalanceReport: self._balances,
            PaymentReport: self._payment,
            PriceReport: self._price,
            VenuePosition: self._position,
            VenueState: self._venue_state,
            CommandResult: self._result,
            DeadLetter: self._dead_letter,
            Watch: self._watch,
            AskHistory: self._ask_history,
            HistoryReport: self._history,
            FeedDue: self._feed_due,
            Control: self._control,
        }
        self._assemble(ConnectionState())

    def _assemble(self, state: ConnectionState) -> None:
        settings = self.settings
        self.state = state
        self.feed = Feed(settings, state)
        self._outbox = Outbox(settings, state)
        self._ledger = FillLedger(settings, state)
        self._admission = Admission(settings, state)
        self._execution = Execution(settings, state, self._outbox, self._ledger, self._admission)
        self._reconciler = Reconciler(settings, state, self._outbox, self._ledger, self._execution)
        self._flows = Flows(settings, state, self._outbox, self._ledger, self._admission, self._execution)
        self._latch = Latch(settings, state, self._outbox, self._admission, self._execution, self._flows)
        self._panic = Panic(settings, state, self._outbox, self._execution, self._reconciler)
        self._adoption = Adoption(settings, state, self._outbox, self._execution, self._latch)
        self._replay = Replay(settings, state, self._outbox, self._ledger, self._execution, self._flows, self._adoption)
        self._account = Account(settings, state, self.feed)
        self._past = Past(state)

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message; see ``runtime.behavior.Behavior``."""
        if isinstance(message, MarketData):
            self.feed.publish(message, ctx)
            self._flows.market(message, ctx)
            return
        handler = self._handlers.get(type(message))
        if handler is None:
            ctx.count(f"exchange.unexpected.{type(message).__name__}")
            return
        handler(message, ctx)
        self._flows.run(ctx)
        if self.state.live and not isinstance(message, Entry | Stopping):
            self._account.tell(ctx)

    # -- many at once ----------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether no order, report or flow is under way."""
        state = self.state
        return not (state.active or state.unconfirmed or state.flows)

    @property
    def idle(self) -> bool:
        """Whether it is quiet, and neither in a panic nor waiting for the venue's state."""
        return self.quiet and not (self.state.panic or self.state.fetch_sent_ns)

    def still_ns(self, now: int) -> int:
        """Until when its timer has nothing to do but to tell how it stands, unless it hears something; 0: not known."""
        state = self.state
        if not state.live or state.unconfirmed or state.panic or state.fetch_sent_ns:
            return 0
        return min(self._execution.still_ns(), self._flows.still_ns(now), state.fetch_due_ns or NEVER_NS)

    @property
    def due_ns(self) -> int:
        """When the venue is to be asked for its state next; 0 if it isn't known."""
        return self.state.fetch_due_ns

    def watched(self, symbol: str) -> list[Watched]:
        """What the flows under way that concern a symbol wait for in its last price."""
        return self._flows.watched(symbol) if self.state.flows else []

    def absorb(self, data: Sequence[MarketData]) -> None:
        """Take in market data of one symbol that its watchers have been handed otherwise, as one by one while idle."""
        self.feed.absorb(data)
        self._flows.absorb(data)

    # -- life ------------------------------------------------------------------------------

    def _started(self, message: Started, ctx: Context) -> None:
        """Forget what only held for the last incarnation: streams, calls in flight, links."""
        state = self.state
        if state.epoch != message.epoch:
            state.epoch, state.seqs = message.epoch, {}
        state.live = state.matched = state.public_up = state.private_up = state.stopping = False
        state.fetch_sent_ns = state.fetch_due_ns = state.told_ns = 0
        state.peers, state.down, state.suspects, state.foreign = {}, [], {}, {}
        self._down = {}
        for tracked in state.active.values():
            tracked.asking, tracked.outstanding = False, True
            tracked.query_due_ns = tracked.absent_ns = tracked.resend_due_ns = 0
            tracked.amending = tracked.reshaping = None
        ctx.timer(_TICK, self.settings.tick_ns, ExchangeTick())

    def _entry(self, entry: Entry, ctx: Context) -> None:
        event = entry.event
        if isinstance(event, TradingStateChanged):
            self._latch.allow(event, ctx)
        elif isinstance(event, ControlTaken):
            self._latch.taken(event, ctx)
        else:
            self._replay.take(event, ctx)

    def _caught_up(self, message: CaughtUp, ctx: Context) -> None:
        """The past is folded in: say again what the journal lacks, then look at the venue."""
        if self.state.live:
            return
        self.state.live = True
        self._outbox.resend(ctx)
        for tracked in list(self.state.active.values()):
            self._execution.changed(tracked, ctx)
        self._latch.enforce(ctx)
        self._reconciler.fetch_by(ctx.now if self.state.private_up else ctx.now + self.settings.refetch_ns)
        self._reconciler.tick(ctx)

    def _tick(self, message: ExchangeTick, ctx: Context) -> None:
        ctx.timer(_TICK, self.settings.tick_ns, ExchangeTick())
        if self.state.live:
            self._execution.tick(ctx)
            self._panic.tick(ctx)
            self._reconciler.tick(ctx)

    def _stopping(self, message: Stopping, ctx: Context) -> None:
        self.state.stopping = True
        if self.settings.cancel_on_stop:
            stops = not self.settings.stops_outlive
            self._execution.cancel_working(f"stopping: {message.reason}", ctx, stops=stops)

    # -- peers -----------------------------------------------------------------------------

    def _peer_up(self, peer: PeerUp, ctx: Context) -> None:
        state = self.state
        same = state.peers.get(peer.name) == peer.epoch
        state.peers[peer.name] = peer.epoch
        if peer.name in state.down:
            state.down.remove(peer.name)
        if peer.name == BUS and peer.epoch != state.bus_epoch:
            state.bus_epoch = peer.epoch
            if state.live:
                self._outbox.resend(ctx)
        self.feed.peer_up(peer.name, same=same, ctx=ctx)
        state.told_ns = 0

    def _peer_down(self, peer: PeerDown, ctx: Context) -> None:
        if peer.name not in self.state.down:
            self.state.down.append(peer.name)
        self.feed.peer_down(peer.name)

    def _watch(self, watch: Watch, ctx: Context) -> None:
        self.feed.watch(ctx.sender, watch, ctx)

    def _ask_history(self, wanted: AskHistory, ctx: Context) -> None:
        self._past.ask(wanted, ctx)

    def _history(self, report: HistoryReport, ctx: Context) -> None:
        self._past.told(report, ctx)

    def _feed_due(self, message: FeedDue, ctx: Context) -> None:
        self.feed.due(ctx)

    def _control(self, control: Control, ctx: Context) -> None:
        if control.action == ADOPT:
            self._adoption.control(control, ctx)
            return
        self._latch.control(control, ctx)
        if self.state.panic is not None:
            self._panic.tick(ctx)

    # -- the venue -------------------------------------------------------------------------

    def _stream(self, status: StreamStatus, ctx: Context) -> None:
        state = self.state
        self._down[status.stream] = "" if status.up else status.reason
        if status.stream == "public":
            state.public_up = status.up
            return
        if status.up == state.private_up:
            return
        state.private_up, state.matched = status.up, False
        ctx.count("exchange.private_stream_up" if status.up else "exchange.private_stream_down")
        if status.up:
            state.private_since_ns = ctx.now
            self._reconciler.fetch_by(ctx.now)
            if state.live:
                self._reconciler.tick(ctx)

    def _instruments(self, report: InstrumentsReport, ctx: Context) -> None:
        for instrument in report.instruments:
            self.state.instruments[instrument.symbol] = instrument
        self.state.rules = self._account.fingerprint()

    def _order(self, report: OrderReport, ctx: Context) -> None:
        if self._hears(ctx):
            self._execution.seen(report.order, ctx)

    def _fill(self, report: FillReport, ctx: Context) -> None:
        if self._hears(ctx):
            self._execution.filled(report.fill, ctx)
            if self.settings.balance_ns:
                self._reconciler.fetch_by(ctx.now + self.settings.balance_ns)

    def _payment(self, report: PaymentReport, ctx: Context) -> None:
        """Cash that moved without a trade: the venue's balances hold it already, the books once it is journaled."""
        if not self._hears(ctx):
            return
        if report.symbol not in self.settings.symbols:
            ctx.count("exchange.payments_elsewhere")
            return
        position = self._ledger.pay(report.payment_id, report.symbol, report.amount, report.ts_ns)
        if position is None:
            ctx.count("exchange.payments_again")
            return
        ctx.count(f"exchange.payments.{report.kind}")
        paid = Paid(
            self.settings.venue,
            report.symbol,
            report.kind,
            report.amount,
            report.currency,
            report.payment_id,
            report.ts_ns,
            position,
        )
        self._outbox.report(paid, ctx)

    def _price(self, report: PriceReport, ctx: Context) -> None:
        self._flows.priced(report.symbol, report.price, ctx)

    def _hears(self, ctx: Context) -> bool:
        """Whether the past is folded in. Until then reports would meet orders not yet known.

        What they say is asked for when the replay has ended, as after a broken stream.
        """
        if not self.state.live:
            ctx.count("exchange.reports_early")
        return self.state.live

    def _balances(self, report: BalanceReport, ctx: Context) -> None:
        for balance in report.balances:
            self.state.balances[balance.currency] = balance

    def _position(self, position: VenuePosition, ctx: Context) -> None:
        """A pushed position: its mark is taken; quantities are compared with a full answer only."""
        if position.mark_price:
            self.state.marks[position.symbol] = position.mark_price

    def _venue_state(self, answer: VenueState, ctx: Context) -> None:
        if not self.state.live:
            self.state.fetch_sent_ns = 0
            return
        self._reconciler.on_state(answer, ctx)
        self._panic.on_state(answer, ctx)

    def _result(self, result: CommandResult, ctx: Context) -> None:
        if result.command != CancelAll.__name__:
            self._execution.result(result, ctx)
        elif result.outcome is not Outcome.ACCEPTED:
            ctx.count("exchange.cancel_all_failed")
            if self.state.panic is not None:
                self.state.panic.cancelled = False

    def _dead_letter(self, letter: DeadLetter, ctx: Context) -> None:
        """Something of the venue's could not be read: journaled, so that it can be looked into."""
        ctx.count("exchange.venue_malformed")
        ctx.send(BUS, msgspec.structs.replace(letter, to=ctx.name))

    # -- keeping ---------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The whole state, the same bytes for the same history."""
        return states.encode(self.state)

    def restore(self, data: bytes) -> None:
        """Take over a snapshot; raises ``SnapshotError`` if the bytes are none."""
        self._assemble(states.decode(data))

    def status(self) -> dict[str, object]:
        """Streams, orders, positions, what is unknown and what is halted."""
        state = self.state
        return {
            "venue": self.settings.venue,
            "live": state.live,
            "public_up": state.public_up,
            "private_up": state.private_up,
            "reconciled": state.reconciled,
            "streams_down": {stream: reason for stream, reason in self._down.items() if reason},
            "trading": self._admission.trading.value,
            "panic": state.panic.control_id if state.panic else "",
            "halted": dict(state.halted),
            "cash": str(self._account.cash),
            "equity": str(self._account.equity),
            "working": [
                _told(
                    tracked.order,
                    tracked.executed,
                    tracked.attempted_ns,
                    adopted=tracked.adopted,
                    protects=tracked.protects,
                )
                for tracked in state.active.values()
            ],
            "foreign": [_told(order, order.filled, 0) for order in state.foreign.values()],
            "positions": {
                symbol: {
                    "quantity": str(held.quantity),
                    "average_price": str(held.average_price),
                    "realized": str(held.realized),
                    "fees": str(held.fees),
                    "payments": str(held.payments),
                }
                for symbol, held in state.positions.items()
            },
            "flows": self._flows.status(),
            "unknown": state.unknown(),
            "outstanding": state.outstanding,
            "foreign_orders": len(state.foreign),
            "unconfirmed": len(state.unconfirmed),
            "watchers": self.feed.watchers(),
            "seats": self.feed.seats(),
            "data": {symbol: dict(kinds) for symbol, kinds in state.counted.items()},
            "last": dict(self.feed.last),
        }


def _told(
    order: Order, filled: Decimal, sent_ns: int, *, adopted: bool = False, protects: bool = False
) -> dict[str, object]:
    """An order in words; ``since_ns`` is when we sent it, else when the venue last changed it.

    ``protects``: it is a stop that stays at the venue through a halt, and at the session's end.
    """
    trigger = order.trigger if not order.triggered else None
    return {
        "client_id": order.client_id,
        "venue_id": order.venue_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": str(order.quantity),
        "price": str(order.price) if order.price is not None else "",
        "filled": str(filled),
        "status": order.status.value,
        "since_ns": sent_ns or order.updated_ns,
        "waits_for": f"{trigger.source.value} {trigger.direction.value} {trigger.price}" if trigger else "",
        "adopted": adopted,
        "protects": protects,
    }
