"""kalshi-python's signed transport and an aiohttp WebSocket, pointed at a running Kalshi simulator.

Use it as ``with kalshi() as bench: bench.rest("GET", "/portfolio/balance")``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from kalshi_python import Configuration, KalshiClient

from exchanges.simulators.kalshi import KalshiSimulator
from tests.integration.venue_bench import DEADLINE, Running, quiet

T85 = "KXHIGHNY-24AUG08-T85"
FINE = "KXBTCD-24AUG0817-T61999.99"
ORDERS = "/portfolio/events/orders"
Json = dict[str, Any]


class Rest:
    """The official SDK's transport: signed, raw, never raising on a status."""

    def __init__(self, url: str, key_id: str, pem: str) -> None:
        self._client = KalshiClient(Configuration(host=f"{url}/trade-api/v2", retries=False))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(pem)
            file.flush()
            self._client.set_kalshi_auth(key_id, file.name)

    def __call__(self, method: str, path: str, body: Json | None = None, **query: Any) -> tuple[int, Any]:
        """Status and decoded body; the text itself where it isn't JSON, ``None`` where it is empty."""
        status, data, _ = self.full(method, path, body, **query)
        return status, data

    def full(self, method: str, path: str, body: Json | None = None, **query: Any) -> tuple[int, Any, Any]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        asked = list(query.items())
        made = self._client.param_serialize(
            method, path, query_params=asked, header_params=headers, body=body, auth_settings=[]
        )
        answer = self._client.call_api(*made, _request_timeout=DEADLINE)
        answer.read()
        text = (answer.data or b"").decode()
        try:
            data = json.loads(text) if text else None
        except json.JSONDecodeError:
            data = text
        return answer.status, data, answer.getheaders()

    def good(self, method: str, path: str, body: Json | None = None, **query: Any) -> Any:
        """The body of an answer that must be one of success."""
        status, data = self(method, path, body, **query)
        assert 200 <= status < 300, (status, data)
        return data


class Bench(Running):
    """A running simulator with a client of its first account."""

    simulator: KalshiSimulator

    def __init__(self, simulator: KalshiSimulator) -> None:
        super().__init__(simulator)
        self.rest = Rest(simulator.url, simulator.key_id, simulator.private_key)

    def place(self, **changes: Any) -> Json:
        return self.rest.good("POST", ORDERS, order(**changes))  # type: ignore[no-any-return]

    def step(self, ticker: str, step: str, result: str = "") -> requests.Response:
        body = json.dumps({"ticker": ticker, "step": step, "result": result})
        return requests.post(f"{self.simulator.url}/control/markets", data=body, timeout=10)

    def disturb(self, channel: str, *, code: int = 0, skip: int = 0) -> int:
        body = json.dumps({"channel": channel, "code": code, "skip": skip})
        answer = requests.post(f"{self.simulator.url}/control/subscriptions", data=body, timeout=10)
        return int(answer.json()["subscriptions"])

    def position(self, ticker: str) -> Json:
        return self.rest.good("GET", "/portfolio/positions", ticker=ticker)["market_positions"][0]  # type: ignore[no-any-return]

    def available(self) -> str:
        return str(self.rest.good("GET", "/portfolio/balance")["balance_dollars"])


@contextmanager
def kalshi(*, fee_step: Any = None, **settings: Any) -> Iterator[Bench]:
    """A simulator without feed and limits, unless ``settings`` say otherwise."""
    options = {} if fee_step is None else {"fee_step": fee_step}
    bench = Bench(KalshiSimulator(quiet(**settings), **options))
    try:
        yield bench
    finally:
        bench.stop()


def order(**changes: Any) -> Json:
    """A bid for 10 at 40 cents that stays until cancelled; a change to ``None`` leaves the field out."""
    made = {
        "ticker": T85,
        "side": "bid",
        "count": "10.00",
        "price": "0.4000",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def signed(
    key_id: str, pem: str, method: str, path: str, *, at_ms: int | None = None, salt: int = -1
) -> dict[str, str]:
    """The three headers; ``salt`` other than -1 is a salt length that the exchange doesn't take."""
    stamp = str(int(time.time() * 1_000) if at_ms is None else at_ms)
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    length = padding.PSS.DIGEST_LENGTH if salt < 0 else salt
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=length)
    signature = key.sign(f"{stamp}{method}{path}".encode(), scheme, hashes.SHA256())  # type: ignore[union-attr, call-arg, arg-type]
    return {
        "KALSHI-ACCESS-KEY": key_id,
        "KALSHI-ACCESS-TIMESTAMP": stamp,
        "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
    }


class Socket:
    """One WebSocket connection, its messages in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: list[Json] = []
        self._id = 0

    async def send(self, command: str, **params: Any) -> int:
        self._id += 1
        await self.socket.send_json({"id": self._id, "cmd": command, "params": params})
        return self._id

    async def next(self) -> Json:
        message: Json = await self.socket.receive_json(timeout=DEADLINE)
        self.seen.append(message)
        return message

    async def until(self, wanted: Callable[[Json], bool]) -> Json:
        """The next message that is ``wanted``; those before it stay in ``seen``."""
        while True:
            message = await self.next()
            if wanted(message):
                return message

    async def of(self, kind: str) -> Json:
        """The next message of type ``kind``."""
        return await self.until(lambda message: message.get("type") == kind)

    async def ask(self, command: str, **params: Any) -> Json:
        """The answer to a command."""
        number = await self.send(command, **params)
        return await self.until(lambda message: message.get("id") == number)


@asynccontextmanager
async def connected(bench: Any, *, heartbeat: float | None = None, **overrides: str) -> AsyncIterator[Socket]:
    """A signed connection; ``overrides`` replace headers."""
    simulator = bench.simulator
    headers = signed(simulator.key_id, simulator.private_key, "GET", "/trade-api/ws/v2") | overrides
    url = simulator.ws_url + "/trade-api/ws/v2"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=headers, max_msg_size=0, autoping=heartbeat is None) as socket,
    ):
        yield Socket(socket)


def conversation(work: Callable[[], Any]) -> None:
    """Run the client's side of a stream test on a loop of its own."""
    asyncio.run(work())


def recording(folder: Path, count: int = 2_000) -> Path:
    """Two markets of one event in Kalshi's recorded form: trades, and results that lie beside them."""
    folder.mkdir(exist_ok=True)
    start, step = 1_741_529_000_000_000_000, 10_000_000
    tickers = ["KXHIGHNY-25MAR10-B63.5", "KXHIGHNY-25MAR10-T66"]
    trades = {
        "ts_ns": [start + i * step for i in range(count)],
        "ticker": [tickers[i % 2] for i in range(count)],
        "last": [20 + i % 7 if i % 2 else 60 + i % 5 for i in range(count)],
        "count": [1 + i % 9 for i in range(count)],
        "taker_side": ["yes" if i % 3 else "no" for i in range(count)],
        "trade_id": [f"trade-{i}" for i in range(count)],
    }
    markets = {
        "ticker": tickers,
        "event_ticker": ["KXHIGHNY-25MAR10"] * 2,
        "series_ticker": ["KXHIGHNY"] * 2,
        "title": ["Highest temperature in NYC on Mar 10, 2025?"] * 2,
        "strike_type": ["between", "greater"],
        "floor_strike": [63.0, 66.0],
        "cap_strike": [64.0, None],
        "close_time_ns": [start + count * step] * 2,
        "result": ["yes", "no"],
    }
    pq.write_table(pa.table(trades), folder / "trades.parquet")
    pq.write_table(pa.table(markets), folder / "markets.parquet")
    return folder
