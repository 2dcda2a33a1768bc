"""The parts of a page that are text: key figures, statistics, monthly returns, attribution, signals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from bigwheel.reports.tables import NONE, Cell, count, escape, number, share, table, text, words

Json = dict[str, Any]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
ROWS = 20
"""The most rows of an attribution table on the page; the JSON has all."""
_SYMBOLS = 8
_MOMENT_DIGITS = 16
_SECOND_NS = 1_000_000_000

_TITLES = {
    "strategy": "By strategy",
    "side": "By side",
    "symbol": "By symbol",
    "source": "By source of the signal",
    "weekday": "By weekday of the entry (UTC)",
    "hour": "By hour of the entry (UTC)",
}


def _signed(value: float | None) -> Cell:
    return number(value, tone=True)


def _signed_share(value: float | None) -> Cell:
    return share(value, tone=True)


def _loss(value: float | None) -> Cell:
    """A drawdown, which is noted as a positive fraction, as the loss that it is."""
    return share(-value if value is not None else None, tone=True)


Row = tuple[str, str, Callable[[Any], Cell]]

KEY: tuple[Row, ...] = (
    ("Total return", "total_return", _signed_share),
    ("CAGR", "cagr", _signed_share),
    ("Sharpe", "sharpe", number),
    ("Sortino", "sortino", number),
    ("Max drawdown", "max_drawdown", _loss),
    ("Volatility a year", "volatility", share),
    ("Round trips", "trades", count),
    ("Hit rate", "hit_rate", share),
    ("Profit factor", "profit_factor", number),
    ("Expectancy", "expectancy", _signed),
    ("Fees", "fees", number),
    ("Exposure time", "exposure_time", share),
)

GROUPS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Returns",
        (
            ("Total return", "total_return", _signed_share),
            ("CAGR", "cagr", _signed_share),
            ("Volatility a year", "volatility", share),
            ("Sharpe ratio", "sharpe", number),
            ("Sortino ratio", "sortino", number),
            ("Calmar ratio", "calmar", number),
            ("Best day", "best_day", _signed_share),
            ("Worst day", "worst_day", _signed_share),
            ("Best month", "best_month", _signed_share),
            ("Worst month", "worst_month", _signed_share),
            ("Months won", "months_won", share),
        ),
    ),
    (
        "Risk",
        (
            ("Max drawdown", "max_drawdown", _loss),
            ("Days from its peak to recovery or end", "max_drawdown_days", number),
            ("Longest drawdown, days", "longest_drawdown_days", number),
            ("Max drawdown of daily closes", "max_daily_drawdown", _loss),
            ("Value at risk 95%, one day", "var_95", _signed_share),
            ("Expected shortfall 95%, one day", "cvar_95", _signed_share),
            ("Tail ratio", "tail_ratio", number),
            ("Skew", "skew", number),
            ("Excess kurtosis", "kurtosis", number),
            ("Daily returns", "days", count),
            ("Days in a year", "days_a_year", count),
        ),
    ),
    (
        "Round trips",
        (
            ("Round trips", "trades", count),
            ("Won", "wins", count),
            ("Lost", "losses", count),
            ("Hit rate", "hit_rate", share),
            ("Profit", "pnl", _signed),
            ("Profit factor", "profit_factor", number),
            ("Expectancy", "expectancy", _signed),
            ("Expectancy on the stake", "expectancy_return", _signed_share),
            ("Average win", "average_win", _signed),
            ("Average loss", "average_loss", _signed),
            ("Average win / average loss", "payoff_ratio", number),
            ("Best", "best_trade", _signed),
            ("Worst", "worst_trade", _signed),
            ("Average time held, hours", "average_hours", number),
        ),
    ),
    (
        "Activity and costs",
        (
            ("Fills", "fills", count),
            ("Exposure time", "exposure_time", share),
            ("Traded", "traded", number),
            ("Turnover, times mean equity", "turnover", number),
            ("Turnover a year", "turnover_a_year", number),
            ("Fees", "fees", number),
            ("Fees of what was made before them", "cost_share", share),
            ("Fees, 1/10,000 of what was traded", "cost_bps", number),
        ),
    ),
)


def heading(figures: Json) -> str:
    """The strategy, what it traded and when, and its parameters."""
    summary = figures["summary"]
    listed = summary.get("symbols")
    symbols = [str(name) for name in listed] if isinstance(listed, list) else []
    more = f" and {len(symbols) - _SYMBOLS} more" if len(symbols) > _SYMBOLS else ""
    parts = [", ".join(symbols[:_SYMBOLS]) + more, f"{_moment(summary.get('from'))} to {_moment(summary.get('to'))}"]
    if isinstance(summary.get("events"), int):
        parts.append(f"{summary['events']:,} events")
    start, end = summary.get("starting_cash"), summary.get("final_equity")
    if isinstance(start, int | float) and isinstance(end, int | float):
        parts.append(f"{start:,.2f} became {end:,.2f}")
    chips = "".join(f"<li><b>{escape(name)}</b>{escape(value)}</li>" for name, value in figures["params"].items())
    line = escape(" · ".join(part for part in parts if part))
    chipped = f'<ul class="chips">{chips}</ul>' if chips else ""
    return f'<header><h1>{escape(figures["strategy"])}</h1><p class="quiet">{line}</p>{chipped}</header>'


def _moment(value: Any) -> str:
    """A time as people read it: nanoseconds since the epoch, or the text that it is, to the minute."""
    if isinstance(value, int):
        return f"{dt.datetime.fromtimestamp(value // _SECOND_NS, dt.UTC):%Y-%m-%d %H:%M}"
    return str(value).replace("T", " ")[:_MOMENT_DIGITS] if value else NONE


def tiles(statistics: Json) -> str:
    """The figures that are looked at first."""
    shown = [(title, show(statistics[name])) for title, name, show in KEY]
    return "".join(
        f'<div class="tile"><span>{escape(title)}</span><strong class="{cell.tone}">{escape(cell.text)}</strong></div>'
        for title, cell in shown
    )


def statistics_tables(statistics: Json) -> str:
    parts = []
    for title, rows in GROUPS:
        cells = [[text(label), show(statistics[name])] for label, name, show in rows]
        parts.append(f"<div><h3>{escape(title)}</h3>{table(('', ''), cells)}</div>")
    return f'<div class="columns four">{"".join(parts)}</div>'


def strategies(told: Json) -> str:
    """What each of several strategies did, as a session's overview has it."""
    cells = [
        [
            text(label), words(", ".join(each["symbols"])), _signed(each["profit"]), _signed_share(each["return"]),
            number(each["sharpe"]), share(each["drawdown"], tone=True), count(each["trades"]), share(each["hit_rate"]),
            number(each["profit_factor"]), number(each["turnover"]), count(each["signals"]), count(each["fills"]),
        ]
        for label, each in told.items()
    ]  # fmt: skip
    heads = ("", "Symbols", "Profit", "Return", "Sharpe", "Max drawdown", "Trips", "Hit rate", "Profit factor")
    note = (
        "Profit is with what is still held, at the last price; return, turnover and drawdown are of the capital that "
        "its entry names. Ratios are of daily returns, over several symbols of the last 120 days."
    )
    shown = table((*heads, "Turnover", "Signals", "Fills"), cells, words=frozenset({1}))
    return f'{shown}<p class="quiet">{escape(note)}</p>'


