"""The wires between simulated processes: streams and calls that are late, cut or lost.

What the live links see is an ordinary transport. A chunk that is lost, doubled or swapped
with the next one is a break of their framing or numbering, which they must notice; a
partition holds everything up, and ends with the bytes delivered after all or the connection
broken.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from runtime.errors import FencedError
from runtime.links.directory import Address
from runtime.simulation.faults import CrashPoint, FaultPlan
from runtime.simulation.loop import SimulatedLoop
from runtime.simulation.occurrences import Occurrences
from runtime.simulation.scheduler import Scheduler

_CONNECT_TIMEOUT_NS = 1_000_000_000


class Station(Protocol):
    """A process, as the network sees it."""

    name: str
    epoch: int
    loop: SimulatedLoop

    @property
    def alive(self) -> bool: ...

    def crash_point(self, point: CrashPoint) -> None:
        """May end the process here, by raising."""

    def answer(self, data: bytes) -> bytes:
        """The answer of its endpoint to one call."""

    def due(self) -> int:
        """When what it does now really happens: it may be blocked until later."""


class Listener:
    """A listening socket; ``asyncio.Server`` as far as the links use it."""

    def __init__(self, network: Network, path: str, station: Station, factory: Callable[[], Any]) -> None:
        self._network, self.path = network, path
        self.station, self.factory = station, factory

    def close(self) -> None:
        self._network.unlisten(self)

    async def wait_closed(self) -> None:
        return


class Stream(asyncio.Transport):
    """One end of a connection. ``late_ns`` keeps the bytes of one direction in order."""

    def __init__(self, network: Network, station: Station, peer: Station, accepted: bool) -> None:
        super().__init__()
        self._network = network
        self.station, self.peer = station, peer
        self.accepted = accepted
        self.other: Stream | None = None
        self.protocol: Any = None
        self.open = True
        self.late_ns = 0

    def write(self, data: Any) -> None:
        if not self.open or not self.station.alive:
            return
        self.station.crash_point("before_ack" if self.accepted else "before_send")
        self._network.carry(self, bytes(data))
        self.station.crash_point("after_ack" if self.accepted else "after_send")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Never reached: the simulated socket takes everything at once."""

    def is_closing(self) -> bool:
        return not self.open

    def close(self) -> None:
        """What was written still arrives, then the other end sees the end of the stream."""
        if self.open:
            self.open = False
            self._network.hang_up(self, lost=False)

    def abort(self) -> None:
        if self.open:
            self.open = False
            self._network.hang_up(self, lost=True)

    def ended(self) -> None:
        """The other end is gone; tell the owner, unless it has hung up itself."""
        if self.open:
            self.open = False
            if self.station.alive:
                self.station.loop.call_soon(self.protocol.connection_lost, None)

    def arrive(self, data: bytes) -> None:
        if self.open and self.station.alive:
            self.station.loop.call_soon(self._received, data)

    def _received(self, data: bytes) -> None:
        if self.open:
            self.protocol.data_received(data)


