"""The curve of a run: what there is and what is held, moment by moment, in columns."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from operator import sub

import numpy as np
import pyarrow as pa

from bigwheel.backtests.tables import EQUITY


class Equity:
    """Rows of the table of equity.

    Args:
        start: the equity before the first row.
        sample_ns: the least distance between two rows.
    """

    def __init__(self, start: float, sample_ns: int) -> None:
        self._start, self._sample_ns, self._next_ns = start, sample_ns, 0
        self._cash, self._base = start, start
        self._held: list[tuple[str, float]] = []
        self._times = array("q")
        self._columns = {name: array("d") for name in ("equity", "cash", "exposure", "gross_exposure")}

    def __len__(self) -> int:
        return len(self._times)

    def due(self, now_ns: int) -> bool:
        """Whether the row before is long enough ago."""
        return now_ns >= self._next_ns

    def holds(self, cash: float, base: float, held: list[tuple[str, float]]) -> None:
        """What is held from now on: equity is ``base`` and each symbol's quantity times its price."""
        self._cash, self._base, self._held = cash, base, held

    def add(self, now_ns: int, mark: Callable[[str], float]) -> None:
        """A row for now, in place of one of the same moment."""
        self._next_ns = now_ns + self._sample_ns
        columns = self._columns
        if self._times and self._times[-1] == now_ns:
            self._times.pop()
            for column in columns.values():
                column.pop()
        net = gross = 0.0
        for symbol, quantity in self._held:
            worth = quantity * mark(symbol)
            net, gross = net + worth, gross + abs(worth)
        self._times.append(now_ns)
        columns["equity"].append(self._base + net)
        columns["cash"].append(self._cash)
        columns["exposure"].append(net)
        columns["gross_exposure"].append(gross)

    def extend(self, symbol: str, times: Sequence[int], prices: Sequence[float]) -> bool:
        """Rows for moments at which one symbol has these prices; whether that can be done so.

        It can where nothing else is held, and each moment is due.
        """
        held, count = self._held, len(times)
        if any(name != symbol for name, _ in held) or not count or not self.due(times[0]):
            return False
        if count > 1 and min(map(sub, times[1:], times)) < self._sample_ns:
            return False
        if self._times and self._times[-1] >= times[0]:
            return False
        quantity = held[0][1] if held else 0.0
        worths = [quantity * price for price in prices] if held else [0.0] * count
        columns = self._columns
        self._times.extend(times)
        columns["equity"].extend([self._base + worth for worth in worths])
        columns["cash"].extend([self._cash] * count)
        columns["exposure"].extend(worths)
        columns["gross_exposure"].extend(map(abs, worths))
        self._next_ns = times[-1] + self._sample_ns
        return True

    def table(self) -> pa.Table:
        """All rows, with the drawdown: the fall from the highest equity so far as a fraction of it."""
        columns = {name: np.frombuffer(column, np.float64) for name, column in self._columns.items()}
        equity = columns["equity"]
        peak = np.maximum.accumulate(np.concatenate([[self._start], equity]))[1:]
        fallen = np.divide(peak - equity, peak, out=np.zeros_like(equity), where=peak > 0)
        told = {"ts_ns": np.frombuffer(self._times, np.int64), **columns, "drawdown": fallen}
        return pa.table({name: told[name] for name in EQUITY.names}, EQUITY)
