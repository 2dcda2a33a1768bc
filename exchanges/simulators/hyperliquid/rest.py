"""REST: two paths, and the call named in the body; weight, signature, and the two envelopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from exchanges.simulators.base.rest import CallKind, RestServer, Route
from exchanges.simulators.faults import RequestRule
from exchanges.simulators.hyperliquid.actions import ACTIONS, items
from exchanges.simulators.hyperliquid.errors import ActionError, UnreadableError
from exchanges.simulators.hyperliquid.info import QUESTIONS
from exchanges.simulators.hyperliquid.limits import Limits
from exchanges.simulators.hyperliquid.venue import HyperliquidVenue
from exchanges.simulators.hyperliquid.wire import Json

INFO, EXCHANGE = "/info", "/exchange"
_BATCH = 40
Call = Callable[[HyperliquidVenue, str, Json], Any]


def _unknown(venue: HyperliquidVenue, account: str, body: Json) -> Any:
    raise UnreadableError


SERVED: tuple[Route[Call], ...] = (
    Route("POST", INFO, CallKind.MARKET, _unknown, signed=False),
    Route("POST", EXCHANGE, CallKind.PLACE, _unknown),
)


class HyperliquidRest(RestServer[Call]):
    """Questions and signed actions."""

    status_fields: ClassVar[tuple[str, ...]] = ("status",)

    def __init__(self, venue: HyperliquidVenue, limits: Limits) -> None:
        super().__init__(venue)
        self._hyperliquid = venue
        self._limits = limits

    def table(self) -> tuple[Route[Call], ...]:
        return SERVED

    def chosen(self, route: Route[Call], body: str) -> Route[Call]:
        try:
            found = _decoded(body)
        except UnreadableError:
            return route
        if route.path == INFO:
            return QUESTIONS.get(str(found.get("type")), route)
        action = found.get("action")
        return ACTIONS.get(str(action.get("type")), route) if isinstance(action, dict) else route

    def answer(self, route: Route[Call], request: web.Request, body: str) -> web.Response:
        venue = self._hyperliquid
        try:
            found = _decoded(body)
            action = found.get("action")
            weight = route.cost if not route.signed else 1 + items(action or {}) // _BATCH
            if not self._limits.take(weight):
                return self.limited(route, request, headers=False)
            if not route.signed:
                return _json(route.call(venue, venue.wallets.account(found.get("user")), found))
            account = venue.wallets.signer(found, venue.now_ms())
            return _json({"status": "ok", "response": route.call(venue, account, action or {})})
        except UnreadableError:
            return web.Response(status=422, text="Failed to deserialize the JSON body into the target type")
        except ActionError as error:
            return _json({"status": "err", "response": str(error)})

    def limited(self, route: Route[Call], request: web.Request, *, headers: bool) -> web.Response:
        return web.Response(status=429, text="Too many requests", headers={"Retry-After": "1"} if headers else {})

    def failed(self, route: Route[Call], request: web.Request, rule: RequestRule) -> web.Response:
        return _json({"status": "err", "response": f"fault on request: {rule.code}"})


def _decoded(body: str) -> Json:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UnreadableError from error


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
