"""REST: one handler for every route, with faults, signature, limits and the envelope."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from exchanges.simulators.bybit import orders, private, public
from exchanges.simulators.bybit.errors import MESSAGES, PARAMETER, RATE_LIMIT, ApiError
from exchanges.simulators.bybit.limits import Limits
from exchanges.simulators.bybit.venue import Venue
from exchanges.simulators.bybit.wire import Json
from exchanges.simulators.faults import RequestFault, RequestRule

Call = Callable[[Venue, str, Json], Json]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Route(NamedTuple):
    """Method, whether it must be signed, its limit group (empty: none) and what answers it."""

    method: str
    path: str
    signed: bool
    group: str
    call: Call


ROUTES = (
    Route("GET", "/v5/market/time", False, "", public.server_time),
    Route("GET", "/v5/market/instruments-info", False, "", public.instruments),
    Route("GET", "/v5/market/tickers", False, "", public.tickers),
    Route("GET", "/v5/market/orderbook", False, "", public.orderbook),
    Route("GET", "/v5/market/kline", False, "", public.kline),
    Route("GET", "/v5/market/recent-trade", False, "", public.recent_trades),
    Route("GET", "/v5/market/funding/history", False, "", public.funding_history),
    Route("POST", "/v5/order/create", True, "order", orders.create),
    Route("POST", "/v5/order/amend", True, "order", orders.amend),
    Route("POST", "/v5/order/cancel", True, "order", orders.cancel),
    Route("POST", "/v5/order/cancel-all", True, "order", orders.cancel_all),
    Route("GET", "/v5/order/realtime", True, "query", private.open_orders),
    Route("GET", "/v5/order/history", True, "query", private.order_history),
    Route("GET", "/v5/execution/list", True, "query", private.executions),
    Route("GET", "/v5/position/list", True, "query", private.positions),
    Route("POST", "/v5/position/set-leverage", True, "query", private.set_leverage),
    Route("GET", "/v5/account/wallet-balance", True, "query", private.wallet_balance),
    Route("GET", "/v5/account/fee-rate", True, "query", private.fee_rate),
    Route("GET", "/v5/account/info", True, "query", private.account_information),
    Route("GET", "/v5/user/query-api", True, "query", private.key_information),
)


class RestServer:
    """Answers the routes; ``calls`` counts the requests by path."""

    def __init__(self, venue: Venue, limits: Limits) -> None:
        self._venue = venue
        self._limits = limits
        self.calls: dict[str, int] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.route(route.method, route.path, self._handler(route)) for route in ROUTES]

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.calls[route.path] = self.calls.get(route.path, 0) + 1
            fault = self._venue.faults.request(route.path)
            body = await request.text()
            if self._venue.settings.latency_ms:
                await asyncio.sleep(self._venue.settings.latency_ms / 1_000)
            if fault is not None and not fault.kind.after:
                return await self._misbehave(request, fault, route)
            response = self._answer(route, request, body)
            if fault is not None:
                return await self._misbehave(request, fault, route)
            return response

        return handle

    def _answer(self, route: Route, request: web.Request, body: str) -> web.Response:
        now, headers = self._venue.now_ms(), {}
        try:
            payload = request.rel_url.raw_query_string if route.method == "GET" else body
            account = self._venue.keys.request(request.headers, payload, now) if route.signed else ""
            if route.group:
                headers = self._limits.take(account, route.group, route.path, now)
            result = route.call(self._venue, account, _params(route, payload))
        except ApiError as error:
            if error.code == RATE_LIMIT:
                headers = self._limits.exhausted(route.group, now)
            return self.envelope(error.code, error.message, {}, headers)
        return self.envelope(0, "OK", result, headers)

    def envelope(self, code: int, message: str, result: Json, headers: dict[str, str]) -> web.Response:
        answer = {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": {},
            "time": self._venue.now_ms(),
        }
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=headers)

    async def _misbehave(self, request: web.Request, fault: RequestRule, route: Route) -> web.StreamResponse:
        kind = fault.kind
        if kind is RequestFault.RATE_LIMIT:
            headers = self._limits.exhausted(route.group or "query", self._venue.now_ms())
            return self.envelope(RATE_LIMIT, MESSAGES[RATE_LIMIT], {}, headers)
        if kind is RequestFault.RET_CODE:
            return self.envelope(fault.code, MESSAGES.get(fault.code, "fault on request"), {}, {})
        if kind in (RequestFault.HTTP_STATUS, RequestFault.STATUS_AFTER):
            return web.Response(status=fault.status, text=HTML, content_type="text/html")
        if kind in (RequestFault.HTML, RequestFault.HTML_AFTER):
            return web.Response(text=HTML, content_type="text/html")
        if kind in (RequestFault.TIMEOUT_BEFORE, RequestFault.TIMEOUT_AFTER):
            await asyncio.sleep(fault.seconds)
        reset(request)
        return web.Response(status=504)


def reset(request: web.BaseRequest) -> None:
    """Cut the connection with a TCP reset instead of a proper end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _params(route: Route, payload: str) -> Json:
    if route.method == "GET":
        return dict(parse_qsl(payload, keep_blank_values=True))
    try:
        found = msgspec.json.decode(payload or "{}")
    except msgspec.DecodeError as error:
        raise ApiError(PARAMETER, f"expected a JSON object, found text that isn't JSON ({error})") from error
    if not isinstance(found, dict):
        raise ApiError(PARAMETER, f"expected a JSON object, found {type(found).__name__}")
    return found
