"""What waits for a price on bars alone is met within them, on the bar's way and never before its time."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bigwheel
from bigwheel.backtests import run as running
from bigwheel.backtests.result import BacktestResult
from exchanges.model.flow import Bracket, Conditional, Direction, Flow, Oco, Rest, TrailingStop, Trigger
from exchanges.model.market import Bar
from strategies.strategy import Strategy
from tests.unit.backtest_files import SECOND, START, scripted, told

SOL = "bybit:SOLUSDT"
MINUTE = 60 * SECOND
FLAT = (100.0, 100.0, 100.0, 100.0)
Row = tuple[float, float, float, float]
FREE: dict[str, Any] = {"risk": {"cooldown_s": 0}, "learner": {"stage": "off"}}


def bars(folder: Path, rows: list[Row], minutes: list[int] | None = None, volume: float = 4_000.0) -> Path:
    """Minute bars: open, high, low, close; each at its minute."""
    opened, high, low, close = zip(*rows, strict=True)
    at = [START + minute * MINUTE for minute in minutes or range(len(rows))]
    columns = {"ts_ns": at, "open": opened, "high": high, "low": low, "close": close, "volume": [volume] * len(rows)}
    path = folder / "SOLUSDT.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def run(folder: Path, moves: dict[int, Callable[[Any], object]], rows: list[Row], **more: Any) -> BacktestResult:
    """A move at the n-th bar's close, without made-up depth unless it is told."""
    data = bars(folder, rows, more.pop("minutes", None), more.pop("volume", 4_000.0))
    asked = {"depth": "exact", "config": FREE, "cash": 100_000, **more}
    return bigwheel.backtest(scripted("on_bar", moves), data=data, symbols=SOL, **asked)


def fills(result: BacktestResult) -> list[tuple[str, float, int]]:
    """Side and price, and the bar in which it was."""
    rows = told(result.fills, "side", "price", "ts_ns")
    return [(side, price, (at - START) // MINUTE) for side, price, at in rows]


def entering(flow: Flow, side: str = "buy", **more: Any) -> dict[int, Callable[[Any], object]]:
    return {2: lambda own: own.signal(side, 1.0, quantity=4, flow=flow, **more)}


def bracket(target: str | None = "102", stop: str | None = "99", trail: str | None = None) -> Bracket:
    return Bracket(*(Decimal(each) if each else None for each in (target, stop, trail)))


# -- stops ---------------------------------------------------------------------------------


def test_a_stop_is_met_within_the_bar_at_its_price(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 100.5, 98.0, 100.2), FLAT]
    assert fills(run(tmp_path, entering(bracket()), rows)) == [("buy", 100.0, 2), ("sell", 99.0, 3)]


@pytest.mark.parametrize("shape", [("102", "99", None), (None, "99", None), (None, None, "1.5")])
def test_a_stop_is_met_at_the_same_price_whether_it_rests_at_the_venue_or_is_watched_here(
    tmp_path: Path, shape: tuple[str | None, str | None, str | None]
) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 100.5, 98.0, 100.2), FLAT]
    found = []
    for native in (True, False):
        told = {**FREE, "exchange": {"bybit": {"native_stops": native}}}
        found.append(fills(run(tmp_path, entering(bracket(*shape)), rows, config=told)))
    assert found[0] == found[1]
    assert [side for side, _, _ in found[0]] == ["buy", "sell"]


def test_a_stop_of_a_short_position_is_met_on_the_way_up(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 102.0, 99.9, 100.2), FLAT]
    result = run(tmp_path, entering(bracket("98", "101"), "sell"), rows)
    assert fills(result) == [("sell", 100.0, 2), ("buy", 101.0, 3)]


def test_a_stop_is_met_in_the_bar_in_which_the_position_was_opened(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, (100.0, 100.5, 98.0, 100.2), FLAT]
    assert fills(run(tmp_path, entering(bracket()), rows)) == [("buy", 100.0, 2), ("sell", 99.0, 2)]


def test_a_bar_that_opens_beyond_the_stop_gets_out_at_its_open(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (97.5, 103.0, 97.0, 102.0), FLAT]
    assert fills(run(tmp_path, entering(bracket()), rows)) == [("buy", 100.0, 2), ("sell", 97.5, 3)]


def test_a_bar_that_opens_beyond_the_target_takes_its_open(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (103.0, 103.0, 98.0, 98.5), FLAT]
    assert fills(run(tmp_path, entering(bracket()), rows)) == [("buy", 100.0, 2), ("sell", 103.0, 3)]


def test_the_target_is_met_at_its_price_where_the_stop_is_not_in_the_bar(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 103.0, 99.5, 100.2), FLAT]
    assert fills(run(tmp_path, entering(bracket()), rows)) == [("buy", 100.0, 2), ("sell", 102.0, 3)]


