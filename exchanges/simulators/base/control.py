"""The test bench's door: faults in, the venue's own books out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from exchanges.simulators.base.player import Player
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.faults import Condition, FaultOrder, StreamRule
from exchanges.simulators.rates import ConditionRate

TURN_SECONDS = 0.1
Rows = Callable[[str], dict[str, Any]]
"""An account's state in the venue's own words."""


class Control:
    """``POST /control/faults`` and ``GET /control/state``; loopback only, without a signature."""

    def __init__(self, venue: Venue, streams: Streams, player: Player, rows: Rows) -> None:
        self._venue, self._streams, self._player, self._rows = venue, streams, player, rows
        self._ends: dict[Condition, float] = {}

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
        if order.clear:
            self._ends.clear()
        self._venue.engine.thin(Decimal(repr(plan.liquidity)))
        while plan.streams:
            self._strike(plan.streams.popleft())

    def _strike(self, rule: StreamRule) -> None:
        hit = self._streams.misbehave(rule)
        if hit:
            self._venue.faults.fired[f"stream_{rule.kind.value}"] += hit

    async def turn(self) -> None:
        """Stream faults and conditions of the plan as they become due, for ever."""
        while True:
            dice = self._venue.faults.dice
            if dice is not None:
                for rate in dice.streams():
                    self._strike(StreamRule(rate.stream, rate.kind, rate.seconds))
                for condition in dice.conditions():
                    self._begin(condition)
            for kind in [kind for kind, end in self._ends.items() if end <= time.monotonic()]:
                self._end(kind)
            await asyncio.sleep(TURN_SECONDS)

    def _begin(self, rate: ConditionRate) -> None:
        plan = self._venue.faults
        plan.fired[rate.kind.value] += 1
        self._ends[rate.kind] = time.monotonic() + rate.seconds
        if rate.kind is Condition.CLOCK_SKEW:
            plan.clock_skew_ms = rate.skew_ms
        else:
            self._venue.engine.thin(Decimal(repr(rate.share)))

    def _end(self, kind: Condition) -> None:
        del self._ends[kind]
        if kind is Condition.CLOCK_SKEW:
            self._venue.faults.clock_skew_ms = 0
        else:
            self._venue.engine.thin(Decimal(1))

    async def _state(self, request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(body=msgspec.json.encode(self.state()), content_type="application/json")

    def state(self) -> dict[str, Any]:
        """All accounts, in the venue's own words and in ours, how far a replay is, and the faults so far."""
        accounts = self._venue.engine.accounts
        return {
            "accounts": {name: self._rows(name) for name in accounts},
            "books": {name: self.books(name) for name in accounts},
            "replay": self.replay(),
            "faults": dict(self._venue.faults.fired),
        }

    def books(self, account: str) -> dict[str, Any]:
        """The account's orders, fills, positions other than 0 (signed, by symbol), cash and funding payments.

        ``bought`` are the symbols that are paid for, ``locked`` what sold event contracts hold back.
        """
        venue = self._venue
        holder = venue.engine.accounts[account]
        return {
            "orders": [msgspec.to_builtins(record.order()) for record in venue.engine.orders(account)],
            "fills": [msgspec.to_builtins(done.fill) for done in venue.executions if done.account == account],
            "positions": {s: str(held.quantity) for s, held in holder.positions.items() if held.quantity},
            "cash": str(holder.wallet),
            "deposited": str(holder.deposited),
            "bought": list(holder.kinds),
            "locked": str(sum(holder.locked.values(), Decimal(0))),
            "fundings": [msgspec.to_builtins(paid) for paid in venue.fundings if paid.account == account],
        }

    def replay(self) -> dict[str, Any]:
        """Trades sent by key, the rows of the source they came from, and whether it has ended."""
        progress = self._venue.progress
        return {
            "trades": dict(progress.trades),
            "rows": {s: count // self._player.trades_per_row.get(s, 1) for s, count in progress.trades.items()},
            "finished": progress.finished,
            "waiting_for": self._player.waiting_for,
            "failure": self._player.failure,
        }
