"""A record's bytes: they open forever, and a changed one is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import DecodeError, JournalCorruptError, JournalError
from runtime.journal import record as records
from runtime.journal.record import Record, document, pack, unpack, upcaster
from runtime.message import Message
from tests.unit.journal_events import JournalStep

GOLDEN = bytes.fromhex(
    "01104687819a07cf17979cfe362a000aa362757303a353494705ab4a6f75726e616c537465709192a673796d626f6ca57369"
    "6d3a41c42483a52474797065ab4a6f75726e616c53746570a67369676e616ca153a6616d6f756e740901"
)


class JournalPrice(Message):
    """An event whose schema has moved on: ``cents`` became ``price`` and ``venue`` came."""

    price: float
    venue: str = "?"


@pytest.fixture
def upcasters() -> Iterator[None]:
    """Forget what a test registers."""
    functions, versions = dict(records._upcasters), dict(records.schema_versions)
    yield
    records._upcasters.clear()
    records._upcasters.update(functions)
    records.schema_versions.clear()
    records.schema_versions.update(versions)


def a_record(body: bytes, kind: str = "JournalStep", version: int = 1) -> Record:
    return Record(7, 1_700_000_000_000_000_010, "bus", 3, "SIG", 5, kind, (("symbol", "sim:A"),), body, version)


def test_a_record_packs_to_the_golden_bytes_of_format_1() -> None:
    body = bytes.fromhex("83a52474797065ab4a6f75726e616c53746570a67369676e616ca153a6616d6f756e7409")
    record = a_record(body)
    assert pack(record) == GOLDEN
    assert unpack(GOLDEN) == record
    assert unpack(GOLDEN).event == JournalStep("S", 9)


@given(position=st.integers(0, len(GOLDEN) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_noticed(position: int, flip: int) -> None:
    damaged = bytearray(GOLDEN)
    damaged[position] ^= flip
    with pytest.raises(JournalCorruptError):
        unpack(bytes(damaged))


@given(length=st.integers(0, len(GOLDEN) - 1))
def test_a_cut_record_is_noticed(length: int) -> None:
    with pytest.raises(JournalCorruptError):
        unpack(GOLDEN[:length])


def test_an_entry_carries_what_the_record_says() -> None:
    entry = unpack(GOLDEN).entry()
    assert (entry.seq, entry.source, entry.epoch, entry.correlation, entry.causation) == (7, "bus", 3, "SIG", 5)
    assert entry.event == JournalStep("S", 9)


def test_old_bodies_climb_every_step_to_todays_schema(upcasters: None) -> None:
    @upcaster("JournalPrice", 1)
    def to_price(fields: dict[str, Any]) -> dict[str, Any]:
        return {"$type": fields["$type"], "price": fields["cents"] / 100}

    @upcaster("JournalPrice", 2)
    def with_venue(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "venue": "sim"}

    old = a_record(bytes.fromhex("82a52474797065ac4a6f75726e616c5072696365a563656e7473cd04e2"), "JournalPrice")
    assert old.event == JournalPrice(12.5, "sim")
    assert old.entry().event == JournalPrice(12.5, "sim")
    assert document(old) == {"$type": "JournalPrice", "price": 12.5, "venue": "sim"}


def test_a_body_from_a_newer_schema_asks_for_an_upgrade() -> None:
    with pytest.raises(DecodeError, match="upgrade this one"):
        _ = a_record(b"\x80", version=2).event


def test_upcasters_must_come_once_and_in_order(upcasters: None) -> None:
    with pytest.raises(JournalError, match="from version 1, found one from version 2"):
        upcaster("JournalPrice", 2)(lambda fields: fields)
