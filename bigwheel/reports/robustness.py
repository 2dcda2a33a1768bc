"""The parts of a page that say how far a result can be trusted: walk-forward windows and Monte Carlo."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bigwheel.reports.tables import NONE, Cell, count, number, share, table, text, words

Json = dict[str, Any]

ROWS = 100
"""The most windows on the page; the JSON has all."""
_METHODS = {
    "days": "Days drawn in blocks, compounded",
    "trades": "Round trips drawn one by one, added up",
    "venue": "Runs with other seeds and latencies of the venue",
}
_SHOWN = ("0.05", "0.5", "0.95")
_SECOND_NS = 1_000_000_000


def windows(told: Json) -> str:
    """A row for each window: what was chosen, and what it was in training and test."""
    rows = [
        [
            text(_day(row["test_from_ns"])),
            text(_day(row["test_to_ns"])),
            words(_params(row["params"], told["swept"]) if row["params"] is not None else row["error"]),
            _figure(row["inside"]),
            _figure(row["outside"]),
            share(row["inside_return"], tone=True),
            share(row["outside_return"], tone=True),
        ]
        for row in told["rows"][:ROWS]
    ]
    metric = str(told["metric"]).removeprefix("-")
    heads = ("Test from", "To", "Chosen", f"Training: {metric}", "Test", "Training: return", "Test")
    left = len(told["rows"]) - len(rows)
    note = f'<p class="quiet">{left:,} more are in figures.json.</p>' if left else ""
    summed = f"{told['tested']:,} of {told['windows']:,} windows were tested"
    if told["efficiency"] is not None:
        summed += f"; by unit of time the tests made {told['efficiency']:.1%} of what the trainings made"
    return f'{table(heads, rows, words=frozenset({2}))}{note}<p class="quiet">{summed}.</p>'


def chances(told: Json) -> str:
    """What the paths of each method are like, beside the backtest itself."""
    actual = told["actual"]
    shown = {name: told[name] for name in _METHODS if told.get(name)}
    if not shown:
        return '<p class="empty">Too few days and round trips to draw from.</p>'
    heads = ("", "Paths", "Equity, 5%", "50%", "95%", "Drawdown, 50%", "95%", "Ends in a loss", "Sinks by half")
    rows = [[words(_METHODS[name]), *_cells(each)] for name, each in shown.items()]
    none = Cell("")
    drawdown = share(actual["max_drawdown"])
    rows.append([words("The backtest"), none, none, number(actual["final_equity"]), none, drawdown, none, none, none])
    return table(heads, rows, words=frozenset({0}))


def _cells(told: Json) -> list[Cell]:
    equity, drawdown = told["final_equity"]["quantiles"], told["max_drawdown"]["quantiles"]
    return [
        count(told["paths"]),
        *(number(equity[name]) for name in _SHOWN),
        *(share(drawdown[name]) for name in _SHOWN[1:]),
        share(told["probability_of_loss"]),
        share(told["probability_of_drawdown"]["0.5"]),
    ]


def _day(ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(ns // _SECOND_NS, dt.UTC):%Y-%m-%d %H:%M}"


def _params(params: Json, swept: list[str]) -> str:
    return ", ".join(f"{name} {params[name]}" for name in swept)


def _figure(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{value:,.4g}")
