"""The limits, and how approved signals become orders."""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from exchanges.model.order import OrderType

_SECOND = 1_000_000_000


DOLLARS = {"USD": Decimal(1), "USDT": Decimal(1), "USDC": Decimal(1)}
"""Currencies that count as one dollar unless told otherwise."""


class RegimeSettings(msgspec.Struct, frozen=True):
    """How a market's regime is told: on a grid of ``grid_ns``, over the last ``window`` steps of it."""

    grid_ns: int = _SECOND
    window: int = 30
    long: int = 300
    """Steps that the long average of the volatility covers."""
    trending: float = 0.3
    """The efficiency ratio from which a market trends; that of a random walk of 30 steps is about 0.18."""


class GridSettings(msgspec.Struct, frozen=True):
    """What correlation and volatility are measured on: the last ``window`` steps of ``step_ns``."""

    step_ns: int = 60 * _SECOND
    window: int = 60

    @property
    def least(self) -> int:
        """Returns without which nothing is known: half of the window."""
        return max(self.window // 2, 2)


class Method(enum.StrEnum):
    """How the size of an order is found; see ``actors.risk.methods``."""

    FIXED = "fixed"
    VOLATILITY = "volatility"
    KELLY = "kelly"


class Track(msgspec.Struct, frozen=True):
    """What signals of one kind of conviction are given."""

    name: str
    equity_fraction: Decimal
    order_notional: Decimal
    method: Method
    cooldown_ns: int


class HighTrack(msgspec.Struct, frozen=True):
    """The track of signals from ``conviction`` on; what is ``None`` is as on the ordinary one."""

    conviction: float = 0.8
    equity_fraction: Decimal | None = None
    order_notional: Decimal | None = None
    method: Method | None = None
    cooldown_ns: int | None = None


class VenueLimits(msgspec.Struct, frozen=True):
    """What is different at one venue; ``None``: nothing is.

    ``slippage_price`` is an absolute distance in the quote currency, in place of the fraction.
    """

    order_notional: Decimal | None = None
    venue_notional: Decimal | None = None
    max_slippage: Decimal | None = None
    slippage_price: Decimal | None = None


class Liquidity(msgspec.Struct, frozen=True):
    """What a market must offer; ``None``: not asked for, and what is asked for and not known denies."""

    max_spread_bps: float | None = None
    touch_share: float | None = None
    """An order may be this much of the size at the price it meets."""
    volume_share: float | None = None
    """An order may be this much of the last bar's volume."""


class RiskSettings(msgspec.Struct, frozen=True):
    """Money in dollars (see ``currencies``), times in nanoseconds, shares as fractions."""

    symbols: tuple[str, ...] = ()
    """What market data is asked for; a symbol without it gets no new exposure."""
    order_notional: Decimal = Decimal(2_000)
    symbol_notional: Decimal = Decimal(5_000)
    venue_notional: Decimal | None = None
    """``None``: as much as in all."""
    total_notional: Decimal = Decimal(15_000)
    correlated_share: Decimal = Decimal("0.8")
    """The share of ``total_notional`` that may move together; see the gate of that name."""
    max_open_positions: int = 10
    daily_budget: Decimal | None = None
    """Notional of the entries approved on one UTC day; ``None``: any."""
    daily_loss: Decimal = Decimal(1_000)
    max_drawdown: Decimal = Decimal("0.2")
    """The fall of equity from its peak, as a share of the peak, that stops new exposure."""
    loss_streak: int = 10
    """Losing round trips of a strategy in a row that pause it; 0: never."""
    loss_pause_ns: int = 300 * _SECOND
    orders_per_second: int = 10
    orders_per_minute: int = 120
    leverage: Decimal = Decimal(1)
    """Exposure in perpetuals on one venue may be this many times the equity there."""
    cash_reserve: Decimal = Decimal("0.05")
    """The share of a venue's equity that nothing is bought with."""
    max_data_age_ns: int = 5 * _SECOND
    max_state_age_ns: int = 10 * _SECOND
    liquidity: Liquidity = Liquidity()
    categories: dict[str, str] = {}
    """Sector or class of an asset by symbol; one not named is of its contract's kind."""
    allow: tuple[str, ...] = ()
    """Categories and kinds of contracts that may be traded; empty: all."""
    deny: tuple[str, ...] = ()
    category_share: Decimal = Decimal(1)
    """The share of ``total_notional`` that one category may take."""
    shares: dict[str, Decimal] = {}
    """The share of the capital by strategy; 1 for one not named."""
    venues: dict[str, VenueLimits] = {}
    currencies: dict[str, Decimal] = msgspec.field(default_factory=lambda: dict(DOLLARS))
    """What one unit of a quote currency counts as, in dollars; what is quoted in another is not traded."""
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
    grid: GridSettings = GridSettings()
    method: Method = Method.FIXED
    equity_fraction: Decimal = Decimal("0.01")
    target_volatility: float = 0.005
    """Of ``Method.VOLATILITY``: what one position's price may move the equity in a day, as a fraction."""
    kelly_fraction: float = 0.25
    kelly_payoff: float = 1.0
    """Of ``Method.KELLY``: what a win brings for each dollar a loss costs, where the contract doesn't say."""
    high: HighTrack = HighTrack()
    multiplier_min: float = 0.0
    multiplier_max: float = 2.0
    rounding_tolerance: Decimal = Decimal("0.01")
    """The share of the intended size that rounding to the lot may take away or add."""
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

    def track(self, conviction: float) -> Track:
        """The track of a signal of this conviction."""
        plain = Track("ordinary", self.equity_fraction, self.order_notional, self.method, self.cooldown_ns)
        high = self.high
        if conviction < high.conviction:
            return plain
        return Track(
            "high",
            plain.equity_fraction if high.equity_fraction is None else high.equity_fraction,
            plain.order_notional if high.order_notional is None else high.order_notional,
            plain.method if high.method is None else high.method,
            plain.cooldown_ns if high.cooldown_ns is None else high.cooldown_ns,
        )

    def at(self, venue: str) -> VenueLimits:
        """What is different at a venue."""
        return self.venues.get(venue) or _SAME

    def share(self, strategy: str) -> Decimal:
        """A strategy's share of the capital."""
        return self.shares.get(strategy, Decimal(1))


_SAME = VenueLimits()
