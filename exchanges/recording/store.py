"""The recorder's files: buffers that are written when they are due, and compacted when their day is over."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from exchanges.recording.buffer import Buffer, Key
from exchanges.recording.compaction import compact
from exchanges.recording.errors import RecordingError
from exchanges.recording.files import Draft, make_folder
from exchanges.recording.layout import (
    DAY_NS,
    Note,
    Partition,
    day_of,
    days,
    name_of,
    next_number,
    partition_of,
    with_note,
)
from exchanges.recording.schemas import table_of
from exchanges.recording.settings import RecorderSettings

logger = logging.getLogger(__name__)

ACCOUNT = "account"
"""Where rows lie that concern no symbol."""
_LOOKED_AT = 50
"""Folders of an earlier process looked at in one turn."""
_FAILURES = (OSError, ValueError, pa.ArrowException, RecordingError)


class RecordingStore:
    """Buffers and files of one venue; belongs to one thread. ``clock`` gives nanoseconds since the epoch."""

    def __init__(
        self, settings: RecorderSettings, counters: Counter[str], clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._settings, self._counters, self._clock = settings, counters, clock
        self._buffers: dict[tuple[str, str, int], Buffer] = {}
        self._numbers: dict[Key, int] = {}
        self._small: Counter[Key] = Counter()
        self._touched: dict[Partition, int] = {}
        self._earlier: Iterator[Path] = days(settings.folder, settings.venue)
        self._failing = False

    def __len__(self) -> int:
        """Rows that are not on the disk."""
        return sum(map(len, self._buffers.values()))

    # -- rows ------------------------------------------------------------------------------

    def add(self, symbol: str, table: str, ts_ns: int, row: Any) -> None:
        """Take one row of the symbol with that full name."""
        place = symbol, table, ts_ns // DAY_NS
        buffer = self._buffers.get(place)
        if buffer is None:
            partition = Partition(self._settings.venue, symbol.partition(":")[2] or ACCOUNT, day_of(ts_ns))
            buffer = self._buffers[place] = Buffer(Key(partition, table), self._clock())
        buffer.add(row)
        self._counters[f"rows_{table}"] += 1

    def tend(self) -> None:
        """Write what is due, keep within the bounds, and merge what has settled."""
        now_ns = self._clock()
        for place in [place for place, buffer in self._buffers.items() if self._due(buffer, now_ns)]:
            self._write(place, now_ns)
        self._shrink(now_ns)
        self._compact(now_ns)

    def finish(self) -> int:
        """Write everything; returns how many rows could not be."""
        for place in list(self._buffers):
            self._write(place, self._clock())
        return len(self)

    # -- writing ---------------------------------------------------------------------------

    def _due(self, buffer: Buffer, now_ns: int) -> bool:
        if now_ns < buffer.retry_ns:
            return False
        midnight = buffer.key.partition.end_ns
        return (
            len(buffer) >= self._settings.flush_rows
            or now_ns - buffer.born_ns >= self._settings.flush_s * 1e9
            or buffer.born_ns < midnight <= now_ns
        )

    def _write(self, place: tuple[str, str, int], now_ns: int) -> bool:
        """Put a buffer's rows into a file of their own; they stay in memory if that fails."""
        buffer = self._buffers[place]
        key = buffer.key
        folder = key.partition.folder(self._settings.folder)
        try:
            make_folder(folder)
            target = self._free_name(folder, key)
            with Draft(target, with_note(table_of(key.table).schema, Note())) as draft:
                draft.add(buffer.table())
                self._counters["bytes"] += draft.keep()
        except _FAILURES as error:
            buffer.retry_ns = now_ns + int(self._settings.retry_s * 1e9)
            self._failed(f"expected to write {key.table} in {folder}, found {error}; free the disk or mend the folder")
            return False
        del self._buffers[place]
        self._counters["files"] += 1
        self._counters["unfit"] += buffer.unfit
        self._small[key] += 1
        self._touched[key.partition] = now_ns
        if self._failing:
            self._failing = False
            logger.warning("the recorder can write again")
        return True

    def _free_name(self, folder: Path, key: Key) -> Path:
        """A name nobody has taken; asked of the folder once, and counted from there."""
        number = self._numbers.get(key) or next_number(folder, key.table)
        while (target := folder / name_of(key.table, self._settings.epoch, number)).exists():
            number += 1
        self._numbers[key] = number + 1
        return target

    def _failed(self, text: str) -> None:
        """Count a failure; told once until something can be written again."""
        self._counters["write_failures"] += 1
        if not self._failing:
            self._failing = True
            logger.error("%s; until then rows are kept in memory", text)

    def _shrink(self, now_ns: int) -> None:
        """Keep within ``buffer_rows``: write the largest, or give up the oldest market data where that fails."""
        for place, buffer in sorted(self._buffers.items(), key=lambda item: len(item[1]), reverse=True):
            if len(self) <= self._settings.buffer_rows:
                return
            if now_ns >= buffer.retry_ns and self._write(place, now_ns):
                continue
            while not buffer.key.ours and len(buffer) and len(self) > self._settings.buffer_rows:
                self._counters["dropped_disk"] += buffer.drop_oldest()

    # -- compaction ------------------------------------------------------------------------

    def _compact(self, now_ns: int) -> None:
        """One merger at a time: what has many small files, what has settled, what an earlier process left."""
        crowded = next((key for key, count in self._small.items() if count >= self._settings.most_parts), None)
        if crowded is not None:
            del self._small[crowded]
            self._merge(crowded.partition.folder(self._settings.folder), small_only=True)
            return
        today, settled_ns = day_of(now_ns), now_ns - int(self._settings.settle_s * 1e9)
        settled = next((p for p, at in self._touched.items() if p.period < today and at <= settled_ns), None)
        if settled is not None:
            self._forget(settled)
            self._merge(settled.folder(self._settings.folder), small_only=False)
            return
        for folder in itertools.islice(self._earlier, _LOOKED_AT):
            partition = partition_of(folder)
            if partition is None or partition in self._touched:
                continue
            if self._merge(folder, small_only=partition.period >= today):
                return

    def _forget(self, partition: Partition) -> None:
        """Nothing of a past day is kept in memory, or a year's days would be."""
        del self._touched[partition]
        for key in [key for key in self._numbers if key.partition == partition]:
            del self._numbers[key]
            self._small.pop(key, None)

    def _merge(self, folder: Path, *, small_only: bool) -> bool:
        """Merge a folder's files; returns whether there were any to merge."""
        try:
            done = compact(folder, fewest=self._settings.most_parts if small_only else 2, small_only=small_only)
        except _FAILURES as error:
            self._counters["compaction_failures"] += 1
            logger.error("expected to merge the files in %s, found %s; they stay as they are", folder, error)
            return True
        self._counters["compacted"] += done.files
        self._counters["duplicates"] += done.duplicates
        self._counters["leftovers"] += done.leftovers
        return done.made > 0
