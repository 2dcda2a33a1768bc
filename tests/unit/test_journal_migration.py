"""A journal of an older program opens, one of a newer program is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import lmdb
import msgspec
import pytest

from runtime.errors import JournalError
from runtime.journal import audit
from runtime.journal import record as records
from runtime.journal.feed import Feed
from runtime.journal.reader import META, NUMBER, OFFSETS, RECORDS
from runtime.journal.record import Record, pack, unpack, upcaster
from runtime.journal.store import LmdbJournal
from runtime.lifecycle import Entry, Subscribe
from runtime.message import Message


class MigratedOrder(Message):
    """An event as it is today: ``size`` was called ``lots`` (of 100) once, and then had no ``side``."""

    symbol: str
    size: int
    side: str


@pytest.fixture
def upcasters() -> Iterator[None]:
    """Two versions ago it was ``lots``, one version ago ``size``; forgotten again afterwards."""
    functions, versions = dict(records._upcasters), dict(records.schema_versions)

    @upcaster("MigratedOrder", 1)
    def sized(fields: dict[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in fields.items() if name != "lots"}
        return {**rest, "size": fields["lots"] * 100}

    @upcaster("MigratedOrder", 2)
    def sided(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "size": abs(fields["size"]), "side": "buy" if fields["size"] > 0 else "sell"}

    yield
    records._upcasters.clear()
    records._upcasters.update(functions)
    records.schema_versions.clear()
    records.schema_versions.update(versions)


def rewrite(path: Path, seq: int, version: int, fields: dict[str, Any]) -> None:
    """Put a record there as an older program would have written it."""
    env = lmdb.open(str(path), max_dbs=8)
    table = env.open_db(RECORDS)
    with env.begin(write=True) as txn:
        old = unpack(txn.get(NUMBER.pack(seq), db=table))
        body = msgspec.msgpack.encode({"$type": "MigratedOrder", **fields})
        values = [getattr(old, name) for name in Record.__struct_fields__[:-2]]
        txn.put(NUMBER.pack(seq), pack(Record(*values, body, version)), db=table)
    env.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal whose first records are of two older versions; it knows of no versions at all."""
    journal = LmdbJournal(tmp_path / "j", epoch=1)
    for number in range(3):
        event = MigratedOrder("sim:A", number, "buy")
        journal.append(event, ts=number, source="bus", epoch=1, keys={"symbol": "sim:A"})
    journal.commit()
    journal.close()
    rewrite(tmp_path / "j", 1, 1, {"symbol": "sim:A", "lots": -3})
    rewrite(tmp_path / "j", 2, 2, {"symbol": "sim:A", "size": 250})
    rewrite(tmp_path / "j", 3, 3, {"symbol": "sim:A", "size": 9, "side": "sell"})
    return tmp_path / "j"


ALL = [MigratedOrder("sim:A", 300, "sell"), MigratedOrder("sim:A", 250, "buy"), MigratedOrder("sim:A", 9, "sell")]


def test_a_journal_of_older_versions_opens_and_reads_in_todays_schema(
    old: Path, tmp_path: Path, upcasters: None
) -> None:
    assert audit.verify(old).ok
    journal = LmdbJournal(old, epoch=2)
    assert [record.event for record in journal.read(0, 10)] == ALL
    feed = Feed(journal)
    feed.subscribe("risk", Subscribe(0))
    assert [entry.event for entry in feed.take("risk", 10) if isinstance(entry, Entry)] == ALL
    newest = MigratedOrder("sim:B", 5, "buy")
    journal.append(newest, ts=9, source="bus", epoch=2, keys={"symbol": "sim:B"})
    journal.commit()
    journal.close()
    assert audit.export(old, tmp_path / "out.jsonl") == 4
    rows = [json.loads(line)["event"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == [msgspec.to_builtins(event) for event in [*ALL, newest]]
    reader = LmdbJournal.reader(old)
    assert [record.version for record in reader.read(0, 10)] == [1, 2, 3, 3]
    reader.close()


def test_what_an_upcasting_program_wrote_is_refused_by_its_predecessor(old: Path, upcasters: None) -> None:
    LmdbJournal(old, epoch=2).close()
    records._upcasters.clear()
    records.schema_versions.clear()
    for opener in (LmdbJournal, LmdbJournal.reader):
        with pytest.raises(JournalError, match="schema version 1 or older, found version 3: a newer program"):
            opener(old)


def test_a_refused_journal_is_left_as_it_was(old: Path) -> None:
    env = lmdb.open(str(old), max_dbs=8)
    table = env.open_db(META)
    with env.begin(write=True) as txn:
        txn.put(b"schemas", msgspec.msgpack.encode({"Approved": 7}), db=table)
        before = bytes(txn.get(b"writer", db=table))
    env.close()
    with pytest.raises(JournalError, match="restore a backup from before"):
        LmdbJournal(old, epoch=5)
    assert "expected Approved in schema version 1 or older, found version 7" in audit.verify(old).problems[0]
    env = lmdb.open(str(old), max_dbs=8)
    table = env.open_db(META)
    with env.begin() as txn:
        assert bytes(txn.get(b"writer", db=table)) == before
    env.close()


def test_a_journal_of_the_first_layout_opens_and_is_brought_forward(old: Path, upcasters: None) -> None:
    env = lmdb.open(str(old), max_dbs=8)
    meta, offsets = env.open_db(META), env.open_db(OFFSETS)
    with env.begin(write=True) as txn:
        txn.put(b"writer", msgspec.msgpack.encode({"epoch": 3, "opening": 4, "layout": 1}), db=meta)
        txn.put(b"in|1", msgspec.msgpack.encode(("in|1", 2, 40)), db=offsets)
    env.close()
    assert audit.verify(old).ok
    journal = LmdbJournal(old)
    assert (journal.epoch, journal.offsets()) == (4, {"in|1": (2, 40)})
    journal.set_offset("in|1", 2, 41)
    journal.commit()
    journal.close()
    env = lmdb.open(str(old), max_dbs=8)
    meta, offsets = env.open_db(META), env.open_db(OFFSETS)
    with env.begin() as txn:
        assert msgspec.msgpack.decode(txn.get(b"writer", db=meta))["layout"] == 2
        name, epoch, seq, crc = msgspec.msgpack.decode(txn.get(b"in|1", db=offsets))
    env.close()
    assert (name, epoch, seq) == ("in|1", 2, 41)
    assert crc == crc32(msgspec.msgpack.encode((name, epoch, seq)))
    assert audit.verify(old).ok
