"""Fair value of event contracts: trades the difference between a probability and the market's price."""

from __future__ import annotations

from math import exp, log

from pydantic import Field

from exchanges.model.market import Quote, Trade
from strategies.indicators import EMA, MicroPrice, TradeImbalance
from strategies.strategy import Feedback, Strategy, StrategyParams

SECOND = 1_000_000_000


class FairValue(Strategy):
    """Buys yes below the fair probability and sells it above, where that pays more than the fees and a margin.

    All by the yes side: selling yes without holding any is buying no, buying it back is selling no. The
    probability is ``probability``, or else a blend in log-odds: the market's own smoothed micro-price, shrunk
    towards one half (prices near 0 and 1 are known to be overdone: the favourite-longshot bias), tilted
    by who takes. The fee of a contract at price p is ``fee * p * (1 - p)`` (Kalshi's schedule), for the way in;
    held to settlement there is none for the way out.
    """

    class Params(StrategyParams):
        probability: float | None = Field(default=None, gt=0, lt=1, description="of yes; none: a model of the market")
        smooth: int = Field(default=50, ge=2, description="quotes the micro-price is smoothed over")
        shrink: float = Field(default=0.05, ge=0, lt=1, description="how far log-odds are drawn towards one half")
        trades: int = Field(default=50, ge=2, description="trades whose takers tilt the probability")
        tilt: float = Field(default=0.15, ge=0, description="log-odds added when all of them bought")
        bound: float = Field(default=0.02, gt=0, lt=0.5, description="least and, from 1, greatest probability")
        fee: float = Field(default=0.07, ge=0, description="coefficient of the taker's fee")
        margin: float = Field(default=0.02, ge=0, description="dollars a contract has to gain beyond the fee")
        leave: float = Field(default=0.0, ge=0, description="gain over holding on at which a position is sold")
        full: float = Field(default=0.10, gt=0, description="gain, in dollars a contract, of conviction 1")
        quantity: int | None = Field(default=None, ge=1, description="contracts; none: sized by risk")
        pause_s: float = Field(default=5.0, ge=0, description="seconds from a signal to the next")
        short: bool = Field(default=True, description="whether it may buy no")

    def __init__(self) -> None:
        self.micro = MicroPrice()
        self.market = EMA(self.params.smooth)
        self.taken = TradeImbalance(self.params.trades)
        self.quiet_ns = 0
        self.bar = 0.0

    def on_trade(self, trade: Trade) -> None:
        self.taken.update_trade(trade.size, trade.side)

    def on_quote(self, quote: Quote) -> None:
        if not 0 < quote.bid < quote.ask < 1:
            return
        price = self.micro.update_quote(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        self.market.update(log(price / (1 - price)))
        if quote.recv_ns >= self.quiet_ns and (self.market.ready or self.params.probability is not None):
            self.decide(quote)

    def on_feedback(self, feedback: Feedback) -> None:
        """Ask more of an entry when convictions this low have lost."""
        self.bar = feedback.conviction_threshold * self.params.full

    def fair(self) -> float:
        """The probability of yes."""
        params = self.params
        if params.probability is not None:
            return float(params.probability)
        odds = self.market.value * (1 - params.shrink) + params.tilt * self.taken.value
        return float(min(max(1 / (1 + exp(-odds)), params.bound), 1 - params.bound))

    def fee(self, price: float) -> float:
        """What one contract costs to trade at ``price``, in dollars."""
        return float(self.params.fee * price * (1 - price))

    def decide(self, quote: Quote) -> None:
        """Compare the fair value with what can be had."""
        fair, held = self.fair(), self.position.quantity
        buying = fair - quote.ask - self.fee(quote.ask)
        selling = quote.bid - fair - self.fee(quote.bid)
        least = max(self.params.margin, self.bar)
        if held > 0:
            if selling > self.params.leave:
                self.act(self.exit("yes is worth more to others", limit_price=quote.bid, fair=fair), quote)
        elif held < 0:
            if buying > self.params.leave:
                self.act(self.exit("no is worth more to others", limit_price=quote.ask, fair=fair), quote)
        elif buying >= least:
            self.enter("buy", "yes is cheap", buying, quote.ask, fair, quote)
        elif selling >= least and self.params.short:
            self.enter("sell", "no is cheap", selling, quote.bid, fair, quote)

    def enter(self, side: str, reason: str, gain: float, price: float, fair: float, quote: Quote) -> None:
        """Take what is offered, no worse than it was seen."""
        signal = self.signal(
            side,
            min(gain / self.params.full, 1.0),
            reason,
            quantity=self.params.quantity,
            limit_price=price,
            fair=fair,
            gain=gain,
            fee=self.fee(price),
        )
        self.act(signal, quote)

    def act(self, signal: str, quote: Quote) -> None:
        """Wait for the fill of a signal that went out."""
        if signal:
            self.quiet_ns = quote.recv_ns + int(self.params.pause_s * SECOND)
