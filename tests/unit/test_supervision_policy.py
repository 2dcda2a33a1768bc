"""The restart policy: what follows when a child ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.supervision.policy import (
    NANOSECONDS,
    Again,
    Escalate,
    GiveUp,
    Intensity,
    Leave,
    Restart,
    RestartPolicy,
)

S = NANOSECONDS


def test_the_first_restart_of_a_quiet_window_is_immediate() -> None:
    policy = RestartPolicy(Intensity())
    assert policy.decide(7 * S, normal=False) == Again(7 * S)


def test_a_permanent_child_is_started_again_even_after_a_normal_end() -> None:
    assert isinstance(RestartPolicy(Intensity()).decide(0, normal=True), Again)


def test_a_transient_child_stays_down_after_a_normal_end_and_not_after_a_crash() -> None:
    policy = RestartPolicy(Intensity(), restart=Restart.TRANSIENT)
    assert policy.decide(0, normal=True, reason="done") == Leave("done")
    assert isinstance(policy.decide(0, normal=False), Again)


def test_a_temporary_child_is_never_started_again() -> None:
    policy = RestartPolicy(Intensity(), restart=Restart.TEMPORARY)
    assert policy.decide(0, normal=False, reason="killed") == Leave("killed")
    assert policy.total == 0


def test_a_child_that_exceeds_the_intensity_is_given_up_with_the_reason_of_its_last_end() -> None:
    policy = RestartPolicy(Intensity(restarts=2, window_s=10))
    assert isinstance(policy.decide(0, normal=False), Again)
    assert isinstance(policy.decide(1, normal=False), Again)
    verdict = policy.decide(2, normal=False, reason="ValueError: bad tick")
    assert isinstance(verdict, GiveUp)
    assert "more than 2 restarts within 10 s" in verdict.reason
    assert "ValueError: bad tick" in verdict.reason


def test_a_critical_child_that_exceeds_the_intensity_escalates() -> None:
    policy = RestartPolicy(Intensity(restarts=0), critical=True)
    assert isinstance(policy.decide(0, normal=False), Escalate)


def test_restarts_older_than_the_window_do_not_count() -> None:
    policy = RestartPolicy(Intensity(restarts=1, window_s=10))
    assert policy.decide(0, normal=False) == Again(0)
    assert isinstance(policy.decide(10 * S - 1, normal=False), GiveUp)
    assert policy.decide(10 * S, normal=False) == Again(10 * S)
    assert policy.total == 2


def test_a_forgiven_child_starts_with_a_clean_slate() -> None:
    policy = RestartPolicy(Intensity(restarts=1))
    policy.decide(0, normal=False)
    policy.forgive()
    assert policy.decide(1, normal=False) == Again(1)


def test_an_impossible_intensity_is_refused() -> None:
    with pytest.raises(ValueError, match="base_s <= cap_s"):
        Intensity(base_s=2, cap_s=1)


gaps = st.lists(st.integers(min_value=0, max_value=20 * S), min_size=1, max_size=60)
intensities = st.builds(
    Intensity,
    restarts=st.integers(0, 6),
    window_s=st.floats(0.5, 30),
    base_s=st.floats(0, 1),
    cap_s=st.floats(1, 20),
)


def moments(steps: list[int]) -> list[int]:
    now, out = 0, []
    for step in steps:
        now += step
        out.append(now)
    return out


@given(intensities, gaps, st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_no_window_ever_holds_more_restarts_than_the_intensity_allows(
    intensity: Intensity, steps: list[int], seed: int
) -> None:
    policy = RestartPolicy(intensity, seed=seed)
    granted = [now for now in moments(steps) if isinstance(policy.decide(now, normal=False), Again)]
    window = round(intensity.window_s * S)
    for start in granted:
        assert sum(start <= other < start + window for other in granted) <= intensity.restarts
    assert policy.total == len(granted)


@given(intensities, gaps, st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_a_delay_is_never_negative_and_never_above_its_exponential_ceiling(
    intensity: Intensity, steps: list[int], seed: int
) -> None:
    policy = RestartPolicy(intensity, seed=seed)
    for now in moments(steps):
        before = policy.recent(now)
        verdict = policy.decide(now, normal=False)
        if not isinstance(verdict, Again):
            continue
        ceiling = min(intensity.cap_s, intensity.base_s * 2 ** (before - 1)) if before else 0.0
        assert 0 <= verdict.at_ns - now <= round(ceiling * S)


@given(intensities, gaps, st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_the_same_seed_and_ends_give_the_same_decisions(intensity: Intensity, steps: list[int], seed: int) -> None:
    one, two = (RestartPolicy(intensity, seed=seed) for _ in range(2))
    for now in moments(steps):
        assert one.decide(now, normal=False) == two.decide(now, normal=False)
