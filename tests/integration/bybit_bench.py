"""A running Bybit simulator in a thread, and pybit pointed at it.

Use it as ``from tests.integration.bybit_bench import running, rest, Socket``.
"""

from __future__ import annotations

import asyncio
import queue
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from tests.integration import venue_bench

KEY, SECRET = "simulator-key", "simulator-secret"
BTC = {"category": "linear", "symbol": "BTCUSDT"}
_HOST = re.compile(r"^wss://\{SUBDOMAIN\}\.\{DOMAIN\}\.(?:\{TLD\}|com)")


class Running(venue_bench.Running):
    """The Bybit simulator and its loop's thread."""

    def __init__(self, settings: SimulatorSettings) -> None:
        super().__init__(BybitSimulator(settings))


@contextmanager
def running(**settings: Any) -> Iterator[venue_bench.Running]:
    """A simulator without a feed, unless ``settings`` say otherwise."""
    with venue_bench.running(BybitSimulator, **settings) as bench:
        yield bench


def rest(venue: venue_bench.Reachable, key: str = KEY, secret: str = SECRET, **options: Any) -> Any:
    """pybit's HTTP session, its retries off."""
    session = HTTP(testnet=False, api_key=key, api_secret=secret, retry_codes={-1}, max_retries=1, **options)
    session.endpoint = venue.simulator.url
    return session


class Socket:
    """pybit's WebSocket in raw mode: every message in a queue."""

    def __init__(self, bench: venue_bench.Running, channel: str, **options: Any) -> None:
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        base = bench.simulator.ws_url

        class Loopback(WebSocket):  # type: ignore[misc]
            def _connect(self, url: str) -> None:
                super()._connect(_HOST.sub(base, url))

        keys = {"api_key": KEY, "api_secret": SECRET, "private_auth_expire": 10} if channel == "private" else {}
        self.socket = Loopback(
            testnet=False, channel_type=channel, callback_function=self.messages.put, **keys, **options
        )

    def subscribe(self, topic: str, *symbols: str) -> None:
        """Subscribe and wait for the acknowledgement."""
        self.socket.subscribe(topic, lambda message: None, list(symbols) or [""])
        answer = self.until(lambda m: m.get("op") == "subscribe")
        assert answer["success"] is True, answer

    def until(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 10.0) -> dict[str, Any]:
        """The next message that is ``wanted``; the others before it are dropped."""
        end = time.monotonic() + seconds
        while True:
            message = self.messages.get(timeout=max(0.01, end - time.monotonic()))
            if wanted(message):
                return message

    def topic(self, topic: str, seconds: float = 10.0) -> list[dict[str, Any]]:
        """The data of the next message of ``topic``."""
        return self.until(lambda m: m.get("topic") == topic, seconds)["data"]  # type: ignore[no-any-return]

    def close(self) -> None:
        self.socket.exit()


def trading_socket(bench: venue_bench.Running) -> Any:
    """pybit's order-entry socket."""
    base = bench.simulator.ws_url

    class Loopback(WebSocketTrading):  # type: ignore[misc]
        def _connect(self, url: str) -> None:
            super()._connect(_HOST.sub(base, url))

    return Loopback(testnet=False, api_key=KEY, api_secret=SECRET, private_auth_expire=10)


def order(**changes: Any) -> dict[str, Any]:
    return BTC | {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "60000"} | changes


def code_of(call: Any, **params: Any) -> int:
    with pytest.raises(InvalidRequestError) as caught:
        call(**params)
    return int(caught.value.status_code)


def recording(folder: Path, symbol: str, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    columns = {
        "ts_ns": [1_700_000_000_000_000_000 + i * 1_000_000 for i in range(count)],
        "price": [100.0 + (i % 50) / 10 for i in range(count)],
        "size": [1.0 + i % 3 for i in range(count)],
        "side": ["buy" if i % 2 else "sell" for i in range(count)],
        "trade_id": [f"{symbol}{i}" for i in range(count)],
    }
    pq.write_table(pa.table(columns), folder / f"{symbol}.parquet")
    return folder


async def receive(
    venue: venue_bench.Reachable, symbols: list[str], count: int, *, pause: float = 0.0, last: str = ""
) -> dict[str, list[str]]:
    """Trade ids by symbol, read by a trivial client that may take its time, until ``count`` or ``last``."""
    got: dict[str, list[str]] = {symbol: [] for symbol in symbols}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.simulator.ws_url + "/v5/public/linear", max_msg_size=0) as socket,
    ):
        await socket.send_json({"op": "subscribe", "args": [f"publicTrade.{symbol}" for symbol in symbols]})
        while sum(map(len, got.values())) < count and not any(ids and ids[-1] == last for ids in got.values()):
            message = await socket.receive_json(timeout=20)
            for row in message.get("data", ()):
                got[row["s"]].append(row["i"])
            await asyncio.sleep(pause)
    return got
