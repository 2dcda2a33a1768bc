"""Links between processes that are killed, stopped, or hosted by Ray."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from runtime.lanes import Lane
from runtime.links.directory import (
    RayDirectory,
)
from runtime.links.endpoint import Endpoint
from runtime.links.frames import Item
from tests.integration.links_bench import ROOT, Net, Node, numbers, run, until

VICTIM = """
import asyncio, sys, uvloop
from runtime.links.directory import UnixDirectory
from runtime.links.endpoint import Endpoint

class Victim:
    def arrived(self, host, epoch, lane, seq, item):
        if int(item.body) < 500:
            self.endpoint.handled(host, lane, seq, epoch)
    def peer_up(self, cells, epoch): pass
    def peer_down(self, cells): pass
    def drained(self): pass
    def dead_letter(self, item, reason): pass

async def main():
    victim = Victim()
    victim.endpoint = Endpoint("r", int(sys.argv[2]), ["r/1"], victim, UnixDirectory(sys.argv[1]))
    await victim.endpoint.start()
    await asyncio.sleep(60)

uvloop.run(main())
"""


def test_the_successor_of_a_killed_process_gets_what_it_had_not_acknowledged(run_dir: Path) -> None:
    net = Net("unix", run_dir)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(run_dir), "1"], env=environment)

    async def story() -> None:
        sender = await net.host("s")
        for number in range(700):
            sender.send("r/1", number)
        await until(lambda: sender.ups and sender.stat("pending") == 200, 10)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        await until(lambda: sender.downs)
        for number in range(700, 800):
            sender.send("r/1", number)
        successor = await net.host("r", 2, ["r/1"])
        await until(lambda: sender.stat("pending") == 0)
        assert successor.bodies() == numbers(300, start=500)
        assert sender.ups == [(("r/1",), 1), (("r/1",), 2)]

    try:
        run(net, story)
    finally:
        victim.kill()
        victim.wait()


def test_a_stopped_process_does_not_keep_its_sender_from_the_successor(run_dir: Path) -> None:
    net = Net("unix", run_dir)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(run_dir), "1"], env=environment)

    async def story() -> None:
        sender = await net.host("s", sweep_s=0.05)
        sender.send("r/1", 0)
        await until(lambda: sender.ups and sender.stat("pending") == 0, 10)
        victim.send_signal(signal.SIGSTOP)
        sender.send("r/1", 1)
        successor = await net.host("r", 2, ["r/1"])
        await until(lambda: successor.items)
        assert successor.bodies() == ["1"]

    try:
        run(net, story)
    finally:
        victim.kill()
        victim.wait()


# -- real Ray actors -------------------------------------------------------------------


def receiving_actor() -> Any:
    import ray

    class Receiving:
        """The smallest host an actor can be."""

        def __init__(self, epoch: int) -> None:
            self.epoch = epoch
            self.bodies: list[bytes] = []
            self.hold = False
            self.endpoint: Any = None

        async def begin(self, hold: bool) -> None:
            self.hold = hold
            self.endpoint = Endpoint("r", self.epoch, ["r/1"], self, RayDirectory(lambda cell: None))
            await self.endpoint.start()

        async def link(self, frame: bytes) -> bytes:
            return self.endpoint.deliver(frame)

        async def found(self) -> list[bytes]:
            return self.bodies

        def arrived(self, host: str, epoch: int, lane: Lane, seq: int, item: Item) -> None:
            self.bodies.append(item.body)
            if not self.hold:
                self.endpoint.handled(host, lane, seq, epoch)

        def peer_up(self, cells: Sequence[str], epoch: int) -> None:
            raise AssertionError("this host sends to no one")

        peer_down = dead_letter = drained = peer_up

    return ray.remote(num_cpus=0, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}})(Receiving)


async def holds(actor: Any, bodies: list[bytes]) -> None:
    """Return once the actor has received exactly these bodies."""
    while await actor.found.remote() != bodies:
        await asyncio.sleep(0.02)


@pytest.mark.ray
def test_real_actors_receive_once_and_in_order_and_a_dead_ones_successor_gets_the_rest(ray_session: Any) -> None:
    import ray

    actor_class = receiving_actor()
    places: dict[str, Any] = {}
    net = Net("ray", Path())
    net.resolve = lambda cell: places.get(cell)  # type: ignore[method-assign]

    async def story() -> None:
        first = actor_class.remote(1)
        await first.begin.remote(False)
        places["r/1"] = ("r", first)
        sender = Node(net, "s", 1, [])
        await sender.endpoint.start()
        for number in range(5000):
            sender.send("r/1", number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: sender.stat("pending") == 0, 15)
        assert await first.found.remote() == [str(number).encode() for number in range(5000)]
        ray.kill(first)
        await until(lambda: sender.downs, 10)
        sender.send("r/1", "next")
        second = actor_class.remote(2)
        await second.begin.remote(True)
        places["r/1"] = ("r", second)
        await until(lambda: len(sender.ups) == 2, 10)
        await asyncio.wait_for(holds(second, [b"next"]), 10)
        assert sender.stat("links")[0]["unacked"] == 1
        await sender.endpoint.close()
        ray.kill(second)

    uvloop.run(story())
