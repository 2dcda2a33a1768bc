"""The feed gives each subscriber exactly its records, in order, once, and one CaughtUp."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import JournalError
from runtime.journal.base import Journal
from runtime.journal.feed import Feed
from runtime.journal.memory import MemoryJournal
from runtime.lifecycle import CaughtUp, Entry, Subscribe
from runtime.message import Message
from tests.unit.journal_events import JournalNote, JournalStep, add, fill, seqs


def drain(feed: Feed, name: str, room: int = 7) -> list[Message]:
    """Take until there is nothing left."""
    out: list[Message] = []
    while messages := feed.take(name, room):
        assert len(messages) <= room
        out += messages
    return out


def numbers(messages: list[Message]) -> list[int]:
    return seqs([message for message in messages if isinstance(message, Entry)])


def test_an_empty_journal_is_caught_up_at_once() -> None:
    feed = Feed(MemoryJournal())
    feed.subscribe("risk", Subscribe(0))
    assert feed.ready() == ["risk"]
    assert feed.take("risk", 5) == [CaughtUp(0)]
    assert feed.take("risk", 5) == []
    assert feed.ready() == []


def test_history_then_caught_up_then_live_entries() -> None:
    journal = MemoryJournal()
    fill(journal, 5)
    feed = Feed(journal)
    feed.subscribe("risk", Subscribe(2))
    add(journal)
    feed.committed(journal.commit())
    messages = drain(feed, "risk", 2)
    assert [type(message).__name__ for message in messages] == ["Entry"] * 3 + ["CaughtUp"] + ["Entry"]
    assert numbers(messages) == [3, 4, 5, 6]
    add(journal)
    feed.committed(journal.commit())
    assert feed.ready() == ["risk"]
    assert numbers(feed.take("risk", 9)) == [7]


def test_a_slow_subscriber_falls_back_to_the_journal_and_misses_nothing() -> None:
    journal = MemoryJournal()
    feed = Feed(journal, tail=10)
    feed.subscribe("slow", Subscribe(0))
    assert drain(feed, "slow") == [CaughtUp(0)]
    for _ in range(100):
        add(journal)
        feed.committed(journal.commit())
    assert numbers(drain(feed, "slow")) == list(range(1, 101))
    add(journal)
    feed.committed(journal.commit())
    assert numbers(drain(feed, "slow")) == [101]


def test_a_new_request_takes_the_place_of_the_earlier_one() -> None:
    journal = MemoryJournal()
    fill(journal, 6)
    feed = Feed(journal)
    feed.subscribe("learner", Subscribe(0))
    assert numbers(feed.take("learner", 3)) == [1, 2, 3]
    feed.subscribe("learner", Subscribe(4, kinds=("JournalStep",)))
    assert numbers(drain(feed, "learner")) == [6]


def test_a_live_subscriber_to_a_key_and_a_kind_gets_only_what_fits_both() -> None:
    journal = MemoryJournal()
    feed = Feed(journal)
    feed.subscribe("a", Subscribe(0, kinds=("JournalNote",), index="symbol", value="A"))
    drain(feed, "a")
    add(journal, JournalNote(), symbol="A")
    add(journal, JournalStep("s"), symbol="A")
    add(journal, JournalNote(), symbol="B")
    add(journal, JournalNote(), symbol="A")
    feed.committed(journal.commit())
    assert numbers(drain(feed, "a")) == [1, 4]


def test_an_unsubscribed_name_gets_nothing_more() -> None:
    journal = MemoryJournal()
    feed = Feed(journal)
    feed.subscribe("a", Subscribe(0, kinds=("JournalStep", "JournalNote")))
    drain(feed, "a")
    add(journal)
    feed.committed(journal.commit())
    feed.unsubscribe("a")
    feed.unsubscribe("never there")
    add(journal)
    feed.committed(journal.commit())
    assert (feed.ready(), feed.take("a", 9)) == ([], [])


@pytest.mark.parametrize("cursor", [-1, 4])
def test_a_cursor_outside_the_journal_is_refused(cursor: int) -> None:
    journal = MemoryJournal()
    fill(journal, 3)
    with pytest.raises(JournalError, match=f"from 0 to 3, found {cursor}"):
        Feed(journal).subscribe("risk", Subscribe(cursor))


def test_a_record_written_before_it_is_announced_comes_once() -> None:
    journal = MemoryJournal()
    feed = Feed(journal)
    feed.subscribe("risk", Subscribe(0))
    add(journal)
    records = journal.commit()
    assert numbers(drain(feed, "risk")) == [1]
    feed.committed(records)
    assert drain(feed, "risk") == []


def test_a_record_is_not_shown_to_the_thousand_subscribers_it_does_not_fit() -> None:
    journal = MemoryJournal()
    feed = Feed(journal)
    for number in range(1000):
        feed.subscribe(f"s{number}", Subscribe(0, index="symbol", value=f"sim:{number}"))
        drain(feed, f"s{number}")
    add(journal, symbol="sim:417")
    feed.committed(journal.commit())
    assert feed.ready() == ["s417"]


REQUESTS = st.builds(
    Subscribe,
    cursor=st.integers(0, 8),
    kinds=st.sampled_from([(), ("JournalStep",), ("JournalNote", "JournalStep"), ("JournalNote", "Absent")]),
    index=st.sampled_from(["", "symbol", "signal"]),
    value=st.sampled_from(["A", "B"]),
)
NAMES = st.sampled_from(["p", "q", "r"])
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("subscribe"), NAMES, REQUESTS),
        st.tuples(st.just("unsubscribe"), NAMES),
        st.tuples(st.just("take"), NAMES, st.integers(0, 4)),
        st.tuples(
            st.just("commit"),
            st.lists(
                st.tuples(st.booleans(), st.dictionaries(st.sampled_from(["symbol", "signal"]), st.sampled_from("AB"))),
                max_size=4,
            ),
        ),
    ),
    max_size=60,
)


def fitting(journal: Journal, request: Subscribe) -> list[int]:
    """By brute force: the numbers of all records the request fits."""
    return [
        record.seq
        for record in journal.read(request.cursor, 10_000)
        if (not request.kinds or record.kind in request.kinds)
        and (not request.index or (request.index, request.value) in record.keys)
    ]


@settings(max_examples=150, deadline=None)
@given(moves=MOVES, tail=st.integers(1, 5))
def test_every_subscriber_gets_what_brute_force_finds(moves: list, tail: int) -> None:  # type: ignore[type-arg]
    journal = MemoryJournal()
    feed = Feed(journal, tail=tail)
    active: dict[str, tuple[Subscribe, int, list[Message]]] = {}
    for move, *rest in moves:
        if move == "commit":
            for step, keys in rest[0]:
                add(journal, JournalStep("s") if step else JournalNote(), **keys)
            feed.committed(journal.commit())
        elif move == "subscribe":
            if rest[1].cursor <= journal.head:
                feed.subscribe(rest[0], rest[1])
                active[rest[0]] = (rest[1], journal.head, [])
        elif move == "unsubscribe":
            feed.unsubscribe(rest[0])
            active.pop(rest[0], None)
        else:
            messages = feed.take(*rest)
            assert len(messages) <= rest[1]
            if messages:
                active[rest[0]][2].extend(messages)
    for name, (request, head, messages) in active.items():
        while name in feed.ready():
            messages += feed.take(name, 3)
        assert numbers(messages) == fitting(journal, request)
        marks = [place for place, message in enumerate(messages) if isinstance(message, CaughtUp)]
        assert len(marks) == 1
        assert messages[marks[0]] == CaughtUp(head)
        assert all(number <= head for number in numbers(messages[: marks[0]]))
        assert all(number > head for number in numbers(messages[marks[0] :]))
    assert feed.ready() == []
