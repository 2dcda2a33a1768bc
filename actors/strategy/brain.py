"""The brain of a symbol strategy: market data in, signals out, fills and feedback in."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from actors.messages.control import Control, ControlTaken
from actors.messages.learning import FeedbackIssued
from actors.messages.orders import Filled, Paid, Watch, Watching
from actors.messages.signals import Approved, Blocked, Emit, Expired, Generated, SignalEvent, Withdraw
from actors.names import BUS, exchange_of
from actors.strategy.settings import BrainSettings
from actors.strategy.state import VERSION, BrainState, HookDue, TimerDue, Unseen
from actors.window import remember
from exchanges.model.market import Bar, Book, MarketData, Quote, Trade, last_price
from exchanges.model.order import Side
from runtime import codec
from runtime.behavior import Context
from runtime.errors import SnapshotError
from runtime.lifecycle import CaughtUp, Entry, PeerUp, Started
from runtime.message import Message
from strategies import state as attributes
from strategies.errors import HookError
from strategies.signal import Signal
from strategies.strategy import Strategy

KINDS = ("Generated", "Approved", "Blocked", "Expired", "Filled", "FeedbackIssued", "Paid")
"""The journal's events it subscribes to, narrowed to its symbol (index ``symbol``)."""

_STEPS: dict[type[Message], str] = {
    Generated: "recorded",
    Approved: "approved",
    Blocked: "blocked",
    Expired: "expired",
}

Hook = Callable[[Any], None]


