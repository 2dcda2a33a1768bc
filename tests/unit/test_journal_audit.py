"""What an operator relies on: verify, backup, restore, export."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import pyarrow.parquet as parquet
import pytest

from runtime.errors import JournalCorruptError, JournalError
from runtime.journal import audit
from runtime.journal.reader import META, NUMBER, POSTINGS, RECORDS, posting_prefix, segment_key
from runtime.journal.record import Record, pack, unpack
from runtime.journal.store import LmdbJournal
from tests.unit.journal_events import add, fill, seqs


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The folder of a closed journal with 300 records."""
    writer = LmdbJournal(tmp_path / "j", epoch=1)
    fill(writer, 300, per_commit=30)
    writer.set_offset("in", 1, 300)
    writer.commit()
    writer.close()
    return tmp_path / "j"


def edit(path: Path, table: bytes, key: bytes, value: bytes | None) -> None:
    """Overwrite a row behind the journal's back; ``None`` removes it."""
    env = lmdb.open(str(path), max_dbs=8)
    db = env.open_db(table)
    with env.begin(write=True) as txn:
        if value is None:
            txn.delete(key, db=db)
        else:
            txn.put(key, value, db=db)
    env.close()


def row(path: Path, table: bytes, key: bytes) -> bytes:
    env = lmdb.open(str(path), max_dbs=8)
    db = env.open_db(table)
    with env.begin() as txn:
        found: bytes = txn.get(key, db=db)
    env.close()
    return found


def changed(record: Record, **fields: Any) -> bytes:
    return pack(Record(**{name: getattr(record, name) for name in record.__struct_fields__} | fields))


def test_a_sound_journal_verifies_also_while_it_is_written(journal: Path) -> None:
    report = audit.verify(journal)
    assert report.ok, report.problems
    assert (report.records, report.first, report.last) == (300, 1, 300)
    assert report.bytes == (journal / "data.mdb").stat().st_size
    writer = LmdbJournal(journal, epoch=2)
    add(writer, symbol="x" * 999)
    writer.commit()
    assert audit.verify(journal).records == 301
    writer.close()


def test_an_empty_journal_verifies(tmp_path: Path) -> None:
    LmdbJournal(tmp_path / "j", epoch=1).close()
    report = audit.verify(tmp_path / "j")
    assert (report.ok, report.records, report.first, report.last) == (True, 0, 0, 0)


def test_a_flipped_byte_in_a_stored_record_names_the_record(journal: Path) -> None:
    key = NUMBER.pack(123)
    value = bytearray(row(journal, RECORDS, key))
    value[40] ^= 0x10
    edit(journal, RECORDS, key, bytes(value))
    report = audit.verify(journal)
    assert not report.ok
    assert len(report.problems) == 1
    assert "record 123: expected a record with CRC" in report.problems[0]
    reader = LmdbJournal.reader(journal)
    with pytest.raises(JournalCorruptError, match="record 123"):
        reader.read(120, 10)
    reader.close()


def test_a_missing_record_is_named_with_the_rows_that_point_to_it(journal: Path) -> None:
    edit(journal, RECORDS, NUMBER.pack(50), None)
    problems = "\n".join(audit.verify(journal).problems)
    assert "expected record 50 after record 49, found record 51" in problems
    assert "points to record 50, which does not exist" in problems


def test_a_missing_index_row_is_named(journal: Path) -> None:
    edit(journal, POSTINGS, segment_key(2) + posting_prefix("symbol", "sim:B") + NUMBER.pack(2), None)
    problems = audit.verify(journal).problems
    assert problems[0] == "record 2: expected it under index row symbol=sim:B, found it missing"


def test_an_index_row_that_points_to_a_record_without_its_key_is_named(journal: Path) -> None:
    key = segment_key(2) + posting_prefix("symbol", "sim:B") + NUMBER.pack(2)
    edit(journal, POSTINGS, key, row(journal, POSTINGS, key) + NUMBER.pack(300))
    problems = audit.verify(journal).problems
    assert any("symbol=sim:B points to record 300, which has no such key" in problem for problem in problems)


def test_a_time_that_falls_and_a_number_that_is_not_its_own_are_named(journal: Path) -> None:
    record = unpack(row(journal, RECORDS, NUMBER.pack(80)))
    edit(journal, RECORDS, NUMBER.pack(80), changed(record, ts=5))
    edit(journal, RECORDS, NUMBER.pack(90), changed(record, seq=91, ts=899))
    problems = "\n".join(audit.verify(journal).problems)
    assert "record 80: expected a time of 780 or later, found 5" in problems
    assert "record 90: expected its own number in it, found 91" in problems


