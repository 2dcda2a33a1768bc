"""Commands that look: at the running session, and at its journal."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from bigwheel import why as causes
from bigwheel.cli.options import AsJson, Config, Store, settings_of, store_of
from bigwheel.client import GatewayClient
from bigwheel.queries import SignalRow, open_journal, select
from bigwheel.screen import ids, render, terminal
from bigwheel.times import moment_ns, stamp


def status(config: Config = "sim", store: Store = "", as_json: AsJson = False) -> None:
    """What the running session is doing: symbols, positions, signals, actors."""
    settings = settings_of(config, store)
    client = GatewayClient(settings.store, settings.gateway.token_file)
    found = client.status()
    if as_json:
        found.pop("latency_dumps", None)
        typer.echo(json.dumps(found, indent=2, default=str))
    else:
        terminal().print(render(found, url=client.url()))


def signals(
    state: Annotated[str, typer.Option("--state", help="Only signals in this state, or that ended in it.")] = "",
    symbol: Annotated[str, typer.Option("--symbol", help="Only this symbol, such as bybit:BTCUSDT.")] = "",
    strategy: Annotated[str, typer.Option("--strategy", help="Only this strategy.")] = "",
    since: Annotated[str, typer.Option("--since", help="A time (2026-03-01T12:00) or a duration ago (10m).")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most rows, newest first.")] = 100,
    config: Config = "sim",
    store: Store = "",
    as_json: AsJson = False,
) -> None:
    """Signals from the journal, newest first; works while a session runs and after it."""
    after = moment_ns(since) if since else 0
    with open_journal(store_of(config, store)) as journal:
        rows = select(journal, state=state, symbol=symbol, strategy=strategy, since_ns=after, limit=limit)
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        terminal().print(_table(rows))


def _table(rows: list[SignalRow]) -> Table:
    table = Table(
        ids("time (UTC)"),
        ids("id"),
        "strategy",
        "symbol",
        "side",
        "conviction",
        "state",
        "detail",
        box=None,
        pad_edge=False,
        padding=(0, 1),
    )
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        signal = row.signal
        table.add_row(
            stamp(signal.created_ns)[5:19],
            signal.id,
            signal.strategy,
            signal.symbol,
            signal.side,
            f"{signal.conviction:.3f}",
            row.state,
            row.detail,
        )
    return table


def why(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The id of a signal, or a client order id.")],
    config: Config = "sim",
    store: Store = "",
) -> None:
    """The chain of causes of a signal or an order, from market data to fill and lesson."""
    with open_journal(store_of(config, store)) as journal:
        for line in causes.explain(journal, wanted):
            typer.echo(line)
