"""Incremental indicators: one value in, one value out, in constant time.

Each has ``update(value) -> float``, ``value`` and ``ready`` (enough values have come in; until
then ``value`` is an estimate from what there is). They hold plain attributes only, so a
strategy that keeps one as an attribute needs no code to survive a restart.
"""

from strategies.indicators.average import EMA, SMA, Wilder
from strategies.indicators.momentum import MACD, RSI
from strategies.indicators.range import ATR, Donchian, RollingMax, RollingMin
from strategies.indicators.rolling import RollingStats, ZScore

__all__ = [
    "ATR",
    "EMA",
    "MACD",
    "RSI",
    "SMA",
    "Donchian",
    "RollingMax",
    "RollingMin",
    "RollingStats",
    "Wilder",
    "ZScore",
]