def test_a_journal_of_another_layout_is_named_by_all_who_open_it(journal: Path) -> None:
    edit(journal, META, b"writer", msgspec.msgpack.encode({"epoch": 1, "opening": 1, "layout": 99}))
    assert "found layout 99" in audit.verify(journal).problems[0]
    for opener in (LmdbJournal, LmdbJournal.reader):
        with pytest.raises(JournalError, match="layout 1 to 2, found layout 99"):
            opener(journal)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_a_report(journal: Path, part: float) -> None:
    data = journal / "data.mdb"
    os.truncate(data, int(data.stat().st_size * part))
    report = audit.verify(journal)
    assert not report.ok
    assert "cut short" in report.problems[0]


def test_garbage_and_nothing_are_reports(tmp_path: Path) -> None:
    assert "found no data.mdb" in audit.verify(tmp_path / "nothing").problems[0]
    (tmp_path / "data.mdb").write_bytes(random.Random(1).randbytes(50_000))
    assert "another kind of file" in audit.verify(tmp_path).problems[0]


@pytest.mark.parametrize("seed", range(6))
def test_pages_of_noise_are_a_report_and_not_a_crash(journal: Path, seed: int) -> None:
    data = journal / "data.mdb"
    content = bytearray(data.read_bytes())
    noise = random.Random(seed)
    for page in range(2, len(content) // 4096):
        if noise.random() < 0.5:
            content[page * 4096 : (page + 1) * 4096] = noise.randbytes(4096)
    data.write_bytes(content)
    report = audit.verify(journal)
    assert not report.ok
    assert report.problems


def test_a_backup_of_a_journal_in_use_is_restored_whole(journal: Path, tmp_path: Path) -> None:
    writer = LmdbJournal(journal, epoch=7)
    report = audit.backup(journal, tmp_path / "backup")
    assert (report.ok, report.records) == (True, 300)
    fill(writer, 10, start=300)
    writer.close()
    audit.restore(tmp_path / "backup", tmp_path / "other")
    again = LmdbJournal(tmp_path / "other")
    assert (again.epoch, again.head, again.offsets()) == (8, 300, {"in": (1, 300)})
    assert seqs(again.latest("symbol", "sim:A", 2)) == [298, 295]
    fill(again, 10, start=300)
    again.close()
    assert audit.verify(tmp_path / "other").records == 310


def test_restore_refuses_to_overwrite_until_told_and_keeps_the_old_one(journal: Path, tmp_path: Path) -> None:
    audit.backup(journal, tmp_path / "backup")
    writer = LmdbJournal(journal)
    fill(writer, 10, start=300)
    with pytest.raises(JournalError, match="say replace"):
        audit.restore(tmp_path / "backup", journal)
    with pytest.raises(JournalError, match="stop the runtime"):
        audit.restore(tmp_path / "backup", journal, replace=True)
    writer.close()
    for number in (1, 2):
        assert audit.restore(tmp_path / "backup", journal, replace=True).records == 300
        assert audit.verify(tmp_path / f"j.replaced-{number}").records == (310 if number == 1 else 300)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "j", "j.replaced-1", "j.replaced-2"]


def test_a_backup_goes_to_a_free_place_and_a_damaged_source_leaves_none(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="name another folder"):
        audit.backup(journal, tmp_path)
    value = bytearray(row(journal, RECORDS, NUMBER.pack(9)))
    value[-1] ^= 1
    edit(journal, RECORDS, NUMBER.pack(9), bytes(value))
    with pytest.raises(JournalCorruptError, match="record 9"):
        audit.backup(journal, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_a_damaged_backup_is_not_restored(journal: Path, tmp_path: Path) -> None:
    audit.backup(journal, tmp_path / "backup")
    os.truncate(tmp_path / "backup" / "data.mdb", 20_000)
    with pytest.raises(JournalCorruptError, match="use another one"):
        audit.restore(tmp_path / "backup", journal, replace=True)
    assert audit.verify(journal).ok


def test_an_export_holds_every_event_as_json(journal: Path, tmp_path: Path) -> None:
    assert audit.export(journal, tmp_path / "out.jsonl") == 300
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[1] == {
        "seq": 2,
        "ts": 10,
        "source": "bus",
        "epoch": 1,
        "correlation": "",
        "causation": 0,
        "kind": "JournalStep",
        "keys": {"symbol": "sim:B", "signal": "s1"},
        "version": 1,
        "event": {"$type": "JournalStep", "signal": "s1", "amount": 1},
    }
    assert audit.export(journal, tmp_path / "out.parquet", since=101, until=200, kinds=["JournalStep"]) == 50
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [line["seq"] for line in table] == list(range(102, 201, 2))
    assert json.loads(table[0]["event"]) == rows[101]["event"]
    assert dict(table[0]["keys"]) == rows[101]["keys"]


def test_an_export_narrows_by_key_and_knows_two_formats(journal: Path, tmp_path: Path) -> None:
    assert audit.export(journal, tmp_path / "a.jsonl", index="symbol", value="sim:A") == 100
    with pytest.raises(JournalError, match=r"\.jsonl or \.parquet, found a\.csv"):
        audit.export(journal, tmp_path / "a.csv")
    with pytest.raises(JournalError, match="expected to write"):
        audit.export(journal, tmp_path / "nowhere" / "a.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "j"]
