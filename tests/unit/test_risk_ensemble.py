"""The first step of an evaluation: what all live opinions on a symbol come to."""

from __future__ import annotations

import math

import pytest

from actors.messages.learning import Ban, Policy, PolicyIssued, Stage
from actors.messages.signals import Approved, Blocked, Generated, Verdict
from actors.risk import state
from actors.risk.brain import KINDS, RiskBrain
from exchanges.model.order import Side
from runtime.lifecycle import CaughtUp
from strategies.signal import Signal
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import BTC, ETH
from tests.unit.risk_desk import Desk, code


def full(desk: Desk, **changes: object) -> None:
    desk.entry(PolicyIssued(Policy(1, **changes), Stage.FULL))  # type: ignore[arg-type]


def step_of(verdict: Verdict, name: str) -> dict[str, str]:
    return next(step.inputs for step in verdict.steps if step.name == name)


def judged(desk: Desk, signal: Signal) -> Verdict:
    """Ask for a verdict and journal it, as the bus does."""
    desk.entry(Generated(signal.id, signal.strategy, signal.symbol, signal))
    verdict = desk.ask(signal)
    of = (signal.id, signal.strategy, signal.symbol)
    learned = (verdict.regime, verdict.policy, verdict.arm)
    if verdict.order is not None:
        desk.entry(Approved(*of, verdict.order, verdict.steps, *learned))
    else:
        desk.entry(Blocked(*of, verdict.gate, verdict.code, verdict.detail, verdict.steps, *learned))
    return verdict


def test_a_strategy_alone_is_judged_by_its_own_conviction() -> None:
    verdict = Desk().ask(Desk().signal(0, conviction=0.6))
    assert [step.name for step in verdict.steps[:3]] == ["bans", "ensemble", "conviction"]
    assert step_of(verdict, "ensemble")["combined"] == "0.6"
    assert step_of(verdict, "conviction")["conviction"] == "0.6"


def test_the_opinions_of_one_signal_are_weighted_by_what_was_learned_of_their_sources() -> None:
    desk = Desk()
    full(desk, weights={"flow|": 3.0, "noise|": 0.0})
    sources = {"flow": 0.8, "noise": -1.0, "trend": 0.4}
    verdict = desk.ask(desk.signal(0, sources=sources))
    seen = step_of(verdict, "ensemble")
    assert seen["combined"] == "0.7"  # (3 * 0.8 + 0 * -1 + 1 * 0.4) / 4
    assert (seen["flow"], seen["noise"]) == ("0.8 weight=3 age_ns=0", "-1 weight=0 age_ns=0")
    assert verdict.policy == 1


def test_the_live_opinion_of_another_strategy_counts_with_its_age_and_a_dead_one_does_not() -> None:
    desk = Desk(max_data_age_ns=60 * SECOND, max_state_age_ns=60 * SECOND)
    judged(desk, desk.signal(0, conviction=0.9, strategy="other", ttl_ns=5 * SECOND))
    desk.ctx.now += 2 * SECOND
    denied = desk.ask(desk.signal(1, side=Side.SELL, conviction=0.3))
    assert (denied.gate, denied.code) == ("ensemble", "ENSEMBLE_DISAGREES")
    assert step_of(denied, "ensemble")["other@other"] == f"0.9 weight=1 age_ns={2 * SECOND}"
    weak = desk.ask(desk.signal(2, conviction=0.3))
    assert step_of(weak, "conviction")["conviction"] == "0.6"
    desk.ctx.now += 3 * SECOND
    assert desk.ask(desk.signal(3, side=Side.SELL, conviction=0.3)).order is not None


def test_opinions_on_another_symbol_and_from_dry_runs_and_exits_are_not_heard() -> None:
    desk = Desk()
    desk.hold("0.5")
    for ordinal, changes in enumerate(({"symbol": ETH}, {"dry_run": True}, {"reduce_only": True})):
        judged(desk, desk.signal(ordinal, side=Side.SELL, conviction=1.0, strategy=f"s{ordinal}", **changes))
    assert step_of(desk.ask(desk.signal(9, conviction=0.4)), "ensemble")["combined"] == "0.4"


