"""The doors of the test bench that only Kalshi has: markets' lives, ended subscriptions."""

from __future__ import annotations

import msgspec
from aiohttp import web

from exchanges.simulators.kalshi.errors import ApiError
from exchanges.simulators.kalshi.lifecycle import Lifecycle, Step
from exchanges.simulators.kalshi.listing import Result
from exchanges.simulators.kalshi.streams import KalshiStreams


class MarketOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What ``POST /control/markets`` takes."""

    ticker: str
    step: Step
    result: Result = Result.NONE


class StreamOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What ``POST /control/subscriptions`` takes: end (code 10 or 25) or skip ``skip`` messages of a channel."""

    channel: str
    code: int = 0
    skip: int = 0


class Bench:
    """Loopback only, without a signature."""

    def __init__(self, lifecycle: Lifecycle, streams: KalshiStreams) -> None:
        self._lifecycle = lifecycle
        self._streams = streams

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/control/markets", self._markets),
            web.post("/control/subscriptions", self._subscriptions),
        ]

    async def _markets(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=MarketOrder)
            listing = self._lifecycle.step(order.ticker, order.step, order.result)
        except msgspec.DecodeError as error:
            return web.json_response({"error": f"expected ticker, step and result, found: {error}"}, status=400)
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)
        return web.json_response({"ticker": listing.ticker, "status": listing.phase.value})

    async def _subscriptions(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=StreamOrder)
        except msgspec.DecodeError as error:
            return web.json_response({"error": f"expected channel, code and skip, found: {error}"}, status=400)
        hit = self._streams.disturb(order.channel, order.code, order.skip)
        return web.json_response({"subscriptions": hit})
