"""What a venue does to positions by itself, taken over on paper: funding of perpetuals, payment of events."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol, runtime_checkable

from exchanges.interface import Exchange
from exchanges.matching.record import Changes
from exchanges.model.instrument import ContractKind
from exchanges.model.venue import VenuePosition
from exchanges.paper.books import PaperBooks

logger = logging.getLogger(__name__)

_HOUR_NS = 3_600 * 1_000_000_000
_PATIENCE_NS = _HOUR_NS // 4
"""How long after its moment a funding rate is asked for."""


@runtime_checkable
class Funded(Protocol):
    """A venue that tells the funding rates it has settled."""

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Time and rate of each settlement in ``[start_ns, end_ns)``, oldest first."""


@runtime_checkable
class Settling(Protocol):
    """A venue whose events end."""

    async def settlement(self, symbol: str) -> Decimal | None:
        """What one contract has paid; ``None`` until the outcome is final."""


class Accruals:
    """Asks the venue from time to time, for what is held.

    Funding is paid on the position of when its rate becomes known, up to ``poll_s`` after the venue's own
    moment, if the symbol was held in that direction at that moment.
    """

    def __init__(
        self,
        source: Exchange,
        books: PaperBooks,
        poll_s: float,
        changed: Callable[[Changes], None],
        counters: Counter[str],
    ) -> None:
        self._source = source
        self._books = books
        self._poll_s = poll_s
        self._changed = changed
        self._counters = counters
        self._done: dict[str, int] = {}
        """By symbol, the last moment of funding that is done with."""

    async def run(self) -> None:
        """Look every ``poll_s`` until cancelled."""
        while True:
            for position in self._books.positions():
                try:
                    await self._look(position)
                except Exception as error:
                    # Any failure of a read means the same: the next look asks again.
                    self._counters["accruals_failed"] += 1
                    logger.warning("funding or outcome of %s can't be had: %s", position.symbol, error)
            await asyncio.sleep(self._poll_s)

    async def _look(self, position: VenuePosition) -> None:
        symbol = position.symbol
        instrument = self._books.instrument(symbol)
        if instrument is None:
            return
        if instrument.kind is ContractKind.LINEAR_PERPETUAL and isinstance(self._source, Funded):
            await self._fund(self._source, symbol, instrument.funding_interval_ns or _HOUR_NS)
        elif instrument.kind is ContractKind.BINARY_EVENT and isinstance(self._source, Settling):
            await self._settle(self._source, symbol)

    async def _fund(self, source: Funded, symbol: str, interval_ns: int) -> None:
        books, now = self._books, self._books.now_ns()
        moment = now // interval_ns * interval_ns
        if self._done.get(symbol, 0) >= moment:
            return
        start = max(books.funded.get(symbol, 0), books.first_ns(symbol)) + 1
        if start <= moment:
            for at_ns, rate in await source.funding(symbol, start, now):
                if books.held_at(symbol, at_ns):
                    self._counters["fundings"] += 1
                    self._changed(books.fund(symbol, Decimal(repr(rate)), at_ns))
        if start > moment or books.funded.get(symbol, 0) >= moment or now - moment > _PATIENCE_NS:
            self._done[symbol] = moment

    async def _settle(self, source: Settling, symbol: str) -> None:
        value = await source.settlement(symbol)
        if value is not None:
            self._counters["settlements"] += 1
            self._changed(self._books.settle(symbol, value))
