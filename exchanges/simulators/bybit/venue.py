"""What Bybit's venue knows beyond the shared one: categories, position modes, funding."""

from __future__ import annotations

import zlib
from decimal import ROUND_HALF_UP, Decimal

from exchanges.matching.synthetic import mix
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.instruments import FUNDING_NS
from exchanges.simulators.bybit.topics import LINEAR, SPOT, category_of, key_in
from exchanges.simulators.faults import KeyState

ONE_WAY, HEDGE = 0, 3
RATE_STEP = Decimal("0.00005")
INDEX_WEIGHT = Decimal("0.2")
"""How far the mark price follows the last trade at each step."""


class BybitVenue(Venue):
    """A unified account's venue. ``modes`` are the position modes that were switched to hedge, by account and key.

    Hedge positions themselves are not simulated: in that mode orders are refused as a
    one-way client's would be. The modes end with the process.
    """

    funding_ns = FUNDING_NS
    modes: dict[tuple[str, str], int]
    _paid = 0

    def start_funding(self, interval_ns: int) -> None:
        """Funding every ``interval_ns`` from now on; what an earlier process paid stays paid."""
        self.funding_ns = interval_ns
        self._paid = self.boundary(self.fundings[-1].ts_ns if self.fundings else self.now_ns())

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

    # Funding and mark prices of the perpetuals.

    def boundary(self, ts_ns: int) -> int:
        """The number of the last funding boundary at ``ts_ns``."""
        return ts_ns // self.funding_ns

    def rate(self, key: str, boundary: int) -> Decimal:
        """The funding rate paid at a boundary: seeded, from -0.00005 to 0.00025."""
        return RATE_STEP * (mix(self.settings.seed, zlib.crc32(key.encode()), boundary) % 7 - 1)

    def fund(self) -> None:
        """Pay funding if a boundary has passed since it was paid last; one that has passed unseen is paid late."""
        due = self.boundary(self.now_ns())
        if due <= self._paid:
            return
        self._paid = due
        for market in self.listed(LINEAR):
            symbol = market.instrument.symbol
            self.apply(self.engine.fund(symbol, self.rate(market.key, due), self.now_ns()))

    def mark_prices(self) -> None:
        """Move the mark prices of the perpetuals towards their last trades."""
        for market in self.listed(LINEAR):
            engine_market = self.engine.markets[market.instrument.symbol]
            last, before = engine_market.external.last, engine_market.marked
            if last and last != before:
                tick = market.instrument.tick
                moved = before + (last - before) * INDEX_WEIGHT if before else last
                steps = (moved / tick).to_integral_value(ROUND_HALF_UP)
                engine_market.marked = steps * tick if steps * tick != before else last