class StrategyBrain:
    """Runs one ``Strategy`` on one symbol; is its ``Driver``.

    A tick is numbered ``(epoch, seq)`` by the exchange connection: what is not above the last
    one was seen before and is ignored. A signal is kept until its journal entry comes back, and
    sent again when the bus starts anew. Facts from the journal (fills, feedback) are taken in
    at once; the strategy's own code sees each in a message of its own, afterwards and never
    during a replay, so that an exception of its cannot lose the fact.
    """

    def __init__(self, settings: BrainSettings, strategy: Strategy) -> None:
        self.settings = settings
        self.strategy = strategy
        self.desk = desk = strategy.desk
        self.label, self.symbol = desk.label, desk.symbol
        desk.driver = self
        desk.ttl_ns, desk.dry_run, desk.threshold = settings.ttl_ns, settings.dry_run, settings.threshold
        self.ctx: Context | None = None
        self.watched = strategy.watches()
        self.epoch = self.seq = self.entry_seq = self.ticks = 0
        self.live = self.paused = False
        self.feedback: FeedbackIssued | None = None
        self.pending: dict[str, Signal] = {}
        self.journaled: dict[str, int] = {}
        self.unseen: dict[int, Unseen] = {}
        self.timers: dict[str, int] = {}
        self.controls: deque[str] = deque(maxlen=settings.controls)
        self.lines: deque[str] = deque(maxlen=settings.lines)
        self.counts: Counter[str] = Counter()
        self.user = b""
        self._made_for = json.dumps([type(strategy).__qualname__, desk.given], sort_keys=True, default=str)
        self._ticket = 0
        self._gated = True
        self._names = {kind: self._names_of(hook) for kind, hook in _HOOKS.items()}
        self._hooks = {kind: tuple(map(self._hook, names)) for kind, names in self._names.items()}
        self._handlers: dict[type[Message], Callable[[Any], None]] = {
            Entry: self._entry,
            HookDue: self._hook_due,
            TimerDue: self._timer_due,
            Control: self._control,
            Started: self._started,
            Watching: self._watching,
            PeerUp: self._peer_up,
            CaughtUp: self._caught_up,
        }

    def _names_of(self, own: str) -> tuple[str, ...]:
        """The overridden hooks for one kind of data, in the order they are called."""
        return tuple(name for name in ("on_tick", own) if self.strategy.overrides(name))

    def _hook(self, name: str) -> Hook:
        hook: Hook = getattr(self.strategy, name)
        if name != "on_bar":
            return hook
        return lambda bar: hook(bar) if bar.closed else None

    # -- messages ------------------------------------------------------------------

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message.

        Raises:
            HookError: the strategy's own code raised.
        """
        self.ctx = ctx
        hooks = self._hooks.get(type(message))  # type: ignore[arg-type]
        if hooks is None:
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(message)
            return
        if self._gated:
            # It belongs to an earlier request: what is missed is sent again behind the answer.
            self._tally("early")
        else:
            self._data(message, hooks)

    def _data(self, data: Any, hooks: tuple[Hook, ...]) -> None:
        """Show the strategy one piece of market data, unless it was seen before."""
        if (data.seq != self.seq + 1 or data.epoch != self.epoch) and not self._follows(data):
            return
        if data.symbol != self.symbol:
            self._tally("foreign")
            return
        self.epoch, self.seq = data.epoch, data.seq
        self.ticks += 1
        desk = self.desk
        desk.data = data
        desk.ordinal = 0
        try:
            for hook in hooks:
                hook(data)
        except Exception as error:
            raise self._fault(self._names[type(data)][hooks.index(hook)], error) from error

    def _follows(self, data: MarketData) -> bool:
        """Whether data that is not simply the next one is newer than what was seen."""
        if (data.epoch, data.seq) <= (self.epoch, self.seq):
            self._tally("duplicates")
            return False
        if data.epoch == self.epoch and not self.watched:
            self._tally("lost", data.seq - self.seq - 1)
        return True

    def _watching(self, message: Watching) -> None:
        if message.ticket == self._ticket:
            self._gated = False

    def _started(self, message: Started) -> None:
        self.live, self._gated = False, True
        saved = attributes.attributes(self.strategy) if message.restored else {}
        self._triggered(f"start/{message.epoch}", "Start")
        self._call("on_start")
        vars(self.strategy).update(saved)
        for name, due_ns in self.timers.items():
            self._arm(name, due_ns)

    def _peer_up(self, message: PeerUp) -> None:
        if message.name == BUS:
            if self.live:
                self._send_pending()
        elif message.name == exchange_of(self.symbol) and self.live:
            self._watch()

    def _watch(self) -> None:
        """Ask for market data, from where we are; until the answer begins, what comes is not for us."""
        self._ticket = max(self._ticket + 1, self._context.epoch << 20)
        self._gated = True
        after = {self.symbol: (self.epoch, self.seq)} if self.epoch or self.seq else {}
        watch = Watch((self.symbol,), self.watched, int(self.settings.delivery), after, self._ticket)
        self._context.send(exchange_of(self.symbol), watch)

    def _caught_up(self, message: CaughtUp) -> None:
        if not self.live:
            self.live = True
            self._watch()
        self._send_pending()
        for seq in self.unseen:
            self._context.send(self._context.name, HookDue(seq))

    def _send_pending(self) -> None:
        for signal in self.pending.values():
            self._tally("resent")
            self._context.send(BUS, Emit(signal))

    # -- the journal ---------------------------------------------------------------

    def _entry(self, entry: Entry) -> None:
        if entry.seq <= self.entry_seq:
            self._tally("entries_repeated")
            return
        self.entry_seq = entry.seq
        event = entry.event
        if isinstance(event, Control):
            self._control(event)
        elif isinstance(event, SignalEvent | Filled | FeedbackIssued) and event.strategy == self.label:
            self._own(entry, event)
        elif isinstance(event, Filled) and not event.strategy and event.fill.symbol == self.symbol:
            self._outside(event)
        elif isinstance(event, Paid) and event.symbol == self.symbol:
            self._paid(event)

    def _outside(self, event: Filled) -> None:
        """A fill of no strategy's order (a panic, a hand) that leaves the account flat leaves us flat too."""
        held = self.desk.position.quantity
        if held and not event.position.tradable(event.lot).quantity:
            side = Side.SELL if held > 0 else Side.BUY
            ours = msgspec.structs.replace(event.fill, side=side, quantity=abs(held), fee=Decimal(0))
            self.desk.position = self.desk.position.apply(ours)
            self._tally("closed_from_outside")

    def _paid(self, event: Paid) -> None:
        """Our part of a payment on the account's position: as much as we hold of it, with our own sign."""
        held, whole = self.desk.position.quantity, event.position.quantity
        if held and whole:
            self.desk.position = self.desk.position.pay(event.amount * held / whole)
            self._tally("payments")

    def _own(self, entry: Entry, event: SignalEvent | Filled | FeedbackIssued) -> None:
        """Take in an event about this strategy; others trade the same symbol."""
        if isinstance(event, Filled):
            if event.fill.symbol == self.symbol:
                self.desk.position = self.desk.position.apply(event.fill)
                self.desk.lot = event.lot or self.desk.lot
                self._tally("fills")
                self._show(entry, "on_fill")
        elif event.symbol != self.symbol:
            return
        elif isinstance(event, FeedbackIssued):
            if self.feedback is None or event.version > self.feedback.version:
                self._learn(event)
                self._show(entry, "on_feedback")
        else:
            self.pending.pop(event.signal_id, None)
            if isinstance(event, Generated) and not self._seen(event.signal.cause.tick_id):
                remember(self.journaled, event.signal_id, entry.seq, self.settings.pending)
            step = _STEPS.get(type(event))
            if step is not None:
                self._tally(step)

    def _seen(self, cause: str) -> bool:
        """Whether a signal came from data this state has been shown; other causes may be shown again."""
        epoch, dot, seq = cause.rpartition("@")[2].partition(".")
        known = dot and epoch.isdigit() and seq.isdigit()
        return bool(known) and (int(epoch), int(seq)) <= (self.epoch, self.seq)

    def _learn(self, feedback: FeedbackIssued) -> None:
        self.feedback = feedback
        self.desk.threshold = feedback.conviction_threshold

    def _show(self, entry: Entry, hook: str) -> None:
        """Have the strategy's code see ``entry`` once this message is done with."""
        if not self.strategy.overrides(hook):
            return
        if len(self.unseen) >= self.settings.hooks:
            del self.unseen[next(iter(self.unseen))]
            self._tally("hooks_dropped")
        self.unseen[entry.seq] = Unseen(bytes(entry.body), self.desk.position)
        if self.live:
            self._context.send(self._context.name, HookDue(entry.seq))

    def _hook_due(self, due: HookDue) -> None:
        unseen = self.unseen.pop(due.seq, None)
        if unseen is None:
            return
        event = codec.decode(unseen.body)
        if isinstance(event, Filled):
            self._triggered(f"fill/{event.fill.execution_id}", "Fill")
            self._call("on_fill", event.fill, unseen.position.tradable(self.desk.lot))
        elif isinstance(event, FeedbackIssued):
            self._triggered(f"feedback/{event.version}", "Feedback")
            self._call("on_feedback", event)

    # -- control -------------------------------------------------------------------

    def _control(self, control: Control) -> None:
        meant = ("", self.label, self._context.name)
        if control.target not in meant or control.action not in ("pause", "unpause"):
            return
        if control.id in self.controls:
            self._tally("controls_repeated")
            detail = "done before"
        else:
            self.controls.append(control.id)
            self.paused = control.action == "pause"
            detail = "signals are withheld" if self.paused else "signals flow"
        taken = ControlTaken(control.id, control.action, control.by, self._context.name, detail)
        self._context.send(BUS, taken)

    # -- what the strategy calls (Driver) ------------------------------------------

    @property
    def now(self) -> int:
        """Nanoseconds since the Unix epoch, on the driver's clock."""
        return self._context.now

    def emit(self, signal: Signal) -> bool:
        """Send ``signal`` to the bus and keep it until it is journaled; ``False``: withheld."""
        if self.paused:
            self._tally("withheld_paused")
            return False
        if signal.conviction < self.desk.threshold and not signal.reduce_only:
            self._tally("withheld_conviction")
            return False
        if signal.ttl_ns > self.settings.max_ttl_ns:
            signal = msgspec.structs.replace(signal, ttl_ns=self.settings.max_ttl_ns)
            self._tally("ttl_capped")
        age = self._context.now - signal.cause.recv_ns if signal.cause.recv_ns > 0 else 0
        if age > 0:
            # Data that waited makes the signal older, so its life is shorter; the bus expires it, on record.
            signal = msgspec.structs.replace(signal, ttl_ns=max(signal.ttl_ns - age, 1))
        if self.journaled.pop(signal.id, None) is not None:
            # Made again from what a restart shows again: no further entry will come of it.
            self._tally("emitted_again")
            return True
        if len(self.pending) >= self.settings.pending:
            del self.pending[next(iter(self.pending))]
            self._tally("pending_dropped")
        self.pending[signal.id] = signal
        self._tally("emitted")
        self._context.send(BUS, Emit(signal))
        return True

    def withdraw(self, signal: str, reason: str) -> None:
        """Ask that what the signal led to be cancelled, as far as it has not happened."""
        self._tally("withdrawn")
        self._context.send(BUS, Withdraw(signal, self.symbol, self.label, reason))

    def arm(self, name: str, delay_ns: int) -> None:
        """Call ``on_timer(name)`` after ``delay_ns``."""
        due_ns = self._context.now + delay_ns
        self.timers[name] = due_ns
        self._arm(name, due_ns)

    def _arm(self, name: str, due_ns: int) -> None:
        ctx = self._context
        ctx.timer(f"user/{name}", max(due_ns - ctx.now, 0), TimerDue(name, due_ns))

    def _timer_due(self, due: TimerDue) -> None:
        if self.timers.get(due.name) != due.due_ns:
            return
        del self.timers[due.name]
        self._triggered(f"timer/{due.name}/{due.due_ns}", "Timer")
        self._call("on_timer", due.name)

    def note(self, text: str) -> None:
        """Keep a line of the strategy's log."""
        self._tally("lines")
        self.lines.append(text[:500])

    # -- inside --------------------------------------------------------------------

    @property
    def _context(self) -> Context:
        ctx = self.ctx
        if ctx is None:
            raise HookError(
                f"expected {self.label} on {self.symbol} to run, found that it has received nothing yet; "
                "act in a hook, not in __init__"
            )
        return ctx

    def _tally(self, name: str, amount: int = 1) -> None:
        self.counts[name] += amount
        if self.ctx is not None:
            self.ctx.count(f"strategy.{name}", amount)

    def _triggered(self, trigger: str, kind: str) -> None:
        self.desk.trigger, self.desk.kind, self.desk.ordinal = trigger, kind, 0

    def _call(self, hook: str, *arguments: Any) -> None:
        """Run a hook that is not market data's, then let market data be the cause of signals again."""
        desk = self.desk
        try:
            getattr(self.strategy, hook)(*arguments)
        except Exception as error:
            raise self._fault(hook, error) from error
        finally:
            desk.trigger = desk.kind = ""

    def _fault(self, hook: str, error: Exception) -> HookError:
        return HookError(
            f"{type(self.strategy).__name__}.{hook} of {self.label} on {self.symbol} raised "
            f"{type(error).__name__}: {error}; what it was handling is set aside, correct the strategy"
        )

    # -- state ---------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The whole state, the strategy's attributes with it.

        Raises:
            StateError: an attribute can't be pickled; the text names it.
        """
        state = BrainState(
            version=VERSION,
            made_for=self._made_for,
            user=attributes.save(self.strategy),
            data=codec.encode(self.desk.data) if self.desk.data is not None else b"",
            epoch=self.epoch,
            seq=self.seq,
            entry_seq=self.entry_seq,
            live=self.live,
            paused=self.paused,
            position=self.desk.position,
            feedback=self.feedback,
            pending=tuple(self.pending.values()),
            unseen=self.unseen,
            timers=self.timers,
            controls=tuple(self.controls),
            lines=tuple(self.lines),
            counts={**self.counts, "ticks": self.ticks},
            gated=self._gated,
            ticket=self._ticket,
            journaled=self.journaled,
            lot=self.desk.lot,
        )
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Take over a snapshot; the attributes only where class and parameters are the same.

        Raises:
            SnapshotError: the bytes are no state of a strategy.
            StateError: the attributes can't be read back.
        """
        try:
            state = msgspec.msgpack.decode(data, type=BrainState)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"expected the state of a strategy, found {len(data)} bytes: {error}") from error
        if state.version != VERSION:
            raise SnapshotError(
                f"expected the state of a strategy in version {VERSION}, found {state.version}; use the newer program"
            )
        same = state.made_for == self._made_for
        if same:
            attributes.load(self.strategy, state.user)
        last = codec.decode(state.data) if state.data else None
        self.desk.data = last if isinstance(last, MarketData) else None
        self.epoch, self.seq, self.entry_seq = state.epoch, state.seq, state.entry_seq
        self.live, self.paused = state.live, state.paused
        self._gated, self._ticket = state.gated, state.ticket
        self.desk.position, self.desk.lot = state.position, state.lot
        self.feedback = state.feedback
        self.desk.threshold = state.feedback.conviction_threshold if state.feedback else self.settings.threshold
        self.pending = {signal.id: signal for signal in state.pending}
        self.journaled = dict(state.journaled)
        self.unseen = dict(state.unseen)
        self.timers = dict(state.timers) if same else {}
        self.controls.extend(state.controls)
        self.lines.extend(state.lines)
        self.counts = Counter(state.counts)
        self.ticks = self.counts.pop("ticks", 0)
        if not same:
            self.counts["started_anew"] += 1

    def status(self) -> dict[str, object]:
        """Ticks, price, position, signals, feedback: JSON-ready."""
        data, position, feedback = self.desk.data, self.desk.position, self.feedback
        return {
            "label": self.label,
            "symbol": self.symbol,
            "strategy": type(self.strategy).__name__,
            "ticks": self.ticks,
            "last_price": last_price(data) if data is not None else None,
            "last_data_ns": data.ts_ns if data is not None else 0,
            "position": str(position.quantity),
            "average_price": str(position.average_price),
            "realized": str(position.realized),
            "fees": str(position.fees),
            "payments": str(position.payments),
            "signals": self.counts["emitted"],
            "pending": len(self.pending),
            "paused": self.paused,
            "dry_run": self.settings.dry_run,
            "live": self.live,
            "feedback_version": feedback.version if feedback is not None else 0,
            "threshold": self.desk.threshold,
            "size_multiplier": feedback.size_multiplier if feedback is not None else 1.0,
            "counts": dict(sorted(self.counts.items())),
            "log": list(self.lines),
        }


_HOOKS: dict[type[MarketData], str] = {Trade: "on_trade", Quote: "on_quote", Bar: "on_bar", Book: "on_book"}
