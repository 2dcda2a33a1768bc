"""Finds subgroups of a strategy's signals whose outcomes differ from the rest's.

Imports numpy and scipy, so who needs it imports it where it is needed: every process of the
tree knows the learner's brain, and one looks for patterns.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from actors.learner.samples import Samples
from actors.learner.settings import LearnerSettings
from actors.messages.learning import Condition, Pattern

FEATURES = 16
"""Features looked at, at most: with four bins each, 64 conditions and 1,920 pairs of them."""

BINS = 4
CHECKED = 20
"""Candidates put to the check on the later half, at most."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Contrast(NamedTuple):
    """Subgroups against their rests: how many, the difference of means, Student's t and its degrees of freedom."""

    size: Floats
    effect: Floats
    t: Floats
    freedom: Floats


def discover(strategy: str, samples: Samples, settings: LearnerSettings) -> tuple[Pattern, ...]:
    """The patterns of one strategy, the surest first; the same samples give the same patterns.

    Conditions are quantile bins of one feature or of two. Each subgroup is put against the rest by
    Welch's t-test (B. L. Welch, Biometrika 34, 1947) on the earlier half of the samples, and the
    p-values of all of them are corrected together (Y. Benjamini and Y. Hochberg, JRSS B 57, 1995).
    What passes ``pattern_rate`` has to show the same sign, at 5% one-sided, on the later half, which
    nothing was chosen by. Signals whose horizons overlap are not independent: the check on later
    data is the guard against that, not the p-value.
    """
    half, least = len(samples.values) // 2, settings.pattern_minimum
    if half < 2 * least:
        return ()
    values = np.asarray(samples.values, dtype=np.float64)
    table = np.asarray(samples.table(), dtype=np.float64)
    conditions = _conditions(samples.names, table[:half])
    if not conditions:
        return ()
    masks = np.stack([_mask(condition, samples.names, table) for condition in conditions])
    pairs = _groups(conditions)
    groups = masks[pairs[:, 0]] & masks[pairs[:, 1]]
    early = _welch(groups[:, :half], values[:half])
    enough = (early.size >= least) & (half - early.size >= least) & np.isfinite(early.t)
    tested = np.flatnonzero(enough)
    adjusted = benjamini_hochberg(2 * stdtr(early.freedom[tested], -np.abs(early.t[tested])))
    order = [int(i) for i in np.lexsort((tested, adjusted)) if adjusted[i] <= settings.pattern_rate][:CHECKED]
    late = _welch(groups[:, half:], values[half:])
    found: list[Pattern] = []
    taken: list[Flags] = []
    for place in order:
        group = int(tested[place])
        if not _holds_later(early, late, group, least // 2) or _known(groups[group], taken):
            continue
        taken.append(groups[group])
        named = tuple(conditions[i] for i in dict.fromkeys(int(i) for i in pairs[group]))
        count = int(groups[group].sum())
        mean = float(values[half:][groups[group, half:]].mean())
        found.append(Pattern(strategy, named, count, float(late.effect[group]), float(adjusted[place]), mean))
        if len(found) == settings.pattern_limit:
            break
    return tuple(found)


def benjamini_hochberg(p_values: Floats) -> Floats:
    """The p-values adjusted for their number: at most ``q`` of those not above ``q`` are expected to be false."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * count / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def _conditions(names: list[str], table: Floats) -> list[Condition]:
    """The quantile bins of every feature that is there in nine of ten rows and is not always the same."""
    found: list[Condition] = []
    features = 0
    for column in sorted(range(len(names)), key=names.__getitem__):
        known = table[:, column][np.isfinite(table[:, column])]
        if features == FEATURES or len(known) < 0.9 * len(table):
            continue
        edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="higher"))
        bounds = [-math.inf, *(float(edge) for edge in edges if edge > known.min()), math.inf]
        if len(bounds) > 2:
            features += 1
            found += [Condition(names[column], low, high) for low, high in pairwise(bounds)]
    return found


def _mask(condition: Condition, names: list[str], table: Floats) -> Flags:
    column = table[:, names.index(condition.feature)]
    inside: Flags = (column >= condition.low) & (column < condition.high)
    return inside


def _groups(conditions: list[Condition]) -> NDArray[np.intp]:
    """Each condition by itself (paired with itself), then every two of different features."""
    alone = [(i, i) for i in range(len(conditions))]
    both = [
        (i, j)
        for i in range(len(conditions))
        for j in range(i + 1, len(conditions))
        if conditions[i].feature != conditions[j].feature
    ]
    return np.asarray(alone + both, dtype=np.intp)


def _welch(groups: Flags, values: Floats) -> Contrast:
    inside = groups.astype(np.float64)
    count, sums, squares = inside.sum(axis=1), inside @ values, inside @ (values * values)
    rest, rest_sums, rest_squares = len(values) - count, values.sum() - sums, (values * values).sum() - squares
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, other = sums / count, rest_sums / rest
        error = np.maximum(squares - count * mean * mean, 0.0) / (count - 1) / count
        rest_error = np.maximum(rest_squares - rest * other * other, 0.0) / (rest - 1) / rest
        t = (mean - other) / np.sqrt(error + rest_error)
        freedom = (error + rest_error) ** 2 / (error**2 / (count - 1) + rest_error**2 / (rest - 1))
    return Contrast(count, mean - other, t, freedom)


def _holds_later(early: Contrast, late: Contrast, group: int, least: int) -> bool:
    if late.size[group] < least or not np.isfinite(late.t[group]):
        return False
    if early.effect[group] * late.effect[group] <= 0:
        return False
    return bool(stdtr(late.freedom[group], -abs(late.t[group])) < 0.05)


def _known(group: Flags, taken: list[Flags]) -> bool:
    """Whether most of it lies in a subgroup that was found already."""
    return any((group & other).sum() > 0.7 * group.sum() for other in taken)
