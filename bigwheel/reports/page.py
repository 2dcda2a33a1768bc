"""The page of a report: one file that needs no network.

Its policy forbids the browser to load anything, and the drawing library, plotly.js, is in the page, compressed.
"""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

from bigwheel.reports import robustness, sections
from bigwheel.reports.charts import charts
from bigwheel.reports.curves import CHARTS, MARKS
from bigwheel.reports.tables import escape

Json = dict[str, Any]

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def page(figures: Json) -> str:
    """The HTML of a report's figures (see ``figures.figures``)."""
    drawn = charts(figures)
    body = "".join(
        (
            sections.heading(figures),
            f'<div class="tiles">{sections.tiles(figures["statistics"])}</div>',
            _section("Equity, drawdown and exposure", _chart("account", drawn)),
            _strategies(figures["summary"].get("strategies")),
            _section("Monthly returns", sections.monthly(figures["monthly_returns"])),
            _section("Trades", _prices(figures)),
            _section("Statistics", sections.statistics_tables(figures["statistics"])),
            _section("Costs", _chart("costs", drawn) + sections.liquidity(figures["liquidity"])),
            _section("Attribution of round trips", sections.attribution(figures["attribution"])),
            _section("Signals and orders", _ended(figures)),
            _sweep(figures, drawn),
            _forward(figures["walk_forward"]),
            _chance(figures["monte_carlo"]),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(figures['strategy'])}: backtest</title><style>{_own('page.css')}</style></head>\n"
        f"<body><main>{body}{_footer()}</main>\n"
        f'<script type="application/json" id="charts">{embedded(drawn)}</script>\n'
        "<!-- plotly.js, Copyright Plotly, Inc., MIT licence; its notice is in the library -->\n"
        f'<script type="text/plain" id="library">{_library()}</script>\n'
        f"<script>{_own('page.js')}</script></body></html>\n"
    )


def embedded(value: Any) -> str:
    """JSON that can stand in a script element, whatever its texts say."""
    written = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _own(name: str) -> str:
    return files("bigwheel.reports").joinpath(name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    """plotly.js, compressed to a third, in letters."""
    from plotly.offline import get_plotlyjs  # four megabytes and half a second, for a report alone

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>"


def _chart(name: str, drawn: Json) -> str:
    return f'<div class="chart" id="{name}"></div>' if name in drawn else '<p class="empty">None.</p>'


def _prices(figures: Json) -> str:
    symbols = figures["symbols"]
    if not symbols:
        return '<p class="empty">No prices came with this result.</p>'
    options = "".join(f"<option>{escape(row['symbol'])} ({row['trades']:,})</option>" for row in symbols)
    choice = f'<select id="symbol" aria-label="Symbol">{options}</select>'
    note = (
        f"The {CHARTS} symbols with the most round trips at most; of a symbol's round trips the {MARKS:,} that won or "
        "lost the most. Triangles are entries, up for long; dots are exits, green for a profit."
    )
    return f'{choice}<div class="chart" id="prices"></div><p class="quiet">{note}</p>'


def _strategies(told: Any) -> str:
    several = isinstance(told, dict) and len(told) > 1
    return _section("Strategies", sections.strategies(told)) if several else ""


def _sweep(figures: Json, drawn: Json) -> str:
    if not figures["sweep"]:
        return ""
    title = f"Parameter sweep: {figures['sweep']['metric']}"
    return _section(title, _chart("sweep", drawn) + sections.best_run(figures["sweep"]))


def _forward(told: Json | None) -> str:
    if not told:
        return ""
    note = (
        "Above are the tests one after the other, each begun flat and with the same cash; profits are added up. "
        "Parameters were chosen in the training before each test."
    )
    return _section("Walk-forward", f'<p class="quiet">{note}</p>{robustness.windows(told)}')


def _chance(told: Json | None) -> str:
    return _section("Monte Carlo", robustness.chances(told)) if told else ""


def _ended(figures: Json) -> str:
    parts = (("Signals", "State", "states"), ("Orders", "Status", "statuses"))
    columns = "".join(
        f"<div><h3>{title}: {figures[title.lower()]['count']:,}</h3>"
        f"{sections.ended(head, figures[title.lower()][name])}</div>"
        for title, head, name in parts
    )
    stopped = sections.denials(figures["signals"]["denials"])
    return f'<div class="columns">{columns}</div><h3>What stopped signals</h3>{stopped}'


def _footer() -> str:
    return (
        "<footer>Returns are of days that end at midnight UTC. A round trip goes from flat to flat; those still open "
        "at the end count in equity, not here. Money is in the quote currency. All figures: figures.json.</footer>"
    )
