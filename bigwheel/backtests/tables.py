"""The schemas of a backtest's tables: times in ns UTC, money as float64, made of exact numbers at the end."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_T, _I, _F = pa.string(), pa.int64(), pa.float64()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


ORDERS = _schema(
    client_id=_T,
    signal_id=_T,
    strategy=_T,
    symbol=_T,
    side=_T,
    type=_T,
    quantity=_F,
    price=_F,
    status=_T,
    filled=_F,
    average_price=_F,
    created_ns=_I,
    ended_ns=_I,
)
FILLS = _schema(
    fill_id=_T,
    client_id=_T,
    signal_id=_T,
    strategy=_T,
    symbol=_T,
    side=_T,
    quantity=_F,
    price=_F,
    fee=_F,
    liquidity=_T,
    ts_ns=_I,
)
TRADES = pa.schema(
    [
        ("strategy", _T),
        ("symbol", _T),
        ("side", _T),
        ("quantity", _F),
        ("entry_ns", _I),
        ("exit_ns", _I),
        ("entry_price", _F),
        ("exit_price", _F),
        ("gross", _F),
        ("fees", _F),
        ("pnl", _F),
        ("return", _F),
        ("bars_held", _I),
    ]
)
EQUITY = _schema(ts_ns=_I, equity=_F, cash=_F, exposure=_F, gross_exposure=_F, drawdown=_F)
SIGNALS = _schema(
    signal_id=_T,
    strategy=_T,
    symbol=_T,
    side=_T,
    conviction=_F,
    state=_T,
    gate=_T,
    code=_T,
    detail=_T,
    source=_T,
    created_ns=_I,
    ended_ns=_I,
    price=_F,
)
PAYMENTS = _schema(ts_ns=_I, symbol=_T, kind=_T, amount=_F)
PRICES = _schema(ts_ns=_I, symbol=_T, open=_F, high=_F, low=_F, close=_F)


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """``rows`` as a table."""
    return pa.Table.from_pylist(rows, schema)
