"""The live driver, over real sockets and a real journal, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.behavior import Behavior, Context
from runtime.host.cell import Cell
from runtime.host.engine import Engine, Seat
from runtime.host.host import links_folder
from runtime.host.receiver import Receiver
from runtime.journal.store import LmdbJournal
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, DeadLetter, Entry, PeerUp, Started, Subscribe
from runtime.links.directory import open_directory
from runtime.links.endpoint import Endpoint
from runtime.message import Message
from runtime.supervision.policy import Intensity, RestartPolicy

pytestmark = pytest.mark.timeout(60)


class Deposit(Message):
    number: int


class Deposited(Message):
    number: int


class Poison(Message):
    after: int = 0


class Bank:
    """Journals each deposit once, and remembers their numbers."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Entry) and isinstance(message.event, Deposited):
            self.numbers.append(message.event.number)
        elif isinstance(message, Deposit):
            if message.number not in self.numbers:
                ctx.record(Deposited(message.number), keys={"kind": "deposit"})
                self.numbers.append(message.number)
            ctx.send("client", Deposited(message.number))
        elif isinstance(message, Poison):
            ctx.record(Deposited(-1), keys={})
            raise RuntimeError("poison")

    def snapshot(self) -> bytes:
        return ",".join(map(str, self.numbers)).encode()

    def restore(self, data: bytes) -> None:
        self.numbers = [int(part) for part in data.decode().split(",") if part]

    def status(self) -> dict[str, object]:
        return {"deposits": len(self.numbers)}


