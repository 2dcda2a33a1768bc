"""The journal's contract, checked against a model on both stores."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import FencedError, JournalError
from runtime.journal import reader, store
from runtime.journal.base import Journal
from runtime.journal.memory import MemoryJournal
from runtime.journal.store import LmdbJournal
from runtime.message import Message
from tests.unit.journal_events import JournalNote, JournalStep, add, fill, seqs

STORES = ["memory", "lmdb"]


class Desk:
    """Opens a journal of either kind, and makes it crash."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.journal: Journal = MemoryJournal() if kind == "memory" else LmdbJournal(folder / "j", map_size=1 << 26)

    def crash(self) -> None:
        if isinstance(self.journal, MemoryJournal):
            self.journal.crash()
        else:
            self.journal.close()
            self.journal = LmdbJournal(self.folder / "j", map_size=1 << 26)


@pytest.fixture(params=STORES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(request.param, tmp_path)


KEYS = st.dictionaries(st.sampled_from(["symbol", "signal"]), st.sampled_from(["A", "AB", "", "Ä" * 300, "x\0y"]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), KEYS, st.integers(0, 50), st.booleans()),
        st.tuples(st.just("offset"), st.sampled_from(["in/1", "in/2"]), st.integers(0, 9), st.integers(0, 99)),
        st.tuples(st.just("commit")),
        st.tuples(st.just("crash")),
    ),
    max_size=40,
)


class Model:
    """What a journal should hold: rows of (ts, kind, keys)."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, dict[str, str]]] = []
        self.waiting: list[tuple[int, str, dict[str, str]]] = []
        self.offsets: dict[str, tuple[int, int]] = {}
        self.waiting_offsets: dict[str, tuple[int, int]] = {}

    def append(self, ts: int, kind: str, keys: dict[str, str]) -> int:
        rows = self.rows + self.waiting
        self.waiting.append((max(ts, rows[-1][0] if rows else 0), kind, keys))
        return len(rows) + 1

    def commit(self) -> int:
        count = len(self.waiting)
        self.rows += self.waiting
        self.offsets |= self.waiting_offsets
        self.crash()
        return count

    def crash(self) -> None:
        self.waiting, self.waiting_offsets = [], {}

    def fitting(self, fits: Callable[[int, str, dict[str, str]], bool]) -> list[int]:
        return [number for number, row in enumerate(self.rows, 1) if fits(*row)]


def play(desk: Desk, model: Model, step: tuple) -> None:  # type: ignore[type-arg]
    if step[0] == "append":
        event: Message = JournalStep("s") if step[3] else JournalNote()
        seq = desk.journal.append(event, ts=step[2], source="bus", epoch=1, keys=step[1])
        assert seq == model.append(step[2], type(event).__name__, step[1])
    elif step[0] == "offset":
        desk.journal.set_offset(*step[1:])
        model.waiting_offsets[step[1]] = step[2:]
    elif step[0] == "commit":
        assert desk.journal.pending == len(model.waiting)
        assert desk.journal.dirty == bool(model.waiting or model.waiting_offsets)
        assert len(desk.journal.commit()) == model.commit()
    else:
        desk.crash()
        model.crash()


def compare(journal: Journal, model: Model, after: int, limit: int) -> None:
    assert journal.head == len(model.rows)
    assert journal.offsets() == model.offsets
    records = journal.read(0, 1000)
    assert [(record.ts, record.kind, dict(record.keys)) for record in records] == model.rows
    assert seqs(records) == list(range(1, len(model.rows) + 1))
    for index in ("symbol", "signal"):
        for value in ("A", "AB", "", "Ä" * 300, "x\0y"):
            fitting = model.fitting(lambda _, __, keys, i=index, v=value: keys.get(i) == v)  # type: ignore[misc]
            assert seqs(journal.latest(index, value, limit)) == fitting[::-1][:limit]
            above = [number for number in fitting if number > after]
            assert seqs(journal.read(after, limit, index=index, value=value)) == above[:limit]
            steps = [number for number in above if model.rows[number - 1][1] == "JournalStep"]
            assert seqs(journal.read(after, limit, kinds=["JournalStep"], index=index, value=value)) == steps[:limit]
    for kinds in (["JournalNote"], ["JournalStep", "JournalNote"], ["Nothing"]):
        chosen = model.fitting(lambda _, kind, __, k=kinds: kind in k)  # type: ignore[misc]
        assert seqs(journal.read(after, limit, kinds=kinds)) == [number for number in chosen if number > after][:limit]
    timely = model.fitting(lambda ts, _, __: after <= ts < after + 20)
    assert seqs(journal.between(after, after + 20, limit)) == timely[:limit]


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    """Make the postings' segments so short that a few records cross them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (reader, store):
            patch.setattr(module, "SEGMENT", 4)
        yield


