"""REST: signature, limits and the envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from exchanges.matching.rejection import OrderRejectedError
from exchanges.simulators.base.rest import CallKind, RestServer, Route
from exchanges.simulators.bybit import orders, private, public
from exchanges.simulators.bybit.auth import Keys
from exchanges.simulators.bybit.errors import MESSAGES, PARAMETER, PERMISSION, RATE_LIMIT, ApiError, translated
from exchanges.simulators.bybit.limits import Limits
from exchanges.simulators.bybit.venue import BybitVenue
from exchanges.simulators.bybit.wire import Json
from exchanges.simulators.faults import KeyState, RequestRule

Call = Callable[[BybitVenue, str, Json], Json]


ROUTES: tuple[Route[Call], ...] = (
    Route("GET", "/v5/market/time", CallKind.MARKET, public.server_time, signed=False),
    Route("GET", "/v5/market/instruments-info", CallKind.MARKET, public.instruments, signed=False),
    Route("GET", "/v5/market/tickers", CallKind.MARKET, public.tickers, signed=False),
    Route("GET", "/v5/market/orderbook", CallKind.MARKET, public.orderbook, signed=False),
    Route("GET", "/v5/market/kline", CallKind.MARKET, public.kline, signed=False),
    Route("GET", "/v5/market/recent-trade", CallKind.MARKET, public.recent_trades, signed=False),
    Route("GET", "/v5/market/funding/history", CallKind.MARKET, public.funding_history, signed=False),
    Route("POST", "/v5/order/create", CallKind.PLACE, orders.create, group="order"),
    Route("POST", "/v5/order/amend", CallKind.AMEND, orders.amend, group="order"),
    Route("POST", "/v5/order/cancel", CallKind.CANCEL, orders.cancel, group="order"),
    Route("POST", "/v5/order/cancel-all", CallKind.CANCEL, orders.cancel_all, group="order"),
    Route("GET", "/v5/order/realtime", CallKind.QUERY, private.open_orders, group="query"),
    Route("GET", "/v5/order/history", CallKind.QUERY, private.order_history, group="query"),
    Route("GET", "/v5/execution/list", CallKind.QUERY, private.executions, group="query"),
    Route("GET", "/v5/position/list", CallKind.QUERY, private.positions, group="query"),
    Route("POST", "/v5/position/switch-mode", CallKind.QUERY, private.switch_mode, group="query"),
    Route("POST", "/v5/position/set-leverage", CallKind.QUERY, private.set_leverage, group="query"),
    Route("GET", "/v5/account/wallet-balance", CallKind.QUERY, private.wallet_balance, group="query"),
    Route("GET", "/v5/account/fee-rate", CallKind.QUERY, private.fee_rate, group="query"),
    Route("GET", "/v5/account/info", CallKind.QUERY, private.account_information, group="query"),
    Route("GET", "/v5/user/query-api", CallKind.QUERY, private.key_information, group="query"),
)


class BybitRest(RestServer[Call]):
    """The v5 routes with their envelope."""

    status_fields: ClassVar[tuple[str, ...]] = ("orderStatus",)

    def __init__(self, venue: BybitVenue, keys: Keys, limits: Limits) -> None:
        super().__init__(venue)
        self._bybit = venue
        self._keys = keys
        self._limits = limits

    def table(self) -> tuple[Route[Call], ...]:
        return ROUTES

    def answer(self, route: Route[Call], request: web.Request, body: str) -> web.Response:
        now, headers = self.venue.now_ms(), {}
        try:
            payload = request.rel_url.raw_query_string if route.method == "GET" else body
            account = self._keys.request(request.headers, payload, now) if route.signed else ""
            if route.group:
                headers = self._limits.take(account, route.group, route.path, now)
            if route.method == "POST" and self._bybit.key_state(account) is KeyState.READ_ONLY:
                raise ApiError(PERMISSION, MESSAGES[PERMISSION])
            result = carried_out(route.call, self._bybit, account, _params(route, payload))
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
            "time": self.venue.now_ms(),
        }
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=headers)

    def limited(self, route: Route[Call], request: web.Request, *, headers: bool) -> web.Response:
        told = self._limits.exhausted(route.group or "query", self.venue.now_ms()) if headers else {}
        return self.envelope(RATE_LIMIT, MESSAGES[RATE_LIMIT], {}, told)

    def failed(self, route: Route[Call], request: web.Request, rule: RequestRule) -> web.Response:
        return self.envelope(rule.code, MESSAGES.get(rule.code, "fault on request"), {}, {})


def carried_out(call: Call, venue: BybitVenue, account: str, params: Json) -> Json:
    """The result of a call.

    Raises:
        ApiError: the venue refuses it, in the venue's own codes.
    """
    try:
        return call(venue, account, params)
    except OrderRejectedError as error:
        raise translated(error) from error


def _params(route: Route[Call], payload: str) -> Json:
    if route.method == "GET":
        return dict(parse_qsl(payload, keep_blank_values=True))
    try:
        found = msgspec.json.decode(payload or "{}")
    except msgspec.DecodeError as error:
        raise ApiError(PARAMETER, f"expected a JSON object, found text that isn't JSON ({error})") from error
    if not isinstance(found, dict):
        raise ApiError(PARAMETER, f"expected a JSON object, found {type(found).__name__}")
    return found
