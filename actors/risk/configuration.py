"""The risk supervisor's limits from the configuration of a session."""

from __future__ import annotations

from decimal import Decimal

from actors.risk.settings import (
    GridSettings,
    HighTrack,
    Liquidity,
    Method,
    RegimeSettings,
    RiskSettings,
    VenueLimits,
)
from conf import Settings
from conf.risk import HighTrackSettings, VenueLimitSettings
from conf.risk import RiskSettings as Told
from exchanges.model.order import OrderType


def limits(settings: Settings) -> RiskSettings:
    """What the session's configuration means to the brain: durations in nanoseconds, shares by strategy's label."""
    told, learner, sizing = settings.risk, settings.learner, settings.risk.sizing
    return RiskSettings(
        symbols=settings.symbols,
        order_notional=told.order_notional,
        symbol_notional=told.symbol_notional,
        venue_notional=told.venue_notional,
        total_notional=told.total_notional,
        correlated_share=told.correlated_share,
        category_share=told.category_share,
        max_open_positions=told.max_open_positions,
        daily_budget=told.daily_budget,
        daily_loss=told.daily_loss,
        max_drawdown=told.max_drawdown,
        loss_streak=told.loss_streak,
        loss_pause_ns=_ns(told.loss_pause_s),
        leverage=told.leverage,
        cash_reserve=told.cash_reserve,
        orders_per_second=told.orders_per_second,
        orders_per_minute=told.orders_per_minute,
        max_data_age_ns=_ns(told.max_data_age_s),
        cooldown_ns=_ns(told.cooldown_s),
        base_threshold=learner.base_threshold,
        threshold_min=learner.threshold_min,
        threshold_max=learner.threshold_max,
        multiplier_min=learner.size_min,
        multiplier_max=learner.size_max,
        ensemble=told.ensemble,
        weight_max=told.weight_max,
        allow=told.allow,
        deny=told.deny,
        categories=told.categories,
        currencies=told.currencies,
        shares=_shares(settings),
        venues={venue: _venue(one) for venue, one in told.venues.items()},
        liquidity=Liquidity(told.liquidity.max_spread_bps, told.liquidity.touch_share, told.liquidity.volume_share),
        regime=_regime(told),
        grid=GridSettings(_ns(told.correlation.step_s), told.correlation.window),
        method=Method(sizing.method),
        equity_fraction=told.equity_fraction,
        target_volatility=sizing.target_volatility,
        kelly_fraction=sizing.kelly_fraction,
        kelly_payoff=sizing.kelly_payoff,
        rounding_tolerance=sizing.rounding_tolerance,
        high=_high(told.tracks.high),
        order_type=OrderType(told.order_type),
        max_slippage=told.max_slippage,
    )


def _shares(settings: Settings) -> dict[str, Decimal]:
    return {entry.tag: entry.share for entry in settings.strategies}


def _venue(told: VenueLimitSettings) -> VenueLimits:
    return VenueLimits(told.order_notional, told.venue_notional, told.max_slippage, told.slippage_price)


def _regime(told: Told) -> RegimeSettings:
    regime = told.regime
    return RegimeSettings(_ns(regime.step_s), regime.window, regime.long, regime.trending)


def _high(told: HighTrackSettings) -> HighTrack:
    return HighTrack(
        conviction=told.from_conviction,
        equity_fraction=told.equity_fraction,
        order_notional=told.order_notional,
        method=Method(told.method) if told.method else None,
        cooldown_ns=None if told.cooldown_s is None else _ns(told.cooldown_s),
    )


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
