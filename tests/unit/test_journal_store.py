"""The journal on disk: fencing, readers in other processes, failures of the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import FencedError, JournalCorruptError, JournalError
from runtime.journal.environment import token
from runtime.journal.store import LmdbJournal
from tests.unit.journal_events import JournalStep, add, fill, seqs

OPENER = """
import sys
from runtime.journal.store import LmdbJournal
from runtime.message import Message
class Other(Message):
    text: str = ""
journal = LmdbJournal(sys.argv[1], epoch=int(sys.argv[2]))
journal.append(Other(), ts=0, source="other", epoch=1, keys={})
print(journal.commit()[0].seq)
"""
KILLED = """
import os, sys
from runtime.journal.store import LmdbJournal
from runtime.message import Message
class Other(Message):
    text: str = ""
journal = LmdbJournal(sys.argv[1], epoch=1)
for number in range(30):
    journal.append(Other(), ts=0, source="other", epoch=1, keys={"n": str(number)})
    if number % 10 == 9:
        journal.set_offset("in", 1, number)
        if number < 29:
            journal.commit()
os.kill(os.getpid(), 9)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=root, check=False
    )


def test_a_newer_epoch_in_another_process_fences_this_writer(tmp_path: Path) -> None:
    journal = LmdbJournal(tmp_path / "j", epoch=4)
    fill(journal, 5)
    assert run(OPENER, str(tmp_path / "j"), "5").stdout.strip() == "6"
    add(journal)
    with pytest.raises(FencedError, match="epoch 4, found that epoch 5"):
        journal.commit()
    with pytest.raises(FencedError):
        journal.commit()
    journal.close()
    reader = LmdbJournal.reader(tmp_path / "j")
    assert [record.source for record in reader.read(5, 9)] == ["other"]
    reader.close()


def test_an_older_epoch_cannot_open_the_journal(tmp_path: Path) -> None:
    LmdbJournal(tmp_path / "j", epoch=4).close()
    with pytest.raises(FencedError, match="epoch 4 or higher, found 3"):
        LmdbJournal(tmp_path / "j", epoch=3)
    again = LmdbJournal(tmp_path / "j")
    assert again.epoch == 5
    again.close()


def test_the_same_epoch_opened_twice_leaves_one_writer(tmp_path: Path) -> None:
    journal = LmdbJournal(tmp_path / "j", epoch=4)
    assert run(OPENER, str(tmp_path / "j"), "4").returncode == 0
    add(journal)
    with pytest.raises(FencedError):
        journal.commit()
    journal.close()


def test_a_killed_writer_loses_what_it_had_not_committed_and_nothing_else(tmp_path: Path) -> None:
    assert run(KILLED, str(tmp_path / "j")).returncode == -9
    journal = LmdbJournal(tmp_path / "j", epoch=2)
    assert journal.head == 20
    assert journal.offsets() == {"in": (1, 19)}
    assert seqs(journal.latest("n", "19", 5)) == [20]
    assert journal.latest("n", "20", 5) == []
    journal.close()


def test_a_reader_sees_each_commit_and_nothing_before_it(tmp_path: Path) -> None:
    journal = LmdbJournal(tmp_path / "j", epoch=3)
    reader = LmdbJournal.reader(tmp_path / "j")
    add(journal, symbol="A")
    assert (reader.head, reader.epoch) == (0, 3)
    journal.commit()
    journal.close()
    assert seqs(reader.read(0, 5, index="symbol", value="A")) == [1]
    reader.close()
    with pytest.raises(JournalError, match="was closed"):
        _ = reader.head


def test_a_full_store_stops_the_journal_and_keeps_what_was_committed(tmp_path: Path) -> None:
    journal = LmdbJournal(tmp_path / "j", epoch=1, map_size=1 << 20)
    fill(journal, 10)
    journal.append(JournalStep("x" * (2 << 20)), ts=0, source="bus", epoch=1, keys={})
    with pytest.raises(JournalError, match="could not be written"):
        journal.commit()
    with pytest.raises(JournalError, match="opened anew"):
        add(journal)
    journal.close()
    again = LmdbJournal(tmp_path / "j", epoch=2, map_size=1 << 20)
    assert again.head == 10
    again.close()


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalCorruptError, match=r"found no data\.mdb"):
        LmdbJournal.reader(tmp_path / "nothing")
    (tmp_path / "data.mdb").write_bytes(b"hello " * 2000)
    with pytest.raises(JournalCorruptError, match="another kind of file"):
        LmdbJournal(tmp_path, epoch=1)
    (tmp_path / "data.mdb").write_bytes(b"")
    with pytest.raises(JournalCorruptError, match="cut short"):
        LmdbJournal(tmp_path, epoch=1)


def test_a_truncated_journal_is_refused_by_its_next_writer(tmp_path: Path) -> None:
    journal = LmdbJournal(tmp_path / "j", epoch=1)
    fill(journal, 500, per_commit=50)
    journal.close()
    data = tmp_path / "j" / "data.mdb"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(JournalCorruptError, match="cut short"):
        LmdbJournal(tmp_path / "j", epoch=2)


def test_tokens_tell_every_two_texts_apart() -> None:
    texts = ["", "a", "a\0", "\x01", "a" * 200, "a" * 201, "a" * 202, "Ä" * 100, "Ä" * 101]
    texts += [token("a" * 201).decode()]
    assert len({token(text) for text in texts}) == len(texts)
    assert max(len(token(text)) for text in texts) <= 200
    assert all(b"\0" not in token(text) for text in texts)
