"""What Hyperliquid's venue knows beyond the shared one: assets by number, and whose address is which account."""

from __future__ import annotations

from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.simulators.base.funding import FundedVenue
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.hyperliquid.auth import Wallets


class HyperliquidVenue(FundedVenue):
    """An asset's number is its place among the markets."""

    wallets: Wallets

    def prepare(self) -> None:
        self.wallets = Wallets(self.settings.credentials(), self.faults)

    def asset(self, number: object) -> SymbolMarket:
        """The market with a number.

        Raises:
            OrderRejectedError: ``UNKNOWN_INSTRUMENT``, there is none.
        """
        listed = list(self.markets.values())
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(listed):
            raise OrderRejectedError(Reject.UNKNOWN_INSTRUMENT, f"expected 0 to {len(listed) - 1}, found {number!r}")
        return listed[number]
