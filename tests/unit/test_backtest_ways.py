"""How far away a backtest's venue is, and what it tells of the past."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bigwheel
import conf
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.latency import Latency, Way, latency
from exchanges.catalog.importing import import_rows
from exchanges.catalog.loading import load
from exchanges.catalog.shaping import Told
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Bar, Trade
from exchanges.model.order import OrderStatus, TimeInForce
from exchanges.model.venue import (
    CancelOrder,
    CommandResult,
    FetchHistory,
    FillReport,
    HistoryReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
)
from strategies.strategy import Strategy
from tests.unit.backtest_floor import Floor
from tests.unit.paper_bench import limit, market, perpetual, trade
from tests.unit.test_backtest import BTC, MINUTE, START, bars, steps
from tests.unit.test_backtest_hours import new_york

MS = 1_000_000
FAR = Latency(order_ns=5 * MS, answer_ns=7 * MS)


def at(ms: float, price: float, **more: Any) -> Trade:
    moment = START + int(ms * MS)
    return msgspec.structs.replace(trade(price, **more), ts_ns=moment, recv_ns=moment)


# -- distance ----------------------------------------------------------------------------------


def test_an_order_meets_the_market_of_when_it_arrives_and_is_heard_of_later(tmp_path: Path) -> None:
    floor = Floor(tmp_path, perpetual(), start_ns=START, latency=FAR)
    floor.take(at(1, 100.0, side="buy"))
    floor.send(market("bw-a-0-0"), START + 2 * MS)
    floor.take(at(6.9, 110.0, side="buy"))
    floor.take(at(7.1, 120.0, side="buy"))
    floor.until(START + 50 * MS)
    ((told, report),) = floor.of(FillReport)
    assert (report.fill.price, report.fill.ts_ns, told) == (D(110), START + 7 * MS, START + 14 * MS)
    ((answered, result),) = floor.of(CommandResult)
    assert (answered, result.outcome) == (START + 14 * MS, Outcome.ACCEPTED)


def test_a_cancel_under_way_loses_to_a_fill(tmp_path: Path) -> None:
    floor = Floor(tmp_path, perpetual(), start_ns=START, latency=FAR)
    floor.take(at(1, 100.0))
    floor.send(limit("bw-a-0-0", "99"), START + 2 * MS)
    floor.send(limit("bw-b-0-0", "99"), START + 3 * MS)
    floor.send(CancelOrder("bw-b-0-0", BTC), START + 4 * MS)
    floor.send(CancelOrder("bw-a-0-0", BTC), START + 20 * MS)
    floor.take(at(24, 98.9, size=9.0, side="sell"))
    floor.until(START + 50 * MS)
    ((_, fill),) = floor.of(FillReport)
    assert (fill.fill.client_id, fill.fill.ts_ns, fill.fill.price) == ("bw-a-0-0", START + 24 * MS, D(99))
    ends = {report.order.client_id: report.order.status for _, report in floor.of(OrderReport)}
    assert ends == {"bw-a-0-0": OrderStatus.FILLED, "bw-b-0-0": OrderStatus.CANCELLED}
    cancels = [result.outcome for _, result in floor.of(CommandResult) if result.command == "CancelOrder"]
    assert cancels == [Outcome.ACCEPTED, Outcome.NOT_FOUND]


def test_market_data_is_heard_later_than_it_moves_the_market(tmp_path: Path) -> None:
    floor = Floor(tmp_path, perpetual(), start_ns=START, latency=Latency(0, 0, feed_ns=3 * MS))
    floor.take(at(1, 100.0, side="buy"))
    floor.send(market("bw-a-0-0"), START + 2 * MS)
    floor.until(START + 10 * MS)
    ((heard, data),) = floor.of(Trade)
    assert heard == data.recv_ns == START + 4 * MS and data.ts_ns == START + 1 * MS
    ((_, report),) = floor.of(FillReport)
    assert report.fill.ts_ns == START + 2 * MS, "it met a trade that we had not heard of"


def test_with_jitter_commands_overtake_each_other_and_streams_do_not(tmp_path: Path) -> None:
    floor = Floor(tmp_path, perpetual(), start_ns=START, latency=Latency(MS, MS, feed_ns=MS, jitter_ns=9 * MS))
    floor.take(at(0, 100.0))
    for number in range(40):
        floor.take(at(1 + number * 0.1, 100.0 + number))
        floor.send(limit(f"bw-{number}-0-0", "90"), START + int((1 + number * 0.1) * MS))
    floor.until(START + 100 * MS)
    accepted = [result.client_id for _, result in floor.of(CommandResult)]
    opened = [report.order for _, report in floor.of(OrderReport)]
    arrived = [order.updated_ns for order in opened]
    assert len(accepted) == len(opened) == 40
    assert arrived == sorted(arrived), "the engine took them as they came, and the stream told them in that order"
    assert [order.client_id for order in opened] != [f"bw-{number}-0-0" for number in range(40)]
    assert accepted != [order.client_id for order in opened], "answers are calls of their own"
    told = [(when, data.price) for when, data in floor.of(Trade)]
    assert [price for _, price in told] == [100.0, *(100.0 + number for number in range(40))]
    assert told == sorted(told)


@settings(deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**40), base=st.integers(min_value=0, max_value=10**7))
def test_jitter_is_within_its_bounds_and_the_same_for_a_seed(seed: int, base: int) -> None:
    ways = [Way(base, Latency(base, base, jitter_ns=1_000, seed=seed), "order") for _ in range(2)]
    first, second = ([way.next_ns() for _ in range(50)] for way in ways)
    assert first == second
    assert all(base <= took <= base + 1_000 for took in first)
    assert len(set(first)) > 5 if base else set(first) == {0}


def test_latencies_are_told_or_configured() -> None:
    plain = conf.load("backtest", {}, {})
    assert latency(plain, None, 3) == Latency(5 * MS, 5 * MS, seed=3)
    assert latency(plain, 2.5, 3) == Latency(2_500_000, 2_500_000, seed=3)
    assert latency(plain, {"feed": 1, "order": 2, "jitter": 0.5}, 0) == Latency(2 * MS, 2 * MS, MS, 500_000)
    more = {"backtest.answer_latency_ms": 9.0, "backtest.feed_latency_ms": 1.0, "backtest.jitter_ms": 2.0}
    told = conf.load("backtest", more, {})
    assert latency(told, None, 0) == Latency(5 * MS, 9 * MS, MS, 2 * MS)
    assert latency(told, {"order": 1}, 0) == Latency(MS, 9 * MS, MS, 2 * MS)
    with pytest.raises(BacktestError, match="expected latencies of feed, order, answer, jitter, found 'back'"):
        latency(plain, {"back": 1}, 0)
    with pytest.raises(BacktestError, match="expected latencies of at least 0, found order -1 ms, answer -1 ms"):
        latency(plain, -1, 0)


# -- a night -----------------------------------------------------------------------------------


def share(day: int, hour: int, minute: int, price: float) -> Trade:
    moment = new_york(day, hour, minute)
    return Trade("alpaca:AAPL", 0, 0, moment, moment, price, 100.0, "sell")


def test_what_is_good_till_cancelled_waits_for_the_next_day_and_fills_in_its_hours(tmp_path: Path) -> None:
    stock = perpetual("alpaca:AAPL", kind=ContractKind.EQUITY, quote="USD", lot=D("0.5"), min_quantity=D("0.5"))
    stock = msgspec.structs.replace(stock, venue="alpaca", tick=D("0.01"))
    floor = Floor(tmp_path, stock, start_ns=new_york(2, 15, 0))
    floor.take(share(2, 15, 0, 200.0))
    for name, quantity in (("bw-whole-0-0", "2"), ("bw-part-0-0", "1.5")):
        order = limit(name, "195", quantity=quantity, symbol="alpaca:AAPL", time_in_force=TimeInForce.GTC)
        floor.send(order, new_york(2, 15, 1))
    for price, *when in ((190.0, 2, 16, 30), (190.0, 6, 8, 0), (198.0, 6, 9, 30)):
        floor.take(share(*when, price))  # type: ignore[arg-type]
        assert floor.of(FillReport) == []
    floor.take(share(6, 9, 35, 190.0))
    floor.until(new_york(6, 9, 36))
    ((_, report),) = floor.of(FillReport)
    assert (report.fill.client_id, report.fill.price, report.fill.ts_ns) == ("bw-whole-0-0", D(195), new_york(6, 9, 35))
    ends = {report.order.client_id: report.order for _, report in floor.of(OrderReport)}
    part = ends["bw-part-0-0"]
    assert (part.status, part.updated_ns) == (OrderStatus.EXPIRED, new_york(2, 16, 0))
    changes = [(when, report.instruments[0].trading) for when, report in floor.of(InstrumentsReport)]
    assert changes == [(new_york(2, 15, 0), True), (new_york(2, 16, 0), False), (new_york(6, 9, 30), True)]
    listed = floor.of(InstrumentsReport)[1][1].instruments[0]
    assert (listed.opens_ns, listed.closes_ns) == (new_york(6, 9, 30), new_york(6, 16, 0)), "the 3rd is a holiday"


# -- the past ----------------------------------------------------------------------------------


class Student(Strategy):
    """Notes what it is shown of the past, and when live bars begin."""

    timeframes = ("5m",)
    history = {"5m": 20}  # type: ignore[assignment]
    shown: list[tuple[int, bool, float]] = []

    def on_bar(self, bar: Bar) -> None:
        self.shown.append((bar.ts_ns, self.warming, bar.close))


def rising(path: Path, count: int, start: int = START) -> Path:
    return bars(path, steps([30_000.0 + n for n in range(count)]), start=start)


def catalogued(folder: Path, source: Path, symbol: str = "BTCUSDT") -> Path:
    report = import_rows(folder, str(source), load(source, Told(venue="bybit", symbols=(symbol,))))
    assert not report.refused
    return folder


def asked(root: Path, interval_ns: int, count: int, until_ns: int) -> HistoryReport:
    floor = Floor(root, perpetual(), start_ns=until_ns, latency=FAR)
    floor.send(FetchHistory("s", BTC, interval_ns, count, until_ns, (1, 2)), until_ns)
    floor.until(until_ns + 13 * MS)
    ((when, report),) = floor.of(HistoryReport)
    assert when == until_ns + 12 * MS and (report.asker, report.mark) == ("s", (1, 2))
    return report


def test_bars_of_the_data_are_told_up_to_the_moment_of_the_question(tmp_path: Path) -> None:
    root = catalogued(tmp_path / "c", rising(tmp_path / "BTCUSDT.parquet", 100))
    # Asked a second before the 41st minute is over: the 40th, which began at minute 39, is the last that is told.
    report = asked(root, MINUTE, 3, START + 41 * MINUTE - 10**9)
    assert [(bar.ts_ns - START) // MINUTE for bar in report.bars] == [37, 38, 39]
    assert [bar.close for bar in report.bars] == [30_037.0, 30_038.0, 30_039.0]
    assert (asked(root, MINUTE, 3, START + 41 * MINUTE).bars[-1].ts_ns - START) // MINUTE == 40


def test_longer_bars_are_made_of_those_of_the_data(tmp_path: Path) -> None:
    root = catalogued(tmp_path / "c", rising(tmp_path / "BTCUSDT.parquet", 100, START + 2 * MINUTE))
    report = asked(root, 5 * MINUTE, 50, START + 41 * MINUTE)
    # The data begin within the bar of minute 0, and that of minute 40 is not over.
    assert [(bar.ts_ns - START) // MINUTE for bar in report.bars] == [5, 10, 15, 20, 25, 30, 35]
    first = report.bars[0]
    assert (first.open, first.high, first.low, first.close, first.volume) == (
        30_002.0,
        30_007.0,
        30_002.0,
        30_007.0,
        500.0,
    )


def test_bars_are_made_of_trades_where_there_are_no_others(tmp_path: Path) -> None:
    ticks = {
        "ts_ns": [START + n * 20 * 10**9 for n in range(30)],
        "price": [30_000.0 + n for n in range(30)],
        "size": [0.5] * 30,
        "side": ["buy"] * 30,
        "trade_id": [str(n) for n in range(30)],
    }
    pq.write_table(pa.table(ticks), tmp_path / "BTCUSDT.parquet")
    root = catalogued(tmp_path / "c", tmp_path / "BTCUSDT.parquet")
    report = asked(root, MINUTE, 2, START + 4 * MINUTE + 30 * 10**9)
    assert [(bar.open, bar.close, bar.volume) for bar in report.bars] == [
        (30_006.0, 30_008.0, 1.5),
        (30_009.0, 30_011.0, 1.5),
    ]


def test_what_the_data_do_not_have_is_told_with_a_reason(tmp_path: Path) -> None:
    root = catalogued(tmp_path / "c", rising(tmp_path / "BTCUSDT.parquet", 10))
    early, finer = asked(root, MINUTE, 5, START), asked(root, 10**9, 5, START + 5 * MINUTE)
    assert (early.bars, finer.bars) == ((), ())
    assert early.reason == "NO_HISTORY the data begin later" and "no bars of that length" in finer.reason


def test_a_weekend_in_the_data_is_looked_beyond(tmp_path: Path) -> None:
    later = START + 3 * 24 * 60 * MINUTE
    rising(tmp_path / "BTCUSDT.parquet", 30)
    root = catalogued(tmp_path / "c", tmp_path / "BTCUSDT.parquet")
    catalogued(root, rising(tmp_path / "BTCUSDT.parquet", 5, later))
    report = asked(root, MINUTE, 60, later + 2 * MINUTE)
    assert len(report.bars) == 32


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=30, max_value=90), second=st.integers(min_value=0, max_value=59))
def test_nothing_that_was_not_over_is_ever_told(tmp_path: Path, cut: int, second: int) -> None:
    whole = [30_000.0 + n for n in range(100)]
    moment = START + cut * MINUTE + second * 10**9
    told = []
    for number, closes in enumerate(([*whole], [*whole[:cut], *(29_000.0 - n for n in range(100 - cut))])):
        folder = tmp_path / f"{cut}-{second}-{number}"
        path = bars(tmp_path / "BTCUSDT.parquet", steps(closes))
        root = folder if folder.exists() else catalogued(folder, path)
        told.append([asked(root, length * MINUTE, 40, moment).bars for length in (1, 5)])
    assert told[0] == told[1]
    assert all(bar.ts_ns + bar.interval_ns <= moment for found in told[0] for bar in found)
    assert all(found for found in told[0])


def test_a_strategy_warms_up_on_what_was_before_the_start(tmp_path: Path) -> None:
    path = rising(tmp_path / "BTCUSDT.parquet", 200)
    Student.shown = []
    start = START + 121 * MINUTE
    bigwheel.backtest(Student, data=path, symbols=BTC, start=start)
    before = [row for row in Student.shown if row[1]]
    live = [row for row in Student.shown if not row[1]]
    assert [(ts_ns - START) // MINUTE for ts_ns, _, _ in before] == list(range(20, 120, 5))
    # Of the bar of minute 120 the first minute is of the past and the rest live: it has no hole.
    assert [(ts_ns - START) // MINUTE for ts_ns, _, _ in live] == list(range(120, 200, 5))
    assert live[0][2] == 30_124.0
