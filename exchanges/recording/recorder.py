"""Records what a venue's connection hears and does, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from exchanges.model.market import MarketData
from exchanges.recording.buffer import SLICE_ROWS
from exchanges.recording.errors import RecordingError
from exchanges.recording.files import probe
from exchanges.recording.intake import Accounts
from exchanges.recording.layout import escaped
from exchanges.recording.schemas import name_for
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from runtime.message import Message

logger = logging.getLogger(__name__)

_TELL_S = 10.0


class Recorder:
    """Takes messages on the event loop and writes them on its thread.

    ``take`` costs a microsecond and never waits. When the thread falls behind by ``queue_rows`` market data is
    dropped, counted and told; orders and fills never are. ``clock`` gives nanoseconds since the epoch.
    """

    def __init__(self, settings: RecorderSettings, clock: Callable[[], int] = time.time_ns) -> None:
        self.settings = settings
        self._clock = clock
        self._counters: Counter[str] = Counter()
        self._accounts = Accounts()
        self._store = RecordingStore(settings, self._counters, clock)
        self._queue: deque[tuple[Message, int]] = deque()
        self._wake = threading.Event()
        self._most = settings.queue_rows
        self._many = max(1, settings.queue_rows // 4)
        self._unwritten = 0
        self._closing = False
        self._dropped = 0
        self._told, self._told_s = 0, 0.0
        self._thread = threading.Thread(target=self._run, name=f"recorder {settings.venue}", daemon=True)

    # -- on the event loop -----------------------------------------------------------------

    def start(self) -> None:
        """Begin to record.

        Raises:
            RecordingError: the folder can't be made or written to.
        """
        folder = self.settings.folder / f"venue={escaped(self.settings.venue)}"
        try:
            probe(folder)
        except OSError as error:
            raise RecordingError(
                f"expected a folder that can be written for the recording at {self.settings.folder}, found: "
                f"{error.strerror or error}; name another one"
            ) from error
        self._thread.start()

    def take(self, message: Message) -> None:
        """Record a message, if it is one to record; never blocks, never raises."""
        queue = self._queue
        if isinstance(message, MarketData):
            if len(queue) >= self._most:
                self._dropped += 1
                return
            queue.append((message, 0))
            if len(queue) == self._many:
                self._wake.set()
        elif self._accounts.concerns(message):
            queue.append((message, self._clock()))

    def stats(self) -> dict[str, float]:
        """Counters by name: rows by table, files, bytes, what was dropped, what is not on the disk yet."""
        waiting = len(self._queue)
        counters = {**self._counters, "dropped": self._dropped, "queued": waiting, "unwritten": self.unwritten}
        return {name: float(count) for name, count in sorted(counters.items())}

    @property
    def unwritten(self) -> int:
        """Rows that a crash would lose now."""
        return len(self._queue) + self._unwritten

    async def close(self, timeout_s: float = 30.0) -> None:
        """Write everything that was taken, and end the thread."""
        await asyncio.to_thread(self.end, timeout_s)

    def end(self, timeout_s: float = 30.0) -> None:
        """The same, blocking."""
        self._closing = True
        self._wake.set()
        if self._thread.ident is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.error(
                "expected the recorder to have written everything within %g s, found %d rows unwritten; the disk of "
                "%s is too slow or hangs",
                timeout_s,
                self.unwritten,
                self.settings.folder,
            )

    # -- on the recorder's thread ----------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self.settings.turn_s)
            self._wake.clear()
            self._turn(self._store.tend)
        self._turn(self._finish)

    def _turn(self, then: Callable[[], None]) -> None:
        """Take in what waits and go on with ``then``; whatever goes wrong costs no more than what it is about."""
        try:
            self._drain()
            then()
        except Exception:
            self._counters["failures"] += 1
            logger.exception("the recorder of %s goes on after an error", self.settings.venue)
        self._unwritten = len(self._store)
        self._tell()

    def _drain(self) -> None:
        """Hand what waits to the store, giving way to the event loop's thread again and again."""
        queue, add = self._queue, self._store.add
        waiting = len(queue)
        for start in range(0, waiting, SLICE_ROWS):
            for _ in range(min(SLICE_ROWS, waiting - start)):
                message, came_ns = queue.popleft()
                if isinstance(message, MarketData):
                    table = name_for(message)
                    if table:
                        add(message.symbol, table, message.ts_ns, message)
                    continue
                for entry in self._accounts.entries(message, came_ns):
                    add(entry.symbol, entry.table, entry.ts_ns, entry.row)
            time.sleep(0)

    def _finish(self) -> None:
        lost = self._store.finish()
        self._counters["lost"] += lost
        if lost:
            logger.error("expected to write all that was recorded, found %d rows that could not be", lost)

    def _tell(self) -> None:
        """Say what has been dropped, not more than once in a while."""
        dropped = self._dropped + self._counters["dropped_disk"]
        now_s = time.monotonic()
        if dropped > self._told and (now_s - self._told_s >= _TELL_S or self._closing):
            logger.warning(
                "recorder of %s: %d pieces of market data dropped (%d in all): more came than could be written",
                self.settings.venue,
                dropped - self._told,
                dropped,
            )
            self._told, self._told_s = dropped, now_s
