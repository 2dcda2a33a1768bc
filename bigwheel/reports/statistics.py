"""How well a backtest did, in figures; checked against empyrical in the tests.

Every figure that the data leaves undefined (the Sharpe ratio of a constant, the profit factor without a loss)
is ``None``, never an infinity. Returns are fractions; those of days, unless a name says otherwise.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pyarrow as pa

from bigwheel.reports.result import BacktestResult
from bigwheel.reports.returns import Daily, Floats, Integers, Month, daily_returns, monthly_returns
from strategies.performance import YEAR_NS, Ratios

Figure = float | int | None
Figures = dict[str, Figure]

TAIL = 0.05
"""The share of days in the tail of the 95% value at risk."""
_DAY_NS = 86_400e9


def statistics(result: BacktestResult, days_a_year: int) -> Figures:
    """Every figure of a backtest by name; see the functions it is put together from."""
    equity = result.equity
    daily = daily_of(result, days_a_year)
    return {
        **of_returns(daily.returns, days_a_year),
        **of_months(monthly_returns(daily)),
        **of_drawdown(floats(equity, "drawdown"), integers(equity, "ts_ns")),
        **of_trades(result.trades),
        **of_costs(result),
    }


def daily_of(result: BacktestResult, days_a_year: int) -> Daily:
    """The daily returns of a backtest on its starting cash."""
    equity = floats(result.equity, "equity")
    start = float(result.summary.get("starting_cash") or (equity[0] if len(equity) else 0.0))
    return daily_returns(integers(result.equity, "ts_ns"), equity, start, days_a_year)


def of_returns(returns: Floats, days_a_year: int) -> Figures:
    """Figures of a series of daily returns r_1 ... r_n.

    - ``total_return``: prod(1 + r) - 1.
    - ``cagr``: (1 + total)^(days_a_year / n) - 1; -1 where all was lost.
    - ``volatility``: the sample deviation (n - 1) times sqrt(days_a_year).
    - ``sharpe``, ``sortino``: see ``strategies.performance``, which live trading measures by too (W. F. Sharpe,
      Journal of Portfolio Management 21, 1994; F. A. Sortino and L. N. Price, Journal of Investing 3, 1994).
    - ``calmar``: ``cagr`` over the deepest drawdown of daily closes, ``max_daily_drawdown`` (T. W. Young, Futures
      20, 1991).
    - ``skew``, ``kurtosis``: m3 / m2^1.5 and m4 / m2^2 - 3 of the central moments m_k = mean((r - mean)^k) (the
      biased estimators of ``scipy.stats``).
    - and those of ``tails``.
    """
    ratios = Ratios()
    for change in returns.tolist():
        ratios.add(change)
    total = ratios.level - 1.0
    cagr = max(ratios.level, 0.0) ** (days_a_year / ratios.count) - 1.0 if ratios.count else None
    deviation = ratios.deviation
    return {
        "days": ratios.count,
        "days_a_year": days_a_year,
        "total_return": total,
        "cagr": cagr,
        "volatility": deviation * sqrt(days_a_year) if deviation is not None else None,
        "sharpe": ratios.sharpe(days_a_year),
        "sortino": ratios.sortino(days_a_year),
        "calmar": cagr / -ratios.drawdown if cagr is not None and ratios.drawdown < 0 else None,
        "max_daily_drawdown": -ratios.drawdown,
        **_shape(returns),
        **tails(returns),
    }


def _shape(returns: Floats) -> Figures:
    if len(returns) == 0 or np.ptp(returns) == 0:
        return {"skew": None, "kurtosis": None}
    off = returns - returns.mean()
    squares = float(np.mean(off**2))
    if squares == 0:
        return {"skew": None, "kurtosis": None}
    return {"skew": float(np.mean(off**3)) / squares**1.5, "kurtosis": float(np.mean(off**4)) / squares**2 - 3.0}


def tails(returns: Floats) -> Figures:
    """What the worst and the best days were like; losses are negative.

    - ``var_95``: the 5th percentile, linear between two days (historical simulation; P. Jorion, *Value at Risk*,
      3rd edition, 2007, chapter 10).
    - ``cvar_95``: the mean of the floor(0.05 (n - 1)) + 1 worst days (empyrical's estimator of the expected
      shortfall of C. Acerbi and D. Tasche, Journal of Banking & Finance 26, 2002).
    - ``tail_ratio``: |95th percentile| / |5th percentile|.
    - ``best_day``, ``worst_day``.
    """
    names = ("var_95", "cvar_95", "tail_ratio", "best_day", "worst_day")
    if not len(returns):
        return dict.fromkeys(names)
    low, high = np.percentile(returns, [100 * TAIL, 100 * (1 - TAIL)])
    worst = np.sort(returns)[: int((len(returns) - 1) * TAIL) + 1]
    ratio = float(abs(high) / abs(low)) if low else None
    figures = (float(low), float(worst.mean()), ratio, float(returns.max()), float(returns.min()))
    return dict(zip(names, figures, strict=True))


def of_months(months: list[Month]) -> Figures:
    """``best_month``, ``worst_month``, and ``months_won``, the share of months above 0."""
    values = [month.value for month in months]
    if not values:
        return {"best_month": None, "worst_month": None, "months_won": None}
    won = sum(value > 0 for value in values) / len(values)
    return {"best_month": max(values), "worst_month": min(values), "months_won": won}


def of_drawdown(drawdown: Floats, ts_ns: Integers) -> Figures:
    """``max_drawdown`` of the whole curve, and days under water.

    ``max_drawdown_days`` is the time from the peak before the deepest point to the first time equity was back at
    it, or to the end; ``longest_drawdown_days`` that of the longest such stretch.
    """
    if not len(drawdown) or drawdown.max() <= 0:
        return {"max_drawdown": 0.0, "max_drawdown_days": 0.0, "longest_drawdown_days": 0.0}
    tops = np.flatnonzero(drawdown <= 0)
    peaks = np.concatenate((tops if len(tops) and tops[0] == 0 else np.concatenate(([0], tops)), [len(drawdown) - 1]))
    deepest = int(drawdown.argmax())
    place = int(np.searchsorted(peaks, deepest, side="right"))
    before, after = peaks[place - 1], peaks[min(place, len(peaks) - 1)]
    return {
        "max_drawdown": float(drawdown[deepest]),
        "max_drawdown_days": float(ts_ns[after] - ts_ns[before]) / _DAY_NS,
        "longest_drawdown_days": float(np.diff(ts_ns[peaks]).max()) / _DAY_NS,
    }


def of_trades(trades: pa.Table) -> Figures:
    """Figures of round trips; a trade that made 0 is neither won nor lost.

    - ``hit_rate``: won / all. ``profit_factor``: what was won / what was lost.
    - ``expectancy``: the mean profit of a trade; ``expectancy_return`` the same as a fraction of its stake.
    - ``payoff_ratio``: ``average_win`` / -``average_loss``.
    - ``average_hours``: the mean time from entry to exit.
    """
    pnl = floats(trades, "pnl")
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    won, lost = float(wins.sum()), -float(losses.sum())
    held = integers(trades, "exit_ns") - integers(trades, "entry_ns")
    return {
        "trades": len(pnl),
        "wins": len(wins),
        "losses": len(losses),
        "pnl": float(pnl.sum()),
        "hit_rate": len(wins) / len(pnl) if len(pnl) else None,
        "profit_factor": won / lost if lost else None,
        "expectancy": _mean(pnl),
        "expectancy_return": _mean(floats(trades, "return")),
        "average_win": _mean(wins),
        "average_loss": _mean(losses),
        "payoff_ratio": (won / len(wins)) / (lost / len(losses)) if len(wins) and lost else None,
        "best_trade": float(pnl.max()) if len(pnl) else None,
        "worst_trade": float(pnl.min()) if len(pnl) else None,
        "average_hours": _mean(held / 3_600e9),
    }


def of_costs(result: BacktestResult) -> Figures:
    """What trading cost, and how much of it there was.

    - ``exposure_time``: the share of time with something held, each point of the curve standing until the next.
    - ``traded``: the notional of all fills. ``turnover``: that over the mean equity; ``turnover_a_year`` per year
      of 365 days.
    - ``fees``: of all fills. ``cost_share``: the fees of round trips over what those made before fees, where that
      is positive. ``cost_bps``: fees in 1/10,000 of what was traded.
    """
    fills, trades, curve = result.fills, result.trades, result.equity
    ts_ns, equity, gross = integers(curve, "ts_ns"), floats(curve, "equity"), floats(curve, "gross_exposure")
    traded = float((floats(fills, "quantity") * floats(fills, "price")).sum())
    fees, made = float(floats(fills, "fee").sum()), float(floats(trades, "gross").sum())
    length = int(ts_ns[-1] - ts_ns[0]) if len(ts_ns) else 0
    mean = float(equity.mean()) if len(equity) else 0.0
    turnover = traded / mean if mean > 0 else None
    return {
        "fills": fills.num_rows,
        "exposure_time": float(np.diff(ts_ns)[gross[:-1] > 0].sum()) / length if length else None,
        "traded": traded,
        "turnover": turnover,
        "turnover_a_year": turnover * YEAR_NS / length if turnover is not None and length else None,
        "fees": fees,
        "cost_share": float(floats(trades, "fees").sum()) / made if made > 0 else None,
        "cost_bps": fees / traded * 1e4 if traded else None,
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def floats(table: pa.Table, name: str) -> Floats:
    """A column as float64; a null is NaN."""
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def integers(table: pa.Table, name: str) -> Integers:
    """A column without nulls as int64."""
    return np.asarray(table[name].cast(pa.int64()).to_numpy(), np.int64)
