"""Runs the benchmarks: a table for people, one JSON object for programs."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

NAMES = {
    "journal": "records a second in flushed commits, and queries over a million records",
    "links": "one-way hop and messages a second of both links, against bare Ray actor calls",
    "pipeline": "market data to order, and signals a second through the whole lifecycle",
    "risk": "1,000 signals a second through every gate of one risk supervisor",
    "strategies": "market data into 100 symbol strategies",
    "recovery": "kill -9 to the successor's first message, against a bare Ray restart",
    "simulation": "simulated events a second",
    "audit": "journal records folded and taped messages replayed a second, and what a tape costs",
    "resilience": "calls to a venue for each symbol and hour, with and without cache and coalescing",
    "backtest": "minute bars a second through a whole backtest that trades, and its memory",
    "field": "the same crossover by other engines, side by side: bars, trades, quotes, memory, and a grid of runs",
    "sweep": "backtests a second with one worker and with two",
    "catalog": "rows a second out of a catalog, as columns and as messages",
    "scale": "start-up and memory of 50 symbols with an actor each, and of 1,000 pooled",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure, side by side with a baseline.")
    parser.add_argument("--only", choices=list(NAMES), action="append", help="run this one (may be given again)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--list", action="store_true", help="say what there is")
    options = parser.parse_args()
    if options.list:
        for name, text in NAMES.items():
            print(f"{name:12} {text}")
        return 0
    rows: list[dict[str, Any]] = []
    plain: list[dict[str, Any]] = []
    for name in options.only or NAMES:
        print(f"-- {name}: {NAMES[name]}", file=sys.stderr)
        began = time.monotonic()
        module = importlib.import_module(f"scripts.benchmarks.{name}")
        found = module.run()
        print(f"   {time.monotonic() - began:.1f} s", file=sys.stderr)
        rows.extend(found)
        if hasattr(module, "show"):
            module.show(found)
        else:
            plain.extend(found)
    if plain:
        show(plain)
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


def show(rows: list[dict[str, Any]]) -> None:
    """One line a figure, with its baseline and their ratio."""
    table = Table("name", "figure", "unit", "baseline", "", "ratio")
    for row in rows:
        ratio = row.get("ratio")
        baseline = row.get("baseline")
        table.add_row(
            str(row["name"]),
            f"{row['figure']:,.4g}" if row["figure"] < 1_000 else f"{row['figure']:,.0f}",
            str(row["unit"]),
            "" if baseline is None else f"{baseline:,.4g}" if baseline < 1_000 else f"{baseline:,.0f}",
            str(row.get("baseline_name") or ""),
            "" if ratio is None else f"{ratio:.3g}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main())
