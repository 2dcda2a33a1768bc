"""Progress is a bar in a terminal, and silence anywhere else."""

from __future__ import annotations

import io

from rich.console import Console

from bigwheel.cli.progress import PERCENT, bar


def shown(**terminal: bool) -> str:
    """What is written while three of four are done."""
    out = io.StringIO()
    with bar(f"{PERCENT} {{task.fields[rows]}} rows", console=Console(file=out, width=120, **terminal)) as told:  # type: ignore[arg-type]
        task = told.add_task("BTCUSDT", total=4, rows=0)
        told.update(task, completed=3, rows=21)
        told.refresh()
    return out.getvalue()


def test_a_terminal_is_shown_name_share_and_what_else_is_told() -> None:
    text = shown(force_terminal=True)
    assert "BTCUSDT" in text and "75%" in text and "21 rows" in text


def test_anything_else_and_a_quiet_terminal_are_shown_nothing() -> None:
    assert shown(force_terminal=False) == ""
    assert shown(force_terminal=True, quiet=True) == ""