class Client:
    """Follows the log and what the bank answers."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.answers: list[int] = []
        self.events: list[str] = []

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Entry) and isinstance(message.event, Deposited):
            self.seen.append(message.event.number)
        elif isinstance(message, Deposited):
            self.answers.append(message.number)
        elif isinstance(message, Started | CaughtUp | PeerUp):
            self.events.append(type(message).__name__)

    snapshot = Bank.snapshot
    restore = Bank.restore
    numbers: list[int] = []

    def status(self) -> dict[str, object]:
        return {}


class Box:
    """One host with one cell, that can be crashed."""

    def __init__(self, folder: Path, name: str, build: Callable[[], Behavior], **options: object) -> None:
        self.folder, self.name, self.build, self.options = folder, name, build, options
        self.epoch = 0
        self.snapshots: tuple[bytes, ...] = ()

    async def start(self) -> None:
        self.epoch += 1
        journal = LmdbJournal(str(self.folder / "journal"), epoch=self.epoch) if self.options.get("journal") else None
        self.engine = Engine(log="bank", journal=journal)
        self.cell = Cell(
            self.name, self.epoch, self.build, self.engine, snapshots=self.snapshots, journals=journal is not None
        )
        wanted = Subscribe(0, ("Deposited",)) if self.options.get("subscribe") else None
        self.engine.seat(Seat(self.cell, wanted, frozenset(["bank"]) - {self.name}, RestartPolicy(Intensity())))
        self.endpoint = Endpoint(
            self.name,
            self.epoch,
            [self.name],
            Receiver(self.engine),
            open_directory("unix", links_folder(str(self.folder))),
        )
        self.engine.endpoint = self.endpoint
        await self.endpoint.start()
        self.engine.start()

    async def crash(self) -> None:
        """End without saving anything, as after a kill: only what is on disk stays."""
        self.engine._fatal = True  # no further turn
        await self.endpoint.close()
        self.engine.close()
        if self.engine.journal is not None:
            self.engine.journal.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    limit = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > limit:
            raise AssertionError("it did not come to pass in time")
        await asyncio.sleep(0.005)


def run(test: Callable[[Path], object], folder: Path) -> None:
    asyncio.run(test(folder))  # type: ignore[arg-type]


def test_a_subscriber_gets_every_record_once_across_restarts_of_both_sides(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        bank, client = Box(folder, "bank", Bank, journal=True), Box(folder, "client", Client, subscribe=True)
        await bank.start()
        await client.start()
        for number in range(50):
            client.engine.post("client", "bank", Deposit(number))
        await until(lambda: len(client.cell.behavior.seen) == 50)  # type: ignore[attr-defined]
        client.snapshots = (client.cell.snapshot(),)
        first = client.cell.behavior
        await bank.crash()
        for number in range(50, 80):
            client.engine.post("client", "bank", Deposit(number))
        await bank.start()
        assert bank.cell.behavior.numbers == list(range(50))  # type: ignore[attr-defined]
        await until(lambda: len(first.seen) == 80)  # type: ignore[attr-defined]
        await client.crash()
        await client.start()
        await until(lambda: len(client.cell.behavior.seen) == 30)  # type: ignore[attr-defined]
        assert client.cell.behavior.seen == list(range(50, 80))  # type: ignore[attr-defined]
        assert sorted(set(first.answers)) == list(range(80))  # type: ignore[attr-defined]
        assert client.cell.behavior.events.count("CaughtUp") == 1  # type: ignore[attr-defined]
        await client.crash()
        await bank.crash()

    run(scenario, tmp_path)


def test_a_poisonous_message_is_set_aside_and_leaves_no_record(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        bank, client = Box(folder, "bank", Bank, journal=True), Box(folder, "client", Client, subscribe=True)
        await bank.start()
        await client.start()
        for message in (Deposit(1), Poison(), Deposit(2)):
            client.engine.post("client", "bank", message)
        await until(lambda: client.cell.behavior.seen == [1, 2])  # type: ignore[attr-defined]
        assert bank.cell.restarts == 1
        assert bank.cell.behavior.numbers == [1, 2]  # type: ignore[attr-defined]
        assert bank.engine.telemetry.counters["dead_letters"] == 1
        journal = bank.engine.journal
        assert journal is not None
        assert [record.kind for record in journal.read(0, 10)] == ["Deposited", "Deposited"]
        await client.crash()
        await bank.crash()

    run(scenario, tmp_path)


def test_a_behavior_that_always_fails_is_given_up_and_its_mail_becomes_dead_letters(tmp_path: Path) -> None:
    class Broken(Client):
        def receive(self, message: Message, ctx: Context) -> None:
            if isinstance(message, Deposited):
                raise RuntimeError("always")

    async def scenario(folder: Path) -> None:
        box = Box(folder, "client", Broken)
        await box.start()
        for number in range(12):
            box.engine.deliver("client", Deposited(number), "test")
        await until(lambda: box.engine.telemetry.counters.get("dead_letters", 0) == 12)
        assert box.cell.state == "failed"
        assert "always" in box.cell.last_error
        await box.crash()

    run(scenario, tmp_path)


def test_a_message_to_nobody_becomes_a_dead_letter_in_the_log(tmp_path: Path) -> None:
    class Curious(Bank):
        letters: list[DeadLetter] = []

        def receive(self, message: Message, ctx: Context) -> None:
            if isinstance(message, DeadLetter):
                self.letters.append(message)

    async def scenario(folder: Path) -> None:
        bank, client = Box(folder, "bank", Curious, journal=True), Box(folder, "client", Client)
        await bank.start()
        await client.start()
        client.engine.post("client", "@nowhere", Deposited(3))
        await until(lambda: bool(Curious.letters))
        assert Curious.letters[0].to == "@nowhere"
        assert "no such port" in Curious.letters[0].reason
        await client.crash()
        await bank.crash()

    run(scenario, tmp_path)


def test_timers_fire_and_can_be_replaced(tmp_path: Path) -> None:
    class Ticker(Client):
        def receive(self, message: Message, ctx: Context) -> None:
            if isinstance(message, Started):
                ctx.timer("a", 10_000_000, Deposited(1))
                ctx.timer("a", 20_000_000, Deposited(2))
                ctx.timer("b", 5_000_000, Deposited(3))
                ctx.timer("c", 5_000_000, Deposited(4))
                ctx.cancel("c")
            elif isinstance(message, Deposited):
                self.answers.append(message.number)

    async def scenario(folder: Path) -> None:
        box = Box(folder, "client", Ticker)
        await box.start()
        await until(lambda: len(box.cell.behavior.answers) == 2)  # type: ignore[attr-defined]
        await asyncio.sleep(0.03)
        assert box.cell.behavior.answers == [3, 2]  # type: ignore[attr-defined]
        assert Delivery.ALL == 0
        await box.crash()

    run(scenario, tmp_path)
