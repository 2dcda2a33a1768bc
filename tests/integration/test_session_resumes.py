"""A session that was stopped, or killed whole, goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actors.messages.learning import FeedbackIssued
from bigwheel.reruns.report import lines
from bigwheel.reruns.run import rerun
from tests.integration.stage import (
    EVERY,
    STARTING_CASH,
    SYMBOLS,
    Evidence,
    Json,
    Stage,
    brain_positions,
    made_signals,
    on_stage,
    settings,
    to_eight,
    until,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

LEARNING = {
    "horizon_s": 0.5,
    "minimum_outcomes": 2,
    "policy_every": 1,
    "shadow_samples": 0,
    "trial_samples": 0,
}


class Picture(NamedTuple):
    """A session at rest: what it says of itself, what the venue says, what is journaled."""

    overview: Json
    venue: Json
    strategies: dict[str, Json]
    evidence: Evidence


def _settings(store: Path) -> Any:
    return settings(store, "resumes", learner=LEARNING)


def _brains(stage: Stage) -> dict[str, Json]:
    """What each strategy's brain says of itself, by symbol."""
    assert stage.session is not None
    found: dict[str, Json] = {}
    for nest in stage.session.tree()["children"]:
        for child in nest["detail"].get("children", []):
            for cell in child["detail"].get("cells", []):
                if "label" in (cell["detail"] or {}):
                    found[cell["detail"]["symbol"]] = cell["detail"]
    assert set(found) == set(SYMBOLS)
    return found


def _at_rest(stage: Stage) -> Picture:
    stage.act("halt")
    stage.trading("HALTED")
    until(lambda: stage.overview().get("signals", {}).get("BLOCKED"), 30, "a signal the halt blocks")
    stage.settle()
    return Picture(stage.seen(), stage.venue(), _brains(stage), Evidence(stage.store, stage.venue()))


def _learned(stage: Stage) -> None:
    """Trade until something was learned and a position is held."""

    def enough() -> bool:
        said = _brains(stage).values()
        return any(one["feedback_version"] for one in said) and all(one["signals"] > 2 for one in said)

    until(enough, 30, "feedback")


class History(NamedTuple):
    """The three lives of one store: stopped, resumed and killed whole, recovered."""

    stopped: Picture
    after_stop: Evidence
    left_over: dict[int, str]
    resumed: Picture
    killed: set[int]
    killed_venue: Json
    made: dict[str, list[str]]
    recovered: Picture
    ended: Evidence


