"""Strategies as they are written on the command line: ``[LABEL=]STRATEGY[@SYMBOLS]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bigwheel.backtests.roster import ALONE, Entry
from bigwheel.errors import UsageError

_LABELLED = re.compile(r"(?:([A-Za-z0-9_.-]+)=)?(.+)")

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STRATEGY...",
        help="Built in, module:Class or file.py:Class; of several LABEL=NAME@SYMBOLS. None: those of --config.",
    ),
]
Symbols = Annotated[
    str, typer.Option("--symbols", help="bybit:BTCUSDT,bybit:ETHUSDT, of strategies that name none of their own.")
]


def entries(texts: Sequence[str], config: str) -> Entry | list[Entry] | None:
    """What ``bigwheel.backtest`` takes: one strategy, several, or ``None`` for those of ``config``.

    Raises:
        UsageError: there are none.
    """
    if not texts and config == ALONE:
        raise UsageError(
            "expected STRATEGY (one or several), or --config FILE with `strategies`, found neither; see --help"
        )
    found = [entry(text) for text in texts]
    return (found[0] if len(found) == 1 else found) if found else None


def entry(text: str) -> Entry:
    """``slow=trend@bybit:BTCUSDT`` as an entry of a configuration; a name alone stays one.

    Raises:
        UsageError: there is no name in it.
    """
    head, at, tail = text.rpartition("@")
    if not at or ".py:" in tail:  # a folder may have an @ in its name
        head, tail = text, ""
    match = _LABELLED.fullmatch(head)
    if match is None or (at and head != text and not tail):
        raise UsageError(f"expected [LABEL=]STRATEGY[@SYMBOLS] such as slow=trend@bybit:BTCUSDT, found {text!r}")
    label, name = match.groups()
    told: dict[str, Any] = {"name": name}
    if label:
        told["label"] = label
    if tail:
        told["symbols"] = tail.split(",")
    return told if len(told) > 1 else str(name)
