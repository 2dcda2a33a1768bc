"""Mailboxes: lanes, bounds, conflation, dropping."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.lanes import Delivery, Lane
from runtime.mailbox import LaneQueue, Mailbox


def small(capacity: int = 3) -> Mailbox[str]:
    return Mailbox(dict.fromkeys(Lane, capacity))


def taken(mailbox: Mailbox[str]) -> list[str]:
    items = []
    while (item := mailbox.take()) is not None:
        items.append(item)
    return items


def test_control_is_served_before_orders_and_orders_before_data() -> None:
    mailbox = small()
    for lane, item in ((Lane.DATA, "tick"), (Lane.ORDER, "order"), (Lane.CONTROL, "halt"), (Lane.ORDER, "order 2")):
        assert mailbox.offer(lane, item)
    assert mailbox.depths() == {Lane.CONTROL: 1, Lane.ORDER: 2, Lane.DATA: 1}
    assert taken(mailbox) == ["halt", "order", "order 2", "tick"]
    assert mailbox.take() is None and mailbox.depth == 0


def test_a_host_that_is_held_back_can_take_control_alone() -> None:
    mailbox = small()
    mailbox.offer(Lane.ORDER, "order")
    assert mailbox.take(Lane.CONTROL) is None
    mailbox.offer(Lane.CONTROL, "halt")
    assert mailbox.take(max_lane=Lane.CONTROL) == "halt"
    assert mailbox.take(max_lane=Lane.ORDER) == "order"


@pytest.mark.parametrize("lane", list(Lane))
def test_a_full_lane_pushes_back_and_stores_nothing(lane: Lane) -> None:
    mailbox = small(2)
    assert mailbox.offer(lane, "a") and mailbox.offer(lane, "b")
    assert not mailbox.offer(lane, "c")
    assert taken(mailbox) == ["a", "b"] and mailbox.dropped == 0


def test_orders_are_never_dropped_whatever_delivery_they_name() -> None:
    mailbox = small(2)
    assert mailbox.offer(Lane.ORDER, "a", delivery=Delivery.OLDEST)
    assert mailbox.offer(Lane.ORDER, "b", key="k", delivery=Delivery.LATEST)
    assert not mailbox.offer(Lane.ORDER, "c", delivery=Delivery.OLDEST)
    assert not mailbox.offer(Lane.ORDER, "d", key="k", delivery=Delivery.LATEST)
    assert taken(mailbox) == ["a", "b"]


def test_what_was_accepted_elsewhere_can_be_forced_into_a_full_lane() -> None:
    mailbox = small(1)
    mailbox.offer(Lane.ORDER, "a")
    assert mailbox.offer(Lane.ORDER, "b", force=True)
    assert taken(mailbox) == ["a", "b"]


def test_the_latest_quote_takes_the_place_of_the_waiting_one() -> None:
    mailbox = small()
    mailbox.offer(Lane.DATA, "btc 1", key="btc", delivery=Delivery.LATEST)
    mailbox.offer(Lane.DATA, "eth 1", key="eth", delivery=Delivery.LATEST)
    mailbox.offer(Lane.DATA, "btc 2", key="btc", delivery=Delivery.LATEST)
    assert mailbox.conflated == 1 and taken(mailbox) == ["btc 2", "eth 1"]
    mailbox.offer(Lane.DATA, "btc 3", key="btc", delivery=Delivery.LATEST)
    assert taken(mailbox) == ["btc 3"], "a quote already taken is not replaced"


def test_the_oldest_trade_is_dropped_and_counted() -> None:
    mailbox = small(2)
    for number in range(5):
        assert mailbox.offer(Lane.DATA, str(number), delivery=Delivery.OLDEST)
    assert mailbox.dropped == 3 and taken(mailbox) == ["3", "4"]


def test_dropping_never_touches_what_must_all_arrive() -> None:
    mailbox = small(3)
    mailbox.offer(Lane.DATA, "replay 1")
    mailbox.offer(Lane.DATA, "trade 1", delivery=Delivery.OLDEST)
    mailbox.offer(Lane.DATA, "replay 2")
    assert mailbox.offer(Lane.DATA, "replay 3"), "the trade gives way"
    assert mailbox.offer(Lane.DATA, "trade 2", delivery=Delivery.OLDEST), "a trade without room is dropped itself"
    assert not mailbox.offer(Lane.DATA, "replay 4")
    assert mailbox.dropped == 2 and taken(mailbox) == ["replay 1", "replay 2", "replay 3"]


def test_dropping_behind_an_item_that_stays_does_not_grow_the_queue() -> None:
    queue: LaneQueue[int] = LaneQueue(10)
    queue.put(-1)
    for number in range(10_000):
        queue.put(number, delivery=Delivery.OLDEST)
    assert len(queue) == 10 and len(queue._items) < 200
    assert [queue.take() for _ in range(10)] == [-1, *range(9_991, 10_000)]


def test_a_lane_without_room_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected a lane capacity of at least 1, found 0"):
        Mailbox({Lane.DATA: 0})


operations = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ALL", "LATEST", "OLDEST"]), st.sampled_from("abc")),
        st.just(("take", "")),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(operations, st.integers(1, 5))
def test_a_lane_behaves_as_the_plain_list_it_stands_for(steps: list[tuple[str, str]], capacity: int) -> None:
    queue: LaneQueue[int] = LaneQueue(capacity)
    model: deque[list[object]] = deque()
    for number, (step, key) in enumerate(steps):
        if step == "take":
            expected = model.popleft()[2] if model else None
            assert queue.take() == expected
            continue
        stored = queue.put(number, key, Delivery[step])
        same = next((entry for entry in model if step == "LATEST" and entry[:2] == ["LATEST", key]), None)
        if same is not None:
            same[2] = number
            assert stored
            continue
        droppable = next((entry for entry in model if entry[0] == "OLDEST"), None)
        if len(model) >= capacity and droppable is not None:
            model.remove(droppable)
        if len(model) < capacity:
            model.append([step, key, number])
            assert stored
        else:
            assert stored == (step == "OLDEST")
    assert len(queue) == len(model)
    assert queue.solid == sum(entry[0] != "OLDEST" for entry in model)
