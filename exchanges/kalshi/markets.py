"""The markets' lives: their rules and states, asked for again and again, and what follows a change."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from exchanges.failures import FailureKind, VenueError
from exchanges.interface import Sink
from exchanges.kalshi import amounts, market, rest
from exchanges.kalshi.amounts import SECOND, WireError
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.fees import ASSUMED, Rates, rates
from exchanges.kalshi.market import Market, MarketState
from exchanges.kalshi.rest import RestClient
from exchanges.kalshi.settings import KalshiSettings
from exchanges.kalshi.signer import VenueClock
from exchanges.model.instrument import Instrument
from exchanges.model.venue import InstrumentsReport

logger = logging.getLogger(__name__)

_A_CALL = 100
"""Markets asked for in one call."""

_SOON_S = 1.0
_EXPECTED_S = 30.0
"""How long after its time a change of state is looked for more often."""

Follow = Callable[[Market, MarketState], Awaitable[bool]]
"""Deals with a market's change from a former state; whether that is done with."""


class Markets:
    """Knows the subscribed markets, and reports their instruments whenever those change."""

    def __init__(
        self,
        settings: KalshiSettings,
        client: RestClient,
        clock: VenueClock,
        charges: Charges,
        sink: Sink,
        counters: Counter[str],
        follow: Follow,
    ) -> None:
        self._settings = settings
        self._rest = client
        self._clock = clock
        self._charges = charges
        self._sink = sink
        self._counters = counters
        self._follow = follow
        self._rows: dict[str, Market] = {}
        self._instruments: dict[str, Instrument] = {}
        self._series_of: dict[str, str] = {}
        """Series that are not the first part of their events' names, by ticker."""
        self._unpriced: set[str] = set()
        """Markets whose fees could not be had: they are asked for again."""
        self._changed: dict[str, MarketState] = {}
        """By ticker, the state it left, as long as what follows from that is not done."""
        self._poked = asyncio.Event()

    def known(self, ticker: str) -> Market | None:
        """The market's row as last seen."""
        return self._rows.get(ticker)

    def poke(self, ticker: str, event: str) -> None:
        """The venue says that something about a market has changed: look now."""
        self._counters[f"lifecycle_{event}" if event.isidentifier() else "lifecycle_strange"] += 1
        self._rest.stack.forget(rest.MARKETS)
        self._poked.set()

    async def load(self, tickers: Sequence[str]) -> list[str]:
        """Fetch the markets and report all of them; returns those the venue does not have.

        Raises:
            VenueError, WireError: they could not be had.
        """
        found = await self._fetch(tickers)
        for row in found.values():
            await self._schedule(row)
            self._note(row)
        self._report([ticker for ticker in tickers if ticker in found])
        return [ticker for ticker in tickers if ticker not in found]

    async def watch(self, tickers: Sequence[str]) -> None:
        """Look at the markets from time to time, at the times they open and close, and when poked."""
        while True:
            await self._wait()
            try:
                await self._look(tickers)
            except (VenueError, WireError) as error:
                self._counters["market_polls_failed"] += 1
                logger.warning("kalshi's markets could not be looked at: %s", error)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._pause_s()):
                await self._poked.wait()
        except TimeoutError:
            return
        finally:
            self._poked.clear()

    def _pause_s(self) -> float:
        """Until the next look: soon where something is due, else a while."""
        poll, now = self._settings.market_poll_s, self._clock.now_ns()
        pause = poll * random.uniform(0.9, 1.0)
        for row in self._rows.values():
            due = row.opens_ns if row.state is MarketState.INITIALIZED else row.closes_ns
            if row.state.pending or row.state is MarketState.FINALIZED or not due:
                continue
            ahead = (due - now) / SECOND
            if ahead > -_EXPECTED_S:
                pause = min(pause, max(ahead, _SOON_S))
        return min(pause, _SOON_S) if self._changed else pause

    async def _look(self, tickers: Sequence[str]) -> None:
        found = await self._fetch(tickers)
        for ticker in [ticker for ticker in self._unpriced if ticker in found]:
            await self._schedule(found[ticker])
        changed = [ticker for ticker, row in found.items() if self._note(row)]
        if changed:
            self._report(changed)
        for ticker, former in list(self._changed.items()):
            if await self._follow(self._rows[ticker], former):
                self._changed.pop(ticker, None)

    # -- rows ------------------------------------------------------------------------------

    async def _fetch(self, tickers: Sequence[str]) -> dict[str, Market]:
        """The markets' rows by ticker: many in a call, and each that was not among them by itself."""
        found: dict[str, Market] = {}
        for start in range(0, len(tickers), _A_CALL):
            some = tickers[start : start + _A_CALL]
            told = await self._rest.pages(rest.MARKETS, "/markets", "markets", tickers=",".join(some), limit=1000)
            wanted = set(some)
            rows = [row for row in told if isinstance(row.get("ticker"), str) and row["ticker"] in wanted]
            found.update((row["ticker"], market.market(row)) for row in rows)
        for ticker in tickers:
            if ticker not in found:
                row = await self._single(ticker)
                if row is not None:
                    found[ticker] = row
        return found

    async def _single(self, ticker: str) -> Market | None:
        try:
            answer = await self._rest.get(rest.MARKETS, rest.path_of("markets", ticker))
        except VenueError as error:
            if error.failure.kind is FailureKind.NOT_FOUND:
                return None
            raise
        row = answer.get("market")
        if not isinstance(row, dict):
            raise WireError(f"expected an object in market, found {type(row).__name__}")
        return market.market(row)

    def _note(self, row: Market) -> bool:
        """Keep a row; whether it says anything new of the instrument."""
        former = self._rows.get(row.ticker)
        if row.state is MarketState.UNKNOWN and (former is None or former.word != row.word):
            self._counters["market_state_unknown"] += 1
            logger.warning(
                "kalshi calls the state of %s %r, which is taken for closed to trading", row.ticker, row.word
            )
        if former is not None and former.state is not row.state:
            self._counters["market_state_changes"] += 1
            self._changed.setdefault(row.ticker, former.state)
        self._rows[row.ticker] = row
        made = market.instrument(row, self._charges.rates(row.ticker), self._settings)
        fresh = self._instruments.get(row.ticker) != made
        self._instruments[row.ticker] = made
        return fresh

    def _report(self, tickers: Sequence[str]) -> None:
        if tickers:
            self._sink(InstrumentsReport(tuple(self._instruments[ticker] for ticker in tickers)))

    # -- fees ------------------------------------------------------------------------------

    async def _schedule(self, row: Market) -> None:
        """The fee coefficients of the market's series; the dearest usual ones where they can't be had."""
        self._unpriced.discard(row.ticker)
        try:
            found = await self._series(row)
        except (VenueError, WireError) as error:
            logger.warning("the fees of %s could not be had (%s); the usual rates are used", row.ticker, error)
            self._unpriced.add(row.ticker)
            found = ASSUMED
        if not found.known:
            self._counters["fees_assumed"] += 1
        self._charges.schedule(row.ticker, found)

    async def _series(self, row: Market) -> Rates:
        try:
            answer = await self._rest.get(rest.SERIES, rest.path_of("series", row.series))
        except VenueError as error:
            if error.failure.kind is not FailureKind.NOT_FOUND or not row.event:
                raise
            # A series whose name is not the first part of its events' names: the event knows it.
            event = (await self._rest.get(rest.EVENT, rest.path_of("events", row.event))).get("event")
            named = amounts.text(event if isinstance(event, dict) else {}, "series_ticker")
            answer = await self._rest.get(rest.SERIES, rest.path_of("series", named))
            self._series_of[row.ticker] = named
        told = answer.get("series")
        if not isinstance(told, dict):
            raise WireError(f"expected an object in series, found {type(told).__name__}")
        return rates(amounts.text(told, "fee_type"), _multiplier(told.get("fee_multiplier")))

    async def series(self, ticker: str) -> str:
        """The series of a market, subscribed to or not.

        Raises:
            VenueError: the venue has no such market, or did not answer.
        """
        row = self._rows.get(ticker) or await self._single(ticker)
        told = row.series if row is not None else ticker.split("-", 1)[0]
        return self._series_of.get(ticker, told)


def _multiplier(value: object) -> Decimal:
    """A series' fee multiplier: the one number of the venue's that may come in floating point."""
    if isinstance(value, float):
        value = repr(value)
    if value is None:
        return amounts.ONE
    return amounts.not_negative(amounts.decimal_of(value, "fee_multiplier"), "fee_multiplier")
