"""Commands that act on the running session."""

from __future__ import annotations

from typing import Annotated

import typer

from bigwheel.cli.options import Config, Store, settings_of
from bigwheel.client import GatewayClient

Reason = Annotated[str, typer.Option("--reason", help="Why: it is journaled.")]


def _act(action: str, config: str, store: str, reason: str) -> None:
    settings = settings_of(config, store)
    given = GatewayClient(settings.store, settings.gateway.token_file).control(action, reason=reason)
    typer.echo(f"{action}: accepted as {given}; `bigwheel status` shows when it is done")


def panic(config: Config = "sim", store: Store = "", reason: Reason = "") -> None:
    """Cancel every order, flatten every position, and halt."""
    _act("panic", config, store, reason)


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
