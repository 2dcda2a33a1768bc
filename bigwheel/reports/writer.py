"""Writes a report into a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bigwheel.reports.figures import figures
from bigwheel.reports.page import page
from bigwheel.reports.result import BacktestResult
from exchanges.recording.files import make_folder, sync, write_synced

PAGE, FIGURES = "report.html", "figures.json"


def write_report(
    result: BacktestResult,
    folder: Path,
    *,
    sweep: pa.Table | None = None,
    metric: str | None = None,
    days_a_year: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``report.html`` and ``figures.json`` into ``folder``, which is made if need be; returns the page's path.

    Both are made of the same figures before either is written, and each takes its place in one step. See
    ``figures.figures`` for the arguments.

    Raises:
        OSError: the folder can't be written to; what was there is as it was.
        UsageError: the sweep has no metric.
    """
    made = figures(result, sweep=sweep, metric=metric, days_a_year=days_a_year, more=more)
    texts = {FIGURES: json.dumps(made, allow_nan=False, indent=1) + "\n", PAGE: page(made)}
    make_folder(folder)
    drafts = {folder / name: folder / f".{name}.{os.getpid()}" for name in texts}
    try:
        for draft, text in zip(drafts.values(), texts.values(), strict=True):
            write_synced(draft, text)
        for target, draft in drafts.items():
            os.replace(draft, target)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    sync(folder)
    return folder / PAGE
