"""A strategy's brain as a state that survives, and back."""

from __future__ import annotations

from collections import Counter

from actors import snapshots
from actors.strategy.parts import Parts
from actors.strategy.state import VERSION, BrainState
from actors.window import window
from exchanges.model.market import MarketData
from runtime import codec
from strategies import state as attributes
from strategies.performance import Performance
from strategies.strategy import Strategy
from strategies.timeframes import Frames


def kinds(strategy: Strategy, frames: Frames) -> tuple[str, ...]:
    """The market data it is sent: what its hooks are for, and what its bars are made of; empty: everything."""
    watched = strategy.watches()
    if not watched or not frames.frames:
        return watched
    # Its bars come from these; the venue's own are not shown to on_bar.
    hooked = [kind for kind in watched if kind != "Bar"] if strategy.overrides("on_bar") else list(watched)
    return tuple(dict.fromkeys((*hooked, *frames.kinds)))


def capture(brain: Parts) -> BrainState:
    """The whole state."""
    desk, facts, first = brain.desk, brain.facts, brain.inlets.by_symbol[brain.symbol]
    return BrainState(
        version=VERSION,
        made_for=brain.made_for,
        user=attributes.save(brain.strategy),
        data=codec.encode(desk.data) if desk.data is not None else b"",
        epoch=first.epoch,
        seq=first.seq,
        entry_seq=facts.entry_seq,
        live=brain.live,
        paused=brain.paused,
        position=desk.position,
        feedback=facts.feedbacks.get(brain.symbol),
        pending=tuple(brain.pending.values()),
        unseen=facts.unseen,
        timers=brain.timers,
        controls=tuple(brain.controls),
        lines=tuple(brain.lines),
        counts={**brain.counts, "ticks": brain.ticks},
        gated=first.gate.closed,
        ticket=first.gate.ticket,
        journaled=facts.journaled,
        positions=desk.positions,
        feedbacks=facts.feedbacks,
        marks=brain.inlets.marks(),
        gates=brain.inlets.tickets(),
        latest={symbol: codec.encode(data) for symbol, data in desk.latest.items()},
        issued=brain.issued,
        series=brain.frames.states(),
        warm=brain.warm.state,
        performance=brain.performance.state,
        lots=desk.lots,
    )


def decode(data: bytes) -> BrainState:
    """A state out of a snapshot's bytes; raises ``SnapshotError`` if they are none."""
    return snapshots.decode(data, BrainState, VERSION, "a strategy", "remove it, and the strategy starts afresh")


def resume(brain: Parts, data: bytes) -> None:
    """Take over a snapshot; attributes, timers, bars and warm-up only where class and parameters are the same.

    Raises:
        SnapshotError: the bytes are no state of a strategy.
        StateError: the attributes can't be read back.
    """
    state = decode(data)
    same = state.made_for == brain.made_for
    if same:
        attributes.load(brain.strategy, state.user)
        brain.timers = dict(state.timers)
        brain.frames = Frames(brain.frames.frames, _steps(brain), state.series)
        brain.warm.resume(state.warm, brain.frames)
    _desk(brain, state)
    marks = state.marks or {brain.symbol: (state.epoch, state.seq)}
    first = brain.inlets.by_symbol[brain.symbol].gate.name
    brain.inlets.restore(marks, state.gates or {first: (state.ticket, state.gated)})
    facts = brain.facts
    facts.entry_seq = state.entry_seq
    for feedback in state.feedbacks.values() if state.feedbacks else filter(None, (state.feedback,)):
        if feedback.symbol in brain.desk.positions:
            facts.learn(feedback)
    facts.pending = window((signal.id, signal) for signal in state.pending)
    facts.journaled, facts.unseen = window(state.journaled), window(state.unseen)
    brain.live, brain.paused = state.live, state.paused
    brain.issued = window(state.issued)
    brain.controls.extend(state.controls)
    brain.lines.extend(state.lines)
    brain.counts = Counter(state.counts)
    brain.ticks = brain.counts.pop("ticks", 0)
    if state.performance is not None:
        brain.performance = Performance(brain.settings.capital, brain.settings.sample_ns, state.performance)
        facts.measured_by(brain.performance)
    if not same:
        brain.counts["started_anew"] += 1


def _desk(brain: Parts, state: BrainState) -> None:
    desk = brain.desk
    last = codec.decode(state.data) if state.data else None
    desk.data = last if isinstance(last, MarketData) else None
    latest = {symbol: codec.decode(data) for symbol, data in state.latest.items() if symbol in desk.positions}
    desk.latest = {symbol: data for symbol, data in latest.items() if isinstance(data, MarketData)}
    positions = state.positions or {brain.symbol: state.position}
    desk.lots.update(state.lots)
    desk.positions.update((symbol, held) for symbol, held in positions.items() if symbol in desk.positions)


def _steps(brain: Parts) -> dict[str, int]:
    return {symbol: brain.settings.steps.get(symbol, 0) for symbol in brain.symbols}
