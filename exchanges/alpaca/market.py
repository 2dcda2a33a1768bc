"""The instruments of the subscribed symbols, and whether they trade now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from exchanges.alpaca import hours as trading_hours
from exchanges.alpaca import wire
from exchanges.alpaca.hours import Day, Hours, Session
from exchanges.alpaca.instruments import instrument
from exchanges.alpaca.rest import ACCOUNT, ASSETS, CALENDAR, CLOCK, Rest
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import SECOND, WireError, fields_of, is_crypto, native, rows_of
from exchanges.failures import FailureKind, VenueError
from exchanges.interface import Sink
from exchanges.model.instrument import Instrument
from exchanges.model.venue import InstrumentsReport
from exchanges.modes import Mode
from exchanges.streams import AccessError, StreamError, refusal

logger = logging.getLogger(__name__)

_FEW = 20
"""So many equities are asked for one by one; more are picked from the list of all."""

_AHEAD_DAYS = 7
_SOON_S = 1.0
"""How soon the clock is asked again when a change it announced has not come true yet."""


class Market:
    """Loads the instruments, and reports them again when the market opens or closes.

    Counters: ``hours_failures``, ``instruments_reports``.
    """

    def __init__(
        self, settings: AlpacaSettings, rest: Rest, symbols: Sequence[str], sink: Sink, counters: Counter[str]
    ) -> None:
        self._settings = settings
        self._rest = rest
        self._symbols = tuple(symbols)
        self._sink = sink
        self._counters = counters
        self._equities = [name for name in map(native, symbols) if not is_crypto(name)]
        self._crypto = [name for name in map(native, symbols) if is_crypto(name)]
        self._hours: Hours | None = None
        self._skew_ns = 0
        self._shorting = False
        self._assets: dict[str, Any] = {}
        self._reported: tuple[Instrument, ...] = ()

    def now_ns(self) -> int:
        """The venue's time, as far as its clock was heard."""
        return time.time_ns() + self._skew_ns

    def session(self) -> Session | None:
        """What equities do now; ``None`` before the clock was heard."""
        return self._hours.session(self.now_ns()) if self._hours is not None else None

    async def load(self) -> None:
        """Fetch clock, account and assets, and report the instruments.

        Raises:
            StreamError: a symbol is unknown to the venue, or something can't be had.
        """
        try:
            self._shorting = await self._may_short()
            await self._hear()
            await self._fetch_assets()
            missing = [symbol for symbol in self._symbols if native(symbol) not in self._assets]
            if missing:
                raise AccessError(f"expected {', '.join(missing)} among the venue's assets, found no such symbol")
            made = self._made()
        except VenueError as error:
            raise refusal("instruments", error) from error
        except WireError as error:
            raise StreamError(f"instruments: {error}") from error
        self._report(made)

    async def watch(self) -> None:
        """Follow the market's hours until cancelled."""
        while True:
            await asyncio.sleep(self._wait_s())
            if not self._reported or not self._equities:
                continue
            session = self.session()
            try:
                await self._hear()
                if self.session() is not session:
                    await self._fetch_assets()
            except (VenueError, WireError) as error:
                self._counters["hours_failures"] += 1
                logger.warning("market hours: %s; what the clock said last counts until it says otherwise", error)
            made = self._made()
            if made != self._reported:
                self._report(made)

    # -- parts -----------------------------------------------------------------------------

    def _report(self, made: tuple[Instrument, ...]) -> None:
        self._reported = made
        self._counters["instruments_reports"] += 1
        self._sink(InstrumentsReport(made))

    def _made(self) -> tuple[Instrument, ...]:
        hours, now_ns = self._hours, self.now_ns()
        if hours is None:
            raise WireError("expected the venue's clock before its instruments, found none")
        found: list[Instrument] = []
        for symbol in self._symbols:
            row = self._assets.get(native(symbol))
            if row is None:
                raise WireError(f"expected {symbol} among the venue's assets, found no such symbol")
            found.append(instrument(row, self._settings, hours, now_ns, shorting=self._shorting))
        return tuple(found)

    def _wait_s(self) -> float:
        """Until the next change of the session, or until the clock is asked anyway."""
        wait = self._settings.hours_refresh_s
        if self._hours is None or not self._equities:
            return min(wait, _SOON_S)
        now_ns, clock = self.now_ns(), self._hours.clock
        overdue = clock.next_close_ns if clock.is_open else clock.next_open_ns
        if overdue <= now_ns:
            return min(wait, _SOON_S)
        change = self._hours.changes_ns(now_ns)
        return min(wait, max(0.0, (change - now_ns) / SECOND)) if change else wait

    async def _may_short(self) -> bool:
        """Whether the account may sell short; orders matched on this side may."""
        if self._settings.mode is Mode.PAPER:
            return True
        return wire.account(await self._rest.get(ACCOUNT, "/account")).shorting

    async def _hear(self) -> None:
        """Ask for the clock, and for the calendar where extended hours are traded."""
        before_ns = time.time_ns()
        clock = trading_hours.clock(await self._rest.get(CLOCK, "/clock"))
        self._skew_ns = clock.now_ns - (before_ns + time.time_ns()) // 2
        days: tuple[Day, ...] = ()
        if self._settings.extended_hours and self._equities:
            start, end = trading_hours.dates(clock.now_ns, _AHEAD_DAYS)
            days = trading_hours.calendar(await self._rest.get(CALENDAR, "/calendar", {"start": start, "end": end}))
        self._hours = Hours(clock, days, self._settings.extended_hours)

    async def _fetch_assets(self) -> None:
        found: dict[str, Any] = {}
        if len(self._equities) > _FEW:
            found.update(await self._listed("us_equity", self._equities))
        else:
            for name in self._equities:
                found[name] = await self._asset(name)
        if self._crypto:
            found.update(await self._listed("crypto", self._crypto))
        self._assets = {name: row for name, row in found.items() if row is not None}

    async def _asset(self, name: str) -> Any:
        try:
            return await self._rest.get(ASSETS, f"/assets/{name}")
        except VenueError as error:
            if error.failure.kind is FailureKind.NOT_FOUND:
                return None
            raise

    async def _listed(self, kind: str, wanted: Sequence[str]) -> dict[str, Any]:
        rows = rows_of(await self._rest.get(ASSETS, "/assets", {"asset_class": kind}), "the assets")
        names = set(wanted)
        return {row["symbol"]: row for row in rows if fields_of(row, "an asset").get("symbol") in names}
