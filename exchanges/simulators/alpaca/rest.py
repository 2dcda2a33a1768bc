"""REST: keys, limits, the routes and the shape of errors."""

from __future__ import annotations

import uuid
from typing import ClassVar

import msgspec
from aiohttp import web

from exchanges.matching.rejection import OrderRejectedError
from exchanges.simulators.alpaca import data, trading, wire
from exchanges.simulators.alpaca.auth import KEY_HEADER, Keys
from exchanges.simulators.alpaca.errors import BAD_BODY, INTERNAL, RATE_LIMITED, ApiError, translated
from exchanges.simulators.alpaca.limits import MESSAGE, Limits
from exchanges.simulators.alpaca.publisher import AlpacaPublisher
from exchanges.simulators.alpaca.request import Asked, Call, Reply
from exchanges.simulators.alpaca.wire import Json
from exchanges.simulators.base.rest import CallKind, RestServer, Route
from exchanges.simulators.faults import RequestRule

CHANGING = (CallKind.PLACE, CallKind.AMEND, CallKind.CANCEL)


class AlpacaRest(RestServer[Call]):
    """The routes of the trading and of the data interface."""

    status_fields: ClassVar[tuple[str, ...]] = ("status", "order_status")

    def __init__(self, publisher: AlpacaPublisher, keys: Keys, limits: Limits) -> None:
        super().__init__(publisher.venue)
        self._publisher = publisher
        self._keys = keys
        self._limits = limits

    def table(self) -> tuple[Route[Call], ...]:
        return trading.ROUTES + data.ROUTES

    def answer(self, route: Route[Call], request: web.Request, body: str) -> web.Response:
        now, headers = self.venue.now_ns(), {}
        try:
            account = self._account(route, request)
            if route.group:
                headers = self._limits.take(account, route.group, now)
            self._publisher.desk.turn()
            asked = Asked(self._publisher, account, dict(request.query), request.match_info, _body(body))
            return self._rendered(_carried_out(route.call, asked), headers)
        except ApiError as error:
            if error.code == RATE_LIMITED:
                headers = self._limits.headers(0, now)
            return self._rendered(Reply(error.body(), error.status), headers)

    def _account(self, route: Route[Call], request: web.Request) -> str:
        if not route.signed and KEY_HEADER not in request.headers:
            return ""
        return self._keys.request(request.headers, changing=route.kind in CHANGING)

    @staticmethod
    def _rendered(reply: Reply, headers: dict[str, str]) -> web.Response:
        told = {**headers, "X-Request-ID": uuid.uuid4().hex}
        if reply.body is None:
            return web.Response(status=reply.status, headers=told)
        content = wire.as_json(reply.body)
        return web.Response(body=content, status=reply.status, content_type="application/json", headers=told)

    def limited(self, route: Route[Call], request: web.Request, *, headers: bool) -> web.Response:
        told = self._limits.headers(0, self.venue.now_ns()) if headers else {}
        return self._rendered(Reply({"code": RATE_LIMITED, "message": MESSAGE}, 429), told)

    def failed(self, route: Route[Call], request: web.Request, rule: RequestRule) -> web.Response:
        """The venue's codes begin with the HTTP status; another code stands for an internal error."""
        status = rule.code // 100_000
        if 400 <= status <= 599:
            return self._rendered(Reply({"code": rule.code, "message": "fault on request"}, status), {})
        return self._rendered(Reply({"code": INTERNAL, "message": "internal server error occurred"}, rule.status), {})


def _carried_out(call: Call, asked: Asked) -> Reply:
    try:
        return call(asked)
    except OrderRejectedError as error:
        raise translated(error) from error


def _body(text: str) -> Json:
    try:
        found = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError as error:
        raise ApiError(BAD_BODY, f"request body format is invalid: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(BAD_BODY, f"request body format is invalid: expected an object, found {type(found).__name__}")
    return found
