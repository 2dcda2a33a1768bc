"""What is passed over together comes to the same as what is taken one by one."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigwheel
from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.learner.prices import Track
from actors.messages.orders import Watch
from actors.risk.market import Market
from actors.risk.settings import RiskSettings
from bigwheel.backtests import run as running
from bigwheel.backtests.result import BacktestResult
from bigwheel.backtests.roster import Strategies
from bigwheel.backtests.session import Session
from exchanges.matching.engine import MatchingEngine
from exchanges.model.flow import Bracket, Conditional, Direction, Rest, Trigger
from exchanges.model.market import Bar, MarketData, Quote, Trade, last_price
from exchanges.paper.books import PaperBooks
from exchanges.paper.settings import PaperSettings
from runtime.lifecycle import CaughtUp, Started
from strategies.strategy import Strategy
from tests.unit.brain_context import FakeContext
from tests.unit.brain_samples import make_instrument

BTC, ETH = "bybit:BTCUSDT", "bybit:ETHUSDT"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_767_225_600_000_000_000
NAMES = ("signals", "orders", "fills", "trades", "equity", "prices")


class Fickle(Strategy):
    """Goes in and out, long and short, at moments that prices decide; asks for timers now and then."""

    def __init__(self) -> None:
        self.before = 0.0
        self.rung = 0

    def on_tick(self, data: MarketData) -> None:
        price, self.before = self.before, last_price(data)
        odd = int(self.before * 10) % 23
        if odd == 7 and price:
            self.signal("buy" if price < self.before else "sell", 0.5 + odd / 50, "odd", move=self.before - price)
        elif odd == 11 and self.position.quantity:
            self.exit("even")
        elif odd == 13:
            self.timer("later", 90.0)

    def on_timer(self, name: str) -> None:
        self.rung += 1
        if self.rung % 3 == 0 and not self.position.quantity:
            self.buy(0.7, "it rang")


class Other(Fickle):
    """The same at other prices, so that two of them are now of one mind and now of two."""

    def on_tick(self, data: MarketData) -> None:
        self.before = self.before or last_price(data)
        price, self.before = self.before, last_price(data)
        odd = int(self.before * 10) % 19
        if odd in (3, 7):
            self.signal("sell" if odd == 3 else "buy", 0.6 + odd / 50, "odd", ttl=300.0, move=self.before - price)
        elif odd == 5 and self.position.quantity:
            self.exit("enough")


@contextlib.contextmanager
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs without lulls."""
    with monkeypatch.context() as patch:
        made = running.Terms
        patch.setattr(running, "Terms", lambda *told: made(*told)._replace(lulls=False))
        yield


def walk(seed: int, count: int, price: float, step: float) -> np.ndarray:
    changes = np.random.default_rng(seed).normal(0, step, count)
    return np.round(price * np.exp(np.cumsum(changes)), 1)


def minute_bars(folder: Path, symbol: str, seed: int, count: int, price: float, step: float, start: int) -> None:
    closes = walk(seed, count, price, step)
    opens = np.concatenate([[price], closes[:-1]])
    columns = {
        "ts_ns": start + np.arange(count) * MINUTE,
        "open": opens,
        "high": np.round(np.maximum(opens, closes) * 1.0003, 1),
        "low": np.round(np.minimum(opens, closes) * 0.9997, 1),
        "close": closes,
        "volume": np.full(count, 40.0),
    }
    pq.write_table(pa.table(columns), folder / f"{symbol}.parquet")


def trades(folder: Path, symbol: str, seed: int, count: int, price: float) -> None:
    draw = np.random.default_rng(seed)
    gaps = draw.choice([0, 3, 40, 900, 20_000], count) * 1_000_000
    columns = {
        "ts_ns": START + np.cumsum(gaps),
        "price": walk(seed + 1, count, price, 0.0003),
        "size": np.full(count, 0.5),
        "side": draw.choice(["buy", "sell"], count),
        "trade_id": [str(number) for number in range(count)],
    }
    pq.write_table(pa.table(columns), folder / f"{symbol}.parquet")


