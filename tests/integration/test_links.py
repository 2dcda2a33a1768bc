"""The contract of the links, over both transports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.errors import LinkError
from runtime.lanes import Delivery, Lane
from runtime.links.directory import (
    Address,
    UnixDirectory,
)
from runtime.links.frames import MAX_BODY, Hello, Origin, Refused, decode, encode
from tests.integration.links_bench import TINY, Net, numbers, run, until


def test_every_lane_keeps_its_order_and_arrives_once(net: Net) -> None:
    async def story() -> None:
        receiver = await net.host("r", cells=["r/1", "r/2"])
        senders = [await net.host(f"s{number}") for number in range(2)]
        for number in range(300):
            for sender in senders:
                for lane in Lane:
                    sender.send(f"r/{1 + number % 2}", number, lane)
            if number % 50 == 0:
                await asyncio.sleep(0.001)
        await until(lambda: len(receiver.items) >= 1800)
        for sender in senders:
            for lane in Lane:
                found = [e for e in receiver.items if e[0] == sender.name and e[2] == lane]
                assert [e[4].body.decode() for e in found] == numbers(300)
                assert [e[3] for e in found] == list(range(1, 301))
            await until(lambda: sender.stat("pending") == 0)  # noqa: B023
            assert len(sender.stat("links")) == 1, "two cells of one host share a link"

    run(net, story)


def test_nothing_is_lost_or_doubled_when_connections_break(net: Net) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r"), await net.host("s")
        for number in range(400):
            sender.send("r", number)
            if number % 40 == 20:
                await asyncio.sleep(0.004)
                net.disrupt(receiver)
        await until(lambda: len(receiver.items) >= 400)
        await until(lambda: sender.stat("pending") == 0)
        assert receiver.bodies() == numbers(400)
        assert sender.stat("links_connected") > 1

    run(net, story)


def test_a_restarted_receiver_gets_what_was_not_acknowledged(net: Net) -> None:
    async def story() -> None:
        sender, first = await net.host("s"), await net.host("r", 1)
        for number in range(3):
            sender.send("r", number)
        await until(lambda: sender.stat("pending") == 0 and len(first.items) == 3)
        first.hold = True
        for number in range(3, 6):
            sender.send("r", number)
        await until(lambda: len(first.items) == 6)
        net.crash(first)
        sender.send("r", 6)
        second = await net.host("r", 2)
        await until(lambda: len(second.items) >= 4)
        assert second.bodies() == ["3", "4", "5", "6"]
        assert sender.ups == [(("r",), 1), (("r",), 2)] and sender.downs == [("r",)]

    run(net, story)


def test_a_receiver_restarted_with_its_journals_cursors_gets_nothing_twice(net: Net) -> None:
    async def story() -> None:
        sender, first = await net.host("s", 7), await net.host("r", 1, hold=True)
        for number in range(6):
            sender.send("r", number)
        await until(lambda: len(first.items) == 6)
        net.crash(first)
        second = await net.host("r", 2, cursors={"s": (7, {Lane.ORDER: 4})})
        await until(lambda: sender.stat("pending") == 0)
        assert second.bodies() == ["4", "5"]

    run(net, story)


def test_a_restarted_sender_begins_anew_under_its_new_epoch(net: Net) -> None:
    async def story() -> None:
        receiver, first = await net.host("r"), await net.host("s", 1)
        first.send("r", "old")
        await until(lambda: receiver.items)
        net.crash(first)
        second = await net.host("s", 2)
        second.send("r", "new")
        await until(lambda: len(receiver.items) == 2)
        assert [(e[1], e[3], e[4].body) for e in receiver.items] == [(1, 1, b"old"), (2, 1, b"new")]

    run(net, story)


def test_a_zombie_is_refused_and_learns_why(net: Net) -> None:
    async def story() -> None:
        receiver, zombie = await net.host("r"), await net.host("s", 1)
        zombie.send("r", "in time")
        await until(lambda: receiver.items)
        successor = await net.host("s", 2)
        successor.send("r", "mine")
        await until(lambda: len(receiver.items) == 2)
        for number in range(5):
            zombie.send("r", f"too late {number}")
        await until(lambda: zombie.endpoint.fenced_by == 2)
        assert receiver.bodies() == ["in time", "mine"] and receiver.stat("refused") > 0
        await zombie.endpoint.close()
        assert [body for body, _ in zombie.letters] == [f"too late {number}".encode() for number in range(5)]

    run(net, story)


def test_control_overtakes_data_under_load(net: Net) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r", hold=True), await net.host("s")
        for number in range(8000):
            sender.send("r", number, Lane.DATA)
        await until(lambda: len(receiver.items) >= 4096)
        sender.send("r", "halt", Lane.CONTROL)
        receiver.handle_all()
        await until(lambda: len(receiver.items) == 8001)
        assert receiver.bodies().index("halt") < 7000
        assert receiver.bodies(Lane.DATA) == numbers(8000)

    run(net, story)


@pytest.mark.parametrize("lane", list(Lane))
def test_a_slow_receiver_pushes_back_and_relief_is_told_once(net: Net, lane: Lane) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r", hold=True), await net.host("s", limits=TINY)
        sender.endpoint.connect("r")
        await until(lambda: sender.ups)
        fed = []
        for number in range(30):
            fed.append(sender.send("r", number, lane))
            sender.endpoint.flush()
        assert fed[0] and not fed[-1] and sender.endpoint.congested
        await until(lambda: len(receiver.items) == 4)
        await asyncio.sleep(0.02)
        assert len(receiver.items) == 4 and sender.relieved == 0
        receiver.handle_all()
        await until(lambda: sender.relieved and len(receiver.items) == 30)
        assert receiver.bodies() == numbers(30) and sender.relieved == 1 and not sender.endpoint.congested
        assert sender.send("r", 30, lane)

    run(net, story)


def test_waiting_quotes_conflate_and_waiting_trades_drop_the_oldest(net: Net) -> None:
    async def story() -> None:
        sender = await net.host("s", limits=TINY)
        for number in range(50):
            assert sender.send("r", f"quote {number}", Lane.DATA, key="btc", delivery=Delivery.LATEST)
            assert sender.send("r", f"trade {number}", Lane.DATA, delivery=Delivery.OLDEST)
        receiver = await net.host("r")
        await until(lambda: len(receiver.items) >= 8)
        assert sorted(receiver.bodies()) == sorted(["quote 49", *(f"trade {number}" for number in range(43, 50))])
        link = sender.stat("links")[0]
        assert link["conflated"] == 49 and link["dropped"] == 43

    run(net, story)


def test_garbage_ends_one_connection_and_is_counted(net: Net) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r"), await net.host("s")
        sender.send("r", 1)
        await until(lambda: receiver.items)
        if net.kind == "ray":
            (answer,) = decode(receiver.endpoint.deliver(b"\x00\x00\x00\x02hi"))
            assert isinstance(answer, Refused) and "expected a link frame" in answer.reason
        else:
            address = UnixDirectory(net.run_dir).locate("r")
            assert address is not None
            reader, writer = await asyncio.open_unix_connection(address.target)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
        assert receiver.stat("garbage") == 1
        sender.send("r", 2)
        await until(lambda: len(receiver.items) == 2)
        assert sender.stat("links_connected") == 1, "the other link never noticed"

    run(net, story)


def test_another_release_is_refused_in_words(net: Net) -> None:
    async def story() -> None:
        receiver = await net.host("r")
        hello = encode(Hello("s", 1, (), version=99))
        if net.kind == "ray":
            answer = receiver.endpoint.deliver(encode(Origin("s", 1)) + hello)
        else:
            address = UnixDirectory(net.run_dir).locate("r")
            assert address is not None
            reader, writer = await asyncio.open_unix_connection(address.target)
            writer.write(hello)
            answer = await reader.read()
            writer.close()
        (refused,) = decode(answer)
        assert isinstance(refused, Refused) and "expected link version 1, found 99" in refused.reason

    run(net, story)


def test_a_host_hears_when_its_peers_come_and_go(net: Net) -> None:
    async def story() -> None:
        sender, first = await net.host("s"), await net.host("r", 3, ["r/1", "r/2"])
        sender.endpoint.connect("r/1")
        await until(lambda: sender.ups)
        assert sender.ups == [(("r/1", "r/2"), 3)] and sender.downs == []
        net.crash(first)
        await until(lambda: sender.downs)
        assert sender.downs == [("r/1", "r/2")]
        await net.host("r", 4, ["r/1", "r/2"])
        await until(lambda: len(sender.ups) == 2)
        assert sender.ups[1] == (("r/1", "r/2"), 4)

    run(net, story)


def test_a_cell_added_later_is_reached_over_the_link_that_stands(net: Net) -> None:
    async def story() -> None:
        sender, receiver = await net.host("s"), await net.host("r", 1, ["r/1"])
        sender.send("r/1", 1)
        sender.send("r/2", 2)
        await until(lambda: receiver.items)
        receiver.endpoint.host_cell("r/2")
        net.places["r/2"] = "r"
        await until(lambda: len(receiver.items) == 2)
        assert [cells for cells, _ in sender.ups] == [("r/1",), ("r/2",)]
        assert len(sender.stat("links")) == 1

    run(net, story)


def test_the_hello_of_a_successor_takes_the_link_away_from_its_predecessor(net: Net) -> None:
    async def story() -> None:
        sender, zombie = await net.host("s", sweep_s=60.0), await net.host("r", 1)
        sender.send("r", "to the first")
        await until(lambda: zombie.items)
        successor = await net.host("r", 2)
        sender.send("r", "still to the first")
        await until(lambda: len(zombie.items) == 2)
        successor.endpoint.connect("s")
        await until(lambda: len(sender.ups) == 2)
        sender.send("r", "to the second")
        await until(lambda: successor.items)
        assert zombie.bodies() == ["to the first", "still to the first"]

    run(net, story)


def test_a_successor_is_found_even_when_its_predecessor_still_answers(net: Net) -> None:
    async def story() -> None:
        sender, _ = await net.host("s", sweep_s=0.02), await net.host("r", 1)
        sender.endpoint.connect("r")
        await until(lambda: sender.ups)
        successor = await net.host("r", 2)
        await until(lambda: len(sender.ups) == 2)
        sender.send("r", "hello")
        await until(lambda: successor.items)

    run(net, story)


def test_what_no_one_receives_becomes_dead_letters(net: Net) -> None:
    async def story() -> None:
        sender = await net.host("s", undeliverable_s=0.15)
        sender.send("nobody", "order")
        sender.send("nobody", "halt", Lane.CONTROL)
        sender.send("nobody", "quote", Lane.DATA, key="q", delivery=Delivery.LATEST)
        await until(lambda: len(sender.letters) == 2)
        assert [body for body, _ in sender.letters] == [b"halt", b"order"]
        assert sender.letters[0][1] == "no connection to its host for 0.15 s"
        assert sender.stat("undeliverable_data") == 1 and sender.stat("pending") == 0
        late = await net.host("nobody")
        sender.send("nobody", "later")
        await until(lambda: late.items)
        assert late.bodies() == ["later"]

    run(net, story)


def test_a_dead_peer_does_not_hold_its_senders_back_for_ever(net: Net) -> None:
    async def story() -> None:
        sender, receiver = await net.host("s", undeliverable_s=0.2, limits=TINY), await net.host("r", hold=True)
        for number in range(20):
            sender.send("r", number)
        await until(lambda: len(receiver.items) == 4)
        net.crash(receiver)
        assert sender.endpoint.congested
        await until(lambda: sender.relieved)
        assert [body.decode() for body, _ in sender.letters] == numbers(20)
        successor = await net.host("r", 2)
        sender.send("r", 20)
        await until(lambda: successor.items)
        assert successor.bodies() == ["20"]

    run(net, story)


def test_large_messages_travel_and_impossible_ones_become_dead_letters(net: Net) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r"), await net.host("s")
        assert sender.endpoint.send("r", "s", bytes(MAX_BODY + 1), Lane.ORDER)
        sender.endpoint.send("r", "s", bytes(3_000_000), Lane.ORDER)
        sender.endpoint.send("r", "s", b"small", Lane.ORDER)
        await until(lambda: len(receiver.items) == 2)
        assert [len(entry[4].body) for entry in receiver.items] == [3_000_000, 5]
        ((body, reason),) = sender.letters
        assert len(body) == MAX_BODY + 1
        assert reason == f"expected a body of at most {MAX_BODY} bytes, found {MAX_BODY + 1}"

    run(net, story)


def test_an_item_the_host_fails_on_does_not_take_the_next_along(net: Net) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r"), await net.host("s")
        receiver.fail_on = b"1"
        for number in range(3):
            sender.send("r", number)
        await until(lambda: len(receiver.items) == 2)
        await until(lambda: sender.stat("pending") == 0)
        assert receiver.bodies() == ["0", "2"] and receiver.stat("failed") == 1
        assert receiver.letters == [(b"1", "the receiving host failed on it: RuntimeError('the host is not well')")]

    run(net, story)


def test_closing_sends_what_waits_first(net: Net) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r"), await net.host("s")
        for number in range(2000):
            sender.send("r", number)
        await sender.endpoint.close(5.0)
        assert receiver.bodies() == numbers(2000) and sender.letters == []
        with pytest.raises(LinkError, match="expected a started endpoint"):
            sender.send("r", 1)

    run(net, story)


def test_a_lookup_that_fails_is_tried_again(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        receiver, sender = await net.host("r"), await net.host("s")
        directory: Any = sender.endpoint._directory
        whole = directory.locate

        def broken(cell: str) -> Address | None:
            raise OSError("no such luck")

        monkeypatch.setattr(directory, "locate", broken)
        sender.send("r", 1)
        await asyncio.sleep(0.02)
        monkeypatch.setattr(directory, "locate", whole)
        await until(lambda: receiver.items)
        assert sender.stat("lookups_failed") > 0

    run(net, story)
