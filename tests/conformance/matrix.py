"""The faults a session is put through at every venue, and the table of what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from exchanges.model.order import Side
from exchanges.simulators.faults import FaultOrder, RequestFault, StreamFault
from tests.conformance.desk import Desk, Stand, desk
from tests.conformance.floor import Floor

SIGNALS = 4
PAUSE_S = 0.15


class Fault(NamedTuple):
    """``begin`` makes it happen; ``title`` is its row in the table."""

    title: str
    begin: Callable[[Desk], None]


class Cell(NamedTuple):
    """What happened at one venue under one fault."""

    text: str
    good: bool
    differences: tuple[str, ...]


def _request(kind: RequestFault, *calls: str, count: int = 2) -> Callable[[Desk], None]:
    return lambda d: d.fault(kind, calls or ("place",), count=count, seconds=1.5)


def _stream(stream: str, kind: StreamFault) -> Callable[[Desk], None]:
    return lambda d: d.stream_fault(stream, kind, 60.0)


REQUESTS = tuple(
    Fault(f"orders: {kind.value}", _request(kind)) for kind in RequestFault if kind != RequestFault.RET_CODE
)
READS = tuple(
    Fault(f"reads: {kind.value}", _request(kind, "query", count=4))
    for kind in (
        RequestFault.RATE_LIMIT,
        RequestFault.HTTP_STATUS,
        RequestFault.HTML,
        RequestFault.TIMEOUT_BEFORE,
        RequestFault.RESET_BEFORE,
    )
)
STREAMS = tuple(
    Fault(f"{stream} stream: {kind.value}", _stream(stream, kind))
    for stream in ("public", "private")
    for kind in StreamFault
)
EXECUTIONS = (
    Fault("executions: twice", lambda d: d.execution_fault(duplicate=4)),
    Fault("executions: late", lambda d: d.execution_fault(delay=4, seconds=0.8)),
    Fault("executions: never told", lambda d: d.execution_fault(lose=3)),
    Fault("executions: out of order", lambda d: d.execution_fault(reorder=2, seconds=0.5)),
    Fault("executions: in many parts", lambda d: d.simulator.inject(FaultOrder(liquidity=0.0001))),
    Fault("executions: unknown status", lambda d: d.execution_fault(unknown=2)),
)
CLOCKS = tuple(
    Fault(f"clock: {skew:+} ms", lambda d, skew=skew: d.simulator.inject(FaultOrder(clock_skew_ms=skew)))  # type: ignore[misc]
    for skew in (3_000, -3_000)
)
FAULTS: tuple[Fault, ...] = (*REQUESTS, *READS, *STREAMS, *EXECUTIONS, *CLOCKS)


async def put_through(stand: Stand, fault: Fault, folder: Path) -> Cell:
    """Trade through ``fault``; the venue's books and the journal tell what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    async with desk(stand, {}, {}) as made:
        floor = Floor(made, folder, made.simulator.currency)
        try:
            await floor.open()
            fault.begin(made)
            for number in range(SIGNALS):
                floor.want(Side.BUY if number % 2 == 0 else Side.SELL)
                await asyncio.sleep(PAUSE_S)
            found = await floor.quiet()
            return Cell(_words(floor, made), found.reconciled, found.differences)
        finally:
            await made.exchange.close()
            floor.close()
            await asyncio.sleep(0)


def _words(floor: Floor, made: Desk) -> str:
    books, agreement = floor.books(), floor.agreement()
    states = ", ".join(f"{count} {state.lower()}" for state, count in books.signals.items())
    fired = sum(int(count) for count in made.simulator.control.state()["faults"].values())
    losses = agreement.orders_lost + agreement.fills_lost
    doubles = agreement.orders_doubled + agreement.fills_doubled
    met = f"fault met {fired}x" if fired else "fault on throughout"
    return f"{states}; {met}; lost {losses}, doubled {doubles}"


def table(rows: dict[str, dict[str, Cell]], venues: Sequence[str]) -> str:
    """The matrix in Markdown."""
    lines = [
        "# Fault matrix",
        "",
        "Made by the test run (`BIGWHEEL_MATRIX=docs/fault-matrix.md scripts/test tests/conformance/test_matrix.py`).",
        f"In each cell a session without Ray wants {SIGNALS} trades, one after the other, at a simulator through",
        "the real SDK, while the fault is on; then the venue's own orders, fills and positions are compared with the",
        "journal. A signal that is blocked or expired was stopped by the fault: that is what failing closed means.",
        "",
        "| fault | " + " | ".join(venues) + " |",
        "|---|" + "---|" * len(venues),
    ]
    for title, cells in rows.items():
        lines.append(f"| {title} | " + " | ".join(cells[v].text if v in cells else "" for v in venues) + " |")
    return "\n".join(lines) + "\n"
