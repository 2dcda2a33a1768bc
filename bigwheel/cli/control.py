"""Commands that act on the running session."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from bigwheel.cli.options import Config, Store, settings_of
from bigwheel.client import GatewayClient
from conf import Settings
from runtime.errors import BigwheelError

HEAD_START_S = 5.0
"""What a running session gets to close its positions itself, so that not both do."""
Reason = Annotated[str, typer.Option("--reason", help="Why: it is journaled.")]


def _act(action: str, config: str, store: str, reason: str) -> None:
    settings = settings_of(config, store)
    given = GatewayClient(settings.store, settings.gateway.token_file).control(action, reason=reason)
    typer.echo(f"{action}: accepted as {given}; `bigwheel status` shows when it is done")


def panic(
    config: Config = "sim",
    store: Store = "",
    reason: Reason = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="Without a session: from this process, with the configured keys.")
    ] = False,
    limit_s: Annotated[float, typer.Option("--limit", min=1, help="With --direct: seconds to try.")] = 60.0,
) -> None:
    """Cancel every order, flatten every position, and halt."""
    if direct:
        _panic_direct(settings_of(config, store), reason, limit_s)
    else:
        _act("panic", config, store, reason)


def _panic_direct(settings: Settings, reason: str, limit_s: float) -> None:
    """Exit status 1 if anything is left at a venue."""
    from bigwheel.panic import direct_panic
    from bigwheel.session import LOCK
    from runtime.lock import holder

    running = holder(settings.store / LOCK)
    if running:
        _tell_session(settings, reason, running)
    failed = False
    for left in direct_panic(settings, limit_s, lambda line: typer.echo(line, err=True)):
        failed = failed or not left.clear
        held = "; ".join((*left.orders, *left.positions))
        typer.echo(f"{left.venue}: {'clear' if left.clear else f'LEFT: {left.fault or held}'}")
    if running:
        typer.echo(f"process {running} still uses {settings.store}: end it, or keep it halted")
    if failed:
        raise typer.Exit(1)


def _tell_session(settings: Settings, reason: str, running: str) -> None:
    """A session that trades on would undo the panic: it is told first, and nothing waits for it if it is deaf."""
    try:
        GatewayClient(settings.store, settings.gateway.token_file).control("panic", reason=reason)
    except BigwheelError as error:
        typer.echo(f"process {running} runs a session here that can't be told to halt: {error}", err=True)
        return
    typer.echo(f"process {running} was told to panic; looking at the venues in {HEAD_START_S:g} s", err=True)
    time.sleep(HEAD_START_S)


def halt(config: Config = "sim", store: Store = "", reason: Reason = "") -> None:
    """No new orders; working orders are cancelled; positions stay."""
    _act("halt", config, store, reason)


def reduce(config: Config = "sim", store: Store = "", reason: Reason = "") -> None:
    """Only orders that lower exposure."""
    _act("reduce", config, store, reason)


def resume(config: Config = "sim", store: Store = "", reason: Reason = "") -> None:
    """Trade again after a halt, a reduce or a panic."""
    _act("resume", config, store, reason)


def stop(config: Config = "sim", store: Store = "", reason: Reason = "") -> None:
    """End the session orderly; the next start goes on where it stopped."""
    _act("stop", config, store, reason)
