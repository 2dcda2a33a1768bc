"""What a backtest had come to when Ctrl-C ended it, and where the strategy's code was then."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path

from bigwheel.backtests.session import Session
from bigwheel.times import stamp
from strategies.strategy import Strategy


def account(session: Session, owner: type[Strategy], stop: BaseException) -> str:
    """One line: how far the data had come, what there was by then, and the strategy's line that was at work.

    Args:
        session: the run, as it stood.
        owner: the strategy's class; its source is looked for in the traceback.
        stop: what ended the run.
    """
    ledger = session.ledger
    there = (
        f"{len(ledger.signals):,} signals, {len(ledger.orders):,} orders, {len(ledger.fills):,} fills, "
        f"{len(ledger.trips.rows):,} round trips, realised {ledger.books.realized:,.2f}"
    )
    return (
        f"interrupted at {stamp(session.driver.now)} of the data{_place(owner, stop)}; until then {there}; "
        "nothing was written"
    )


def _place(owner: type[Strategy], stop: BaseException) -> str:
    """Where in the strategy's own source it was, if it was there: ``, in on_bar (mine.py, line 12)``."""
    try:
        source = inspect.getfile(owner)
    except (OSError, TypeError):
        return ""
    inside = [frame for frame in traceback.extract_tb(stop.__traceback__) if frame.filename == source]
    return f", in {inside[-1].name} ({Path(source).name}, line {inside[-1].lineno})" if inside else ""
