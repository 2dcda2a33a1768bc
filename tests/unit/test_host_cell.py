"""A hosted behavior by itself: rollback, exact repetition, snapshots, cursor, giving up."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import codec
from runtime.behavior import Context
from runtime.errors import JournalError, SnapshotError
from runtime.host.cell import Cell, CellState, Parcel, Record, Send, Timer
from runtime.lanes import Lane
from runtime.lifecycle import CaughtUp, Entry, Started, Stopping
from runtime.message import Message

TOKEN = ("peer", 1, Lane.ORDER, 7)


class CellAdd(Message):
    """Adds; ``then`` says what goes wrong afterwards."""

    number: int
    then: str = ""


class CellPrice(Message, array_like=True):
    lane: ClassVar[Lane] = Lane.DATA
    value: int


class CellHalt(Message):
    lane: ClassVar[Lane] = Lane.CONTROL


class Adder:
    """Remembers every number with the time and number it was handled at."""

    capturable = True

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str]] = []
        self.half = 0

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Entry):
            message = message.event
        if isinstance(message, CellPrice | CellHalt):
            self.seen.append((getattr(message, "value", 0), ctx.now, ctx.sender))
        if not isinstance(message, CellAdd):
            return
        self.half = message.number
        self.seen.append((message.number, ctx.now, ctx.sender))
        ctx.send("out", message)
        ctx.timer("later", 5, message)
        ctx.count("adds")
        if message.then == "record":
            self.seen.append((ctx.record(message, keys={}), ctx.now, "seq"))
        elif message.then == "exit":
            raise SystemExit(3)
        elif message.then:
            raise ValueError(message.then)

    def snapshot(self) -> bytes:
        if not self.capturable:
            raise RuntimeError("holds a lock")
        return msgspec.msgpack.encode((self.seen, self.half))

    def restore(self, data: bytes) -> None:
        self.seen, self.half = msgspec.msgpack.decode(data, type=tuple[list[tuple[int, int, str]], int])

    def status(self) -> dict[str, object]:
        return {"seen": len(self.seen)}


class Bench:
    """A driver in memory; ``patience`` failures are borne."""

    def __init__(self, patience: int = 100) -> None:
        self.patience = patience
        self.clock = 0
        self.effects: list[Send | Record | Timer] = []
        self.letters: list[tuple[str, str]] = []
        self.counts: dict[str, int] = {}
        self.done: list[tuple[str, int, Lane, int] | None] = []
        self.seq = 41
        self.built: list[Adder] = []

    def build(self) -> Adder:
        self.built.append(Adder())
        return self.built[-1]

    def cell(self, *snapshots: bytes, journals: bool = False, redo_limit: int = 1_000) -> Cell:
        return Cell("adder", 3, self.build, self, snapshots=snapshots, journals=journals, redo_limit=redo_limit)

    def now(self) -> int:
        self.clock += 10
        return self.clock

    def next_seq(self) -> int:
        return self.seq

    def apply(self, cell: Cell, effects: list[Send | Record | Timer]) -> None:
        self.effects.extend(effects)
        self.seq += sum(isinstance(effect, Record) for effect in effects)

    def handled(self, cell: Cell, parcel: Parcel) -> None:
        self.done.append(parcel.token)

    def dead_letter(self, cell: Cell, parcel: Parcel, reason: str) -> None:
        self.letters.append((type(parcel.message).__name__, reason))

    def failed(self, cell: Cell, error: BaseException) -> bool:
        self.patience -= 1
        return self.patience >= 0

    def count(self, name: str, amount: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def observe(self, name: str, nanoseconds: int) -> None:
        self.count(name, nanoseconds)


def put(cell: Cell, *messages: Message, sender: str = "peer") -> None:
    for message in messages:
        cell.offer(Parcel(message, sender, TOKEN))
        assert cell.step()


def adder(cell: Cell) -> Adder:
    behavior = cell.behavior
    assert isinstance(behavior, Adder)
    return behavior


def entry(seq: int, number: int, then: str = "") -> Entry:
    return Entry(seq, 0, "bus", 1, "", 0, codec.encode(CellAdd(number, then)))


# -- poison ----------------------------------------------------------------------------


def test_a_poisonous_message_leaves_no_trace() -> None:
    bench = Bench()
    cell = bench.cell()
    put(cell, CellAdd(1), CellAdd(2), CellAdd(3, "boom"), CellAdd(4))
    assert adder(cell).seen == [(1, 10, "peer"), (2, 20, "peer"), (4, 40, "peer")]
    assert [e.message for e in bench.effects if isinstance(e, Send)] == [CellAdd(1), CellAdd(2), CellAdd(4)]
    assert sum(isinstance(e, Timer) for e in bench.effects) == 3
    assert (cell.state, cell.restarts, cell.last_error) == ("running", 1, "ValueError: boom")


def test_a_poisonous_message_is_acknowledged_and_becomes_a_dead_letter() -> None:
    bench = Bench()
    cell = bench.cell()
    put(cell, CellAdd(3, "boom"))
    assert bench.done == [TOKEN]
    assert bench.letters == [("CellAdd", "ValueError: boom")]
    assert bench.counts["cell_failures"] == bench.counts["cell_restarts"] == 1


def test_what_is_run_again_is_not_counted_again() -> None:
    bench = Bench()
    cell = bench.cell()
    put(cell, CellAdd(1), CellAdd(2), CellAdd(3, "boom"))
    assert bench.counts["adds"] == 3, "each once, the poisonous one too"


def test_messages_are_run_again_with_the_number_they_recorded_under() -> None:
    bench = Bench()
    cell = bench.cell(journals=True)
    put(cell, CellAdd(1, "record"), CellAdd(2, "record"), CellAdd(3, "boom"))
    assert [value for value, _, who in adder(cell).seen if who == "seq"] == [41, 42]
    assert sum(isinstance(e, Record) for e in bench.effects) == 2


def test_recording_without_a_journal_fails_that_message_alone() -> None:
    bench = Bench()
    cell = bench.cell()
    put(cell, CellAdd(1, "record"), CellAdd(2))
    assert "send the event to the bus" in bench.letters[0][1]
    assert [value for value, _, _ in adder(cell).seen] == [2]
    with pytest.raises(JournalError):
        cell.context.record(CellAdd(1), keys={})


def test_a_behavior_that_asks_the_process_to_exit_means_itself() -> None:
    bench = Bench()
    cell = bench.cell()
    put(cell, CellAdd(1), CellAdd(2, "exit"), CellAdd(3))
    assert [value for value, _, _ in adder(cell).seen] == [1, 3]
    assert bench.letters == [("CellAdd", "SystemExit: 3")]


@settings(max_examples=60, deadline=None)
@given(
    work=st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["", "", "boom"]), st.booleans()), max_size=25),
    limit=st.integers(1, 6),
)
def test_a_cell_ends_up_as_if_the_poison_had_never_come(work: list[tuple[int, str, bool]], limit: int) -> None:
    bench, clean = Bench(), Bench()
    poisoned, spared = bench.cell(redo_limit=limit), clean.cell()
    for number, then, capture in work:
        put(poisoned, CellAdd(number, then))
        if then:
            clean.now()
        else:
            put(spared, CellAdd(number))
        if capture:
            poisoned.snapshot()
    assert adder(poisoned).seen == adder(spared).seen
    assert [e for e in bench.effects if isinstance(e, Send)] == [e for e in clean.effects if isinstance(e, Send)]


# -- giving up -------------------------------------------------------------------------


def test_a_cell_that_fails_too_often_is_given_up_and_its_mail_becomes_dead_letters() -> None:
    bench = Bench(patience=2)
    cell = bench.cell()
    put(cell, *(CellAdd(n, "boom") for n in range(3)), CellAdd(9))
    assert (cell.state, cell.restarts) == ("failed", 2)
    assert bench.letters[-1] == ("CellAdd", "adder is failed: ValueError: boom")
    assert len(bench.done) == 4, "what can't be handled is acknowledged all the same"


def test_market_data_for_a_cell_that_was_given_up_is_told_once_and_counted() -> None:
    bench = Bench(patience=0)
    cell = bench.cell()
    put(cell, CellAdd(1, "boom"), *(CellPrice(n) for n in range(50)), CellAdd(2))
    assert [kind for kind, _ in bench.letters] == ["CellAdd", "CellPrice", "CellAdd"]
    assert bench.counts["data_refused"] == 50


def test_a_cell_that_can_not_be_built_again_is_given_up_with_both_reasons() -> None:
    bench = Bench()
    cell = bench.cell()

    def broken() -> Adder:
        raise ImportError("the module is gone")

    cell.build = broken
    put(cell, CellAdd(1, "boom"))
    assert cell.state == "failed"
    assert cell.last_error == "ValueError: boom; and it could not be restored: ImportError('the module is gone')"


def test_a_closed_cell_answers_with_dead_letters() -> None:
    bench = Bench()
    cell = bench.cell()
    cell.close()
    put(cell, CellAdd(1))
    assert bench.letters == [("CellAdd", "adder is stopped: ")]


def test_a_cell_without_mail_does_nothing() -> None:
    assert not Bench().cell().step()


# -- the redo limit --------------------------------------------------------------------


def test_at_the_limit_a_snapshot_takes_the_place_of_the_messages() -> None:
    bench = Bench()
    cell = bench.cell(redo_limit=3)
    put(cell, *(CellAdd(n) for n in range(7)))
    put(cell, CellAdd(7, "boom"))
    assert [value for value, _, _ in adder(cell).seen] == list(range(7))
    assert bench.counts["adds"] == 8


def test_at_the_limit_a_behavior_that_can_not_be_captured_works_on_without_a_way_back() -> None:
    bench = Bench()
    cell = bench.cell(redo_limit=3)
    adder(cell).capturable = False
    put(cell, *(CellAdd(n) for n in range(8)))
    assert (cell.state, len(adder(cell).seen)) == ("running", 8)
    assert "holds a lock" in cell.uncaptured
    put(cell, CellAdd(8, "boom"))
    assert cell.state == "failed"
    assert "has no snapshot to go back to" in cell.last_error
    assert "holds a lock" in cell.last_error


def test_a_way_back_is_found_again_with_the_next_snapshot() -> None:
    bench = Bench()
    cell = bench.cell(redo_limit=3)
    adder(cell).capturable = False
    put(cell, *(CellAdd(n) for n in range(4)))
    adder(cell).capturable = True
    cell.snapshot()
    assert cell.uncaptured == ""
    put(cell, CellAdd(8, "boom"))
    assert (cell.state, len(adder(cell).seen)) == ("running", 4)


# -- snapshots -------------------------------------------------------------------------


def saved(*numbers: int, cursor: int = 0) -> bytes:
    state = msgspec.msgpack.encode(([(n, 0, "") for n in numbers], 0))
    return msgspec.msgpack.encode(CellState(1, cursor, state))


def test_the_newest_snapshot_is_restored_with_its_cursor() -> None:
    bench = Bench()
    cell = bench.cell(saved(1, 2, cursor=9), saved(1, cursor=4))
    assert ([value for value, _, _ in adder(cell).seen], cell.cursor, cell.restored) == ([1, 2], 9, True)


@pytest.mark.parametrize(
    "damaged", [b"", b"\xc1 torn", msgspec.msgpack.encode(CellState(1, 99, b"torn")), saved(1, 2)[:-3]]
)
def test_a_snapshot_that_can_not_be_restored_gives_way_to_the_one_before_it(damaged: bytes) -> None:
    bench = Bench()
    cell = bench.cell(damaged, saved(1, cursor=4))
    assert ([value for value, _, _ in adder(cell).seen], cell.cursor, cell.restored) == ([1], 4, True)
    assert bench.counts["snapshots_refused"] == 1


def test_without_a_usable_snapshot_a_cell_starts_empty_from_the_beginning_of_the_log() -> None:
    bench = Bench()
    cell = bench.cell(b"torn", msgspec.msgpack.encode(CellState(1, 99, b"torn")))
    assert (adder(cell).seen, cell.cursor, cell.restored) == ([], 0, False)


def test_a_snapshot_holds_state_and_cursor_and_can_be_restored() -> None:
    first = Bench().cell()
    put(first, entry(5, 1), CellAdd(2))
    dirty = [first.dirty]
    second = Bench().cell(first.snapshot())
    assert [*dirty, first.dirty] == [True, False]
    assert (adder(second).seen, second.cursor) == (adder(first).seen, 5)
    assert Bench().cell(first.snapshot(cursor=77)).cursor == 77


def test_a_behavior_that_can_not_be_captured_says_why() -> None:
    cell = Bench().cell()
    adder(cell).capturable = False
    put(cell, CellAdd(1))
    with pytest.raises(SnapshotError, match=r"adder could not be captured: RuntimeError\('holds a lock'\)"):
        cell.snapshot()
    assert cell.dirty, "there is still something to save"


# -- the log ---------------------------------------------------------------------------


def test_entries_at_or_below_the_cursor_are_dropped_and_acknowledged() -> None:
    bench = Bench()
    cell = bench.cell(saved(cursor=5))
    put(cell, entry(4, 4), entry(5, 5), entry(6, 6), entry(6, 6), entry(9, 9))
    assert [value for value, _, _ in adder(cell).seen] == [6, 9]
    assert cell.cursor == 9
    assert len(bench.done) == 5


def test_a_poisonous_entry_is_passed_over_for_good() -> None:
    bench = Bench()
    cell = bench.cell()
    put(cell, entry(1, 1), entry(2, 2, "boom"), entry(2, 2, "boom"), entry(3, 3))
    assert [value for value, _, _ in adder(cell).seen] == [1, 3]
    assert (len(bench.letters), cell.cursor) == (1, 3)


def test_a_cell_knows_that_it_caught_up() -> None:
    cell = Bench().cell()
    assert not cell.caught_up
    put(cell, CaughtUp(0))
    assert cell.caught_up


def test_a_cell_hears_of_its_beginning_and_its_end() -> None:
    heard: list[Message] = []

    class Listener(Adder):
        def receive(self, message: Message, ctx: Context) -> None:
            heard.append(message)

    cell = Cell("adder", 3, Listener, Bench(), snapshots=(saved(1),))
    cell.begin()
    cell.wind_down("enough")
    cell.close()
    cell.wind_down("again")
    assert heard == [Started(3, True), Stopping("enough")]


def test_control_goes_before_orders_and_orders_before_market_data() -> None:
    bench = Bench()
    cell = bench.cell()
    for message in (CellPrice(1), CellAdd(2), CellHalt()):
        cell.offer(Parcel(message, "peer"))
    assert cell.step(Lane.ORDER)
    assert cell.step(Lane.ORDER)
    assert not cell.step(Lane.ORDER), "a congested host leaves market data where it is"
    cell.step()
    assert [value for value, _, _ in adder(cell).seen] == [0, 2, 1]
