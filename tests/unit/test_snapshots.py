"""Snapshots, epochs and facts survive; a zombie's do not get in."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import FencedError, SnapshotError
from runtime.snapshots import SnapshotStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


def damage(path: Path, table: bytes, place: int) -> None:
    """Flip a byte in the ``place``-th value of a table."""
    env = lmdb.open(str(path), max_dbs=8)
    db = env.open_db(table)
    with env.begin(write=True) as txn:
        key, value = list(txn.cursor(db))[place]
        txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=db)
    env.close()


def states(store: SnapshotStore, cell: str) -> list[bytes]:
    return [snapshot.state for snapshot in store.load(cell)]


def test_the_two_newest_snapshots_are_kept_over_a_restart(path: Path) -> None:
    store = SnapshotStore(path, clock=lambda: 77)
    for number in range(5):
        store.save("bus", 1 + number // 3, b"%d" % number)
    store.close()
    store.close()
    again = SnapshotStore(path)
    newest, before = again.load("bus")
    assert (newest.cell, newest.epoch, newest.saved_ns, newest.state) == ("bus", 2, 77, b"4")
    assert before.state == b"3"
    assert again.load("nobody") == []
    again.close()


def test_a_zombie_cannot_save_over_its_successor(path: Path) -> None:
    store = SnapshotStore(path)
    old = store.next_epoch("risk")
    store.save("risk", old, b"old")
    new = store.next_epoch("risk")
    with pytest.raises(FencedError, match=f"epoch {new} of risk, found {old}"):
        store.save("risk", old, b"zombie")
    store.save("risk", new + 5, b"new")
    with pytest.raises(FencedError):
        store.save("risk", new, b"late")
    assert states(store, "risk") == [b"new", b"old"]
    assert store.next_epoch("risk") == new + 6
    store.close()


def test_a_fenced_cell_does_not_keep_the_others_from_being_saved(path: Path) -> None:
    store = SnapshotStore(path)
    store.save("a", 3, b"a3")
    assert store.save_many([("a", 2, b"a2"), ("b", 1, b"b1"), ("b", 1, b"b2")]) == ["a"]
    assert (states(store, "a"), states(store, "b")) == ([b"a3"], [b"b2", b"b1"])
    store.close()


def test_epochs_rise_over_restarts_and_above_what_others_know(path: Path) -> None:
    store = SnapshotStore(path)
    assert [store.next_epoch("bus"), store.next_epoch("bus"), store.next_epoch("risk")] == [1, 2, 1]
    store.close()
    again = SnapshotStore(path)
    assert again.next_epoch("bus") == 3
    assert again.next_epoch("bus", above=10) == 11
    again.save("bus", 11, b"")
    again.forget("bus")
    assert again.load("bus") == []
    assert again.epoch("bus") == 11
    again.close()


def test_an_epoch_is_on_disk_before_it_is_given_out(path: Path) -> None:
    code = (
        "import os, sys\nfrom runtime.snapshots import SnapshotStore\n"
        "print(SnapshotStore(sys.argv[1]).next_epoch('bus'), flush=True)\nos.kill(os.getpid(), 9)"
    )
    root = str(Path(__file__).parents[2])
    for expected in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=root, check=False
        )
        assert (done.returncode, done.stdout.strip()) == (-9, expected)


def test_a_damaged_snapshot_is_skipped_and_reported(path: Path) -> None:
    store = SnapshotStore(path)
    store.save("bus", 1, b"first")
    store.save("bus", 1, b"second")
    store.close()
    damage(path, b"snapshots", 1)
    store = SnapshotStore(path)
    assert states(store, "bus") == [b"first"]
    assert "snapshot 2 of bus (epoch 1)" in store.problems[0]
    store.close()
    damage(path, b"snapshots", 0)
    store = SnapshotStore(path)
    with pytest.raises(SnapshotError, match="found only damaged ones"):
        store.load("bus")
    store.forget("bus")
    assert store.load("bus") == []
    store.close()


def test_facts_are_found_by_prefix_and_damage_is_told(path: Path) -> None:
    store = SnapshotStore(path)
    store.put("child/b", b"2")
    store.put("child/a", b"1")
    store.put("other", b"3")
    store.put("child/a", b"9")
    assert store.items("child/") == [("child/a", b"9"), ("child/b", b"2")]
    assert (store.get("other"), store.get("none"), len(store.items())) == (b"3", None, 3)
    with pytest.raises(SnapshotError, match="1 to 500 bytes"):
        store.put("x" * 501, b"")
    store.close()
    damage(path, b"facts", 0)
    store = SnapshotStore(path)
    with pytest.raises(SnapshotError, match="fact child/a"):
        store.get("child/a")
    store.close()


@pytest.mark.parametrize("size", [0, 100, 9000])
def test_a_cut_store_says_what_to_do(path: Path, size: int) -> None:
    store = SnapshotStore(path)
    store.save("bus", 1, b"x" * 100_000)
    store.close()
    os.truncate(path / "data.mdb", size)
    with pytest.raises(SnapshotError, match=r"cut short.*Move .* away"):
        SnapshotStore(path)


def test_a_foreign_file_says_what_to_do(path: Path) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(b"not a store" * 1000)
    with pytest.raises(SnapshotError, match="another kind of file"):
        SnapshotStore(path)


def test_after_a_failed_write_the_store_must_be_opened_anew(path: Path) -> None:
    store = SnapshotStore(path, map_size=1 << 20)
    store.save("bus", 1, b"kept")
    with pytest.raises(SnapshotError, match="expected to write"):
        store.save("bus", 1, b"x" * (2 << 20))
    with pytest.raises(SnapshotError, match="open it anew"):
        store.save("bus", 1, b"small")
    store.close()
    with pytest.raises(SnapshotError, match="closed"):
        store.load("bus")
    again = SnapshotStore(path, map_size=1 << 20)
    assert states(again, "bus") == [b"kept"]
    again.close()


CELLS = st.sampled_from(["a", "a\0", "ab", "Ä" * 300, ""])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["save", "epoch", "forget", "reopen"]), CELLS, st.integers(1, 4)), max_size=30)
)
def test_random_use_agrees_with_a_model(steps: list[tuple[str, str, int]]) -> None:
    epochs: dict[str, int] = {}
    saved: dict[str, list[bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotStore(folder, map_size=1 << 24)
        for number, (step, cell, epoch) in enumerate(steps):
            state = b"%d" % number
            if step == "save":
                assert store.save_many([(cell, epoch, state)]) == ([cell] if epoch < epochs.get(cell, 0) else [])
                if epoch >= epochs.get(cell, 0):
                    epochs[cell] = epoch
                    saved[cell] = [state, *saved.get(cell, [])][:2]
            elif step == "epoch":
                epochs[cell] = epochs.get(cell, 0) + 1
                assert store.next_epoch(cell) == epochs[cell]
            elif step == "forget":
                store.forget(cell)
                saved.pop(cell, None)
            else:
                store.close()
                store = SnapshotStore(folder, map_size=1 << 24)
        for cell in {"a", "a\0", "ab", "Ä" * 300, ""}:
            assert states(store, cell) == saved.get(cell, [])
            assert store.epoch(cell) == epochs.get(cell, 0)
        store.close()


def test_all_snapshots_can_be_forgotten_while_epochs_go_on_rising(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "s")
    epoch = store.next_epoch("a")
    store.save("a", epoch, b"one")
    store.save("b", epoch, b"two")
    store.forget_all()
    assert (store.load("a"), store.load("b")) == ([], [])
    assert store.next_epoch("a") > epoch
    store.close()
