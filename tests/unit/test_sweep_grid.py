"""Which combinations a sweep runs: values, ranges, conditions, samples."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.grid import Grid, combinations
from bigwheel.sweeps.syntax import axis, value
from bigwheel.sweeps.where import Where

_GRIDS = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True), max_size=4
)


@given(_GRIDS)
def test_every_combination_has_a_number_of_its_own(values: dict[str, list[int]]) -> None:
    grid = Grid(values)
    listed = [grid.at(number) for number in range(grid.size)]
    assert listed == [dict(zip(values, each, strict=True)) for each in product(*values.values())]


@given(_GRIDS, st.integers(1, 300), st.integers(0, 5))
def test_a_sample_is_drawn_from_the_grid_without_repetition(
    values: dict[str, list[int]], count: int, seed: int
) -> None:
    grid = Grid(values)
    drawn = combinations(grid, {}, samples=count, seed=seed)
    whole = [grid.at(number) for number in range(grid.size)]
    assert len(drawn) == min(count, grid.size)
    assert all(each in whole for each in drawn) and len({str(each) for each in drawn}) == len(drawn)
    assert drawn == combinations(grid, {}, samples=count, seed=seed)


def test_a_grid_too_large_to_list_is_sampled_where_the_condition_holds() -> None:
    grid = Grid({name: range(1_000) for name in "abc"})
    drawn = combinations(grid, {}, ("a < b < c",), samples=50, seed=3)
    assert len(drawn) == 50 and all(each["a"] < each["b"] < each["c"] for each in drawn)
    with pytest.raises(SweepError, match="at most 1,000,000 combinations, found 1,000,000,000; draw"):
        combinations(grid, {})


def test_conditions_see_fixed_parameters_and_leave_the_order_as_it_is() -> None:
    grid = Grid({"fast": [5, 10, 20], "slow": np.arange(10, 31, 10)})
    chosen = combinations(grid, {"most": 20}, ("fast < slow", "slow <= most"))
    assert [(each["fast"], each["slow"]) for each in chosen] == [(5, 10), (5, 20), (10, 20)]
    assert all(type(each["slow"]) is int and each["most"] == 20 for each in chosen)


@pytest.mark.parametrize(
    ("values", "fixed", "where", "said"),
    [
        ({"a": []}, {}, (), "at least one value for a"),
        ({"a": [1, 2, 1]}, {}, (), "each value of a once, found 1 again"),
        ({"a": [[1]]}, {}, (), r"expected numbers, texts, true, false or null for a, found \[1\]"),
        ({"a": [float("nan")]}, {}, (), "finite numbers for a"),
        ({"a": [1]}, {"a": 2}, (), "found it in both"),
        ({"a": [1]}, {}, ("a > 1",), "combinations for which a > 1, found none"),
        ({"a": ["x", 1]}, {}, ("a < 5",), "make sense for"),
    ],
)
def test_a_grid_that_makes_no_sense_is_told(values: Any, fixed: Any, where: Any, said: str) -> None:
    with pytest.raises(SweepError, match=said):
        combinations(Grid(values), fixed, where)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fast=5,10", ("fast", [5, 10])),
        ("slow=20:60:20", ("slow", [20, 40, 60])),
        ("slow=3:5", ("slow", [3, 4, 5])),
        ("x=0.1:0.5:0.2", ("x", [0.1, 0.3, 0.5])),
        ("x=1,5:7,true,null,bars", ("x", [1, 5, 6, 7, True, None, "bars"])),
        ('x="a,b","1:3"', ("x", ["a,b", "1:3"])),
        ("x = -2:2:2", ("x", [-2, 0, 2])),
    ],
)
def test_values_of_a_parameter_are_read(text: str, found: tuple[str, list[Any]]) -> None:
    name, values = axis(text)
    assert (name, values) == found and [type(each) for each in values] == [type(each) for each in found[1]]


@pytest.mark.parametrize("text", ["fast", "=1", "fast=", "fast=1,,2", "fast=5:1", "fast=1:5:0", "fast=0:1:1e-9"])
def test_what_is_no_parameter_is_told(text: str) -> None:
    with pytest.raises(SweepError, match="expected"):
        axis(text)


def test_a_value_is_json_or_text() -> None:
    assert [value(text) for text in ("1", "1.5", "true", "null", "bars", "[1]")] == [1, 1.5, True, None, "bars", "[1]"]


_NUMBER = st.integers(-20, 20)
_TEXT = st.recursive(
    st.one_of(st.sampled_from("abc"), _NUMBER.map(lambda number: f"({number})")),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda told: "(" + " ".join(told) + ")"),
        inner.map(lambda told: f"(-{told})"),
    ),
    max_leaves=6,
)


@given(_TEXT, _TEXT, _TEXT, st.sampled_from(["and", "or"]), _NUMBER, _NUMBER, _NUMBER)
def test_a_condition_means_what_it_means_in_python(
    left: str, middle: str, right: str, word: str, a: int, b: int, c: int
) -> None:
    text = f"{left} < {middle} <= {right} {word} not {left} == {right}"
    expected = eval(text, {"__builtins__": {}}, {"a": a, "b": b, "c": c})
    assert Where(text, "abc").holds({"a": a, "b": b, "c": c}) is bool(expected)


@pytest.mark.parametrize(
    ("text", "holds"),
    [("a in (1, 2)", True), ("a not in [3]", True), ("a == 1 and b == 'x'", True), ("a % 2 == 0", False)],
)
def test_conditions_compare_with_lists_and_texts(text: str, holds: bool) -> None:
    assert Where(text, ("a", "b")).holds({"a": 1, "b": "x"}) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.real",
        "a[0]",
        "(lambda: a)()",
        "[x for x in (1,)]",
        "a ** 99",
        "a << 9",
        "f'{a}'",
        "a := 1",
        "a if a else a",
        "b''",
        "...",
        "1j",
        "",
        "a <",
        "a\x00",
        "(" * 300,
        "a < 1" + " and a < 1" * 100,
        "c < 1",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(SweepError, match="expected"):
        Where(text, ("a", "b"))


@pytest.mark.parametrize("text", ["b * 99 == 'x'", "a / 0 > 1", "a < b", "a % 0 == 1"])
def test_a_condition_that_makes_no_sense_for_values_is_told(text: str) -> None:
    with pytest.raises(SweepError, match="make sense"):
        Where(text, ("a", "b")).holds({"a": 1, "b": "x"})
