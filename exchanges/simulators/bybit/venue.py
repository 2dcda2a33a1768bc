"""What Bybit's venue knows beyond the shared one: categories and position modes."""

from __future__ import annotations

from exchanges.simulators.base.funding import FundedVenue
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.topics import LINEAR, SPOT, category_of, key_in
from exchanges.simulators.faults import KeyState

ONE_WAY, HEDGE = 0, 3


class BybitVenue(FundedVenue):
    """A unified account's venue. ``modes`` are the position modes that were switched to hedge, by account and key.

    Hedge positions themselves are not simulated: in that mode orders are refused as a
    one-way client's would be. The modes end with the process.
    """

    modes: dict[tuple[str, str], int]

    def prepare(self) -> None:
        self.modes = {}

    def market_of(self, category: object, native: object) -> SymbolMarket:
        """The market of the venue's own name in a category.

        Raises:
            ApiError: 10001, no such category or symbol.
        """
        if category not in (LINEAR, SPOT):
            raise ApiError(PARAMETER, f"expected category linear or spot, found {category!r}")
        found = self.markets.get(key_in(str(category), str(native)))
        if found is None or category_of(found.instrument) != category:
            raise ApiError(PARAMETER, f"params error: symbol invalid {native}")
        return found

    def listed(self, category: str) -> list[SymbolMarket]:
        """All markets of a category."""
        return [market for market in self.markets.values() if category_of(market.instrument) == category]

    def key_state(self, account: str) -> KeyState:
        """What the account's key may still do."""
        keys = {name: key for key, (name, _) in self.settings.credentials().items()}
        return self.faults.key(keys.get(account, ""))
