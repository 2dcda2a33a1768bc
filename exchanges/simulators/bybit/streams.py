"""The three WebSocket endpoints and who is subscribed to what."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from exchanges.simulators.bybit import orders
from exchanges.simulators.bybit.auth import check_time
from exchanges.simulators.bybit.client import Client
from exchanges.simulators.bybit.errors import DUPLICATE_REQUEST, PARAMETER, PERMISSION, ApiError
from exchanges.simulators.bybit.limits import Limits
from exchanges.simulators.bybit.public import INTERVALS_MS
from exchanges.simulators.bybit.rest import Call
from exchanges.simulators.bybit.venue import Venue

PRIVATE_TOPICS = ("order", "execution", "execution.fast", "position", "wallet")
BOOK_DEPTHS = ("1", "50", "200", "500", "1000")
SETTLE_SECONDS = 0.25
"""Clients subscribe topic by topic: a recording gives them this long after the last one."""
OPERATIONS: dict[str, Call] = {
    "order.create": orders.create,
    "order.amend": orders.amend,
    "order.cancel": orders.cancel,
}


class Streams:
    """The open sockets. ``subscribers(topic)`` are in the order they came."""

    def __init__(self, venue: Venue, limits: Limits) -> None:
        self._venue = venue
        self._limits = limits
        self._topics: dict[str, dict[Client, None]] = {}
        self._joined: dict[str, float] = {}
        self.clients: dict[Client, None] = {}
        self.changed = asyncio.Event()
        self.on_subscribe: Callable[[Client, str], None] = lambda client, topic: None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v5/public/linear", self._public),
            web.get("/v5/private", self._private),
            web.get("/v5/trade", self._trade),
        ]

    def subscribers(self, topic: str) -> list[Client]:
        return list(self._topics.get(topic, ()))

    def watchers(self, native: str) -> list[Client]:
        """Everyone subscribed to anything public of a symbol."""
        ending = "." + native
        found: dict[Client, None] = {}
        for topic, clients in self._topics.items():
            if topic.endswith(ending):
                found.update(clients)
        return list(found)

    def settled(self, native: str) -> float:
        """Seconds until the symbol's watchers have long enough been the same (0: they have)."""
        return max(0.0, self._joined.get(native, 0.0) + SETTLE_SECONDS - time.monotonic())

    def topics(self) -> list[str]:
        return [topic for topic, clients in self._topics.items() if clients]

    def of_account(self, account: str, topic: str) -> list[Client]:
        return [client for client in self._topics.get(topic, ()) if client.account == account]

    async def _public(self, request: web.Request) -> web.WebSocketResponse:
        return await self._serve(request, "public")

    async def _private(self, request: web.Request) -> web.WebSocketResponse:
        return await self._serve(request, "private")

    async def _trade(self, request: web.Request) -> web.WebSocketResponse:
        return await self._serve(request, "trade")

    async def _serve(self, request: web.Request, stream: str) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        client = Client(request, socket, stream)
        self.clients[client] = None
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._receive(client, message.data)
        finally:
            self._forget(client)
            await client.finish()
        return socket

    def _forget(self, client: Client) -> None:
        self.clients.pop(client, None)
        for topic in client.topics:
            self._topics.get(topic, {}).pop(client, None)
        client.gone()
        self.changed.set()

    async def _receive(self, client: Client, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            client.answer(_failed(client, "", f"expected a JSON object ({error})", ""))
            return
        if self._venue.settings.latency_ms:
            await asyncio.sleep(self._venue.settings.latency_ms / 1_000)
        operation = message.get("op")
        if operation == "ping":
            client.answer(self._pong(client, message))
        elif operation == "auth":
            client.answer(self._auth(client, message))
        elif operation in ("subscribe", "unsubscribe") and client.stream != "trade":
            self._subscribe(client, message)
        elif operation in OPERATIONS and client.stream == "trade":
            client.answer(self._operate(client, message))
        else:
            client.answer(_failed(client, str(operation), f"Invalid op: {operation}", message.get("req_id", "")))

    def _pong(self, client: Client, message: dict[str, Any]) -> dict[str, Any]:
        if client.stream == "trade":
            return {"op": "pong", "connId": client.id, "retCode": 0, "args": [str(self._venue.now_ms())]}
        if client.stream == "private":
            return {"op": "pong", "args": [str(self._venue.now_ms())], "conn_id": client.id}
        req_id = message.get("req_id", "")
        return {"success": True, "ret_msg": "pong", "conn_id": client.id, "req_id": req_id, "op": "ping"}

    def _auth(self, client: Client, message: dict[str, Any]) -> dict[str, Any]:
        try:
            client.account = self._venue.keys.socket(list(message.get("args", ())), self._venue.now_ms())
        except ApiError as error:
            if client.stream == "trade":
                return {"retCode": error.code, "retMsg": error.message, "op": "auth", "connId": client.id}
            return {"success": False, "ret_msg": error.message, "op": "auth", "conn_id": client.id}
        if client.stream == "trade":
            return {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": client.id}
        return {"success": True, "ret_msg": "", "op": "auth", "conn_id": client.id}

    def _subscribe(self, client: Client, message: dict[str, Any]) -> None:
        operation, req_id = str(message["op"]), str(message.get("req_id", ""))
        topics = [str(topic) for topic in message.get("args") or ()]
        problem = self._problem(client, topics)
        if problem:
            client.answer(_failed(client, operation, problem, req_id))
            return
        client.answer({"success": True, "ret_msg": "", "conn_id": client.id, "req_id": req_id, "op": operation})
        for topic in topics:
            if operation == "subscribe":
                client.topics[topic] = None
                self._topics.setdefault(topic, {})[client] = None
                self._joined[topic.rpartition(".")[2]] = time.monotonic()
                self.on_subscribe(client, topic)
            else:
                client.topics.pop(topic, None)
                self._topics.get(topic, {}).pop(client, None)
        self.changed.set()

    def _problem(self, client: Client, topics: Iterable[str]) -> str:
        if client.stream == "private" and not client.account:
            return "Request not authorized"
        for topic in topics:
            if client.stream == "private":
                known = topic in PRIVATE_TOPICS
            else:
                name, _, rest = topic.partition(".")
                detail, _, symbol = rest.rpartition(".")
                known = symbol in self._venue.markets and (
                    (name in ("publicTrade", "tickers") and not detail)
                    or (name == "orderbook" and detail in BOOK_DEPTHS)
                    or (name == "kline" and detail in INTERVALS_MS)
                )
            if not known:
                return f"error:handler not found,topic:{topic}"
        return ""

    def _operate(self, client: Client, message: dict[str, Any]) -> dict[str, Any]:
        headers, now = {}, self._venue.now_ms()
        code, text, data = 0, "OK", {}
        try:
            if not client.account:
                raise ApiError(PERMISSION, "Permission denied: expected op auth before orders")
            if not client.fresh(str(message.get("reqId", ""))):
                raise ApiError(DUPLICATE_REQUEST, "Duplicate reqId")
            header = message.get("header") or {}
            check_time(str(header.get("X-BAPI-TIMESTAMP", "")), str(header.get("X-BAPI-RECV-WINDOW", 5_000)), now)
            headers = self._limits.take(client.account, "order", str(message["op"]), now)
            args = message.get("args")
            if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
                raise ApiError(PARAMETER, "expected args with one order")
            data = OPERATIONS[message["op"]](self._venue, client.account, args[0])
        except ApiError as error:
            code, text = error.code, error.message
        return {
            "reqId": message.get("reqId", ""),
            "retCode": code,
            "retMsg": text,
            "op": message["op"],
            "data": data,
            "retExtInfo": {},
            "header": {**headers, "Traceid": uuid.uuid4().hex, "Timenow": str(now)},
            "connId": client.id,
        }


def _failed(client: Client, operation: str, text: str, req_id: object) -> dict[str, Any]:
    return {"success": False, "ret_msg": text, "conn_id": client.id, "req_id": req_id, "op": operation}
