"""Outcomes, and what is learned from them."""

from __future__ import annotations

from runtime.message import Message


class Lesson(Message):
    """Learner to bus: what became of one signal.

    ``value`` is the return from the reference price (of the fill, or of the market for a
    signal that was not executed) to the market at the horizon, in the signal's direction and
    net of fees, as a fraction. ``counterfactual`` says that it was not executed. ``reason`` is
    empty unless the price is not one from the horizon.
    """

    signal_id: str
    strategy: str
    symbol: str
    state: str
    entry_price: float
    exit_price: float
    value: float
    horizon_ns: int
    counterfactual: bool
    gate: str = ""
    reason: str = ""


class FeedbackIssued(Message):
    """What a strategy's next signals on a symbol are measured by, journaled by version.

    ``size_multiplier`` scales the order, ``conviction_threshold`` is the least conviction that
    passes; both bounded. ``wins``, ``losses`` and ``mean_return`` are over executed signals.
    """

    strategy: str
    symbol: str
    version: int
    size_multiplier: float
    conviction_threshold: float
    wins: int
    losses: int
    mean_return: float
    reason: str = ""
