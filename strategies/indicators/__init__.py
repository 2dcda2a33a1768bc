"""Incremental indicators: one value in, one value out, in constant time.

Each has an update (``update(value)``; ``update_bar``, ``update_trade`` or ``update_quote`` where it
needs more), ``value`` and ``ready`` (enough values have come in; until then ``value`` is an
estimate from what there is). They hold plain attributes only, so a strategy that keeps one as an
attribute needs no code to survive a restart.
"""

from strategies.indicators.average import EMA, SMA, WMA, Wilder
from strategies.indicators.bands import Bollinger
from strategies.indicators.direction import ADX, EfficiencyRatio, Slope
from strategies.indicators.flow import MicroPrice, OrderFlowImbalance, TradeImbalance
from strategies.indicators.momentum import MACD, ROC, RSI, Momentum
from strategies.indicators.oscillator import CCI, Stochastic
from strategies.indicators.range import ATR, Donchian, RollingMax, RollingMin
from strategies.indicators.rolling import MeanDeviation, RollingStats, StandardDeviation, ZScore
from strategies.indicators.volatility import RealisedVolatility
from strategies.indicators.volume import OBV, VWAP

__all__ = [
    "ADX",
    "ATR",
    "CCI",
    "EMA",
    "MACD",
    "OBV",
    "ROC",
    "RSI",
    "SMA",
    "VWAP",
    "WMA",
    "Bollinger",
    "Donchian",
    "EfficiencyRatio",
    "MeanDeviation",
    "MicroPrice",
    "Momentum",
    "OrderFlowImbalance",
    "RealisedVolatility",
    "RollingMax",
    "RollingMin",
    "RollingStats",
    "Slope",
    "StandardDeviation",
    "Stochastic",
    "TradeImbalance",
    "Wilder",
    "ZScore",
]
