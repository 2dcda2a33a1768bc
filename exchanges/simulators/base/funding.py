"""What a venue of perpetuals knows beyond the shared one: mark prices, funding rates and when they are paid."""

from __future__ import annotations

import asyncio
import zlib
from decimal import ROUND_HALF_UP, Decimal

from exchanges.matching.synthetic import mix
from exchanges.model.instrument import ContractKind
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.venue import Venue

RATE_STEP = Decimal("0.00005")
INDEX_WEIGHT = Decimal("0.2")
"""How far the mark price follows the last trade at each step."""
STEP_SECONDS = 0.2


class FundedVenue(Venue):
    """Perpetuals are marked near their last trade, and pay funding at each multiple of ``funding_ns``."""

    funding_ns = 8 * 3_600 * 1_000_000_000
    _paid = 0

    def start_funding(self, interval_ns: int) -> None:
        """Funding every ``interval_ns`` from now on; what an earlier process paid stays paid."""
        self.funding_ns = interval_ns
        self._paid = self.boundary(self.fundings[-1].ts_ns if self.fundings else self.now_ns())

    async def live(self) -> None:
        """Mark prices and funding, for ever."""
        while True:
            self.mark_prices()
            self.fund()
            self.liquidate()
            await asyncio.sleep(STEP_SECONDS)

    def perpetuals(self) -> list[SymbolMarket]:
        """The markets that are funded."""
        return [m for m in self.markets.values() if m.instrument.kind is ContractKind.LINEAR_PERPETUAL]

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
        for market in self.perpetuals():
            symbol = market.instrument.symbol
            self.apply(self.engine.fund(symbol, self.rate(market.key, due), self.now_ns()))

    def liquidate(self) -> None:
        """Close what accounts can't carry any more at the mark prices of now."""
        for market in self.perpetuals():
            self.apply(self.engine.liquidate(self.now_ns(), market.instrument.symbol))

    def mark_prices(self) -> None:
        """Move the mark prices of the perpetuals towards their last trades."""
        for market in self.perpetuals():
            engine_market = self.engine.markets[market.instrument.symbol]
            last, before = engine_market.external.last, engine_market.marked
            if last and last != before:
                tick = market.instrument.tick
                moved = before + (last - before) * INDEX_WEIGHT if before else last
                steps = (moved / tick).to_integral_value(ROUND_HALF_UP)
                engine_market.marked = steps * tick if steps * tick != before else last
