"""Tapes: what was handled is handled again, and whatever is missing is named."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import TapeError
from runtime.tape import writer as writing
from runtime.tape.format import FRAMES, HEAD, PREAMBLE, Chunk, Damage, TapeRules, pack, preamble, scan
from runtime.tape.player import Window
from runtime.tape.reader import Cause, incarnations
from tests.unit.tape_bench import HOST, RULES, Found, Summer, TapeTick, Taping, only, replay

SMALL = TapeRules(enabled=True, max_bytes=80_000)


class Liar(Summer):
    bias = 1


def taped(store: Path, values: list[int], *, rules: TapeRules = RULES, every: int = 0) -> Taping:
    """A closed tape of ``values``, with a snapshot after each ``every`` of them."""
    bench = Taping(store, rules=rules)
    for number, value in enumerate(values, 1):
        bench.tell(value)
        if every and number % every == 0:
            bench.cells[0].snapshot()
            bench.settle()
    bench.tape.close("done")
    return bench


def clean(found: Found) -> bool:
    return not found.missing and all(t.difference is None and not t.missing for t in found.tallies.values())


@given(st.lists(st.integers(-3, 50), max_size=400), st.integers(0, 90), st.sampled_from(["full", "digest"]))
@settings(max_examples=25, deadline=None)
def test_every_decision_is_made_again_also_behind_failures(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], every: int, effects: str
) -> None:
    store = tmp_path_factory.mktemp("tape")
    bench = taped(store, values, rules=TapeRules(True, effects=effects), every=every)  # type: ignore[arg-type]
    found = replay(only(store), digests=effects == "digest")
    assert clean(found), found
    tally = found.tallies["cell-0"]
    assert tally.messages == len(values) + 1
    assert bench.cells[0].restarts == sum(value < 0 for value in values)


def test_a_brain_that_decides_otherwise_is_shown_with_both_sides(tmp_path: Path) -> None:
    taped(tmp_path, [10, 20, 31, 40])
    difference = replay(only(tmp_path), Liar).tallies["cell-0"].difference
    assert difference is not None
    assert difference.number == 4
    assert difference.message == "TapeTick(value=31)"
    assert difference.recorded == ["send to bus: TapeSum(total=61, largest=31)"]
    assert difference.replayed == ["send to bus: TapeSum(total=62, largest=31)"]


def test_of_digests_the_difference_is_found_and_its_replayed_side_shown(tmp_path: Path) -> None:
    taped(tmp_path, [1, 3, 5], rules=TapeRules(True, effects="digest"))
    difference = replay(only(tmp_path), Liar, digests=True).tallies["cell-0"].difference
    assert difference is not None
    assert "digest" in difference.recorded[0]
    assert difference.replayed == ["send to bus: TapeSum(total=10, largest=5)"]


def test_a_failure_that_does_not_come_again_is_a_difference(tmp_path: Path) -> None:
    class Forgiving(Summer):
        def receive(self, message: object, ctx: object) -> None:
            if getattr(message, "value", 0) >= 0:
                super().receive(message, ctx)  # type: ignore[arg-type]

    taped(tmp_path, [1, -1, 2])
    difference = replay(only(tmp_path), Forgiving).tallies["cell-0"].difference
    assert difference is not None
    assert difference.recorded == ["failed: ValueError: -1 is below zero"]
    assert difference.replayed == []


def test_a_window_narrows_what_is_compared_and_where_it_ends(tmp_path: Path) -> None:
    taped(tmp_path, [1, 3, 5, 7, 9, 11, 13])
    tally = replay(only(tmp_path), Liar, window=Window(since=6_000, until=7_500)).tallies["cell-0"]
    assert (tally.messages, tally.difference) == (6, None)
    tally = replay(only(tmp_path), Liar, window=Window(since=6_000)).tallies["cell-0"]
    assert tally.difference is not None
    assert tally.difference.now == 8_000


def test_what_comes_after_a_windows_end_is_not_looked_at(tmp_path: Path) -> None:
    bench = Taping(tmp_path)
    for _ in range(20):
        bench.tell(*range(60))
        bench.tape.flush()
    bench.tape.close("done")
    tally = replay(only(tmp_path), window=Window(until=300_000)).tallies["cell-0"]
    assert (tally.messages, tally.skipped, tally.missing, tally.difference) == (299, 0, [], None)


def test_an_incarnation_goes_on_from_its_predecessors_state(tmp_path: Path) -> None:
    first = Taping(tmp_path, epoch=3)
    first.tell(*range(10))
    state = first.cells[0].snapshot()
    first.tape.close("stopped")
    second = Taping(tmp_path, epoch=4, state=state)
    second.tell(*range(10))
    second.tape.close("stopped")
    both = incarnations(tmp_path)
    assert [(one.host, one.epoch) for one in both] == [(HOST, 3), (HOST, 4)]
    assert all(clean(replay(one)) for one in both)


def test_cells_of_one_host_share_a_tape(tmp_path: Path) -> None:
    bench = Taping(tmp_path, cells=3)
    noise = random.Random(5)
    for value in range(1_000):
        bench.tell(value, cell=noise.randrange(3))
    bench.tape.close("done")
    found = replay(only(tmp_path), cells=3)
    assert clean(found)
    assert sum(tally.messages for tally in found.tallies.values()) == 1_003


def test_the_tape_keeps_to_its_size_and_begins_again_at_a_kept_state(tmp_path: Path) -> None:
    noise = random.Random(1)
    taped(tmp_path, [noise.getrandbits(60) for _ in range(20_000)], rules=SMALL, every=100)
    tape = only(tmp_path)
    assert tape.size <= SMALL.max_bytes + 20_000
    assert len(tape.files) > 2
    found = replay(tape)
    assert [missing.cause for missing in found.missing] == [Cause.NOTE]
    assert "made room for newer ones" in found.texts
    tally = found.tallies["cell-0"]
    assert tally.difference is None
    assert tally.messages > 500
    assert all(missing.cause is Cause.NOTE for missing in tally.missing)
    assert replay(tape, Liar).tallies["cell-0"].difference is not None


def test_a_killed_host_leaves_a_tape_that_is_read_to_its_end(tmp_path: Path) -> None:
    bench = Taping(tmp_path)
    bench.tell(*range(500))
    bench.tape.flush()
    bench.writer.turn()
    bench.writer.end("so that all is written", 5)
    os.unlink(only(tmp_path).files[-1])
    found = replay(only(tmp_path))
    assert "the file after it is missing" in found.texts
    assert found.tallies["cell-0"].messages == 501


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed tape of some chunks, with a state in it now and then."""
    store = tmp_path_factory.mktemp("sound")
    bench = Taping(store)
    for start in range(0, 1_500, 50):
        bench.tell(*range(start, start + 50))
        bench.cells[0].snapshot()
        if start % 300 == 0:
            bench.tape._unanchor()
        bench.tape.flush()
    bench.tape.close("done")
    return only(store).files[0]


