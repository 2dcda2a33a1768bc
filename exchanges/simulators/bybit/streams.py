"""The three WebSocket endpoints and who is subscribed to what."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from exchanges.simulators.base.client import Client, Payload
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.bybit import orders
from exchanges.simulators.bybit.auth import Keys, check_time
from exchanges.simulators.bybit.errors import DUPLICATE_REQUEST, MESSAGES, PARAMETER, PERMISSION, ApiError
from exchanges.simulators.bybit.limits import Limits
from exchanges.simulators.bybit.public import INTERVALS_MS
from exchanges.simulators.bybit.rest import Call, carried_out
from exchanges.simulators.bybit.topics import LINEAR, SPOT, SPOT_SUFFIX, Topic, key_in, parsed
from exchanges.simulators.bybit.venue import BybitVenue
from exchanges.simulators.faults import KeyState

PRIVATE_TOPICS = ("order", "execution", "execution.fast", "position", "wallet")
BOOK_DEPTHS = ("1", "50", "200", "500", "1000")
OPERATIONS: dict[str, Call] = {
    "order.create": orders.create,
    "order.amend": orders.amend,
    "order.cancel": orders.cancel,
}


class BybitClient(Client):
    """A peer that remembers the request ids of its last 10,000 orders."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> None:
        super().__init__(request, socket, stream)
        self.category = SPOT if request.path.endswith(SPOT) else LINEAR
        self._request_ids: dict[str, None] = {}

    def fresh(self, request_id: str) -> bool:
        """Whether this connection sees ``request_id`` for the first time."""
        if request_id in self._request_ids:
            return False
        if request_id:
            self._request_ids[request_id] = None
        if len(self._request_ids) > 10_000:
            del self._request_ids[next(iter(self._request_ids))]
        return True


class BybitStreams(Streams):
    """Public, private and order-entry socket."""

    endpoints: ClassVar[Mapping[str, str]] = {
        "/v5/public/linear": "public",
        "/v5/public/spot": "public",
        "/v5/private": "private",
        "/v5/trade": "trade",
    }

    def __init__(self, venue: BybitVenue, keys: Keys, limits: Limits) -> None:
        super().__init__(venue)
        self._bybit = venue
        self._keys = keys
        self._limits = limits

    def client(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> Client:
        return BybitClient(request, socket, stream)

    def strange(self, client: Client) -> Payload:
        return self.encode(client, "", {"topic": "novelty", "id": "1", "creationTime": self.venue.now_ms(), "data": []})

    async def receive(self, client: Client, data: Payload) -> None:
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            self.answer(client, _failed(client, "", f"expected a JSON object ({error})", ""))
            return
        operation = message.get("op")
        if operation == "ping":
            self.answer(client, self._pong(client, message))
        elif operation == "auth":
            self.answer(client, self._auth(client, message))
        elif operation in ("subscribe", "unsubscribe") and client.stream != "trade":
            self._subscribe(client, message)
        elif operation in OPERATIONS and isinstance(client, BybitClient) and client.stream == "trade":
            self.answer(client, self._operate(client, message))
        else:
            text = f"Invalid op: {operation}"
            self.answer(client, _failed(client, str(operation), text, message.get("req_id", "")))

    def _pong(self, client: Client, message: dict[str, Any]) -> dict[str, Any]:
        if client.stream == "trade":
            return {"op": "pong", "connId": client.id, "retCode": 0, "args": [str(self.venue.now_ms())]}
        if client.stream == "private":
            return {"op": "pong", "args": [str(self.venue.now_ms())], "conn_id": client.id}
        req_id = message.get("req_id", "")
        return {"success": True, "ret_msg": "pong", "conn_id": client.id, "req_id": req_id, "op": "ping"}

    def _auth(self, client: Client, message: dict[str, Any]) -> dict[str, Any]:
        try:
            client.account = self._keys.socket(list(message.get("args", ())), self.venue.now_ms())
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
            self.answer(client, _failed(client, operation, problem, req_id))
            return
        done = {"success": True, "ret_msg": "", "conn_id": client.id, "req_id": req_id, "op": operation}
        self.answer(client, done)
        for name in topics:
            topic = self._own(client, name)
            if operation == "unsubscribe":
                self.unsubscribe(client, topic)
            elif client.stream == "private":
                self.subscribe(client, topic)
            else:
                self.subscribe(client, topic, parsed(topic).key)

    @staticmethod
    def _own(client: Client, topic: str) -> str:
        """Our name of a topic: the venue has one name for spot and linear."""
        if isinstance(client, BybitClient) and client.stream == "public":
            return key_in(client.category, topic)
        return topic

    def _problem(self, client: Client, topics: Iterable[str]) -> str:
        if client.stream == "private" and not client.account:
            return "Request not authorized"
        for topic in topics:
            if client.stream == "private":
                known = topic in PRIVATE_TOPICS
            else:
                known = not topic.endswith(SPOT_SUFFIX) and self._public(parsed(self._own(client, topic)))
            if not known:
                return f"error:handler not found,topic:{topic}"
        return ""

    def _public(self, topic: Topic) -> bool:
        return topic.key in self.venue.markets and (
            topic.name in ("publicTrade", "tickers")
            or (topic.channel == "orderbook" and topic.detail in BOOK_DEPTHS)
            or (topic.channel == "kline" and topic.detail in INTERVALS_MS)
        )

    def _operate(self, client: BybitClient, message: dict[str, Any]) -> dict[str, Any]:
        headers, now = {}, self.venue.now_ms()
        code, text, data = 0, "OK", {}
        try:
            if not client.account:
                raise ApiError(PERMISSION, "Permission denied: expected op auth before orders")
            if not client.fresh(str(message.get("reqId", ""))):
                raise ApiError(DUPLICATE_REQUEST, "Duplicate reqId")
            if self._bybit.key_state(client.account) is KeyState.READ_ONLY:
                raise ApiError(PERMISSION, MESSAGES[PERMISSION])
            header = message.get("header") or {}
            check_time(str(header.get("X-BAPI-TIMESTAMP", "")), str(header.get("X-BAPI-RECV-WINDOW", 5_000)), now)
            headers = self._limits.take(client.account, "order", str(message["op"]), now)
            args = message.get("args")
            if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
                raise ApiError(PARAMETER, "expected args with one order")
            data = carried_out(OPERATIONS[message["op"]], self._bybit, client.account, args[0])
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
