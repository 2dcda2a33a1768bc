"""Measuring what became of a signal."""

from __future__ import annotations

from typing import NamedTuple

from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState
from actors.messages.learning import Lesson
from exchanges.model.order import Side
from strategies.signal import SignalState


class Costs(NamedTuple):
    """What one unit puts at stake, and the fees of getting in and out again as a fraction of that."""

    stake: float
    fees: float


class Ending(NamedTuple):
    """The price a signal is measured by, in the market data's time, and the range on the way to it.

    ``reason`` is empty unless the price is not one from the horizon.
    """

    ns: int
    price: float
    low: float
    high: float
    reason: str = ""


def measure(signal_id: str, followed: Followed, ending: Ending, costs: Costs, stake: float) -> Lesson:
    """The lesson of one signal: ``side * (exit - entry) / stake - fees``, a fraction."""
    entry, sign = followed.entry_price, followed.side.sign
    each = costs.stake
    gross = _part(sign * (ending.price - entry), each)
    best, worst = (ending.high, ending.low) if sign > 0 else (ending.low, ending.high)
    executed = followed.state == SignalState.EXECUTED
    until = followed.left_ns if 0 < followed.left_ns < ending.ns else ending.ns
    return Lesson(
        signal_id=signal_id,
        strategy=followed.strategy,
        symbol=followed.symbol,
        state=followed.state,
        entry_price=entry,
        exit_price=ending.price,
        value=gross - costs.fees,
        horizon_ns=max(ending.ns - followed.entry_ns, 0),
        counterfactual=not executed,
        gate=followed.gate,
        reason=ending.reason,
        favourable=max(_part(sign * (best - entry), each), gross, 0.0),
        adverse=min(_part(sign * (worst - entry), each), gross, 0.0),
        slippage=_part(sign * (entry - followed.reference), each) if executed and followed.reference else 0.0,
        fees=costs.fees,
        holding_ns=max(until - followed.entry_ns, 0) if executed else 0,
        conviction=followed.conviction,
        sources=followed.sources,
        regime=followed.regime,
        policy=followed.policy,
        arm=followed.arm,
        stake=stake,
        code=followed.code,
        reduces=followed.reduces,
    )


def at_horizon(state: LearnerState, settings: LearnerSettings, signal_id: str, followed: Followed) -> Lesson | None:
    """The lesson by the first price at or after the horizon, once there is one."""
    track = state.tracks.get(followed.symbol)
    found = track.at(followed.entry_ns + settings.horizon_ns) if track is not None else None
    if found is None:
        return None
    return _lesson(state, settings, signal_id, followed, found, "")


def by_last_price(
    state: LearnerState, settings: LearnerSettings, signal_id: str, followed: Followed, reason: str
) -> Lesson:
    """The lesson of a signal whose horizon no price has come from; it is not counted."""
    track = state.tracks.get(followed.symbol)
    known = track is not None and track.last > 0 and track.last_ns >= followed.entry_ns
    found = (track.last_ns, track.last) if track is not None and known else (0, followed.entry_price)
    return _lesson(state, settings, signal_id, followed, found, reason)


def _lesson(
    state: LearnerState,
    settings: LearnerSettings,
    signal_id: str,
    followed: Followed,
    found: tuple[int, float],
    reason: str,
) -> Lesson:
    at, price = found
    track = state.tracks.get(followed.symbol)
    seen = track.range(followed.entry_ns, at) if track is not None else None
    low, high = seen or (price, price)
    costs = _costs(state, settings, followed)
    return measure(
        signal_id,
        followed,
        Ending(at, price, low, high, reason),
        costs,
        _stake(state, settings, followed, costs),
    )


def _costs(state: LearnerState, settings: LearnerSettings, followed: Followed) -> Costs:
    """Of a followed signal: what its fills cost, and the taker fee for each way that was not paid yet.

    A binary contract that is sold stakes what is missing to its value, and its fee is quadratic in
    the price (see ``exchanges.model.instrument.FeeModel``).
    """
    price, rate = followed.entry_price, state.fees.get(followed.symbol, settings.taker_fee)
    value = state.contracts.get(followed.symbol)
    each, fee = price, rate * price
    if value:
        each = price if followed.side is Side.BUY else value - price
        fee *= 1 - price / value
    known = followed.paid is not None and followed.quantity > 0
    entered = (followed.paid or 0.0) / followed.quantity if known else fee
    return Costs(each, _part(entered + fee, each))


def _stake(state: LearnerState, settings: LearnerSettings, followed: Followed, costs: Costs) -> float:
    """What the signal put at risk, or would have: what was asked or planned, else the usual size."""
    if followed.quantity > 0:
        return followed.quantity * costs.stake
    equity = state.equities.get(followed.symbol.partition(":")[0], 0.0)
    return min(equity * settings.stake_fraction, settings.stake_limit)


def _part(amount: float, whole: float) -> float:
    return amount / whole if whole > 0 else 0.0
