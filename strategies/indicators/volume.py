"""Prices and directions weighted by volume."""

from __future__ import annotations

from strategies.indicators.period import checked

DAY_NS = 86_400 * 1_000_000_000


class OBV:
    """On-balance volume (Joseph Granville, 1963): volume added when the close rises, taken off when it falls.

    It begins at 0 with the first bar: only its changes mean something. Ready after two bars.
    """

    def __init__(self) -> None:
        self.close: float | None = None
        self.value = 0.0
        self.ready = False

    def update_bar(self, close: float, volume: float) -> float:
        """Take in one closed bar."""
        previous, self.close = self.close, close
        if previous is not None:
            self.ready = True
            self.value += volume if close > previous else -volume if close < previous else 0.0
        return self.value


class VWAP:
    """The volume-weighted average price of a session, which begins anew every ``session_ns``.

    Sessions are counted from the epoch plus ``offset_ns``: by default they are days of UTC. Ready
    with the first volume of a session; until then the last known value stands.
    """

    def __init__(self, session_ns: int = DAY_NS, offset_ns: int = 0) -> None:
        self.session_ns = checked(session_ns, name="session_ns")
        self.offset_ns = offset_ns
        self.session: int | None = None
        self.volume = 0.0
        self.turnover = 0.0
        self.value = 0.0
        self.ready = False

    def update_trade(self, price: float, size: float, ts_ns: int) -> float:
        """Take in one trade, or a bar's typical price and volume; of an earlier session: passed over."""
        session = (ts_ns - self.offset_ns) // self.session_ns
        if self.session is None or session > self.session:
            self.session, self.volume, self.turnover, self.ready = session, 0.0, 0.0, False
        if session == self.session and size > 0:
            self.volume += size
            self.turnover += price * size
            self.value = self.turnover / self.volume
            self.ready = True
        return self.value
