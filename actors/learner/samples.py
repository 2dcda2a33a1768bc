"""What the pattern discoverer looks at: the latest signals of a strategy as rows of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from actors.traits import REGIME

COLUMNS = 24
"""The most traits of one strategy that are kept; the first to come are."""


class Samples(msgspec.Struct):
    """Rows of traits, oldest first, and the return of each. A missing number is NaN.

    ``fresh`` counts the rows since patterns were last looked for.
    """

    names: list[str] = []
    rows: list[list[float]] = []
    values: list[float] = []
    fresh: int = 0

    def add(self, traits: Mapping[str, float], value: float, limit: int) -> None:
        """Take in one signal; beyond ``limit`` the oldest is forgotten."""
        for name in traits:
            if name not in self.names and len(self.names) < COLUMNS:
                self.names.append(name)
        self.rows.append([_finite(traits, name) for name in self.names])
        self.values.append(value)
        self.fresh += 1
        if len(self.rows) > limit:
            del self.rows[0], self.values[0]

    def table(self) -> list[list[float]]:
        """Every row with all columns; of a regime that was not the one, 0."""
        missing = [0.0 if name.startswith(REGIME) else math.nan for name in self.names]
        return [row + missing[len(row) :] for row in self.rows]


def _finite(traits: Mapping[str, float], name: str) -> float:
    value = traits.get(name, 0.0 if name.startswith(REGIME) else math.nan)
    return value if math.isfinite(value) else math.nan
