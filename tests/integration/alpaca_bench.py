"""A running Alpaca simulator in a thread, and alpaca-py pointed at it.

Use it as ``from tests.integration.alpaca_bench import running, trading, Updates``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.live.crypto import CryptoDataStream
from alpaca.data.live.stock import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream

from exchanges.simulators.alpaca import AlpacaSimulator
from tests.integration import venue_bench
from tests.integration.venue_bench import DEADLINE, Reachable, Running, eventually, quiet

KEY, SECRET = "simulator-key", "simulator-secret"
NEW_YORK = ZoneInfo("America/New_York")
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
OPEN_TUESDAY = "2024-11-26 10:00"

__all__ = ["DATA", "DEADLINE", "KEY", "OPEN_TUESDAY", "SECRET", "Reachable", "Running", "eventually", "quiet"]


@contextmanager
def running(hours: Any = "always", **settings: Any) -> Iterator[Running]:
    """A simulator without a feed and without limits, unless ``settings`` say otherwise."""

    def made(given: Any) -> AlpacaSimulator:
        return AlpacaSimulator(given, hours=hours)

    with venue_bench.running(made, **settings) as bench:  # type: ignore[arg-type]
        try:
            yield bench
        finally:
            for stream in [stream for stream in Stream.started if stream.bench is bench]:
                stream.close()


def at(bench: Running, moment: str) -> None:
    """Set the venue's clock to a time in New York (``2024-11-26 10:00``), and let it act."""
    wanted = dt.datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK).timestamp()
    bench.faults(clock_skew_ms=round((wanted - time.time()) * 1_000))

    async def act() -> None:
        bench.simulator.desk.turn()

    bench.run(act)


def trading(venue: Reachable, key: str = KEY, secret: str = SECRET, *, raw: bool = True) -> TradingClient:
    """alpaca-py's trading client, its retries off."""
    client = TradingClient(key, secret, raw_data=raw, url_override=venue.simulator.url)
    client._retry, client._retry_codes = 0, []
    return client


def stocks(venue: Reachable) -> StockHistoricalDataClient:
    client = StockHistoricalDataClient(KEY, SECRET, url_override=venue.simulator.url)
    client._retry, client._retry_codes = 0, []
    return client


def crypto(venue: Reachable) -> CryptoHistoricalDataClient:
    client = CryptoHistoricalDataClient(KEY, SECRET, url_override=venue.simulator.url)
    client._retry, client._retry_codes = 0, []
    return client


def order(**changes: Any) -> dict[str, Any]:
    """A limit order far from the market."""
    usual = {"symbol": "AAPL", "side": "buy", "type": "limit", "qty": "1", "limit_price": "200", "time_in_force": "day"}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def market(**changes: Any) -> dict[str, Any]:
    return order(type="market", limit_price=None, **changes)


def refusal(call: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the body with which the venue refuses a call."""
    with pytest.raises(APIError) as caught:
        call()
    return int(caught.value.status_code), json.loads(str(caught.value))


def code_of(call: Callable[[], Any]) -> tuple[int, int]:
    """The HTTP status and the code of a refusal."""
    status, body = refusal(call)
    return status, int(body["code"])


class Stream:
    """One of alpaca-py's streams on a loop and thread of its own, its messages in a queue.

    It ends with its ``bench``, if not before.
    """

    started: ClassVar[list[Stream]] = []

    def __init__(self, bench: Running, stream: Any) -> None:
        self.bench, self.stream = bench, stream
        self.messages: queue.Queue[Any] = queue.Queue()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.task: Any = None

    async def take(self, message: Any) -> None:
        self.messages.put(message)

    def start(self) -> None:
        """Run, and wait until the SDK says it is running."""

        async def begin() -> None:
            self.task = asyncio.create_task(self.stream._run_forever())

        asyncio.run_coroutine_threadsafe(begin(), self.loop).result(DEADLINE)
        self.started.append(self)
        eventually(lambda: self.stream._running)

    def next(self, wanted: Callable[[Any], bool] = lambda message: True, seconds: float = DEADLINE) -> Any:
        """The next message that is ``wanted``; the others before it are dropped."""
        end = time.monotonic() + seconds
        while True:
            message = self.messages.get(timeout=max(0.01, end - time.monotonic()))
            if wanted(message):
                return message

    def close(self) -> None:
        self.started.remove(self)

        async def end() -> None:
            while not self.task.done():  # a cancellation that meets an arriving message is swallowed by wait_for
                self.task.cancel()
                await asyncio.wait([self.task], timeout=0.2)
            await self.stream.close()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(DEADLINE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


class Updates(Stream):
    """alpaca-py's TradingStream, raw."""

    def __init__(self, bench: Running, key: str = KEY, secret: str = SECRET, *, raw: bool = True) -> None:
        url = f"{bench.simulator.ws_url}/stream"
        super().__init__(bench, TradingStream(key, secret, raw_data=raw, url_override=url))
        self.stream.subscribe_trade_updates(self.take)
        before = len(bench.simulator.streams.subscribers("trade_updates"))
        self.start()
        eventually(lambda: len(bench.simulator.streams.subscribers("trade_updates")) > before)

    def events(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """The next ``count`` events and what else their messages hold."""
        found = [self.next()["data"] for _ in range(count)]
        return [(data["event"], data) for data in found]


class Prices(Stream):
    """alpaca-py's data stream of stocks or of crypto, raw. ``wanted``: channel to symbols."""

    def __init__(self, bench: Running, wanted: dict[str, list[str]], *, coins: bool = False, raw: bool = True) -> None:
        kind, path = (CryptoDataStream, "/v1beta3/crypto/us") if coins else (StockDataStream, "/v2/iex")
        super().__init__(bench, kind(KEY, SECRET, raw_data=raw, url_override=f"{bench.simulator.ws_url}{path}"))
        for channel, symbols in wanted.items():
            getattr(self.stream, f"subscribe_{channel}")(self.take, *symbols)
        self.start()
        topics = [f"{channel}.{symbol}" for channel, symbols in wanted.items() for symbol in symbols if symbol != "*"]
        for topic in topics:
            eventually(lambda topic=topic: bench.simulator.streams.subscribers(_renamed(topic)))

    def of(self, kind: str, symbol: str) -> Any:
        """The next message of a type (``t``, ``q``, ``b``, ``o``) about a symbol."""
        return self.next(lambda message: (message["T"], message["S"]) == (kind, symbol))


def _renamed(topic: str) -> str:
    """The SDK's method names in the words of the wire."""
    channel, _, symbol = topic.partition(".")
    return f"{ {'daily_bars': 'dailyBars', 'updated_bars': 'updatedBars'}.get(channel, channel) }.{symbol}"
