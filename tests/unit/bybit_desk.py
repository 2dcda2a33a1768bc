"""Bybit's REST side with the SDK's session replaced: answers as told, on simulated time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from exchanges.bybit.account import Account
from exchanges.bybit.catalogue import Catalogue
from exchanges.bybit.commands import Commands
from exchanges.bybit.history import History
from exchanges.bybit.rest import Rest
from exchanges.bybit.settings import BybitSettings
from exchanges.modes import Mode
from exchanges.resilience.simulated import loop_time, simulate
from runtime.message import Message

T = TypeVar("T")
Answer = Callable[[dict[str, Any]], Any]
START_NS = 1_700_000_000_000_000_000


def wall_ns() -> int:
    """This machine's time in the simulation."""
    return START_NS + int(loop_time() * 1e9)


class FakeSession:
    """Answers calls of the SDK by name: with a result, what a function makes of the request, or an error."""

    def __init__(self, settings: BybitSettings) -> None:
        self.endpoint = settings.endpoints.rest
        self.client = self
        self.answers: dict[str, Any] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.closed = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.__dict__.get("answers", {}):
            raise AttributeError(name)

        def call(**request: Any) -> Any:
            self.asked.append((name, request))
            answer = self.answers[name]
            if callable(answer):
                answer = answer(request)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if isinstance(answer, Exception):
                raise answer
            return {"retCode": 0, "result": answer}, None, self.headers.get(name, {})

        return call

    def close(self) -> None:
        self.closed = True

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [request for called, request in self.asked if called == name]


class Desk:
    """The parts of the adapter around one session."""

    def __init__(self, session: FakeSession, settings: BybitSettings, symbols: tuple[str, ...]) -> None:
        self.session = session
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.said: list[Message] = []
        self.rest = Rest(settings, clock=loop_time, wall=wall_ns, sessions=lambda settings, skew: session)
        self.account = Account(self.rest, symbols, self.counters)
        self.catalogue = Catalogue(self.rest, self.counters)
        self.history = History(self.rest)
        bases = {symbol: symbol[6:9] for symbol in symbols if symbol.endswith(".SPOT")}
        self.commands = Commands(settings, self.rest, symbols, bases, self.said.append, self.counters)

    def stats(self) -> dict[str, float]:
        return self.rest.stack.stats()


def play(
    scenario: Callable[[Desk], Coroutine[Any, Any, T]],
    *,
    symbols: tuple[str, ...] = ("bybit:BTCUSDT",),
    **settings: Any,
) -> T:
    """Run ``scenario`` on simulated time, in mode demo unless ``settings`` say otherwise."""
    told = BybitSettings(**({"mode": Mode.DEMO, "key": "key", "secret": "secret"} | settings))
    session = FakeSession(told)

    async def run() -> T:
        desk = Desk(session, told, symbols)
        try:
            return await scenario(desk)
        finally:
            await desk.rest.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return simulate(run())
