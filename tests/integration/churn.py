"""Strategies for the session tests, in a module that the actors' processes can import."""

from __future__ import annotations

from pathlib import Path

from bigwheel import Strategy
from exchanges.model.market import Trade
from strategies.strategy import StrategyParams


class Churn(Strategy):
    """Buys and sells in turn, once every ``every`` trades.

    What it decides depends on the trades alone. It writes each signal's id into a file before
    the signal has left its process, so the file knows of those that a crash took on their way.
    """

    class Params(StrategyParams):
        every: int = 20
        quantity: str = "0.01"
        folder: str

    def on_start(self) -> None:
        self.seen = 0
        self.buying = True

    def on_trade(self, trade: Trade) -> None:
        self.seen += 1
        if self.seen % self.params.every:
            return
        self.buying = not self.buying
        made = self.signal("sell" if self.buying else "buy", 1.0, f"trade {self.seen}", quantity=self.params.quantity)
        if made:
            with (Path(self.params.folder) / f"{self.symbol.partition(':')[2]}.signals").open("a") as file:
                file.write(f"{made}\n")
