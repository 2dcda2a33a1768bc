"""Rows checked and, where it was asked for, repaired, portion by portion."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from exchanges.catalog.checks import Ints, Mask, faults, prices, times
from exchanges.catalog.report import EXAMPLES, Example, Fault, Gap, SeriesReport
from exchanges.catalog.series import Series
from exchanges.catalog.sessions import DAY_NS, date_of, expected_opens, trading_days
from exchanges.hours import AlwaysOpen, Hours, trading_hours
from exchanges.recording.files import ordered

DEVIATIONS = 30.0
ROW = "row"
"""The column of a row's number in its source, counted from 1; not kept."""
_MAD_TO_DEVIATION = 1.4826
"""The standard deviation of a normal distribution in median absolute deviations."""
_FEWEST_MOVES = 30
"""Fewer changes of the price say nothing of what is usual."""


class Policy(enum.StrEnum):
    """What is done about what can be repaired; what can't be is refused either way."""

    REFUSE = "refuse"
    REPAIR = "repair"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as a gap, a jump, and the market's hours."""

    deviations: float = DEVIATIONS
    """A change of the price's logarithm beyond so many robust deviations is an outlier; 0 looks for none."""
    silence_ns: int = 0
    """A span without an event longer than this is a gap; 0 looks for none. Bars have their interval."""
    hours: Hours = "always"
    """When bars are to be expected."""


