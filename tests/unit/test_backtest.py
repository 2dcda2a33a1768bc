"""A strategy on recorded data: what it is told and when, what its orders meet, and what is said of it at the end."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import bigwheel
import conf
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.prices import Prices
from bigwheel.backtests.result import BacktestResult
from bigwheel.cli.app import app
from exchanges.model.market import Bar
from strategies.errors import StrategyError
from strategies.strategy import Strategy

BTC, ETH = "bybit:BTCUSDT", "bybit:ETHUSDT"
MINUTE = 60_000_000_000
START = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""
LATENCY = 5_000_000
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).parents[2] / "../shared/data"))
SHARED = Path("bars/binance_usdm_1m")

Row = tuple[float, float, float, float]


class Timed(Strategy):
    """Buys at the close of one bar and sells at that of another, counted from 1."""

    class Params(bigwheel.StrategyParams):
        buy: int = 3
        sell: int = 6
        size: float = 0.1

    def __init__(self) -> None:
        self.count = 0
        self.seen: list[int] = []

    def on_bar(self, bar: Bar) -> None:
        assert self.now == bar.ts_ns + bar.interval_ns
        self.count += 1
        if self.count == self.params.buy:
            self.buy(quantity=Decimal(str(self.params.size)))
        elif self.count == self.params.sell:
            self.exit("it is time")


def bars(path: Path, rows: list[Row], *, volume: float = 100.0, start: int = START) -> Path:
    """A Parquet file of minute bars."""
    opened, high, low, close = zip(*rows, strict=True)
    columns = {
        "ts_ns": [start + number * MINUTE for number in range(len(rows))],
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "volume": [volume] * len(rows),
    }
    pq.write_table(pa.table(columns), path)
    return path


def steps(closes: list[float]) -> list[Row]:
    """Bars that open where the one before closed."""
    before = [closes[0], *closes[:-1]]
    return [(a, max(a, b), min(a, b), b) for a, b in zip(before, closes, strict=True)]


def wavy(count: int, period: int = 40) -> list[float]:
    """Closes that rise and fall in triangles, with a ripple."""
    return [round(30_000 + 20.0 * abs(n % period - period // 2) + 3.0 * ((n * 7) % 5), 1) for n in range(count)]


def trend(path: Path, **more: Any) -> BacktestResult:
    told = {"source": "bars", "fast": 4, "slow": 10, "enter": 0.3, "patience": 3}
    return bigwheel.backtest("trend", data=path, symbols=BTC, params=told, **more)


SCRIPT: list[Row] = [
    (30_000.0, 30_010.0, 29_990.0, 30_000.0),
    (30_000.0, 30_010.0, 29_990.0, 30_000.0),
    (30_000.0, 30_010.0, 29_990.0, 30_000.0),
    (30_050.0, 30_120.0, 30_040.0, 30_100.0),
    (30_100.0, 30_110.0, 30_090.0, 30_100.0),
    (30_100.0, 30_110.0, 30_090.0, 30_100.0),
    (30_080.0, 30_090.0, 30_060.0, 30_070.0),
    (30_070.0, 30_080.0, 30_060.0, 30_070.0),
]


def test_an_order_sent_at_a_bars_close_is_filled_at_the_next_ones_open(tmp_path: Path) -> None:
    # Buyers lift the open above the close before, so it is the best ask; sellers that below, so it is the best bid.
    result = bigwheel.backtest(Timed, data=bars(tmp_path / "BTCUSDT.parquet", SCRIPT), symbols=BTC)
    bought, sold = result.fills.to_pylist()
    assert (bought["side"], bought["quantity"], bought["price"]) == ("buy", 0.1, 30_050.0)
    assert (sold["side"], sold["quantity"], sold["price"]) == ("sell", 0.1, 30_080.0)
    assert bought["ts_ns"] == START + 3 * MINUTE + LATENCY
    assert sold["ts_ns"] == START + 6 * MINUTE + LATENCY
    assert (bought["liquidity"], bought["fee"]) == ("taker", float(Decimal("3005") * Decimal("0.00055")))
    assert sold["fee"] == float(Decimal("3008") * Decimal("0.00055"))


def test_a_round_trip_adds_up_to_what_the_account_has_gained(tmp_path: Path) -> None:
    result = bigwheel.backtest(Timed, data=bars(tmp_path / "BTCUSDT.parquet", SCRIPT), symbols=BTC, cash=50_000)
    (trip,) = result.trades.to_pylist()
    fees = float(Decimal("6013") * Decimal("0.00055"))
    assert (trip["side"], trip["quantity"], trip["bars_held"]) == ("long", 0.1, 3)
    assert (trip["entry_price"], trip["exit_price"]) == (30_050.0, 30_080.0)
    assert (trip["gross"], trip["fees"]) == (3.0, fees)
    assert trip["pnl"] == pytest.approx(3.0 - fees, abs=1e-12)
    assert trip["return"] == pytest.approx((3.0 - fees) / 3_005, abs=1e-12)
    assert result.summary["final_equity"] == pytest.approx(50_000 + 3.0 - fees, abs=1e-9)
    assert result.summary["realized_pnl"] == pytest.approx(trip["pnl"], abs=1e-12)
    assert result.summary["signals"] == {"EXECUTED": 2}
    assert [order["status"] for order in result.orders.to_pylist()] == ["filled", "filled"]


def test_equity_follows_the_closes_while_something_is_held(tmp_path: Path) -> None:
    result = bigwheel.backtest(Timed, data=bars(tmp_path / "BTCUSDT.parquet", SCRIPT), symbols=BTC, cash=50_000)
    rows = {row["ts_ns"]: row for row in result.equity.to_pylist()}
    held = rows[START + 4 * MINUTE]
    fee = 3_005 * 0.00055
    assert held["equity"] == pytest.approx(50_000 + 5.0 - fee)
    assert held["cash"] == pytest.approx(50_000 - fee)
    assert held["exposure"] == held["gross_exposure"] == pytest.approx(3_010)
    assert rows[START + MINUTE]["equity"] == 50_000 and rows[START + MINUTE]["exposure"] == 0


def test_costs_replace_the_venues_own(tmp_path: Path) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", SCRIPT)
    free = bigwheel.backtest(Timed, data=path, symbols=BTC, costs={"maker": 0, "taker": 0})
    assert free.summary["fees"] == 0 and free.summary["realized_pnl"] == 3.0


def test_a_signal_that_a_limit_stops_is_there_with_its_gate(tmp_path: Path) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", SCRIPT)
    narrow = {"risk": {"symbol_notional": 100, "order_notional": 100, "total_notional": 100}}
    result = bigwheel.backtest(Timed, data=path, symbols=BTC, config=narrow)
    first = result.signals.to_pylist()[0]
    assert first["state"] == "BLOCKED" and first["gate"] and first["code"] and first["detail"]
    assert result.fills.num_rows == 0 and result.summary["final_equity"] == 100_000


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=40, max_value=190), drop=st.booleans())
def test_no_decision_depends_on_what_comes_later(tmp_path: Path, cut: int, drop: bool) -> None:
    closes = wavy(200)
    later = [] if drop else list(reversed(closes[cut:]))
    whole = trend(bars(tmp_path / "BTCUSDT.parquet", steps(closes)))
    other = trend(bars(tmp_path / "BTCUSDT.parquet", steps([*closes[:cut], *later])))
    moment = START + cut * MINUTE

    def past(result: BacktestResult) -> tuple[list[Any], list[Any]]:
        signals = [
            (row["signal_id"], row["side"], row["conviction"], row["created_ns"])
            for row in result.signals.to_pylist()
            if row["created_ns"] <= moment
        ]
        return signals, [row for row in result.fills.to_pylist() if row["ts_ns"] < moment]

    assert past(whole)[0], "nothing was decided, so nothing was shown"
    assert past(other) == past(whole)


def test_the_same_seed_gives_the_same_tables(tmp_path: Path) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", steps(wavy(150)))
    first, second = trend(path, seed=3), trend(path, seed=3)
    for name in ("orders", "fills", "trades", "equity", "signals", "prices"):
        assert getattr(first, name).equals(getattr(second, name)), name
    assert first.fills.num_rows > 0


def test_several_symbols_come_in_the_order_of_time(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []

    class Watcher(Strategy):
        together = True

        def on_bar(self, bar: Bar) -> None:
            seen.append((self.now, bar.symbol))

    bars(tmp_path / "BTCUSDT.parquet", steps(wavy(20)))
    bars(tmp_path / "ETHUSDT.parquet", steps([2_000.0 + n for n in range(20)]), start=START + MINUTE // 2)
    result = bigwheel.backtest(Watcher, data=tmp_path, symbols=[BTC, ETH])
    assert len(seen) == result.summary["bars"] == 40
    assert seen == sorted(seen) and [symbol for _, symbol in seen[:4]] == [BTC, ETH, BTC, ETH]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"strategy": "trnd"}, "did you mean 'trend'"),
        ({"symbols": "bybit:DOGEUSDT"}, "expected trades, quotes, books or bars of bybit:DOGEUSDT"),
        ({"symbols": "BTCUSDT"}, "expected venue:NATIVE"),
        ({"params": {"quick": 3}}, "quick"),
        ({"params": {}}, "expected Trade data of bybit:BTCUSDT, which Trend listens to, found bar"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "expected a start before the end"),
        ({"start": "2027-01-01"}, "expected market data between start and end"),
        ({"data": "/nowhere/at/all"}, "expected market data at /nowhere/at/all"),
        ({"costs": {"tax": 1}}, "found 'tax'"),
        ({"cash": -1}, "expected cash above 0"),
    ],
)
def test_bad_input_is_told(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", SCRIPT)
    told: dict[str, Any] = {"strategy": "trend", "data": path, "symbols": BTC, "params": {"source": "bars"}, **changed}
    with pytest.raises((BacktestError, StrategyError), match=said):
        bigwheel.backtest(told.pop("strategy"), **told)


def test_the_one_file_of_a_folder_is_not_taken_for_another_symbols(tmp_path: Path) -> None:
    bars(tmp_path / "BTCUSDT.parquet", SCRIPT)
    with pytest.raises(BacktestError, match=r"of bybit:DOGEUSDT at .*, found a file named after BTCUSDT"):
        bigwheel.backtest("trend", data=tmp_path, symbols="bybit:DOGEUSDT", params={"source": "bars"})


def test_settings_are_taken_as_they_are(tmp_path: Path) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", SCRIPT)
    told = conf.load("backtest", {"simulator.taker_fee": 0.001, "simulator.latency_ms": 250}, {})
    fill = bigwheel.backtest(Timed, data=path, symbols=BTC, config=told).fills.to_pylist()[0]
    assert (fill["fee"], fill["ts_ns"]) == (3.005, START + 3 * MINUTE + 250_000_000)


def test_a_strategy_that_fails_ends_the_run_with_its_words(tmp_path: Path) -> None:
    class Broken(Strategy):
        def on_bar(self, bar: Bar) -> None:
            raise ValueError("no such luck")

    with pytest.raises(BacktestError, match=r"Broken\.on_bar .* no such luck"):
        bigwheel.backtest(Broken, data=bars(tmp_path / "BTCUSDT.parquet", SCRIPT), symbols=BTC)


def test_the_command_prints_figures_and_writes_tables(tmp_path: Path) -> None:
    path, out = bars(tmp_path / "BTCUSDT.parquet", steps(wavy(80))), tmp_path / "out"
    arguments = [
        "backtest",
        "trend",
        "--data",
        str(path),
        "--symbols",
        BTC,
        "--param",
        "source=bars",
        "--out",
        str(out),
        "--report",
        str(out),
    ]
    said = CliRunner().invoke(app, [*arguments, "--param", "fast=4", "--param", "slow=10", "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["bars"] == 80
    assert json.loads((out / "summary.json").read_text())["params"] == {"source": "bars", "fast": 4, "slow": 10}
    assert pq.read_table(out / "equity.parquet").num_rows == 80
    assert "<html" in (out / "report.html").read_text()
    assert (out / "figures.json").exists()


def test_a_trend_is_followed_through_recorded_bars() -> None:
    path = DATA / SHARED / "BTCUSDT.parquet"
    if not path.exists():
        pytest.skip(f"no recorded bars at {path}; set BIGWHEEL_DATA")
    result = bigwheel.backtest("trend", data=path, symbols=BTC, params={"source": "bars"}, end="2023-07-20")
    told = result.summary
    assert told["bars"] == 1_440 and told["fills"] > 0
    assert told["orders"] == {"filled": told["fills"]}
    assert told["final_equity"] == pytest.approx(result.equity["equity"].to_pylist()[-1])


def test_a_chart_has_all_of_the_bars_in_a_few_thousand_rows() -> None:
    prices = Prices()
    for number in range(12_345):
        level = 100.0 + number
        bar = Bar(BTC, 1, number, number * MINUTE, 0, level, level + 0.5, level - 0.5, level, 1.0, MINUTE)
        prices.extend(BTC, (bar,))
    rows = prices.rows()
    assert len(rows) == -(-12_345 // 4) and rows[0]["ts_ns"] == 0
    assert (rows[1]["open"], rows[1]["high"], rows[1]["low"], rows[1]["close"]) == (104.0, 107.5, 103.5, 107.0)
    assert rows[-1]["close"] == 100.0 + 12_344
