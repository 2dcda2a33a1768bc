"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from conf import Settings, load

Config = Annotated[str, typer.Option("--config", help="An environment (sim, three, paper, demo, live) or a YAML file.")]
Store = Annotated[
    str, typer.Option("--store", help="The session's folder: journal, snapshots, logs. Default: the configuration's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(config: str, store: str = "", **overrides: object) -> Settings:
    """The configuration, with what the command line says laid over it."""
    laid: dict[str, object] = {key: value for key, value in overrides.items() if value is not None}
    if store:
        laid["store"] = store
    return load(config, laid or None)


def store_of(config: str, store: str) -> Path:
    """The folder of the session a command is about."""
    return settings_of(config, store).store
