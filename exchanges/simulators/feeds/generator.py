"""A seeded price process: regimes of trend and mean reversion, with trades in Poisson time."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Sequence

from exchanges.model.instrument import Instrument
from exchanges.model.order import Side
from exchanges.simulators.feeds.row import Row

VOLATILITY = 0.0002
"""Standard deviation of the log return over one second: about 110% a year."""
DRIFT = 0.00004
"""Log drift a second while a trend lasts."""
PULL = 0.02
"""Share of the distance to its mean that a reverting price closes in a second."""
REGIME_SECONDS = 90.0
"""Mean length of a regime."""
TYPICAL_NOTIONAL = 1_500.0
"""Median notional of a trade, in the quote currency."""


class Regime(enum.Enum):
    REVERTING = 0
    RISING = 1
    FALLING = 2


class PriceProcess:
    """One symbol's trades, endless, and the same for the same seed, symbol, rate and start."""

    def __init__(self, instrument: Instrument, seed: int, rate: float, start_price: float) -> None:
        self._random = random.Random(f"{seed}/{instrument.native}")
        self._rate = rate
        self._tick, self._lot = float(instrument.tick), float(instrument.lot)
        self._digits = max(0, -int(instrument.tick.normalize().as_tuple().exponent))
        self._lot_digits = max(0, -int(instrument.lot.normalize().as_tuple().exponent))
        self._price = self._mean = start_price
        self._regime, self._left = Regime.REVERTING, REGIME_SECONDS
        self._previous, self._side = start_price, Side.BUY

    def next(self) -> tuple[float, float, float, Side]:
        """Seconds since the trade before, price, size and taker side."""
        step = self._random.expovariate(self._rate)
        self._switch(step)
        noise = self._random.gauss(0.0, VOLATILITY * math.sqrt(step))
        self._price *= math.exp(noise + self._drift(step))
        price = max(round(round(self._price / self._tick) * self._tick, self._digits), self._tick)
        if price != self._previous:
            self._side = Side.BUY if price > self._previous else Side.SELL
        elif self._random.random() < 0.3:
            self._side = self._side.opposite
        self._previous = price
        lots = max(1, round(self._random.lognormvariate(math.log(TYPICAL_NOTIONAL), 1.2) / price / self._lot))
        return step, price, round(lots * self._lot, self._lot_digits), self._side

    def _switch(self, step: float) -> None:
        self._left -= step
        if self._left <= 0:
            self._left = self._random.expovariate(1 / REGIME_SECONDS)
            self._regime = self._random.choice(list(Regime))
            self._mean = self._price

    def _drift(self, step: float) -> float:
        if self._regime is Regime.REVERTING:
            return math.log(self._mean / self._price) * min(1.0, PULL * step)
        return DRIFT * step if self._regime is Regime.RISING else -DRIFT * step


class Generator:
    """The trades of several symbols on a common clock that starts at ``start_ns``.

    ``prices`` are the starting prices by native symbol. Trade ids count up from ``first_id``.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        prices: dict[str, float],
        *,
        seed: int,
        rate: float,
        start_ns: int,
        first_id: str = "",
    ) -> None:
        self._processes = {i.native: PriceProcess(i, seed, rate, prices[i.native]) for i in instruments}
        self._start, self._prefix = start_ns, first_id or f"{start_ns:x}"
        self._counts = dict.fromkeys(self._processes, 0)
        self._pending = {symbol: self._draw(symbol, start_ns) for symbol in self._processes}

    def _draw(self, symbol: str, after_ns: int) -> Row:
        seconds, price, size, side = self._processes[symbol].next()
        self._counts[symbol] += 1
        ts_ns = after_ns + max(1, int(seconds * 1e9))
        return ts_ns, symbol, price, size, side, f"{self._prefix}-{symbol}-{self._counts[symbol]}"

    def due(self, now_ns: int, most: int = 1_000_000) -> list[Row]:
        """The trades up to ``now_ns``, in time order, not more than ``most`` a symbol."""
        rows: list[Row] = []
        for symbol, row in self._pending.items():
            taken = 0
            while row[0] <= now_ns and taken < most:
                rows.append(row)
                row = self._draw(symbol, row[0])
                taken += 1
            self._pending[symbol] = row
        rows.sort(key=lambda row: row[0])
        return rows
