"""What a report is made of: the result of a backtest, as its reader sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa


class BacktestResult(Protocol):
    """The tables and words of one backtest.

    Times are int64 nanoseconds since the epoch (UTC) in columns named ``*_ns``, money is float64 in the quote
    currency. A result may also have ``prices`` (``ts_ns, symbol, open, high, low, close``), thinned out.
    """

    @property
    def strategy(self) -> str: ...

    @property
    def params(self) -> Mapping[str, Any]: ...

    @property
    def summary(self) -> Mapping[str, Any]:
        """Plain JSON: ``symbols, from, to, events, starting_cash, final_equity, realized_pnl, fees`` and more."""
        ...

    @property
    def orders(self) -> pa.Table:
        """``client_id, signal_id, strategy, symbol, side, type, quantity, price, status, filled, ...``."""
        ...

    @property
    def fills(self) -> pa.Table:
        """``fill_id, client_id, signal_id, strategy, symbol, side, quantity, price, fee, liquidity, ts_ns``."""
        ...

    @property
    def trades(self) -> pa.Table:
        """Round trips: ``strategy, symbol, side, quantity, entry_ns, exit_ns, ..., gross, fees, pnl, return``."""
        ...

    @property
    def equity(self) -> pa.Table:
        """``ts_ns, equity, cash, exposure, gross_exposure, drawdown`` (a fraction of the peak, 0 or more)."""
        ...

    @property
    def signals(self) -> pa.Table:
        """``signal_id, strategy, symbol, side, conviction, state, gate, code, detail, source, ...``."""
        ...


def prices_of(result: BacktestResult) -> pa.Table | None:
    """The result's prices, or ``None`` where it has none."""
    table = getattr(result, "prices", None)
    return table if table is not None and table.num_rows else None
