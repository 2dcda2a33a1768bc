"""Settings of the risk supervisor: the limits, how large orders are, and how they are sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from conf.section import Amount, Fraction, Names, Seconds, Section
from conf.venues import VENUES

Method = Literal["fixed", "volatility", "kelly"]


class RegimeSettings(Section):
    """How a market's regime is told: quiet or volatile, ranging or trending."""

    step_s: Seconds = Field(default=1.0, description="the step of time that prices are taken at")
    window: Annotated[int, Field(ge=2)] = Field(default=30, description="steps that volatility and efficiency cover")
    long: Annotated[int, Field(ge=2)] = Field(default=300, description="steps of the long average of the volatility")
    trending: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.3, description="net change over the sum of all changes, from which a market trends"
    )


class CorrelationSettings(Section):
    """The grid that correlation between symbols, and the volatility that sizes aim at, are measured on."""

    step_s: Seconds = Field(default=60.0, description="the step of time that prices are taken at")
    window: Annotated[int, Field(ge=4)] = Field(default=60, description="steps looked back; half of them are needed")


class LiquiditySettings(Section):
    """What a market must offer an order. What is asked for and not known denies."""

    max_spread_bps: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="the widest spread, in basis points of the mid price; null: any"
    )
    touch_share: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="the largest order, as a share of the size at the best price; null: any"
    )
    volume_share: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="the largest order, as a share of the last bar's volume; null: any"
    )


class SizingSettings(Section):
    """How the size of an order is found where the strategy names none."""

    method: Method = Field(default="fixed", description="fixed fraction of equity, volatility target, or Kelly")
    target_volatility: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.005, description="volatility: what a position's price may move the equity in a day, as a fraction"
    )
    kelly_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.25, description="kelly: the share of the full Kelly fraction that is taken"
    )
    kelly_payoff: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="kelly: what a win brings for each dollar a loss costs, but for event contracts"
    )
    rounding_tolerance: Fraction = Field(
        default=Decimal("0.01"), description="how far rounding to the lot may take a size from what was intended"
    )


class HighTrackSettings(Section):
    """What signals of high conviction get in place of the ordinary."""

    from_conviction: Annotated[float, Field(ge=0)] = Field(
        default=0.8, description="the combined conviction from which a signal is on this track; above 1: none is"
    )
    equity_fraction: Fraction | None = Field(default=None, description="as above, for this track; null: the same")
    order_notional: Amount | None = Field(default=None, description="as above, for this track; null: the same")
    method: Method | None = Field(default=None, description="how these are sized; null: as the ordinary ones")
    cooldown_s: Annotated[float, Field(ge=0)] | None = Field(default=None, description="as above; null: the same")


class TrackSettings(Section):
    """Signals on two tracks: what is said outside of here is the ordinary one."""

    high: HighTrackSettings = Field(default_factory=HighTrackSettings, description="signals of high conviction")


class VenueLimitSettings(Section):
    """What is different at one venue; null: nothing is."""

    order_notional: Amount | None = Field(default=None, description="the largest order there")
    venue_notional: Amount | None = Field(default=None, description="the largest exposure there")
    max_slippage: Fraction | None = Field(default=None, description="slippage there, as a fraction")
    slippage_price: Amount | None = Field(
        default=None, description="slippage there in the quote currency, in place of a fraction"
    )


