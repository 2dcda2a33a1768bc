"""What the public has seen of one symbol."""

from __future__ import annotations

from collections import deque

from exchanges.model.instrument import Instrument
from exchanges.simulators.candles import Candles
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.keys import key_of

RECENT_TRADES = 1_000
DAY_MS = 86_400_000


class SymbolMarket:
    """Trades that were sent, the candles they make, and the last price.

    ``move`` is the direction of the last change of price (+1 or -1), ``moved`` whether the
    last trade made it; ``sequence`` counts the trades.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.key = key_of(instrument.symbol)
        self.places = max(0, -int(instrument.tick.normalize().as_tuple().exponent))
        self.lot = float(instrument.lot)
        self.recent: deque[Row] = deque(maxlen=RECENT_TRADES)
        self.minutes = Candles()
        self.days = Candles(DAY_MS, keep=1)
        self.last = 0.0
        self.last_ms = 0
        self.move, self.moved = 1, False
        self.sequence = 0

    def note(self, row: Row) -> None:
        """Count a trade that is being sent."""
        ts_ns, _, price, size, _, _ = row
        self.moved = price != self.last
        if self.moved:
            self.move = 1 if price > self.last else -1
        self.last, self.last_ms = price, ts_ns // 1_000_000
        self.sequence += 1
        self.recent.append(row)
        self.minutes.add(self.last_ms, price, size)
        self.days.add(self.last_ms, price, size)
