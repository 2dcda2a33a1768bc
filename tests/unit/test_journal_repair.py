"""``bigwheel journal repair``: back to the last good record, with every lost one named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import pytest

from runtime.journal import audit
from runtime.journal.reader import META, NUMBER, POSTINGS, RECORDS, posting_prefix, segment_key
from runtime.journal.repair import repair
from runtime.journal.store import LmdbJournal
from runtime.snapshots import SnapshotStore
from tests.unit.front_door import bigwheel, refused
from tests.unit.journal_events import add, fill, seqs

COUNT = 200
PAGE = 4096


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A session's folder with a journal of 200 records and a supervisor's snapshot."""
    journal = LmdbJournal(tmp_path / "journal", epoch=6)
    fill(journal, COUNT, per_commit=20)
    journal.set_offset("in", 1, COUNT)
    journal.commit()
    journal.close()
    snapshots = SnapshotStore(tmp_path / "supervisors" / "root")
    snapshots.save("risk", 6, b"knows all 200")
    snapshots.close()
    return tmp_path


def change(path: Path, table: bytes, key: bytes, value: bytes | None) -> bytes:
    """Overwrite or remove a row behind the journal's back; returns what it was."""
    env = lmdb.open(str(path), max_dbs=8)
    db = env.open_db(table)
    with env.begin(write=True) as txn:
        before = bytes(txn.get(key, db=db))
        if value is None:
            txn.delete(key, db=db)
        else:
            txn.put(key, value, db=db)
    env.close()
    return before


def flip(store: Path, seq: int) -> None:
    """Change a byte in a record."""
    key = NUMBER.pack(seq)
    row = bytearray(change(store / "journal", RECORDS, key, b"?"))
    row[30] ^= 4
    change(store / "journal", RECORDS, key, bytes(row))


def records(store: Path) -> list[Any]:
    reader = LmdbJournal.reader(store / "journal")
    found = reader.read(0, 10_000)
    assert seqs(reader.latest("symbol", "sim:A", 10_000))[::-1] == [
        r.seq for r in found if ("symbol", "sim:A") in r.keys
    ]
    reader.close()
    return found


def snapshots(store: Path) -> int:
    opened = SnapshotStore(store / "supervisors" / "root")
    found = len(opened.load("risk"))
    opened.close()
    return found


def test_a_sound_journal_is_left_alone(store: Path) -> None:
    assert bigwheel("journal", "repair", "--store", store).out == "200 records, clean: nothing to repair\n"
    assert not list(store.glob("journal.*"))


def test_a_damaged_record_ends_the_journal_there_and_the_rest_is_named_and_kept_aside(store: Path) -> None:
    before = records(store)
    flip(store, 151)
    answer = bigwheel("journal", "repair", "--store", store)
    assert answer.status == 1
    assert "LOST: records 151 to 200" in answer.out
    assert "49 of them could be read" in answer.out
    assert records(store) == before[:150]
    left = [json.loads(line) for line in (store / "journal.damaged-1" / "left-out.jsonl").read_text().splitlines()]
    assert [row["seq"] for row in left] == list(range(152, 201))
    assert left[0]["event"]["$type"] == before[151].kind
    assert snapshots(store) == 0, "whoever knew more begins from the journal"
    assert bigwheel("journal", "verify", "--store", store).status == 0


def test_a_repaired_journal_is_written_on_under_a_higher_epoch_and_without_its_offsets(store: Path) -> None:
    flip(store, 151)
    repair(store / "journal")
    with pytest.raises(Exception, match="epoch 6 or higher, found 5"):
        LmdbJournal(store / "journal", epoch=5)
    journal = LmdbJournal(store / "journal", epoch=7)
    assert journal.offsets() == {}, "they count as handled what was lost"
    assert add(journal, ts=9_999) == 151
    journal.commit()
    journal.close()
    assert audit.verify(store / "journal").records == 151


def test_indices_alone_are_made_anew_without_a_loss(store: Path) -> None:
    before = records(store)
    change(store / "journal", POSTINGS, segment_key(2) + posting_prefix("symbol", "sim:B") + NUMBER.pack(2), None)
    assert bigwheel("journal", "verify", "--store", store).status == 1
    answer = bigwheel("journal", "repair", "--store", store)
    assert answer.status == 0, answer
    assert "no record is lost; the indices were made anew" in answer.out
    assert records(store) == before
    assert snapshots(store) == 1
    journal = LmdbJournal(store / "journal", epoch=7)
    assert journal.offsets() == {"in": (1, COUNT)}
    journal.close()


def test_a_file_whose_end_alone_is_gone_gives_back_all_that_is_left(store: Path) -> None:
    before = records(store)
    data = store / "journal" / "data.mdb"
    os.truncate(data, int(data.stat().st_size * 0.9))
    done = repair(store / "journal")
    assert any("cut short" in problem for problem in done.found)
    assert done.lost == ((done.kept + 1, COUNT) if done.kept < COUNT else (0, 0))
    assert records(store) == before[: done.kept]


def test_a_journal_of_which_nothing_is_left_is_not_replaced_by_an_empty_one(store: Path) -> None:
    data = store / "journal" / "data.mdb"
    os.truncate(data, int(data.stat().st_size * 0.3))
    assert "restore a backup" in refused("journal", "repair", "--store", store)
    assert data.exists()
    assert not list(store.glob("journal.*"))


@pytest.mark.parametrize("header", [0, 1])
def test_a_damaged_header_is_made_up_for_by_the_other_one(store: Path, header: int) -> None:
    before = records(store)
    data = bytearray((store / "journal" / "data.mdb").read_bytes())
    data[header * PAGE + 16] ^= 0xFF
    (store / "journal" / "data.mdb").write_bytes(data)
    assert bigwheel("journal", "verify", "--store", store).status == 1
    done = repair(store / "journal")
    assert "one of the two headers was damaged" in done.found[0]
    assert records(store) == before[: done.kept]
    assert done.kept == COUNT or done.lost == (done.kept + 1, COUNT)


def test_an_end_that_is_gone_is_accepted_by_name_alone(store: Path) -> None:
    older = (store / "journal" / "data.mdb").read_bytes()
    journal = LmdbJournal(store / "journal", epoch=7)
    fill(journal, 30, start=COUNT)
    journal.close()
    (store / "journal" / "data.mdb").write_bytes(older)
    assert "records 201 to 230 were committed, and are gone" in bigwheel("journal", "verify", "--store", store).out
    answer = bigwheel("journal", "repair", "--store", store)
    assert answer.status == 1
    assert "LOST: records 201 to 230" in answer.out
    assert bigwheel("journal", "verify", "--store", store).status == 0


def test_a_journal_in_use_or_of_a_newer_program_is_not_repaired(store: Path) -> None:
    flip(store, 20)
    journal = LmdbJournal(store / "journal", epoch=7)
    assert "stop the runtime" in refused("journal", "repair", "--store", store)
    journal.close()
    env = lmdb.open(str(store / "journal"), max_dbs=8)
    table = env.open_db(META)
    with env.begin(write=True) as txn:
        txn.put(b"schemas", msgspec.msgpack.encode({"JournalStep": 4}), db=table)
    env.close()
    assert "a newer program has written to this journal" in refused("journal", "repair", "--store", store)
    assert not list(store.glob("journal.*"))