def both_ways(
    monkeypatch: pytest.MonkeyPatch, strategies: Strategies = Fickle, **told: Any
) -> tuple[BacktestResult, BacktestResult]:
    fast = bigwheel.backtest(strategies, **told)
    with one_by_one(monkeypatch):
        slow = bigwheel.backtest(strategies, **told)
    return fast, slow


def assert_same(fast: BacktestResult, slow: BacktestResult) -> None:
    for name in NAMES:
        one, other = getattr(fast, name), getattr(slow, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.to_pylist() == other.to_pylist(), name
    assert fast.summary["messages"] < slow.summary["messages"]


@pytest.mark.parametrize("seed", range(4))
def test_bars_of_one_symbol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    minute_bars(tmp_path, "BTCUSDT", seed, 700, 30_000.0, 0.001, START)
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=BTC, seed=seed)
    assert fast.fills.num_rows > 10 and len(fast.summary["signals"]) > 1
    assert_same(fast, slow)


def test_bars_of_two_symbols_out_of_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute_bars(tmp_path, "BTCUSDT", 5, 400, 30_000.0, 0.001, START)
    minute_bars(tmp_path, "ETHUSDT", 6, 400, 2_000.0, 0.001, START + 17 * SECOND)
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=[BTC, ETH])
    assert {row["symbol"] for row in fast.fills.to_pylist()} == {BTC, ETH}
    assert_same(fast, slow)


def test_several_strategies_on_one_symbol_and_on_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute_bars(tmp_path, "BTCUSDT", 5, 500, 30_000.0, 0.001, START)
    minute_bars(tmp_path, "ETHUSDT", 6, 500, 2_000.0, 0.001, START + 17 * SECOND)
    told = [
        {"name": Fickle, "symbols": BTC},
        {"name": Other, "label": "both", "symbols": [ETH, BTC], "share": 0.5},
        {"name": Other, "label": "dry", "symbols": BTC, "dry_run": True},
    ]
    fast, slow = both_ways(monkeypatch, told, data=tmp_path)
    traded = {(row["strategy"], row["symbol"]) for row in fast.fills.to_pylist()}
    assert traded == {("Fickle", BTC), ("both", BTC), ("both", ETH)}
    assert {"ensemble", "dry_run"} <= set(fast.signals["gate"].to_pylist()), "they never met, so nothing was shown"
    assert_same(fast, slow)
    assert fast.summary["strategies"] == slow.summary["strategies"]


@pytest.mark.parametrize("feed_ms", [20, 1_500])
def test_data_that_take_time_to_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed_ms: int) -> None:
    minute_bars(tmp_path, "BTCUSDT", 2, 500, 30_000.0, 0.001, START)
    ways = {"feed": feed_ms, "order": 5, "answer": 4}
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=BTC, latency_ms=ways)
    assert fast.fills.num_rows > 10
    assert_same(fast, slow)
    assert fast.summary["messages"] < 0.75 * slow.summary["messages"]


def test_trades_of_which_one_happens_before_the_last_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trades(tmp_path, "BTCUSDT", 12, 600, 30_000.0)
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=BTC, latency_ms={"feed": 50, "order": 5, "answer": 4})
    assert fast.fills.num_rows > 2
    assert_same(fast, slow)


def test_trades_close_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trades(tmp_path, "BTCUSDT", 7, 1_500, 30_000.0)
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=BTC)
    assert fast.fills.num_rows > 5
    assert_same(fast, slow)


@pytest.mark.parametrize("limits", [{"daily_loss": 60}, {"max_drawdown": 0.0007}])
def test_a_limit_on_losses_stops_it_at_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float]
) -> None:
    minute_bars(tmp_path, "BTCUSDT", 3, 1_700, 30_000.0, 0.003, START)
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=BTC, config={"risk": limits})
    assert "trading_state" in set(fast.signals["gate"].to_pylist()), "no limit was reached, so nothing was shown"
    assert_same(fast, slow)


