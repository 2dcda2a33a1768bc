"""What a backtest had come to when Ctrl-C ended it, and where the strategy's code was then."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Sequence
from pathlib import Path

from bigwheel.backtests.session import Session
from bigwheel.times import stamp
from strategies.strategy import Strategy


def account(session: Session, owners: Sequence[type[Strategy]], stop: BaseException) -> str:
    """One line: how far the data had come, what there was by then, and the strategy's line that was at work.

    Args:
        session: the run, as it stood.
        owners: the strategies' classes; their sources are looked for in the traceback.
        stop: what ended the run.
    """
    ledger = session.ledger
    there = (
        f"{len(ledger.signals):,} signals, {len(ledger.orders):,} orders, {len(ledger.fills):,} fills, "
        f"{len(ledger.trips.rows):,} round trips, realised {ledger.books.realized:,.2f}"
    )
    return (
        f"interrupted at {stamp(session.driver.now)} of the data{_place(owners, stop)}; until then {there}; "
        "nothing was written"
    )


def _place(owners: Sequence[type[Strategy]], stop: BaseException) -> str:
    """Where in a strategy's own source it was, if it was there: ``, in on_bar (mine.py, line 12)``."""
    sources = set(filter(None, map(_source, owners)))
    inside = [frame for frame in traceback.extract_tb(stop.__traceback__) if frame.filename in sources]
    if not inside:
        return ""
    last = inside[-1]
    return f", in {last.name} ({Path(last.filename).name}, line {last.lineno})"


def _source(owner: type[Strategy]) -> str:
    """The file a class is written in; empty where there is none."""
    try:
        return inspect.getfile(owner)
    except (OSError, TypeError):
        return ""
