"""A session of the product's own actors around the instant venue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from actors import names
from actors.exchange.brain import KINDS
from actors.tree import Planner
from bigwheel.session import Session
from conf import Settings, load
from runtime.supervision.spec import ChildSpec

POLL_S = 0.5
"""Asking every actor for its status takes time from what is measured."""


class StagePlanner(Planner):
    """The session's own tree, with the instant venue in place of the embedded one."""

    def embedded(self) -> list[ChildSpec]:
        return []

    def connections(self) -> ChildSpec:
        cell = self.cell(names.exchange("bybit"), KINDS, (names.BUS, names.RISK))
        child = self.child(
            names.exchange("bybit"), "exchange", "scripts.benchmarks.venue:InstantConnection", [cell], spares=0
        )
        return self.supervisor(names.EXCHANGES, [child])


def settings(store: Path, symbols: int, *, count: int, rate: float, n: int, per_actor: int = 1) -> Settings:
    """A session without spares, whose limits nothing of the benchmark reaches.

    ``simulator.seed`` carries the number of trades to send, ``simulator.rate`` their pace.
    """
    return load(
        "sim",
        {
            "store": str(store),
            "symbols": [f"bybit:S{number}" for number in range(symbols)],
            "strategies": [{"name": "scripts.benchmarks.venue:EachNth", "label": "bench", "params": {"n": n}}],
            "simulator": {"seed": count, "rate": rate or 1.0, "speed": 1.0 if rate else 0.0, "replay": "bench"},
            "ray": {"dashboard": False},
            "gateway": {"port": 0},
            "risk": {
                "order_notional": 10**6,
                "symbol_notional": 10**7,
                "total_notional": 10**9,
                "max_open_positions": 10**5,
                "orders_per_second": 10**6,
                "orders_per_minute": 10**7,
                "cooldown_s": 0.0,
                "daily_loss": 10**8,
                "daily_budget": None,
                "loss_streak": 0,
            },
            "learner": {"horizon_s": 0.01, "base_threshold": 0.0, "threshold_min": 0.0},
            "supervision": {
                "symbols_per_actor": per_actor,
                "hang_after_s": 60.0,
                "spares": {"strategy": 0, "exchange": 0, "core": 0},
            },
        },
    )


def play(told: Settings, done: Any, deadline_s: float = 120.0) -> tuple[dict[str, Any], float]:
    """Let the trades flow in a session until ``done(overview)``; the last overview and the seconds it took."""
    session = Session.start(told, planner=StagePlanner)
    try:
        began = time.perf_counter()
        (told.store / "begin").touch()
        while True:
            time.sleep(POLL_S)
            seen = session.overview()
            took = time.perf_counter() - began
            if seen and (done(seen) or took > deadline_s):
                return seen, took
    finally:
        session.stop("the benchmark is over")
