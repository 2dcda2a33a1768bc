"""The test bench's door: faults in, the venue's own books out."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.player import Player
from exchanges.simulators.bybit.streams import Streams
from exchanges.simulators.bybit.venue import Venue
from exchanges.simulators.faults import FaultOrder


class Control:
    """``POST /control/faults`` and ``GET /control/state``; loopback only, without a signature."""

    def __init__(self, venue: Venue, streams: Streams, player: Player) -> None:
        self._venue, self._streams, self._player = venue, streams, player

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/control/faults", self._faults), web.get("/control/state", self._state)]

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=FaultOrder)
        except msgspec.DecodeError as error:
            return web.json_response({"error": f"expected a fault order, found something else: {error}"}, status=400)
        self.apply(order)
        return web.json_response({"fired": dict(self._venue.faults.fired)})

    def apply(self, order: FaultOrder) -> None:
        """Plan faults; those of streams happen at once."""
        plan = self._venue.faults
        plan.apply(order)
        while plan.streams:
            rule = plan.streams.popleft()
            for client in list(self._streams.clients):
                if client.stream == rule.stream:
                    plan.fired[f"stream_{rule.kind.value}"] += 1
                    client.misbehave(rule)

    async def _state(self, request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(body=msgspec.json.encode(self.state()), content_type="application/json")

    def state(self) -> dict[str, Any]:
        """All orders, executions, positions and wallets by account, and how far a replay is."""
        engine, now = self._venue.engine, self._venue.now_ms()
        sequence = len(self._venue.executions)
        accounts = {
            name: {
                "orders": [wire.order(record) for record in engine.orders(name)],
                "executions": [
                    wire.execution(done, self._venue.mark(done.fill.symbol))
                    for done in self._venue.executions
                    if done.account == name
                ],
                "positions": [
                    wire.position(account, symbol, self._venue.mark(symbol), now, sequence, stream=False)
                    for symbol in account.positions
                ],
                "wallet": wire.wallet(account, self._venue.mark),
            }
            for name, account in engine.accounts.items()
        }
        return {"accounts": accounts, "replay": self.replay(), "faults": dict(self._venue.faults.fired)}

    def replay(self) -> dict[str, Any]:
        """Trades sent by symbol, the rows of the source they came from, and whether it has ended."""
        progress = self._venue.progress
        return {
            "trades": dict(progress.trades),
            "rows": {s: count // self._player.trades_per_row.get(s, 1) for s, count in progress.trades.items()},
            "finished": progress.finished,
            "waiting_for": self._player.waiting_for,
            "failure": self._player.failure,
        }