def test_a_tape_cut_short_at_any_byte_is_read_up_to_there(sound: Path, tmp_path: Path) -> None:
    whole = sound.read_bytes()
    folder = tmp_path / "tapes" / sound.parent.name
    folder.mkdir(parents=True)
    target = folder / sound.name
    before = -1
    for length in sorted({*range(120), *range(120, len(whole), 373), len(whole) - 1}):
        target.write_bytes(whole[:length])
        found = replay(only(tmp_path))
        tally = found.tallies["cell-0"]
        assert found.missing, length
        assert tally.difference is None
        assert tally.messages >= before
        before = tally.messages
    assert before == 1_501


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_costs_a_chunk_and_is_named(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    damaged = bytearray(sound.read_bytes())
    position %= len(damaged)
    damaged[position] ^= flip
    store = tmp_path_factory.mktemp("flip")
    folder = store / "tapes" / sound.parent.name
    folder.mkdir(parents=True)
    (folder / sound.name).write_bytes(damaged)
    found = replay(only(store))
    tally = found.tallies["cell-0"]
    assert any(missing.cause is Cause.DAMAGE for missing in found.missing)
    assert tally.difference is None
    lost = sum(int(missing.text.split()[0]) for missing in tally.missing)
    if tally.messages + tally.skipped + lost < 1_501:
        # Only what stood behind the last sound chunk may go without a number.
        assert "was not closed" in found.texts or position < PREAMBLE.size + 400


def test_a_tape_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    data = preamble()[:6] + b"\x00\x63" + pack(HEAD, b"\x80")
    with pytest.raises(TapeError, match="format 1, found 99"):
        list(scan(data))
    taped(tmp_path, [1])
    file = only(tmp_path).files[0]
    file.write_bytes(data)
    assert "found 99" in replay(only(tmp_path)).texts


def test_between_sound_chunks_noise_is_passed_over() -> None:
    data = preamble() + pack(FRAMES, b"one") + b"noise \xf5TC\x0a more" + pack(FRAMES, b"two" * 50)
    found = list(scan(data))
    assert [item for item in found if isinstance(item, Chunk)] == [Chunk(FRAMES, b"one"), Chunk(FRAMES, b"two" * 50)]
    assert [item.length for item in found if isinstance(item, Damage)] == [len(b"noise \xf5TC\x0a more")]


def test_a_full_disk_leaves_a_gap_that_says_how_much_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [6_000]
    write = os.write

    def scarce(file: int, data: bytes) -> int:
        if len(data) > room[0]:
            if room[0] == 0:
                raise OSError(28, "No space left on device")
            data = bytes(data[: room[0]])
        room[0] -= len(data)
        return write(file, data)

    monkeypatch.setattr(writing.os, "write", scarce)
    bench = Taping(tmp_path)
    noise = random.Random(2)
    for _ in range(60):
        bench.tell(*(noise.getrandbits(60) for _ in range(100)))
        bench.cells[0].snapshot()
        bench.settle()
    assert bench.writer.failure == "No space left on device"
    room[0] = 1 << 30
    bench.tape.flush()
    for _ in range(60):
        bench.tell(*(noise.getrandbits(60) for _ in range(100)))
        bench.cells[0].snapshot()
        bench.settle()
    bench.tape.close("done")
    assert bench.counted["tape_lost"] == bench.writer.lost > 1_000
    found = replay(only(tmp_path))
    tally = found.tallies["cell-0"]
    gaps = [missing for missing in found.missing if missing.cause is Cause.GAP]
    assert len(gaps) == 1
    assert f"{bench.writer.lost} messages were not written: No space left on device" in gaps[0].text
    assert not any(missing.cause is Cause.DAMAGE for missing in [*found.missing, *tally.missing])
    assert tally.difference is None
    assert tally.messages > 5_000


def test_what_comes_faster_than_it_is_written_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WAITING_BYTES", 3_000)
    bench = Taping(tmp_path)
    bench.writer._given += 2_900
    bench.tell(*range(120))
    bench.tape.flush()
    bench.writer._given -= 2_900
    bench.cells[0].snapshot()
    bench.tape.flush()
    bench.tape.close("done")
    found = replay(only(tmp_path))
    # With them went the two marks of how it began.
    assert "122 messages were not written: more came than could be written" in found.texts
    assert bench.counted["tape_lost"] == 122


def test_a_writer_that_falls_behind_packs_no_more_and_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    for busy in (1 << 30, -1):
        monkeypatch.setattr(writing, "BUSY_BYTES", busy)
        store = tmp_path / str(busy)
        taped(store, list(range(2_000)))
        sizes.append(only(store).size)
        assert clean(replay(only(store)))
    assert sizes[1] > 2 * sizes[0]


def test_a_message_that_can_not_be_written_down_is_a_gap_and_no_failure(tmp_path: Path) -> None:
    bench = Taping(tmp_path)
    bench.tell(1 << 70)
    bench.tape.flush()
    bench.cells[0].snapshot()
    bench.tell(2)
    bench.tape.close("done")
    assert bench.counted["tape_unwritable"] > 0
    found = replay(only(tmp_path))
    assert "could not be encoded" in found.texts
    assert found.tallies["cell-0"].messages == 1


class Hushed:
    """A context in which nobody is sent market data."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send(self, to: str, message: Any, **options: Any) -> None:
        if not isinstance(message, TapeTick):
            self._inner.send(to, message, **options)


@pytest.mark.parametrize("effects", ["full", "digest"])
def test_a_brain_that_forgets_is_held_to_what_it_decides_when_it_begins_in_the_middle(
    tmp_path: Path, effects: Literal["full", "digest"]
) -> None:
    class Forgetful(Summer):
        forgets = "which ticks it passed on"

        def restore(self, data: bytes) -> None:
            super().restore(data)
            self.quiet = True

        def receive(self, message: object, ctx: object) -> None:
            if getattr(self, "quiet", False):
                ctx = Hushed(ctx)
            super().receive(message, ctx)  # type: ignore[arg-type]

    noise = random.Random(1)
    values = [noise.getrandbits(60) for _ in range(20_000)]
    taped(tmp_path, values, rules=TapeRules(True, SMALL.max_bytes, effects), every=100)
    tally = replay(only(tmp_path), Forgetful, digests=effects == "digest").tallies["cell-0"]
    assert tally.difference is None
    assert tally.left_out > 0
    assert (tally.compared > 0) is (effects == "full"), "a digest is of all effects together"
