"""Measures replay and audit: records folded a second, what a tape costs the event loop, messages replayed a second.

Run it from the checkout: ``python -m scripts.benchmarks.audit [SIGNALS] [MESSAGES]``. Seconds are one
core's own, so what else runs on the machine counts little.
"""

from __future__ import annotations

import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.bus.turn import keys_of
from actors.messages.signals import Approved, Evaluating, Executed, Executing, Generated, Learned
from bigwheel.refold import refold
from exchanges.model.market import Trade
from exchanges.model.order import OrderStatus
from runtime.behavior import Context
from runtime.host.cell import Parcel
from runtime.journal.reader import JournalReader
from runtime.journal.store import LmdbJournal
from runtime.message import Message
from runtime.tape.format import TapeRules
from runtime.tape.reader import incarnations
from tests.unit.brain_context import START_NS
from tests.unit.brain_samples import BTC, make_approved, make_filled, make_signal, order_changed
from tests.unit.tape_bench import Summer, Taping, replay

AIM = 500_000.0
"""Records a second a replay of the journal is to fold."""

SUBSCRIBERS = ("strategy/trend/bybit:BTCUSDT", "risk", "learner")
SNAPSHOT_EVERY = 20_000


def run(signals: int = 60_000, messages: int = 200_000) -> list[dict[str, Any]]:
    """All rows; each signal makes nine records."""
    return [*_journal(signals), *_tape(messages)]


# -- the journal ---------------------------------------------------------------------------


def _journal(signals: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        _write(store, signals)
        read = _read(store)
        began = time.process_time()
        found = refold(store)
        rate = found.records / (time.process_time() - began)
    return [
        _row("replay: journal records folded", rate, "records/s", AIM, "the aim", rate / AIM),
        _row("replay: the same", rate, "records/s", read, "reading and decoding them alone", rate / read),
    ]


def _write(store: Path, signals: int) -> None:
    journal = LmdbJournal(store / "journal", epoch=1)
    for number in range(signals):
        for event in _life(number):
            keys = keys_of(event)
            signal = keys.get("signal", "")
            journal.append(event, ts=START_NS + number, source="bus", epoch=1, keys=keys, correlation=signal)
        if journal.pending >= 5_000:
            journal.commit()
    journal.commit()
    journal.close()


def _life(number: int) -> list[Message]:
    signal = make_signal(number)
    order = make_approved(signal)
    about = signal.id, signal.strategy, signal.symbol
    return [
        Generated(*about, signal),
        Evaluating(*about),
        Approved(*about, order),
        order_changed(signal, OrderStatus.SENT),
        Executing(*about, order.client_id),
        make_filled(signal, f"e{number}", "1"),
        order_changed(signal, OrderStatus.FILLED, filled="1"),
        Executed(*about, order.client_id, Decimal(1), Decimal(100)),
        Learned(*about, 1, 0.001),
    ]


def _read(store: Path) -> float:
    reader = JournalReader(store / "journal")
    began, after = time.process_time(), 0
    while records := reader.read(after, 5_000):
        for record in records:
            _ = record.event
        after = records[-1].seq
    elapsed = time.process_time() - began
    reader.close()
    return after / elapsed


# -- tapes ---------------------------------------------------------------------------------


class _Silent(Summer):
    """Takes market data in, and does nothing, as strategies mostly do."""

    def receive(self, message: Message, ctx: Context) -> None:
        self.count += 1


class _Sender(Summer):
    """Passes market data on, as a connection does."""

    def receive(self, message: Message, ctx: Context) -> None:
        for name in SUBSCRIBERS:
            ctx.send(name, message)


def _tape(messages: int) -> list[dict[str, Any]]:
    trades = [
        Trade(
            BTC,
            1,
            n,
            START_NS + n * 1_003,
            START_NS + n * 1_003 + 5_000,
            50_000 + n % 97 / 10,
            n % 31 / 8,
            "buy",
            f"{n:036}",
        )
        for n in range(messages)
    ]
    rows = []
    for name, kind in (("market data without effects", _Silent), ("market data sent to three", _Sender)):
        with tempfile.TemporaryDirectory() as folder:
            bare, _ = _handle(Path(folder) / "bare", kind, trades, taped=False)
            taped, packed = _handle(Path(folder) / "taped", kind, trades, taped=True)
            began = time.process_time()
            replay(incarnations(Path(folder) / "taped")[0], kind)
            rate = messages / (time.process_time() - began)
        rows += [
            _row(f"tape: event loop, {name}", taped * 1e6, "us/message", bare * 1e6, "without a tape", bare / taped),
            _row(f"tape: on the disk, {name}", packed, "bytes/message", None, "", None),
            _row(f"tape: replayed, {name}", rate, "messages/s", 1 / bare, "handled live", rate * bare),
        ]
    return rows


def _handle(store: Path, kind: type[Summer], trades: list[Trade], *, taped: bool) -> tuple[float, float]:
    """Seconds of the event loop, and bytes on the disk, for each message."""
    bench = Taping(store, kind=kind, rules=TapeRules(enabled=True, max_bytes=1 << 30))
    cell = bench.cells[0]
    if not taped:
        cell.witness = None
    began = time.thread_time()
    for number, trade in enumerate(trades):
        cell.offer(Parcel(trade, "exchange/bybit"))
        cell.step()
        if number % SNAPSHOT_EVERY == 0:
            cell.snapshot()
    bench.tape.flush()
    elapsed = time.thread_time() - began
    bench.tape.close("done", 60.0)
    return elapsed / len(trades), bench.writer.written / len(trades)


def _row(
    name: str, figure: float, unit: str, baseline: float | None, baseline_name: str, ratio: float | None
) -> dict[str, Any]:
    return {
        "name": name,
        "figure": round(figure, 3),
        "unit": unit,
        "baseline": baseline,
        "baseline_name": baseline_name,
        "ratio": ratio,
    }


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:3]]
    for line in run(*given):
        print(line)
