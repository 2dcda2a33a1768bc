"""The history checker of the trading simulation: reads the committed journal and the venue's books.

What must hold at every moment is checked after every event; what can only hold once nothing
moves any more is checked at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from actors import names
from actors.bus.brain import BusBrain
from actors.bus.lifecycle import STATE_OF, TABLE
from actors.messages.learning import Lesson
from actors.messages.orders import Filled, FlowEnded, LegPlanned, Repaired
from actors.messages.signals import Approved, ApprovedOrder, Evaluating, Generated, Learned, SignalEvent
from actors.risk.settings import RiskSettings
from actors.strategy.brain import StrategyBrain
from bigwheel.simulations.venue import ACCOUNT, SimulatedVenue, is_panic
from exchanges.model.flow import protects
from exchanges.model.order import Order, Side
from runtime import codec
from runtime.journal.record import Record
from runtime.lifecycle import Started
from runtime.message import Message
from runtime.simulation.world import World
from strategies.signal import SignalState

ENDED = frozenset({SignalState.EXECUTED, SignalState.BLOCKED, SignalState.EXPIRED, SignalState.LEARNED})
_ZERO = Decimal(0)
_TOLERANCE = Decimal("1.02")
"""Marks move between the judgement and the record of it."""


class Audit:
    """Checks one run; ``world.fail`` ends it."""

    def __init__(self, world: World, venues: Sequence[SimulatedVenue], limits: RiskSettings) -> None:
        self.world, self.venues, self.limits = world, tuple(venues), limits
        self.at = {symbol: venue for venue in self.venues for symbol in venue.symbols}
        self.read = 0
        self.epoch = 0
        self.states: dict[str, SignalState] = {}
        self.approved: dict[str, ApprovedOrder] = {}
        self.filled: Counter[str] = Counter()
        self.executions: set[tuple[str, str]] = set()
        self.lessons: Counter[str] = Counter()
        self.positions: dict[str, Decimal] = dict.fromkeys(self.at, _ZERO)
        self.kinds: Counter[str] = Counter()
        self.quantities: dict[str, Decimal] = {}
        self.shares: dict[tuple[str, str], Decimal] = {}
        self.flattened: dict[str, int] = {}
        """When a panic last closed what all held, by symbol."""
        self.leaving = 0
        """Exits that may add to the account's position."""
        self.approvals: set[str] = set()
        self.flows: dict[str, ApprovedOrder] = {}
        self.legs: dict[str, list[Order]] = {}
        self.exited: dict[str, Decimal] = {}
        self.closed: dict[tuple[str, bool], Decimal] = {}
        """What exits of a signal have filled: those that stood as stops at the venue, and the others."""
        self.ended: dict[str, FlowEnded] = {}
        self.placed = dict.fromkeys((venue.name for venue in self.venues), 0)
        self.sent: Counter[str] = Counter()
        self.filled_ns = world.scheduler.now
        self.idle_ns = 0
        """The longest time without a fill."""
        world.checks.append(self)

    # -- after every event -----------------------------------------------------------

    def overlooked(self) -> str:
        """What came to the journal or a venue since the last look."""
        if self.read < self.world.durable:
            return f"the journal's records {self.read + 1} to {self.world.durable}"
        return next((f"orders at {each.name}" for each in self.venues if len(each.taken) > self.placed[each.name]), "")

    def look(self) -> None:
        """Take in what was committed since the last look, then look at the venue."""
        while self.read < self.world.durable:
            record = self.world.shelf.records[self.read]
            self.read += 1
            self._record(record, codec.decode(record.body))
        for venue in self.venues:
            if len(venue.taken) > self.placed[venue.name]:
                self._orders(venue)

    def _record(self, record: Record, event: Message) -> None:
        if record.seq != self.read:
            self.world.fail("journal-in-sequence", f"record {record.seq} is the journal's {self.read}th")
        if record.epoch < self.epoch:
            text = f"record {record.seq} is of epoch {record.epoch}, one of epoch {self.epoch} came before"
            self.world.fail("journal-epochs-rise", text)
        self.epoch = record.epoch
        self.kinds[type(event).__name__] += 1
        if isinstance(event, SignalEvent) and type(event) in STATE_OF:
            self._step(record, event)
        if isinstance(event, Approved):
            self._approval(event)
            self._leaving(event.order)
        elif isinstance(event, LegPlanned):
            self.approvals.add(event.order.client_id)
            self.legs.setdefault(event.signal_id, []).append(event.order)
        elif isinstance(event, FlowEnded):
            self._flow_ended(event)
        elif isinstance(event, Filled):
            self._fill(event, record.ts)
        elif isinstance(event, Repaired) and not _same(event.before, event.after):
            self.world.fail("no-repair-needed", f"the books had to be repaired though nobody else trades: {event}")
        elif isinstance(event, Learned | Lesson):
            self.lessons[f"{type(event).__name__} {event.signal_id}"] += 1
            if self.lessons[f"{type(event).__name__} {event.signal_id}"] > 1:
                self.world.fail("learned-once", f"signal {event.signal_id} was learned from twice")

    def _step(self, record: Record, event: SignalEvent) -> None:
        before, after = self.states.get(event.signal_id), STATE_OF[type(event)]
        if before is None:
            if not isinstance(event, Generated):
                self.world.fail("lifecycle", f"record {record.seq} takes unknown signal {event.signal_id} to {after}")
        elif isinstance(event, Evaluating) and event.attempt > 1 and before is SignalState.EVALUATING:
            return
        elif isinstance(event, Generated) or not TABLE.allows(before, after):
            self.world.fail("lifecycle", f"record {record.seq} takes signal {event.signal_id} from {before} to {after}")
        self.states[event.signal_id] = after
        if after in ENDED:
            self.approved.pop(event.signal_id, None)

    def _approval(self, event: Approved) -> None:
        order = event.order
        self.approved[event.signal_id] = order
        if order.flow is None:
            self.approvals.add(order.client_id)
        else:
            self.flows[event.signal_id] = order
        if order.reduce_only:
            return
        total = sum((self._exposure(symbol) for symbol in self.at), _ZERO)
        if self._exposure(order.symbol) > self.limits.symbol_notional * _TOLERANCE:
            text = f"{order} makes {self._exposure(order.symbol)} of {order.symbol} possible"
            self.world.fail("symbol-limit", text)
        if total > self.limits.total_notional * _TOLERANCE:
            self.world.fail("total-limit", f"{order} makes {total} possible in all")

    def _exposure(self, symbol: str) -> Decimal:
        """Worst case of one symbol: what is held and what is approved and may still fill."""
        low = high = self.positions[symbol]
        for signal_id, order in self.approved.items():
            if order.symbol != symbol or order.reduce_only:
                continue
            left = max(order.quantity - self.quantities.get(signal_id, _ZERO), _ZERO)
            if order.side is Side.BUY:
                high += left
            else:
                low -= left
        return max(abs(low), abs(high)) * Decimal(str(self.at[symbol].prices[symbol]))

    def _leaving(self, order: ApprovedOrder) -> None:
        """An exit that may add to the account's position is no more than its strategy holds, less its other exits."""
        if not order.closes or self.flattened.get(order.symbol, 0) >= order.approved_ns:
            return
        self.leaving += 1
        mine = (order.strategy, order.symbol, order.side)
        out = sum(
            (
                max(each.quantity - self.quantities.get(signal_id, _ZERO), _ZERO)
                for signal_id, each in self.approved.items()
                if (each.strategy, each.symbol, each.side) == mine
            ),
            _ZERO,
        )
        held = -self.shares.get((order.strategy, order.symbol), _ZERO) * order.side.sign
        if out > held:
            self.world.fail("leaves-its-own", f"{order} closes more than is held: {out} with others, {held} held")

    def _fill(self, event: Filled, ts: int) -> None:
        fill = event.fill
        execution = (fill.symbol.partition(":")[0], fill.execution_id)
        if execution in self.executions:
            self.world.fail("execution-once", f"execution {fill.execution_id} is in the journal twice")
        self.executions.add(execution)
        self.idle_ns, self.filled_ns = self.idle(), self.world.scheduler.now
        signed = fill.quantity * fill.side.sign
        self.positions[fill.symbol] += signed
        self.shares[event.strategy, fill.symbol] = self.shares.get((event.strategy, fill.symbol), _ZERO) + signed
        if not event.strategy and not event.position.quantity:
            # A panic has closed what all of them held.
            self.shares = {key: _ZERO if key[1] == fill.symbol else held for key, held in self.shares.items()}
            self.flattened[fill.symbol] = ts
        flow = self.flows.get(event.signal_id)
        sums = self.exited if flow is not None and fill.side is not flow.side else self.quantities
        sums[event.signal_id] = sums.get(event.signal_id, _ZERO) + fill.quantity
        if flow is not None:
            self._flow_fill(flow, event)

    def _flow_fill(self, flow: ApprovedOrder, event: Filled) -> None:
        """No more is filled than was approved; each of two exits that stood side by side keeps to that on its own."""
        signal_id, fill = event.signal_id, event.fill
        legs = {leg.client_id: leg for leg in self.legs.get(signal_id, ())}
        leg = legs.get(fill.client_id)
        kind = (signal_id, leg is not None and leg.trigger is not None)
        entered = self.quantities.get(signal_id, _ZERO)
        if protects(flow.flow) or fill.side is not flow.side:
            self.closed[kind] = self.closed.get(kind, _ZERO) + fill.quantity
        of_both = [self.closed.get((signal_id, stood), _ZERO) for stood in (True, False)]
        most = flow.quantity if protects(flow.flow) else entered
        beside = sum(of_both) if not all(of_both) else max(of_both)
        if entered - (min(of_both) if protects(flow.flow) else 0) > flow.quantity or beside > most:
            self.world.fail("flow-within-approval", f"{flow} filled {entered} and closed {of_both}")

    def idle(self) -> int:
        """The longest time without a fill until now, in nanoseconds."""
        return max(self.idle_ns, self.world.scheduler.now - self.filled_ns)

    def _flow_ended(self, event: FlowEnded) -> None:
        """Its sums are those of the fills before it; after the last one nothing follows."""
        known = self.ended.get(event.signal_id)
        if known is not None and not (known.lives_on and not event.lives_on):
            self.world.fail("flow-ends-once", f"the flow of {event.signal_id} ended twice: {event}")
        self.ended[event.signal_id] = event
        sums = (self.quantities.get(event.signal_id, _ZERO), self.exited.get(event.signal_id, _ZERO))
        if (event.filled, event.exited) != sums:
            self.world.fail("flow-sums", f"{event} does not agree with its fills {sums}")

    def _orders(self, venue: SimulatedVenue) -> None:
        """Every order the venue took has a committed approval, and is its signal's only one."""
        for client_id in venue.taken[self.placed[venue.name] :]:
            self._order(client_id, venue.accepted[client_id])
        self.placed[venue.name] = len(venue.taken)
        for signal_id in {order.client_id.split("-")[1] for order in _working(venue)} & set(self.flows):
            self._frame(signal_id)

    def _order(self, client_id: str, times: int) -> None:
        if times > 1:
            self.world.fail("order-once", f"the venue took {client_id} {times} times")
        if is_panic(client_id):
            return
        _, signal_id, leg, _ = client_id.split("-")
        self.sent[f"{signal_id}-{leg}"] += 1
        if self.sent[f"{signal_id}-{leg}"] > 1 and signal_id not in self.flows:
            self.world.fail("leg-is-one-order", f"leg {leg} of signal {signal_id} became two orders")
        if client_id not in self.approvals:
            text = f"the venue took {client_id}, of which no approval is committed"
            self.world.fail("approved-before-sent", text)

    def _frame(self, signal_id: str) -> None:
        """What works at the venue and what has filled there stay inside of the flow's approval."""
        frame, sums = (
            self.flows[signal_id],
            dict.fromkeys(((o, s) for o in (True, False) for s in (True, False)), _ZERO),
        )
        for leg in self.legs.get(signal_id, ()):
            found = self.at[frame.symbol].engine.find(ACCOUNT, client_id=leg.client_id)
            if found is not None:
                kind = (found.side is frame.side, found.trigger is not None)
                sums[kind] += found.filled if found.status.final else found.quantity
        # A stop at the venue and what takes profit stand side by side: each of them stays inside on its own.
        entered = self.quantities.get(signal_id, _ZERO)
        if any(most > (frame.quantity if ours else entered) for (ours, _), most in sums.items()):
            self.world.fail("flow-within-approval", f"orders of {signal_id} can make {sums} of {frame}")

    # -- at the end ------------------------------------------------------------------

    def finish(self) -> None:
        """Nothing moves any more: nothing is lost, and all books are equal."""
        self.look()
        for cell, host in self.world.hosts_by_cell.items():
            seat = self.world.processes[host].engine.seats[cell]
            if seat.cell.state != "running" or seat.cell.restarts:
                self.world.fail("nothing-fails", f"{cell} failed: {seat.cell.last_error}")
        self._open_signals()
        self._flows()
        self._books()
        self._strategies()
        self._refold()

    def _open_signals(self) -> None:
        working = {order.client_id for venue in self.venues for order in _working(venue)}
        for signal_id, state in self.states.items():
            if state is SignalState.LEARNED:
                continue
            if state in ENDED:
                self.world.fail(
                    "signals-are-learned", f"signal {signal_id} is {state}, and nothing was learned from it"
                )
            order = self.approved.get(signal_id)
            if order is None or order.client_id not in working:
                self.world.fail("signals-end", f"signal {signal_id} is {state} for ever")

    def _flows(self) -> None:
        """Every flow that was approved has ended, with a reason."""
        for signal_id, frame in self.flows.items():
            ended = self.ended.get(signal_id)
            if ended is None or ended.lives_on or not ended.code:
                self.world.fail("flows-end", f"the flow of {signal_id} goes on for ever: {frame}")
        left = dict(self.state(names.BUS).ledger.flows)
        for venue in self.venues:
            left.update(self.state(names.exchange(venue.name)).flows)
        if left:
            self.world.fail("ended-flows-forgotten", f"ended flows are kept: {left}")

    def _books(self) -> None:
        reported = {(venue.name, fill.execution_id) for venue in self.venues for fill in venue.fills}
        if self.executions != reported:
            lost, made_up = sorted(reported - self.executions), sorted(self.executions - reported)
            text = f"executions the journal lacks: {lost[:5]}; that it made up: {made_up[:5]}"
            self.world.fail("executions-complete", text)
        risk = self.state(names.RISK)
        for symbol in self.at:
            truth = self.at[symbol].position(symbol)
            held = self.state(names.exchange_of(symbol)).positions.get(symbol)
            books = {
                "the journal": self.positions[symbol],
                "the exchange connection": held.quantity if held is not None else _ZERO,
                "the risk supervisor": risk.book.position(symbol).quantity,
            }
            for name, quantity in books.items():
                if quantity != truth:
                    text = f"{name} holds {quantity} of {symbol}, the venue {truth}"
                    self.world.fail("books-agree", text)

    def _strategies(self) -> None:
        """Each strategy holds what its own fills add up to, and waits for no word on a signal."""
        for cell in self.world.hosts_by_cell:
            brain = self.brain(cell)
            if isinstance(brain, StrategyBrain):
                for symbol, position in brain.desk.positions.items():
                    held = self.shares.get((brain.label, symbol), _ZERO)
                    if position.quantity != held:
                        text = f"{cell} believes in {position}, its fills make {held}"
                        self.world.fail("shares-agree", text)
            waiting = list(getattr(brain, "pending", None) or getattr(brain, "open", None) or ())
            if waiting:
                self.world.fail("nothing-waits", f"{cell} never heard of its signals {waiting[:5]}")

    def state(self, cell: str) -> Any:
        """The state inside the present brain of ``cell``."""
        brain = self.brain(cell)
        return brain.state if hasattr(brain, "state") else brain._state

    def brain(self, cell: str) -> Any:
        watched: Any = self.world.processes[self.world.hosts_by_cell[cell]].engine.seats[cell].cell.behavior
        return watched.inner

    def _refold(self) -> None:
        """The journal read from its beginning gives the ledger the bus has."""
        brain, ctx = BusBrain(self.brain(names.BUS)._settings), _Folding()
        brain.receive(Started(self.epoch + 1, False), ctx)
        for record in self.world.shelf.records:
            brain.receive(record.entry(), ctx)
        folded, live = _comparable(brain._state.ledger), _comparable(self.state(names.BUS).ledger)
        for name, value in live.items():
            if folded[name] != value:
                self.world.fail("journal-refolds", f"the bus has {name} {_difference(value, folded[name])}")


