"""Backtests over several symbols and venues, short and through zero, reckoned by hand; timers put off or not."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import bigwheel
from bigwheel.backtests.result import BacktestResult
from bigwheel.backtests.session import Session
from exchanges.model.flow import Bracket, Rest
from exchanges.model.market import Trade
from strategies.strategy import Strategy
from tests.unit.backtest_files import MS, SECOND, START, scripted, told, trades

SOL, XRP, PERP = "bybit:SOLUSDT", "bybit:XRPUSDT", "hyperliquid:SOL"
TAKER, THEIRS = Decimal("0.00055"), Decimal("0.00045")
"""Bybit's rate here, and Hyperliquid's."""


def walk(path: Path, prices: list[float], *, first_ms: int = 0) -> Path:
    """A trade a second."""
    return trades(path, [(first_ms + 1_000 * n, price, 50.0, "buy") for n, price in enumerate(prices)])


def equity(result: BacktestResult) -> float:
    return float(result.summary["final_equity"])


def trips(result: BacktestResult) -> list[tuple[Any, ...]]:
    return told(result.trades, "symbol", "side", "quantity", "entry_price", "exit_price")


# -- short, and through zero -----------------------------------------------------------------


def test_a_short_sale_earns_what_the_price_falls(tmp_path: Path) -> None:
    data = walk(tmp_path / "SOLUSDT.parquet", [100.0, 98.5])
    strategy = scripted("on_trade", {1: lambda own: own.sell(quantity=4), 2: lambda own: own.exit()})
    result = bigwheel.backtest(strategy, data=data, symbols=SOL, depth="exact", cash=10_000)
    assert trips(result) == [(SOL, "short", 4.0, 100.0, 98.5)]
    fees = TAKER * 4 * (100 + Decimal("98.5"))
    assert equity(result) == pytest.approx(float(10_006 - fees), abs=1e-9)
    assert told(result.equity, "exposure", "gross_exposure")[-1] == (0.0, 0.0)


def test_one_order_goes_through_zero_and_its_fee_is_shared_by_quantity(tmp_path: Path) -> None:
    data = walk(tmp_path / "SOLUSDT.parquet", [100.0, 103.0, 101.0, 101.0])
    moves = {
        1: lambda own: own.buy(quantity=2),
        2: lambda own: own.sell(quantity=5),
        3: lambda own: own.buy(quantity=4),
    }
    result = bigwheel.backtest(scripted("on_trade", moves), data=data, symbols=SOL, depth="exact", cash=10_000)
    assert trips(result) == [(SOL, "long", 2.0, 100.0, 103.0), (SOL, "short", 3.0, 103.0, 101.0)]
    first, second = result.trades["fees"].to_pylist()
    assert first == pytest.approx(float(TAKER * (200 + 2 * 103)), abs=1e-12)
    assert second == pytest.approx(float(TAKER * (3 * 103 + 3 * 101)), abs=1e-12)
    # The last purchase leaves one, bought and valued at 101.
    fees = TAKER * (200 + 5 * 103 + 4 * 101)
    assert equity(result) == pytest.approx(float(10_000 + 6 + 6 - fees), abs=1e-9)
    assert told(result.equity, "exposure")[-1] == (101.0,)


# -- several symbols -------------------------------------------------------------------------


def test_each_symbol_has_an_instance_and_all_share_the_account(tmp_path: Path) -> None:
    walk(tmp_path / "SOLUSDT.parquet", [100.0, 101.0, 102.0])
    walk(tmp_path / "XRPUSDT.parquet", [0.5, 0.49, 0.48], first_ms=300)

    class Sided(Strategy):
        """Buys the dear one, sells the cheap one short."""

        def __init__(self) -> None:
            self.done = False

        def on_trade(self, trade: Trade) -> None:
            if not self.done:
                self.signal("buy" if trade.price > 1 else "sell", 1.0, quantity=20)
                self.done = True

    more: dict[str, Any] = {"depth": "exact", "cash": 10_000, "costs": {"maker": 0, "taker": 0.001}}
    result = bigwheel.backtest(Sided, data=tmp_path, symbols=[SOL, XRP], **more)
    assert told(result.fills, "symbol", "side", "price") == [(SOL, "buy", 100.0), (XRP, "sell", 0.5)]
    fees = Decimal("0.001") * (2_000 + 10)
    assert equity(result) == pytest.approx(float(10_000 + 40 + Decimal("0.4") - fees), abs=1e-9)
    last = result.equity.to_pylist()[-1]
    assert last["exposure"] == pytest.approx(2_040 - 9.6) and last["gross_exposure"] == pytest.approx(2_049.6)


# -- several venues --------------------------------------------------------------------------


class Spread(Strategy):
    """Buys at one venue and sells at the other when they are first apart, and ends both when they are together."""

    together = True

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.stage = 0

    def on_trade(self, trade: Trade) -> None:
        self.last[trade.symbol] = trade.price
        if len(self.last) < 2:
            return
        apart = self.last[PERP] - self.last[SOL]
        if self.stage == 0 and apart > 1:
            self.stage = 1
            self.buy(quantity=3, symbol=SOL)
            self.sell(quantity=3, symbol=PERP)
        elif self.stage == 1 and apart < 0.5:
            self.stage = 2
            self.exit(symbol=SOL)
            self.exit(symbol=PERP)


def test_two_venues_trade_at_once_each_with_its_fees_and_cash(tmp_path: Path) -> None:
    walk(tmp_path / "SOLUSDT.parquet", [100.0, 100.5, 101.0, 101.0])
    walk(tmp_path / "SOL.parquet", [100.2, 102.0, 101.2, 101.2], first_ms=100)
    result = bigwheel.backtest(Spread, data=tmp_path, symbols=[SOL, PERP], depth="exact", cash=5_000)
    assert result.summary["starting_cash"] == 10_000
    assert trips(result) == [(SOL, "long", 3.0, 100.5, 101.0), (PERP, "short", 3.0, 102.0, 101.2)]
    ours = TAKER * 3 * (Decimal("100.5") + 101)
    theirs = sum(_up(THEIRS * 3 * price) for price in (Decimal("102"), Decimal("101.2")))
    gained = 3 * (Decimal("0.5") + Decimal("0.8"))
    assert equity(result) == pytest.approx(float(10_000 + gained - ours - theirs), abs=1e-9)
    moments = [(at - START) / MS for (at,) in told(result.fills, "ts_ns")]
    assert moments == [1_105.0, 1_105.0, 2_105.0, 2_105.0]


def _up(amount: Decimal) -> Decimal:
    """To Hyperliquid's finest amount, which fees are rounded up to."""
    step = Decimal("0.000001")
    return math.ceil(amount / step) * step


