"""The benchmark beside other engines, as far as nothing is timed and no other engine is needed."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from scripts.benchmarks import field
from scripts.benchmarks.engines import by_bigwheel, descent, environments, rounds, tables
from scripts.benchmarks.engines.environments import Absent
from scripts.benchmarks.engines.made import write
from scripts.benchmarks.engines.task import Outcome, Task, Told


def told(seconds: float, *, trips: int = 3, peak_kib: int = 102_400) -> Told:
    return Told("1.0", Outcome(1_000, trips, 9_999.5), 0.5, 0.25 * seconds, 0.75 * seconds, 2 * seconds, peak_kib)


def shown(rows: list[dict[str, Any]]) -> str:
    written = io.StringIO()
    console = Console(width=200, file=written)
    for table in tables.tables(rows):
        console.print(table)
    return written.getvalue()


# -- what the engines are given ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bars", "trades", "quotes"])
def test_made_data_are_the_same_at_each_call(tmp_path: Path, kind: str) -> None:
    (tmp_path / "again").mkdir()
    first, again = (pq.read_table(write(folder, kind, 500)) for folder in (tmp_path, tmp_path / "again"))
    assert first.num_rows == 500
    assert first.equals(again)


def test_a_made_bar_opens_where_the_last_one_closed_so_that_all_engines_fill_at_one_price(tmp_path: Path) -> None:
    bars = pq.read_table(write(tmp_path, "bars", 500))
    assert bars["open"].to_pylist()[1:] == bars["close"].to_pylist()[:-1]


def test_made_quotes_are_one_tick_wide(tmp_path: Path) -> None:
    quotes = pq.read_table(write(tmp_path, "quotes", 500))
    both = zip(quotes["bid_price"].to_pylist(), quotes["ask_price"].to_pylist(), strict=True)
    assert {round(ask - bid, 6) for bid, ask in both} == {0.1}


def test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected bars, trades or quotes, found 'books'"):
        write(tmp_path, "books", 10)


def test_a_task_and_what_came_of_it_cross_a_process_unchanged() -> None:
    task = Task("grid", "long.parquet", "short.parquet", pairs=((4, 20), (6, 30), (8, 40)))
    assert Task.decode(task.encode()) == task
    assert Task.decode(task.brief().encode()).pairs == ((4, 20), (6, 30))
    assert Told.decode(told(2.0).encode()) == told(2.0)


@pytest.mark.parametrize("kind", ["bars", "trades", "quotes"])
def test_our_crossover_makes_the_trips_that_a_plain_loop_makes(tmp_path: Path, kind: str) -> None:
    task = Task(kind, write(tmp_path, kind, 1_500), "")
    rows = pq.read_table(task.data).to_pylist()
    price = {"bars": "close", "trades": "price", "quotes": "bid_price"}[kind]
    half = 0.05 if kind == "quotes" else 0.0
    prices = [row[price] + half for row in rows]
    fast = slow = prices[0]
    held, trips = False, 0
    for number, each in enumerate(prices, 1):
        fast += 2 / 11 * (each - fast)
        slow += 2 / 31 * (each - slow)
        if number >= task.wait and (fast > slow) != held:
            trips += held
            held = not held
    outcome = by_bigwheel.run(task, by_bigwheel.read(task, task.data))
    assert trips > 5
    assert (outcome.rows, outcome.trips) == (1_500, trips)


# -- rounds --------------------------------------------------------------------------------


def test_rounds_alternate_and_an_engine_that_is_absent_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(engine: str, task: Task, core: int) -> Told:
        asked.append(engine)
        if engine == "nautilus":
            raise Absent("no such package")
        return told(1.0)

    monkeypatch.setattr(rounds, "told", answer)
    found = rounds.alternating(["bigwheel", "nautilus", "vectorbt"], Task("bars", "", ""), 2)
    assert asked == ["bigwheel", "nautilus", "vectorbt", "bigwheel", "vectorbt"]
    assert [each.absent for each in found] == ["", "no such package", ""]
    assert [len(each.runs) for each in found] == [2, 0, 2]


def test_rates_are_of_the_whole_time_from_the_file_to_the_outcome() -> None:
    found = rounds.Found("bigwheel", [told(4.0), told(1.0), told(2.0)])
    assert (found.best, found.median, found.wall_s) == (1_000.0, 500.0, 4.0)
    assert found.alone == pytest.approx(1_000 / 0.75)


def test_a_run_that_fails_is_absent_with_the_last_thing_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess[str]([], 1, "", "Traceback ...\nImportError: no module named numba\n\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Absent, match=r"^its process ended with 1: ImportError: no module named numba$"):
        rounds.told("bigwheel", Task("bars", "", ""), 0)


# -- environments --------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of an engine ``some``, not made yet."""
    (tmp_path / "some.lock").write_text("some==1\n")
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    return tmp_path / ".venv-field-some"


