"""The checker checked: brains that break an invariant on purpose are caught."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.risk.case import Case
from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.script import Script
from bigwheel.simulations.venue import VenueFaults
from runtime.simulation.faults import MILLISECOND, FaultPlan
from runtime.simulation.world import SimulationFailure
from tests.simulation.saboteurs import DeafExchange, DoublingExchange, EagerExchange, ForgetfulBus, HastyBus

QUIET = VenueFaults()
SLOW_DISK = FaultPlan(commit_ns=(200 * MILLISECOND, 250 * MILLISECOND))


def test_an_order_that_leaves_before_its_approval_is_committed_is_caught() -> None:
    scenario = Scenario(Script("trading", 1), plan=SLOW_DISK, venue=QUIET, bus=HastyBus, trace=0)
    with pytest.raises(SimulationFailure, match="of which no approval is committed"):
        scenario.run(4.0)


def test_an_order_of_a_flow_that_leaves_before_its_plan_is_committed_is_caught() -> None:
    scenario = Scenario(Script("flows", 1), plan=SLOW_DISK, venue=QUIET, exchange=EagerExchange, trace=0)
    with pytest.raises(SimulationFailure, match="of which no approval is committed"):
        scenario.run(4.0)


def test_a_second_order_for_one_signal_is_caught() -> None:
    scenario = Scenario(Script("trading", 1), plan=FaultPlan(), venue=QUIET, exchange=DoublingExchange, trace=0)
    with pytest.raises(SimulationFailure, match=r"no approval is committed|became two orders"):
        scenario.run(4.0)


def test_books_that_differ_from_the_venues_are_caught() -> None:
    scenario = Scenario(Script("trading", 1), plan=FaultPlan(), venue=QUIET, exchange=DeafExchange, trace=0)
    with pytest.raises(SimulationFailure, match=r"the venue [\d.-]+|had to be repaired"):
        scenario.run(4.0)


def test_an_execution_journaled_twice_is_caught() -> None:
    scenario = Scenario(Script("trading", 1), plan=FaultPlan(), venue=QUIET, bus=ForgetfulBus, trace=0)
    with pytest.raises(SimulationFailure, match="is in the journal twice"):
        scenario.run(4.0)


def test_an_exit_that_closes_more_than_its_strategy_holds_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "own", property(lambda case: Decimal("0.01")))
    scenario = Scenario(Script("trading", 1), plan=FaultPlan(), venue=QUIET, trace=0)
    with pytest.raises(SimulationFailure, match="closes more than is held"):
        scenario.run(4.0)


def test_exits_that_add_to_the_accounts_position_come_about() -> None:
    scenario = Scenario(Script("trading", 0), trace=0)
    scenario.run()
    assert scenario.audit.leaving > 3
