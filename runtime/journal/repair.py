"""Brings a damaged journal back to its last good record, and says what was lost."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
from pathlib import Path

import msgspec

from runtime.errors import JournalCorruptError, JournalError
from runtime.journal import environment
from runtime.journal.audit import aside, fresh, run_child, seize, settled, sync, verify
from runtime.journal.mark import FILE as MARK
from runtime.journal.mark import marked
from runtime.journal.salvage import LEFT_OUT, Salvage, kept

PAGE = mmap.PAGESIZE
"""LMDB takes the system's."""

_PAGE_NUMBER = struct.Struct("=Q")


class Repair(msgspec.Struct):
    """What a repair did. Records 1 to ``kept`` are there; ``lost`` are the first and last that are not, 0 for none.

    ``readable`` of the lost ones are in ``left_out``. ``found`` is what was wrong, ``aside`` where the
    damaged journal lies now (empty: nothing was wrong, and nothing was done).
    """

    kept: int
    lost: tuple[int, int] = (0, 0)
    readable: int = 0
    found: list[str] = []
    aside: str = ""
    left_out: str = ""


def repair(path: str | os.PathLike[str]) -> Repair:
    """Put a sound journal in the place of the damaged one in ``path``, which is kept beside it.

    It has every record up to the first that can't be read, and its indices made anew. Nothing after
    a gap is kept, for whatever folds the journal would take it for the whole.

    Raises:
        JournalError: there is none, a writer has it open, or the copy can't be written.
    """
    place = Path(path)
    report = verify(place)
    if report.ok:
        return Repair(kept=report.last)
    if not (place / environment.FILE).exists():
        raise JournalError(f"expected a journal in {place}, found no {environment.FILE}: restore a backup")
    lock = seize(place)
    work = fresh(place.with_name(place.name + ".repairing"))
    try:
        known = _known(place)
        patched = _patch(place, work)
        found = _salvage(work)
        if not (work / "new" / environment.FILE).exists():
            raise JournalCorruptError(f"expected to read something of {place}, found: {found.reason}; restore a backup")
        if not found.kept:
            raise JournalCorruptError(
                f"expected to read at least the first record of {place}, found: {found.reason or 'nothing'}; restore a "
                "backup, or move the folder away to begin anew"
            )
        settled(work / "new", f"what could be read of {place}")
        done = _settle(place, work, found, max(known, found.last))
        done.found = [*patched, *report.problems[:20], *([found.reason] if found.reason else []), *found.notes]
        return done
    except OSError as error:
        raise JournalError(f"expected to repair {place}, found {error}: is the disk full?") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


def _known(place: Path) -> int:
    """The last record the journal is known to have had; 0 where the mark can't be read either."""
    try:
        return marked(place)
    except JournalCorruptError:
        return 0


def _patch(place: Path, work: Path) -> list[str]:
    """Copy the data file so that it can be opened: a header that is damaged and an end that is gone are made up for."""
    data = bytearray((place / environment.FILE).read_bytes())
    said = []
    sound = [number for number in (0, 1) if _is_meta(data, number)]
    if len(sound) == 1:
        whole, broken = sound[0], 1 - sound[0]
        header = bytearray(data[whole * PAGE : (whole + 1) * PAGE])
        header[:8] = _PAGE_NUMBER.pack(broken)
        data[broken * PAGE : (broken + 1) * PAGE] = header
        said.append("one of the two headers was damaged: the last commit before that may be missing")
    (work / "old").mkdir()
    target = work / "old" / environment.FILE
    target.write_bytes(data)
    needed = environment.size_of(target)
    if needed > len(data):
        # Read behind its end the file would kill us; a page of zeros is an error, and no more.
        os.truncate(target, needed)
        said.append(f"{needed - len(data)} bytes at the end were gone")
    return said


def _is_meta(data: bytearray, number: int) -> bool:
    try:
        environment.meta(Path("?"), bytes(data[number * PAGE : number * PAGE + 256]), len(data))
    except environment.DamagedError:
        return False
    return True


def _salvage(work: Path) -> Salvage:
    """Copy what can be read; a child that dies of it leaves what it has committed."""
    target = work / "new"
    output, died = run_child("runtime.journal.salvage", str(work / "old"), str(target))
    if not died:
        return msgspec.json.decode(output, type=Salvage)
    count = kept(target) if (target / environment.FILE).exists() else 0
    return Salvage(kept=count, last=count, reason=f"reading on killed the process that did it ({died})")


def _settle(place: Path, work: Path, found: Salvage, last: int) -> Repair:
    """Swap the journals, the old one with what was left out beside it."""
    old = aside(place, "damaged")
    done = Repair(kept=found.kept, aside=str(old), readable=found.readable)
    if last > found.kept:
        done.lost = found.kept + 1, last
    (work / "new" / MARK).unlink(missing_ok=True)
    os.rename(place, old)
    os.rename(work / "new", place)
    sync(place.parent)
    if found.readable:
        shutil.move(work / LEFT_OUT, old / LEFT_OUT)
        done.left_out = str(old / LEFT_OUT)
    return done
