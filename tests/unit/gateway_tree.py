"""The status tree of a small session, as the root gives it."""

from __future__ import annotations

from typing import Any

from runtime.telemetry.registry import Telemetry
from tests.unit.brain_samples import BTC, ETH


def child(
    name: str, kind: str, *, state: str = "running", detail: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """One row of a supervisor's status."""
    return {
        "name": name,
        "kind": kind,
        "pid": 100,
        "node": "n1",
        "ray_name": f"{name}#1",
        "state": state,
        "epoch": 4,
        "restarts": 0,
        "last_exit": "",
        "setup_failed": False,
        "hung": False,
        "last_recovery_ms": 0.0,
        "detail": detail if detail is not None else {},
        **more,
    }


def host(
    cell: str, status: dict[str, Any], *, state: str = "running", error: str = "", restarts: int = 0, **more: Any
) -> dict[str, Any]:
    """The status of a host with one cell."""
    telemetry = Telemetry()
    telemetry.count("dead_letters", 2)
    telemetry.observe("tick_to_signal", 1_000_000)
    return {
        "mailbox": 3,
        "telemetry": telemetry.dump(),
        "links": {"dropped": 5},
        "cells": [{"name": cell, "state": state, "restarts": restarts, "mailbox": 3, "error": error, "detail": status}],
        **more,
    }


def connection(**changes: Any) -> dict[str, Any]:
    """What an exchange connection's brain says of itself."""
    return {
        "public_up": True,
        "private_up": True,
        "reconciled": True,
        "trading": True,
        "cash": "99000.50",
        "equity": "99010.25",
        "last": {BTC: 101.5, ETH: 0.0},
        "data": {BTC: {"Trade": 40, "Quote": 2, "Bar": 1, "BarUpdate": 30}, ETH: {}},
        "positions": {BTC: {"quantity": "2", "average_price": "100", "realized": "7", "fees": "1.5"}},
        **changes,
    }


def strategy(label: str = "trend", symbol: str = BTC) -> dict[str, Any]:
    """What a strategy's brain says of itself."""
    return {
        "label": label,
        "symbol": symbol,
        "paused": False,
        "by_symbol": {symbol: {"position": "2", "threshold": 0.1, "size_multiplier": 1.2}},
    }


def tree(**changes: Any) -> dict[str, Any]:
    """Root, bus, one connection and two strategies, one of which was given up."""
    bus = {
        "signals": {"GENERATED": 9, "EXECUTED": 4},
        "open": {"EXECUTING": 1},
        "stuck": ["s1"],
        "trading_state": "ACTIVE",
    }
    error = "HookError: Trend.on_trade raised ValueError"
    strategies = [
        child(f"strategy/trend/{BTC}", "strategy", detail=host(f"strategy/trend/{BTC}", strategy()), restarts=1),
        child(
            f"strategy/trend/{ETH}",
            "strategy",
            detail=host(f"strategy/trend/{ETH}", strategy(symbol=ETH), state="failed", error=error, restarts=20),
        ),
    ]
    exchange = child("exchange/bybit", "exchange", detail=host("exchange/bybit", connection()))
    replay = {"venue": {"name": "bybit", "replay": {"rows": 43, "finished": True}}}
    return {
        "name": "root",
        "kind": "root",
        "pid": 1,
        "node": "n1",
        "state": "running",
        "stopped": False,
        "children": [
            child("venue/bybit", "venue", detail=replay),
            child("bus", "bus", detail=host("bus", bus, journal={"records": 55})),
            child("exchanges", "supervisor", detail={"children": [exchange]}),
            child("strategies", "supervisor", detail={"children": strategies}),
            child("gateway", "gateway", detail={"url": "http://127.0.0.1:8780"}),
        ],
        **changes,
    }
