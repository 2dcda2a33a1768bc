"""Writes a journal out as JSON lines or Parquet, for other tools to read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtime.errors import JournalError
from runtime.journal.base import History
from runtime.journal.reader import JournalReader
from runtime.journal.record import Record, document

_CHUNK = 5_000


def export(
    path: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    since: int = 1,
    until: int = 0,
    kinds: Sequence[str] = (),
    index: str = "",
    value: str = "",
) -> int:
    """Write records ``since`` to ``until`` (0: all there are now) of the journal in ``path`` to ``file``.

    The name's end says how: ``.jsonl`` for one JSON object on each line, ``.parquet`` for a table
    with the event as JSON text. ``kinds``, ``index`` and ``value`` narrow it as ``read`` does.
    Returns the number of records; the file appears when it is whole.

    Raises:
        JournalError: another file name, or the journal can't be read or the file written.
    """
    target = Path(file)
    writers: dict[str, Callable[[Path, Iterator[list[Record]]], int]] = {".jsonl": _lines, ".parquet": _parquet}
    writer = writers.get(target.suffix)
    if writer is None:
        raise JournalError(f"expected a file name that ends in .jsonl or .parquet, found {target.name}")
    partial = target.with_name(target.name + ".partial")
    reader = JournalReader(path)
    try:
        count = writer(partial, _chunks(reader, since, until or reader.head, kinds, index, value))
        os.replace(partial, target)
    except OSError as error:
        raise JournalError(f"expected to write {target}, found {error}") from error
    finally:
        partial.unlink(missing_ok=True)
        reader.close()
    return count


def _chunks(
    reader: History, since: int, until: int, kinds: Sequence[str], index: str, value: str
) -> Iterator[list[Record]]:
    after = max(since, 1) - 1
    while after < until:
        found = reader.read(after, _CHUNK, kinds=kinds, index=index, value=value)
        chunk = [record for record in found if record.seq <= until]
        if chunk:
            yield chunk
        if len(found) < _CHUNK or len(chunk) < len(found):
            return
        after = found[-1].seq


def _lines(file: Path, chunks: Iterator[list[Record]]) -> int:
    count = 0
    with file.open("wb") as out:
        for chunk in chunks:
            count += len(chunk)
            out.writelines(msgspec.json.encode(_row(record, document(record))) + b"\n" for record in chunk)
    return count


def _parquet(file: Path, chunks: Iterator[list[Record]]) -> int:
    # Half a second to import: paid by those alone who ask for Parquet.
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    text, number = arrow.string(), arrow.int64()
    types = {"seq": number, "ts": number, "source": text, "epoch": number, "correlation": text, "causation": number}
    types |= {"kind": text, "keys": arrow.map_(text, text), "version": number, "event": text}
    schema = arrow.schema(list(types.items()))
    count = 0
    with parquet.ParquetWriter(file, schema) as out:
        for chunk in chunks:
            count += len(chunk)
            rows = [_row(record, msgspec.json.encode(document(record)).decode()) for record in chunk]
            for row in rows:
                row["keys"] = list(row["keys"].items())
            out.write_table(arrow.Table.from_pylist(rows, schema=schema))
    return count


def _row(record: Record, event: Any) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "ts": record.ts,
        "source": record.source,
        "epoch": record.epoch,
        "correlation": record.correlation,
        "causation": record.causation,
        "kind": record.kind,
        "keys": dict(record.keys),
        "version": record.version,
        "event": event,
    }
