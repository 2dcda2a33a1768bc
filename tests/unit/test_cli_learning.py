"""``bigwheel learning``: what a journal holds of it, and the way back."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.bus.turn import keys_of
from actors.messages.learning import PolicyIssued
from bigwheel.client import GatewayClient
from runtime.journal.store import LmdbJournal
from tests.unit.brain_context import SECOND, START_NS
from tests.unit.brain_samples import BTC
from tests.unit.front_door import bigwheel, refused
from tests.unit.learner_school import School, at, blocked, teach


@pytest.fixture(scope="module")
def school() -> School:
    """One that has learned of two sources and of a gate, and gone through versions."""
    school = School(pattern_every=20)
    teach(school, [0.01, 0.02, -0.01, 0.02, 0.03, 0.01], sources={"momentum": 0.8, "flow": -0.4})
    for number, price in enumerate((97.0, 98.0, 103.0), start=10):
        school.entry(*blocked(at(number * 100, number, quantity=Decimal(2)), "daily_loss"))
        school.price(price, number * 100 + 60)
        school.journal_what_was_sent()
    return school


@pytest.fixture
def store(school: School, tmp_path: Path) -> Path:
    journal = LmdbJournal(tmp_path / "journal", epoch=1)
    for number, event in enumerate(school.journal):
        journal.append(event, ts=START_NS + number * SECOND, source="bus", epoch=1, keys=keys_of(event))
    journal.commit()
    journal.close()
    return tmp_path


def shown(store: Path, *options: str) -> dict[str, Any]:
    answer = bigwheel("learning", "show", "--store", store, "--json", *options)
    assert answer.status == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


def test_show_tells_all_from_the_journal_alone(school: School, store: Path) -> None:
    found = shown(store)
    issued = [event for event in school.journal if isinstance(event, PolicyIssued)]
    full = issued[-1].policy
    assert (found["policy"], found["candidate"]) == (full.version, 0)
    assert [each["version"] for each in found["versions"]] == [each.policy.version for each in issued]
    assert found["detail"]["weights"] == dict(full.weights)
    assert found["detail"]["sizes"] == dict(full.sizes)
    assert found["sources"]["momentum|"]["outcomes"] == 9 - 3
    assert found["tables"]["symbol"][BTC]["count"] == 6
    gate = found["gates"]["daily_loss"]
    assert gate["saved"] == pytest.approx(2 * (3 + 2 - 3))
    assert gate["false_positive_rate"] == pytest.approx(1 / 3)


def test_show_tells_an_earlier_version(school: School, store: Path) -> None:
    first = next(event for event in school.journal if isinstance(event, PolicyIssued)).policy
    assert shown(store, "--version", "1")["detail"]["sizes"] == dict(first.sizes)
    assert shown(store, "--version", "0")["detail"]["weights"] == {}


def test_show_prints_tables_for_people(store: Path) -> None:
    answer = bigwheel("learning", "show", "--store", store)
    assert answer.status == 0
    for text in (
        "policy",
        "in force",
        "LEARNED: lessons=3",
        "momentum",
        "daily_loss:CODE",
        "33.3%",
        "outcomes by regime",
    ):
        assert text in answer.out
    assert "candidate\n" not in answer.out


def test_a_version_that_is_not_there_is_refused_with_those_that_are(store: Path) -> None:
    assert refused("learning", "show", "--store", store, "--version", "99").startswith(
        "expected a version that is remembered (0, 1, 2"
    )


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    assert "expected the journal of a session" in refused("learning", "show", "--store", tmp_path)


def test_rollback_goes_through_the_gateway(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def control(self: GatewayClient, action: str, target: str = "", reason: str = "") -> str:
        asked.append((action, target, reason))
        return "c1"

    monkeypatch.setattr(GatewayClient, "control", control)
    answer = bigwheel("learning", "rollback", "2", "--store", store, "--reason", "it loses")
    assert (answer.status, asked) == (0, [("rollback", "2", "it loses")])
    assert "accepted as c1" in answer.out


def test_rollback_needs_a_running_session(store: Path) -> None:
    assert "expected a session running in" in refused("learning", "rollback", "1", "--store", store)
