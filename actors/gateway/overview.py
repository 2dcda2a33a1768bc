"""The whole system in one JSON-ready object. Pure: made from the root's status tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from actors.gateway.portfolio import portfolio, strategies
from conf import Settings
from runtime.telemetry.histogram import merged

_VENUE = (
    "public_up", "private_up", "reconciled", "streams_down", "trading", "panic", "halted", "unknown", "working",
    "foreign", "flows", "counts",
)  # fmt: skip
_NET = (("realized", 1), ("fees", -1), ("payments", 1))
LATENCIES = ("tick_to_signal", "signal_to_order", "tick_to_order", "journal_flush")


def overview(tree: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """``actors``, ``symbols``, ``strategies``, ``venues``, ``signals`` by state, money, latencies and counters.

    ``portfolio`` is what all strategies come to together.
    ``tree`` is what the root's ``status()`` gave. What an actor did not say in time is left at
    its zero value: a status is a picture, not a ledger.
    """
    children = list(_walk(tree))
    details = {str(child["name"]): _detail(child) for child in children}
    cells = {
        str(cell["name"]): cell.get("detail") or {} for detail in details.values() for cell in detail.get("cells", [])
    }
    connections = {name.partition("/")[2]: cell for name, cell in cells.items() if name.startswith("exchange/")}
    bus = cells.get("bus", {})
    counters = _counters(details.values())
    dumps = _latency_dumps(details.values())
    return {
        "mode": settings.mode,
        "trading_state": bus.get("trading_state", "unknown"),
        "stopped": bool(tree.get("stopped")),
        "actors": [_root(tree), *(_actor(child) for child in children)],
        "symbols": _symbols(settings, connections, cells),
        "strategies": strategies(cells.values()),
        "portfolio": portfolio(cells.values()),
        "venues": {venue: _venue(cell) for venue, cell in connections.items()},
        "adapters": {
            name.partition("/")[2]: dict(detail["adapter"]) for name, detail in details.items() if "adapter" in detail
        },
        "simulators": {
            str(detail["venue"]["name"]): dict(detail["venue"].get("stats", {}))
            for detail in details.values()
            if isinstance(detail.get("venue"), Mapping)
        },
        "signals": _signals(bus),
        "open_signals": sum(bus.get("open", {}).values()) if bus else 0,
        "stuck_signals": bus.get("stuck", []),
        "ticks": sum(_ticks(kinds) for cell in connections.values() for kinds in cell.get("data", {}).values()),
        "strategy_ticks": sum(int(cell.get("ticks", 0)) for cell in cells.values() if "label" in cell),
        "fills": counters.get("exchange.fills", 0),
        "cash": str(_sum(cell.get("cash") for cell in connections.values())),
        "equity": str(_sum(cell.get("equity") for cell in connections.values())),
        "waiting": sum(int(detail.get("mailbox", 0)) for detail in details.values()),
        "counters": counters,
        "market_data_dropped": _dropped(details.values()),
        "latency_ms": {name: merged(dumps.get(name, [])).summary() for name in LATENCIES},
        "latency_dumps": dumps,
        "replay": _replay(details.values()),
        "gateway": details.get("gateway", {}).get("url", ""),
        "journal": details.get("bus", {}).get("journal", {}),
    }


def _walk(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for child in tree.get("children", []):
        yield child
        yield from _walk(_detail(child))


def _detail(child: Mapping[str, Any]) -> Mapping[str, Any]:
    detail = child.get("detail")
    return detail if isinstance(detail, Mapping) else {}


def _root(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": tree.get("name", "root"),
        "kind": "root",
        "pid": tree.get("pid", 0),
        "node": tree.get("node", ""),
        "state": tree.get("state", "unknown"),
        "epoch": tree.get("epoch", 0),
        "restarts": tree.get("restarts", 0),
        "mailbox": 0,
        "recovery_ms": 0.0,
        "reason": "",
    }


def _actor(child: Mapping[str, Any]) -> dict[str, Any]:
    detail = _detail(child)
    cells = detail.get("cells", [])
    failed = [str(cell["error"]) for cell in cells if cell["state"] == "failed"]
    return {
        "name": child["name"],
        "kind": child["kind"],
        "pid": child["pid"],
        "node": child["node"],
        "ray_name": child.get("ray_name", ""),
        "state": "failed" if failed else child["state"],
        "epoch": child["epoch"],
        "restarts": child["restarts"] + sum(int(cell["restarts"]) for cell in cells),
        "mailbox": detail.get("mailbox", 0),
        "recovery_ms": child.get("last_recovery_ms", 0.0),
        "reason": "; ".join(failed) or child.get("last_exit", ""),
        "cells": [{key: cell[key] for key in ("name", "state", "restarts", "mailbox", "error")} for cell in cells],
    }


def _symbols(
    settings: Settings, connections: Mapping[str, Mapping[str, Any]], cells: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """For each symbol what its connection holds; realised profit is with fees and payments."""
    result: dict[str, dict[str, Any]] = {}
    known = dict.fromkeys(settings.symbols)
    for connection in connections.values():
        known.update(dict.fromkeys(connection.get("positions", {})))
    for symbol in known:
        connection = connections.get(symbol.partition(":")[0], {})
        held = connection.get("positions", {}).get(symbol, {})
        price = float(connection.get("last", {}).get(symbol) or 0.0)
        quantity, entry = Decimal(held.get("quantity", 0)), Decimal(held.get("average_price", 0))
        result[symbol] = {
            "price": price,
            "ticks": _ticks(connection.get("data", {}).get(symbol, {})),
            "position": str(quantity),
            "entry": str(entry),
            "realized": str(sum(Decimal(held.get(part, 0)) * sign for part, sign in _NET)),
            "payments": str(held.get("payments", 0)),
            "unrealized": str(quantity * (Decimal(repr(price)) - entry)) if price else "0",
            "strategies": {
                str(cell["label"]): {
                    "paused": cell["paused"],
                    **{key: cell["by_symbol"][symbol][key] for key in ("position", "threshold", "size_multiplier")},
                }
                for cell in cells.values()
                if symbol in cell.get("by_symbol", {})
            },
        }
    return result


def _ticks(kinds: Mapping[str, int]) -> int:
    """Pieces of market data; a bar counts once, when it is closed."""
    return sum(count for kind, count in kinds.items() if kind != "BarUpdate")


def _venue(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cell.get(key) for key in _VENUE}


def _signals(bus: Mapping[str, Any]) -> dict[str, int]:
    """How many signals ever reached each state; open ones also count as the state they are in."""
    return {str(state): int(count) for state, count in bus.get("signals", {}).items()}


def _counters(details: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for detail in details:
        total.update(detail.get("telemetry", {}).get("counters", {}))
    return dict(sorted(total.items()))


def _latency_dumps(details: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for detail in details:
        for name, dump in detail.get("telemetry", {}).get("latency", {}).items():
            found.setdefault(name, []).append(dump)
    return found


def _dropped(details: Any) -> int:
    return sum(int(detail.get("links", {}).get("dropped", 0)) for detail in details)


def _replay(details: Any) -> dict[str, Any]:
    """Rows played at all venues together, and whether every recording has ended."""
    played = [detail["venue"]["replay"] for detail in details if detail.get("venue", {}).get("replay")]
    if not played:
        return {}
    return {"rows": sum(each["rows"] for each in played), "finished": all(each["finished"] for each in played)}


def _sum(amounts: Any) -> Decimal:
    return sum((Decimal(str(amount)) for amount in amounts if amount), Decimal(0))
