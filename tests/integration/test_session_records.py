"""What sessions under ``kill -9`` have taught about reading their journals."""

from __future__ import annotations

from itertools import pairwise

from actors.bus.sweep import BusSweep
from actors.bus.turn import keys_of
from actors.messages.signals import Emit, Evaluating, Generated, SignalStuck
from bigwheel.books import Books, records
from bigwheel.queries import select
from runtime.journal.memory import MemoryJournal
from runtime.message import Message
from strategies.signal import SignalState
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import make_signal
from tests.unit.bus_desk import started


def journal_of(*events: Message) -> MemoryJournal:
    journal = MemoryJournal()
    for event in events:
        keys = keys_of(event)
        journal.append(event, ts=1, source="bus", epoch=1, keys=keys, correlation=keys.get("signal", ""))
    journal.commit()
    return journal


def test_a_warning_that_a_signal_is_stuck_changes_neither_its_state_nor_the_summary() -> None:
    signal = make_signal()
    facts = (signal.id, signal.strategy, signal.symbol)
    journal = journal_of(
        Generated(*facts, signal), Evaluating(*facts), SignalStuck(*facts, SignalState.EVALUATING.value, SECOND, "slow")
    )
    assert Books.of(records(journal)).signals == {"EVALUATING": 1}
    assert [row.state for row in select(journal)] == ["EVALUATING"]


def test_a_signal_asked_about_very_often_is_shown_in_the_state_it_is_in() -> None:
    signal = make_signal()
    facts = (signal.id, signal.strategy, signal.symbol)
    asked = [Evaluating(*facts, attempt) for attempt in range(1, 1_500)]
    journal = journal_of(Generated(*facts, signal), *asked)
    assert [row.state for row in select(journal, state="evaluating")] == ["EVALUATING"]


def test_while_risk_is_silent_the_bus_asks_ever_less_often() -> None:
    brain, ctx = started()
    ctx.deliver(brain, Emit(make_signal(created_ns=ctx.now, ttl_ns=600 * SECOND)), "strategy/trend/bybit:BTCUSDT")
    asked = []
    for _ in range(4 * 60):
        ctx.now += SECOND // 4
        before = sum(record.event.__class__ is Evaluating for record in ctx.records)
        ctx.deliver(brain, BusSweep(), "bus")
        if sum(record.event.__class__ is Evaluating for record in ctx.records) > before:
            asked.append(ctx.now)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert 3 <= len(asked) <= 8
    assert gaps == sorted(gaps)
    assert gaps[-1] <= 17 * SECOND
