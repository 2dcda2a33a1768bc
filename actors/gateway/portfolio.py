"""Strategies side by side, and all of them together. Pure: made from what their brains say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from strategies.performance import YEAR_NS, combined

Said = Mapping[str, Any]
"""``Performance.report`` of one strategy's brain."""


def strategies(cells: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By label, the performance of all its symbols together; ``cells`` are the brains' status."""
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        if "performance" in cell:
            by_label.setdefault(str(cell["label"]), []).append(cell)
    total = sum(float(cell["performance"]["capital"]) for many in by_label.values() for cell in many)
    return {
        label: {
            "symbols": sorted({symbol for cell in many for symbol in cell["symbols"]}),
            "share": sum(float(cell["performance"]["capital"]) for cell in many) / total if total else 0.0,
            "paused": all(cell["paused"] for cell in many),
            "dry_run": all(cell["dry_run"] for cell in many),
            "signals": sum(int(cell["signals"]) for cell in many),
            **figures([cell["performance"] for cell in many]),
        }
        for label, many in sorted(by_label.items())
    }


def portfolio(cells: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All strategies taken together."""
    return figures([cell["performance"] for cell in cells if "performance" in cell])


def figures(said: Sequence[Said]) -> dict[str, Any]:
    """Every figure of several performances together.

    ``return`` is the profit over the capital. Sharpe, Sortino and ``drawdown`` of one brain are over all of
    its moments; of several over the moments they share of the last ``strategies.performance.KEPT``, how
    many is in ``moments``. The ratios are annualised by the root of ``a_year``, the moments in a year.
    ``hit_rate`` is of trades from flat to flat, ``profit_factor`` what they won over what they lost;
    ``in_market`` the share of moments at which something was held, ``mean_notional`` what on average,
    ``turnover`` what was traded, as a multiple of the capital. ``None``: not known yet.
    """
    capital, profit = _sum(said, "capital"), _sum(said, "profit")
    trades = _sum(said, "wins") + _sum(said, "losses")
    lost, moments = _sum(said, "lost"), _sum(said, "moments")
    return {
        "capital": capital,
        "profit": profit,
        "return": profit / capital if capital else None,
        **_ratios(said, capital),
        "trades": int(trades),
        "hit_rate": _sum(said, "wins") / trades if trades else None,
        "profit_factor": _sum(said, "won") / lost if lost else None,
        "in_market": _sum(said, "moments_held") / moments if moments else None,
        "notional": _sum(said, "notional"),
        "mean_notional": sum(each["notional_sum"] / each["moments"] for each in said if each["moments"]),
        "turnover": _sum(said, "turnover") / capital if capital else None,
        "fills": int(_sum(said, "fills")),
    }


def _ratios(said: Sequence[Said], capital: float) -> dict[str, Any]:
    if len(said) == 1:
        return {name: said[0][name] for name in ("sharpe", "sortino", "drawdown", "moments", "a_year")}
    grids = {int(each["grid_ns"]) for each in said}
    if len(grids) != 1:
        return {"sharpe": None, "sortino": None, "drawdown": None, "moments": 0, "a_year": None}
    (grid_ns,) = grids
    ratios, a_year = combined([each["curve"] for each in said], capital), YEAR_NS / grid_ns
    return {
        "sharpe": ratios.sharpe(a_year),
        "sortino": ratios.sortino(a_year),
        "drawdown": ratios.drawdown,
        "moments": ratios.count,
        "a_year": a_year,
    }


def _sum(said: Sequence[Said], name: str) -> float:
    return sum(float(each[name]) for each in said)
