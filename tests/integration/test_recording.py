"""What the Bybit adapter hears and does is on the disk, and plays again; history is fetched once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchanges.bybit import BybitExchange, BybitMode, BybitSettings
from exchanges.bybit.funding import funding
from exchanges.bybit.rest import Rest
from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.order import OrderStatus, OrderType, Side
from exchanges.model.venue import FillReport, OrderReport, PlaceOrder, StreamStatus
from exchanges.recording.reader import playable
from exchanges.recording.recorder import Recorder
from exchanges.recording.settings import RecorderSettings
from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from exchanges.simulators.feeds.replay import Replay
from runtime.message import Message
from tests.integration.bybit_bench import running
from tests.integration.venue_bench import Running
from tests.unit.front_door import bigwheel
from tests.unit.recording_bench import rows

FILLED = OrderStatus.FILLED
BTC, ETH = "bybit:BTCUSDT", "bybit:ETHUSDT"
MINUTE_NS = 60_000_000_000
FUNDING_NS = 8 * 60 * MINUTE_NS


class Listener:
    """An adapter at a simulator, whose messages are kept, and recorded if there is a recorder."""

    def __init__(self, simulator: BybitSimulator, recorder: Recorder | None = None, **changes: Any) -> None:
        told: dict[str, Any] = {
            "mode": BybitMode.SIM,
            "key": "simulator-key",
            "secret": "simulator-secret",
            "rest_url": simulator.url,
            "public_url": simulator.ws_url,
            "private_url": simulator.ws_url,
            "backoff_base_s": 0.05,
        }
        self.exchange = BybitExchange(BybitSettings(**(told | changes)))
        self.recorder, self.got = recorder, list[Message]()

    def sink(self, message: Message) -> None:
        self.got.append(message)
        if self.recorder is not None:
            self.recorder.take(message)

    def place(self, order: PlaceOrder) -> None:
        if self.recorder is not None:
            self.recorder.take(order)
        self.exchange.submit(order)

    def trades(self, symbol: str) -> list[tuple[int, float, float, str, str]]:
        heard = (m for m in self.got if isinstance(m, Trade) and m.symbol == symbol)
        return [(m.ts_ns, m.price, m.size, m.side, m.trade_id) for m in heard]

    async def until(self, fits: Callable[[], object], what: str, seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while not fits():
            assert time.monotonic() < end, f"waited {seconds:g} s for {what}; the last were {self.got[-3:]}"
            await asyncio.sleep(0.01)

    async def up(self, *symbols: str) -> None:
        await self.exchange.connect(symbols, self.sink)
        both = {"public", "private"}
        await self.until(
            lambda: {m.stream for m in self.got if isinstance(m, StreamStatus) and m.up} >= both, "streams"
        )


def of(listener: Listener, kind: type[Message]) -> list[Any]:
    return [message for message in listener.got if isinstance(message, kind)]


async def record(folder: Path) -> Listener:
    """Some hundred trades of two symbols, and an order of ours, recorded while they come."""
    simulator = BybitSimulator(SimulatorSettings(rate=60.0, symbols=("BTCUSDT", "ETHUSDT"), seed=3))
    await simulator.start()
    recorder = Recorder(RecorderSettings(folder=folder, venue="bybit", epoch=5, flush_s=0.5, turn_s=0.05))
    recorder.start()
    listener = Listener(simulator, recorder)
    try:
        await listener.up(BTC, ETH)
        listener.place(PlaceOrder("bw-ABCDEFGHIJKLMNOPQRST-0-1", BTC, Side.BUY, OrderType.MARKET, Decimal("0.010")))
        await listener.until(
            lambda: FILLED in {report.order.status for report in of(listener, OrderReport)}, "the fill"
        )
        await listener.until(
            lambda: len(listener.trades(BTC)) > 150 and len(listener.trades(ETH)) > 150 and of(listener, Quote),
            "trades of both symbols",
        )
    finally:
        await listener.exchange.close()
        await recorder.close()
        await simulator.stop()
    assert recorder.stats()["dropped"] == 0 and recorder.stats()["unwritten"] == 0
    return listener


async def play(folder: Path, wanted: dict[str, int]) -> Listener:
    """The recording played by a simulator, heard by another adapter."""
    simulator = BybitSimulator(SimulatorSettings(feed="replay", replay_path=folder, speed="max"))
    await simulator.start()
    listener = Listener(simulator, streams=("trade",))
    try:
        await listener.up(*wanted)
        await listener.until(
            lambda: all(len(listener.trades(symbol)) >= count for symbol, count in wanted.items()), "all trades"
        )
    finally:
        await listener.exchange.close()
        await simulator.stop()
    return listener


def test_what_was_heard_is_recorded_and_plays_again_as_it_was(tmp_path: Path) -> None:
    heard = asyncio.run(record(tmp_path))
    replay = Replay(tmp_path)
    assert sorted(replay.symbols) == ["BTCUSDT", "ETHUSDT"]
    played = list(replay.trades())
    assert [row[0] for row in played] == sorted(row[0] for row in played)
    for symbol in (BTC, ETH):
        wanted = heard.trades(symbol)
        assert [(ts, p, s, side.value, i) for ts, name, p, s, side, i in played if name == symbol[6:]] == wanted
    again = asyncio.run(play(tmp_path, {symbol: len(heard.trades(symbol)) for symbol in (BTC, ETH)}))
    for symbol in (BTC, ETH):
        assert again.trades(symbol) == heard.trades(symbol)


def test_our_orders_and_fills_are_recorded_beside_the_market(tmp_path: Path) -> None:
    heard = asyncio.run(record(tmp_path))
    fills = {report.fill.execution_id: report.fill for report in of(heard, FillReport)}
    assert sum(fill.quantity for fill in fills.values()) == Decimal("0.010")
    recorded = zip(*(rows(tmp_path, "fills", name) for name in ("execution_id", "price", "quantity")), strict=True)
    assert {key: (Decimal(p), Decimal(q)) for key, p, q in recorded} == {
        key: (fill.price, fill.quantity) for key, fill in fills.items()
    }
    assert set(rows(tmp_path, "orders", "client_id")) == {"bw-ABCDEFGHIJKLMNOPQRST-0-1"}
    assert {"sent", "filled"} <= set(rows(tmp_path, "orders", "status"))
    assert len(rows(tmp_path, "quotes", "bid_price")) == len(of(heard, Quote))
    assert rows(tmp_path, "bars_60s", "ts_ns") == [bar.ts_ns for bar in of(heard, Bar) if bar.closed]


# -- download ----------------------------------------------------------------------------


def asked(bench: Running) -> int:
    """How many candles' pages the simulator was asked for."""
    return sum(count for path, count in bench.simulator.stats().items() if "kline" in path)


