"""A sweep in one process: its table, its folder, what it resumes from and what it refuses."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import bigwheel
from bigwheel.cli.progress import line
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.folder import Folder
from bigwheel.sweeps.result import SweepResult
from bigwheel.sweeps.runner import Tally
from bigwheel.sweeps.trial import Desk, Outcome
from runtime.errors import BigwheelError
from tests.unit.front_door import bigwheel as command
from tests.unit.front_door import refused
from tests.unit.sweep_samples import BTC, Hanging, Holder, data

GRID = {"buy": [2, 3], "sell": [5, 9]}


def swept(folder: Path, **more: Any) -> SweepResult:
    """Four runs on thirty bars, each a letter in ``log``."""
    source = folder / "BTCUSDT.parquet"
    if not source.exists():
        data(folder, 30)
    fixed = {"log": str(folder / "log"), **more.pop("params", {})}
    told: dict[str, Any] = {"grid": GRID, "metric": "final_equity", "jobs": 0, "params": fixed, **more}
    return bigwheel.sweep(Holder, data=source, symbols=BTC, out=folder / "out", **told)


def letters(folder: Path) -> int:
    return len((folder / "log").read_text())


def test_a_row_is_what_the_backtest_alone_comes_to(tmp_path: Path) -> None:
    result = swept(tmp_path, seed=3, costs={"taker": 0.001})
    assert result.table.num_rows == 4 and pq.read_table(tmp_path / "out" / "sweep.parquet").equals(result.table)
    assert [(row["buy"], row["sell"]) for row in result.table.to_pylist()] == [(2, 5), (2, 9), (3, 5), (3, 9)]
    for row in result.table.to_pylist():
        alone = bigwheel.backtest(
            Holder,
            data=tmp_path / "BTCUSDT.parquet",
            symbols=BTC,
            params={"buy": row["buy"], "sell": row["sell"]},
            seed=3,
            costs={"taker": 0.001},
        )
        assert row["final_equity"] == alone.summary["final_equity"]
        assert row["fees"] == pytest.approx(alone.summary["fees"])
        assert row["trades"] == alone.trades.num_rows == 1 and row["error"] == ""
    best = result.best()
    assert best is not None and best["final_equity"] == max(result.table["final_equity"].to_pylist())
    lowest = result.best("-final_equity")
    assert lowest is not None and lowest["final_equity"] == min(result.table["final_equity"].to_pylist())
    assert result.best("sharpe") is None, "one day has none"


def test_the_data_are_taken_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwheel.sweeps import folder as module

    taken: list[Path] = []
    take_in = module.take_in
    monkeypatch.setattr(module, "take_in", lambda path, *more: (taken.append(path), take_in(path, *more)))
    swept(tmp_path)
    swept(tmp_path)
    assert taken == [tmp_path / "BTCUSDT.parquet"]


def test_a_run_that_never_comes_back_is_ended_and_is_a_row_with_its_error(tmp_path: Path) -> None:
    told: dict[str, Any] = {"data": data(tmp_path, 30), "symbols": BTC, "out": tmp_path / "out", "jobs": 0}
    before = signal.getsignal(signal.SIGALRM)
    result = bigwheel.sweep(Hanging, grid={"sell": [4, 5, 6]}, metric="final_equity", timeout_s=1.5, **told)
    first, hung, last = result.table.to_pylist()
    assert "expected the run to end within 1.5 s" in hung["error"] and hung["final_equity"] is None
    assert first["error"] == last["error"] == "" and first["fills"] == last["fills"] == 2
    assert signal.getsignal(signal.SIGALRM) is before
    # It is not noted as finished: more time may be all that it wants.
    assert len((tmp_path / "out" / "runs.jsonl").read_text().splitlines()) == 2


def test_a_limit_of_time_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"timeout of 0 seconds \(none\) or more, found -1"):
        swept(tmp_path, timeout_s=-1.0)
    text = refused("sweep", "trend", "--data", ".", "--symbols", BTC, "--out", tmp_path / "o", "--timeout", "soon")
    assert "expected a duration such as 60s" in text


def test_an_interrupted_sweep_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    def interrupt(tally: Tally) -> None:
        if tally.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, progress=interrupt)
    assert letters(tmp_path) == 2 and not (tmp_path / "out" / "sweep.parquet").exists()
    seen: list[tuple[int, int, int]] = []
    resumed = swept(tmp_path, progress=lambda tally: seen.append((tally.done, tally.kept, tally.total)))
    assert letters(tmp_path) == 4 and seen == [(2, 2, 4), (3, 2, 4), (4, 2, 4)]
    whole = swept(tmp_path)
    assert letters(tmp_path) == 4 and whole.table.equals(resumed.table)


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_a_crash_cut_short_is_run_again(tmp_path: Path, cut: int) -> None:
    first = swept(tmp_path)
    log = tmp_path / "out" / "runs.jsonl"
    os.truncate(log, log.stat().st_size - cut)
    second = swept(tmp_path)
    assert letters(tmp_path) == 5
    assert second.table.drop_columns(["seconds"]).equals(first.table.drop_columns(["seconds"]))
    assert len(log.read_text().splitlines()) == 4


def test_a_run_whose_worker_died_is_a_row_and_is_run_again_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Desk.run
    lost = Outcome({}, "its worker died", lost=True)
    with monkeypatch.context() as patched:
        patched.setattr(Desk, "run", lambda desk, case: lost if case.params["sell"] == 9 else whole(desk, case))
        result = swept(tmp_path)
    assert result.table["error"].to_pylist() == ["", "its worker died", "", "its worker died"]
    again = swept(tmp_path)
    assert letters(tmp_path) == 4 and again.table["error"].to_pylist() == [""] * 4


def test_a_damaged_line_is_told(tmp_path: Path) -> None:
    swept(tmp_path)
    log = tmp_path / "out" / "runs.jsonl"
    log.write_text("{}\n" + log.read_text())
    with pytest.raises(SweepError, match="finished run in line 1"):
        swept(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grid": {"buy": [2, 3], "sell": [5, 8]}}, r"grid.sell: \[5,9\] there, \[5,8\] here"),
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"cash": 5_000}, 'cash: .none. there, "5000" here'),
        ({"costs": {"taker": 0.01}}, "costs"),
        ({"latency_ms": 7}, "latency_ms: 5.0 there, 7.0 here"),
        ({"end": "2026-01-01T00:20"}, "to_ns"),
        ({"config": {"risk": {"order_notional": 77}}}, "config.risk.order_notional"),
        ({"where": "buy < sell"}, "where"),
        ({"params": {"fail": 99}}, "params.fail"),
        ({"walk_forward": "train=10m,test=5m"}, "walk_forward.train_ns"),
    ],
)
def test_other_arguments_in_the_same_folder_are_refused(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any], said: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "same"
    folder.mkdir(exist_ok=True)
    swept(folder)
    with pytest.raises(SweepError, match=said):
        swept(folder, **changed)


def test_data_that_have_changed_are_refused(tmp_path: Path) -> None:
    swept(tmp_path)
    data(tmp_path, 31)
    with pytest.raises(SweepError, match=r"data\.digest"):
        swept(tmp_path)


def test_what_is_made_of_the_runs_may_change(tmp_path: Path) -> None:
    swept(tmp_path)
    again = swept(tmp_path, metric="-fees", report=tmp_path / "report", monte_carlo="50,runs=2,jitter=0.5")
    assert letters(tmp_path) == 4 + 1 + 2, "the best one once more for its tables, and two with other seeds"
    drawn = again.monte_carlo
    assert drawn is not None and set(drawn["method"].to_pylist()) == {"venue"}, "one day and one round trip"
    assert drawn["seed"].to_pylist() == [1, 2] and again.figures["monte_carlo"]["venue"]["paths"] == 2
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert figures["sweep"]["metric"] == "-fees" and figures["monte_carlo"]["venue"]["paths"] == 2
    best = again.best()
    assert best is not None and figures["params"]["sell"] == best["sell"]
    assert "Parameter sweep: -fees" in (tmp_path / "report" / "report.html").read_text()
    swept(tmp_path, metric="-fees", report=tmp_path / "report", monte_carlo="50,runs=2,jitter=0.5")
    assert letters(tmp_path) == 7


def test_a_run_that_fails_is_a_row_with_its_error(tmp_path: Path) -> None:
    result = swept(tmp_path, params={"fail": 5})
    errors = result.table["error"].to_pylist()
    assert [bool(error) for error in errors] == [True, False, True, False] and "no such luck" in errors[0]
    assert result.table["final_equity"].to_pylist()[0] is None and result.figures["failed"] == 2


def test_parameters_that_only_some_runs_take_are_rows(tmp_path: Path) -> None:
    result = swept(tmp_path, grid={"sell": [5, "soon", 6.5, None]})
    assert result.table["sell"].to_pylist() == ["5", '"soon"', "6.5", None]
    assert [bool(error) for error in result.table["error"].to_pylist()] == [False, True, True, True]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grid": {"sel": [5, 9]}}, "did you mean 'sell'"),
        ({"metric": "sharp"}, "expected a metric"),
        ({"cash": -1}, "expected cash above 0"),
        ({"costs": {"tax": 1}}, "found 'tax'"),
        ({"start": "2027-01-01"}, "expected a start before|expected market data|expected data"),
        ({"jobs": -1}, "jobs of 0 or more"),
        ({"walk_forward": "train=1d,test=1d"}, "expected data for train and test"),
    ],
)
def test_a_sweep_without_a_run_that_could_succeed_leaves_its_folder_empty(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BigwheelError, match=said):
        swept(tmp_path, **changed)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "data"
    mine.mkdir(parents=True)
    with pytest.raises(SweepError, match="to be empty or to hold a sweep, found other files"):
        swept(tmp_path)
    assert mine.exists()
    with pytest.raises(SweepError, match="outside of the data"):
        bigwheel.sweep(Holder, data=tmp_path, symbols=BTC, grid=GRID, out=tmp_path / "new")


def test_only_one_sweep_works_in_a_folder(tmp_path: Path) -> None:
    with Folder(tmp_path / "out"), pytest.raises(SweepError, match="another sweep at work"):
        swept(tmp_path)


def test_a_parameter_may_be_named_like_a_metric(tmp_path: Path) -> None:
    class Odd(Holder):
        class Params(Holder.Params):
            fees: int = 0

    source = data(tmp_path, 30)
    told: dict[str, Any] = {"grid": {"fees": [1, 2]}, "metric": "fees", "jobs": 0, "report": tmp_path / "report"}
    result = bigwheel.sweep(Odd, data=source, symbols=BTC, out=tmp_path / "out", **told)
    assert result.table["fees"].to_pylist() == [1, 2] and all(result.table["metric_fees"].to_pylist())
    best = result.best()
    assert best is not None and best["fees"] == 1


def test_the_command_sweeps_and_goes_on(tmp_path: Path) -> None:
    source = data(tmp_path, 60)
    told = ["sweep", "trend", "--data", source, "--symbols", BTC, "--out", tmp_path / "out", "--jobs", "0"]
    told += ["--param", "source=bars", "--param", "fast=4,6", "--param", "slow=5:15:10", "--where", "fast < slow"]
    told += ["--metric", "total_return", "--report", tmp_path / "report"]
    first = command(*told, "--json")
    assert first.status == 0, first
    said = json.loads(first.out)
    assert said["runs"] == 3 and said["best"]["params"]["fast"] in (4, 6)
    assert "4 of 4 runs, 0 failed" in first.err and (tmp_path / "report" / "report.html").exists()
    second = command(*told)
    assert second.status == 0 and "4 from before" in second.err and "trend: 3 runs" in second.out
    assert "seed: 0 there, 1 here" in refused(*told, "--seed", "1").splitlines()[-1]


def test_the_command_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    told = ["sweep", "trend", "--data", data(tmp_path, 30), "--symbols", BTC, "--out", tmp_path / "out", "--jobs", "0"]
    assert "name=values" in refused(*told, "--param", "fast")
    assert "once, found --param fast again" in refused(*told, "--param", "fast=1", "--param", "fast=2")
    assert "found 'open(1)'" in refused(*told, "--param", "fast=1,2", "--where", "open(1)")


def test_a_command_whose_runs_all_fail_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from bigwheel import Strategy\n\n\nclass Mine(Strategy):\n    def on_bar(self, bar):\n        1 / 0\n"
    )
    told = ["sweep", f"{tmp_path / 'mine.py'}:Mine", "--data", data(tmp_path, 30), "--symbols", BTC]
    answer = command(*told, "--param", "a=1,2", "--out", tmp_path / "out", "--jobs", "0")
    assert answer.status == 1 and "2 failed" in answer.out and "the first that failed" in answer.out


def test_a_line_says_how_far_it_is() -> None:
    assert line(Tally(40, done=12, failed=1, kept=4), 16.0) == "12 of 40 runs, 1 failed, 4 from before, about 56 s left"
    assert line(Tally(3, done=3), 9.0) == "3 of 3 runs, 0 failed"
