"""REST over the official SDK's transport, through the resilience stack; the JSON is read by us.

kalshi-python's typed methods lose data against the venue's present messages and can't place
orders at all. Its client is used for what it does well: connections, URLs and the headers of a
signer. One client a thread, as they come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import Any
from urllib.parse import quote

import msgspec
from kalshi_python import KalshiClient
from kalshi_python.configuration import Configuration

from exchanges.kalshi.amounts import Fields, WireError, optional_text, rows
from exchanges.kalshi.failures import Garbage, classify, refusal
from exchanges.kalshi.settings import API_PATH, VENUE, KalshiSettings
from exchanges.kalshi.signer import Signer, VenueClock
from exchanges.modes import OrderGate
from exchanges.resilience import Bucket, Endpoint, Stack, StackSettings

READ, WRITE = "read", "write"
_COST = 10.0
_PAGES = 200
"""Pages of one list, at most: a venue that never ends its list must not keep us for ever."""

_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}

CREATE = Endpoint("create_order", write=True, bucket=WRITE, cost=_COST, pool="order")
AMEND = Endpoint("amend_order", write=True, bucket=WRITE, cost=_COST, pool="order")
CANCEL = Endpoint("cancel_order", write=True, bucket=WRITE, cost=2.0, urgent=True, pool="cancel")
CANCEL_ALL = Endpoint("cancel_all", write=True, bucket=WRITE, cost=2.0, urgent=True, pool="cancel")
FIND = Endpoint("find_order", bucket=READ, cost=_COST, urgent=True, pool="cancel", tries=1)
"""Looks up an order that is to be cancelled: as urgent as the cancel."""

ORDER = Endpoint("order", bucket=READ, cost=_COST)
ORDERS = Endpoint("orders", bucket=READ, cost=_COST)
FILLS = Endpoint("fills", bucket=READ, cost=_COST)
SETTLEMENTS = Endpoint("settlements", bucket=READ, cost=_COST)
POSITIONS = Endpoint("positions", bucket=READ, cost=_COST, ttl_s=0.02)
"""Kept only as long as it takes to ask for balances too, which are told in terms of them."""

BALANCE = Endpoint("balance", bucket=READ, cost=_COST, ttl_s=3.0)
LIMITS = Endpoint("limits", bucket=READ, cost=_COST, ttl_s=300.0, tries=1)
MARKETS = Endpoint("markets", bucket=READ, cost=_COST, ttl_s=1.0)
SERIES = Endpoint("series", bucket=READ, cost=_COST, ttl_s=3_600.0)
EVENT = Endpoint("event", bucket=READ, cost=_COST, ttl_s=3_600.0)
BOOK = Endpoint("book", bucket=READ, cost=_COST, ttl_s=0.1, tries=1)
CANDLES = Endpoint("candles", bucket=READ, cost=_COST, ttl_s=5.0)
TRADES = Endpoint("trades", bucket=READ, cost=_COST)

PUBLIC = (MARKETS, SERIES, EVENT, BOOK, CANDLES, TRADES)
OPENING = (CREATE, AMEND)


class Answer(msgspec.Struct, frozen=True):
    """An answer as it came: status, body, and the headers that matter."""

    status: int
    body: bytes
    retry_after: str = ""


class RestClient:
    """The venue's REST interface of one connection; belongs to one event loop."""

    def __init__(self, settings: KalshiSettings, clock: VenueClock, signer: Signer | None) -> None:
        self._settings = settings
        self._clock = clock
        self._signer = signer
        self._address = settings.endpoints.rest
        self.gate = OrderGate(VENUE, settings.mode, settings.live_account)
        self._local = threading.local()
        self._clients: list[Any] = []
        buckets = (
            Bucket(READ, settings.read_tokens_s, settings.read_tokens_s, 10.0),
            Bucket(WRITE, settings.write_tokens_s, settings.write_tokens_s, 1.0),
        )
        patience = settings.connect_timeout_s + 2 * settings.request_timeout_s
        self.stack = Stack(VENUE, StackSettings(buckets=buckets, timeout_s=patience), classify, wall=clock.now_ns)

    async def get(self, endpoint: Endpoint, path: str, key: Hashable = None, **query: str | int) -> dict[str, Any]:
        """Read ``path``; equal reads of a cached endpoint are told apart by path and query.

        Raises:
            VenueError: it failed, or it is the account's and the mode allows no such call.
        """
        if endpoint not in PUBLIC:
            self.gate.ensure("rest_url", self._address, opens=False)
        told = tuple(sorted(query.items()))
        return await self.stack.call(
            endpoint, lambda: self._call("GET", path, dict(query), None), key=key if key is not None else (path, told)
        )

    async def send(
        self, endpoint: Endpoint, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Write to ``path``, once.

        Raises:
            VenueError: it failed; its failure says whether it may have been carried out. So it does where
                the mode allows no orders, or the account isn't the one that was typed out.
        """
        self.gate.ensure("rest_url", self._address, opens=endpoint in OPENING)
        create = endpoint is CREATE
        try:
            return await self.stack.call(endpoint, lambda: self._call(method, path, {}, body, create=create))
        finally:
            self.moved()

    def moved(self) -> None:
        """Orders, positions or cash have changed: what is kept of them is old."""
        for endpoint in (BALANCE, POSITIONS):
            self.stack.forget(endpoint)

    async def pages(self, endpoint: Endpoint, path: str, name: str, **query: str | int) -> list[dict[str, Any]]:
        """All rows of a paged list; the cursor goes back exactly as it came.

        Raises:
            VenueError: a page could not be had.
            WireError: a page can't be read, or the list does not end.
        """
        made: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            answer = await self.get(endpoint, path, **query, **({"cursor": cursor} if cursor else {}))
            page = rows(answer, name)
            made.extend(page)
            following = optional_text(answer, "cursor")
            if not following or not page or following == cursor:
                return made
            cursor = following
        raise WireError(f"expected {name} to end within {_PAGES} pages, found more")

    async def close(self) -> None:
        """Take no further call, wait for those under way, and close the connections."""
        await self.stack.close()
        for client in self._clients:
            client.rest_client.pool_manager.clear()

    # -- on a thread -----------------------------------------------------------------------

    def _call(
        self, method: str, path: str, query: dict[str, str | int], body: dict[str, Any] | None, *, create: bool = False
    ) -> dict[str, Any]:
        return read(self._request(method, path, query, body), create=create)

    def _request(self, method: str, path: str, query: dict[str, str | int], body: dict[str, Any] | None) -> Answer:
        client = self._client()
        request = client.param_serialize(
            method, path, query_params=list(query.items()), header_params=dict(_HEADERS), body=body, auth_settings=[]
        )
        sent_ns = time.time_ns()
        limits = (self._settings.connect_timeout_s, self._settings.request_timeout_s)
        response = client.call_api(*request, _request_timeout=limits)
        raw = response.read()
        self._clock.observe(response.getheader("Date") or "", sent_ns, time.time_ns())
        return Answer(int(response.status), bytes(raw or b""), str(response.getheader("Retry-After") or ""))

    def _client(self) -> Any:
        client: Any = getattr(self._local, "client", None)
        if client is None:
            host = f"{self._address}{API_PATH}"
            client = KalshiClient(Configuration(host=host, retries=False))  # type: ignore[no-untyped-call]
            client.kalshi_auth = self._signer
            self._local.client = client
            self._clients.append(client)
        return client


def read(answer: Answer, *, create: bool = False) -> dict[str, Any]:
    """The object in an answer; empty for 204.

    Raises:
        Refusal: the status isn't 2xx.
        Garbage: the status is 2xx and the body no JSON object.
    """
    ok = 200 <= answer.status < 300
    if ok and answer.status == 204:
        return {}
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if ok:
            raise Garbage(
                f"expected a JSON object with status {answer.status}, found {len(answer.body)} bytes that "
                f"are none ({error})"
            ) from error
        body = None
    if not ok:
        raise refusal(answer.status, body, create=create, retry_after=answer.retry_after)
    if not isinstance(body, dict):
        raise Garbage(f"expected a JSON object with status {answer.status}, found {type(body).__name__}")
    return body


def path_of(*parts: str) -> str:
    """A path of ``parts``, each quoted where it must be."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def limits_of(fields: Fields) -> dict[str, float]:
    """Tokens in each bucket by ``/account/limits``; none for a bucket that isn't told."""
    made: dict[str, float] = {}
    for bucket in (READ, WRITE):
        told = fields.get(bucket)
        capacity = told.get("bucket_capacity") if isinstance(told, dict) else None
        if isinstance(capacity, int) and not isinstance(capacity, bool) and capacity > 0:
            made[bucket] = float(capacity)
    return made