@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=40, deadline=None)
@given(steps=STEPS, after=st.integers(0, 30), limit=st.integers(0, 20))
def test_a_journal_holds_exactly_what_was_committed(kind: str, steps: list, after: int, limit: int) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        desk, model = Desk(kind, Path(folder)), Model()
        for step in steps:
            play(desk, model, step)
        compare(desk.journal, model, after, limit)
        desk.journal.close()


def test_the_first_record_is_number_one_and_numbers_lost_in_a_crash_are_used_again(desk: Desk) -> None:
    assert add(desk.journal) == 1
    assert seqs(desk.journal.commit()) == [1]
    assert add(desk.journal) == 2
    desk.crash()
    assert desk.journal.head == 1
    assert add(desk.journal) == 2


def test_a_clock_that_goes_back_does_not_take_the_records_with_it(desk: Desk) -> None:
    add(desk.journal, ts=100)
    desk.journal.commit()
    desk.crash()
    add(desk.journal, ts=40)
    assert [record.ts for record in desk.journal.commit()] == [100]


def test_a_commit_without_anything_waiting_does_nothing(desk: Desk) -> None:
    assert desk.journal.commit() == []
    assert not desk.journal.dirty


def test_offsets_alone_are_a_commit_too(desk: Desk) -> None:
    desk.journal.set_offset("in", 2, 9)
    assert desk.journal.dirty
    assert desk.journal.commit() == []
    desk.crash()
    assert desk.journal.offsets() == {"in": (2, 9)}


def test_what_comes_while_a_sealed_batch_is_written_goes_into_the_next_one(desk: Desk) -> None:
    add(desk.journal)
    batch = desk.journal.seal()
    add(desk.journal)
    assert seqs(desk.journal.write(batch)) == [1]
    assert (desk.journal.head, desk.journal.pending) == (1, 1)
    assert seqs(desk.journal.commit()) == [2]


def test_batches_written_out_of_order_are_refused(desk: Desk) -> None:
    add(desk.journal)
    first = desk.journal.seal()
    add(desk.journal)
    with pytest.raises(JournalError, match="starts at record 1, found one that starts at 2"):
        desk.journal.write(desk.journal.seal())
    assert seqs(desk.journal.write(first)) == [1]


@pytest.mark.parametrize("keys", [{"symbol": 5}, {"signal": []}, {"": "x"}, {"a\nb": "x"}, {"n" * 65: "x"}])
def test_an_odd_index_key_is_refused_and_leaves_no_trace(desk: Desk, keys: dict[str, str]) -> None:
    with pytest.raises(JournalError, match="expected"):
        desk.journal.append(JournalStep("s"), ts=0, source="bus", epoch=1, keys={"symbol": "A"} | keys)
    assert not desk.journal.dirty
    add(desk.journal, symbol="A")
    desk.journal.commit()
    assert seqs(desk.journal.latest("symbol", "A", 9)) == [1]


def test_a_closed_journal_refuses_work(desk: Desk) -> None:
    desk.journal.close()
    with pytest.raises(JournalError, match="closed"):
        add(desk.journal)


def test_after_a_failed_commit_nothing_works_until_the_journal_is_opened_anew() -> None:
    journal = MemoryJournal()
    fill(journal, 3)
    journal.fail_next("disk full")
    add(journal)
    with pytest.raises(JournalError, match="disk full"):
        journal.commit()
    for call in (lambda: add(journal), journal.commit, journal.offsets, lambda: journal.read(0, 9)):
        with pytest.raises(JournalError, match="opened anew"):
            call()
    journal.crash()
    assert journal.head == 3
    assert add(journal) == 4


def test_a_successor_in_memory_fences_the_old_writer() -> None:
    old = MemoryJournal()
    fill(old, 2)
    new = old.reopen()
    add(old)
    with pytest.raises(FencedError):
        old.commit()
    with pytest.raises(FencedError):
        add(old)
    add(new)
    assert seqs(new.commit()) == [3]
