"""The lives of the markets: opening, pauses, the close, the outcome and its payment."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import msgspec

from exchanges.matching.record import ZERO
from exchanges.model.venue import CancelOrder
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.kalshi.annex import Annex
from exchanges.simulators.kalshi.errors import ApiError, invalid, missing
from exchanges.simulators.kalshi.listing import Listing, Phase, Result


class Step(enum.StrEnum):
    """What can happen to a market; ``POST /control/markets`` takes these words."""

    ACTIVATE = "activate"
    PAUSE = "pause"
    CLOSE = "close"
    DETERMINE = "determine"
    DISPUTE = "dispute"
    AMEND = "amend"
    SETTLE = "settle"


_FROM: dict[Step, tuple[frozenset[Phase], Phase]] = {
    Step.ACTIVATE: (frozenset({Phase.INITIALIZED, Phase.INACTIVE}), Phase.ACTIVE),
    Step.PAUSE: (frozenset({Phase.ACTIVE}), Phase.INACTIVE),
    Step.CLOSE: (frozenset({Phase.INITIALIZED, Phase.ACTIVE, Phase.INACTIVE}), Phase.CLOSED),
    Step.DETERMINE: (frozenset({Phase.CLOSED}), Phase.DETERMINED),
    Step.DISPUTE: (frozenset({Phase.DETERMINED}), Phase.DISPUTED),
    Step.AMEND: (frozenset({Phase.DISPUTED}), Phase.AMENDED),
    Step.SETTLE: (frozenset({Phase.DETERMINED, Phase.AMENDED}), Phase.FINALIZED),
}
_BEFORE_CLOSE = (Phase.INITIALIZED, Phase.ACTIVE, Phase.INACTIVE)
EVENTS = {
    Step.ACTIVATE: "activated",
    Step.PAUSE: "deactivated",
    Step.CLOSE: "close_date_updated",
    Step.DETERMINE: "determined",
    Step.DISPUTE: "disputed",
    Step.AMEND: "amended",
    Step.SETTLE: "settled",
}
"""What ``market_lifecycle_v2`` calls them. Unverified: put together from documentation alone."""

Watcher = Callable[[Listing, Step], None]


class Lifecycle:
    """Moves markets from phase to phase, and does what each step means for orders and money.

    While a market is paused its orders rest, and reactivation cancels them; the close cancels
    them too. What was put up for positions stays locked until the settlement pays.
    """

    def __init__(self, venue: Venue, annex: Annex) -> None:
        self._venue = venue
        self._annex = annex
        self.watchers: list[Watcher] = []
        self._done = {
            Step.ACTIVATE: self._activate,
            Step.PAUSE: self._pause,
            Step.CLOSE: self._close,
            Step.DETERMINE: self._determine,
            Step.AMEND: self._determine,
            Step.SETTLE: self._settle,
        }

    def admit(self, listings: Iterable[Listing]) -> None:
        """List markets; those that are known from before keep the life they had."""
        for listing in listings:
            if listing.ticker not in self._annex.listings:
                self._annex.save_listing(listing)
        for ticker in self._venue.markets:
            self._show(ticker)

    def trading(self, ticker: str) -> bool:
        return self._annex.listings[ticker].phase is Phase.ACTIVE

    def step(self, ticker: str, step: Step, result: Result = Result.NONE) -> Listing:
        """Take a market one step on; ``result`` goes with ``determine`` and ``amend``.

        Raises:
            ApiError: no such market, not in a phase from which the step leads, or the result is missing.
        """
        listing = self._annex.listings.get(ticker)
        if listing is None:
            raise missing("market", ticker)
        before, after = _FROM[step]
        if listing.phase not in before:
            raise ApiError(
                409,
                "wrong_phase",
                details=f"expected {ticker} to be {' or '.join(sorted(before))} to {step.value} it, "
                f"found {listing.phase.value}",
            )
        if (step in (Step.DETERMINE, Step.AMEND)) is not (result is not Result.NONE):
            raise invalid(f"expected a result (yes or no) with determine and amend alone, found {result.value!r}")
        listing.phase, listing.updated_ns = after, self._venue.now_ns()
        if result is not Result.NONE:
            listing.result = result
        if step in self._done:
            self._done[step](listing)
        self._annex.save_listing(listing)
        for watcher in self.watchers:
            watcher(listing, step)
        return listing

    def _activate(self, listing: Listing) -> None:
        self._cancel(listing.ticker)
        self._show(listing.ticker)

    def _pause(self, listing: Listing) -> None:
        self._cancel(listing.ticker, on_pause=True)
        self._show(listing.ticker)

    def _close(self, listing: Listing) -> None:
        listing.closes_ns = min(listing.closes_ns or listing.updated_ns, listing.updated_ns)
        self._cancel(listing.ticker)
        self._show(listing.ticker)

    def _determine(self, listing: Listing) -> None:
        listing.expires_ns = listing.updated_ns

    def _settle(self, listing: Listing) -> None:
        listing.settled_ns = listing.updated_ns
        instrument = self._venue.markets[listing.ticker].instrument
        self._venue.settle(listing.ticker, instrument.contract_value if listing.result is Result.YES else ZERO)

    def _show(self, ticker: str) -> None:
        """Let the engine know whether the market takes orders."""
        listing, instrument = self._annex.listings[ticker], self._venue.markets[ticker].instrument
        times = {"opens_ns": listing.opens_ns, "closes_ns": listing.closes_ns}
        self._venue.relist(msgspec.structs.replace(instrument, trading=listing.phase is Phase.ACTIVE, **times))

    def _cancel(self, ticker: str, *, on_pause: bool = False) -> None:
        symbol = self._venue.markets[ticker].instrument.symbol
        for account in list(self._venue.engine.accounts):
            for record in self._venue.engine.working(account):
                ticket = self._annex.tickets.get(record.id)
                if record.symbol == symbol and (not on_pause or (ticket and ticket.cancel_on_pause)):
                    self._venue.cancel(account, CancelOrder(record.client_id, symbol), order_id=record.id)

    def advance(self, now_ns: int, replayed_ns: int) -> None:
        """Do what is due: at ``now_ns`` by the clock, and at ``replayed_ns`` by the recording (0: none).

        A recorded market closes when the recording has come to its close, and is paid out at
        once if the recording knows its result.
        """
        for listing in list(self._annex.listings.values()):
            if listing.ticker not in self._venue.markets:
                continue
            if listing.recorded_close_ns:
                if listing.recorded_close_ns <= replayed_ns:
                    self._conclude(listing)
                continue
            if listing.phase is Phase.INITIALIZED and listing.opens_ns <= now_ns:
                self.step(listing.ticker, Step.ACTIVATE)
            if listing.phase in _BEFORE_CLOSE and 0 < listing.closes_ns <= now_ns:
                self.step(listing.ticker, Step.CLOSE)

    def _conclude(self, listing: Listing) -> None:
        """From wherever a recorded market stands to its end."""
        if listing.phase in _BEFORE_CLOSE:
            self.step(listing.ticker, Step.CLOSE)
        if listing.phase is Phase.CLOSED and listing.recorded_result is not Result.NONE:
            self.step(listing.ticker, Step.DETERMINE, listing.recorded_result)
        if listing.phase is Phase.DETERMINED and listing.recorded_result is not Result.NONE:
            self.step(listing.ticker, Step.SETTLE)

    def expire(self, now_ns: int) -> None:
        """End the orders whose time is over."""
        for account in list(self._venue.engine.accounts):
            for record in self._venue.engine.working(account):
                ticket = self._annex.tickets.get(record.id)
                if ticket is not None and 0 < ticket.expires_ns <= now_ns:
                    command = CancelOrder(record.client_id, record.symbol)
                    self._venue.cancel(account, command, order_id=record.id)
