"""The buffering half of a journal, the same for every store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from runtime.codec import encode
from runtime.errors import BigwheelError, FencedError, JournalError
from runtime.journal.batch import Batch
from runtime.journal.record import Record, encode_fields, schema_versions
from runtime.message import Message

_version = schema_versions.get


class Appender(ABC):
    """Numbers and encodes events, gathers them in a ``Batch``, and stops for good after a failure.

    ``head`` and ``ts`` are those of the last committed record.
    """

    def __init__(self, head: int, ts: int) -> None:
        self._head = head
        self._next = head + 1
        self._ts = ts
        self._batch = Batch()
        self._failure: BigwheelError | None = None

    @property
    def head(self) -> int:
        return self._head

    @property
    def pending(self) -> int:
        return len(self._batch.records)

    @property
    def dirty(self) -> bool:
        return bool(self._batch)

    def append(
        self,
        event: Message,
        *,
        ts: int,
        source: str,
        epoch: int,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
    ) -> int:
        if self._failure is not None:
            self._check()
        seq = self._next
        if ts < self._ts:
            ts = self._ts
        kind = type(event).__name__
        pairs = tuple(keys.items())
        record = Record(seq, ts, source, epoch, correlation, causation, kind, pairs, encode(event), _version(kind, 1))
        payload = encode_fields(record)
        batch = self._batch
        postings = batch.postings
        try:
            for pair in pairs:
                postings[pair].append(seq)
        except JournalError:
            postings.forget(seq)
            raise
        except TypeError as error:
            postings.forget(seq)
            raise JournalError(f"expected index keys of text, found {pairs!r}; write them as text") from error
        batch.kinds[kind].append(seq)
        batch.records.append(record)
        batch.payloads.append(payload)
        self._next = seq + 1
        self._ts = ts
        return seq

    def set_offset(self, key: str, epoch: int, seq: int) -> None:
        self._check()
        self._batch.offsets[key] = (epoch, seq)

    def seal(self) -> Batch:
        self._check()
        batch, self._batch = self._batch, Batch()
        return batch

    def write(self, batch: Batch) -> list[Record]:
        self._check()
        if not batch:
            return []
        records = batch.records
        if records and records[0].seq != self._head + 1:
            raise JournalError(
                f"expected the batch that starts at record {self._head + 1}, found one that starts at "
                f"{records[0].seq}: write the batches in the order they were sealed"
            )
        try:
            self._store(batch)
        except (JournalError, FencedError) as error:
            self._failure = error
            raise
        if records:
            self._head = records[-1].seq
        return records

    def commit(self) -> list[Record]:
        return self.write(self.seal())

    @abstractmethod
    def _store(self, batch: Batch) -> None:
        """Make ``batch`` durable in one step, or raise ``JournalError`` or ``FencedError``."""

    def _check(self) -> None:
        if isinstance(self._failure, FencedError):
            raise FencedError(f"{self._failure} (this writer stopped there)")
        if self._failure is not None:
            raise JournalError(f"the journal stopped at an earlier failure and must be opened anew: {self._failure}")
