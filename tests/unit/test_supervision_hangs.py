"""What hangs each time is given up, although noticing a hang takes longer than a crash."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.supervision.policy import NANOSECONDS, Again, GiveUp, Intensity, RestartPolicy


def test_a_child_that_hangs_each_time_is_given_up_after_the_intensity() -> None:
    policy = RestartPolicy(Intensity(restarts=5, window_s=30.0, base_s=0.0, cap_s=0.0))
    silent_ns, start_ns = 5 * NANOSECONDS, 2 * NANOSECONDS
    now_ns = 0
    for _ in range(5):
        now_ns += start_ns + silent_ns
        assert isinstance(policy.decide(now_ns, silent_ns=silent_ns), Again)
    now_ns += start_ns + silent_ns
    assert isinstance(policy.decide(now_ns, silent_ns=silent_ns), GiveUp), "35 s, of which it was well for 12"


def test_hangs_far_apart_are_borne_for_ever() -> None:
    policy = RestartPolicy(Intensity(restarts=2, window_s=10.0))
    for number in range(1, 50):
        assert isinstance(policy.decide(number * 16 * NANOSECONDS, silent_ns=5 * NANOSECONDS), Again)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 8)), max_size=30))
def test_silence_is_taken_out_of_the_time_that_counts(steps: list[tuple[int, int]]) -> None:
    """With silence, decisions are those of a child that was never silent, on a clock that stood still meanwhile."""
    silent, plain = (RestartPolicy(Intensity(restarts=3, window_s=30.0)) for _ in range(2))
    now_s = well_s = 0
    for well, hung in steps:
        now_s, well_s = now_s + well + hung, well_s + well
        one = silent.decide(now_s * NANOSECONDS, silent_ns=hung * NANOSECONDS)
        two = plain.decide(well_s * NANOSECONDS)
        assert type(one) is type(two)
        if isinstance(one, GiveUp):
            return
