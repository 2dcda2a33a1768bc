"""The sans-IO half of links: frames, and windows over a wire that loses, doubles and reorders."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtime.errors import FencedError, LinkError
from runtime.lanes import Delivery, Lane
from runtime.links.frames import (
    BATCH_BYTES,
    MAX_FRAME,
    Ack,
    Batch,
    Frame,
    FrameReader,
    Hello,
    Item,
    Refused,
    Welcome,
    decode,
    encode,
)
from runtime.links.window import Limits, ReceiveWindow, SendWindow

SAMPLES: list[Frame] = [
    Hello("host/a", 3, ("cell/1", "cell/2"), bases={0: 1, 1: 9}),
    Welcome("host/b", 4, (), {1: 7}),
    Batch(2, 11, [Item("to", "from", b"\x00body", "key", 1), Item("to", "from", b"")]),
    Ack(1, 2**40),
    Refused("expected epoch 4, found 3", 4),
]


def item(body: object, to: str = "b", key: str = "", delivery: Delivery = Delivery.ALL) -> Item:
    return Item(to, "a", str(body).encode(), key, int(delivery))


def bodies(batch: Batch | None) -> list[str]:
    return [] if batch is None else [entry.body.decode() for entry in batch.items]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(SAMPLES), max_size=6), st.lists(st.integers(1, 40), max_size=30))
def test_frames_come_back_however_the_stream_was_cut(frames: list[Frame], cuts: list[int]) -> None:
    data, reader, found = b"".join(encode(frame) for frame in frames), FrameReader(), []
    for cut in [*cuts, len(data)]:
        found += reader.feed(data[:cut])
        data = data[cut:]
    assert found == frames and reader.waiting == 0


def test_text_on_the_wire_is_refused_with_what_was_found() -> None:
    with pytest.raises(LinkError, match=r"expected a frame length of 1 to 16777216 bytes, found 1195725856.*GET /"):
        FrameReader().feed(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("payload", [b"\xc1", b"\x90", b"\x92\x63\x01", b"\x93\x03\x01", b"\x94\x03\xff\x01\xc0"])
def test_a_frame_of_garbage_is_refused_with_what_was_expected(payload: bytes) -> None:
    with pytest.raises(LinkError, match=r"expected a link frame of version 1, found \d+ bytes"):
        FrameReader().feed(len(payload).to_bytes(4, "big") + payload)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_link_error(data: bytes) -> None:
    for read in (FrameReader().feed, decode):
        try:
            read(data)
        except LinkError as error:
            assert "expected" in str(error) and "found" in str(error)


def test_a_frame_no_receiver_would_take_is_not_sent() -> None:
    with pytest.raises(LinkError, match="expected a frame of at most"):
        encode(Batch(1, 1, [Item("b", "a", bytes(MAX_FRAME))]))


def test_control_leaves_before_orders_and_data() -> None:
    window = SendWindow()
    for lane in (Lane.DATA, Lane.ORDER, Lane.CONTROL):
        window.push(lane, item(lane.name))
    assert [bodies(window.next_batch()) for _ in range(4)] == [["CONTROL"], ["ORDER"], ["DATA"], []]


def test_batches_stay_small_and_a_large_item_travels_alone() -> None:
    window = SendWindow()
    for size in (30_000, 30_000, 30_000, 500_000, 10):
        window.push(Lane.ORDER, Item("b", "a", bytes(size)))
    sizes = []
    while (batch := window.next_batch()) is not None:
        sizes.append([len(entry.body) for entry in batch.items])
    assert sizes == [[30_000, 30_000], [30_000], [500_000], [10]]


def test_an_item_that_does_not_fit_the_room_left_waits_with_its_number() -> None:
    window = SendWindow()
    window.push(Lane.ORDER, Item("b", "a", bytes(BATCH_BYTES)))
    assert window.next_batch(1_000) is None and window.waiting == 1
    batch = window.next_batch()
    assert batch is not None and batch.first_seq == 1


def test_unacknowledged_items_are_bounded_by_lane() -> None:
    window = SendWindow({Lane.ORDER: Limits(2, 10)})
    for number in range(5):
        window.push(Lane.ORDER, item(number))
    assert bodies(window.next_batch()) == ["0", "1"] and window.next_batch() is None
    window.acknowledged(Lane.ORDER, 1)
    assert bodies(window.next_batch()) == ["2"]
    assert (window.waiting, window.unacked) == (2, 2)


def test_a_full_order_lane_stores_on_but_asks_its_host_to_hold_back() -> None:
    window = SendWindow({Lane.ORDER: Limits(2, 4)})
    fed = [window.push(Lane.ORDER, item(number)) for number in range(6)]
    assert fed == [True, True, True, False, False, False] and window.congested
    seen = []
    while window.congested:
        batch = window.next_batch()
        assert batch is not None
        seen += bodies(batch)
        window.acknowledged(Lane.ORDER, len(seen))
    assert seen == ["0", "1", "2", "3"], "relief comes when half has drained, not one item later"
    assert window.push(Lane.ORDER, item(6))


def test_data_conflates_or_drops_as_each_item_asks() -> None:
    window = SendWindow({Lane.DATA: Limits(10, 3)})
    window.push(Lane.DATA, item("btc 1", key="btc", delivery=Delivery.LATEST))
    window.push(Lane.DATA, item("btc 1 for c", to="c", key="btc", delivery=Delivery.LATEST))
    window.push(Lane.DATA, item("btc 2", key="btc", delivery=Delivery.LATEST))
    for number in range(3):
        assert window.push(Lane.DATA, item(f"trade {number}", delivery=Delivery.OLDEST))
    assert (window.conflated, window.dropped) == (1, 2) and not window.congested
    assert bodies(window.next_batch()) == ["btc 2", "btc 1 for c", "trade 2"]


def test_data_for_a_peer_no_one_knows_is_dropped_above_the_mark_and_counted() -> None:
    window = SendWindow({Lane.DATA: Limits(10, 2)})
    window.lossy = True
    for number in range(5):
        window.push(Lane.DATA, item(number))
    assert window.dropped == 3 and bodies(window.next_batch()) == ["0", "1"]


def test_a_new_peer_gets_everything_unacknowledged_again_with_the_same_numbers() -> None:
    window = SendWindow()
    for number in range(1, 6):
        window.push(Lane.ORDER, item(number))
    window.reconnected(1, {})
    window.next_batch()
    window.acknowledged(Lane.ORDER, 2)
    window.push(Lane.ORDER, item(6))
    window.reconnected(2, {})
    batch = window.next_batch()
    assert batch is not None and (batch.first_seq, bodies(batch)) == (3, ["3", "4", "5", "6"])
    window.reconnected(3, {Lane.ORDER: 5})
    batch = window.next_batch()
    assert batch is not None and (batch.first_seq, bodies(batch)) == (6, ["6"])


def test_a_peer_that_has_been_replaced_is_not_believed() -> None:
    window = SendWindow()
    window.reconnected(5, {})
    with pytest.raises(FencedError, match="expected the peer's epoch 5 or later, found 4"):
        window.reconnected(4, {})


def test_an_acknowledgement_of_what_was_never_sent_is_an_error() -> None:
    window = SendWindow()
    window.push(Lane.ORDER, item(1))
    with pytest.raises(LinkError, match="expected an acknowledgement of lane 1 up to 0, found 1"):
        window.acknowledged(Lane.ORDER, 1)
    with pytest.raises(LinkError, match="expected a lane from 0 to 2, found 9"):
        window.acknowledged(9, 0)


def test_items_given_up_are_returned_in_order_and_their_numbers_are_not_used_again() -> None:
    window = SendWindow({Lane.ORDER: Limits(2, 10)})
    for number in range(1, 4):
        window.push(Lane.ORDER, item(number))
    window.next_batch()
    assert [entry.body for _, entry in window.drain()] == [b"1", b"2", b"3"]
    receiver = ReceiveWindow()
    window.reconnected(2, receiver.open("a", 1, window.bases()))
    window.push(Lane.ORDER, item(4))
    batch = window.next_batch()
    assert batch is not None and batch.first_seq == 3
    assert [seq for seq, _ in receiver.accept(batch)] == [3]


def test_what_waits_for_a_name_that_moved_can_be_taken_back() -> None:
    window = SendWindow({Lane.ORDER: Limits(1, 10)})
    for to, body in (("b", 1), ("c", 2), ("b", 3), ("c", 4)):
        window.push(Lane.ORDER, item(body, to=to))
    window.next_batch()
    assert [entry.body for _, entry in window.withdraw("c")] == [b"2", b"4"]
    window.acknowledged(Lane.ORDER, 1)
    assert bodies(window.next_batch()) == ["3"]


def test_the_receiver_skips_duplicates_and_rejects_gaps() -> None:
    window = ReceiveWindow()
    window.open("a", 1)
    assert [seq for seq, _ in window.accept(Batch(1, 1, [item(1), item(2)]))] == [1, 2]
    assert [seq for seq, _ in window.accept(Batch(1, 1, [item(1), item(2), item(3)]))] == [3]
    assert window.accept(Batch(1, 2, [item(2)])) == [] and window.duplicates == 3
    with pytest.raises(LinkError, match="expected number 4 of lane 1 from host 'a', found 6: 2 items are missing"):
        window.accept(Batch(1, 6, [item(6)]))
    with pytest.raises(LinkError, match="expected a lane from 0 to 2, found 3"):
        window.accept(Batch(3, 1, []))


def test_only_a_run_of_handled_items_is_acknowledged() -> None:
    window = ReceiveWindow()
    window.open("a", 1)
    window.accept(Batch(1, 1, [item(number) for number in range(4)]))
    window.handled(1, 2)
    window.handled(1, 4)
    assert window.acks() == {} and window.in_hand == 2
    window.handled(1, 1)
    assert window.acks() == {1: 2} and window.fresh_acks() == [(1, 2)] and window.fresh_acks() == []
    window.handled(1, 3)
    window.handled(1, 3)
    assert window.fresh_acks() == [(1, 4)] and window.in_hand == 0


def test_data_that_may_disappear_from_a_mailbox_is_acknowledged_when_it_arrives() -> None:
    window = ReceiveWindow()
    window.open("a", 1)
    window.accept(Batch(2, 1, [item(1, delivery=Delivery.LATEST), item(2), item(3, delivery=Delivery.OLDEST)]))
    assert window.acks() == {2: 1}
    window.handled(2, 2)
    assert window.acks() == {2: 3}


def test_a_zombie_is_fenced_and_a_successor_starts_afresh() -> None:
    window = ReceiveWindow()
    window.open("a", 4)
    window.accept(Batch(1, 1, [item(1)]))
    assert window.open("a", 5) == {}
    with pytest.raises(FencedError, match="expected epoch 5 or later from host 'a', found 4"):
        window.open("a", 4)
    assert [seq for seq, _ in window.accept(Batch(1, 1, [item(1)]))] == [1]


@pytest.mark.parametrize("epoch", [None, 4])
def test_an_item_of_the_predecessor_never_acknowledges_one_of_the_successor(epoch: int | None) -> None:
    window = ReceiveWindow()
    window.open("a", 4)
    window.accept(Batch(1, 1, [item("old")]))
    window.open("a", 5)
    window.accept(Batch(1, 1, [item("new")]))
    window.handled(1, 1, epoch)
    assert window.acks() == {}
    window.handled(1, 1, 5)
    assert window.acks() == {1: 1}


def test_cursors_of_a_journal_hold_for_the_incarnation_they_name_alone() -> None:
    cursors = {"a": (3, {1: 10})}
    assert ReceiveWindow(cursors).open("a", 3) == {1: 10}
    assert ReceiveWindow(cursors).open("a", 4) == {}
    assert ReceiveWindow(cursors).open("b", 1) == {}
    with pytest.raises(FencedError):
        ReceiveWindow(cursors).open("a", 2)


class LossyWire(RuleBasedStateMachine):
    """One lane's life: any frame may be lost, doubled, late or out of order, either end may crash.

    The receiver journals what it handles together with its cursor, as the bus does, so what
    it has handled must be exactly what was sent: in order, nothing missing, nothing twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pushed: dict[int, list[str]] = {}
        self.handled: dict[int, list[str]] = {}
        self.durable: dict[str, tuple[int, dict[int, int]]] = {}
        self.sender_epoch = self.receiver_epoch = 0
        self.number = 0
        self.wire: list[Batch] = []
        self.answers: list[Ack] = []
        self.start_receiver()
        self.start_sender()

    def start_sender(self) -> None:
        self.sender_epoch += 1
        self.sender = SendWindow({Lane.ORDER: Limits(4, 8)})
        self.pushed[self.sender_epoch], self.handled[self.sender_epoch] = [], []
        self.wire, self.answers = [], []
        self.connect()

    def start_receiver(self) -> None:
        self.receiver_epoch += 1
        self.receiver = ReceiveWindow(dict(self.durable))
        self.in_hand: list[tuple[int, int, str]] = []

    def connect(self) -> None:
        cursors = self.receiver.open("a", self.sender_epoch, self.sender.bases())
        self.sender.reconnected(self.receiver_epoch, cursors)

    @rule(count=st.integers(1, 4))
    def push(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.pushed[self.sender_epoch].append(str(self.number))
            self.sender.push(Lane.ORDER, item(self.number))

    @rule()
    def send(self) -> None:
        batch = self.sender.next_batch()
        if batch is not None:
            self.wire.append(batch)

    @precondition(lambda self: self.wire)
    @rule(pick=st.integers(0, 9), doubled=st.booleans())
    def deliver(self, pick: int, doubled: bool) -> None:
        index = pick % len(self.wire)
        batch = self.wire[index] if doubled else self.wire.pop(index)
        try:
            fresh = self.receiver.accept(batch)
        except LinkError:
            self.connect()
            return
        self.in_hand += [(self.sender_epoch, seq, entry.body.decode()) for seq, entry in fresh]

    @precondition(lambda self: self.wire)
    @rule(pick=st.integers(0, 9))
    def lose(self, pick: int) -> None:
        self.wire.pop(pick % len(self.wire))

    @precondition(lambda self: self.in_hand)
    @rule(count=st.integers(1, 3), explicit=st.booleans())
    def handle(self, count: int, explicit: bool) -> None:
        for epoch, seq, body in self.in_hand[:count]:
            self.handled[epoch].append(body)
            self.receiver.handled(Lane.ORDER, seq, epoch if explicit else None)
            if epoch >= self.durable.get("a", (0, {}))[0]:
                self.durable["a"] = (epoch, {int(Lane.ORDER): seq})
        del self.in_hand[:count]

    @rule()
    def acknowledge(self) -> None:
        self.answers += [Ack(lane, seq) for lane, seq in self.receiver.acks().items()]

    @precondition(lambda self: self.answers)
    @rule(pick=st.integers(0, 9), doubled=st.booleans())
    def answer(self, pick: int, doubled: bool) -> None:
        index = pick % len(self.answers)
        ack = self.answers[index] if doubled else self.answers.pop(index)
        self.sender.acknowledged(ack.lane, ack.seq)

    @rule()
    def break_connection(self) -> None:
        self.connect()

    @rule()
    def crash_receiver(self) -> None:
        self.start_receiver()
        self.connect()

    @rule()
    def crash_sender(self) -> None:
        self.start_sender()

    @invariant()
    def handled_is_the_beginning_of_what_was_sent(self) -> None:
        for epoch, found in self.handled.items():
            assert found == self.pushed[epoch][: len(found)]

    @invariant()
    def nothing_is_acknowledged_before_it_is_handled(self) -> None:
        acknowledged = self.sender.bases()[Lane.ORDER]
        assert acknowledged <= len(self.handled[self.sender_epoch])

    def teardown(self) -> None:
        """Once the wire behaves, everything arrives."""
        self.wire.clear()
        self.connect()
        while self.sender.waiting or self.sender.unacked:
            self.send()
            while self.wire:
                self.deliver(0, False)
            self.handle(len(self.in_hand), True)
            for lane, seq in self.receiver.acks().items():
                self.sender.acknowledged(lane, seq)
        self.handle(len(self.in_hand), True)
        assert self.handled[self.sender_epoch] == self.pushed[self.sender_epoch]


LossyWire.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWhateverTheWireDoesNothingIsLostNothingDoubledNothingOutOfOrder = LossyWire.TestCase
