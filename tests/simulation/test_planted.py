"""Every invariant is able to fail, and at the event that broke it, though checks look only after what touches them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from actors import names
from bigwheel.simulations.audit import Audit
from bigwheel.simulations.invariants import INVARIANTS
from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.scenarios import simulate
from bigwheel.simulations.script import Script
from bigwheel.simulations.traders import ROGUE
from bigwheel.simulations.venue import BTC, SimulatedVenue, VenueFaults
from runtime.simulation.faults import SECOND, FaultPlan
from runtime.simulation.world import CROSS_CHECK, SimulationFailure
from strategies.signal import SignalState
from tests.simulation.planters import PLANTED, Planter

AT_NS = 2 * SECOND
"""When the violation is planted: signals of every kind have gone their way."""


def calm() -> Scenario:
    return Scenario(Script("trading", 1), plan=FaultPlan(), venue=VenueFaults(), trace=0)


def broken(planter: Planter, *, thorough: bool) -> SimulationFailure:
    """What a run fails by into which a violation was planted."""
    run = calm()
    run.world.thorough = thorough
    run.world.start()
    run.world.run(AT_NS)
    run.world.scheduler.after(0, planter, run)
    with pytest.raises(SimulationFailure) as caught:
        run.world.run(AT_NS + SECOND)
    return caught.value


@pytest.mark.parametrize("invariant", PLANTED)
def test_a_planted_violation_is_caught_at_the_event_at_which_a_look_after_every_event_catches_it(
    invariant: str,
) -> None:
    failures = [broken(PLANTED[invariant], thorough=thorough) for thorough in (False, True)]
    assert [failure.invariant.split()[0] for failure in failures] == [invariant] * 2
    assert str(failures[0]) == str(failures[1])


class Blind:
    """A check that never sees what was planted."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def overlooked(self) -> str:
        return "what was planted"


def test_a_change_that_no_check_was_told_of_is_noticed_soon() -> None:
    run = calm()
    run.world.start()
    run.world.run(SECOND)
    at = run.world.events
    run.world.checks = [blind := Blind()]
    with pytest.raises(SimulationFailure, match="no check was told of what was planted") as caught:
        run.world.run(10 * SECOND)
    assert caught.value.invariant == "nothing-is-overlooked"
    assert 0 < blind.looks < run.world.events - at <= CROSS_CHECK


# -- what is checked at the end ------------------------------------------------------

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def ended() -> Scenario:
    """A run that held, at its end."""
    run = calm()
    run.run(2.0)
    return run


def _cell(audit: Audit, patch: Patch) -> None:
    patch.setattr(audit.world.processes[names.RISK].engine.seats[names.RISK].cell, "restarts", 1)


def _open(audit: Audit, patch: Patch) -> None:
    patch.setitem(audit.states, "planted", SignalState.APPROVED)


def _unlearned(audit: Audit, patch: Patch) -> None:
    patch.setitem(audit.states, "planted", SignalState.EXECUTED)


def _flow(audit: Audit, patch: Patch) -> None:
    patch.setitem(audit.flows, "planted", next(iter(audit.flows.values())))


def _kept(audit: Audit, patch: Patch) -> None:
    patch.setitem(audit.state(names.BUS).ledger.flows, "planted", None)


def _made_up(audit: Audit, patch: Patch) -> None:
    patch.setattr(audit, "executions", {*audit.executions, ("bybit", "made up")})


def _position(audit: Audit, patch: Patch) -> None:
    patch.setitem(audit.positions, BTC, audit.positions[BTC] + 1)


def _share(audit: Audit, patch: Patch) -> None:
    label = "gambler"
    patch.setitem(audit.shares, (label, BTC), audit.shares.get((label, BTC), Decimal(0)) + 1)


def _waiting(audit: Audit, patch: Patch) -> None:
    patch.setitem(audit.brain(ROGUE).open, 10**9, None)


def _ledger(audit: Audit, patch: Patch) -> None:
    ledger: Any = audit.state(names.BUS).ledger
    patch.setattr(ledger, "seq", ledger.seq + 1)


LEFT: dict[str, Callable[[Audit, Patch], None]] = {
    "nothing-fails": _cell,
    "signals-end": _open,
    "signals-are-learned": _unlearned,
    "flows-end": _flow,
    "ended-flows-forgotten": _kept,
    "executions-complete": _made_up,
    "books-agree": _position,
    "shares-agree": _share,
    "nothing-waits": _waiting,
    "journal-refolds": _ledger,
}


@pytest.mark.parametrize("invariant", LEFT)
def test_what_is_left_wrong_at_the_end_is_caught_there(invariant: str, ended: Scenario, monkeypatch: Patch) -> None:
    ended.audit.finish()
    monkeypatch.setattr(ended.world, "_failure", None)
    LEFT[invariant](ended.audit, monkeypatch)
    with pytest.raises(SimulationFailure) as caught:
        ended.audit.finish()
    assert caught.value.invariant == invariant


def test_stops_that_the_market_does_not_meet_are_missed(monkeypatch: Patch) -> None:
    monkeypatch.setattr(SimulatedVenue, "jump", lambda *_: None)
    found = (simulate(Script("outage", seed))[0] for seed in range(8))
    assert "stops-protect-without-us" in {outcome.broken for outcome in found}


def test_each_invariant_has_a_violation_that_is_planted() -> None:
    limits = {name for name in INVARIANTS if name.startswith("limit-")}
    """Planted by ``test_attack.py``."""
    others = {"nothing-is-overlooked", "stops-protect-without-us"}
    assert set(PLANTED) | set(LEFT) | limits | others == set(INVARIANTS)
