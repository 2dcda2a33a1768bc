"""The HTTP API: health, metrics and status for reading; with the token, control."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from actors import names
from actors.gateway.guard import refuse, stranger
from actors.gateway.health import judge
from actors.gateway.metrics import render
from actors.gateway.orders import Counter, Deliver

log = logging.getLogger(__name__)

ACTIONS = ("halt", "reduce", "resume", "panic", "pause", "unpause", "adopt", "rollback", "stop")
TARGETED = ("pause", "unpause", "adopt", "rollback")
"""Actions on one thing: a strategy by its actor's name, an order by the venue's id (``*``: all), a version of what
was learned; the others act on everything."""

FRESH_S = 0.5

Source = Callable[[], Awaitable[dict[str, Any]]]
Act = Callable[[str, str, str], Awaitable[str]]


class Api:
    """Serves an overview, which is asked for at most every ``FRESH_S`` seconds.

    ``source`` gives the overview; ``act`` carries out ``(action, target, reason)`` and returns the
    id under which it is journaled; ``deliver`` hands a message to the bus. Nothing acts without the token.
    """

    def __init__(self, source: Source, act: Act, token: str, deliver: Deliver) -> None:
        self._source, self._act, self._token = source, act, token
        self._counter = Counter(self.overview, deliver, token)
        self._seen: dict[str, Any] = {}
        self._seen_at = -FRESH_S

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.index)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/status", self.status)
        app.router.add_post("/control", self.control)
        app.router.add_post("/execute", self._counter.execute)
        app.router.add_post("/withdraw", self._counter.withdraw)
        return app

    async def overview(self) -> dict[str, Any]:
        """The newest overview; where none can be had, one that says so."""
        if time.monotonic() - self._seen_at >= FRESH_S:
            self._seen = await self._source()
            self._seen_at = time.monotonic()
        return self._seen

    async def index(self, request: web.Request) -> web.Response:
        act = {"/control": list(ACTIONS), "/execute": ["OrderRequest"], "/withdraw": ["WithdrawRequest"]}
        return web.json_response({"read": ["/health", "/metrics", "/status"], "act": act})

    async def health(self, request: web.Request) -> web.Response:
        verdict = judge(await self.overview())
        return web.json_response(verdict, status=200 if verdict["healthy"] else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        body = render(await self.overview())
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response(await self.overview(), dumps=lambda data: json.dumps(data, default=str))

    async def control(self, request: web.Request) -> web.Response:
        """Takes ``{"action": ..., "target": ..., "reason": ...}`` from whoever holds the token."""
        refusal = stranger(request, self._token)
        if refusal is not None:
            return refusal
        try:
            body = await request.json()
        except ValueError as error:
            return refuse(400, f"expected a JSON object, found {error}")
        action = body.get("action") if isinstance(body, dict) else None
        if action not in ACTIONS:
            return refuse(400, f"expected an action ({', '.join(ACTIONS)}), found {action!r}")
        target = str(body.get("target", ""))
        if bool(target) != (action in TARGETED):
            return refuse(
                400,
                f"expected a target for {', '.join(TARGETED)} and none for the others, found {target!r} with {action}",
            )
        try:
            done = await self._act(str(action), target, str(body.get("reason", "")))
        except Exception as error:
            # Whatever went wrong on the way to the actors: nobody may take it for done.
            log.exception("%s was not carried out", action)
            return refuse(503, f"{action} was not carried out: {type(error).__name__}: {error}; look at /health")
        return web.json_response({"accepted": action, "id": done}, status=202)


def receivers(action: str, target: str, venues: Iterable[str]) -> list[str]:
    """Whom an action is passed on to; an order to adopt is looked for at every venue."""
    connections = [names.exchange(venue) for venue in venues]
    if action == "adopt":
        return connections
    if action == "rollback":
        return [names.LEARNER]
    return [target] if target else [*connections, names.RISK]
