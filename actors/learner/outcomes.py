"""Measuring what became of a signal."""

from __future__ import annotations

from typing import NamedTuple

from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState
from actors.messages.learning import Lesson
from exchanges.model.order import Side
from strategies.signal import SignalState


class Costs(NamedTuple):
    """What one unit puts at stake, and the fee of one way as a fraction of that."""

    stake: float
    fee: float


def measure(signal_id: str, followed: Followed, exit_ns: int, exit_price: float, costs: Costs, reason: str) -> Lesson:
    """The lesson of one signal: ``side * (exit - entry) / stake - 2 * fee``, a fraction.

    Both ways are reckoned at the taker fee. ``exit_ns`` is in the market data's time.
    """
    entry = followed.entry_price
    gross = followed.side.sign * (exit_price - entry) / costs.stake if costs.stake > 0 else 0.0
    return Lesson(
        signal_id=signal_id,
        strategy=followed.strategy,
        symbol=followed.symbol,
        state=followed.state,
        entry_price=entry,
        exit_price=exit_price,
        value=gross - 2 * costs.fee,
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
    return measure(signal_id, followed, found[0], found[1], _costs(state, settings, followed), "")


def by_last_price(
    state: LearnerState, settings: LearnerSettings, signal_id: str, followed: Followed, reason: str
) -> Lesson:
    """The lesson of a signal whose horizon no price has come from; it is not counted."""
    track = state.tracks.get(followed.symbol)
    known = track is not None and track.last > 0 and track.last_ns >= followed.entry_ns
    exit_ns, exit_price = (track.last_ns, track.last) if track is not None and known else (0, followed.entry_price)
    return measure(signal_id, followed, exit_ns, exit_price, _costs(state, settings, followed), reason)


def _costs(state: LearnerState, settings: LearnerSettings, followed: Followed) -> Costs:
    """Of a followed signal.

    A binary contract that is sold stakes what is missing to its value, and its fee is quadratic in
    the price (see ``exchanges.model.instrument.FeeModel``).
    """
    price, rate = followed.entry_price, state.fees.get(followed.symbol, settings.taker_fee)
    value = state.contracts.get(followed.symbol)
    if not value:
        return Costs(price, rate)
    stake = price if followed.side is Side.BUY else value - price
    return Costs(stake, rate * price * (1 - price / value) / stake if stake > 0 else 0.0)
