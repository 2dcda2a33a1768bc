"""The brain of a symbol strategy: market data in, signals out, fills and feedback in."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from actors.messages.control import Control, ControlTaken
from actors.messages.history import HistoryTold
from actors.messages.learning import FeedbackIssued
from actors.messages.orders import Filled, Watching
from actors.messages.signals import Emit, Withdraw
from actors.names import BUS
from actors.strategy import keeping
from actors.strategy.facts import Facts
from actors.strategy.inlets import Inlet, Inlets
from actors.strategy.parts import Parts
from actors.strategy.report import report
from actors.strategy.settings import BrainSettings
from actors.strategy.state import HookDue, PastDue, TimerDue, WarmUpOver
from actors.strategy.warmup import WarmUp
from actors.window import remember, window
from exchanges.model.market import Bar, Book, MarketData, Quote, Trade, last_price
from runtime import codec
from runtime.behavior import Context
from runtime.lifecycle import CaughtUp, Entry, PeerUp, Started
from runtime.message import Message
from strategies import state as attributes
from strategies import timeframes
from strategies.errors import HookError
from strategies.performance import Performance
from strategies.signal import Signal
from strategies.strategy import Strategy

KINDS = ("Generated", "Approved", "Blocked", "Expired", "Filled", "FeedbackIssued", "Paid")
"""The journal's events it subscribes to; with one symbol narrowed to it (index ``symbol``).

