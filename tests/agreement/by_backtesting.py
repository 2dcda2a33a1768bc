"""A rule by backtesting.py: orders of one bar are filled at the next one's open."""

from __future__ import annotations

from typing import Any

import backtesting
import pandas as pd

from tests.agreement.outcome import Outcome, Trip
from tests.agreement.rules import Candle, Pilot
from tests.agreement.series import Series


class Ruled(backtesting.Strategy):  # type: ignore[misc]
    """Trades what its rule says, at the market."""

    rule, count, size = "", 0, 1

    def init(self) -> None:
        self.pilot, self.seen = Pilot(self.rule, self.count), 0

    def next(self) -> None:
        change, data = 0, self.data
        while self.seen < len(data):  # it is not asked about the first bar, which the rule has to see
            at = self.seen
            candle = Candle(*(float(column[at]) for column in (data.Open, data.High, data.Low, data.Close)))
            change = self.pilot.change(candle, int(self.position.size) // self.size)
            self.seen += 1
        if change:
            (self.buy if change > 0 else self.sell)(size=abs(change) * self.size)


def run(series: Series, rule: str, *, size: int, cash: int, fee: float) -> Outcome:
    """What it comes to. Without hedging one order closes what is held and goes on to the other side."""
    times = pd.to_datetime(series.times)
    frame = pd.DataFrame(series.candles, columns=["Open", "High", "Low", "Close"], index=times)
    test = backtesting.Backtest(frame, Ruled, cash=cash, commission=fee, hedging=False, trade_on_close=False)
    stats = test.run(rule=rule, count=len(times), size=size)
    curve = stats["_equity_curve"]["Equity"]
    return Outcome(
        trips(stats, series.times),
        float(stats["Equity Final [$]"]),
        dict(zip(series.times, curve.tolist(), strict=True)),
    )


def trips(stats: Any, times: list[int]) -> list[Trip]:
    """Its trades that ended; what was one position and closed in parts it has as several, here as one."""
    working = {trade.entry_bar for trade in stats["_strategy"].trades}
    found = []
    for entry, parts in stats["_trades"].groupby("EntryBar"):
        if entry in working:
            continue
        sizes = parts["Size"].abs()
        quantity = float(sizes.sum())
        found.append(
            Trip(
                "long" if parts["Size"].iloc[0] > 0 else "short",
                quantity,
                times[entry],
                times[int(parts["ExitBar"].max())],
                float(parts["EntryPrice"].iloc[0]),
                float((parts["ExitPrice"] * sizes).sum()) / quantity,
                float(parts["PnL"].sum()),
            )
        )
    return sorted(found, key=lambda trip: trip.exit_ns)