class Network:
    """All connections, the listeners, and the names under which they are found."""

    def __init__(
        self,
        scheduler: Scheduler,
        plan: FaultPlan,
        rng: random.Random,
        occurrences: Occurrences | None = None,
    ) -> None:
        self._scheduler, self._rng = scheduler, rng
        self.plan = plan
        self.occurrences = occurrences or Occurrences()
        self.listeners: dict[str, Listener] = {}
        self.names: dict[str, tuple[str, int]] = {}
        self.stations: dict[str, Station] = {}
        self._streams: dict[Stream, None] = {}
        self._walls: dict[frozenset[str], int] = {}
        self._isolated: dict[Station, list[Stream]] = {}
        self.counters = {"chunks": 0, "lost": 0, "doubled": 0, "swapped": 0, "broken": 0, "partitions": 0}

    # -- processes -----------------------------------------------------------------

    def listen(self, path: str, station: Station, factory: Callable[[], Any]) -> Listener:
        listener = self.listeners[path] = Listener(self, path, station, factory)
        return listener

    def unlisten(self, listener: Listener) -> None:
        if self.listeners.get(listener.path) is listener:
            del self.listeners[listener.path]

    def ended(self, station: Station) -> None:
        """A process died: its sockets close, and half of the time take unread bytes along."""
        self._isolated.pop(station, None)
        for listener in [each for each in self.listeners.values() if each.station is station]:
            self.unlisten(listener)
        for stream in [each for each in self._streams if each.station is station]:
            if stream.open:
                stream.open = False
                self.hang_up(stream, lost=self._rng.random() < 0.5)

    def isolate(self, station: Station) -> None:
        """Cut a process off: its peers see their connections end, it notices nothing."""
        streams = [each for each in self._streams if each.station is station and each.open]
        self._isolated[station] = streams
        for stream in streams:
            self.hang_up(stream, lost=True)

    def rejoin(self, station: Station) -> None:
        """The process can be reached again, and finds its old connections gone."""
        for stream in self._isolated.pop(station, []):
            self._scheduler.after(self._delay(), self._ended, stream)

    # -- streams -------------------------------------------------------------------

    async def connect(self, station: Station, factory: Callable[[], Any], path: str) -> tuple[Any, Any]:
        """Open a connection to the listener at ``path``.

        Raises:
            ConnectionRefusedError: nobody listens there.
            TimeoutError: a partition lies between.
        """
        await asyncio.sleep(self._delay() / 1e9)
        listener = self.listeners.get(path)
        if listener is None or not listener.station.alive:
            raise ConnectionRefusedError(f"nobody listens at {path}")
        peer = listener.station
        if self.walled(station, peer):
            await asyncio.sleep(min(_CONNECT_TIMEOUT_NS, self.plan.reconnect_ns[1]) / 1e9)
            raise TimeoutError(f"no answer from {path}")
        near, far = Stream(self, station, peer, False), Stream(self, peer, station, True)
        near.other, far.other = far, near
        self._streams[near] = self._streams[far] = None
        near.protocol, far.protocol = factory(), listener.factory()
        near.protocol.connection_made(near)
        peer.loop.call_soon(far.protocol.connection_made, far)
        return near, near.protocol

    def carry(self, stream: Stream, data: bytes) -> None:
        """Put a chunk on its way; now and then it is lost, doubled or overtakes its successor."""
        plan, roll, other = self.plan, self._rng.random(), stream.other
        if other is None:
            return
        self.counters["chunks"] += 1
        if roll < plan.loss and self._strikes("lost", stream.station, stream.peer):
            # A real stream never goes on after a loss: it breaks, sooner or later.
            self.counters["lost"] += 1
            self._scheduler.after(self._delay(), self._break, stream)
            return
        when = max(stream.station.due() + self._delay(), stream.late_ns)
        if plan.loss <= roll < plan.loss + plan.reorder and self._strikes("swapped", stream.station, stream.peer):
            self.counters["swapped"] += 1
            when += self._delay()
        else:
            stream.late_ns = when
        self._scheduler.at(when, self._land, stream, data)
        if roll > 1 - plan.duplicate and self._strikes("doubled", stream.station, stream.peer):
            self.counters["doubled"] += 1
            self._scheduler.at(when, self._land, stream, data)

    def _land(self, stream: Stream, data: bytes) -> None:
        other = stream.other
        if other is None or not other.open:
            return
        wall = self._walls.get(frozenset((stream.station.name, stream.peer.name)), 0)
        if wall > self._scheduler.now:
            self._scheduler.at(wall + 1, self._land, stream, data)
            stream.late_ns = max(stream.late_ns, wall + 1)
        else:
            other.arrive(data)

    def hang_up(self, stream: Stream, *, lost: bool) -> None:
        """Tell the other end: at once, or behind what is still on its way."""
        self._streams.pop(stream, None)
        other = stream.other
        if other is None:
            return
        if lost:
            stream.other = None
        when = max(stream.late_ns, self._scheduler.now) + self._delay()
        self._scheduler.at(when, self._ended, other)

    def _ended(self, stream: Stream) -> None:
        self._streams.pop(stream, None)
        stream.ended()

    def _break(self, stream: Stream) -> None:
        """Cut a connection: both ends see it, and what is on its way is lost."""
        self.counters["broken"] += 1
        for end in (stream, stream.other):
            if end is not None:
                end.other = None
                self._scheduler.after(self._delay(), self._ended, end)

    def break_any(self) -> None:
        """Cut one connection at random."""
        near = [stream for stream in self._streams if not stream.accepted and stream.open]
        if near:
            stream = self._rng.choice(near)
            if self._strikes("broken", stream.station, stream.peer):
                self._break(stream)

    # -- calls (the Ray link) ------------------------------------------------------

    async def call(self, station: Station, peer: Station, data: bytes) -> bytes:
        """One call of a peer's endpoint; an error leaves open whether it has run."""
        station.crash_point("before_send")
        fate = self._rng.random()
        await asyncio.sleep(self._delay() / 1e9)
        lost = fate < self.plan.loss / 2 and self._strikes("lost", station, peer)
        if lost or not peer.alive or self.walled(station, peer):
            raise ConnectionError(f"{peer.name} can't be reached")
        answer: asyncio.Future[bytes] = station.loop.create_future()
        peer.loop.call_soon(self._answer, station, peer, data, answer)
        if fate > 1 - self.plan.duplicate and self._strikes("doubled", station, peer):
            peer.loop.call_soon(peer.answer, data)
        station.crash_point("after_send")
        result = await asyncio.wait_for(answer, 2.0)
        unanswered = self.plan.loss / 2 <= fate < self.plan.loss and self._strikes("unanswered", station, peer)
        if unanswered or self.walled(station, peer):
            raise ConnectionError(f"the answer of {peer.name} was lost")
        return result

    def _answer(self, station: Station, peer: Station, data: bytes, answer: asyncio.Future[bytes]) -> None:
        peer.crash_point("before_ack")
        result = peer.answer(data)
        self._scheduler.at(peer.due() + self._delay(), _resolve, station, answer, result)
        peer.crash_point("after_ack")

    # -- partitions ----------------------------------------------------------------

    def part(self, one: str, other: str, until_ns: int) -> None:
        """Nothing passes between the two hosts until then; some connections don't survive it."""
        self.counters["partitions"] += 1
        pair = frozenset((one, other))
        self._walls[pair] = max(until_ns, self._walls.get(pair, 0))
        for stream in list(self._streams):
            if not stream.accepted and {stream.station.name, stream.peer.name} == pair and self._rng.random() < 0.5:
                self._break(stream)

    def walled(self, one: Station, other: Station) -> bool:
        """Whether nothing passes between the two at the moment."""
        if one in self._isolated or other in self._isolated:
            return True
        return self._walls.get(frozenset((one.name, other.name)), 0) > self._scheduler.now

    def _strikes(self, kind: str, one: Station, other: Station) -> bool:
        return self.occurrences.strike(kind, f"{one.name}>{other.name}")

    def heal(self) -> None:
        self._walls.clear()

    def _delay(self) -> int:
        least, most = self.plan.delay_ns
        return least + int((most - least) * self._rng.random() ** 3)


