"""Calls to a venue for each symbol and hour, with and without the cache, on the real stack in simulated time.

The session, one hour of it: 20 symbols with three strategies each. Before each candle the three
strategies, the learner and a chart read the last 500 one-minute candles of their symbol; a strategy
evaluates a signal every two minutes, for which it, risk and the connection look up the symbol's rules,
and it and risk the balances; one signal in ten becomes an order, whose fill changes the wallet; two
dashboards show the balances every five seconds; the connection reconciles every thirty. The parts of
the adapter, the stack and its limiter are the real ones; in place of the SDK stands a session whose
answers take 50 ms. What a reconciliation asks is never cached, so it is the floor of what remains.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from exchanges.bybit.account import Account
from exchanges.bybit.catalogue import Catalogue
from exchanges.bybit.commands import Commands
from exchanges.bybit.endpoints import stack_settings
from exchanges.bybit.history import History
from exchanges.bybit.rest import Rest
from exchanges.bybit.settings import BybitSettings
from exchanges.model.venue import FetchState
from exchanges.modes import Mode
from exchanges.resilience.simulated import loop_time, simulate

SYMBOLS, STRATEGIES, HOURS = 20, 3, 1.0
ANSWER_S = 0.05
MINUTE_NS = 60_000_000_000
CANDLES = 500
KINDS = {
    "instruments": ("instruments",),
    "balances": ("balances",),
    "history": ("closed_bars", "recent_bars"),
}
_START_NS = 1_700_000_000_000_000_000


def _wall_ns() -> int:
    return _START_NS + int(loop_time() * 1e9)


class _Session:
    """Answers as the venue would, as far as this session looks at it."""

    def __init__(self, settings: BybitSettings) -> None:
        self.endpoint = settings.endpoints.rest
        self.client = self

    def close(self) -> None:
        """Nothing to close."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answer = getattr(self, f"_{name}", None) if not name.startswith("_") else None
        if answer is None:
            raise AttributeError(name)
        return lambda **request: ({"result": answer(request)}, None, {})

    @staticmethod
    def _get_instruments_info(request: dict[str, Any]) -> Any:
        lots = {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "9", "minNotionalValue": "5"}
        rows = [
            {"symbol": name, "baseCoin": name[:-4], "quoteCoin": "USDT", "status": "Trading", "lotSizeFilter": lots,
             "priceFilter": {"tickSize": "0.1"}}
            for name in _names(SYMBOLS)
        ]  # fmt: skip
        return {"list": rows}

    @staticmethod
    def _get_fee_rates(request: dict[str, Any]) -> Any:
        return {"list": []}

    @staticmethod
    def _get_wallet_balance(request: dict[str, Any]) -> Any:
        return {"list": [{"coin": [{"coin": "USDT", "walletBalance": "1000"}]}]}

    @staticmethod
    def _get_kline(request: dict[str, Any]) -> Any:
        starts = range(-(-request["start"] // 60_000), request["end"] // 60_000 + 1)[-request["limit"] :]
        return {"list": [[str(minute * 60_000), "1", "2", "0.5", "1.5", "3", "4"] for minute in reversed(starts)]}

    @staticmethod
    def _empty(request: dict[str, Any]) -> Any:
        return {"list": []}

    _get_open_orders = _get_executions = _get_positions = _empty


def _names(count: int) -> list[str]:
    return [f"S{number}USDT" for number in range(count)]


class _Hour:
    """The session of the module's text."""

    def __init__(self, symbols: int, hours: float, *, cached: bool) -> None:
        settings = BybitSettings(mode=Mode.DEMO, key="key", secret="secret")
        patience = stack_settings(settings)
        if not cached:
            patience = msgspec.structs.replace(patience, cache_entries=0)
        self.seconds = 3600 * hours
        self.symbols = tuple(f"bybit:{name}" for name in _names(symbols))
        self.rest = Rest(
            settings, clock=loop_time, wall=_wall_ns, sessions=lambda told, skew: _Session(told), patience=patience
        )
        self.account = Account(self.rest, self.symbols, Counter())
        self.catalogue = Catalogue(self.rest, Counter())
        self.history = History(self.rest)
        self.commands = Commands(settings, self.rest, self.symbols, {}, lambda message: None, Counter())
        self.random = random.Random(7)

    async def run(self) -> dict[str, float]:
        async with asyncio.TaskGroup() as group:
            for symbol in self.symbols:
                for _ in range(STRATEGIES + 2):
                    group.create_task(self._each(60.0, partial(self._candles, symbol)))
                for _ in range(STRATEGIES):
                    group.create_task(self._each(120.0, partial(self._signal, symbol)))
            for _ in range(2):
                group.create_task(self._each(5.0, self.account.balances))
            group.create_task(self._each(30.0, self._reconcile))
        stats = self.rest.stack.stats()
        await self.rest.close()
        return stats

    async def _each(self, period_s: float, work: Callable[[], Awaitable[object]]) -> None:
        """Do ``work`` once a period until the hour is over: candles at the minute, the rest whenever."""
        await asyncio.sleep(0.5 if period_s == 60.0 else self.random.uniform(0, period_s))
        while loop_time() < self.seconds:
            began = loop_time()
            await work()
            await asyncio.sleep(max(0.0, period_s - (loop_time() - began)))

    async def _candles(self, symbol: str) -> None:
        last = _wall_ns() // MINUTE_NS * MINUTE_NS
        await self.history.bars(symbol, MINUTE_NS, last - CANDLES * MINUTE_NS, last)

    async def _signal(self, symbol: str) -> None:
        await asyncio.gather(
            *(self.catalogue.instruments((symbol,)) for _ in range(3)), *(self.account.balances() for _ in range(2))
        )
        if self.random.random() < 0.1:
            self.account.changed()

    async def _reconcile(self) -> None:
        # The commands take their time from the machine: it is behind this hour, or ahead of it.
        await self.commands.run(FetchState(time.time_ns() - MINUTE_NS))


def _kept(stats: dict[str, float], endpoints: tuple[str, ...]) -> float:
    """The share of questions that needed no call of their own, in per cent."""
    spared = sum(stats.get(f"cache_{how}_{name}", 0) for name in endpoints for how in ("hits", "coalesced"))
    asked = spared + sum(stats.get(f"cache_misses_{name}", 0) for name in endpoints)
    return 100 * spared / asked


class Figures(NamedTuple):
    """Calls for each symbol and hour with and without the cache, and what was answered without one, in per cent."""

    calls: float
    baseline: float
    kept: dict[str, float]


def measure(symbols: int = SYMBOLS, hours: float = HOURS) -> Figures:
    """Run the session twice."""
    before = simulate(_Hour(symbols, hours, cached=False).run(), call_s=ANSWER_S)
    after = simulate(_Hour(symbols, hours, cached=True).run(), call_s=ANSWER_S)
    calls, baseline = (stats["calls"] / symbols / hours for stats in (after, before))
    return Figures(calls, baseline, {kind: _kept(after, endpoints) for kind, endpoints in KINDS.items()})


def run() -> list[dict[str, Any]]:
    figures = measure()
    rows: list[dict[str, Any]] = [
        {
            "name": "resilience: calls to the venue",
            "figure": figures.calls,
            "unit": "calls/symbol/h",
            "baseline": figures.baseline,
            "baseline_name": "without cache and coalescing",
            "ratio": figures.calls / figures.baseline,
        },
    ]
    for kind, kept in figures.kept.items():
        rows.append({"name": f"resilience: {kind} answered without a call", "figure": kept, "unit": "%"})
    return rows
