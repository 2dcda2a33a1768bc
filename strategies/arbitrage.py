"""Cross-venue arbitrage: the same thing under two symbols, and the spread between them."""

from __future__ import annotations

import enum
from decimal import Decimal
from math import log
from typing import Self

from pydantic import Field, model_validator

from exchanges.model.market import Quote
from strategies.errors import StrategyError
from strategies.indicators import ZScore
from strategies.strategy import Strategy, StrategyParams

SECOND = 1_000_000_000
BASIS_POINT = 1e-4


class Phase(enum.StrEnum):
    """``OPENING`` and ``CLOSING`` wait for fills; ``UNWINDING`` closes what is left of legs that do not match."""

    FLAT = "flat"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    UNWINDING = "unwinding"


class Arbitrage(Strategy):
    """Sells the dear symbol and buys the cheap one when they are unusually far apart; closes when they meet.

    The spread is the log of the first mid over the second's. It opens both legs, of the same size, where
    the z-score of the spread is beyond ``enter`` and its distance from the mean is more than the costs
    of both ways through both markets; it closes near the mean there was then. One leg may fill without
    the other: what is not matched after ``patience_s`` is closed, and so are both legs when one is taken
    away (a panic, a settlement). Nothing is opened on a quote that is older than ``fresh_s``.
    """

    together = True

    class Params(StrategyParams):
        size: Decimal = Field(default=Decimal("0.01"), gt=0, description="base units of each leg")
        window: int = Field(default=300, ge=20, description="values the spread's mean and deviation are taken over")
        every_s: float = Field(default=0.5, gt=0, description="seconds from one value of the spread to the next")
        enter: float = Field(default=2.5, gt=0, description="deviations from the mean at which it opens")
        leave: float = Field(default=0.5, ge=0, description="deviations from the mean at which it closes")
        stop: float = Field(default=8.0, gt=0, description="deviations at which it gives up")
        full: float = Field(default=5.0, gt=0, description="deviations of conviction 1")
        fees_bps: float = Field(default=10.0, ge=0, description="fees of the four trades together, basis points")
        margin_bps: float = Field(default=2.0, ge=0, description="what it has to gain beyond the costs, basis points")
        fresh_s: float = Field(default=2.0, gt=0, description="seconds after which a quote is no longer traded on")
        patience_s: float = Field(default=5.0, gt=0, description="seconds both legs have to fill")
        hold_s: float = Field(default=600.0, gt=0, description="seconds after which it closes in any case")
        tolerance: float = Field(default=0.02, ge=0, lt=1, description="share of the size the legs may differ by")

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if not self.leave < self.enter < self.stop:
                raise ValueError(f"expected leave < enter < stop, found {self.leave}, {self.enter} and {self.stop}")
            return self

    def __init__(self) -> None:
        if len(self.symbols) != 2:
            raise StrategyError(
                f"expected two symbols of the same thing, found {', '.join(self.symbols) or 'none'}; "
                "name both in symbols, with symbols_together"
            )
        self.quotes: dict[str, Quote] = {}
        self.score = ZScore(self.params.window)
        self.sampled_ns = 0
        self.phase = Phase.FLAT
        self.since_ns = 0
        self.norm = (0.0, 0.0)
        """Mean and deviation of the spread: when it opened, or of now while nothing is open."""
        self.sign = 0
        """+1: long the first symbol and short the second, -1 the other way around."""

    def on_quote(self, quote: Quote) -> None:
        if not 0 < quote.bid <= quote.ask:
            return
        self.quotes[quote.symbol] = quote
        if len(self.quotes) < 2:
            return
        now_ns = quote.recv_ns
        if now_ns >= self.sampled_ns + self.params.every_s * SECOND:
            self.sampled_ns = now_ns
            self.score.update(self.spread())
        self.step(now_ns)

    def spread(self) -> float:
        """The log of the first symbol's mid over the second's."""
        first, second = (self.quotes[symbol] for symbol in self.symbols)
        return log(first.mid / second.mid)

    def costs(self) -> float:
        """Both ways through both markets, as a fraction: the whole of each market's spread, and the fees."""
        spreads = sum((quote.ask - quote.bid) / quote.mid for quote in self.quotes.values())
        return spreads + float(self.params.fees_bps) * BASIS_POINT

    def deviation(self) -> float:
        """How many deviations the spread is off its mean; while something is open, off that of the opening."""
        if self.phase is Phase.FLAT:
            self.norm = (self.score.stats.mean, self.score.stats.std)
        mean, std = self.norm
        return (self.spread() - mean) / std if std > 0 else 0.0

    # -- phases --------------------------------------------------------------------

    def step(self, now_ns: int) -> None:
        """Go on from the phase it is in."""
        if self.phase is Phase.FLAT:
            if any(held.quantity for held in self.positions.values()):
                self.unwind("a leg is held that was given up", now_ns)
            elif self.score.ready and self.fresh(now_ns):
                self.look(now_ns)
        elif self.phase is Phase.OPENING:
            self.opening(now_ns)
        elif self.phase is Phase.OPEN:
            self.keep(now_ns)
        else:
            self.closing(now_ns)

    def fresh(self, now_ns: int) -> bool:
        """Whether both quotes are new enough to trade on."""
        oldest = min(quote.recv_ns for quote in self.quotes.values())
        return bool(now_ns - oldest <= self.params.fresh_s * SECOND)

    def look(self, now_ns: int) -> None:
        """Open both legs where it pays."""
        off, costs = self.deviation(), self.costs()
        gain = abs(self.spread() - self.score.stats.mean) - costs
        if not self.params.enter <= abs(off) < self.params.stop or gain < self.params.margin_bps * BASIS_POINT:
            return
        sign = -1 if off > 0 else 1
        conviction = min(abs(off) / self.params.full, 1.0)
        sent: list[str] = []
        for symbol, side in zip(self.symbols, ("buy", "sell") if sign > 0 else ("sell", "buy"), strict=True):
            signal = self.signal(
                side,
                conviction,
                "the spread is wide",
                quantity=self.params.size,
                symbol=symbol,
                deviations=off,
                costs=costs,
                gain=gain,
            )
            if not signal:
                break
            sent.append(signal)
        if len(sent) == 1:
            # One leg alone is a bet, not an arbitrage.
            self.cancel(sent[0], "the other leg was withheld")
        if sent:
            self.sign = sign
            self.enter(Phase.OPENING, now_ns)

    def opening(self, now_ns: int) -> None:
        """Wait for both legs; close what is not matched in time."""
        size = self.params.size
        if all(abs(held.quantity) >= size for held in self.positions.values()) and self.matched():
            self.enter(Phase.OPEN, now_ns)
        elif now_ns - self.since_ns >= self.params.patience_s * SECOND:
            if not any(held.quantity for held in self.positions.values()):
                self.enter(Phase.FLAT, now_ns)
            elif self.matched():
                self.enter(Phase.OPEN, now_ns)
            else:
                self.unwind("one leg has not filled", now_ns)

    def matched(self) -> bool:
        """Whether the legs are held, the right way around, and offset each other."""
        first, second = (self.positions[symbol].quantity * self.sign for symbol in self.symbols)
        slack = self.params.size * Decimal(repr(self.params.tolerance))
        return first > 0 > second and abs(first + second) <= slack

    def keep(self, now_ns: int) -> None:
        """Close where there is a reason to."""
        along = -self.deviation() * self.sign
        if not self.matched():
            self.unwind("a leg was taken away", now_ns)
        elif along <= self.params.leave:
            self.close("the prices have met", Phase.CLOSING, now_ns)
        elif along >= self.params.stop:
            self.close("stopped: the prices went further apart", Phase.CLOSING, now_ns)
        elif now_ns - self.since_ns >= self.params.hold_s * SECOND:
            self.close("held too long", Phase.CLOSING, now_ns)

    def closing(self, now_ns: int) -> None:
        """Ask again for what has not been closed in time, until nothing is held."""
        if not any(held.quantity for held in self.positions.values()):
            self.enter(Phase.FLAT, now_ns)
        elif now_ns - self.since_ns >= self.params.patience_s * SECOND:
            self.close("not closed yet", self.phase, now_ns)

    def unwind(self, reason: str, now_ns: int) -> None:
        """Close whatever is held, and say so."""
        self.log("unwinds", reason=reason, **{symbol: held.quantity for symbol, held in self.positions.items()})
        self.close(reason, Phase.UNWINDING, now_ns)

    def close(self, reason: str, phase: Phase, now_ns: int) -> None:
        for symbol in self.symbols:
            self.exit(reason, symbol=symbol, deviations=self.deviation())
        self.enter(phase, now_ns)

    def enter(self, phase: Phase, now_ns: int) -> None:
        self.phase, self.since_ns = phase, now_ns