def _working(venue: SimulatedVenue) -> list[Order]:
    return [record.order() for record in venue.engine.working(ACCOUNT)]


def _same(before: str, after: str) -> bool:
    """Whether a repair changed nothing; what it tells of need not be a number."""
    try:
        return Decimal(before) == Decimal(after)
    except InvalidOperation:
        return before == after


def _comparable(ledger: Any) -> dict[str, Any]:
    """The ledger without its counters of things that leave no record."""
    fields = msgspec.to_builtins(ledger)
    fields.pop("counters")
    for live in fields["live"].values():
        for name in ("fence", "attempts", "asked_ns"):
            live.pop(name)
    return dict(fields)


def _difference(live: Any, folded: Any) -> str:
    if isinstance(live, dict) and isinstance(folded, dict):
        for key in (*live, *folded):
            if live.get(key) != folded.get(key):
                return f"{key}: {live.get(key)}, the journal {folded.get(key)}"
    return f"{live}, the journal {folded}"


class _Folding:
    """A context for a replay: nothing a brain asks for in it is carried out."""

    name = sender = "bus"
    epoch = 1
    now = 0

    def send(self, *arguments: Any, **options: Any) -> None:
        raise AssertionError(f"sent during a replay: {arguments}")

    def record(self, *arguments: Any, **options: Any) -> int:
        raise AssertionError(f"recorded during a replay: {arguments}")

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        """Never due."""

    def cancel(self, key: str) -> None:
        """None is armed."""

    def count(self, name: str, amount: int = 1) -> None:
        """Counted by the live brain."""

    def observe(self, name: str, nanoseconds: int) -> None:
        """Measured by the live brain."""