def test_bars_of_two_perpetuals_that_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute_bars(tmp_path, "BTCUSDT", 8, 300, 30_000.0, 0.0005, START)
    minute_bars(tmp_path, "ETHUSDT", 9, 300, 2_000.0, 0.0005, START)
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=[BTC, ETH])
    held = dict[str, float]()
    most = 0
    for row in fast.fills.to_pylist():
        held[row["symbol"]] = held.get(row["symbol"], 0.0) + row["quantity"] * (1 if row["side"] == "buy" else -1)
        most = max(most, sum(abs(quantity) > 1e-9 for quantity in held.values()))
    assert most == 2, "they were never held together, so nothing was shown"
    assert_same(fast, slow)
    assert fast.summary["messages"] < 0.75 * slow.summary["messages"]


def test_tickers_with_marks_and_funding_among_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute_bars(tmp_path, "BTCUSDT", 4, 500, 30_000.0, 0.001, START)
    numbers = np.arange(1, 40)
    columns = {
        "ts_ns": START + numbers * 12 * MINUTE - 17 * SECOND,
        "symbol": ["BTCUSDT"] * len(numbers),
        "mark": 30_000.0 + numbers,
        "index": np.full(len(numbers), 30_000.0),
        "funding_rate": 0.0001 * numbers,
        # Some announce a payment that falls due before the next ticker comes, some the one after it.
        "funding_ns": START + np.where(numbers % 3, numbers * 12 + 7, numbers * 12 + 19) * MINUTE,
    }
    pq.write_table(pa.table(columns), tmp_path / "marks.parquet")
    fast, slow = both_ways(monkeypatch, data=tmp_path, symbols=BTC)
    assert fast.fills.num_rows > 10 and fast.payments.num_rows > 0
    assert fast.payments.to_pylist() == slow.payments.to_pylist()
    assert_same(fast, slow)


class Patient(Strategy):
    """Has orders wait in the book, and exits behind them: each kind of flow in turn."""

    def __init__(self) -> None:
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count % 12 == 11 and self.count // 12 % 4:
            self.exit("its time is over")
        if self.count % 12:
            return
        price, kind = Decimal(str(bar.close)), self.count // 12 % 4
        below = (price * Decimal("0.9998")).quantize(Decimal("0.1"))
        if kind == 0:
            self.buy(0.8, "rests", limit_price=below, ttl=90.0, flow=Rest(lifetime_ns=70 * SECOND))
        elif kind == 1:
            self.buy(0.8, "limit", limit_price=below, ttl=45.0)
        elif kind == 2:
            trigger = Trigger(price=below, direction=Direction.BELOW)
            self.buy(0.8, "waits", flow=Conditional(triggers=(trigger,), lifetime_ns=100 * SECOND))
        else:
            exits = {"take_profit": below * Decimal("1.002"), "stop_loss": below * Decimal("0.999")}
            self.buy(0.8, "bracket", flow=Bracket(**exits, lifetime_ns=80 * SECOND))


def test_where_orders_rest_timers_that_find_nothing_are_put_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 240
    closes = walk(11, count, 30_000.0, 0.0004)
    opens = np.concatenate([[30_000.0], closes[:-1]])
    columns = {
        "ts_ns": START + np.arange(count) * 10 * SECOND,
        "open": opens,
        "high": np.maximum(opens, closes),
        "low": np.minimum(opens, closes),
        "close": closes,
        "volume": np.full(count, 40.0),
    }
    pq.write_table(pa.table(columns), tmp_path / "BTCUSDT.parquet")
    told: dict[str, Any] = {"data": tmp_path, "symbols": BTC}
    fast = bigwheel.backtest(Patient, **told)
    monkeypatch.setattr(Session, "_still", lambda self: 0)
    slow = bigwheel.backtest(Patient, **told)
    assert len([row for row in fast.orders.to_pylist() if row["status"] == "filled"]) > 4
    assert_same(fast, slow)
    assert fast.summary["messages"] < 0.6 * slow.summary["messages"]


# -- the parts -----------------------------------------------------------------------------


