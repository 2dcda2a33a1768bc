"""A journal that was cut, changed, half written, or had no room: whatever is gone is named, never passed over."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import JournalCorruptError, JournalError
from runtime.journal import mark
from runtime.journal.examine import examine
from runtime.journal.reader import JournalReader
from runtime.journal.salvage import salvage
from runtime.journal.store import LmdbJournal
from tests.unit.apart import apart
from tests.unit.journal_events import JournalNote, add, fill

RECORDS = 120
PAGE = 4096
OFFSET = {"in|1": (1, 77)}


def contents(path: Path) -> Any:
    """Everything a consumer can get out of a journal."""
    reader = JournalReader(path)
    records = reader.read(0, 10_000)
    found = {
        "records": [(record.seq, record.ts, record.kind, record.body.hex(), record.keys) for record in records],
        "kinds": [record.seq for record in reader.read(0, 10_000, kinds=["JournalNote"])],
        "symbol": [record.seq for record in reader.latest("symbol", "sim:B", 10_000)],
        "offsets": reader.offsets(),
    }
    reader.close()
    return found


def looked_at(path: Path) -> dict[str, Any]:
    report = examine(path)
    return {"ok": report.ok, "problems": report.problems, "contents": contents(path) if report.ok else None}


def salvaged(path: Path, target: Path) -> dict[str, Any]:
    found = salvage(path, target)
    return {"kept": found.kept, "last": found.last, "reason": found.reason, "records": contents(target)["records"]}


def write(path: Path, count: int = RECORDS) -> None:
    journal = LmdbJournal(path, epoch=1)
    fill(journal, count, per_commit=7)
    for name, (epoch, seq) in OFFSET.items():
        journal.set_offset(name, epoch, seq)
    journal.commit()
    journal.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "journal"
    apart(write, path)
    return path


@pytest.fixture(scope="module")
def whole(sound: Path) -> Any:
    found = apart(contents, sound)
    assert len(found["records"]) == RECORDS
    return found


def copy_of(sound: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    return folder


@given(place=st.integers(0, 1 << 30), bit=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_a_flipped_bit_is_named_or_has_changed_nothing(
    sound: Path, whole: Any, tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = copy_of(sound, tmp_path_factory.getbasetemp() / "flipped")
    data = bytearray((path / "data.mdb").read_bytes())
    data[place % len(data)] ^= 1 << bit
    (path / "data.mdb").write_bytes(data)
    found = apart(looked_at, path)
    if "died" not in found and found["ok"]:
        assert found["contents"] == whole


@given(place=st.integers(0, 1 << 30), bit=st.integers(0, 7))
@settings(max_examples=30, deadline=None)
def test_what_is_salvaged_are_the_first_records_and_nothing_else(
    sound: Path, whole: Any, tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "salvaged"
    path = copy_of(sound, folder / "old")
    shutil.rmtree(folder / "new", ignore_errors=True)
    data = bytearray((path / "data.mdb").read_bytes())
    data[2 * PAGE + place % (len(data) - 2 * PAGE)] ^= 1 << bit
    (path / "data.mdb").write_bytes(data)
    found = apart(salvaged, path, folder / "new")
    if "died" not in found:
        assert found["records"] == whole["records"][: found["kept"]]
        assert found["kept"] == RECORDS or found["reason"] or found["last"] < RECORDS


@given(pages=st.floats(0, 1), rest=st.integers(0, PAGE - 1))
@settings(max_examples=30, deadline=None)
def test_a_file_cut_short_is_named_or_has_lost_nothing(
    sound: Path, whole: Any, tmp_path_factory: pytest.TempPathFactory, pages: float, rest: int
) -> None:
    path = copy_of(sound, tmp_path_factory.getbasetemp() / "cut")
    size = (path / "data.mdb").stat().st_size
    os.truncate(path / "data.mdb", min(int(pages * size / PAGE) * PAGE + rest, size - 1))
    found = apart(looked_at, path)
    if "died" not in found and found["ok"]:
        assert found["contents"] == whole


def more(path: Path) -> None:
    journal = LmdbJournal(path, epoch=1)
    fill(journal, 3, start=RECORDS)
    journal.close()


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_commit_that_is_half_on_the_disk_is_not_there_or_is_named(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    base = tmp_path_factory.getbasetemp()
    path = copy_of(sound, base / "half")
    before = (path / "data.mdb").read_bytes()
    apart(more, path)
    after = (path / "data.mdb").read_bytes()
    both = apart(contents, path)
    pages = [n for n in range(len(after) // PAGE) if after[n * PAGE :][:PAGE] != before[n * PAGE :][:PAGE]]
    written = data.draw(st.lists(st.sampled_from(pages), unique=True))
    torn = bytearray(before.ljust(len(after), b"\0"))
    for page in written:
        torn[page * PAGE : (page + 1) * PAGE] = after[page * PAGE : (page + 1) * PAGE]
    (path / "data.mdb").write_bytes(torn)
    found = apart(looked_at, path)
    if "died" in found or not found["ok"]:
        return
    # It stands as a whole, and only because everything of it had been written.
    assert found["contents"] == both


def test_an_older_copy_in_its_place_is_noticed_by_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    apart(write, path)
    older = (path / "data.mdb").read_bytes()
    apart(more, path)
    (path / "data.mdb").write_bytes(older)
    assert apart(looked_at, path)["problems"] == ["records 121 to 123 were committed, and are gone"]
    found = apart(LmdbJournal, path)
    assert "JournalCorruptError" in found["died"]
    assert "records 121 to 123 were committed, and are gone: put a backup in its place" in found["died"]


def test_a_damaged_mark_is_named_and_read_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert mark.marked(path) == 0
    apart(write, path)
    assert mark.marked(path) == RECORDS
    data = bytearray((path / "head").read_bytes())
    data[3] ^= 1
    (path / "head").write_bytes(data)
    with pytest.raises(JournalCorruptError, match="right CRC"):
        mark.marked(path)
    assert "right CRC" in apart(looked_at, path)["problems"][0]


def test_a_changed_input_offset_is_named_and_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    apart(write, path)
    data = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(data.replace(b"\xa4in|1\x01\x4d", b"\xa4in|1\x01\x4e"))
    found = apart(looked_at, path)
    assert "expected the input offset 'in|1' with a right CRC" in found["problems"][0]
    assert "right CRC" in apart(contents, path)["died"]


# -- killed, and out of room ---------------------------------------------------------------


def commit_for_ever(path: Path, pipe: int) -> None:
    journal = LmdbJournal(path)
    noise = random.Random(journal.head)
    while True:
        for _ in range(noise.randint(1, 40)):
            add(journal, JournalNote("x" * noise.randint(1, 900)), symbol="sim:A")
        journal.commit()
        os.write(pipe, journal.head.to_bytes(8, "big"))


def test_a_writer_killed_in_the_middle_of_commits_loses_none_that_it_told_of(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    noise = random.Random(3)
    head = 0
    for _ in range(10):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                commit_for_ever(path, writing)
            finally:
                os._exit(1)
        os.close(writing)
        told = head
        for _ in range(noise.randint(1, 12)):
            told = int.from_bytes(os.read(reading, 8), "big")
        for _ in range(noise.randint(0, 20_000)):
            told += 0
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while rest := os.read(reading, 8):
            told = int.from_bytes(rest, "big")
        os.close(reading)
        found = apart(looked_at, path)
        assert found["ok"], found
        head = len(found["contents"]["records"])
        assert head >= told > 0
        assert mark.marked(path) in range(told - 40, head + 1)


def fill_until_it_fails(path: Path, limit: int) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    journal = LmdbJournal(path)
    head = journal.head
    try:
        while True:
            add(journal, JournalNote("x" * 500), symbol="sim:A")
            journal.commit()
            head = journal.head
    except JournalError as error:
        return {"head": head, "error": str(error)}


def test_a_full_disk_ends_the_writer_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    apart(write, path)
    found = apart(fill_until_it_fails, path, (path / "data.mdb").stat().st_size + 100_000)
    assert found["head"] > RECORDS, found
    assert "Free some disk space" in found["error"]
    after = apart(looked_at, path)
    assert after["ok"], after
    assert len(after["contents"]["records"]) == found["head"]
    apart(more, path)
    assert apart(looked_at, path)["ok"]


def test_a_store_that_has_grown_to_its_limit_says_so_and_keeps_what_was_committed(tmp_path: Path) -> None:
    def grow(path: Path) -> dict[str, Any]:
        journal = LmdbJournal(path, map_size=300_000)
        head = 0
        try:
            while True:
                add(journal, JournalNote("x" * 500))
                head = journal.commit()[-1].seq
        except JournalError as error:
            return {"head": head, "error": str(error)}

    path = tmp_path / "journal"
    found = apart(grow, path)
    assert found["head"] > 10
    assert "MDB_MAP_FULL" in found["error"]
    after = apart(looked_at, path)
    assert after["ok"], after
    assert len(after["contents"]["records"]) == found["head"]
