"""Failures that were shrunk to a script, and the shrinking itself.

A file in ``scripts/`` is a run that once broke an invariant; it has to hold ever since, to its end.
"""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec
import pytest

from bigwheel.errors import UsageError
from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.scenarios import SCENARIOS, simulate
from bigwheel.simulations.script import Script, read
from bigwheel.simulations.shrink import shrink
from runtime.simulation.occurrences import Occurrences
from tests.simulation.saboteurs import ForgetfulExchange, ImpatientExchange

FOLDER = Path(__file__).parent / "scripts"
FILES = sorted(FOLDER.glob("*.json"))
SABOTAGED = {
    "trading-16-approved-before-sent": ImpatientExchange,
    "trading-1-approved-before-sent": ForgetfulExchange,
}
"""Scripts that were not found in the product: the brain that was sabotaged."""


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_what_a_script_tells_of_holds_now(path: Path) -> None:
    script = read(path, SCENARIOS)
    assert script.broken and script.end
    outcome, _ = simulate(msgspec.structs.replace(script, end=0))
    assert outcome.failure == ""
    assert outcome.healed


@pytest.mark.parametrize("name", SABOTAGED)
def test_a_script_breaks_the_same_again_where_the_brain_is_sabotaged(name: str) -> None:
    script = read(FOLDER / f"{name}.json", SCENARIOS)
    outcome, _ = simulate(script, build=functools.partial(Scenario, exchange=SABOTAGED[name]))
    assert outcome.broken == script.broken
    assert outcome.failure.partition("\n")[0] == script.found
    assert outcome.events == script.end


@pytest.mark.timeout(600)
def test_a_failure_shrinks_to_the_fault_and_the_traders_it_takes() -> None:
    build = functools.partial(Scenario, exchange=ImpatientExchange)
    others = ("strategy/pair/bybit:BTCUSDT+bybit:ETHUSDT", "strategy/rogue/bybit:BTCUSDT", "operator")
    found = shrink(Script("trading", 67, 3.0, without=others), build=build, runs=60)
    assert found is not None
    assert sum(found.first.faults.values()) > 20
    assert found.script.only is not None and len(found.script.only) <= 2
    assert any(name.startswith("venue_mute bybit/PlaceOrder") for name in found.script.only)
    assert found.outcome.events < found.first.events / 3
    assert set(found.script.without) > set(others)
    assert simulate(found.script, build=build)[0].broken == found.first.broken == found.script.broken
    assert simulate(found.script)[0].failure == ""


def test_what_holds_is_not_shrunk() -> None:
    assert shrink(Script("attack", 1)) is None


def test_a_run_with_all_the_faults_that_happened_is_the_same_run() -> None:
    whole, simulation = simulate(Script("attack", 4))
    happened = tuple(simulation.world.occurrences.happened)
    again, other = simulate(Script("attack", 4, only=happened))
    assert happened
    assert (whole.events, whole.messages, whole.records) == (again.events, again.messages, again.records)
    assert tuple(other.world.occurrences.happened) == happened
    none, _ = simulate(Script("attack", 4, only=()))
    assert none.faults == {}
    assert none.failure == ""


def test_a_run_ends_with_the_event_that_a_script_names() -> None:
    outcome, simulation = simulate(Script("attack", 4, end=500))
    assert (outcome.events, outcome.healed, outcome.failure) == (500, False, "")
    assert simulation.world.healed_ns == 0


@pytest.mark.parametrize("wanted", ["lost bus>risk 2", "lost bus>risk", "lost"])
def test_a_fault_is_named_by_kind_place_and_number(wanted: str) -> None:
    faults = Occurrences((wanted,))
    assert [faults.strike("lost", "bus>risk") for _ in range(2)] == [wanted != "lost bus>risk 2", True]
    assert faults.strike("lost", "risk>bus") is (wanted == "lost")
    assert not faults.strike("doubled", "bus>risk")
    assert faults.counts() == {"lost": len(faults.happened)}


def test_a_file_that_is_no_script_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    for text in ("{", '{"scenario": "trading"}', '{"scenario": "trading", "seed": 1, "faults": []}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="expected a script such as a campaign writes"):
            read(path, SCENARIOS)
    path.write_text(Script("nobody", 1).text())
    with pytest.raises(UsageError, match=r"expected a scenario of trading, .*found 'nobody'"):
        read(path, SCENARIOS)
    with pytest.raises(UsageError, match=r"script\.jsonx"):
        read(path.with_suffix(".jsonx"), SCENARIOS)
