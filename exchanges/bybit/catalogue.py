"""The rules and fees of Bybit's instruments."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from exchanges.bybit import wire
from exchanges.bybit.endpoints import FEES, INSTRUMENTS
from exchanges.bybit.rest import Rest
from exchanges.bybit.symbols import LINEAR, SPOT, by_category, full
from exchanges.failures import VenueError
from exchanges.model.instrument import Instrument

logger = logging.getLogger(__name__)

_PAGE = 1000
_PAGES = 50
STANDARD_FEES = {LINEAR: (Decimal("0.0002"), Decimal("0.00055")), SPOT: (Decimal("0.001"), Decimal("0.001"))}
"""Maker and taker rates of an account without rebates, as the venue publishes them."""

Fees = dict[str, tuple[Decimal, Decimal]]


class Catalogue:
    """Looks instruments up; the venue's lists are kept for a while and shared by all who ask."""

    def __init__(self, rest: Rest, counters: Counter[str]) -> None:
        self._rest = rest
        self._counters = counters

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Those of ``symbols`` the venue lists.

        Raises:
            VenueError: a list could not be had.
            WireError: an instrument's rules can't be read.
        """
        found: dict[str, Instrument] = {}
        for category, names in by_category(symbols).items():
            fees, wanted = await self._fees(category), set(names)
            for row in await self._rows(category):
                if row["symbol"] in wanted:
                    symbol = full(row["symbol"], category)
                    rates = fees.get(symbol, STANDARD_FEES[category])
                    found[symbol] = wire.instrument(row, *rates, category=category)
        return found

    async def _rows(self, category: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            page = await self._page(category, cursor)
            rows.extend(page["list"])
            cursor = str(page.get("nextPageCursor") or "")
            if not cursor or not page["list"]:
                return rows
        raise wire.WireError(f"expected the {category} instruments on at most {_PAGES} pages, found more")

    async def _page(self, category: str, cursor: str) -> dict[str, Any]:
        page: dict[str, Any] = await self._rest.ask(
            INSTRUMENTS,
            lambda session: session.get_instruments_info(category=category, limit=_PAGE, cursor=cursor or None),
            key=(category, cursor),
        )
        return page

    async def _fees(self, category: str) -> Fees:
        """Maker and taker fee by symbol; none where the account's can't be had: the standard rates hold then."""
        if not self._rest.settings.key:
            return {}
        try:
            rows = await self._rest.ask_account(
                FEES, lambda session: session.get_fee_rates(category=category), key=category
            )
            return {
                full(row["symbol"], category): (wire.amount(row, "makerFeeRate"), wire.amount(row, "takerFeeRate"))
                for row in rows["list"]
            }
        except (VenueError, wire.WireError, KeyError, TypeError) as error:
            logger.warning("fee rates of bybit: %s; the standard rates are used", error)
            self._counters["fees_assumed"] += 1
            return {}
