"""The limits, and how approved signals become orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchanges.model.order import OrderType

_SECOND = 1_000_000_000


class RegimeSettings(msgspec.Struct, frozen=True):
    """How a market's regime is told: on a grid of ``grid_ns``, over the last ``window`` steps of it."""

    grid_ns: int = _SECOND
    window: int = 30
    long: int = 300
    """Steps that the long average of the volatility covers."""
    trending: float = 0.3
    """The efficiency ratio from which a market trends; that of a random walk of 30 steps is about 0.18."""


class RiskSettings(msgspec.Struct, frozen=True):
    """Money in the account's quote currency, times in nanoseconds, shares as fractions."""

    symbols: tuple[str, ...] = ()
    """What market data is asked for; a symbol without it gets no new exposure."""
    order_notional: Decimal = Decimal(2_000)
    symbol_notional: Decimal = Decimal(5_000)
    total_notional: Decimal = Decimal(15_000)
    max_open_positions: int = 10
    daily_loss: Decimal = Decimal(1_000)
    orders_per_second: int = 10
    orders_per_minute: int = 120
    leverage: Decimal = Decimal(1)
    """Exposure on one venue may be this many times the equity there."""
    max_data_age_ns: int = 5 * _SECOND
    max_state_age_ns: int = 10 * _SECOND
    cooldown_ns: int = _SECOND
    base_threshold: float = 0.0
    """The conviction a signal needs while the learner has said nothing."""
    threshold_min: float = 0.0
    threshold_max: float = 1.0
    ensemble: bool = True
    """Whether the opinions of other strategies on the same symbol count."""
    weight_max: float = 4.0
    """The most that a source can weigh, whatever a policy says."""
    regime: RegimeSettings = RegimeSettings()
    equity_fraction: Decimal = Decimal("0.01")
    multiplier_min: float = 0.0
    multiplier_max: float = 2.0
    rounding_tolerance: Decimal = Decimal("0.5")
    """The share of the wanted size that rounding to the lot may take away."""
    order_type: OrderType = OrderType.LIMIT
    max_slippage: Decimal = Decimal("0.003")
    approval_ttl_ns: int = 5 * _SECOND
    """An approval not sent by then is not sent any more."""
    reservation_margin_ns: int = 10 * _SECOND
    """How long past its signal's life a reservation waits for the bus's word."""
    tick_ns: int = _SECOND
    remembered_decisions: int = 1_000
    """Verdicts kept whole, to be given again; of ten times as many it is known that they were given."""
    remembered_controls: int = 1_000
