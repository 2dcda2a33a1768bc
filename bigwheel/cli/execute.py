"""Commands that give signals by hand, take them back, and show how they are carried out."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from bigwheel import executions
from bigwheel.cli.options import AsJson, Config, Store, settings_of, store_of
from bigwheel.client import GatewayClient
from bigwheel.queries import open_journal

SignalId = Annotated[str, typer.Argument(metavar="SIGNAL", help="The id of a signal.")]


def execute(
    symbol: Annotated[str, typer.Argument(help="Such as bybit:BTCUSDT.")],
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    quantity: Annotated[str, typer.Option("--quantity", help="Base units; left out, risk sizes it.")] = "",
    limit: Annotated[str, typer.Option("--limit", help="The worst price.")] = "",
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="It may only lower a position.")] = False,
    flow: Annotated[
        str, typer.Option("--flow", help='How, as JSON: {"kind": "twap", "duration_ns": 60000000000, "slices": 6}.')
    ] = "",
    strategy: Annotated[str, typer.Option("--strategy", help="Whom it is booked under.")] = "manual",
    reason: Annotated[str, typer.Option("--reason", help="Why: it is journaled.")] = "",
    config: Config = "sim",
    store: Store = "",
) -> None:
    """Give a signal; it passes risk and all gates like any strategy's."""
    settings = settings_of(config, store)
    client = GatewayClient(settings.store, settings.gateway.token_file)
    given = executions.execute(
        client,
        symbol,
        side,
        quantity=quantity or None,
        limit_price=limit or None,
        reduce_only=reduce_only,
        flow=executions.parse_flow(flow) if flow else None,
        strategy=strategy,
        reason=reason,
    )
    typer.echo(given)


def withdraw(signal: SignalId, config: Config = "sim", store: Store = "", reason: str = "") -> None:
    """Cancel what a signal led to, as far as it has not happened."""
    settings = settings_of(config, store)
    executions.withdraw(GatewayClient(settings.store, settings.gateway.token_file), signal, reason)
    typer.echo(f"withdraw: accepted; `bigwheel execution {signal}` shows what came of it")


def execution(signal: SignalId, config: Config = "sim", store: Store = "", as_json: AsJson = False) -> None:
    """How a signal is carried out: its orders, what has filled, what is left."""
    with open_journal(store_of(config, store)) as journal:
        found = executions.execution_status(journal, signal)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    typer.echo(
        f"{found.signal} {found.state}{f' by {found.flow}' if found.flow else ''}: {found.side} {found.symbol} "
        f"filled {found.filled} of {found.quantity} at {found.average_price:.8g}"
        f"{f', closed again {found.exited}' if found.exited else ''}{f' ({found.reason})' if found.reason else ''}"
    )
    for leg in found.legs:
        price = f" at {leg.price}" if leg.price is not None else ""
        typer.echo(
            f"    {leg.client_id} {leg.role}: {leg.side} {leg.quantity} {leg.type}{price} is {leg.status}, "
            f"filled {leg.filled}{f' ({leg.reason})' if leg.reason else ''}"
        )
