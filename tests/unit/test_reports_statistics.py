"""Statistics of a backtest: against empyrical and scipy, and where the right answer is known."""

from __future__ import annotations

import datetime as dt
import warnings
from math import isfinite, sqrt
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bigwheel.reports.returns import (
    ALWAYS_OPEN,
    EQUITIES,
    Daily,
    by_year,
    calendar_of,
    daily_returns,
    monthly_returns,
)
from bigwheel.reports.statistics import of_drawdown, of_returns, of_trades, statistics
from tests.unit.report_samples import DAY, HOUR, START, Sample, busy, curve, rows

changes = st.lists(st.integers(-80, 80).map(lambda n: n / 1000), min_size=3, max_size=300)
EMPYRICAL = {
    "total_return": lambda r, a: empyrical.cum_returns_final(r),
    "cagr": lambda r, a: empyrical.annual_return(r, annualization=a),
    "volatility": lambda r, a: empyrical.annual_volatility(r, annualization=a),
    "sharpe": lambda r, a: empyrical.sharpe_ratio(r, annualization=a),
    "sortino": lambda r, a: empyrical.sortino_ratio(r, annualization=a),
    "calmar": lambda r, a: empyrical.calmar_ratio(r, annualization=a),
    "max_daily_drawdown": lambda r, a: -empyrical.max_drawdown(r),
    "var_95": lambda r, a: empyrical.value_at_risk(r),
    "cvar_95": lambda r, a: empyrical.conditional_value_at_risk(r),
    "tail_ratio": lambda r, a: empyrical.tail_ratio(r),
    "skew": lambda r, a: stats.skew(r),
    "kurtosis": lambda r, a: stats.kurtosis(r),
}


def reference(name: str, returns: Any, a_year: int) -> float:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(EMPYRICAL[name](returns, a_year))


@settings(max_examples=150, deadline=None)
@given(changes, st.sampled_from((ALWAYS_OPEN, EQUITIES)))
def test_the_figures_of_returns_are_those_of_empyrical(series: list[float], a_year: int) -> None:
    returns = np.array(series)
    if np.ptp(returns) == 0:
        return  # its own test: empyrical divides by what is left of a rounding
    ours = of_returns(returns, a_year)
    for name in EMPYRICAL:
        theirs = reference(name, returns, a_year)
        if isfinite(theirs):
            assert ours[name] == pytest.approx(theirs, rel=1e-9, abs=1e-12), name
        else:
            assert ours[name] is None, name


