"""A running simulator of any venue in a thread.

Use it as ``with running(KalshiSimulator, symbols=(...,)) as bench: bench.trade(...)``.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import requests

from exchanges.model.order import Side
from exchanges.simulators.base.simulator import Simulator
from exchanges.simulators.settings import SimulatorSettings

DEADLINE = 60.0
"""Seconds that a loaded machine may take for what needs a fraction of one."""


class Reachable(Protocol):
    """What a client needs: ``simulator.url`` and ``simulator.ws_url``."""

    simulator: Any


class Running:
    """The simulator and its loop's thread."""

    def __init__(self, simulator: Simulator) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.simulator = simulator
        try:
            self.run(self.simulator.start)
        except BaseException:
            self._end()
            raise

    def run(self, call: Callable[[], Any]) -> Any:
        """Await ``call()`` on the simulator's loop."""
        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(DEADLINE)

    def stop(self) -> None:
        self.run(self.simulator.stop)
        self._end()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    def state(self) -> dict[str, Any]:
        return requests.get(f"{self.simulator.url}/control/state", timeout=10).json()  # type: ignore[no-any-return]

    def faults(self, **order: Any) -> None:
        answer = requests.post(f"{self.simulator.url}/control/faults", data=json.dumps(order), timeout=10)
        assert answer.status_code == 200, answer.text

    def trade(self, key: str, price: float, size: float, side: str) -> None:
        """A public trade of the external market, through the simulator's own path."""

        async def move() -> None:
            row = (self.simulator.venue.now_ns(), key, price, size, Side(side), f"t{time.monotonic_ns()}")
            await self.simulator.deliver([row])

        self.run(move)


def quiet(**settings: Any) -> SimulatorSettings:
    """Settings without a feed and without limits, unless ``settings`` say otherwise."""
    return SimulatorSettings(**({"feed": "none", "order_limit": 0, "query_limit": 0} | settings))


@contextmanager
def running(kind: type[Simulator], **settings: Any) -> Iterator[Running]:
    """A simulator of ``kind`` with `quiet` settings, stopped at the end."""
    bench = Running(kind(quiet(**settings)))
    try:
        yield bench
    finally:
        bench.stop()


def eventually(wanted: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """The first true value of ``wanted()``, asked again and again until the deadline."""
    end = time.monotonic() + seconds
    while True:
        found = wanted()
        if found or time.monotonic() > end:
            assert found, "expected the condition to become true in time"
            return found
        time.sleep(0.02)
