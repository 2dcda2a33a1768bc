"""Measuring what became of a signal."""

from __future__ import annotations

from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState
from actors.messages.learning import Lesson
from strategies.signal import SignalState


def measure(signal_id: str, followed: Followed, exit_ns: int, exit_price: float, fee: float, reason: str) -> Lesson:
    """The lesson of one signal: ``side * (exit - entry) / entry - 2 * fee``, a fraction.

    Both ways are reckoned at the taker fee. ``exit_ns`` is in the market data's time.
    """
    entry = followed.entry_price
    gross = followed.side.sign * (exit_price - entry) / entry if entry > 0 else 0.0
    return Lesson(
        signal_id=signal_id,
        strategy=followed.strategy,
        symbol=followed.symbol,
        state=followed.state,
        entry_price=entry,
        exit_price=exit_price,
        value=gross - 2 * fee,
        horizon_ns=max(exit_ns - followed.entry_ns, 0),
        counterfactual=followed.state != SignalState.EXECUTED,
        gate=followed.gate,
        reason=reason,
    )


def at_horizon(state: LearnerState, settings: LearnerSettings, signal_id: str, followed: Followed) -> Lesson | None:
    """The lesson by the first price at or after the horizon, once there is one."""
    track = state.tracks.get(followed.symbol)
    found = track.at(followed.entry_ns + settings.horizon_ns) if track is not None else None
    if found is None:
        return None
    return measure(signal_id, followed, found[0], found[1], _fee(state, settings, followed.symbol), "")


def by_last_price(
    state: LearnerState, settings: LearnerSettings, signal_id: str, followed: Followed, reason: str
) -> Lesson:
    """The lesson of a signal whose horizon no price has come from; it is not counted."""
    track = state.tracks.get(followed.symbol)
    known = track is not None and track.last > 0 and track.last_ns >= followed.entry_ns
    exit_ns, exit_price = (track.last_ns, track.last) if track is not None and known else (0, followed.entry_price)
    return measure(signal_id, followed, exit_ns, exit_price, _fee(state, settings, followed.symbol), reason)


def _fee(state: LearnerState, settings: LearnerSettings, symbol: str) -> float:
    return state.fees.get(symbol, settings.taker_fee)