@pytest.mark.parametrize("seed", range(5))
def test_normal_returns_of_three_years_have_empyricals_figures(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(0.0005, 0.02, 1_095)
    ours = of_returns(returns, ALWAYS_OPEN)
    for name in EMPYRICAL:
        assert ours[name] == pytest.approx(reference(name, returns, ALWAYS_OPEN), rel=1e-9), name


@pytest.mark.parametrize("value", [0.0, 0.001, -0.013])
def test_a_constant_return_has_no_ratio_that_divides_by_its_spread(value: float) -> None:
    figures = of_returns(np.full(40, value), ALWAYS_OPEN)
    assert figures["volatility"] == 0.0
    assert figures["sharpe"] is None and figures["skew"] is None and figures["kurtosis"] is None
    assert figures["total_return"] == pytest.approx((1 + value) ** 40 - 1)


def test_a_total_loss_is_a_growth_of_minus_one() -> None:
    assert of_returns(np.array([0.1, -1.0, 0.0]), ALWAYS_OPEN)["cagr"] == -1.0


@settings(max_examples=50, deadline=None)
@given(changes)
def test_months_compound_as_empyrical_has_them(series: list[float]) -> None:
    daily = Daily(START // DAY + np.arange(len(series)), np.array(series))
    dates = pd.to_datetime([dt.datetime.combine(daily.date(i), dt.time()) for i in range(len(series))])
    theirs = empyrical.aggregate_returns(pd.Series(series, dates), "monthly")
    months = monthly_returns(daily)
    assert [month[:2] for month in months] == list(theirs.index)
    assert [month.value for month in months] == pytest.approx(theirs.tolist(), rel=1e-9, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(changes, st.integers(1, 24))
def test_daily_returns_undo_a_curve_whatever_its_grid(series: list[float], hours: int) -> None:
    closes = 1_000.0 * np.cumprod([1.0, *(1.0 + np.array(series))])
    midnights = START + DAY * np.arange(len(closes))
    ts_ns = np.sort(np.concatenate((midnights, midnights[1:] - hours * HOUR + 1)))  # with a point within each day
    equity = np.where(np.isin(ts_ns, midnights), np.repeat(closes, 2)[1:], 1.0)
    daily = daily_returns(ts_ns, equity, 1_000.0)
    assert daily.returns.tolist() == pytest.approx(series, abs=1e-9)


def test_an_opening_balance_at_midnight_is_not_a_day() -> None:
    daily = daily_returns(START + DAY * np.arange(3), np.array([100.0, 110.0, 99.0]), 100.0)
    assert daily.returns.tolist() == pytest.approx([0.1, -0.1])
    assert daily.date(0) == dt.date(2026, 1, 1)


def test_days_without_a_point_count_where_the_venue_is_always_open_alone() -> None:
    ts_ns = START + DAY * np.array([1, 2, 5]) - HOUR  # Thursday, Friday, Monday
    equity = np.array([101.0, 102.0, 103.0])
    assert len(daily_returns(ts_ns, equity, 100.0, ALWAYS_OPEN).returns) == 5
    assert len(daily_returns(ts_ns, equity, 100.0, EQUITIES).returns) == 3


def test_what_is_noted_on_a_weekend_of_an_exchange_that_closes_is_fridays() -> None:
    ts_ns = START + DAY * np.array([1, 2, 3, 5]) - HOUR  # Thursday, Friday, Saturday, Monday
    daily = daily_returns(ts_ns, np.array([100.0, 100.0, 110.0, 121.0]), 100.0, EQUITIES)
    assert daily.returns.tolist() == pytest.approx([0.0, 0.1, 0.1])
    assert daily.date(1) == dt.date(2026, 1, 2)


def test_a_weekend_without_equity_tells_an_exchange_that_closes() -> None:
    weekdays = START + DAY * np.array([0, 1, 2, 5, 6, 7, 8]) - HOUR
    ends = np.array([START - DAY, *weekdays, START + 10 * DAY])  # a span from one midnight to another
    assert calendar_of(ends) == EQUITIES
    assert calendar_of(START + DAY * np.arange(8) - HOUR) == ALWAYS_OPEN
    assert calendar_of(weekdays[:3]) == ALWAYS_OPEN
    assert calendar_of(weekdays[:0]) == ALWAYS_OPEN


def test_equity_below_nothing_has_no_returns() -> None:
    daily = daily_returns(START + DAY * np.arange(1, 4), np.array([-5.0, 3.0, 6.0]), 10.0)
    assert daily.returns.tolist() == pytest.approx([-1.5, 0.0, 1.0])


def test_a_year_of_months_multiplies_to_its_total() -> None:
    daily = Daily(START // DAY + np.arange(400), np.random.default_rng(3).normal(0, 0.01, 400))
    table = by_year(monthly_returns(daily))
    assert [row["year"] for row in table] == [2026, 2027]
    total = np.prod([1.0 + row["total"] for row in table])  # type: ignore[operator]
    assert total == pytest.approx(np.prod(1.0 + daily.returns))


def test_a_drawdown_lasts_from_its_peak_to_the_recovery() -> None:
    table = curve([100, 110, 99, 104, 110, 121, 120, 121, 115], every=DAY)
    figures = of_drawdown(table["drawdown"].to_numpy(), table["ts_ns"].to_numpy())
    assert figures["max_drawdown"] == pytest.approx(0.1)
    assert figures["max_drawdown_days"] == 3.0  # the 2nd point to the 5th
    assert figures["longest_drawdown_days"] == 3.0


def test_a_drawdown_that_never_recovers_lasts_to_the_end() -> None:
    table = curve([100, 120, 90, 100, 95], every=DAY)
    figures = of_drawdown(table["drawdown"].to_numpy(), table["ts_ns"].to_numpy())
    assert (figures["max_drawdown"], figures["max_drawdown_days"]) == (pytest.approx(0.25), 3.0)


def trips(*profits: float) -> Any:
    return rows(
        "trades",
        *(
            {"entry_ns": 0, "exit_ns": 2 * HOUR, "pnl": p, "gross": p + 1, "fees": 1.0, "return": p / 1_000}
            for p in profits
        ),
    )


def test_round_trips_are_counted_by_what_they_made() -> None:
    figures = of_trades(trips(30.0, -10.0, 0.0, 10.0))
    assert (figures["trades"], figures["wins"], figures["losses"]) == (4, 2, 1)
    assert (figures["hit_rate"], figures["profit_factor"], figures["expectancy"]) == (0.5, 4.0, 7.5)
    assert (figures["average_win"], figures["average_loss"], figures["payoff_ratio"]) == (20.0, -10.0, 2.0)
    assert (figures["best_trade"], figures["worst_trade"], figures["average_hours"]) == (30.0, -10.0, 2.0)
    assert figures["expectancy_return"] == pytest.approx(0.0075)


def test_losses_alone_have_a_profit_factor_of_nothing_and_wins_alone_have_none() -> None:
    lost, won = of_trades(trips(-1.0, -2.0)), of_trades(trips(1.0))
    assert (lost["hit_rate"], lost["profit_factor"], lost["average_win"], lost["payoff_ratio"]) == (
        0.0,
        0.0,
        None,
        None,
    )
    assert (won["hit_rate"], won["profit_factor"], won["average_loss"]) == (1.0, None, None)


def test_costs_are_measured_against_what_was_traded_and_made() -> None:
    sample = Sample(
        fills=rows(
            "fills",
            {"quantity": 2.0, "price": 500.0, "fee": 1.0, "ts_ns": START},
            {"quantity": 2.0, "price": 520.0, "fee": 1.0, "ts_ns": START + DAY},
        ),
        trades=rows(
            "trades",
            {"entry_ns": START, "exit_ns": START + DAY, "pnl": 38.0, "gross": 40.0, "fees": 2.0, "return": 0.038},
        ),
        equity=curve([1_000.0, 1_020.0, 1_038.0, 1_038.0, 1_038.0], gross=[0, 1_000, 0, 0, 0]),
    )
    figures = statistics(sample, ALWAYS_OPEN)
    assert (figures["traded"], figures["fees"], figures["cost_share"]) == (2_040.0, 2.0, 0.05)
    assert figures["cost_bps"] == pytest.approx(2.0 / 2_040.0 * 1e4)
    assert figures["exposure_time"] == 0.25
    assert figures["turnover"] == pytest.approx(2_040.0 / 1_026.8)
    assert figures["turnover_a_year"] == pytest.approx(2_040.0 / 1_026.8 * 365 / 4)


def test_no_data_has_no_figures_and_no_error() -> None:
    figures = statistics(Sample(), ALWAYS_OPEN)
    assert (figures["trades"], figures["fills"], figures["days"], figures["total_return"]) == (0, 0, 0, 0.0)
    assert all(figures[name] is None for name in ("sharpe", "cagr", "var_95", "hit_rate", "turnover", "best_month"))


def test_one_day_has_a_return_and_no_spread() -> None:
    figures = statistics(Sample(equity=curve([1_000.0, 1_010.0], every=DAY, start=START)), ALWAYS_OPEN)
    assert figures["days"] == 1
    assert figures["total_return"] == pytest.approx(0.01)
    assert figures["cagr"] == pytest.approx(1.01**365 - 1)
    assert (figures["volatility"], figures["sharpe"]) == (None, None)


def test_constant_equity_neither_gains_nor_sinks() -> None:
    figures = statistics(Sample(equity=curve([1_000.0] * 30)), ALWAYS_OPEN)
    assert (figures["total_return"], figures["max_drawdown"], figures["volatility"]) == (0.0, 0.0, 0.0)
    assert (figures["sharpe"], figures["sortino"], figures["calmar"]) == (None, None, None)


def test_the_starting_cash_is_what_the_first_day_is_measured_against() -> None:
    sample = Sample(equity=curve([1_100.0, 1_100.0]), summary={"starting_cash": 1_000.0})
    assert statistics(sample, ALWAYS_OPEN)["total_return"] == pytest.approx(0.1)


def test_a_busy_backtest_has_every_figure_and_its_days_are_every_24th_hour() -> None:
    sample = busy()
    figures = statistics(sample, ALWAYS_OPEN)
    assert not [name for name, value in figures.items() if value is None and name != "cost_share"]
    closes = sample.equity["equity"].to_numpy()[::24]
    deviation = float(np.std(closes[1:] / closes[:-1] - 1, ddof=1))
    assert figures["volatility"] == pytest.approx(deviation * sqrt(ALWAYS_OPEN))
