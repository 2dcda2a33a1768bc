"""The live status in the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from bigwheel.orders import stops

SIGNAL_ORDER = ("GENERATED", "EVALUATING", "APPROVED", "EXECUTING", "EXECUTED", "BLOCKED", "EXPIRED", "LEARNED")
MOST_ROWS = 20
UNBOUND = 1_000
"""Characters in a line of output that nobody looks at in a terminal."""


def terminal(**options: Any) -> Console:
    """The console everything is printed on. What looks like markup is someone's text: it is shown as it is.

    Where the output goes to a file or another program, rows are as wide as they need to be.
    """
    console = Console(markup=False, highlight=False, **options)
    if not console.is_terminal and "COLUMNS" not in os.environ and "width" not in options:
        console.width = UNBOUND
    return console


def ids(header: str) -> Column:
    """A column of what is copied into another command: never cut, other columns give way."""
    return Column(header, no_wrap=True, overflow="fold")


def render(overview: dict[str, Any], *, url: str = "", dashboard: str = "") -> RenderableType:
    """Symbols, positions, profit, signals by state and actors, as one block."""
    if not overview or overview.get("error"):
        return Text(f"waiting for the system: {overview.get('error', 'starting')}")
    return Group(
        _head(overview),
        *(Text(trouble, style="red") for trouble in troubles(overview)),
        _symbols(overview["symbols"]),
        _strategies(overview.get("strategies", {}), overview.get("portfolio", {})),
        _signals(overview["signals"]),
        _actors(overview["actors"]),
        _links(url, dashboard),
    )


def one_line(overview: dict[str, Any]) -> str:
    """The same in one line, for output that is no terminal."""
    if not overview or overview.get("error"):
        return f"waiting for the system: {overview.get('error', 'starting')}"
    states = " ".join(
        f"{state}={overview['signals'][state]}" for state in SIGNAL_ORDER if overview["signals"].get(state)
    )
    restarts = sum(actor["restarts"] for actor in overview["actors"])
    wrong = "".join(f" | {trouble}" for trouble in troubles(overview))
    return (
        f"{overview['trading_state']} ticks={overview['ticks']} equity={float(overview['equity']):.2f} "
        f"fills={overview['fills']} {states or 'no signals yet'} actors={len(overview['actors'])} restarts={restarts} "
        f"stops_at_venues={len(stops(overview))}{wrong}"
    )


def troubles(overview: dict[str, Any]) -> list[str]:
    """What keeps a venue from trading, a sentence each: streams, reconciliation, halts, orders in doubt."""
    return [
        f"{venue}: {trouble}" for venue, facts in overview.get("venues", {}).items() for trouble in _of_venue(facts)
    ]


def _of_venue(facts: dict[str, Any]) -> Iterator[str]:
    reasons = facts.get("streams_down") or {}
    down = [stream for stream in ("public", "private") if facts.get(f"{stream}_up") is False]
    for stream in down:
        yield f"{stream} stream down: {reasons.get(stream) or 'not connected yet'}"
    if not down and facts.get("reconciled") is False:
        yield "not reconciled with the venue yet: no new exposure"
    for symbol, reason in (facts.get("halted") or {}).items():
        yield f"{symbol} is halted: {reason}"
    if facts.get("unknown"):
        yield f"{len(facts['unknown'])} orders whose outcome is unknown: {', '.join(map(str, facts['unknown']))}"


def _head(overview: dict[str, Any]) -> Text:
    colour = {"ACTIVE": "green", "REDUCING": "yellow"}.get(str(overview["trading_state"]), "red")
    text = Text("Bigwheel ", style="bold")
    text.append(str(overview["trading_state"]), style=f"bold {colour}")
    text.append(
        f"   mode {overview['mode']}   ticks {overview['ticks']:,}   fills {overview['fills']}   cash "
        f"{float(overview['cash']):,.2f}   equity {float(overview['equity']):,.2f}   stops at venues "
        f"{len(stops(overview))}"
    )
    return text


def _symbols(symbols: dict[str, Any]) -> Table:
    table = Table("symbol", "price", "position", "entry", "realised", "unrealised", "ticks", title=None, expand=False)
    for symbol, facts in list(symbols.items())[:MOST_ROWS]:
        table.add_row(
            symbol,
            f"{facts['price']:g}",
            str(facts["position"]),
            f"{float(facts['entry']):.6g}",
            f"{float(facts['realized']):+.2f}",
            f"{float(facts['unrealized']):+.2f}",
            f"{facts['ticks']:,}",
        )
    if len(symbols) > MOST_ROWS:
        table.add_row(f"... {len(symbols) - MOST_ROWS} more", *[""] * 6)
    return table


def _strategies(strategies: dict[str, Any], portfolio: dict[str, Any]) -> Table:
    """One line for each strategy, and one for all of them where there are several."""
    table = Table("strategy", "share", "profit", "return", "drawdown", "sharpe", "hit rate", "factor", "in market")
    rows = list(strategies.items())[:MOST_ROWS]
    for name, facts in [*rows, ("together", {**portfolio, "share": 1.0})] if len(strategies) > 1 else rows:
        table.add_row(
            name,
            _figure(facts["share"]),
            f"{facts['profit']:+.2f}",
            _figure(facts["return"], "+.2%"),
            _figure(facts["drawdown"]),
            _figure(facts["sharpe"], ".2f"),
            _figure(facts["hit_rate"], ".0%"),
            _figure(facts["profit_factor"], ".2f"),
            _figure(facts["in_market"], ".0%"),
        )
    return table


def _figure(value: float | None, form: str = ".2%") -> str:
    return "-" if value is None else format(value, form)


def _signals(signals: dict[str, int]) -> Text:
    return Text("signals  " + "  ".join(f"{state} {signals.get(state, 0)}" for state in SIGNAL_ORDER))


def _actors(actors: list[dict[str, Any]]) -> Table:
    table = Table("actor", "kind", "state", "pid", "epoch", "restarts", "mailbox", expand=False)
    for actor in actors[:MOST_ROWS]:
        style = "" if actor["state"] == "running" else "red"
        table.add_row(
            actor["name"],
            actor["kind"],
            actor["state"],
            str(actor["pid"]),
            str(actor["epoch"]),
            str(actor["restarts"]),
            str(actor["mailbox"]),
            style=style,
        )
    if len(actors) > MOST_ROWS:
        table.add_row(f"... {len(actors) - MOST_ROWS} more", *[""] * 6)
    return table


def _links(url: str, dashboard: str) -> Text:
    ray = f"Ray dashboard {dashboard} (it asks for the token in ~/.ray/auth_token)"
    parts = [f"health {url}/health" if url else "", ray if dashboard else ""]
    return Text("   ".join(part for part in parts if part), style="cyan")