def _resolve(station: Station, answer: asyncio.Future[bytes], result: bytes) -> None:
    if station.alive and not answer.done():
        answer.set_result(result)


class SimulatedDirectory:
    """Finds hosts by name, as streams or as calls. Shared by all incarnations of all hosts."""

    def __init__(self, network: Network, station: Station, hosts: dict[str, str], *, calls: bool) -> None:
        self._network, self._station = network, station
        self._hosts, self._calls = hosts, calls
        self._targets: dict[Station, Callable[[bytes], Awaitable[bytes]]] = {}

    def listen_path(self, host: str, epoch: int) -> str | None:
        return None if self._calls else f"{host}.{epoch}"

    def publish(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        """Make the incarnation found.

        Raises:
            FencedError: a later one is.
        """
        found = self._network.names.get(host)
        if found is not None and found[1] > epoch:
            raise FencedError(f"expected to publish {host} with epoch {epoch}, found epoch {found[1]}: stop")
        self._network.names[host] = (host, epoch)

    def retract(self, host: str, epoch: int, cells: Iterable[str]) -> None:
        if self._network.names.get(host) == (host, epoch):
            del self._network.names[host]

    def locate(self, cell: str) -> Address | None:
        host = self._hosts.get(cell, cell)
        if self._calls:
            peer = self._network.stations.get(host)
            if peer is None:
                return None
            target = self._targets.get(peer)
            if target is None:
                target = self._targets[peer] = functools.partial(self._network.call, self._station, peer)
            return Address("ray", host, target)
        found = self._network.names.get(host)
        if found is None or f"{host}.{found[1]}" not in self._network.listeners:
            return None
        return Address("unix", host, f"{host}.{found[1]}", found[1])

    def refused(self, address: Address) -> None:
        """The listeners are the only truth here: there is nothing stale to remove."""
