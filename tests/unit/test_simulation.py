"""The parts of the simulation: clock, event loop, disk, faults, network."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from runtime.errors import FencedError
from runtime.journal.memory import Shelf
from runtime.lifecycle import CaughtUp
from runtime.simulation.disk import SimulatedJournal, SnapshotStore
from runtime.simulation.faults import CRASH_POINTS, MILLISECOND, SECOND, CrashPoint, FaultPlan
from runtime.simulation.loop import SimulatedLoop
from runtime.simulation.network import Network, SimulatedDirectory
from runtime.simulation.scheduler import Scheduler


class Station:
    """A process with nothing in it."""

    def __init__(self, scheduler: Scheduler, name: str, network: Network | None = None) -> None:
        self.name, self.epoch, self.alive = name, 1, True
        self.scheduler, self.network = scheduler, network
        self.loop = SimulatedLoop(scheduler, self)
        self.points: list[str] = []
        self.errors: list[BaseException] = []
        self.durable: list[int] = []

    def turn_ns(self) -> int:
        return 1_000

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)

    async def connect(self, factory: Any, path: str) -> Any:
        assert self.network is not None
        return await self.network.connect(self, factory, path)

    def listen(self, factory: Any, path: str) -> Any:
        assert self.network is not None
        return self.network.listen(path, self, factory)

    async def blocking(self, call: Any, arguments: Any) -> Any:
        return call(*arguments)

    def crash_point(self, point: CrashPoint) -> None:
        self.points.append(point)

    def answer(self, data: bytes) -> bytes:
        return data[::-1]

    def due(self) -> int:
        return self.scheduler.now

    def stored(self, records: int) -> None:
        self.durable.append(records)


class Ear(asyncio.Protocol):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ends = 0

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends += 1


def drain(scheduler: Scheduler, seconds: float = 10.0) -> None:
    limit = scheduler.now + int(seconds * SECOND)
    while scheduler.step(limit):
        continue


def talk(plan: FaultPlan, chunks: int = 200) -> tuple[Ear, Ear, Network]:
    """One connection over which ``chunks`` numbered chunks are written, a millisecond apart."""
    scheduler = Scheduler()
    network = Network(scheduler, plan, random.Random(7))
    near, far = Station(scheduler, "near", network), Station(scheduler, "far", network)
    speaker, listener = Ear(), Ear()
    network.listen("far.1", far, lambda: listener)

    async def speak() -> None:
        transport, _ = await near.connect(lambda: speaker, "far.1")
        for number in range(chunks):
            transport.write(str(number).encode())
            await asyncio.sleep(0.001)

    near.loop.create_task(speak())
    drain(scheduler)
    assert near.errors == far.errors == []
    return speaker, listener, network


# -- the clock ---------------------------------------------------------------------------


def test_calls_run_by_time_and_at_the_same_time_in_the_order_they_were_made() -> None:
    scheduler, ran = Scheduler(100), []
    for name, when in (("late", 300), ("first", 200), ("second", 200), ("past", 50)):
        scheduler.at(when, ran.append, name)
    drain(scheduler)
    assert ran == ["past", "first", "second", "late"]


def test_a_cancelled_call_never_runs_and_the_clock_goes_to_the_limit() -> None:
    scheduler, ran = Scheduler(), []
    event = scheduler.after(10, ran.append, "never")
    scheduler.cancel(event)
    scheduler.cancel(event)
    assert not scheduler.step(1_000)
    assert (ran, scheduler.now, scheduler.fired) == ([], 1_000, 0)


def test_what_a_call_was_to_be_given_can_be_let_go_of_and_it_is_called_all_the_same() -> None:
    scheduler, kept, emptied = Scheduler(), [], []
    keep, empty = kept.append, emptied.append
    for call in (keep, empty, empty):
        scheduler.after(10, call, "a message")
    scheduler.empty(empty)
    drain(scheduler)
    assert (kept, emptied, scheduler.fired) == (["a message"], [None, None], 3)


# -- the loop ----------------------------------------------------------------------------


def test_tasks_sleep_in_virtual_time() -> None:
    scheduler, seen = Scheduler(), []
    station = Station(scheduler, "a")

    async def work(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, round(asyncio.get_running_loop().time(), 3)))

    station.loop.create_task(work("slow", 2.0))
    station.loop.create_task(work("quick", 0.5))
    drain(scheduler)
    assert seen == [("quick", 0.5), ("slow", 2.0)]


def test_nothing_of_a_stopped_loop_runs_and_a_paused_one_catches_up() -> None:
    scheduler, seen = Scheduler(), []
    station = Station(scheduler, "a")
    station.loop.call_later(0.1, seen.append, "timer")
    station.loop.pause(True)
    drain(scheduler)
    assert seen == []
    station.loop.pause(False)
    drain(scheduler)
    assert seen == ["timer"]
    station.loop.call_later(0.1, seen.append, "after the end")
    station.loop.stop()
    station.loop.call_soon(seen.append, "after the end")
    drain(scheduler)
    assert seen == ["timer"]


def test_a_callback_that_raises_is_reported_and_the_next_one_runs() -> None:
    scheduler, seen = Scheduler(), []
    station = Station(scheduler, "a")
    station.loop.call_soon(int, "no number")
    station.loop.call_soon(seen.append, "next")
    drain(scheduler)
    assert [type(error) for error in station.errors] == [ValueError]
    assert seen == ["next"]


# -- the network -------------------------------------------------------------------------


def test_without_faults_a_stream_is_complete_and_in_order() -> None:
    _, listener, _ = talk(FaultPlan(delay_ns=(1_000, 5 * MILLISECOND)))
    assert listener.heard == [str(number).encode() for number in range(200)]


def test_a_lost_chunk_breaks_the_connection_at_both_ends() -> None:
    speaker, listener, network = talk(FaultPlan(loss=0.05))
    assert network.counters["lost"] >= 1
    assert (speaker.ends, listener.ends) == (1, 1)
    assert len(listener.heard) < 200


def test_chunks_are_doubled_and_swapped_when_the_plan_says_so() -> None:
    _, listener, network = talk(FaultPlan(duplicate=0.1, reorder=0.1, delay_ns=(1_000, 8 * MILLISECOND)))
    assert network.counters["doubled"] > 5
    assert network.counters["swapped"] > 5
    numbers = [int(chunk) for chunk in listener.heard]
    assert len(numbers) > 200
    assert numbers != sorted(numbers)


def test_a_partition_holds_everything_up_until_it_ends() -> None:
    scheduler = Scheduler()
    network = Network(scheduler, FaultPlan(), random.Random(1))
    near, far = Station(scheduler, "near", network), Station(scheduler, "far", network)
    listener, arrived = Ear(), []
    network.listen("far.1", far, lambda: listener)
    network.part("near", "far", SECOND)

    async def speak() -> None:
        with pytest.raises(TimeoutError):
            await near.connect(Ear, "far.1")
        arrived.append(scheduler.now)
        await asyncio.sleep(1.0)
        transport, _ = await near.connect(Ear, "far.1")
        transport.write(b"hello")

    near.loop.create_task(speak())
    drain(scheduler)
    assert arrived[0] < SECOND
    assert listener.heard == [b"hello"]
    assert near.errors == []


def test_nobody_answers_where_nobody_listens() -> None:
    scheduler = Scheduler()
    network = Network(scheduler, FaultPlan(), random.Random(1))
    near, refused = Station(scheduler, "near", network), []

    async def speak() -> None:
        try:
            await near.connect(Ear, "gone.1")
        except ConnectionRefusedError as error:
            refused.append(error)

    near.loop.create_task(speak())
    drain(scheduler)
    assert len(refused) == 1


def test_the_directory_leads_to_the_latest_incarnation_and_fences_the_others() -> None:
    scheduler = Scheduler()
    network = Network(scheduler, FaultPlan(), random.Random(1))
    station = Station(scheduler, "bus-host", network)
    directory = SimulatedDirectory(network, station, {"bus": "bus-host"}, calls=False)
    network.listen("bus-host.2", station, Ear)
    directory.publish("bus-host", 2, ["bus"])
    found = directory.locate("bus")
    assert found is not None
    assert (found.target, found.epoch) == ("bus-host.2", 2)
    with pytest.raises(FencedError, match="found epoch 2"):
        directory.publish("bus-host", 1, ["bus"])
    directory.retract("bus-host", 1, ["bus"])
    assert directory.locate("bus") == found
    network.ended(station)
    assert directory.locate("bus") is None


# -- the disk ----------------------------------------------------------------------------


def test_only_what_was_committed_outlives_a_process() -> None:
    shelf, station = Shelf(), Station(Scheduler(), "bus")
    journal = SimulatedJournal(shelf, station)
    for number in range(3):
        journal.append(CaughtUp(number), ts=number, source="a", epoch=1, keys={})
        if number == 1:
            journal.commit()
    assert (len(shelf.records), station.durable) == (2, [2])
    assert station.points == ["before_commit", "after_commit"]
    successor = SimulatedJournal(shelf, station)
    assert successor.head == 2
    with pytest.raises(FencedError):
        journal.commit()


def test_two_snapshots_of_a_cell_are_kept_and_a_zombies_is_refused() -> None:
    store = SnapshotStore()
    for epoch, data in ((1, b"a"), (1, b"b"), (2, b"c")):
        store.save("risk", epoch, data)
    store.save("risk", 1, b"of a zombie")
    assert store.load("risk") == (b"c", b"b")
    assert store.refused == 1
    assert store.load("learner") == ()


# -- the plan ----------------------------------------------------------------------------


def test_a_plan_depends_on_its_seed_alone() -> None:
    plans = [FaultPlan.from_seed(seed) for seed in range(50)]
    assert plans == [FaultPlan.from_seed(seed) for seed in range(50)]
    assert len({str(plan) for plan in plans}) == 50


def test_each_kind_of_fault_is_missing_in_some_plans_and_there_in_others() -> None:
    plans = [FaultPlan.from_seed(seed) for seed in range(100)]
    for name in ("loss", "duplicate", "reorder", "zombie", "snapshot_lost", "snapshot_corrupt"):
        assert 20 < sum(getattr(plan, name) > 0 for plan in plans) < 80, name
    for point in CRASH_POINTS:
        assert 20 < sum(plan.crashes[point] > 0 for plan in plans) < 80, point


def test_a_rarer_plan_has_the_same_kinds_of_faults() -> None:
    plan = FaultPlan.from_seed(45)
    rarer = plan.rarer(10)
    assert (plan.loss, plan.reorder) == pytest.approx((rarer.loss * 10, rarer.reorder * 10))
    assert plan.crashes == pytest.approx({point: chance * 10 for point, chance in rarer.crashes.items()})
    assert any(rarer.crashes.values())
    assert rarer.crash_every_ns == plan.crash_every_ns


def test_a_healed_plan_has_its_durations_and_no_faults() -> None:
    plan = FaultPlan.from_seed(3).healed()
    assert plan.commit_ns == FaultPlan.from_seed(3).commit_ns
    assert not any(plan.crashes.values())
    faults = ("loss", "duplicate", "reorder", "zombie", "break_every_ns", "partition_every_ns", "crash_every_ns")
    assert [getattr(plan, name) for name in faults] == [0] * 7
