"""Many small files of a day made into one, without a moment in which a crash loses or doubles a row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from exchanges.recording.coverage import union
from exchanges.recording.files import Draft, sweep, sync
from exchanges.recording.layout import Note, Part, all_parts, name_of, note_of, replaced, with_note
from exchanges.recording.lock import only_one
from exchanges.recording.merge import merged
from exchanges.recording.schemas import table_of

LOCK = ".compaction.lock"


class Compacted(NamedTuple):
    """What a compaction did: files that went, files that came, rows that were there twice, files of a crash."""

    files: int = 0
    made: int = 0
    duplicates: int = 0
    leftovers: int = 0


def compact(folder: Path, *, fewest: int = 2, small_only: bool = False) -> Compacted:
    """Merge the parts of each table in a partition's folder, where there are at least ``fewest`` of them.

    With ``small_only`` those that are mergers themselves stay as they are. Does nothing while another process
    compacts the venue's files. A merger says in its footer what it replaces; only when it is on the disk are the parts
    removed, so whoever reads or goes on after a crash counts each row once.

    Raises:
        RecordingError, OSError, ValueError, pyarrow.ArrowException: a file can't be read or written; nothing is lost.
    """
    if not folder.is_dir():
        return Compacted()
    with only_one(folder.parent.parent / LOCK) as free:
        if not free:
            return Compacted()
        done = Compacted(leftovers=clean(folder))
        for table, found in itertools.groupby(all_parts(folder), attrgetter("table")):
            chosen = [part for part in found if not (small_only and part.merger)]
            if len(chosen) >= max(2, fewest):
                duplicates = _merge(folder, table, chosen)
                done = done._replace(
                    files=done.files + len(chosen), made=done.made + 1, duplicates=done.duplicates + duplicates
                )
        return done


def clean(folder: Path) -> int:
    """Remove what a crash has left behind: unfinished files, and parts a merger stands for; returns how many."""
    found = all_parts(folder)
    gone = replaced(found)
    left = [part.path for part in found if part.path.name in gone]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left) + sweep(folder)


def _merge(folder: Path, name: str, found: Sequence[Part]) -> int:
    """Put one file in the place of ``found``; returns how many rows were there twice."""
    table, paths = table_of(name), [part.path for part in found]
    before = sum(int(pq.read_metadata(path).num_rows) for path in paths)
    covers = union(span for path in paths for span in note_of(path).covers)
    note = Note(
        covers=tuple((span.start_ns, span.end_ns) for span in covers), replaces=tuple(path.name for path in paths)
    )
    last = max(found, key=attrgetter("number"))
    target = folder / name_of(name, last.epoch, last.number, 1 + max(part.merger for part in found))
    with Draft(target, with_note(table.schema, note)) as draft:
        for portion in merged(paths, table):
            draft.add(portion)
        draft.keep()
    for path in paths:
        path.unlink(missing_ok=True)
    sync(folder)
    return before - draft.rows
