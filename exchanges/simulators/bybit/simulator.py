"""The simulator as a host embeds it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, ClassVar

from exchanges.simulators.base.catalogue import Catalogue
from exchanges.simulators.base.simulator import Parts, Simulator
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.auth import Keys
from exchanges.simulators.bybit.instruments import FUNDING_NS, Listings
from exchanges.simulators.bybit.limits import Limits
from exchanges.simulators.bybit.publisher import BybitPublisher
from exchanges.simulators.bybit.rest import BybitRest
from exchanges.simulators.bybit.streams import BybitStreams
from exchanges.simulators.bybit.venue import BybitVenue
from exchanges.simulators.settings import SimulatorSettings


class BybitSimulator(Simulator):
    """A Bybit of one's own. The streams are at ``ws://127.0.0.1:port/v5/...``.

    Spot pairs are the keys that end with ``.SPOT``: ``BTCUSDT.SPOT`` is ``BTCUSDT`` of category spot.

    Args:
        funding_s: seconds between funding payments on the venue's clock.
    """

    name: ClassVar[str] = "bybit"
    currency: ClassVar[str] = "USDT"
    books: ClassVar[type[Venue]] = BybitVenue

    def __init__(self, settings: SimulatorSettings, *, funding_s: float = FUNDING_NS / 1e9) -> None:
        super().__init__(settings)
        self._funding_ns = int(funding_s * 1e9)

    def catalogue(self) -> Catalogue:
        return Listings(self.settings.maker_fee, self.settings.taker_fee, self._funding_ns)

    def assemble(self, venue: Venue) -> Parts:
        if not isinstance(venue, BybitVenue):
            raise TypeError(f"expected a BybitVenue, found {type(venue).__name__}")
        self._bybit = venue
        venue.start_funding(self._funding_ns)
        limits = Limits.of(self.settings)
        keys = Keys(self.settings.credentials(), venue.faults)
        streams = BybitStreams(venue, keys, limits)
        return Parts(BybitRest(venue, keys, limits), streams, BybitPublisher(venue, streams))

    def background(self) -> dict[str, Coroutine[None, None, None]]:
        return {"marks": self._bybit.live()}

    def account_rows(self, account: str) -> dict[str, Any]:
        venue, holder = self.venue, self.venue.engine.accounts[account]
        now, sequence = venue.now_ms(), len(venue.executions)
        return {
            "orders": [wire.order(record) for record in venue.engine.orders(account)],
            "executions": [
                wire.execution(done, venue.mark(done.fill.symbol))
                for done in venue.executions
                if done.account == account
            ],
            "positions": [
                wire.position(holder, symbol, venue.mark(symbol), now, sequence, stream=False)
                for symbol in holder.positions
                if symbol not in holder.kinds
            ],
            "fundings": [wire.funding(paid) for paid in venue.fundings if paid.account == account],
            "wallet": wire.wallet(holder, venue.mark, venue.engine.working(account)),
        }