def monthly(rows: list[Json]) -> str:
    """Months by year, each on a ground as strong as it is large against the largest."""
    values = [abs(value) for row in rows for value in row["months"] if value is not None]
    largest = max(values, default=0.0) or 1.0
    cells = [
        [text(row["year"]), *(_month(value, largest) for value in row["months"]), _signed_share(row["total"])]
        for row in rows
    ]
    return table(("", *MONTHS, "Year"), cells, kind="months")


def _month(value: float | None, largest: float) -> Cell:
    if value is None:
        return Cell("")
    cell = share(value, tone=True, digits=1)
    return cell._replace(tone="up" if value > 0 else "down", heat=abs(value) / largest) if value else cell


def liquidity(rows: list[Json]) -> str:
    cells = [
        [text(row["key"]), count(row["count"]), number(row["traded"]), number(row["fees"]), number(row["bps"])]
        for row in rows
    ]
    return table(("Liquidity", "Fills", "Traded", "Fees", "Fees, bps"), cells)


def attribution(tables: Json) -> str:
    return f'<div class="columns">{"".join(_attributed(title, tables[name]) for name, title in _TITLES.items())}</div>'


def _attributed(title: str, rows: list[Json]) -> str:
    cells = [
        [
            text(row["key"]),
            _signed(row["pnl"]),
            count(row["count"]),
            share(row["hit_rate"], digits=1),
            number(row["fees"]),
        ]
        for row in _ends(rows)
    ]
    left = len(rows) - len(cells)
    note = f'<p class="quiet">{left:,} more between the best and the worst are in figures.json.</p>' if left else ""
    return f"<div><h3>{escape(title)}</h3>{table(('', 'Profit', 'Trips', 'Hit rate', 'Fees'), cells)}{note}</div>"


def _ends(rows: list[Json]) -> list[Json]:
    """The first and the last rows, where there are too many; hours, 24 at most, are shown in full."""
    return rows if len(rows) <= ROWS + len(MONTHS) else [*rows[: ROWS // 2], *rows[-ROWS // 2 :]]


def ended(head: str, rows: list[Json]) -> str:
    """How signals or orders ended."""
    return table((head, "Count"), [[text(row["key"]), count(row["count"])] for row in rows])


def denials(rows: list[Json]) -> str:
    """What stopped signals, the most frequent first."""
    cells = [
        [
            text(row["gate"]), Cell(row["code"], "words"), count(row["count"]), number(row["mean_conviction"]),
            words(row["example"]),
        ]
        for row in rows[:ROWS]
    ]  # fmt: skip
    heads = ("Gate", "Code", "Signals", "Mean conviction", "First of them")
    left = len(rows) - len(cells)
    note = f'<p class="quiet">{left:,} more are in figures.json.</p>' if left else ""
    return table(heads, cells, words=frozenset({1, 4})) + note


def best_run(sweep: Json) -> str:
    """The best run of a sweep, and what its map does not show."""
    best = sweep["best"] or {}
    chips = "".join(f"<li><b>{escape(name)}</b>{escape(_brief(value))}</li>" for name, value in best.items())
    others = ", ".join(sweep["others"])
    note = f'<p class="quiet">Each cell is the best over {escape(others)}.</p>' if others else ""
    return f'{note}<h3>Best run</h3><ul class="chips">{chips}</ul>'


def _brief(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
