"""What every link promises, over Unix sockets and over coalesced calls alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import uvloop

from runtime.lanes import Lane
from runtime.links.directory import (
    Directory,
    RayDirectory,
    UnixDirectory,
)
from runtime.links.endpoint import Endpoint
from runtime.links.frames import Item
from runtime.links.window import Limits

ROOT = Path(__file__).resolve().parents[2]
TINY = dict.fromkeys(Lane, Limits(4, 8))


class Node:
    """A host for tests: notes what it is told, and handles at once unless told to ``hold``."""

    def __init__(self, net: Net, name: str, epoch: int, cells: Sequence[str], **options: Any) -> None:
        self.name, self.epoch = name, epoch
        self.hold = bool(options.pop("hold", False))
        self.fail_on = b""
        self.items: list[tuple[str, int, Lane, int, Item]] = []
        self.ups: list[tuple[tuple[str, ...], int]] = []
        self.downs: list[tuple[str, ...]] = []
        self.letters: list[tuple[bytes, str]] = []
        self.relieved = 0
        self.endpoint = Endpoint(name, epoch, cells, self, net.directory(), **options)

    def arrived(self, host: str, epoch: int, lane: Lane, seq: int, item: Item) -> None:
        if self.fail_on and item.body == self.fail_on:
            raise RuntimeError("the host is not well")
        self.items.append((host, epoch, lane, seq, item))
        if not self.hold:
            self.endpoint.handled(host, lane, seq, epoch)

    def peer_up(self, cells: Sequence[str], epoch: int) -> None:
        self.ups.append((tuple(cells), epoch))

    def peer_down(self, cells: Sequence[str]) -> None:
        self.downs.append(tuple(cells))

    def drained(self) -> None:
        self.relieved += 1

    def dead_letter(self, item: Item, reason: str) -> None:
        self.letters.append((item.body, reason))

    def send(self, to: str, body: object, lane: Lane = Lane.ORDER, **options: Any) -> bool:
        return self.endpoint.send(to, f"{self.name}/cell", str(body).encode(), lane, **options)

    def handle_all(self) -> None:
        self.hold = False
        for host, epoch, lane, seq, _ in self.items:
            self.endpoint.handled(host, lane, seq, epoch)

    def bodies(self, lane: Lane | None = None) -> list[str]:
        return [entry[4].body.decode() for entry in self.items if lane is None or entry[2] == lane]

    def stat(self, name: str) -> Any:
        return self.endpoint.stats()[name]


class Net:
    """One kind of link between the hosts of one event loop."""

    def __init__(self, kind: str, run_dir: Path) -> None:
        self.kind, self.run_dir = kind, run_dir
        self.nodes: dict[str, Node] = {}
        self.places: dict[str, str] = {}
        self.calls: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self.failures = 0
        self.living: list[Node] = []

    def directory(self) -> Directory:
        return UnixDirectory(self.run_dir) if self.kind == "unix" else RayDirectory(self.resolve)

    def resolve(self, cell: str) -> tuple[str, Any] | None:
        host = self.places.get(cell)
        return None if host is None else (host, self.calls[host])

    async def host(self, name: str, epoch: int = 1, cells: Sequence[str] = (), **options: Any) -> Node:
        node = Node(self, name, epoch, cells, **options)
        await node.endpoint.start()
        self.living.append(node)
        self.nodes[name] = node
        for cell in (name, *cells):
            self.places[cell] = name
        self.calls[name] = lambda frame: self.call(node, frame)
        return node

    async def call(self, node: Node, frame: bytes) -> bytes:
        """What Ray would do: late, and sometimes failing before or after the call has run."""
        await asyncio.sleep(0.0002)
        if self.failures:
            self.failures -= 1
            if self.failures % 2:
                raise ConnectionError("it never arrived")
            node.endpoint.deliver(frame)
            raise ConnectionError("the answer was lost")
        if node not in self.living:
            raise ConnectionError("the actor died")
        answer = node.endpoint.deliver(frame)
        await asyncio.sleep(0.0002)
        return answer

    def disrupt(self, receiver: Node) -> None:
        """Break the connections to ``receiver``."""
        self.failures = 2 if self.kind == "ray" else 0
        for wire in list(receiver.endpoint._ingress.connections):
            wire.close()
            receiver.endpoint._ingress.connections.pop(wire)
            wire._owner.lost(wire, None)  # type: ignore[attr-defined]

    def crash(self, node: Node) -> None:
        """End ``node`` as a kill would: nothing is drained, retracted or said."""
        self.living.remove(node)
        node.items = list(node.items)
        node.arrived = lambda *_: None  # type: ignore[method-assign]
        endpoint = node.endpoint
        endpoint._stop_listening()
        endpoint._closed = True
        for link in list(endpoint._egress._links):
            link.close()
        self.disrupt(node)
        self.failures = 0

    async def close(self) -> None:
        for node in self.living:
            await node.endpoint.close()


def run(net: Net, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        try:
            await asyncio.wait_for(story(), 20)
        finally:
            await net.close()

    uvloop.run(told())


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.002)


def numbers(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]
