"""The rules and numbers of Hyperliquid's perpetuals, and the account's fees."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from exchanges.failures import VenueError
from exchanges.fields import WireError
from exchanges.hyperliquid import endpoints, market
from exchanges.hyperliquid.failures import rejected
from exchanges.hyperliquid.market import STANDARD, Fees
from exchanges.hyperliquid.names import native
from exchanges.hyperliquid.rest import Rest
from exchanges.model.instrument import Instrument
from exchanges.modes import Mode

logger = logging.getLogger(__name__)


class Catalogue:
    """Looks perpetuals up. An asset's number is its place in ``meta``, which only grows (documented)."""

    def __init__(self, rest: Rest, counters: Counter[str]) -> None:
        self._rest = rest
        self._counters = counters
        self._known: dict[str, Instrument] = {}
        self._assets: dict[str, int] = {}

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Those of ``symbols`` the venue lists.

        Raises:
            VenueError: the list could not be had.
            WireError: an instrument's rules can't be read.
        """
        fees = await self._fees()
        wanted = {native(symbol) for symbol in symbols}
        found: dict[str, Instrument] = {}
        for asset, row in enumerate(market.universe(await self._meta())):
            name = str(row.get("name"))
            self._assets[name] = asset
            if name in wanted:
                made = market.instrument(row, fees)
                self._known[name] = found[made.symbol] = made
        return found

    def rules(self, coin: str) -> Instrument:
        """The instrument of ``coin`` as last seen; raises ``VenueError`` if it never was."""
        found = self._known.get(coin)
        if found is None:
            raise rejected("INSTRUMENT_UNKNOWN", f"expected a perpetual of the subscribed symbols, found {coin}")
        return found

    async def asset(self, coin: str) -> int:
        """The number of ``coin``, for actions.

        Raises:
            VenueError: the venue lists no such perpetual, or its list can't be had.
        """
        if coin not in self._assets:
            names = [str(row.get("name")) for row in market.universe(await self._meta())]
            self._assets.update({name: place for place, name in enumerate(names)})
        if coin not in self._assets:
            raise rejected("INSTRUMENT_UNKNOWN", f"expected a perpetual of the venue, found {coin}")
        return self._assets[coin]

    async def _meta(self) -> Any:
        return await self._rest.ask(endpoints.META, lambda info: info.meta())

    async def _fees(self) -> Fees:
        """The account's rates; the standard ones where they can't be had."""
        settings = self._rest.settings
        if not settings.user or settings.mode is Mode.PAPER:
            return STANDARD
        try:
            return market.fees(await self._rest.ask(endpoints.FEES, lambda info: info.user_fees(settings.user)))
        except (VenueError, WireError) as error:
            logger.warning("fee rates of hyperliquid: %s; the standard rates are used", error)
            self._counters["fees_assumed"] += 1
            return STANDARD
