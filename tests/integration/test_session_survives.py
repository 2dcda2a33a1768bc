"""A session whose actors are killed one after the other loses nothing and sends nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from bigwheel import refold as folding
from bigwheel.replay import lines, replay, tapes, window_of
from tests.integration.stage import EVERY, SYMBOLS, Evidence, Json, Stage, brain_positions, on_stage, settings, to_eight
from tests.unit.front_door import bigwheel

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

VICTIMS = (
    "strategy/churn/bybit:ETHUSDT",
    "risk",
    "learner",
    "exchange/bybit",
    "bus",
    "strategies",
    "exchanges",
    "gateway",
    "venue/bybit",
    "root",
)
TOGETHER = (
    ("risk", "bus"),
    ("bus", "exchange/bybit"),
    ("strategies", "strategy/churn/bybit:BTCUSDT"),
    ("venue/bybit", "exchange/bybit", "learner"),
)


class Aftermath(NamedTuple):
    """What is left of the session once it has been stopped."""

    evidence: Evidence
    overview: Json
    took_s: dict[str, float]
    recovery_ms: dict[str, float]
    left_over: dict[int, str]


def _live_through_it(stage: Stage) -> dict[str, float]:
    """Kill each in turn, then some at one blow; the session must stand and trade again before the next."""
    stage.await_spares()
    stage.trades_on()
    took: dict[str, float] = {}
    for names in (*((name,) for name in VICTIMS), *TOGETHER):
        took[" + ".join(names)] = stage.kill(*names)
        stage.trades_on()
    return took


@pytest.fixture(scope="module")
def aftermath(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    store: Path = tmp_path_factory.mktemp("survives")
    spares = {"spares": {"core": 1, "exchange": 1, "strategy": 1}}
    with on_stage(settings(store, "survives", supervision=spares)) as stage:
        took = _live_through_it(stage)
        stage.act("halt")
        stage.trading("HALTED")
        stage.settle()
        venue, overview = stage.venue(), stage.seen()
    print("\nrecovery ms:", {name: round(value) for name, value in stage.recoveries.items()})
    print("back in s:", {name: round(value, 1) for name, value in took.items()})
    yield Aftermath(Evidence(store, venue), overview, took, stage.recoveries, stage.left_over())


def test_the_journal_is_sound_and_every_signal_in_it_has_ended_once(aftermath: Aftermath) -> None:
    assert aftermath.evidence.problems() == []


def test_no_signal_that_a_strategy_made_is_missing_from_the_journal(aftermath: Aftermath) -> None:
    assert aftermath.evidence.missing_signals() == []


def test_no_strategy_saw_a_trade_twice_or_forgot_one_it_had_seen(aftermath: Aftermath) -> None:
    for symbol in SYMBOLS:
        numbers = aftermath.evidence.trade_numbers(symbol)
        assert numbers == [EVERY * (place + 1) for place in range(len(numbers))]


def test_every_order_at_the_venue_is_there_once_and_was_approved_before_it_left(aftermath: Aftermath) -> None:
    assert len(aftermath.evidence.venue["orders"]) > len(VICTIMS)
    assert aftermath.evidence.unapproved_orders() == []


def test_every_execution_of_the_venue_is_in_the_journal_once(aftermath: Aftermath) -> None:
    theirs, ours = aftermath.evidence.executions()
    assert theirs == ours


def test_journal_venue_connection_and_risk_hold_the_same_positions(aftermath: Aftermath) -> None:
    evidence = aftermath.evidence
    truth = evidence.venue_positions()
    assert evidence.journal_positions() == truth
    assert brain_positions(aftermath.overview) == truth
    assert evidence.risk_positions() == truth
    assert evidence.openings() == sorted(SYMBOLS)


def test_the_fills_in_the_journal_explain_the_venues_cash(aftermath: Aftermath) -> None:
    evidence = aftermath.evidence
    assert evidence.journal_cash() == evidence.venue_cash() == to_eight(Decimal(aftermath.overview["cash"]))


def test_every_restart_is_journaled(aftermath: Aftermath) -> None:
    assert set(VICTIMS) <= aftermath.evidence.restarts()


def test_no_process_is_left_behind(aftermath: Aftermath) -> None:
    assert aftermath.left_over == {}


def test_a_replay_decides_everything_the_same_again_through_all_restarts(aftermath: Aftermath) -> None:
    evidence = aftermath.evidence
    report = replay(tapes(evidence.store), window_of(evidence.store, 0, 0))
    assert report.ok, "\n".join(lines(report))
    lives = {(tally.actor, tally.epoch) for tally in report.tallies if tally.compared}
    assert len(lives) > len(VICTIMS)
    assert sum(tally.compared for tally in report.tallies) > len(evidence.records)


def test_as_a_backtest_it_gives_the_same_signals_and_orders_through_all_restarts(aftermath: Aftermath) -> None:
    answer = bigwheel("backtest", "--session", aftermath.evidence.store, "--json")
    found = json.loads(answer.out)
    assert answer.status == 0 and found["ok"], found
    assert found["signals"]["equal"] == found["signals"]["recorded"] > len(VICTIMS)
    assert found["orders"]["equal"] == found["orders"]["recorded"] >= len(aftermath.evidence.venue["orders"])
    assert found["anew"]["records"] > found["borrowed"]


def test_what_the_bus_and_risk_knew_at_a_record_is_shown(aftermath: Aftermath) -> None:
    evidence = aftermath.evidence
    middle = next(r for r in evidence.records[len(evidence.records) // 2 :] if r.kind == "Filled")
    window = window_of(evidence.store, 0, 0, str(middle.seq))
    states = {state.actor: state for state in replay(tapes(evidence.store), window, inspect=True).states}
    known = states["bus"].state["ledger"]["seq"]
    # One message may write several records, and a kill takes what was not on the tape yet.
    assert known <= middle.seq + 10
    assert evidence.records[known - 1].ts > middle.ts - 5 * 10**9
    assert states["risk"].messages > 0


def test_the_fold_of_the_journal_is_what_the_bus_knew(aftermath: Aftermath) -> None:
    found = folding.refold(aftermath.evidence.store)
    assert found.ok, "\n".join(folding.lines(found))
    assert found.comparisons
    assert found.records == len(aftermath.evidence.records)