# -- timers that are put off -------------------------------------------------------------------


class Busy(Strategy):
    """Quotes, brackets, timers and plain orders, one after the other, by the number of the trade."""

    def __init__(self) -> None:
        self.count = 0

    def on_trade(self, trade: Trade) -> None:
        self.count += 1
        turn = self.count % 10
        if turn == 1:
            self.signal(
                "buy", 0.8, quantity=1, limit_price=f"{trade.price - 0.05:.2f}", flow=Rest(lifetime_ns=5 * SECOND)
            )
        elif turn == 3 and not self.position.quantity:
            stop, target = (Decimal(f"{trade.price + away:.2f}") for away in (-0.2, 0.2))
            self.buy(0.9, quantity=2, flow=Bracket(take_profit=target, stop_loss=stop, lifetime_ns=6 * SECOND))
        elif turn == 6:
            self.timer("later", 1.7)
        elif turn == 9:
            self.exit("the end of a turn")

    def on_timer(self, name: str) -> None:
        self.sell(0.5, quantity=1)


def test_timers_that_are_put_off_change_no_signal_order_or_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = [round(100 + 0.6 * math.sin(n / 3.0) + 0.15 * math.cos(1.7 * n), 2) for n in range(240)]
    rows = [(4_000 * n, price, 3.0, "buy" if n % 2 else "sell") for n, price in enumerate(prices)]
    data = trades(tmp_path / "SOLUSDT.parquet", rows)

    def run() -> BacktestResult:
        return bigwheel.backtest(Busy, data=data, symbols=SOL, config={"learner": {"horizon_s": 10.0}})

    rested = run()
    monkeypatch.setattr(Session, "_quiet", lambda _: False)
    awake = run()
    assert awake.summary["messages"] > 1.1 * rested.summary["messages"], "nothing was put off, so nothing was shown"
    assert rested.summary["signals"].get("EXECUTED", 0) > 20 and rested.fills.num_rows > 20
    for name in ("signals", "orders", "fills", "trades", "equity"):
        assert getattr(rested, name).equals(getattr(awake, name)), name
