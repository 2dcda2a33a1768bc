"""Which combinations of parameters a sweep runs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.where import Where

Value = bool | int | float | str | None
Params = dict[str, Value]

MOST = 1_000_000
"""The most runs of one sweep."""
_TRIES = 1_000
"""How often a sample is drawn anew, for each that is asked for, until it meets the conditions."""


class Grid:
    """The values of each parameter. Combinations are numbered from 0, the last parameter varies fastest.

    Args:
        values: by parameter, its values or a single one.

    Raises:
        SweepError: a parameter has no value, one of them twice, or one that is no number, text or truth value.
    """

    def __init__(self, values: Mapping[str, Iterable[Any] | Value]) -> None:
        self.values: dict[str, list[Value]] = {name: _values(name, told) for name, told in values.items()}
        self.size = math.prod(len(each) for each in self.values.values())

    def at(self, number: int) -> Params:
        """The combination of this number."""
        found: Params = {}
        for name in reversed(self.values):
            number, place = divmod(number, len(self.values[name]))
            found[name] = self.values[name][place]
        return {name: found[name] for name in self.values}


def _values(name: str, told: Iterable[Any] | Value) -> list[Value]:
    many = [told] if isinstance(told, bool | int | float | str) or told is None else list(told)
    # A number of NumPy's is one of ours once it is taken out of its type.
    plain: list[Any] = [each.item() if isinstance(each, np.generic) else each for each in many]
    for each in plain:
        if not (each is None or isinstance(each, bool | int | float | str)):
            raise SweepError(f"expected numbers, texts, true, false or null for {name}, found {each!r}")
        if isinstance(each, float) and not math.isfinite(each):
            raise SweepError(f"expected finite numbers for {name}, found {each!r}")
    if not plain:
        raise SweepError(f"expected at least one value for {name}, found none; give some, or leave it out")
    words = [json.dumps(each) for each in plain]
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise SweepError(f"expected each value of {name} once, found {twice} again; leave it out")
    return plain


def combinations(
    grid: Grid,
    fixed: Mapping[str, Value],
    where: Sequence[str] = (),
    samples: int | None = None,
    seed: int = 0,
) -> list[Params]:
    """The combinations to run, each with the ``fixed`` parameters.

    Args:
        grid: the values.
        fixed: what all of them share.
        where: conditions that each must meet, see ``where.Where``.
        samples: so many of them at random, none twice, in the order they are drawn; all where there are fewer.
        seed: of that.

    Raises:
        SweepError: none meets the conditions, there are more than ``MOST``, or a parameter is told twice.
    """
    both = sorted(set(fixed) & set(grid.values))
    if both:
        raise SweepError(f"expected {both[0]} in the grid or among the fixed parameters, found it in both")
    if samples is not None and samples < 1:
        raise SweepError(f"expected at least one sample, found {samples}")
    conditions = [Where(text, {*fixed, *grid.values}) for text in where]
    if samples is None and grid.size > MOST:
        raise SweepError(f"expected at most {MOST:,} combinations, found {grid.size:,}; draw some with --samples")
    numbers = iter(range(grid.size)) if samples is None else _drawn(grid.size, samples, random.Random(seed))
    wanted = grid.size if samples is None else min(samples, MOST)
    found: list[Params] = []
    for number in numbers:
        params = {**fixed, **grid.at(number)}
        if all(condition.holds(params) for condition in conditions):
            found.append(params)
            if len(found) == wanted:
                break
    if not found:
        raise SweepError(f"expected combinations for which {' and '.join(where)}, found none; widen the grid")
    return found


def _drawn(size: int, samples: int, rng: random.Random) -> Iterator[int]:
    """Numbers below ``size`` in random order, none twice: all of them, or so many that more would be in vain."""
    if size <= MOST:
        yield from rng.sample(range(size), size)
        return
    seen: set[int] = set()
    for _ in range(samples * _TRIES):
        number = rng.randrange(size)
        if number not in seen:
            seen.add(number)
            yield number
