"""What a run came to, in the terms that all engines share, and whether two of them are the same."""

from __future__ import annotations

from typing import NamedTuple

CENT = 0.005
"""Less than this, in the quote currency, is the same to the cent."""


class Trip(NamedTuple):
    """A round trip from flat to flat, or to the other side; ``profit`` is after commission."""

    side: str
    quantity: float
    entry_ns: int
    exit_ns: int
    entry_price: float
    exit_price: float
    profit: float


class Outcome(NamedTuple):
    """Round trips that ended, in the order of their ends; equity at the end, and at each moment it was noted."""

    trips: list[Trip]
    equity: float
    curve: dict[int, float]


class Distance(NamedTuple):
    """The largest differences of two outcomes with the same round trips, in the quote currency."""

    profit: float
    equity: float
    curve: float


def distance(ours: Outcome, theirs: Outcome) -> Distance:
    """How far two outcomes are apart.

    Raises:
        AssertionError: the round trips are not the same ones: side, quantity, times, prices.
    """
    assert list(map(_terms, ours.trips)) == list(map(_terms, theirs.trips))
    both = ours.curve.keys() & theirs.curve.keys()
    return Distance(
        max((abs(a.profit - b.profit) for a, b in zip(ours.trips, theirs.trips, strict=True)), default=0.0),
        abs(ours.equity - theirs.equity),
        max((abs(ours.curve[at] - theirs.curve[at]) for at in both), default=0.0),
    )


def _terms(trip: Trip) -> Trip:
    """All but the profit; prices may be averages, of which binary fractions keep fifteen digits or so."""
    return trip._replace(entry_price=round(trip.entry_price, 9), exit_price=round(trip.exit_price, 9), profit=0.0)


def assert_same(ours: Outcome, theirs: Outcome) -> None:
    """The same round trips, and each profit, the curve and the last equity to the cent."""
    found = distance(ours, theirs)
    assert max(found) < CENT, found
