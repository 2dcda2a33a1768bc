"""Made-up results of backtests for the tests of reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

DAY = 86_400 * 1_000_000_000
HOUR = DAY // 24
START = 20_454 * DAY
"""2026-01-01 00:00 UTC, a Thursday."""

_WORD, _NUMBER, _TIME = pa.string(), pa.float64(), pa.int64()

SCHEMAS = {
    "orders": {
        "client_id": _WORD, "signal_id": _WORD, "strategy": _WORD, "symbol": _WORD, "side": _WORD, "type": _WORD,
        "quantity": _NUMBER, "price": _NUMBER, "status": _WORD, "filled": _NUMBER, "average_price": _NUMBER,
        "created_ns": _TIME, "ended_ns": _TIME,
    },
    "fills": {
        "fill_id": _WORD, "client_id": _WORD, "signal_id": _WORD, "strategy": _WORD, "symbol": _WORD, "side": _WORD,
        "quantity": _NUMBER, "price": _NUMBER, "fee": _NUMBER, "liquidity": _WORD, "ts_ns": _TIME,
    },
    "trades": {
        "strategy": _WORD, "symbol": _WORD, "side": _WORD, "quantity": _NUMBER, "entry_ns": _TIME, "exit_ns": _TIME,
        "entry_price": _NUMBER, "exit_price": _NUMBER, "gross": _NUMBER, "fees": _NUMBER, "pnl": _NUMBER,
        "return": _NUMBER, "bars_held": _TIME,
    },
    "equity": {
        "ts_ns": _TIME, "equity": _NUMBER, "cash": _NUMBER, "exposure": _NUMBER, "gross_exposure": _NUMBER,
        "drawdown": _NUMBER,
    },
    "signals": {
        "signal_id": _WORD, "strategy": _WORD, "symbol": _WORD, "side": _WORD, "conviction": _NUMBER, "state": _WORD,
        "gate": _WORD, "code": _WORD, "detail": _WORD, "source": _WORD, "created_ns": _TIME, "ended_ns": _TIME,
        "price": _NUMBER,
    },
    "prices": {
        "ts_ns": _TIME, "symbol": _WORD, "open": _NUMBER, "high": _NUMBER, "low": _NUMBER, "close": _NUMBER,
    },
}  # fmt: skip


def rows(kind: str, *entries: dict[str, Any]) -> pa.Table:
    """A table of a kind; what an entry does not name is null."""
    schema = pa.schema(SCHEMAS[kind])
    return pa.Table.from_pylist([{name: entry.get(name) for name in schema.names} for entry in entries], schema)


@dataclass
class Sample:
    """A result; empty unless told otherwise."""

    orders: pa.Table = field(default_factory=lambda: rows("orders"))
    fills: pa.Table = field(default_factory=lambda: rows("fills"))
    trades: pa.Table = field(default_factory=lambda: rows("trades"))
    equity: pa.Table = field(default_factory=lambda: rows("equity"))
    signals: pa.Table = field(default_factory=lambda: rows("signals"))
    prices: pa.Table | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    strategy: str = "empty"


def curve(equity: Any, *, every: int = DAY, start: int = START + DAY, gross: Any = 0.0) -> pa.Table:
    """A table of equity at regular times, with its drawdown."""
    values = np.asarray(equity, np.float64)
    top = np.maximum.accumulate(values)
    held = np.broadcast_to(np.asarray(gross, np.float64), values.shape)
    return pa.table(
        {
            "ts_ns": start + every * np.arange(len(values)),
            "equity": values,
            "cash": values,
            "exposure": held,
            "gross_exposure": np.abs(held),
            "drawdown": 1.0 - values / top,
        },
        pa.schema(SCHEMAS["equity"]),
    )


def busy(seed: int = 7, days: int = 120, trades: int = 400, symbols: int = 3) -> Sample:
    """A strategy that traded, with fills and signals that belong to its round trips."""
    random = np.random.default_rng(seed)
    names = [f"bybit:{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "DOGE")[:symbols]]
    prices = {name: _walk(random, days * 24) for name in names}
    made, fills, signals = [], [], []
    for number in range(trades):
        trip = _trip(random, names, prices, days)
        made.append(trip)
        signals.append(_signal(random, number, trip, "EXECUTED"))
        fills += [_fill(number, trip, False), _fill(number, trip, True)]
    signals += [_signal(random, trades + number, made[number], "BLOCKED") for number in range(trades // 2)]
    equity = _equity(made, days)
    return Sample(
        orders=rows("orders", *({"client_id": fill["client_id"], "status": "FILLED"} for fill in fills)),
        fills=rows("fills", *fills),
        trades=rows("trades", *made),
        equity=equity,
        signals=rows("signals", *signals),
        prices=pa.concat_tables(_bars(name, series) for name, series in prices.items()),
        summary={
            "symbols": names, "from": START, "to": START + days * DAY, "events": days * 1_440 * symbols,
            "starting_cash": 100_000.0, "final_equity": equity["equity"][-1].as_py(),
        },
        params={"fast": 10, "slow": 30, "horizon": "15m"},
        strategy="crossover",
    )  # fmt: skip


def _walk(random: np.random.Generator, hours: int) -> np.ndarray[Any, Any]:
    return np.asarray(100.0 * np.exp(np.cumsum(random.normal(0.0002, 0.006, hours + 1))))


def _trip(random: np.random.Generator, names: list[str], prices: dict[str, Any], days: int) -> dict[str, Any]:
    symbol = names[int(random.integers(len(names)))]
    first = int(random.integers(0, days * 24 - 30))
    last = first + int(random.integers(1, 30))
    side, sign = ("long", 1) if random.random() < 0.6 else ("short", -1)
    entry, left = float(prices[symbol][first]), float(prices[symbol][last])
    quantity = round(float(random.uniform(10, 80)), 2)
    gross, fees = sign * quantity * (left - entry), quantity * (entry + left) * 0.0003
    return {
        "strategy": "crossover" if random.random() < 0.7 else "reversion", "symbol": symbol, "side": side,
        "quantity": quantity, "entry_ns": START + first * HOUR + int(random.integers(HOUR // 2)),
        "exit_ns": START + last * HOUR, "entry_price": entry, "exit_price": left, "gross": gross, "fees": fees,
        "pnl": gross - fees, "return": (gross - fees) / (quantity * entry),
    }  # fmt: skip


def _fill(number: int, trip: dict[str, Any], leaving: bool) -> dict[str, Any]:
    price = trip["exit_price" if leaving else "entry_price"]
    return {
        "fill_id": f"f{number}-{leaving}", "client_id": f"c{number}", "signal_id": f"s{number}",
        "strategy": trip["strategy"], "symbol": trip["symbol"],
        "side": "buy" if (trip["side"] == "long") != leaving else "sell",
        "quantity": trip["quantity"], "price": price, "fee": trip["quantity"] * price * 0.0003,
        "liquidity": "maker" if number % 3 == 0 else "taker", "ts_ns": trip["exit_ns" if leaving else "entry_ns"],
    }  # fmt: skip


def _signal(random: np.random.Generator, number: int, trip: dict[str, Any], state: str) -> dict[str, Any]:
    gates = (("exposure", "EXPOSURE_LIMIT_SYMBOL"), ("conviction", "CONVICTION_LOW"), ("pace", "RATE_LIMIT"))
    gate, code = gates[number % 3] if state == "BLOCKED" else (None, None)
    return {
        "signal_id": f"s{number}", "strategy": trip["strategy"], "symbol": trip["symbol"],
        "side": "buy" if trip["side"] == "long" else "sell", "conviction": float(random.uniform(0.2, 1.0)),
        "state": state, "gate": gate, "code": code, "detail": "exposure=1200 limit=1000" if gate else None,
        "source": ("momentum", "carry", "flow")[number % 3], "created_ns": trip["entry_ns"],
        "ended_ns": trip["exit_ns"], "price": trip["entry_price"],
    }  # fmt: skip


def _equity(trips: list[dict[str, Any]], days: int) -> pa.Table:
    gains, held = np.zeros(days * 24 + 1), np.zeros(days * 24 + 1)
    for trip in trips:
        first, last = ((trip[name] - START) // HOUR for name in ("entry_ns", "exit_ns"))
        gains[first + 1 : last + 1] += trip["pnl"] / (last - first)
        held[first + 1 : last + 1] += trip["quantity"] * trip["entry_price"] * (1 if trip["side"] == "long" else -1)
    return curve(100_000.0 + np.cumsum(gains), every=HOUR, start=START, gross=held)


def _bars(symbol: str, series: Any) -> pa.Table:
    opens, closes = series[:-1], series[1:]
    return pa.table(
        {
            "ts_ns": START + HOUR * np.arange(len(opens)),
            "symbol": [symbol] * len(opens),
            "open": opens,
            "high": np.maximum(opens, closes) * 1.002,
            "low": np.minimum(opens, closes) * 0.998,
            "close": closes,
        },
        pa.schema(SCHEMAS["prices"]),
    )


def sweep() -> pa.Table:
    """Runs over two parameters."""
    pairs = [(fast, slow) for fast in range(5, 30, 5) for slow in range(20, 100, 10)]
    return pa.table(
        {
            "fast": [fast for fast, _ in pairs],
            "slow": [slow for _, slow in pairs],
            "sharpe": [1.5 - abs(fast - 12) / 8 - abs(slow - 55) / 30 for fast, slow in pairs],
        }
    )
