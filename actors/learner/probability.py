"""From a conviction to the probability of a win."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import msgspec

BINS = 10

Knots = tuple[tuple[float, float], ...]


class Bins(msgspec.Struct):
    """Outcomes by conviction, in tenths, that fade. Sums of weights, and of convictions by weight."""

    wins: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    losses: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    convictions: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    count: int = 0

    def take(self, conviction: float, won: bool, half_life: float, weight: float = 1.0) -> None:
        """Add one outcome; what was before fades by its weight."""
        fade = 0.5 ** (weight / half_life)
        for sums in (self.wins, self.losses, self.convictions):
            sums[:] = [value * fade for value in sums]
        place = min(int(conviction * BINS), BINS - 1)
        (self.wins if won else self.losses)[place] += weight
        self.convictions[place] += weight * conviction
        self.count += 1


class _Block(NamedTuple):
    """Neighbouring bins that share one rate."""

    rate: float
    weight: float
    members: int


def knots(bins: Bins, prior_wins: float, prior_losses: float) -> Knots:
    """Ascending ``(conviction, probability)``, one for each bin that has outcomes.

    Each bin's rate is the posterior mean under a Beta prior of the strength ``prior_wins +
    prior_losses`` around the rate of all bins together, which is itself shrunken to the prior's. They
    are then made monotone by pooling adjacent violators (M. Ayer et al., Ann. Math. Stat. 26,
    1955), weighted by what each rests on.
    """
    strength = prior_wins + prior_losses
    won, lost = sum(bins.wins), sum(bins.losses)
    overall = (won + prior_wins) / (won + lost + strength)
    seen = [i for i in range(BINS) if bins.wins[i] + bins.losses[i] > _FORGOTTEN]
    weights = [bins.wins[i] + bins.losses[i] for i in seen]
    rates = [(bins.wins[i] + strength * overall) / (w + strength) for i, w in zip(seen, weights, strict=True)]
    places = [bins.convictions[i] / w for i, w in zip(seen, weights, strict=True)]
    return tuple(zip(places, isotonic(rates, [w + strength for w in weights]), strict=True))


_FORGOTTEN = 1e-6


def isotonic(rates: list[float], weights: list[float]) -> list[float]:
    """The non-descending values nearest to ``rates`` in weighted squares."""
    blocks: list[_Block] = []
    for rate, weight in zip(rates, weights, strict=True):
        blocks.append(_Block(rate, weight, 1))
        while len(blocks) > 1 and blocks[-2].rate >= blocks[-1].rate:
            last, first = blocks.pop(), blocks.pop()
            total = first.weight + last.weight
            mean = (first.rate * first.weight + last.rate * last.weight) / total
            blocks.append(_Block(mean, total, first.members + last.members))
    return [block.rate for block in blocks for _ in range(block.members)]


def probability(curve: Knots, conviction: float) -> float | None:
    """The curve's value, linear between knots and flat beyond them; ``None`` if it has no knots."""
    if not curve:
        return None
    if conviction <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if conviction <= right:
            return low + (high - low) * (conviction - left) / (right - left) if right > left else high
    return curve[-1][1]
