"""``bigwheel simulate``: seeds, scripts, what it prints, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from bigwheel.cli import simulate as command
from bigwheel.simulations import venue
from bigwheel.simulations.invariants import INVARIANTS
from bigwheel.simulations.scenarios import SCENARIOS, Outcome
from bigwheel.simulations.script import Script
from runtime.simulation import occurrences
from tests.unit.front_door import bigwheel, refused

ROOT = Path(__file__).parents[2]
ATTACK = ("simulate", "--scenario", "attack")


def test_seeds_are_run_and_added_up() -> None:
    answer = bigwheel(*ATTACK, "--seeds", "2", "--from", "4", "--jobs", "1", "--json")
    assert answer.status == 0
    told = json.loads(answer.out)
    assert (told["runs"], told["failed"], told["failures"], told["scripts"]) == (2, 0, [], [])
    assert told["simulated_seconds"] == pytest.approx(2 * 1.1, abs=0.01)
    assert told["simulated_seconds_with_faults"] == pytest.approx(2 * 0.9, abs=0.01)
    assert set(told["faults"]) <= {*occurrences.KINDS, *venue.KINDS}


def test_one_seed_shows_its_history_and_its_plan() -> None:
    answer = bigwheel(*ATTACK, "--seed", "2", "--duration", "0.2", "--trace", "--only", "#1 starts")
    assert answer.status == 0
    assert "FaultPlan(" in answer.out and "VenueFaults(" in answer.out
    assert sum("#1 starts" in line for line in answer.out.splitlines()) == 4
    assert "runs      1, 0 failed" in answer.out


def test_a_script_is_run(tmp_path: Path) -> None:
    path = tmp_path / "short.json"
    path.write_text(Script("attack", 4, 0.1, only=(), end=300).text())
    answer = bigwheel("simulate", "--script", path)
    assert answer.status == 0
    assert "none of its faults" in answer.out
    assert "events    300," in answer.out


def test_what_can_happen_is_listed() -> None:
    told = json.loads(bigwheel("simulate", "--list", "--json").out)
    assert list(told["scenarios"]) == list(SCENARIOS)
    assert list(told["invariants"]) == list(INVARIANTS)
    plain = bigwheel("simulate", "--list").out
    assert all(name in plain for names in told.values() for name in names)


def test_every_invariant_that_is_checked_is_listed_and_documented() -> None:
    checked: set[str] = set()
    for path in (*(ROOT / "bigwheel/simulations").glob("*.py"), *(ROOT / "runtime/simulation").glob("*.py")):
        checked.update(re.findall(r'\.fail\(\s*f?"([a-z-]+)', path.read_text()))
    assert checked == {name for name in INVARIANTS if not name.startswith("limit-")}
    page = (ROOT / "docs/simulation.md").read_text()
    assert [name for name in (*INVARIANTS, *occurrences.KINDS, *venue.KINDS) if f"| `{name}` |" not in page] == []
    assert [name for name in SCENARIOS if f"| `{name}` |" not in page] == []


def _campaign(scripts: Sequence[Script], jobs: int) -> Iterator[Outcome]:
    """The first run fails, before the third somebody presses Ctrl-C."""
    yield Outcome(scripts[0], "it broke", "lifecycle")
    yield Outcome(scripts[1])
    raise KeyboardInterrupt


def test_an_interrupted_campaign_reports_what_has_been_run() -> None:
    with mock.patch.object(command, "campaign", _campaign):
        answer = bigwheel(*ATTACK, "--seeds", "9")
    assert answer.status == 1
    assert "it broke" in answer.out
    assert "interrupted after 2 of 9 runs" in answer.out
    assert "failed    0" in answer.out


def test_a_campaign_that_is_to_stop_ends_with_the_first_seed_that_fails(tmp_path: Path) -> None:
    with mock.patch.object(command, "campaign", _campaign):
        answer = bigwheel(*ATTACK, "--seeds", "9", "--stop", "--no-shrink")
    assert answer.status == 1
    assert "it broke" in answer.out
    assert "runs      1, 1 failed" in answer.out


def test_a_failure_is_shrunk_to_a_script_in_the_folder_for_them(tmp_path: Path) -> None:
    def failing(scripts: Sequence[Script], jobs: int) -> Iterator[Outcome]:
        yield Outcome(scripts[0], "it broke", "lifecycle")

    found = mock.Mock(script=Script("attack", 0, broken="lifecycle", only=("crash risk 1",)))
    found.line.return_value = "9 faults became 1"
    with mock.patch.object(command, "campaign", failing), mock.patch.object(command, "shrink", return_value=found):
        answer = bigwheel(*ATTACK, "--seeds", "1", "--out", tmp_path / "found")
        unshrunk = bigwheel(*ATTACK, "--seeds", "1", "--out", tmp_path / "none", "--no-shrink")
    assert answer.status == unshrunk.status == 1
    path = tmp_path / "found/attack-0-lifecycle.json"
    assert json.loads(path.read_text())["only"] == ["crash risk 1"]
    assert f"bigwheel simulate --script {path} --trace" in answer.out
    assert not (tmp_path / "none").exists()


def test_what_makes_no_sense_is_refused() -> None:
    assert refused("simulate", "--scenario", "nobody") == (
        f"expected --scenario as one of {', '.join(SCENARIOS)}, found 'nobody'"
    )
    assert "found both" in refused("simulate", "--seed", "1", "--script", "file.json")
    assert "say which run to look at" in refused("simulate", "--trace")
    assert "expected --only as a regular expression" in refused(*ATTACK, "--seed", "1", "--only", "(")
