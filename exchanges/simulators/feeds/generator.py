"""A seeded price process: regimes of trend and mean reversion, with trades in Poisson time."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.keys import key_of

PULL = 0.02
"""Share of the distance to its mean that a reverting price closes in a second."""
REGIME_SECONDS = 90.0
"""Mean length of a regime."""
EDGE = 0.02
"""An event contract's price stays so far from 0 and from its full value, as a share of it."""
MOST_ODDS = math.log((1 - EDGE) / EDGE)


class Scale(NamedTuple):
    """How lively a kind of instrument is.

    ``volatility`` is the standard deviation of the log return over one second, ``drift`` the log
    drift a second while a trend lasts (of an event contract, both of its log odds), ``notional`` the
    median value of a trade in the quote currency.
    """

    volatility: float
    drift: float
    notional: float


CRYPTO = Scale(0.0002, 0.00004, 1_500.0)
"""About 110% a year."""
SCALES = {ContractKind.EQUITY: Scale(0.0001, 0.00002, 8_000.0), ContractKind.BINARY_EVENT: Scale(0.01, 0.002, 12.0)}


class Regime(enum.Enum):
    REVERTING = 0
    RISING = 1
    FALLING = 2


class PriceProcess:
    """One symbol's trades, endless, and the same for the same seed, symbol, rate and start.

    The process runs in the logarithm of the price, of an event contract in its log odds, which
    keeps that between nothing and its full value; event contracts trade in whole ones.
    """

    def __init__(self, instrument: Instrument, seed: int, rate: float, start_price: float) -> None:
        self._random = random.Random(f"{seed}/{key_of(instrument.symbol)}")
        self._rate = rate
        self._instrument = instrument
        self._value = float(instrument.contract_value) if instrument.kind is ContractKind.BINARY_EVENT else 0.0
        self._scale = SCALES.get(instrument.kind, CRYPTO)
        self._lot = max(float(instrument.lot), 1.0) if self._value else float(instrument.lot)
        self._tick = float(instrument.tick)
        self._digits = _digits(instrument.tick)
        self._lot_digits = _digits(instrument.lot)
        self._level = self._mean = self._level_of(start_price)
        self._regime, self._left = Regime.REVERTING, REGIME_SECONDS
        self._previous, self._side = start_price, Side.BUY

    def _level_of(self, price: float) -> float:
        if not self._value:
            return math.log(price)
        share = min(max(price / self._value, EDGE), 1 - EDGE)
        return math.log(share / (1 - share))

    def _price(self) -> float:
        """The level as a price on the tick."""
        if self._value:
            self._level = min(max(self._level, -MOST_ODDS), MOST_ODDS)
            exact = self._value / (1 + math.exp(-self._level))
        else:
            exact = math.exp(self._level)
        tick, digits = self._tick, self._digits
        if self._instrument.price_steps:
            step = self._instrument.tick_at(Decimal(repr(exact)))
            tick, digits = float(step), _digits(step)
        return max(round(round(exact / tick) * tick, digits), tick)

    def next(self) -> tuple[float, float, float, Side]:
        """Seconds since the trade before, price, size and taker side."""
        step = self._random.expovariate(self._rate)
        self._switch(step)
        noise = self._random.gauss(0.0, self._scale.volatility * math.sqrt(step))
        self._level += noise + self._drift(step)
        price = self._price()
        if price != self._previous:
            self._side = Side.BUY if price > self._previous else Side.SELL
        elif self._random.random() < 0.3:
            self._side = self._side.opposite
        self._previous = price
        notional = self._random.lognormvariate(math.log(self._scale.notional), 1.2)
        lots = max(1, round(notional / price / self._lot))
        return step, price, round(lots * self._lot, self._lot_digits), self._side

    def _switch(self, step: float) -> None:
        self._left -= step
        if self._left <= 0:
            self._left = self._random.expovariate(1 / REGIME_SECONDS)
            self._regime = self._random.choice(list(Regime))
            self._mean = self._level

    def _drift(self, step: float) -> float:
        if self._regime is Regime.REVERTING:
            return (self._mean - self._level) * min(1.0, PULL * step)
        drift = self._scale.drift * step
        return drift if self._regime is Regime.RISING else -drift


def _digits(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))


class Generator:
    """The trades of several symbols on a common clock that starts at ``start_ns``.

    ``prices`` are the starting prices by key (the symbol without its venue). Trade ids count up from ``first_id``.
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
        keys = {key_of(instrument.symbol): instrument for instrument in instruments}
        self._processes = {key: PriceProcess(i, seed, rate, prices[key]) for key, i in keys.items()}
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