@pytest.fixture(scope="module")
def history(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    store: Path = tmp_path_factory.mktemp("resumes")
    with on_stage(_settings(store)) as stage:
        stage.trades_on()
        _learned(stage)
        stopped = _at_rest(stage)
        stage.act("resume")
        stage.trading("ACTIVE")
        stage.trades_on()
        stage.stop()
        left_over, after_stop = stage.left_over(), Evidence(store, stopped.venue)
    with on_stage(_settings(store)) as stage:
        first_look = Picture(stage.seen(), stage.venue(), _brains(stage), Evidence(store, stage.venue()))
        stage.trades_on()
        killed_venue = stage.venue()
        killed = stage.kill_whole()
        made = {symbol: made_signals(store, symbol) for symbol in SYMBOLS}
    with on_stage(_settings(store)) as stage:
        stage.trades_on()
        recovered = _at_rest(stage)
    yield History(
        stopped,
        after_stop,
        left_over,
        first_look,
        killed,
        killed_venue,
        made,
        recovered,
        Evidence(store, recovered.venue),
    )


def test_an_orderly_stop_leaves_no_signal_open_and_no_order_working(history: History) -> None:
    assert history.after_stop.problems() == []
    assert all(order.status.final for order in history.after_stop.books.orders.values())
    working = [order for order in history.resumed.venue["orders"] if order["orderStatus"] in ("New", "PartiallyFilled")]
    assert working == []


def test_an_orderly_stop_leaves_no_process_behind(history: History) -> None:
    assert history.left_over == {}


def test_the_next_start_holds_the_positions_and_the_money_that_were_left(history: History) -> None:
    before, after = history.after_stop, history.resumed.evidence
    assert before.books.executions <= after.books.executions
    assert before.openings() == after.openings() == sorted(SYMBOLS), "books are begun once, and continued ever after"
    assert Decimal(history.resumed.overview["cash"]) != STARTING_CASH


def test_the_venue_keeps_its_books_over_a_stop(history: History) -> None:
    earlier = {execution["execId"] for execution in history.stopped.venue["executions"]}
    later = {execution["execId"] for execution in history.resumed.venue["executions"]}
    assert earlier and earlier <= later
    assert {name for _, name in history.after_stop.books.executions} <= later


def test_signals_are_counted_on(history: History) -> None:
    before, after = history.stopped, history.resumed
    assert before.overview["signals"]["GENERATED"] <= after.overview["signals"]["GENERATED"]
    for symbol in SYMBOLS:
        assert before.strategies[symbol]["signals"] <= after.strategies[symbol]["signals"]


def test_strategies_go_on_with_their_state_and_what_was_learned(history: History) -> None:
    for symbol in SYMBOLS:
        before, after = history.stopped.strategies[symbol], history.resumed.strategies[symbol]
        assert before["ticks"] > 0 and after["ticks"] >= before["ticks"]
        assert after["feedback_version"] >= before["feedback_version"]
    assert any(said["feedback_version"] for said in history.stopped.strategies.values())


def test_a_strategy_counts_trades_on_from_where_it_stopped(history: History) -> None:
    for symbol in SYMBOLS:
        numbers = history.resumed.evidence.trade_numbers(symbol)
        assert numbers == [EVERY * (place + 1) for place in range(len(numbers))]
        assert len(numbers) >= len(history.after_stop.trade_numbers(symbol)) > 0


def test_feedback_versions_rise_over_all_starts(history: History) -> None:
    seen: dict[tuple[str, str], int] = {}
    for record in history.ended.records:
        event = record.event
        if isinstance(event, FeedbackIssued):
            key = event.strategy, event.symbol
            assert event.version == seen.get(key, 0) + 1
            seen[key] = event.version
    assert seen


def test_killing_everything_takes_only_signals_that_were_on_their_way(history: History) -> None:
    # Nothing was done about those: the market data they came from ended with the connection.
    missing = set(history.ended.missing_signals())
    for made in history.made.values():
        while made and made[-1] in missing:
            missing.discard(made.pop())
    assert missing == set()


def test_after_everything_was_killed_the_next_start_ends_consistent(history: History) -> None:
    assert len(history.killed) > 8
    ended = history.ended
    assert ended.problems() == []
    assert ended.unapproved_orders() == []
    theirs, ours = ended.executions()
    assert theirs == ours
    assert {execution["execId"] for execution in history.killed_venue["executions"]} <= theirs
    truth = ended.venue_positions()
    assert ended.journal_positions() == truth
    assert brain_positions(history.recovered.overview) == truth
    assert ended.risk_positions() == truth
    assert ended.openings() == sorted(SYMBOLS)
    assert ended.journal_cash() == ended.venue_cash() == to_eight(Decimal(history.recovered.overview["cash"]))


def test_the_session_as_a_backtest_gives_the_same_signals_and_orders(history: History) -> None:
    """Through an orderly stop, a resumption and a ``kill -9`` of everything."""
    found = rerun(history.ended.store)
    text = "\n".join(lines(found))
    assert found.ok, text
    assert found.signals.equal == found.signals.recorded > 6, text
    assert found.orders.equal == found.orders.recorded > 3, text
    assert found.signals.states["EXECUTED"] > 3 and found.signals.states["BLOCKED"] > 0, text
    assert found.anew["records"] > found.borrowed, text
    assert found.lives > 2 * found.actors, text
