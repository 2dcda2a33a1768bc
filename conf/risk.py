"""Settings of the risk supervisor: the limits, and how approved signals are ordered."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from conf.section import Amount, Fraction, Seconds, Section


class RegimeSettings(Section):
    """How a market's regime is told: quiet or volatile, ranging or trending."""

    step_s: Seconds = Field(default=1.0, description="the step of time that prices are taken at")
    window: Annotated[int, Field(ge=2)] = Field(default=30, description="steps that volatility and efficiency cover")
    long: Annotated[int, Field(ge=2)] = Field(default=300, description="steps of the long average of the volatility")
    trending: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.3, description="net change over the sum of all changes, from which a market trends"
    )


class RiskSettings(Section):
    """The limits no order gets past. Money is in the account's quote currency."""

    order_notional: Amount = Field(default=Decimal(2000), description="the largest order")
    symbol_notional: Amount = Field(default=Decimal(5000), description="the largest exposure in one symbol, either way")
    total_notional: Amount = Field(default=Decimal(15000), description="the largest exposure over all symbols together")
    max_open_positions: Annotated[int, Field(ge=1)] = Field(
        default=10, description="how many symbols may be held at once"
    )
    daily_loss: Amount = Field(default=Decimal(1000), description="the loss in one UTC day that stops new exposure")
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
    regime: RegimeSettings = Field(default_factory=RegimeSettings, description="how a market's regime is told")

    @model_validator(mode="after")
    def _nested(self) -> RiskSettings:
        if not self.order_notional <= self.symbol_notional <= self.total_notional:
            raise ValueError(
                "expected order_notional <= symbol_notional <= total_notional, found "
                f"{self.order_notional}, {self.symbol_notional}, {self.total_notional}; raise the outer limit or lower "
                "the inner one"
            )
        return self