class RiskSettings(Section):
    """The limits no order gets past. Money is in dollars, or what counts as dollars."""

    order_notional: Amount = Field(default=Decimal(2000), description="the largest order")
    symbol_notional: Amount = Field(default=Decimal(5000), description="the largest exposure in one symbol, either way")
    venue_notional: Amount | None = Field(default=None, description="the largest exposure at one venue; null: any")
    total_notional: Amount = Field(default=Decimal(15000), description="the largest exposure over all symbols together")
    correlated_share: Fraction = Field(
        default=Decimal("0.8"), description="the share of total_notional that may move together"
    )
    category_share: Fraction = Field(
        default=Decimal(1), description="the share of total_notional that one category may take"
    )
    max_open_positions: Annotated[int, Field(ge=1)] = Field(
        default=10, description="how many symbols may be held at once"
    )
    daily_budget: Amount | None = Field(
        default=Decimal(10_000_000), description="notional of the entries in one UTC day; null: any"
    )
    daily_loss: Amount = Field(default=Decimal(1000), description="the loss in one UTC day that stops new exposure")
    max_drawdown: Fraction = Field(
        default=Decimal("0.2"), description="the fall of equity from its peak that stops new exposure"
    )
    loss_streak: Annotated[int, Field(ge=0)] = Field(
        default=10, description="losing round trips of a strategy in a row that pause it; 0: never"
    )
    loss_pause_s: Seconds = Field(default=300.0, description="how long it is paused")
    leverage: Annotated[Decimal, Field(gt=0)] = Field(
        default=Decimal(1), description="exposure in perpetuals for each dollar of equity at their venue"
    )
    cash_reserve: Fraction = Field(default=Decimal("0.05"), description="the share of equity that is never bound")
    orders_per_second: Annotated[int, Field(ge=1)] = Field(default=10, description="approvals in any second")
    orders_per_minute: Annotated[int, Field(ge=1)] = Field(default=120, description="approvals in any minute")
    max_data_age_s: Seconds = Field(default=5.0, description="market data older than this is missing data")
    max_slippage: Fraction = Field(
        default=Decimal("0.003"), description="how far from the reference price an order may fill"
    )
    equity_fraction: Fraction = Field(default=Decimal("0.01"), description="the share of equity one order is sized to")
    order_type: Literal["market", "limit"] = Field(default="market", description="how approved signals are ordered")
    cooldown_s: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="the least time between two entries of one strategy in one symbol"
    )
    ensemble: bool = Field(
        default=True, description="true: the live opinions of other strategies on the same symbol count"
    )
    weight_max: Annotated[float, Field(ge=1)] = Field(
        default=4.0, description="the most a source can weigh in the ensemble, whatever was learned"
    )
    allow: Names = Field(default=(), description="categories and kinds of contracts that are traded; empty: all")
    deny: Names = Field(default=(), description="categories and kinds of contracts that are not traded")
    categories: dict[str, str] = Field(default_factory=dict, description="sector or asset class by symbol")
    currencies: dict[str, Amount] = Field(
        default_factory=lambda: {"USD": Decimal(1), "USDT": Decimal(1), "USDC": Decimal(1)},
        description="what one unit of a quote currency counts as, in dollars",
    )
    venues: dict[str, VenueLimitSettings] = Field(default_factory=dict, description="what is different, by venue")
    liquidity: LiquiditySettings = Field(default_factory=LiquiditySettings, description="what a market must offer")
    correlation: CorrelationSettings = Field(default_factory=CorrelationSettings, description="how it is measured")
    regime: RegimeSettings = Field(default_factory=RegimeSettings, description="how a market's regime is told")
    sizing: SizingSettings = Field(default_factory=SizingSettings, description="how the size of an order is found")
    tracks: TrackSettings = Field(default_factory=TrackSettings, description="two tracks, by conviction")

    @field_validator("venues")
    @classmethod
    def _known(cls, value: dict[str, VenueLimitSettings]) -> dict[str, VenueLimitSettings]:
        for venue in value:
            if venue not in VENUES:
                raise ValueError(f"expected limits of one of the venues {', '.join(VENUES)}, found {venue!r}")
        return value

    @model_validator(mode="after")
    def _nested(self) -> RiskSettings:
        if not self.order_notional <= self.symbol_notional <= self.total_notional:
            raise ValueError(
                "expected order_notional <= symbol_notional <= total_notional, found "
                f"{self.order_notional}, {self.symbol_notional}, {self.total_notional}; raise the outer limit or lower "
                "the inner one"
            )
        high = self.tracks.high.order_notional
        if high is not None and high > self.symbol_notional:
            raise ValueError(
                f"expected tracks.high.order_notional <= symbol_notional, found {high} and {self.symbol_notional}; "
                "raise symbol_notional or lower the order's limit"
            )
        return self
