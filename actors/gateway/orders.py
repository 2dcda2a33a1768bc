"""Signals that people and programs give through the API; they pass risk and all gates like any other."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from actors.gateway.guard import refuse, stranger
from actors.gateway.requests import OrderRequest, WithdrawRequest
from actors.messages.signals import Emit, Withdraw
from runtime.message import Message

Overview = Callable[[], Awaitable[dict[str, Any]]]
Deliver = Callable[[Message], None]


class Counter:
    """Takes orders over HTTP. ``deliver`` hands a message to the bus."""

    def __init__(self, overview: Overview, deliver: Deliver, token: str) -> None:
        self._overview, self._deliver, self._token = overview, deliver, token

    async def execute(self, request: web.Request) -> web.Response:
        """``POST /execute``: answers with the signal's id; the journal says what becomes of it."""
        wanted = await self._read(request, OrderRequest)
        if isinstance(wanted, web.Response):
            return wanted
        wrong = wanted.fault()
        if wrong:
            return refuse(400, wrong)
        seen = await self._overview()
        if seen.get("error"):
            return refuse(503, f"not sent: {seen['error']}")
        symbols: Mapping[str, Any] = seen.get("symbols", {})
        if wanted.symbol not in symbols:
            return refuse(400, f"expected a symbol of the session ({', '.join(symbols)}), found {wanted.symbol!r}")
        price = float(symbols[wanted.symbol]["price"])
        if price <= 0:
            return refuse(503, f"not sent: no price of {wanted.symbol} has come yet; try again in a moment")
        self._deliver(Emit(wanted.made(price, time.time_ns())))
        return web.json_response({"signal": wanted.signal}, status=202)

    async def withdraw(self, request: web.Request) -> web.Response:
        """``POST /withdraw``: what the signal led to is cancelled as far as it has not happened."""
        wanted = await self._read(request, WithdrawRequest)
        if isinstance(wanted, web.Response):
            return wanted
        self._deliver(Withdraw(wanted.signal, wanted.symbol, "api", wanted.reason))
        return web.json_response({"signal": wanted.signal}, status=202)

    async def _read(self, request: web.Request, kind: type[Any]) -> Any:
        refusal = stranger(request, self._token)
        if refusal is not None:
            return refusal
        try:
            return msgspec.json.decode(await request.read(), type=kind)
        except msgspec.DecodeError as error:
            return refuse(400, f"expected {kind.__name__} as JSON, found: {error}")
