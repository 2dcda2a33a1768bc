"""REST calls of the official SDK through the resilience stack, one session for each thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import requests
from alpaca.common.rest import RESTClient
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter

from exchanges.alpaca.failures import classify
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import SECOND, VENUE
from exchanges.modes import Mode, OrderGate
from exchanges.resilience import Bucket, Endpoint, Stack, StackSettings

PLACE = Endpoint("place_order", write=True, bucket="order", pool="order")
AMEND = Endpoint("amend_order", write=True, bucket="order", pool="order")
CANCEL = Endpoint("cancel_order", write=True, bucket="trading", urgent=True, pool="cancel")
CANCEL_ALL = Endpoint("cancel_all", write=True, bucket="trading", urgent=True, pool="cancel")
QUERY = Endpoint("query_order", bucket="trading")
ORDERS = Endpoint("open_orders", bucket="trading")
FILLS = Endpoint("fills", bucket="trading")
POSITIONS = Endpoint("positions", bucket="trading")
CLOSABLE = Endpoint("closable", bucket="order", pool="order", tries=1)
"""The position a closing order is checked against: fresh, and as quick as the order itself."""

ACCOUNT = Endpoint("account", bucket="trading", ttl_s=5.0)
CLOCK = Endpoint("clock", bucket="trading", ttl_s=1.0)
CALENDAR = Endpoint("calendar", bucket="trading", ttl_s=3600.0)
ASSETS = Endpoint("assets", bucket="trading", ttl_s=300.0)
BARS = Endpoint("bars", bucket="data", ttl_s=30.0)
TRADES = Endpoint("trades", bucket="data", ttl_s=1.0)

_OPENING = (PLACE, AMEND)
_PRIVATE = (*_OPENING, CANCEL, CANCEL_ALL, QUERY, ORDERS, FILLS, POSITIONS, CLOSABLE, ACCOUNT)
"""The calls that concern the account: none of them is made in mode paper."""

TRADING, STOCKS, CRYPTO = "trading", "stocks", "crypto"
"""The SDK's clients: each has its own base address and version."""

_PATIENCE_S = {"order": 1.0, "trading": 10.0, "data": 20.0}
_RESERVED = 0.1
"""The part of the limit that is left to cancels."""


class Transport(HTTPAdapter):
    """Gives each request an end in time, which the SDK doesn't, and keeps the last answer's headers."""

    def __init__(self, connect_s: float, read_s: float) -> None:
        super().__init__(max_retries=0)
        self._timeout = (connect_s, read_s)
        self.heard: Mapping[str, str] = {}

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.heard = {}
        options["timeout"] = self._timeout
        response = super().send(request, *args, **options)
        self.heard = response.headers
        return response


