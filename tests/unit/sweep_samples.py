"""Strategies and data for the tests of sweeps."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from pathlib import Path

import bigwheel
from exchanges.model.market import Bar
from strategies.strategy import Strategy
from tests.unit.test_backtest import BTC, bars, steps, wavy

__all__ = ["BTC", "Deadly", "Hanging", "Holder", "data"]


def data(folder: Path, count: int = 60, closes: list[float] | None = None) -> Path:
    """Minute bars of BTCUSDT in triangles of 40, or with these closes."""
    return bars(folder / "BTCUSDT.parquet", steps(wavy(count) if closes is None else closes))


class Holder(Strategy):
    """Buys at one bar and sells at another, counted from 1; writes a letter for each run it is in."""

    class Params(bigwheel.StrategyParams):
        buy: int = 2
        sell: int = 4
        log: str = ""
        fail: int = 0
        """The ``sell`` for which it raises."""

    def __init__(self) -> None:
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count == 1 and self.params.log:
            with Path(self.params.log).open("a") as file:
                file.write("x")
        if self.params.fail and self.params.sell == self.params.fail:
            raise ValueError("no such luck")
        if self.count == self.params.buy:
            self.buy(quantity=Decimal("0.1"))
        elif self.count == self.params.sell:
            self.exit("it is time")


class Deadly(Holder):
    """Kills its process at ``sell`` 5 until ``mercy`` is there, and at ``sell`` 6 always."""

    class Params(Holder.Params):
        mercy: str = ""

    def on_bar(self, bar: Bar) -> None:
        if self.count == 3:
            spared = Path(self.params.mercy)
            if self.params.sell == 6 or (self.params.sell == 5 and not spared.exists()):
                spared.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        super().on_bar(bar)


class Hanging(Holder):
    """Never comes back from its third bar at ``sell`` 5, where ``hang`` is true."""

    class Params(Holder.Params):
        hang: bool = True

    def on_bar(self, bar: Bar) -> None:
        while self.count == 3 and self.params.sell == 5 and self.params.hang:
            continue
        super().on_bar(bar)
