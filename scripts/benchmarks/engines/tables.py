"""Tables of the field's rows, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table

LACKS = {
    "bigwheel": "-",
    "nautilus": "limits on exposure and loss, sizing, lessons, journal (it has events, latency, checks of an order)",
    "backtrader": "quotes, limits on risk, latency, exact money, journal",
    "backtesting": "trades and quotes, limits on risk, latency, exact money, journal, several symbols",
    "vectorbt": "events (columns at once, no strategy that is asked), limits on risk, latency, exact money, journal",
}
"""What an engine does not do of what Bigwheel does. Fees were on in all of them, latency in none."""

TITLES = {
    "bars": "minute bars",
    "trades": "trades",
    "quotes": "quotes",
    "grid": "a grid of runs (rows of all runs)",
    "memory": "peak memory, MiB",
}


def tables(rows: list[dict[str, Any]]) -> Iterable[Table]:
    """One for each part there is."""
    for part in TITLES:
        own = [row for row in rows if row["part"] == part]
        if own:
            yield _memory(own) if part == "memory" else _rates(part, own)


def _rates(part: str, rows: list[dict[str, Any]]) -> Table:
    counted = next((row["rows"] for row in rows if "rows" in row), 0)
    title = f"{counted:,} {TITLES[part]}; rows a second of processor time"
    heads = ("engine", "best", "median", "x ours", "run alone", "trips", "equity", "MiB", "start s", "wall s")
    table = Table(*heads, "does not do", title=title)
    for row in rows:
        if "figure" not in row:
            table.add_row(row["engine"], *[""] * (len(heads) - 1), f"absent: {row['absent']}")
            continue
        table.add_row(
            f"{row['engine']} {row['version']}",
            f"{row['figure']:,.0f}",
            f"{row['median']:,.0f}",
            "" if row["ratio"] is None else f"{row['ratio']:,.3g}",
            f"{row['alone']:,.0f}",
            f"{row['trips']:,}",
            f"{row['equity']:.2f}",
            f"{row['peak_mib']:,.0f}",
            f"{row['start_s']:.1f}",
            f"{row['wall_s']:.1f}",
            f"after {row['rounds']} rounds absent: {row['absent']}" if "absent" in row else LACKS[row["engine"]],
        )
    return table


def _memory(rows: list[dict[str, Any]]) -> Table:
    """An engine a line, a length a column."""
    lengths = sorted({row["rows"] for row in rows})
    table = Table("engine", *[f"{length:,} bars" for length in lengths], "longest / shortest", title=TITLES["memory"])
    for engine in dict.fromkeys(row["engine"] for row in rows):
        found = {row["rows"]: row for row in rows if row["engine"] == engine}
        cells = [f"{found[length]['figure']:,.0f}" if "figure" in found[length] else "absent" for length in lengths]
        first, last = (found[length].get("figure") for length in (lengths[0], lengths[-1]))
        table.add_row(engine, *cells, f"{last / first:.2f}" if first and last else "")
    return table
