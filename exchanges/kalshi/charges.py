"""Fees worked out for fills whose fee the venue does not tell, order by order."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal

from exchanges.kalshi.fees import ASSUMED, OrderFees, Rates, fee_rate
from exchanges.kalshi.settings import KalshiSettings
from exchanges.model.order import Liquidity, Side


class Charges:
    """The fees of fills whose fee the venue doesn't tell, worked out by its schedule, order by order."""

    def __init__(self, settings: KalshiSettings, kept: int = 4_096) -> None:
        self._step = settings.fee_step
        self._kept = kept
        self._rates: dict[str, Rates] = {}
        self._orders: OrderedDict[str, OrderFees] = OrderedDict()
        self.worked_out = 0

    def schedule(self, ticker: str, rates: Rates) -> None:
        """Note the coefficients of a market."""
        self._rates[ticker] = rates

    def rates(self, ticker: str) -> Rates:
        return self._rates.get(ticker, ASSUMED)

    def fee(
        self, order_id: str, ticker: str, side: Side, price: Decimal, count: Decimal, liquidity: Liquidity
    ) -> Decimal:
        """The fee of the order's next fill, in dollars."""
        self.worked_out += 1
        fees = self._orders.pop(order_id, None) or OrderFees(self._step)
        self._orders[order_id] = fees
        while len(self._orders) > self._kept:
            self._orders.popitem(last=False)
        known = self.rates(ticker)
        return fees.charge(side, price, count, fee_rate(known.maker, known.taker, liquidity)).net