@pytest.mark.parametrize("nearer", ["high", "low"])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_where_a_bar_holds_both_the_stop_comes_first_whichever_extreme_is_nearer(
    tmp_path: Path, side: str, nearer: str
) -> None:
    both = (100.0, 101.5, 96.0, 100.0) if nearer == "high" else (100.0, 104.0, 98.5, 100.0)
    target, stop = ("101", "99") if side == "buy" else ("99", "101")
    out = "sell" if side == "buy" else "buy"
    result = run(tmp_path, entering(bracket(target, stop), side), [FLAT, FLAT, FLAT, both, FLAT])
    assert fills(result) == [(side, 100.0, 2), (out, float(stop), 3)]


def test_a_trailing_stop_follows_the_bar_to_its_high_and_is_met_on_the_way_down(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 103.0, 99.8, 101.0), FLAT]
    # The low, nearer to the open, comes first: 1.5 behind 103 is 101.5, on the way to the close.
    result = run(tmp_path, entering(bracket(None, None, "1.5")), rows)
    assert fills(result) == [("buy", 100.0, 2), ("sell", 101.5, 3)]


def test_exits_of_what_is_held_are_met_within_the_bar(tmp_path: Path) -> None:
    def after(flow: Flow) -> list[tuple[str, float, int]]:
        moves = {
            1: lambda own: own.buy(quantity=4),
            2: lambda own: own.sell(1.0, quantity=4, flow=flow, reduce_only=True),
        }
        return fills(run(tmp_path, moves, [FLAT, FLAT, FLAT, (100.0, 100.4, 97.0, 99.9), FLAT]))

    assert after(Oco(Decimal(104), Decimal("98.5"))) == [("buy", 100.0, 1), ("sell", 98.5, 3)]
    assert after(TrailingStop(Decimal(2))) == [("buy", 100.0, 1), ("sell", 98.4, 3)]


@pytest.mark.parametrize(
    ("direction", "price", "bar", "filled"),
    [
        (Direction.ABOVE, "101", (100.0, 102.0, 99.0, 100.0), 101.0),
        (Direction.BELOW, "99", (100.0, 102.0, 98.0, 100.0), 99.0),
        (Direction.ABOVE, "101", (101.7, 102.0, 101.5, 101.5), 101.7),
    ],
)
def test_a_conditional_order_is_sent_where_its_price_is_met(
    tmp_path: Path, direction: Direction, price: str, bar: Row, filled: float
) -> None:
    flow = Conditional((Trigger(direction, Decimal(price)),))
    result = run(tmp_path, entering(flow), [FLAT, FLAT, FLAT, bar, FLAT], config=FREE | {"risk": LOOSE})
    assert fills(result) == [("buy", filled, 3)]


LOOSE = {"cooldown_s": 0, "max_slippage": 0.3}
WIDE = LOOSE | {"order_notional": 1e6, "symbol_notional": 1e6, "total_notional": 1e6, "daily_budget": None}


def test_a_stop_pays_what_the_made_up_depth_takes_and_is_never_better_than_its_price(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 100.5, 98.0, 100.2), FLAT]
    moves = {2: lambda own: own.buy(1.0, quantity=600, flow=bracket(None))}
    result = run(tmp_path, moves, rows, depth="synthetic", config=FREE | {"risk": WIDE})
    prices = [price for side, price, _ in fills(result) if side == "sell"]
    assert len(prices) > 1 and max(prices) <= 99.0 and min(prices) > 98.0


def test_commands_that_take_time_still_meet_the_stop(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 100.5, 98.0, 100.2), FLAT]
    result = run(tmp_path, entering(bracket()), rows, latency_ms={"feed": 20, "order": 80, "answer": 60, "jitter": 10})
    assert fills(result) == [("buy", 100.0, 2), ("sell", 99.0, 3)]


# -- when what is known --------------------------------------------------------------------


class Listener(Strategy):
    """Notes when it hears of bars and fills; buys with a bracket at the second bar."""

    heard: list[tuple[str, float]] = []

    def __init__(self) -> None:
        self.count = 0
        self.heard.clear()

    def on_tick(self, data: Any) -> None:
        assert isinstance(data, Bar) and data.closed
        self.count += 1
        self.heard.append(("bar", (self.now - START) / MINUTE))
        if self.count == 2:
            self.buy(1.0, quantity=4, flow=bracket())

    def on_fill(self, fill: Any, position: Any) -> None:
        self.heard.append((fill.side.value, (self.now - START) / MINUTE))


def test_a_strategy_hears_of_a_bar_when_it_is_over_and_of_a_stop_when_it_was_met(tmp_path: Path) -> None:
    data = bars(tmp_path, [FLAT, FLAT, FLAT, (100.0, 100.5, 98.0, 100.2), FLAT])
    bigwheel.backtest(Listener, data=data, symbols=SOL, depth="exact", latency_ms=0, config=FREE)
    assert [(what, at) for what, at in Listener.heard if what == "bar"] == [("bar", float(n)) for n in range(1, 6)]
    (bought,), (sold,) = ([at for what, at in Listener.heard if what == side] for side in ("buy", "sell"))
    # The high comes first, at the half of the bar; the stop lies two fifths of the way from there to the low.
    assert bought == 2.0 and sold == pytest.approx(3 + 8 / 16 + 4 / 16 * (1.5 / 2.5), abs=1e-6)


