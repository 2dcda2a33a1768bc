"""The simulator as a host embeds it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, ClassVar

from exchanges.hyperliquid.market import FUNDING_NS
from exchanges.simulators.base.catalogue import Catalogue
from exchanges.simulators.base.control import Control
from exchanges.simulators.base.simulator import Parts, Simulator
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.hyperliquid import info, wire
from exchanges.simulators.hyperliquid.instruments import Listings
from exchanges.simulators.hyperliquid.limits import Limits
from exchanges.simulators.hyperliquid.publisher import HyperliquidPublisher
from exchanges.simulators.hyperliquid.rest import HyperliquidRest
from exchanges.simulators.hyperliquid.streams import HyperliquidStreams
from exchanges.simulators.hyperliquid.venue import HyperliquidVenue
from exchanges.simulators.hyperliquid.wallets import account_of, private_key_of
from exchanges.simulators.settings import SimulatorSettings


class NumberedControl(Control):
    """Books in which orders have the numbers that the venue's clients know."""

    def books(self, account: str) -> dict[str, Any]:
        found = super().books(account)
        for row in (*found["orders"], *found["fills"]):
            row["venue_id"] = str(wire.numbered(row["venue_id"])) if row["venue_id"] else ""
        return found


class HyperliquidSimulator(Simulator):
    """A Hyperliquid of one's own: ``url + '/info'``, ``url + '/exchange'`` and ``ws_url + '/ws'``. It is a testnet.

    A key of the settings is, or makes, an account's address, its secret the private key of the API wallet that
    may sign for it (see `wallets`).

    Args:
        funding_s: seconds between funding payments on the venue's clock.
    """

    name: ClassVar[str] = "hyperliquid"
    currency: ClassVar[str] = wire.CURRENCY
    books: ClassVar[type[Venue]] = HyperliquidVenue
    controls: ClassVar[type[Control]] = NumberedControl

    def __init__(self, settings: SimulatorSettings, *, funding_s: float = FUNDING_NS / 1e9) -> None:
        super().__init__(settings)
        self._funding_ns = int(funding_s * 1e9)

    @property
    def account(self) -> str:
        """The address of the account ``main``."""
        return account_of(self.settings.api_key)

    @property
    def private_key(self) -> str:
        """The key of its API wallet."""
        return private_key_of(self.settings.api_secret.get_secret_value())

    def catalogue(self) -> Catalogue:
        return Listings(self.settings.maker_fee, self.settings.taker_fee, self._funding_ns)

    def assemble(self, venue: Venue) -> Parts:
        if not isinstance(venue, HyperliquidVenue):
            raise TypeError(f"expected a HyperliquidVenue, found {type(venue).__name__}")
        self._hyperliquid = venue
        venue.start_funding(self._funding_ns)
        streams = HyperliquidStreams(venue)
        rest = HyperliquidRest(venue, Limits.of(self.settings))
        return Parts(rest, streams, HyperliquidPublisher(venue, streams))

    def background(self) -> dict[str, Coroutine[None, None, None]]:
        return {"marks": self._hyperliquid.live()}

    def account_rows(self, account: str) -> dict[str, Any]:
        venue = self._hyperliquid
        return {
            "orders": info.historical_orders(venue, account, {}),
            "fills": info.fills(venue, account, {}),
            "fundings": info.user_funding(venue, account, {}),
            "state": info.state(venue, account, {}),
        }
