"""The Ray actor of the gateway: a web server over the root's status, and the way in for control."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from typing import Any

import ray
from aiohttp import web

from actors import names
from actors.gateway.http import Api, receivers
from actors.gateway.overview import overview
from actors.gateway.token import ensure_token, token_path
from actors.host import TradingHost
from actors.messages.control import Control
from runtime.errors import SetupError
from runtime.host.engine import Engine

log = logging.getLogger(__name__)

STATUS_DEADLINE_S = 5.0


class Gateway(TradingHost):
    """Serves the HTTP API on loopback, unless it is configured otherwise."""

    _runner: web.AppRunner | None = None

    async def opened(self, engine: Engine) -> None:
        place = self.settings.gateway
        token = ensure_token(token_path(self.settings.store, place.token_file))
        api = Api(self.overview, self.act, token, lambda message: engine.post(names.GATEWAY, names.BUS, message))
        runner = web.AppRunner(api.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, place.host, place.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise SetupError(
                f"expected port {place.port} on {place.host} to be free for the gateway, found: {error.strerror}; "
                "stop what uses it, or set gateway.port (0 takes a free one)"
            ) from error
        self._runner = runner
        self.port = int(runner.addresses[0][1])
        note = {"url": f"http://{place.host}:{self.port}", "epoch": self.assignment.epoch}
        (self.settings.store / "gateway.json").write_text(json.dumps(note))

    async def closing(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def overview(self) -> dict[str, Any]:
        """The whole system in one JSON-ready object; ``error`` where the root does not answer."""
        try:
            root = ray.get_actor(names.ROOT, namespace=self.assignment.namespace)
            tree = await asyncio.wait_for(asyncio.wrap_future(root.status.remote().future()), STATUS_DEADLINE_S)
        except (ValueError, ray.exceptions.RayError, TimeoutError) as error:
            return {"error": f"the root supervisor does not answer: {type(error).__name__}: {error}"}
        return overview(tree, self.settings)

    async def act(self, action: str, target: str, reason: str) -> str:
        """Pass an action on to everyone it concerns; returns its id."""
        control_id = uuid.uuid4().hex[:16]
        if action == "stop":
            root = ray.get_actor(names.ROOT, namespace=self.assignment.namespace)
            request = root.request_stop.remote(reason or "asked for through the API")
            await asyncio.wait_for(asyncio.wrap_future(request.future()), STATUS_DEADLINE_S)
            return control_id
        control = Control(control_id, action, "api", reason, target)
        engine = self.engine_or_fail()
        venues = dict.fromkeys(symbol.partition(":")[0] for symbol in self.settings.symbols)
        for receiver in receivers(action, target, venues):
            engine.post(names.GATEWAY, receiver, control)
        log.info("control", extra={"action": action, "target": target, "reason": reason, "at": time.time_ns()})
        return control_id

    def details(self) -> dict[str, object]:
        return {"url": f"http://{self.settings.gateway.host}:{getattr(self, 'port', 0)}"}