@pytest.fixture
def history() -> Any:
    """A simulator with the minutes of the last hours of two symbols, one trade in each but for a gap."""
    with running(symbols=("BTCUSDT", "ETHUSDT")) as bench:
        minute = time.time_ns() // MINUTE_NS * MINUTE_NS
        made = [
            (minute - back * MINUTE_NS, key, 100.0 + back % 7, 1.0, Side.BUY, f"{key}{back}")
            for back in range(300, 0, -1)
            for key in ("BTCUSDT", "ETHUSDT")
            if key == "BTCUSDT" or not 100 <= back < 110
        ]
        bench.run(lambda: bench.simulator.deliver(made))
        yield bench


def span(first: int, last: int) -> tuple[str, ...]:
    """From the minute ``first`` minutes ago to that ``last`` minutes ago."""
    minute = time.time() // 60 * 60
    texts = (time.strftime("%Y-%m-%dT%H:%M", time.gmtime(minute - back * 60)) for back in (first, last))
    return tuple(part for pair in zip(("--from", "--to"), texts, strict=True) for part in pair)


def download(bench: Running, folder: Path, *more: str) -> Any:
    where = ("--venue", "bybit", "--rest-url", bench.simulator.url, "--out", str(folder))
    return bigwheel("download", *where, *more)


def test_bars_are_downloaded_once(tmp_path: Path, history: Any) -> None:
    kind = ("--kind", "bars", "--interval", "60")
    first = download(history, tmp_path, "--symbols", "BTCUSDT,ETHUSDT", *span(240, 120), *kind)
    assert first.status == 0, first
    assert "120 bars, none missing" in first.out
    times = rows(tmp_path / "venue=bybit" / "symbol=BTCUSDT", "bars_60s", "ts_ns")
    assert times == list(range(times[0], times[0] + 120 * MINUTE_NS, MINUTE_NS))
    assert {file.table for file in playable(tmp_path)} == {"bars_60s"}


def test_what_is_complete_is_not_asked_for_again(tmp_path: Path, history: Any) -> None:
    wanted = ("--symbols", "ETHUSDT", *span(180, 60))
    first = download(history, tmp_path, *wanted)
    assert first.status == 0, first
    assert "110 bars, 10 missing in 1 gaps" in first.out
    before = asked(history)
    assert before > 0
    second = download(history, tmp_path, *wanted)
    assert "complete, nothing to fetch; 110 bars, 10 missing in 1 gaps" in second.out
    assert asked(history) == before


def test_trades_older_than_the_venue_tells_are_named_with_status_one(tmp_path: Path, history: Any) -> None:
    answer = download(history, tmp_path, "--symbols", "BTCUSDT", "--from", "10h", "--to", "1m", "--kind", "trades")
    assert answer.status == 1, answer
    assert "not told by the venue" in answer.out
    assert len(rows(tmp_path)) > 200


def test_an_unknown_symbol_fails_and_leaves_the_others_done(tmp_path: Path, history: Any) -> None:
    answer = download(history, tmp_path, "--symbols", "NOSUCHUSDT,BTCUSDT", *span(120, 60))
    assert answer.status == 2, answer
    assert "bybit:NOSUCHUSDT: expected history from bybit" in answer.err and "1 of 2 symbols" in answer.err
    assert len(rows(tmp_path, "bars_60s", "ts_ns")) == 60
    assert "Traceback" not in answer.err


def test_funding_rates_of_a_span_are_fetched_oldest_first(history: Any) -> None:
    url, ws_url = history.simulator.url, history.simulator.ws_url
    told = BybitSettings(mode=BybitMode.SIM, key="k", secret="s", rest_url=url, public_url=ws_url, private_url=ws_url)
    end_ns = time.time_ns() // FUNDING_NS * FUNDING_NS
    start_ns = end_ns - 30 * FUNDING_NS

    async def fetch(symbol: str) -> list[tuple[int, float]]:
        rest = Rest(told)
        try:
            return await funding(rest, symbol, start_ns, end_ns)
        finally:
            await rest.close()

    found = asyncio.run(fetch(BTC))
    assert [at for at, _ in found] == list(range(start_ns, end_ns, FUNDING_NS))
    assert all(abs(rate) < 0.01 for _, rate in found)
    with pytest.raises(ValueError, match="expected a perpetual"):
        asyncio.run(fetch("bybit:BTCUSDT.SPOT"))
