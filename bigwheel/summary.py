"""What a session did, as one JSON object."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from bigwheel.books import Books, records
from bigwheel.queries import open_journal
from bigwheel.reconciliation import compare, stored_books
from conf import Settings
from runtime.journal import audit


def summarize(settings: Settings, overview: dict[str, Any], began_ns: int) -> dict[str, Any]:
    """The summary of a session that has stopped.

    Signals, orders, fills and positions come from the verified journal, as it stands in the
    store (sessions before this one included); ticks, latencies and restarts from the
    session's last ``overview``.
    """
    report = audit.verify(settings.store / "journal")
    books = Books()
    if report.ok:
        with open_journal(settings.store) as journal:
            books = Books.of(records(journal))
    restarts: Counter[str] = Counter()
    for actor in overview.get("actors", []):
        restarts[actor["kind"]] += actor["restarts"]
    return {
        "mode": settings.mode,
        "started": _iso(began_ns),
        "ended": dt.datetime.now(dt.UTC).isoformat(),
        "symbols": list(settings.symbols),
        "ticks": overview.get("ticks", 0),
        "signals": books.signals,
        "orders": books.order_statuses,
        "fills": books.fills,
        "positions": {symbol: str(position.quantity) for symbol, position in sorted(books.positions.items())},
        "cash": str(books.cash),
        "equity": str(books.equity),
        "realized_pnl": str(books.realized),
        "payments": {symbol: str(p.payments) for symbol, p in sorted(books.positions.items()) if p.payments},
        "restarts": dict(restarts),
        "venues": {venue: _venue(settings, venue, overview, books) for venue in settings.venues},
        "dead_letters": overview.get("counters", {}).get("dead_letters", 0),
        "market_data_dropped": overview.get("market_data_dropped", 0),
        "latency_ms": overview.get("latency_ms", {}),
        "journal": {"records": report.records, "bytes": report.bytes, "verified": report.ok},
    }


def _venue(settings: Settings, venue: str, overview: dict[str, Any], books: Books) -> dict[str, Any]:
    """One venue's session, and how the books of an embedded one agree with the journal."""
    prefix = f"{venue}:"
    adapter = overview.get("adapters", {}).get(venue, {})
    told: dict[str, Any] = {
        "orders": sum(order.symbol.startswith(prefix) for order in books.orders.values()),
        "fills": sum(fill.symbol.startswith(prefix) for fill in books.trades),
        "faults_injected": int(overview.get("simulators", {}).get(venue, {}).get("faults", 0)),
        "reconnects": int(sum(count for name, count in adapter.items() if name.startswith("reconnects_"))),
        "retries": int(adapter.get("retries", 0)),
        "breaker_opens": int(adapter.get("breaker_opens", 0)),
        "repairs": sum(repair.venue == venue and repair.before != repair.after for repair in books.repairs),
    }
    theirs = stored_books(settings, venue)
    if theirs is not None:
        told.update(msgspec.to_builtins(compare(books, venue, theirs)))
    return told


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write it as indented JSON."""
    path.write_text(json.dumps(summary, indent=2) + "\n")


def _iso(ns: int) -> str:
    return dt.datetime.fromtimestamp(ns / 1e9, dt.UTC).isoformat()