class Rest:
    """The venue's REST interface. All methods belong to one event loop and raise ``VenueError`` alone."""

    def __init__(self, settings: AlpacaSettings) -> None:
        self._settings = settings
        self._local = threading.local()
        self._clients: list[RESTClient] = []
        self._lock = threading.Lock()
        self.gate = OrderGate(VENUE, settings.mode, settings.live_account)
        self.stack = Stack(VENUE, stack_settings(settings), classify)

    async def get(
        self, endpoint: Endpoint, path: str, params: Mapping[str, str | int] | None = None, client: str = TRADING
    ) -> Any:
        """A read; equal ones of a cached endpoint share one answer, which must not be changed."""
        told = dict(params or {})
        return await self._call(endpoint, client, lambda sdk: sdk.get(path, told), (path, *sorted(told.items())))

    async def post(self, endpoint: Endpoint, path: str, body: Mapping[str, str | bool]) -> Any:
        return await self._call(endpoint, TRADING, lambda sdk: sdk.post(path, dict(body)))

    async def patch(self, endpoint: Endpoint, path: str, body: Mapping[str, str | bool]) -> Any:
        return await self._call(endpoint, TRADING, lambda sdk: sdk.patch(path, dict(body)))

    async def delete(self, endpoint: Endpoint, path: str) -> Any:
        return await self._call(endpoint, TRADING, lambda sdk: sdk.delete(path))

    async def close(self) -> None:
        """Wait for the calls under way, then close the sessions."""
        await self.stack.close()
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client._session.close()

    # -- parts -----------------------------------------------------------------------------

    async def _call(self, endpoint: Endpoint, name: str, ask: Callable[[Any], Any], key: Hashable = None) -> Any:
        heard: list[Mapping[str, str]] = []

        def work() -> Any:
            client, transport = self._session(name)
            if endpoint in _PRIVATE:
                self.gate.ensure("rest_url", str(client._base_url), opens=endpoint in _OPENING)
            try:
                return ask(client)
            finally:
                heard.append(transport.heard)

        try:
            return await self.stack.call(endpoint, work, key=(name, key))
        finally:
            bucket = "data" if endpoint.bucket == "data" else "trading"
            for headers in heard:
                self._observe(bucket, headers)

    def _observe(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Correct the limiter by what the venue says of its own count."""
        remaining, limit = _count(headers, "X-RateLimit-Remaining"), _count(headers, "X-RateLimit-Limit")
        if remaining is None:
            return
        reset = _count(headers, "X-RateLimit-Reset")
        reset_ns = None if reset is None else reset * SECOND
        self.stack.observed(bucket, remaining=remaining, limit=limit, reset_ns=reset_ns)

    def _session(self, name: str) -> tuple[RESTClient, Transport]:
        """This thread's own client."""
        made: dict[str, tuple[RESTClient, Transport]] | None = getattr(self._local, "made", None)
        if made is None:
            made = self._local.made = {}
        if name not in made:
            made[name] = make_client(name, self._settings)
            with self._lock:
                self._clients.append(made[name][0])
        return made[name]


def stack_settings(settings: AlpacaSettings) -> StackSettings:
    """The venue's limits and our patience. An order counts for the account's calls too."""
    trading, data = float(settings.calls_per_minute), float(settings.data_calls_per_minute)
    reserve = trading * _RESERVED
    return StackSettings(
        buckets=(
            Bucket("trading", trading / 60, trading, _PATIENCE_S["trading"], reserve),
            Bucket("order", trading / 60, trading, _PATIENCE_S["order"], reserve, parent="trading"),
            Bucket("data", data / 60, data, _PATIENCE_S["data"]),
        ),
        timeout_s=2 * settings.request_timeout_s,
        order_threads=settings.order_threads,
        cancel_threads=settings.cancel_threads,
        query_threads=settings.query_threads,
    )


def make_client(name: str, settings: AlpacaSettings) -> tuple[RESTClient, Transport]:
    """An SDK client that repeats nothing, ends in time and hands out the venue's own JSON.

    Raises:
        PermissionError: there is no key.
    """
    if not settings.key or not settings.secret:
        raise PermissionError("expected a key and a secret, which the venue asks for with every call, found none")
    key, secret, hosts = settings.key, settings.secret, settings.endpoints
    client: RESTClient
    if name == TRADING:
        paper = settings.mode is not Mode.LIVE
        client = TradingClient(key, secret, paper=paper, raw_data=True, url_override=hosts.rest)
    elif name == STOCKS:
        client = StockHistoricalDataClient(key, secret, raw_data=True, url_override=hosts.data)
    else:
        client = CryptoHistoricalDataClient(key, secret, raw_data=True, url_override=hosts.data)
    client._retry, client._retry_codes = 0, []
    transport = Transport(min(settings.connect_timeout_s, settings.request_timeout_s), settings.request_timeout_s)
    client._session.mount("http://", transport)
    client._session.mount("https://", transport)
    return client, transport


def _count(headers: Mapping[str, str], name: str) -> int | None:
    written = str(headers.get(name, ""))
    return int(written) if written.isascii() and written.isdigit() else None
