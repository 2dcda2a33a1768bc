"""REST: one handler for every route, and the faults a request can meet."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from exchanges.simulators.base.client import reset
from exchanges.simulators.base.disguise import disguised
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.faults import RequestFault, RequestRule

C = TypeVar("C")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class CallKind(enum.StrEnum):
    """What a route is for, in the same words for every venue; a fault rule names it in ``calls``."""

    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"
    QUERY = "query"
    """The account's orders, fills, positions, balances."""
    MARKET = "market"
    """Public data."""


class Route(NamedTuple, Generic[C]):
    """One route: ``path`` as aiohttp writes it (``/v2/orders/{id}``), ``group`` its limit (empty: none).

    ``call`` is what the venue's package answers it with, in a form of its own.
    """

    method: str
    path: str
    kind: CallKind
    call: C
    signed: bool = True
    group: str = ""
    cost: float = 1.0


class RestServer(ABC, Generic[C]):
    """Answers the routes; ``calls`` counts the requests by path."""

    status_fields: ClassVar[tuple[str, ...]] = ()
    """The fields of answers that hold an order's status or another enumeration."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.calls: dict[str, int] = {}
        self._closing = asyncio.Event()

    @abstractmethod
    def table(self) -> tuple[Route[C], ...]:
        """All routes."""

    @abstractmethod
    def answer(self, route: Route[C], request: web.Request, body: str) -> web.Response:
        """Check key, signature and limit, carry the request out, render the result or the error."""

    @abstractmethod
    def limited(self, route: Route[C], request: web.Request, *, headers: bool) -> web.Response:
        """The venue's answer to too many requests, with or without the headers that say how long to wait."""

    @abstractmethod
    def failed(self, route: Route[C], request: web.Request, rule: RequestRule) -> web.Response:
        """The venue's error answer with ``rule.code``, in the venue's own shape."""

    def chosen(self, route: Route[C], body: str) -> Route[C]:
        """The call that a request is, for a venue that says it in the body instead of the path.

        Its ``path`` only names it in ``calls``; faults go by the path that was really asked.
        """
        return route

    def routes(self) -> list[web.RouteDef]:
        return [web.route(route.method, route.path, self._handler(route)) for route in self.table()]

    def _handler(self, served: Route[C]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.text()
            route = self.chosen(served, body)
            self.calls[route.path] = self.calls.get(route.path, 0) + 1
            fault = self.venue.faults.request(request.path, route.kind.value)
            if self.venue.settings.latency_ms:
                await asyncio.sleep(self.venue.settings.latency_ms / 1_000)
            if fault is not None and not fault.kind.after:
                return await self._misbehave(request, fault, route)
            response = self.answer(route, request, body)
            if fault is None:
                return response
            if fault.kind is RequestFault.UNKNOWN_VALUE_AFTER:
                return self._strange(response)
            return await self._misbehave(request, fault, route)

        return handle

    def _strange(self, response: web.Response) -> web.Response:
        """The answer with a status nobody knows; as it is where it has none."""
        if not isinstance(response.body, bytes) or not response.body:
            return response
        message: Any = msgspec.json.decode(response.body)
        response.body = msgspec.json.encode(disguised(message, self.status_fields))
        return response

    async def _misbehave(self, request: web.Request, fault: RequestRule, route: Route[C]) -> web.StreamResponse:
        kind = fault.kind
        if kind in (RequestFault.RATE_LIMIT, RequestFault.RATE_LIMIT_BARE):
            return self.limited(route, request, headers=kind is RequestFault.RATE_LIMIT)
        if kind is RequestFault.RET_CODE:
            return self.failed(route, request, fault)
        if kind in (RequestFault.HTTP_STATUS, RequestFault.STATUS_AFTER):
            return web.Response(status=fault.status, text=HTML, content_type="text/html")
        if kind in (RequestFault.HTML, RequestFault.HTML_AFTER):
            return web.Response(text=HTML, content_type="text/html")
        if kind in (RequestFault.TIMEOUT_BEFORE, RequestFault.TIMEOUT_AFTER):
            await self._hold(fault.seconds)
        reset(request)
        return web.Response(status=504)

    async def _hold(self, seconds: float) -> None:
        """Let a request wait, but not beyond the end of the simulator."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def close(self) -> None:
        """Let go of the requests that are being held."""
        self._closing.set()
