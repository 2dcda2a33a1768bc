"""What one strategy cell is built from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors import names
from conf.trading import StrategySettings


class StrategyPlan(msgspec.Struct, frozen=True):
    """A strategy on a symbol, or on several ``symbols`` at once (``symbol`` is then the first of them).

    ``name`` is resolved by ``strategies.registry`` unless ``pickled`` holds the class itself
    (cloudpickle), as it does for one that lives in a script or a notebook.
    """

    label: str
    symbol: str
    name: str
    params: dict[str, str | int | float | bool | None] = {}
    dry_run: bool = False
    pickled: bytes = b""
    symbols: tuple[str, ...] = ()
    capital: float = 10_000.0
    """What its performance is measured against, in the quote currency."""

    @property
    def every(self) -> tuple[str, ...]:
        """All its symbols."""
        return self.symbols or (self.symbol,)

    @property
    def cell(self) -> str:
        """The logical name of the actor that runs it."""
        if self.symbols:
            return names.strategy_together(self.label, self.symbols)
        return names.strategy(self.label, self.symbol)


def planned(plan: StrategyPlan, symbols: Sequence[str], *, together: bool) -> list[StrategyPlan]:
    """``plan`` for each of ``symbols``, with its part of the capital, or once for all of them ``together``."""
    if together:
        return [msgspec.structs.replace(plan, symbol=symbols[0], symbols=tuple(symbols))]
    part = plan.capital / len(symbols)
    return [msgspec.structs.replace(plan, symbol=symbol, capital=part) for symbol in symbols]


def entered(entry: StrategySettings, symbols: Sequence[str], *, together: bool) -> list[StrategyPlan]:
    """The plans of one entry of a configuration on its ``symbols``; ``together``: its class wants it so."""
    capital = float(entry.capital)
    plan = StrategyPlan(entry.tag, "", entry.name, dict(entry.params), entry.dry_run, capital=capital)
    return planned(plan, symbols, together=together or entry.symbols_together)