class Checker:
    """Checks one series. First all rows as they come (``arrive``), then all in time order, period by period
    (``keep``), where no period has times of another. What was found is in ``report``.
    """

    def __init__(self, series: Series, limits: Limits) -> None:
        self.series, self._limits = series, limits
        self.report = SeriesReport(series.symbol, series.kind)
        self._hours = trading_hours(limits.hours)
        self._reached_ns = 0
        self._last_ns: int | None = None
        self._last_price = np.empty(0)

    def arrive(self, rows: pa.Table) -> None:
        """Count rows as they are in the source, and those that are earlier than one before them."""
        self.report.rows += rows.num_rows
        if not rows.num_rows:
            return
        at = times(rows)
        reached = np.maximum.accumulate(np.concatenate([[self._reached_ns], at]))
        self._reached_ns = int(reached[-1])
        self._find(Fault.DISORDER, at < reached[:-1], rows, ("ts_ns",))

    def keep(self, rows: pa.Table) -> pa.Table:
        """The rows of one period by time, without those that are there twice; faults are counted."""
        rows = self._distinct(ordered(rows))
        if not rows.num_rows:
            return rows
        bad = np.zeros(rows.num_rows, np.bool_)
        for fault, wrong, columns in faults(rows, self.series.kind):
            self._find(fault, wrong, rows, columns)
            bad |= wrong
        self._spacing(rows)
        if not bad.any():
            self._jumps(rows)
        at = times(rows)
        self.report.first_ns = self.report.first_ns or int(at[0])
        self.report.last_ns = self._last_ns = int(at[-1])
        self.report.kept += rows.num_rows
        return rows

    def repaired(self) -> SeriesReport:
        """The report of rows that were taken: what can be repaired has been."""
        for fault, finding in self.report.findings.items():
            if fault in (Fault.DISORDER, Fault.DUPLICATE, Fault.REVISION):
                finding.repaired = finding.count
        return self.report

    def _find(self, fault: Fault, wrong: Mask, rows: pa.Table, columns: Sequence[str]) -> None:
        count = int(np.count_nonzero(wrong))
        if count:
            first = np.flatnonzero(wrong)[:EXAMPLES]
            self.report.find(fault, count, [_example(rows, int(place), columns) for place in first])

    # -- identity --------------------------------------------------------------------------

    def _distinct(self, rows: pa.Table) -> pa.Table:
        """Drop what is there twice; of other values under the same identity the last is kept."""
        suspects = np.flatnonzero(_same_time(times(rows)))
        if not len(suspects):
            return rows
        identity = self.series.table.identity
        names = [name for name in rows.column_names if name not in (ROW, "recv_ns")]
        held = rows.select(names).take(pa.array(suspects))
        contents = list(zip(*(_hashable(held[name].to_pylist()) for name in names), strict=True))
        keys = list(zip(*(held[name].to_pylist() for name in identity), strict=True)) if identity else contents
        seen: dict[Any, int] = {}
        gone: list[int] = []
        for number, (key, content) in enumerate(zip(keys, contents, strict=True)):
            named = bool(identity) and key[0] != ""
            before = seen.get(key if named else content)
            seen[key if named else content] = number
            if before is None:
                continue
            known = Fault.DUPLICATE if contents[before] == content else Fault.REVISION
            place = int(suspects[number])
            self.report.find(known if named else Fault.REPEAT, 1, [_example(rows, place, names)])
            if named:
                gone.append(int(suspects[before]))
        return rows.filter(pa.array(~np.isin(np.arange(rows.num_rows), gone))) if gone else rows

    # -- spacing ---------------------------------------------------------------------------

    def _spacing(self, rows: pa.Table) -> None:
        """Count gaps, bars that overlap, and bars outside of the market's hours."""
        at, interval_ns = times(rows), self.series.interval_ns
        before = at[:0] if self._last_ns is None else np.array([self._last_ns], np.int64)
        line = np.concatenate([before, at])
        if not interval_ns:
            if self._limits.silence_ns:
                self._wide(line, self._limits.silence_ns, 0)
            return
        steps = np.diff(line)
        overlaps = np.concatenate([np.zeros(1 - len(before), np.bool_), (steps > 0) & (steps < interval_ns)])
        self._find(Fault.OVERLAP, overlaps, rows, ("ts_ns",))
        if isinstance(self._hours, AlwaysOpen):
            self._wide(line, interval_ns, interval_ns)
        else:
            self._sessions(rows, line, interval_ns)

    def _wide(self, line: Ints, least_ns: int, interval_ns: int) -> None:
        """Steps of more than ``least_ns``."""
        for place in np.flatnonzero(np.diff(line) > least_ns).tolist():
            start_ns, end_ns = int(line[place]) + interval_ns, int(line[place + 1])
            missing = (end_ns - start_ns) // interval_ns if interval_ns else 0
            self.report.gap(Gap(end_ns - start_ns, start_ns, end_ns, missing))

    def _sessions(self, rows: pa.Table, line: Ints, interval_ns: int) -> None:
        """Bars that the calendar expects and that are not there, and such as it doesn't expect."""
        first, last = int(line[0]), int(line[-1])
        if interval_ns >= DAY_NS:
            line = np.array([date_of(ts_ns) for ts_ns in line.tolist()], np.int64)
            expected = trading_days(self._hours, first, last + DAY_NS)
        else:
            expected = expected_opens(self._hours, interval_ns, first, last + 1)
        there = np.isin(expected, line)
        inside = np.isin(line[len(line) - rows.num_rows :], expected)
        self._find(Fault.OUTSIDE, ~inside, rows, ("ts_ns",))
        edges = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]])))
        for start, end in edges.reshape(-1, 2).tolist():
            start_ns, end_ns = int(expected[start]), int(expected[end - 1]) + interval_ns
            self.report.gap(Gap(end_ns - start_ns, start_ns, end_ns, end - start))

    # -- jumps -----------------------------------------------------------------------------

    def _jumps(self, rows: pa.Table) -> None:
        """Changes of the price that are far beyond the median of their sizes."""
        line = np.concatenate([self._last_price, prices(rows, self.series.kind)])
        self._last_price = line[-1:]
        steps = np.abs(np.diff(np.log(line)))
        moves = steps[steps > 0]
        if not self._limits.deviations or len(moves) < _FEWEST_MOVES:
            return
        # Around 0, not around the median: of prices that move by a tick or two the latter leaves no deviation.
        far = steps > self._limits.deviations * _MAD_TO_DEVIATION * np.median(moves)
        self._find(
            Fault.OUTLIER,
            np.concatenate([np.zeros(rows.num_rows - len(far), np.bool_), far]),
            rows,
            _shown(self.series),
        )


def _same_time(at: Ints) -> Mask:
    """Which of times in order are there more than once."""
    same = np.concatenate([[False], at[1:] == at[:-1], [False]])
    found: Mask = same[1:] | same[:-1]
    return found


def _hashable(values: list[Any]) -> list[Any]:
    return [tuple(value) for value in values] if values and isinstance(values[0], list) else values


def _shown(series: Series) -> tuple[str, ...]:
    """The columns that show a jump."""
    wanted = ("price", "close", "bid_price", "ask_price", "mark")
    return tuple(column.name for column in series.table.columns if column.name in wanted)


def _example(rows: pa.Table, place: int, columns: Sequence[str]) -> Example:
    def of(name: str) -> Any:
        return rows[name][place].as_py()

    text = ", ".join(f"{name}={_short(of(name))}" for name in columns)
    return Example(of(ROW) if ROW in rows.column_names else 0, of("ts_ns"), text)


def _short(value: Any) -> str:
    return f"[{', '.join(map(str, value[:3]))}, ...]" if isinstance(value, list) and len(value) > 3 else str(value)
