"""Market making: quotes on both sides that lean against the inventory."""

from __future__ import annotations

from decimal import Decimal
from math import log
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from exchanges.model.flow import Rest
from exchanges.model.market import Quote
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position
from strategies.indicators import MicroPrice, RealisedVolatility
from strategies.strategy import Strategy, StrategyParams

SECOND = 1_000_000_000
BASIS_POINT = 1e-4


class Prices(NamedTuple):
    """What it wants to quote; ``None``: nothing on that side."""

    bid: float | None
    ask: float | None


class Working:
    """A quote that is out: the signal's id, its price, and when it ends by itself."""

    def __init__(self, signal: str, price: float, until_ns: int) -> None:
        self.signal, self.price, self.until_ns = signal, price, until_ns
        self.touched = False
        """Something of it has filled: the inventory it was made for is no longer so."""


class Maker(Strategy):
    """Rests a bid and an ask around a reservation price that falls as it holds more.

    With ``q`` lots held, volatility ``s`` a second and horizon ``T``, in fractions of the price:
    reservation ``fair * (1 - q * gamma * s**2 * T)``, spread ``gamma * s**2 * T + 2 / gamma * log(1 + gamma /
    kappa)``; ``kappa`` says how quickly fills get rarer away from the price. ``fair`` is the micro-price.
    M. Avellaneda and S. Stoikov, High-frequency trading in a limit order book (2008), equations
    17 and 18, for a fixed horizon. A quote that is off by more than ``band``, touched by a fill or too old
    is cancelled first, and replaced once the cancel has had ``settle_s`` to take effect. At ``most`` lots
    it quotes on the other side alone.
    """

    class Params(StrategyParams):
        size: Decimal | None = Field(default=None, gt=0, description="base units of a quote; none: sized by risk")
        lot: float = Field(default=1000.0, gt=0, description="without size: quote currency that counts as one lot")
        most: float = Field(default=3.0, gt=0, description="lots it holds at most, either way")
        gamma: float = Field(default=200.0, gt=0, description="aversion to inventory")
        kappa: float = Field(default=2000.0, gt=0, description="how fast fills get rarer, per fraction of the price")
        horizon_s: float = Field(default=60.0, gt=0, description="seconds the inventory's risk is counted over")
        window: int = Field(default=30, ge=5, description="seconds of volatility")
        least_bps: float = Field(default=2.0, ge=0, description="least distance from fair, basis points: the fees")
        band_bps: float = Field(default=1.0, ge=0, description="how far off a quote may be before it is replaced")
        lifetime_s: float = Field(default=15.0, gt=0, description="seconds a quote rests")
        settle_s: float = Field(default=0.5, ge=0, description="seconds from a cancel to the quote in its place")
        conviction: float = Field(default=0.5, gt=0, le=1, description="of each quote")
        short: bool = Field(default=True, description="whether it may sell what it does not have")

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.settle_s >= self.lifetime_s:
                raise ValueError(f"expected settle_s < lifetime_s, found {self.settle_s} and {self.lifetime_s}")
            return self

    def __init__(self) -> None:
        self.micro = MicroPrice()
        self.volatility = RealisedVolatility(self.params.window)
        self.sampled_ns = 0
        self.working: dict[Side, Working] = {}
        self.quiet_ns: dict[Side, int] = {}

    def on_quote(self, quote: Quote) -> None:
        if not 0 < quote.bid < quote.ask:
            return
        fair = self.micro.update_quote(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        if quote.recv_ns >= self.sampled_ns + SECOND:
            self.sampled_ns = quote.recv_ns
            self.volatility.update(quote.mid)
        if self.volatility.ready:
            wanted = self.prices(fair, quote)
            self.tend(Side.BUY, wanted.bid, quote.recv_ns)
            self.tend(Side.SELL, wanted.ask, quote.recv_ns)

    def on_fill(self, fill: Fill, position: Position) -> None:
        for working in self.working.values():
            working.touched = True

    def lots(self, fair: float) -> float:
        """The inventory in lots, signed."""
        size, held = self.params.size, self.position.quantity
        return float(held / size) if size is not None else float(held) * fair / self.params.lot

    def prices(self, fair: float, quote: Quote) -> Prices:
        """The quotes for this fair value; never through the market's own best price."""
        params, lots = self.params, self.lots(fair)
        risk = params.gamma * self.volatility.value**2 * params.horizon_s
        half = max((risk + 2 / params.gamma * log(1 + params.gamma / params.kappa)) / 2, params.least_bps * BASIS_POINT)
        middle = fair * (1 - lots * risk)
        bid = min(middle - half * fair, quote.bid)
        ask = max(middle + half * fair, quote.ask)
        return Prices(
            bid if lots < params.most and bid > 0 else None,
            ask if lots > -params.most and (params.short or lots > 0) else None,
        )

    def tend(self, side: Side, price: float | None, now_ns: int) -> None:
        """Leave the quote of one side, take it back, or place it."""
        working = self.working.get(side)
        if working is not None and now_ns >= working.until_ns:
            self.rest(side, now_ns)
            working = None
        if working is None:
            if price is not None and now_ns >= self.quiet_ns.get(side, 0):
                self.place(side, price, now_ns)
        elif price is None or working.touched or abs(price / working.price - 1) > self.params.band_bps * BASIS_POINT:
            self.cancel(working.signal, "the price to quote has moved")
            self.rest(side, now_ns)

    def rest(self, side: Side, now_ns: int) -> None:
        """Nothing on this side until what was there is surely gone."""
        self.working.pop(side, None)
        self.quiet_ns[side] = now_ns + int(self.params.settle_s * SECOND)

    def place(self, side: Side, price: float, now_ns: int) -> None:
        """Rest a quote, as large as may be held."""
        params, held = self.params, self.position.quantity
        lifetime_ns = int(params.lifetime_s * SECOND)
        size = params.size
        if not params.short and side is Side.SELL:
            size = min(size, held) if size is not None else held
        signal = self.signal(
            side,
            params.conviction,
            "a quote",
            quantity=size,
            limit_price=price,
            flow=Rest(lifetime_ns=lifetime_ns, post_only=True),
            fair=self.micro.value,
            lots=self.lots(self.micro.value),
            volatility=self.volatility.value,
        )
        if signal:
            self.working[side] = Working(signal, price, now_ns + lifetime_ns)
        else:
            self.rest(side, now_ns)
