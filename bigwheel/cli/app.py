"""All commands of ``bigwheel``; the module of one is imported when it is called.

Whoever halts or panics doesn't wait for what a backtest needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = {
    "run": "run:run",
    "backtest": "backtest:backtest",
    "sweep": "sweep:sweep",
    "simulate": "simulate:simulate_command",
    "download": "download:download",
    "status": "inspect:status",
    "signals": "inspect:signals",
    "why": "inspect:why",
    "orders": "orders:orders",
    "adopt": "orders:adopt",
    "execute": "execute:execute",
    "withdraw": "execute:withdraw",
    "execution": "execute:execution",
    "replay": "replay:replay",
    "panic": "control:panic",
    "halt": "control:halt",
    "reduce": "control:reduce",
    "resume": "control:resume",
    "stop": "control:stop",
    "journal": "journal:app",
    "data": "data:app",
    "learning": "learning:app",
}
"""Where each command stands in this package, in the order the help lists them: a function, or a group of commands."""


class _Modules(Mapping[str, Any]):
    """Commands by name, each made out of its module when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(f"bigwheel.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(name)(found)
            found = alone
        command = get_command(found)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Modules()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)


app = typer.Typer(
    name="bigwheel",
    cls=Commands,
    help="A runtime for trading bots: nothing lost, nothing sent twice, every trade explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def bigwheel() -> None:
    """A runtime for trading bots: nothing lost, nothing sent twice, every trade explained."""
