"""Commands on working orders: look at them, and take those placed elsewhere under management."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.table import Table

from bigwheel.cli.control import Reason
from bigwheel.cli.options import AsJson, Config, Store, settings_of
from bigwheel.client import GatewayClient
from bigwheel.errors import UsageError
from bigwheel.orders import EVERY, OrderRow, named, working
from bigwheel.screen import ids, terminal


def orders(
    foreign: Annotated[bool, typer.Option("--foreign", help="Those that were placed elsewhere.")] = False,
    config: Config = "sim",
    store: Store = "",
    as_json: AsJson = False,
) -> None:
    """Working orders of the running session, or those on its accounts that are not its own."""
    settings = settings_of(config, store)
    rows = working(GatewayClient(settings.store, settings.gateway.token_file).status(), foreign=foreign)
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        terminal().print(_table(rows, time.time_ns()))


def adopt(
    wanted: Annotated[str, typer.Argument(metavar="[VENUE_ID]", help="The venue's id of the order.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All that `orders --foreign` lists.")] = False,
    config: Config = "sim",
    store: Store = "",
    reason: Reason = "",
) -> None:
    """Manage an order that was placed elsewhere as ours: its fills are booked, a stop or a panic cancels it."""
    if bool(wanted) == every:
        raise UsageError("expected the venue's id of one order, or --all, found " + ("both" if every else "neither"))
    settings = settings_of(config, store)
    client = GatewayClient(settings.store, settings.gateway.token_file)
    given = client.control("adopt", named(client.status(), EVERY if every else wanted), reason)
    typer.echo(f"adopt: accepted as {given}; `bigwheel orders` shows it among ours when it is done")


def _table(rows: list[OrderRow], now_ns: int) -> Table:
    table = Table(ids("client id"), ids("venue id"), "symbol", "side", "quantity", "price", "filled", "status", "age")
    for row in rows:
        age = f"{(now_ns - row.since_ns) / 1e9:.0f} s" if row.since_ns else ""
        mark = " (adopted)" if row.adopted else ""
        table.add_row(
            row.client_id,
            row.venue_id,
            row.symbol,
            row.side,
            row.quantity,
            f"waits for {row.waits_for}" if row.waits_for else row.price or "market",
            row.filled,
            row.status + mark,
            age,
        )
    return table
