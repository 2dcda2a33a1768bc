"""Sweeps on a running Ray: workers share the runs, may die, and are gone at the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import ray

import bigwheel
from bigwheel.sweeps.result import SweepResult
from bigwheel.sweeps.runner import Tally
from strategies.strategy import Strategy
from tests.unit.sweep_samples import BTC, Deadly, Hanging, Holder, data


def swept(folder: Path, owner: type[Strategy], sells: list[int], **more: Any) -> SweepResult:
    source = folder / "BTCUSDT.parquet"
    if not source.exists():
        data(folder, 30)
    told: dict[str, Any] = {"metric": "final_equity", "jobs": 2, **more}
    return bigwheel.sweep(owner, data=source, symbols=BTC, grid={"sell": sells}, out=folder / "out", **told)


def await_free_cpus(deadline_s: float = 60.0) -> None:
    """Wait until Ray has its two CPUs back."""
    limit = time.monotonic() + deadline_s
    while ray.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < limit, ray.available_resources()
        time.sleep(0.05)


@pytest.mark.usefixtures("ray_session")
def test_workers_give_the_rows_that_one_process_gives_and_resume_after_an_interruption(tmp_path: Path) -> None:
    def interrupt(tally: Tally) -> None:
        if tally.done == 2:
            raise KeyboardInterrupt

    sells = [4, 5, 6, 7, 8]
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, Holder, sells, progress=interrupt)
    await_free_cpus()
    tallies: list[Tally] = []
    resumed = swept(tmp_path, Holder, sells, progress=tallies.append, jobs=1)
    assert ray.is_initialized() and tallies[-1].kept == 2
    (tmp_path / "alone").mkdir()
    alone = swept(tmp_path / "alone", Holder, sells, jobs=0)
    assert resumed.table.drop_columns(["seconds", "run"]).equals(alone.table.drop_columns(["seconds", "run"]))
    await_free_cpus()


@pytest.mark.usefixtures("ray_session")
def test_a_run_whose_worker_dies_is_run_once_more_and_then_is_a_row_with_its_error(tmp_path: Path) -> None:
    mercy = tmp_path / "mercy"
    result = swept(tmp_path, Deadly, [4, 5, 6], params={"mercy": str(mercy)})
    assert mercy.exists()
    first, saved, lost = result.table.to_pylist()
    assert all(row["error"] == "" and row["fills"] == 2 for row in (first, saved))
    assert "its worker died, and the next one as well" in lost["error"] and lost["final_equity"] is None
    assert len((tmp_path / "out" / "runs.jsonl").read_text().splitlines()) == 2


@pytest.mark.usefixtures("ray_session")
def test_a_worker_whose_run_never_comes_back_is_replaced(tmp_path: Path) -> None:
    result = swept(tmp_path, Hanging, [5, 4, 6], jobs=1, timeout_s=6.0)
    hung, *others = result.table.to_pylist()
    assert "expected the run to end within 6 s" in hung["error"]
    assert [row["error"] for row in others] == ["", ""]
    await_free_cpus()
    resumed = swept(tmp_path, Hanging, [5, 4, 6], jobs=0, timeout_s=0.5)
    assert "within 0.5 s" in resumed.table.to_pylist()[0]["error"], "it is run again"
