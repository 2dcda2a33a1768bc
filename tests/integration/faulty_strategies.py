"""Strategies with what goes wrong in them, for the tests of containment."""

from __future__ import annotations

import threading
import time

from exchanges.model.market import Trade
from strategies.strategy import Strategy


class Raising(Strategy):
    """Fails on every tick."""

    def on_tick(self, tick: object) -> None:
        raise ValueError("no sense in this tick")


class Moody(Strategy):
    """Fails on every twentieth trade, and counts the others."""

    def on_start(self) -> None:
        self.good = 0

    def on_trade(self, trade: Trade) -> None:
        if trade.seq % 20 == 0:
            raise ValueError(f"trade {trade.seq} is one too many")
        self.good += 1
        self.log(f"good {self.good}")


class Blocking(Strategy):
    """Never comes back from its first trade."""

    def on_trade(self, trade: Trade) -> None:
        time.sleep(3_600)


class Unpicklable(Strategy):
    """Keeps what no snapshot can hold."""

    def on_trade(self, trade: Trade) -> None:
        self.lock = threading.Lock()