# -- limit orders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bar", "filled"),
    [
        ((99.0, 99.0, 99.0, 99.0), 99.0),
        ((98.0, 101.0, 97.0, 100.0), 98.0),
        ((100.0, 100.5, 99.4, 100.0), 99.5),
    ],
)
def test_a_resting_purchase_is_filled_at_the_open_where_that_is_better(tmp_path: Path, bar: Row, filled: float) -> None:
    resting = Rest(lifetime_ns=20 * MINUTE, post_only=False)
    moves = {2: lambda own: own.buy(1.0, quantity=4, limit_price="99.5", flow=resting)}
    result = run(tmp_path, moves, [FLAT, FLAT, FLAT, bar, FLAT])
    assert fills(result) == [("buy", filled, 3)]


def test_a_resting_order_gets_no_more_than_a_quarter_of_the_volume_at_a_price(tmp_path: Path) -> None:
    resting = Rest(lifetime_ns=20 * MINUTE, post_only=False)
    moves = {2: lambda own: own.buy(1.0, quantity=10, limit_price="99.5", flow=resting)}
    dips = (100.0, 100.4, 99.4, 100.0)
    result = run(tmp_path, moves, [FLAT, FLAT, FLAT, dips, dips, FLAT], volume=12.0)
    assert told(result.fills, "quantity", "price") == [(3.0, 99.5), (3.0, 99.5)]


# -- bars that are missing -----------------------------------------------------------------


def test_an_order_before_a_missing_bar_meets_the_next_ones_open(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, (103.0, 104.0, 102.0, 103.5), FLAT]
    result = run(tmp_path, {2: lambda own: own.buy(quantity=4)}, rows, minutes=[0, 1, 9, 10])
    assert fills(result) == [("buy", 103.0, 9)]
    assert told(result.orders, "status") == [("filled",)]


def test_an_order_at_the_last_bars_close_is_never_filled(tmp_path: Path) -> None:
    result = run(tmp_path, {3: lambda own: own.buy(quantity=4)}, [FLAT, FLAT, FLAT])
    assert not fills(result) and told(result.orders, "status") == [("open",)]
    assert result.summary["final_equity"] == 100_000
    assert result.summary["signals"] == {"EXECUTING": 1}


def test_a_stop_before_missing_bars_gets_out_where_they_begin_again(tmp_path: Path) -> None:
    rows = [FLAT, FLAT, FLAT, (96.0, 97.0, 95.0, 96.5), FLAT]
    result = run(tmp_path, entering(bracket()), rows, minutes=[0, 1, 2, 40, 41])
    assert fills(result) == [("buy", 100.0, 2), ("sell", 96.0, 40)]


# -- always --------------------------------------------------------------------------------


def walked(seed: int, count: int) -> list[Row]:
    draw, last, rows = random.Random(seed), 100.0, list[Row]()
    for _ in range(count):
        prices = [round(last + draw.choice((0.0, 0.0, draw.gauss(0, 0.4))), 2)]
        for _ in range(4):
            prices.append(round(prices[-1] + draw.gauss(0, 0.25), 2))
        last = prices[-1]
        rows.append((prices[0], max(prices), min(prices), last))
    return rows


class Restless(Strategy):
    """Opens with brackets, rests, waits, goes out; by the number of the bar."""

    def __init__(self) -> None:
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        turn, price = self.count % 9, Decimal(str(bar.close))
        side, away = (("buy", 1), ("sell", -1))[self.count // 9 % 2]
        if turn == 1 and not self.position.quantity:
            exits = Bracket(price + away * Decimal("0.6"), price - away * Decimal("0.5"), Decimal("0.7"))
            self.signal(side, 0.9, quantity=2, flow=exits)
        elif turn == 4:
            at = price - away * Decimal("0.2")
            self.signal(side, 0.8, quantity=1, limit_price=at, flow=Rest(lifetime_ns=3 * MINUTE, post_only=False))
        elif turn == 6:
            trigger = Trigger(Direction.ABOVE if away > 0 else Direction.BELOW, price + away * Decimal("0.3"))
            self.signal(side, 0.7, quantity=1, flow=Conditional((trigger,), lifetime_ns=2 * MINUTE))
        elif turn == 8:
            self.exit("the end of a turn")


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_filled_outside_of_its_bar_and_lulls_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rows = walked(seed, 72)
    minutes = [number + 5 * (number // 25) for number in range(len(rows))]
    data = bars(tmp_path, rows, minutes, volume=30.0)
    told_: dict[str, Any] = {"data": data, "symbols": SOL, "depth": "exact", "config": FREE | {"risk": LOOSE}}
    fast = bigwheel.backtest(Restless, **told_)
    made = running.Terms
    monkeypatch.setattr(running, "Terms", lambda *given: made(*given)._replace(lulls=False))
    slow = bigwheel.backtest(Restless, **told_)
    for name in ("signals", "orders", "fills", "trades", "equity"):
        assert getattr(fast, name).to_pylist() == getattr(slow, name).to_pylist(), name
    by_minute = dict(zip(minutes, rows, strict=True))
    found = fills(fast)
    assert len(found) > 12
    for side, price, minute in found:
        _, high, low, _ = by_minute[minute]
        assert low <= price <= high, (side, price, minute)