With several symbols it takes all of them: by strategy it would not be told of fills of no strategy's
order, which close its positions as well.
"""

Hook = Callable[[Any], None]


class StrategyBrain(Parts):
    """Runs one ``Strategy`` on its symbols; is its ``Driver``.

    A tick is numbered ``(epoch, seq)`` by the exchange connection: what is not above the last
    one of its symbol was seen before and is ignored. A signal is kept until its journal entry comes
    back, and sent again when the bus starts anew. Facts from the journal (fills, feedback) are taken in
    at once; the strategy's own code sees each in a message of its own, afterwards and never
    during a replay, so that an exception of its cannot lose the fact.
    """

    def __init__(self, settings: BrainSettings, strategy: Strategy) -> None:
        self.settings, self.strategy = settings, strategy
        self.desk = desk = strategy.desk
        self.label, self.symbol, self.symbols = desk.label, desk.symbol, desk.symbols
        desk.driver = self
        desk.ttl_ns, desk.dry_run = settings.ttl_ns, settings.dry_run
        desk.thresholds = dict.fromkeys(self.symbols, settings.threshold)
        self.ctx: Context | None = None
        self.ticks = 0
        self.live = self.paused = False
        self.issued: dict[str, str] = window()
        self.timers: dict[str, int] = {}
        self.controls: deque[str] = deque(maxlen=settings.controls)
        self.lines: deque[str] = deque(maxlen=settings.lines)
        self.counts: Counter[str] = Counter()
        self.made_for = json.dumps([type(strategy).__qualname__, desk.given], sort_keys=True, default=str)
        self._several = len(self.symbols) > 1
        wanted = timeframes.wanted(strategy.timeframes, strategy.history, settings.history_bars)
        self.frames = timeframes.Frames(wanted.frames, {each: settings.steps.get(each, 0) for each in self.symbols})
        self._framed = bool(wanted.frames)
        self.watched = keeping.kinds(strategy, self.frames)
        self.inlets = Inlets(self.symbols, self.watched, settings)
        self.performance = Performance(settings.capital, settings.sample_ns)
        self.facts = Facts(settings, strategy, self.inlets, self.performance, self._tally, self._show)
        self.warm = WarmUp(settings, wanted, self.frames, self.symbols, self._tally)
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
            HistoryTold: self._history_told,
            PastDue: self._past_due,
            WarmUpOver: self._warm_up_over,
        }

    def _names_of(self, own: str) -> tuple[str, ...]:
        """The overridden hooks for one kind of data, in the order they are called."""
        hooks = ("on_tick",) if own == "on_bar" and self._framed else ("on_tick", own)
        return tuple(name for name in hooks if self.strategy.overrides(name))

    def _hook(self, name: str) -> Hook:
        hook: Hook = getattr(self.strategy, name)
        if name != "on_bar":
            return hook
        return lambda bar: hook(bar) if bar.closed else None

    # -- market data ---------------------------------------------------------------

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message.

        Raises:
            HookError: the strategy's own code raised.
        """
        self.ctx = ctx
        hooks = self._hooks.get(type(message))  # type: ignore[arg-type]
        if hooks is not None:
            self._data(message, hooks, ctx.now)
            return
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)

    def _data(self, data: Any, hooks: tuple[Hook, ...], now: int) -> None:
        """Show the strategy one piece of market data, unless it was seen before."""
        inlet = self.inlets.by_symbol.get(data.symbol)
        if inlet is None:
            self._tally("foreign")
            return
        if inlet.gate.closed:
            # It belongs to an earlier request: what is missed is sent again behind the answer.
            self._tally("early")
            return
        if (data.seq != inlet.seq + 1 or data.epoch != inlet.epoch) and not self._follows(inlet, data):
            return
        if now >= self.performance.due_ns:
            self.performance.sample(now, self.desk.positions, self.prices())
        inlet.epoch, inlet.seq = data.epoch, data.seq
        self.ticks += 1
        desk = self.desk
        desk.data = data
        desk.ordinal = 0
        if self._several and last_price(data):
            desk.latest[data.symbol] = data
        if not self._framed:
            self._hand(data, hooks)
            return
        # Bars that a trade ends lie before it; one that a bar ends holds it.
        within = isinstance(data, Bar)
        if within:
            self._hand(data, hooks)
        for bar in self.frames.take(data):
            self._guarded("on_bar", bar)
        if not within:
            self._hand(data, hooks)

    def _hand(self, data: Any, hooks: tuple[Hook, ...]) -> None:
        try:
            for hook in hooks:
                hook(data)
        except Exception as error:
            raise self._fault(self._names[type(data)][hooks.index(hook)], error) from error

    def _follows(self, inlet: Inlet, data: MarketData) -> bool:
        """Whether data that is not simply the next one is newer than what was seen."""
        if (data.epoch, data.seq) <= inlet.mark:
            self._tally("duplicates")
            return False
        lost = self.inlets.lost(data)
        if lost:
            self._tally("lost", lost)
        if lost or (inlet.epoch and data.epoch != inlet.epoch):
            self.frames.missed(data.symbol)
        return True

    # -- starting ------------------------------------------------------------------

    def _watching(self, message: Watching) -> None:
        self.inlets.watching(message.ticket)

    def _started(self, message: Started) -> None:
        self.live = False
        self.inlets.close()
        saved = attributes.attributes(self.strategy) if message.restored else {}
        self._triggered(f"start/{message.epoch}", "Start")
        self._call("on_start")
        vars(self.strategy).update(saved)
        for name, due_ns in self.timers.items():
            self._arm(name, due_ns)

    def _peer_up(self, message: PeerUp) -> None:
        if not self.live:
            return
        if message.name == BUS:
            self._send_pending()
        elif message.name in self.inlets.gates:
            if self.warm.over:
                self._watch(message.name)
            else:
                self.warm.again(message.name, self._context)

    def _watch(self, connection: str) -> None:
        """Ask for market data, from where we are; until the answer begins, what comes is not for us."""
        self._context.send(connection, self.inlets.watch(connection, self._context.epoch))

    def _caught_up(self, message: CaughtUp) -> None:
        if not self.live:
            self.live = True
            self._begin()
        self._send_pending()
        for seq in self.facts.unseen:
            self._context.send(self._context.name, HookDue(seq))

    def _begin(self) -> None:
        """Look at the past, or at the market."""
        if not self.warm.over:
            self.warm.begin(self._context)
            return
        for connection in self.inlets.gates:
            self._watch(connection)

    def _send_pending(self) -> None:
        for signal in self.pending.values():
            self._tally("resent")
            self._context.send(BUS, Emit(signal))

    def _history_told(self, told: HistoryTold) -> None:
        if told.reason:
            self.note(f"no history of {told.symbol}: {told.reason}")
        self.warm.told(told, self._context)

    def _past_due(self, message: PastDue) -> None:
        bar = self.warm.due(message.number)
        if bar is None:
            return
        desk, hand = self.desk, self.desk.data
        desk.data, desk.ordinal, desk.warming = bar, 0, True
        latest = dict(desk.latest)
        desk.latest = {**latest, bar.symbol: bar}
        try:
            self._guarded("on_bar", bar)
        finally:
            desk.data, desk.latest, desk.warming = hand, latest, False

    def _warm_up_over(self, message: WarmUpOver) -> None:
        marks = self.warm.ended(message, self._context)
        if marks is None:
            return
        for symbol, mark in marks.items():
            inlet = self.inlets.by_symbol[symbol]
            inlet.epoch, inlet.seq = max(inlet.mark, mark)
        if self.counts["history_missing"]:
            self.note("begins without the whole of its history")
        if self.live:
            self._begin()

    # -- the journal ---------------------------------------------------------------

    def _entry(self, entry: Entry) -> None:
        if self.facts.repeated(entry):
            return
        event = entry.event
        if isinstance(event, Control):
            self._control(event)
        else:
            self.facts.take(entry, event)

    def _show(self, seq: int) -> None:
        if self.live:
            self._context.send(self._context.name, HookDue(seq))

    def _hook_due(self, due: HookDue) -> None:
        unseen = self.facts.unseen.pop(due.seq, None)
        if unseen is None:
            return
        event = codec.decode(unseen.body)
        if isinstance(event, Filled):
            self._triggered(f"fill/{event.fill.execution_id}", "Fill")
            lot = self.desk.lots.get(event.fill.symbol, Decimal(0))
            self._call("on_fill", event.fill, unseen.position.tradable(lot))
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
        if self.desk.warming or not self.warm.over:
            self._tally("withheld_warming")
            return False
        if self.paused:
            self._tally("withheld_paused")
            return False
        if signal.conviction < self.desk.thresholds[signal.symbol] and not signal.reduce_only:
            self._tally("withheld_conviction")
            return False
        if signal.ttl_ns > self.settings.max_ttl_ns:
            signal = msgspec.structs.replace(signal, ttl_ns=self.settings.max_ttl_ns)
            self._tally("ttl_capped")
        age = self._context.now - signal.cause.recv_ns if signal.cause.recv_ns > 0 else 0
        if age > 0:
            # Data that waited makes the signal older, so its life is shorter; the bus expires it, on record.
            signal = msgspec.structs.replace(signal, ttl_ns=max(signal.ttl_ns - age, 1))
        if self._several:
            remember(self.issued, signal.id, signal.symbol, self.settings.pending)
        if self.facts.hold(signal):
            self._tally("emitted")
            self._context.send(BUS, Emit(signal))
        return True

    def withdraw(self, signal: str, reason: str) -> None:
        """Ask that what the signal led to be cancelled, as far as it has not happened."""
        self._tally("withdrawn")
        symbol = self.issued.get(signal, self.symbol)
        self._context.send(BUS, Withdraw(signal, symbol, self.label, reason))

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
        try:
            self._guarded(hook, *arguments)
        finally:
            self.desk.trigger = self.desk.kind = ""

    def _guarded(self, hook: str, *arguments: Any) -> None:
        try:
            getattr(self.strategy, hook)(*arguments)
        except Exception as error:
            raise self._fault(hook, error) from error

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
        return msgspec.msgpack.encode(keeping.capture(self))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot; the attributes only where class and parameters are the same.

        Raises:
            SnapshotError: the bytes are no state of a strategy.
            StateError: the attributes can't be read back.
        """
        keeping.resume(self, data)

    def status(self) -> dict[str, object]:
        """Ticks, price, position, signals, feedback, performance: JSON-ready."""
        return report(self)


_HOOKS: dict[type[MarketData], str] = {Trade: "on_trade", Quote: "on_quote", Bar: "on_bar", Book: "on_book"}
