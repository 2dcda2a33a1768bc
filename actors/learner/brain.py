"""The learner's brain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from actors import names
from actors.learner import feedback, fold, outcomes, report, rollback, stages, state
from actors.learner.prices import Track
from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState
from actors.messages.control import Control
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.orders import Watch
from actors.names import pair
from exchanges.model.market import MarketData, last_price
from runtime.behavior import Context
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, PeerDown, PeerUp, Started, Stopping
from runtime.message import Message

KINDS = fold.KINDS
"""The event types this brain has to be subscribed to."""

_TICK = "tick"
_WATCHED = ("Trade", "Quote", "Bar", "Book")
_NEVER = 1 << 62


class Wait(NamedTuple):
    """The first horizon of a symbol's signals, and when it was heard of last, in ns."""

    horizon_ns: int
    heard_ns: int


class LearnerTick(Message):
    """The learner's own timer."""


class LearnerBrain:
    """Follows every signal that has ended to its horizon, and tells what follows from it.

    What it knows is the fold of the journal: a lesson counts when its record comes back. A signal
    still waiting for its horizon when the system stops waits on after the next start.
    """

    def __init__(self, settings: LearnerSettings | None = None) -> None:
        self._settings = settings or LearnerSettings()
        self._state = LearnerState()
        self._due: dict[str, int] = {}

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message; see ``runtime.behavior.Behavior``."""
        if isinstance(message, MarketData):
            self._data(message, ctx)
        elif isinstance(message, Entry):
            self._entry(message, ctx)
        elif isinstance(message, LearnerTick):
            self._tick(ctx)
        elif isinstance(message, Control):
            self._control(message, ctx)
        elif isinstance(message, CaughtUp):
            self._caught_up(ctx)
        elif isinstance(message, Started):
            self._started(ctx)
        elif isinstance(message, PeerUp):
            self._peer_up(message, ctx)
        elif not isinstance(message, PeerDown | Stopping):
            ctx.count(f"learner.unexpected.{type(message).__name__}")

    # -- coming and going -------------------------------------------------------------------

    def _started(self, ctx: Context) -> None:
        held = self._state
        held.caught_up, held.bus_epoch = False, 0
        for track in held.tracks.values():
            track.heard_ns = ctx.now
        ctx.timer(_TICK, self._settings.tick_ns, LearnerTick())
        for exchange in sorted({names.exchange_of(symbol) for symbol in self._settings.symbols}):
            self._watch(exchange, ctx)

    def _watch(self, exchange: str, ctx: Context) -> None:
        symbols = tuple(s for s in self._settings.symbols if names.exchange_of(s) == exchange)
        tracks = self._state.tracks
        after = {s: (tracks[s].epoch, tracks[s].seq) for s in symbols if s in tracks and tracks[s].seq}
        if symbols:
            ctx.send(exchange, Watch(symbols, _WATCHED, int(Delivery.LATEST), after))

    def _peer_up(self, peer: PeerUp, ctx: Context) -> None:
        held = self._state
        if peer.name.startswith("exchange/"):
            self._watch(peer.name, ctx)
        elif peer.name == names.BUS and peer.epoch > held.bus_epoch:
            held.bus_epoch = peer.epoch
            for said in (*held.lessons.values(), *held.announced, *held.feedback.values(), *held.answers):
                ctx.send(names.BUS, said)

    def _caught_up(self, ctx: Context) -> None:
        self._state.caught_up = True
        self._due.clear()
        asked, self._state.asked = self._state.asked, []
        for control in asked:
            self._control(control, ctx)
        for symbol in sorted({followed.symbol for followed in self._state.pending.values()}):
            self._settle(symbol, ctx)
        self._go_on(ctx)

    # -- the market -------------------------------------------------------------------------

    def _data(self, data: MarketData, ctx: Context) -> None:
        price = last_price(data)
        if not (math.isfinite(price) and price > 0):
            ctx.count("learner.market_data_unusable")
            return
        track = self._state.tracks.setdefault(data.symbol, Track())
        track.add(data, ctx.now, self._settings.horizon_ns // 100)
        if self._state.caught_up and track.last_ns >= self._due_of(data.symbol):
            self._settle(data.symbol, ctx)

    def absorb(self, data: Sequence[MarketData]) -> None:
        """Take in market data of one symbol, each as of when it was received; see ``waits`` for how many."""
        track = self._state.tracks.setdefault(data[0].symbol, Track())
        if priced := [each for each in data if 0 < last_price(each) < math.inf]:
            track.extend(priced, self._settings.horizon_ns // 100)

    @property
    def silence_ns(self) -> int:
        """How long a symbol may be silent before what waits for it is settled by the last price."""
        return self._settings.silence_ns

    def waits(self) -> dict[str, Wait]:
        """What signals wait for, by symbol: market data or silence before that lead to no lesson."""
        held, found = self._state, dict[str, Wait]()
        for signal_id, followed in held.pending.items():
            if signal_id not in held.lessons:
                track, symbol = held.tracks.get(followed.symbol), followed.symbol
                heard_ns = max(track.heard_ns if track else 0, followed.since_ns)
                own = Wait(followed.entry_ns + self._settings.horizon_ns, heard_ns)
                known = found.get(symbol, own)
                found[symbol] = Wait(min(known.horizon_ns, own.horizon_ns), min(known.heard_ns, own.heard_ns))
        return found

    def _due_of(self, symbol: str) -> int:
        """When the symbol's next horizon is reached; reckoned anew after each change."""
        due = self._due.get(symbol)
        if due is None:
            waiting = (f.entry_ns for i, f in self._state.pending.items() if self._waits(i, f, symbol))
            due = self._due[symbol] = min(waiting, default=_NEVER) + self._settings.horizon_ns
        return due

    def _waits(self, signal_id: str, followed: Followed, symbol: str) -> bool:
        return followed.symbol == symbol and signal_id not in self._state.lessons

    def _settle(self, symbol: str, ctx: Context) -> None:
        """Send the lesson of every signal of the symbol whose horizon is reached."""
        held = self._state
        self._due.pop(symbol, None)
        for signal_id, followed in list(held.pending.items()):
            if self._waits(signal_id, followed, symbol):
                lesson = outcomes.at_horizon(held, self._settings, signal_id, followed)
                if lesson is not None:
                    self._teach(lesson, ctx)

    def _teach(self, lesson: Lesson, ctx: Context) -> None:
        self._state.lessons[lesson.signal_id] = lesson
        self._due.pop(lesson.symbol, None)
        ctx.count("learner.lessons")
        ctx.send(names.BUS, lesson)

    def _tick(self, ctx: Context) -> None:
        """Settle what the market is silent about, and what there is too much of."""
        ctx.timer(_TICK, self._settings.tick_ns, LearnerTick())
        held, settings = self._state, self._settings
        if not held.caught_up:
            return
        for signal_id, followed in list(held.pending.items()):
            track = held.tracks.get(followed.symbol)
            silent = ctx.now - max(track.heard_ns if track else 0, followed.since_ns)
            if signal_id not in held.lessons and silent > settings.silence_ns:
                reason = f"MARKET_SILENT: silent_ns={silent} limit_ns={settings.silence_ns}"
                self._teach(outcomes.by_last_price(held, settings, signal_id, followed, reason), ctx)
        waiting = [signal_id for signal_id in held.pending if signal_id not in held.lessons]
        for signal_id in waiting[: max(len(waiting) - settings.max_pending, 0)]:
            reason = f"TOO_MANY_PENDING: pending={len(waiting)} limit={settings.max_pending}"
            self._teach(outcomes.by_last_price(held, settings, signal_id, held.pending[signal_id], reason), ctx)

    # -- the journal ------------------------------------------------------------------------

    def _entry(self, entry: Entry, ctx: Context) -> None:
        held = self._state
        event = fold.fold(held, self._settings, entry)
        if not held.caught_up:
            return
        signal_id = getattr(event, "signal_id", "")
        followed = held.pending.get(signal_id)
        if followed is not None:
            self._due.pop(followed.symbol, None)
            lesson = outcomes.at_horizon(held, self._settings, signal_id, followed)
            if lesson is not None and signal_id not in held.lessons:
                self._teach(lesson, ctx)
        elif isinstance(event, Lesson | FeedbackIssued | PolicyIssued):
            self._go_on(ctx)

    def _go_on(self, ctx: Context) -> None:
        """Announce the next stage of a policy, if there is one, and tell the strategies what is in force."""
        held = self._state
        if not held.announced:
            issued = stages.following(held, self._settings)
            if issued is not None:
                self._announce(issued, ctx)
        for told in feedback.due(held, self._settings):
            held.feedback[pair(told.strategy, told.symbol)] = told
            ctx.count("learner.feedback")
            ctx.send(names.BUS, told)

    def _announce(self, issued: PolicyIssued, ctx: Context) -> None:
        self._state.announced.append(issued)
        ctx.count(f"learner.policies.{issued.stage.value}")
        ctx.send(names.BUS, issued)

    def _control(self, message: Control, ctx: Context) -> None:
        """Carry out an order once; what follows from it is journaled before the answer.

        One that comes before the journal is known waits until it is.
        """
        held = self._state
        known = message.id in held.controls or any(each.control_id == message.id for each in held.answers)
        if message.action != rollback.ACTION or known:
            ctx.count(f"learner.controls_{'repeated' if known else 'not_mine'}")
            return
        if not held.caught_up:
            held.asked.append(message)
            ctx.count("learner.controls_waiting")
            return
        issued, answer = rollback.carry_out(held, self._settings, message)
        for each in issued:
            self._announce(each, ctx)
        held.answers.append(answer)
        ctx.send(names.BUS, answer)

    # -- the kernel's other questions -------------------------------------------------------

    def snapshot(self) -> bytes:
        """The whole state, versioned."""
        return state.encode(self._state)

    def restore(self, data: bytes) -> None:
        """Take over a state; raises ``SnapshotError`` if the bytes are none."""
        self._state = state.decode(data)
        self._due = {}

    @property
    def known(self) -> LearnerState:
        """The state, to look at."""
        return self._state

    def status(self) -> dict[str, object]:
        """What waits, what was learned by strategy and symbol, and what each gate saved or cost."""
        held = self._state
        return {
            "caught_up": held.caught_up,
            "seq": held.seq,
            "open": len(held.opened),
            "pending": len(held.pending),
            "unconfirmed": len(held.lessons) + len(held.feedback) + len(held.announced) + len(held.answers),
            "records": fold.records_of(held),
            **report.learned(held, self._settings),
            "feedback": {key: f"version {f.version}" for key, f in sorted(held.issued.items())},
        }