def made(place: Path, lock: str) -> None:
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch()
    (place / ".lock.sha").write_text(hashlib.sha256(lock.encode()).hexdigest())


def test_an_environment_is_made_once_for_each_content_of_its_lock(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def run(command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command[1:3])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    made(place, "some==0\n")
    for _ in range(2):
        assert environments.python_of("some") == place / "bin" / "python"
    assert commands == [("-m", "venv"), ("-m", "pip")]


def test_an_environment_that_cannot_be_made_says_why_and_is_tried_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess[str]([], 1, "", "ERROR: No matching distribution found for some==1\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    place.mkdir()
    for _ in range(2):
        with pytest.raises(Absent, match="could not be made: ERROR: No matching distribution found for some==1"):
            environments.python_of("some")
    assert not (place / ".lock.sha").exists()


@pytest.mark.parametrize("engine", [engine for engine in field.ENGINES if engine != "bigwheel"])
def test_each_engine_has_a_lock_with_hashes_and_without_an_index(engine: str) -> None:
    text = (environments.LOCKS / f"{engine}.lock").read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert len(packages) > 5
    assert all("==" in package and "--hash=sha256:" in package for package in packages)
    assert not re.search(r"https?:|file:|--index|--find-links|--extra-index", text)


# -- processor time of descendants ---------------------------------------------------------


def test_a_processs_line_is_read_whatever_its_name_holds() -> None:
    line = "42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 150 25 9 9 20 0 1 0 1 1 1"
    assert descent.parsed(line) == descent.Process(42, 7, 175)


def test_descendants_are_children_and_theirs_and_nobody_elses() -> None:
    family = [descent.Process(*each) for each in ((4, 3, 1), (2, 1, 1), (3, 2, 1), (9, 8, 1), (8, 1_000, 1))]
    assert sorted(each.pid for each in descent.below(1, family)) == [2, 3, 4]


# -- tables --------------------------------------------------------------------------------


def test_the_table_shows_each_engine_beside_ours_and_an_absent_one_with_its_reason() -> None:
    found = [
        rounds.Found("bigwheel", [told(4.0)]),
        rounds.Found("backtesting", [told(1.0)]),
        rounds.Found("nautilus", [], "no such package"),
    ]
    rows = field.rates("bars", found)
    assert [row.get("ratio") for row in rows] == [1.0, 4.0, None]
    lines = shown(rows).splitlines()
    assert "1,000 minute bars" in lines[0]
    theirs = next(line for line in lines if "backtesting 1.0" in line)
    assert [cell.strip() for cell in theirs.split("│")[2:7]] == ["1,000", "1,000", "4", "1,333", "3"]
    assert any("nautilus" in line and "absent: no such package" in line for line in lines)


def test_rounds_before_an_engine_failed_count_and_the_failure_is_shown() -> None:
    rows = field.rates("bars", [rounds.Found("vectorbt", [told(1.0)], "its process ended with -9")])
    assert rows[0]["figure"] == 1_000.0
    assert "after 1 rounds absent: its process ended with -9" in " ".join(shown(rows).split())


def test_without_ours_there_is_no_ratio() -> None:
    assert field.rates("bars", [rounds.Found("vectorbt", [told(1.0)])])[0]["ratio"] is None


def test_memory_has_a_line_for_each_engine_and_says_how_much_it_grew() -> None:
    named = {"part": "memory", "unit": "MiB"}
    rows = [
        {**named, "engine": "bigwheel", "rows": 50_000, "figure": 200.0},
        {**named, "engine": "bigwheel", "rows": 400_000, "figure": 250.0},
        {**named, "engine": "vectorbt", "rows": 50_000, "absent": "no such package"},
        {**named, "engine": "vectorbt", "rows": 400_000, "absent": "no such package"},
    ]
    text = shown(rows)
    assert re.search(r"bigwheel\s+│\s+200\s+│\s+250\s+│\s+1\.25", text)
    assert re.search(r"vectorbt\s+│\s+absent\s+│\s+absent\s+│\s+│", text)
