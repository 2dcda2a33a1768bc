"""``bigwheel.rerun``: a finished session once more, as a backtest on what it recorded of the outside."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bigwheel.errors import SessionError
from bigwheel.queries import open_journal
from bigwheel.replay import Builders, builder_of, tapes
from bigwheel.reruns.comparison import compare
from bigwheel.reruns.report import Rerun
from bigwheel.reruns.stage import Stage
from runtime.journal.base import History
from runtime.journal.record import Record
from runtime.tape.reader import Incarnation

_CHUNK = 1_000


def rerun(store: str | Path, *, progress: Callable[[int], None] = lambda size: None) -> Rerun:
    """Run all brains of the session in ``store`` again, together, and compare signals and orders.

    From its tapes come market data, the venues' answers, commands from outside, and each message's time and place in
    its receiver's order; all that a brain sent, recorded or set a timer for is made anew.

    Args:
        store: the session's folder. The session has ended.
        progress: called with the number of bytes of tape read.

    Raises:
        SessionError: there is no such session, or it kept no tapes.
        JournalError: its journal can't be read.
    """
    folder = Path(store)
    found = tapes(folder)
    if not found:
        raise SessionError(
            f"expected the tapes of a session in {folder / 'tapes'}, found none: they hold its market data, the "
            "venues' answers and the order of arrival; set audit.enabled: true and run the session again"
        )
    with open_journal(folder) as journal:
        return rerun_of(found, journal, builder_of, progress)


def rerun_of(
    found: list[Incarnation], journal: History, builders: Builders, progress: Callable[[int], None] = lambda size: None
) -> Rerun:
    """The same for tapes and a journal from anywhere; ``builders`` makes the brains."""
    began = time.perf_counter()
    stage = Stage(found, journal, builders, progress)
    # What it makes lives to the end and is hardly ever cyclic: a collector that looks through it finds nothing.
    gc.disable()
    try:
        stage.run()
        compared = compare(_all(journal), iter(stage.log.records))
    finally:
        gc.enable()
    return Rerun.of(stage, compared, time.perf_counter() - began)


def _all(journal: History) -> Iterator[Record]:
    after = 0
    while records := journal.read(after, _CHUNK):
        yield from records
        after = records[-1].seq