def test_an_exit_takes_back_what_its_strategy_has_said() -> None:
    desk = Desk()
    judged(desk, desk.signal(0, strategy="other", conviction=1.0))
    desk.ctx.now += 1
    judged(desk, desk.signal(1, strategy="other", side=Side.SELL, reduce_only=True))
    assert desk.ask(desk.signal(2, side=Side.SELL, conviction=0.2)).order is not None


def test_a_reduction_is_never_held_back_by_what_others_think() -> None:
    desk = Desk()
    desk.hold("2")
    judged(desk, desk.signal(0, strategy="other", conviction=1.0))
    order = desk.ask(desk.signal(1, side=Side.SELL, conviction=0.1, reduce_only=True)).order
    assert order is not None and order.reduce_only


def test_a_signal_of_which_no_source_has_weight_is_denied() -> None:
    desk = Desk()
    full(desk, weights={"trend|": 0.0})
    assert code(desk.ask(desk.signal(0))) == "ENSEMBLE_SILENT"
    assert code(desk.ask(desk.signal(1, sources={"x": math.nan}))) == "ENSEMBLE_SILENT"


def test_a_banned_source_has_no_weight_until_its_ban_ends() -> None:
    desk = Desk(max_data_age_ns=60 * SECOND, max_state_age_ns=60 * SECOND)
    full(desk, bans={"a": Ban(desk.ctx.now + SECOND, "decayed")})
    sources = {"a": -1.0, "b": 0.5}
    assert step_of(desk.ask(desk.signal(0, sources=sources)), "ensemble")["combined"] == "0.5"
    desk.ctx.now += SECOND
    assert code(desk.ask(desk.signal(1, sources=sources))) == "ENSEMBLE_DISAGREES"


def test_switched_off_only_the_signals_own_opinions_count() -> None:
    desk = Desk(ensemble=False)
    judged(desk, desk.signal(0, strategy="other", conviction=1.0))
    assert desk.ask(desk.signal(1, side=Side.SELL, conviction=0.1)).order is not None


@pytest.mark.parametrize("lost", [False, True])
def test_a_restart_knows_the_same_voices_from_its_snapshot_and_from_the_log_alone(lost: bool) -> None:
    desk = Desk()
    before = desk.brain.snapshot()
    journal = []
    for ordinal, strategy in enumerate(("b", "a", "b", "c")):
        signal = desk.signal(ordinal, strategy=strategy, conviction=0.1 * (ordinal + 1), quantity=None)
        judged(desk, signal)
        desk.ctx.now += 1
        journal.append(signal)
    voices = state.decode(desk.brain.snapshot()).voices
    assert set(voices[BTC]) == {"a", "b", "c"}
    again = Desk()
    if lost:
        again.restart(before)
        for signal in journal:
            again.ctx.now = signal.created_ns
            again.entry(Generated(signal.id, signal.strategy, signal.symbol, signal))
            steps = desk.ask(signal).steps
            again.entry(Blocked(signal.id, signal.strategy, signal.symbol, "x", "X", "", steps))
        again.ctx.deliver(again.brain, CaughtUp(again.seq))
    else:
        again.restart(desk.brain.snapshot())
    assert state.decode(again.brain.snapshot()).voices == voices


def test_a_signal_the_bus_ended_without_a_verdict_is_not_heard() -> None:
    desk = Desk()
    signal = desk.signal(0, strategy="other")
    desk.entry(Generated(signal.id, signal.strategy, signal.symbol, signal))
    desk.entry(Blocked(signal.id, signal.strategy, signal.symbol, "exchange", "HALTED", ""))
    held = state.decode(desk.brain.snapshot())
    assert (held.voices, held.spoken) == ({}, {})


def test_signals_are_followed_from_their_beginning() -> None:
    assert {"Generated", "PolicyIssued"} <= set(KINDS)
    assert isinstance(RiskBrain().status()["regimes"], dict)
