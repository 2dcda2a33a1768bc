"""The steps of an evaluation, in order, each a pure function of the case: it says what it looked at.

A denial is a code with the values that led to it. An order that only lowers a position passes
the gates that guard new exposure, and is not held back by missing data where the last known
will do. What a gate lacks, it denies.
"""

from __future__ import annotations

from actors.risk.gates.account import buying_power, cash_reserve, daily_budget, daily_loss, drawdown
from actors.risk.gates.data import currency, exchange, liquidity, market_data
from actors.risk.gates.learned import bans, conviction, ensemble, patterns
from actors.risk.gates.order import category_filter, instrument, order_notional, sizing
from actors.risk.gates.pace import cooldown, loss_streak, order_rate
from actors.risk.gates.portfolio import (
    category_share,
    correlated_exposure,
    open_positions,
    strategy_notional,
    symbol_notional,
    total_notional,
    venue_notional,
)
from actors.risk.gates.state import dry_run, symbol_halt, trading_state
from actors.risk.gates.steps import Gate

GATES: tuple[Gate, ...] = (
    bans,
    ensemble,
    conviction,
    patterns,
    trading_state,
    symbol_halt,
    exchange,
    market_data,
    currency,
    category_filter,
    cooldown,
    loss_streak,
    daily_loss,
    drawdown,
    order_rate,
    sizing,
    instrument,
    liquidity,
    order_notional,
    symbol_notional,
    total_notional,
    venue_notional,
    strategy_notional,
    category_share,
    correlated_exposure,
    open_positions,
    daily_budget,
    buying_power,
    cash_reserve,
    dry_run,
)
"""Who is banned is not heard; then ensemble and conviction; what needs no size comes before sizing; a dry run last."""
