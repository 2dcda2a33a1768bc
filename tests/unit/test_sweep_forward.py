"""Walk-forward: windows, no look into the future, and the tests as one result."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bigwheel
from bigwheel.reports.returns import calendar_of
from bigwheel.reports.statistics import integers, statistics
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.result import SweepResult
from bigwheel.sweeps.windows import WalkForward, windows
from tests.unit.sweep_samples import BTC, Holder, data
from tests.unit.test_backtest import MINUTE, START, wavy

DAY = 86_400_000_000_000
GRID = {"sell": [4, 8]}
TOLD = "train=20m,test=10m"


def walked(folder: Path, closes: list[float], **more: Any) -> SweepResult:
    folder.mkdir(exist_ok=True)
    told: dict[str, Any] = {"metric": "pnl", "walk_forward": TOLD, "jobs": 0, **more}
    source = folder / "BTCUSDT.parquet"
    if not source.exists():
        data(folder, closes=closes)
    return bigwheel.sweep(Holder, data=source, symbols=BTC, grid=GRID, out=folder / "out", **told)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 50), st.booleans(), st.integers(0, 400))
def test_windows_follow_each_other_and_tests_begin_where_training_ends(
    train: int, test: int, step: int, anchored: bool, length: int
) -> None:
    told = WalkForward(train, test, step if step >= test else 0, anchored)
    if length < train + test:
        with pytest.raises(SweepError, match="expected data for train and test together"):
            windows(told, 1_000, 1_000 + length)
        return
    found = windows(told, 1_000, 1_000 + length)
    moved = told.step_ns or test
    assert [each.test_ns - 1_000 - train for each in found] == [moved * number for number in range(len(found))]
    assert all(each.end_ns - each.test_ns == test and each.end_ns <= 1_000 + length for each in found)
    assert all(each.train_ns == (1_000 if anchored else each.test_ns - train) for each in found)
    assert all(before.end_ns <= after.test_ns for before, after in pairwise(found))
    assert found[-1].end_ns + moved > 1_000 + length, "another one would have fitted"


def test_what_is_asked_for_is_read() -> None:
    assert WalkForward.parse("train=30d, test=7d") == WalkForward(30 * DAY, 7 * DAY)
    assert WalkForward.parse("train=2d,test=12h,step=1d,anchored") == WalkForward(2 * DAY, DAY // 2, DAY, True)


@pytest.mark.parametrize(
    "text", ["", "train=1d", "train=1d,test=x", "train=1d,test=1d,test=2d", "train=1d,test=2d,step=1d", "1d,2d"]
)
def test_what_is_no_walk_forward_is_told(text: str) -> None:
    with pytest.raises(SweepError, match="expected"):
        WalkForward.parse(text)


def test_parameters_are_chosen_in_training_and_tested_on_the_bars_after_it(tmp_path: Path) -> None:
    result = walked(tmp_path, wavy(50), report=tmp_path / "report", monte_carlo="20")
    assert result.windows is not None and result.chosen is not None
    rows = result.windows.to_pylist()
    assert [row["test_from_ns"] for row in rows] == [START + minutes * MINUTE for minutes in (20, 30, 40)]
    assert [(row["in_events"], row["out_events"]) for row in rows] == [(20, 10)] * 3
    trained = result.table.to_pylist()
    for row in rows:
        own = {each["sell"]: each["pnl"] for each in trained if each["window"] == row["window"]}
        assert row["sell"] == max(own, key=lambda sell: own[sell]) and row["in_pnl"] == own[row["sell"]]
        alone = bigwheel.backtest(
            Holder,
            data=tmp_path / "BTCUSDT.parquet",
            symbols=BTC,
            params={"sell": row["sell"]},
            start=row["test_from_ns"],
            end=row["test_to_ns"],
        )
        assert row["out_final_equity"] == alone.summary["final_equity"]
    assert pq.read_table(tmp_path / "out" / "walk_forward.parquet").equals(result.windows)
    assert "Walk-forward" in (tmp_path / "report" / "report.html").read_text()
    assert result.figures["walk_forward"]["tested"] == 3
    assert result.figures["monte_carlo"]["trades"]["observations"] == result.chosen.trades.num_rows == 3


def test_the_tests_together_add_up(tmp_path: Path) -> None:
    result = walked(tmp_path, wavy(50))
    whole = result.chosen
    assert whole is not None and result.windows is not None
    profits = [final - 100_000 for final in result.windows["out_final_equity"].to_pylist()]
    equity = whole.equity["equity"].to_pylist()
    assert equity[-1] == pytest.approx(100_000 + sum(profits)) and whole.summary["final_equity"] == equity[-1]
    assert whole.summary["events"] == 30 and whole.summary["round_trips"] == whole.trades.num_rows
    assert sum(whole.trades["pnl"].to_pylist()) == pytest.approx(sum(profits))
    times = whole.equity["ts_ns"].to_pylist()
    assert times == sorted(times)
    peak, deepest = 100_000.0, 0.0
    for worth in equity:
        peak = max(peak, worth)
        deepest = max(deepest, 1 - worth / peak)
    told = result.figures["walk_forward"]["statistics"]
    assert told["max_drawdown"] == pytest.approx(deepest)
    assert told == statistics(whole, calendar_of(integers(whole.equity, "ts_ns")))


@pytest.mark.parametrize("cut", [20, 33])
def test_nothing_that_comes_later_changes_a_choice_or_a_test(tmp_path: Path, cut: int) -> None:
    closes = wavy(50)
    other = [*closes[:cut], *(30_000.0 + 100 * (number % 7) for number in range(50 - cut))]
    first, second = walked(tmp_path / "a", closes), walked(tmp_path / "b", other)
    assert first.windows is not None and second.windows is not None
    moment = START + cut * MINUTE
    pairs = list(zip(first.windows.to_pylist(), second.windows.to_pylist(), strict=True))
    seen = [(one, two) for one, two in pairs if one["test_from_ns"] <= moment]
    assert seen and any(one["out_pnl"] != two["out_pnl"] for one, two in pairs), "nothing was shown"
    timeless = [name for name in seen[0][0] if "seconds" not in name]
    for one, two in seen:
        known = [name for name in timeless if not name.startswith("out_") or one["test_to_ns"] <= moment]
        assert [one[name] for name in known] == [two[name] for name in known]


def test_a_window_in_which_no_run_has_the_metric_is_told(tmp_path: Path) -> None:
    result = walked(tmp_path, wavy(30), metric="sharpe")
    assert result.windows is not None and result.chosen is None
    assert result.windows["error"].to_pylist() == ["no run of its training has a sharpe"]
    assert result.figures["walk_forward"]["statistics"] is None
    with pytest.raises(SweepError, match="expected a run with a sharpe to report on"):
        walked(tmp_path, wavy(30), metric="sharpe", report=tmp_path / "report")


def test_monte_carlo_on_a_walk_forward_has_no_runs_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="without runs of its own"):
        walked(tmp_path, wavy(30), monte_carlo="10,runs=3")