def some(seed: int, count: int, symbol: str = BTC) -> list[MarketData]:
    """Bars, trades and quotes of one symbol, numbered from 1, at odd distances; some without a usable price."""
    draw, at, data = random.Random(seed), START, list[MarketData]()
    for number in range(1, count + 1):
        at += draw.choice((0, 1, SECOND, 7 * SECOND, MINUTE, MINUTE, 40 * MINUTE))
        price = 0.0 if draw.random() < 0.03 else round(100 + draw.random() * 4, 1)
        head = (symbol, 1, number, at, at)
        kind = draw.choice(("bar", "trade", "quote", "open"))
        if kind == "trade":
            data.append(Trade(*head, price, 1.0, "buy"))
        elif kind == "quote":
            data.append(Quote(*head, max(price - 0.1, 0.0), 1.0, price, 2.0))
        else:
            begun = (symbol, 1, number, at - MINUTE, at)
            data.append(Bar(*begun, price, price + 0.2, price - 0.2, price, 3.0, MINUTE, kind == "bar"))
    return data


def portions(data: list[MarketData], seed: int) -> Iterator[list[MarketData]]:
    draw, at = random.Random(seed), 0
    while at < len(data):
        size = draw.randint(1, 40)
        yield data[at : at + size]
        at += size


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_market_and_a_track_are_the_same_by_portions(seed: int) -> None:
    data = [each for each in some(seed, 300) if last_price(each) > 0]
    told = RiskSettings()
    one, many, track, tracks = Market(), Market(), Track(), Track()
    for each in data:
        one.take(each, last_price(each), told)
        track.add(each, each.recv_ns, 9 * SECOND)
    for portion in portions(data, seed):
        many.extend(portion, list(map(last_price, portion)), told)
        tracks.extend(portion, 9 * SECOND)
    assert many == one and tracks == track
    assert many.regime.label(told.regime) == one.regime.label(told.regime)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_connection_is_the_same_by_portions(seed: int) -> None:
    data = some(seed, 200)

    def brain() -> tuple[ExchangeBrain, FakeContext]:
        made, ctx = ExchangeBrain(ExchangeSettings("bybit", (BTC,), conflate_ns=0)), FakeContext("exchange/bybit")
        for message in (Started(1, False), CaughtUp(0)):
            made.receive(message, ctx)
        ctx.sender = "strategy/x"
        made.receive(Watch((BTC,), ("Trade", "Bar")), ctx)
        return made, ctx

    (one, ctx), (many, _) = brain(), brain()
    for each in data:
        ctx.now = each.recv_ns
        one.receive(each, ctx)
    for portion in portions(data, seed):
        many.absorb(portion)
    assert many.snapshot() == one.snapshot()
    assert many.feed.last == one.feed.last and many.feed._rings == one.feed._rings
    assert many._flows._prices._seen == one._flows._prices._seen
    with pytest.raises(ValueError, match="found 1"):
        many.absorb(data[:1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_bars_move_a_market_at_rest_the_same_by_portions(seed: int) -> None:
    draw = random.Random(seed)
    moves: list[Bar | float] = [100.0]
    for number in range(60):
        o, c = (round(100 + draw.random(), 1) for _ in range(2))
        at = START + number * MINUTE
        moves += [o, Bar(BTC, 1, number + 1, at, at + MINUTE, o, max(o, c) + 0.1, min(o, c) - 0.1, c, 2.0, MINUTE)]
    books = [PaperBooks(PaperSettings(balance=Decimal(1_000), seed=seed), lambda: START) for _ in range(2)]
    for each in books:
        each.list((make_instrument(BTC),))
        each.take(moves[2])
    for move in moves[3:]:
        if isinstance(move, Bar):
            books[0].take(move)
        else:
            books[0].open_bar(BTC, move)
    rest = moves[3:]
    while rest:
        size = draw.randint(1, 9)
        assert books[1].barred(BTC)
        books[1].pass_bars(BTC, rest[:size])
        rest = rest[size:]
    assert _market(books[0].engine) == _market(books[1].engine)


def _market(engine: MatchingEngine) -> tuple[Any, ...]:
    market = engine.markets[BTC]
    return market.external.generation, market.external.last, market.depth(5)
