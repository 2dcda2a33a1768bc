"""REST: signature, limits, and which operation answers which route."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import msgspec
from aiohttp import web

from exchanges.matching.rejection import OrderRejectedError
from exchanges.simulators.base.rest import CallKind, RestServer, Route
from exchanges.simulators.faults import RequestRule
from exchanges.simulators.kalshi import control, form, orders, portfolio, public
from exchanges.simulators.kalshi.auth import Keys
from exchanges.simulators.kalshi.errors import ApiError, limited, translated
from exchanges.simulators.kalshi.floor import Floor
from exchanges.simulators.kalshi.form import Json, Params
from exchanges.simulators.kalshi.limits import CANCEL_COST, COST, READ, WRITE
from exchanges.simulators.kalshi.streams import KalshiStreams

PREFIX = "/trade-api/v2"
_ORDERS = f"{PREFIX}/portfolio/events/orders"
_OLD = f"{PREFIX}/portfolio/orders"


class Operation(NamedTuple):
    """What answers a route, and its HTTP status; ``items`` names the list of a batch, which costs for each."""

    run: Callable[[Floor, str, Params], Json | None]
    status: int = 200
    items: str = ""


def _market(path: str, run: Callable[[Floor, str, Params], Json], *, signed: bool = False) -> Route[Operation]:
    return Route("GET", PREFIX + path, CallKind.MARKET, Operation(run), signed, READ, COST)


def _query(path: str, run: Callable[[Floor, str, Params], Json], cost: float = COST) -> Route[Operation]:
    return Route("GET", PREFIX + path, CallKind.QUERY, Operation(run), True, READ, cost)


ROUTES: tuple[Route[Operation], ...] = (
    _market("/exchange/status", public.status),
    _market("/markets", public.markets),
    _market("/markets/trades", public.trades),
    _market("/markets/{ticker}", public.market),
    _market("/markets/{ticker}/orderbook", public.orderbook, signed=True),
    _market("/series/{series}", public.series),
    _market("/series/{series}/markets/{ticker}/candlesticks", public.candlesticks),
    _market("/events", public.events),
    _market("/events/{event}", public.event),
    _query("/portfolio/balance", portfolio.balance),
    _query("/portfolio/positions", portfolio.positions),
    _query("/portfolio/fills", portfolio.fills),
    _query("/portfolio/orders", portfolio.orders),
    _query("/portfolio/orders/{order_id}", portfolio.order, 2.0),
    _query("/portfolio/settlements", portfolio.settlements),
    _query("/account/limits", portfolio.account_limits),
    Route("POST", _ORDERS, CallKind.PLACE, Operation(orders.create, 201), True, WRITE, COST),
    Route("DELETE", _ORDERS, CallKind.CANCEL, Operation(orders.cancel_all, 204), True, WRITE, CANCEL_COST),
    Route("POST", f"{_ORDERS}/batched", CallKind.PLACE,
          Operation(orders.create_batch, 201, "orders"), True, WRITE, COST),
    Route("DELETE", f"{_ORDERS}/batched", CallKind.CANCEL,
          Operation(orders.cancel_batch, 200, "orders"), True, WRITE, CANCEL_COST),
    Route("DELETE", f"{_ORDERS}/{{order_id}}", CallKind.CANCEL, Operation(orders.cancel), True, WRITE, CANCEL_COST),
    Route("POST", f"{_ORDERS}/{{order_id}}/amend", CallKind.AMEND, Operation(orders.amend), True, WRITE, COST),
    Route("POST", f"{_ORDERS}/{{order_id}}/decrease", CallKind.AMEND, Operation(orders.decrease), True, WRITE, COST),
    Route("POST", _OLD, CallKind.PLACE, Operation(orders.legacy), True, WRITE, COST),
    Route("POST", f"{_OLD}/batched", CallKind.PLACE, Operation(orders.legacy), True, WRITE, COST),
    Route("DELETE", f"{_OLD}/{{order_id}}", CallKind.CANCEL, Operation(orders.legacy), True, WRITE, CANCEL_COST),
)  # fmt: skip


class KalshiRest(RestServer[Operation]):
    """The routes of the trade API, version 2, and the doors of the test bench that are Kalshi's own."""

    status_fields: ClassVar[tuple[str, ...]] = ("status",)

    def __init__(self, floor: Floor, keys: Keys, streams: KalshiStreams) -> None:
        super().__init__(floor.venue)
        self._floor = floor
        self._keys = keys
        self._bench = control.Bench(floor.lifecycle, streams)

    def table(self) -> tuple[Route[Operation], ...]:
        return ROUTES

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), *self._bench.routes()]

    def answer(self, route: Route[Operation], request: web.Request, body: str) -> web.Response:
        try:
            account = self._account(route, request)
            payload = dict(request.query) if route.method == "GET" else dict(request.query) | form.body(body)
            params = payload | dict(request.match_info)
            items = payload.get(route.call.items) if route.call.items else None
            self._floor.limits.take(account, route.group, route.cost * (len(items) if isinstance(items, list) else 1))
            result = route.call.run(self._floor, account, params)
        except ApiError as error:
            return _failed(error)
        except OrderRejectedError as error:
            return _failed(translated(error))
        if result is None:
            return web.Response(status=route.call.status)
        return _json(result, route.call.status)

    def _account(self, route: Route[Operation], request: web.Request) -> str:
        if not route.signed:
            return self._keys.owner(request.headers)
        write = route.group == WRITE
        path = request.rel_url.raw_path
        return self._keys.account(request.headers, request.method, path, self.venue.now_ms(), write=write)

    def limited(self, route: Route[Operation], request: web.Request, *, headers: bool) -> web.Response:
        """The venue has no headers that say how long to wait: both forms are the same."""
        return _failed(limited())

    def failed(self, route: Route[Operation], request: web.Request, rule: RequestRule) -> web.Response:
        """``code`` where it is an HTTP status of an error, else the rule's ``status``."""
        status = rule.code if 400 <= rule.code < 600 else rule.status
        return _failed(ApiError(status, _WORDS.get(status, "service_error"), details="fault on request"))


_WORDS = {
    400: "invalid_order",
    401: "authentication_error",
    403: "permission_denied",
    404: "not_found",
    409: "order_already_exists",
    429: "too_many_requests",
    503: "service_unavailable",
}


def _failed(error: ApiError) -> web.Response:
    return _json(error.body(), error.status)


def _json(body: Json, status: int) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
