"""What is known of sources, convictions and patterns: bounded, checked, the same each time."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from scipy.stats import false_discovery_control, ttest_ind

from actors.learner import experts
from actors.learner.discovery import benjamini_hochberg, discover
from actors.learner.drift import revive
from actors.learner.experts import Expert
from actors.learner.probability import Bins, isotonic, knots, probability
from actors.learner.samples import COLUMNS, Samples
from actors.learner.settings import LearnerSettings
from actors.messages.learning import Condition, Pattern
from actors.traits import traits
from runtime.errors import SnapshotError
from tests.unit.brain_context import SECOND

SETTINGS = LearnerSettings()


def paid(values: list[float], told: LearnerSettings = SETTINGS) -> Expert:
    expert = Expert()
    for number, value in enumerate(values):
        expert.take(value, told, number)
    return expert


def noise(seed: int, count: int, mean: float = 0.0) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(mean, 1.0) * 0.01 for _ in range(count)]


def test_a_source_that_pays_weighs_more_and_one_that_costs_less() -> None:
    good, bad = paid(noise(1, 100, 0.4)), paid(noise(1, 100, -0.4))
    assert experts.weight(good, SETTINGS) > 1.5 > 0.7 > experts.weight(bad, SETTINGS)


def test_a_source_hardly_heard_of_weighs_as_much_as_any() -> None:
    assert experts.weight(paid([0.5] * (SETTINGS.minimum_outcomes - 1)), SETTINGS) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), max_size=80))
def test_weights_stay_within_their_bounds_whatever_is_paid(values: list[float]) -> None:
    weight = experts.weight(paid(values), SETTINGS)
    assert SETTINGS.weight_min <= weight <= SETTINGS.weight_max


def test_what_was_paid_long_ago_fades() -> None:
    rich = paid([0.01] * 50)
    before = experts.weight(rich, SETTINGS)
    for number in range(400):
        rich.take(0.01 if number % 2 else -0.01, SETTINGS, number)
    assert before > 2.0
    assert experts.weight(rich, SETTINGS) < 1.3


def test_the_memory_of_a_source_that_decays_is_cut() -> None:
    told = msgspec.structs.replace(SETTINGS, source_half_life=1e6)
    expert = paid(noise(2, 300, 0.5), told)
    assert experts.weight(expert, told) == pytest.approx(told.weight_max)
    decayed = 0
    for number, value in enumerate(noise(3, 150, -0.3)):
        expert.take(value, told, 1_000 + number)
        decayed = decayed or (number if expert.cuts else 0)
    assert 0 < decayed < 80
    assert expert.cut_ns >= 1_000
    assert experts.weight(expert, told) < 1.0


def test_a_source_that_never_paid_is_not_absolved_by_an_alarm() -> None:
    expert = paid(noise(4, 200, -0.1) + noise(5, 200, -1.5))
    assert expert.cuts > 0
    assert experts.weight(expert, SETTINGS) == pytest.approx(SETTINGS.weight_min)


def test_a_source_goes_on_from_its_snapshot_as_if_nothing_had_happened() -> None:
    values = noise(6, 200, 0.3) + noise(7, 200, -0.3)
    steady, shaken = Expert(), Expert()
    for number, value in enumerate(values):
        steady.take(value, SETTINGS, number)
        shaken.take(value, SETTINGS, number)
        if number % 37 == 0:
            shaken = msgspec.msgpack.decode(msgspec.msgpack.encode(shaken), type=Expert)
    assert shaken == steady
    assert steady.cuts > 0


def test_bytes_that_are_no_detector_are_refused() -> None:
    with pytest.raises(SnapshotError, match="expected the state of a drift detector"):
        revive(b"nonsense")


# -- convictions -----------------------------------------------------------------------------


rates = st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 50)), min_size=1, max_size=12)


@settings(deadline=None)
@given(rates)
def test_pooling_agrees_with_the_reference(given_: list[tuple[float, float]]) -> None:
    values, weights = [rate for rate, _ in given_], [weight for _, weight in given_]
    expected = isotonic_regression(values, weights=weights).x
    assert isotonic(values, weights) == pytest.approx(list(expected), abs=1e-9)


outcomes = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=100)


@settings(max_examples=60, deadline=None)
@given(outcomes)
def test_a_calibration_is_monotone_and_a_probability(given_: list[tuple[float, bool]]) -> None:
    bins = Bins()
    for conviction, won in given_:
        bins.take(conviction, won, 50.0)
    curve = knots(bins, 5.0, 5.0)
    assert [x for x, _ in curve] == sorted({x for x, _ in curve})
    chances = [p for _, p in curve]
    assert chances == sorted(chances)
    assert all(0 < p < 1 for p in chances)


def test_a_calibration_finds_what_convictions_are_worth_and_says_little_on_little() -> None:
    rng, much, little = random.Random(8), Bins(), Bins()
    for number in range(4_000):
        conviction = rng.random()
        won = rng.random() < 0.3 + 0.4 * conviction
        much.take(conviction, won, 1e9)
        if number < 3:
            little.take(conviction, True, 1e9)
    curve = knots(much, 5.0, 5.0)
    for conviction in (0.1, 0.5, 0.9):
        assert probability(curve, conviction) == pytest.approx(0.3 + 0.4 * conviction, abs=0.05)
    assert all(p < 0.75 for _, p in knots(little, 5.0, 5.0))


def test_beyond_its_knots_a_curve_is_flat_and_between_them_linear() -> None:
    curve = ((0.2, 0.4), (0.6, 0.6))
    assert [probability(curve, x) for x in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0.4, 0.4, 0.5, 0.6, 0.6])
    assert probability((), 0.5) is None


# -- patterns --------------------------------------------------------------------------------


def sampled(seed: int, count: int, effect: float, columns: int = 6) -> Samples:
    """Signals whose outcome is worse by ``effect`` deviations where ``f0`` is in its upper quarter."""
    rng, samples = random.Random(seed), Samples()
    for _ in range(count):
        row = {f"f{number}": rng.random() for number in range(columns)}
        samples.add(row, rng.gauss(0.0, 0.01) - (effect * 0.01 if row["f0"] > 0.75 else 0.0), 10_000)
    return samples


def test_a_planted_pattern_is_found_with_its_effect() -> None:
    found = discover("trend", sampled(1, 800, 1.0), SETTINGS)
    first = found[0]
    assert [each.feature for each in first.conditions] == ["f0"]
    assert first.conditions[0].low == pytest.approx(0.75, abs=0.05) and first.conditions[0].high == math.inf
    assert first.effect == pytest.approx(-0.01, abs=0.004)
    assert first.p_value < SETTINGS.pattern_rate


def test_a_pattern_of_two_features_is_found_where_neither_shows_it_alone() -> None:
    rng, samples = random.Random(2), Samples()
    for _ in range(1_500):
        a, b = rng.random(), rng.random()
        both = (a > 0.75) == (b > 0.75)
        samples.add({"a": a, "b": b}, rng.gauss(0.0, 0.01) + (0.01 if both and a > 0.75 else 0.0), 10_000)
    assert any({each.feature for each in found.conditions} == {"a", "b"} for found in discover("x", samples, SETTINGS))


def test_in_noise_hardly_anything_is_found() -> None:
    histories = [discover("trend", sampled(seed, 400, 0.0, columns=10), SETTINGS) for seed in range(40)]
    assert sum(1 for found in histories if found) <= 3


def test_what_held_in_the_earlier_half_alone_is_no_pattern() -> None:
    early, late = sampled(3, 400, 1.5), sampled(4, 400, 0.0)
    samples = Samples(early.names, [*early.rows, *late.rows], [*early.values, *late.values])
    assert not [each for each in discover("trend", samples, SETTINGS) if each.conditions[0].feature == "f0"]


def test_the_same_samples_give_the_same_patterns() -> None:
    samples = sampled(5, 400, 1.0, columns=COLUMNS + 10)
    assert discover("trend", samples, SETTINGS) == discover("trend", samples, SETTINGS)
    assert len(samples.names) == COLUMNS


def test_too_few_samples_are_no_ground_for_a_pattern() -> None:
    assert discover("trend", sampled(6, 4 * SETTINGS.pattern_minimum - 2, 5.0), SETTINGS) == ()


def test_features_that_never_change_or_are_mostly_missing_are_passed_over() -> None:
    samples, rng = Samples(), random.Random(7)
    for number in range(300):
        row = {"same": 1.0, **({"rare": rng.random()} if number % 2 else {})}
        samples.add(row, rng.gauss(0, 1), 1_000)
    assert discover("trend", samples, SETTINGS) == ()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_correction_for_many_tests_agrees_with_the_reference(values: list[float]) -> None:
    assert benjamini_hochberg(np.asarray(values)) == pytest.approx(false_discovery_control(values))


def test_a_found_difference_is_the_references() -> None:
    samples = sampled(9, 800, 1.0, columns=1)
    pattern = discover("trend", samples, SETTINGS)[0]
    inside = [pattern.holds({"f0": row[0]}) for row in samples.rows]
    half = len(inside) // 2
    group = [v for v, held in zip(samples.values[:half], inside[:half], strict=True) if held]
    rest = [v for v, held in zip(samples.values[:half], inside[:half], strict=True) if not held]
    assert pattern.p_value >= ttest_ind(group, rest, equal_var=False).pvalue


def test_a_pattern_holds_where_all_its_conditions_do() -> None:
    pattern = Pattern("trend", (Condition("hour", 9.0, 17.0), Condition("regime:calm", 0.5, math.inf)), 50, -0.01, 0.01)
    noon = 12 * 3_600 * SECOND
    assert pattern.holds(traits({}, 0.5, noon, "calm"))
    assert not pattern.holds(traits({}, 0.5, noon, "wild"))
    assert not pattern.holds(traits({}, 0.5, noon * 2, "calm"))
    assert pattern.scope == "trend[9<=hour<17 0.5<=regime:calm<inf]"
