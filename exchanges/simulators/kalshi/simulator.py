"""The simulator as a host embeds it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from exchanges.matching.engine import MatchingEngine
from exchanges.simulators.base.catalogue import Catalogue
from exchanges.simulators.base.simulator import Parts, Simulator
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.kalshi import portfolio
from exchanges.simulators.kalshi.annex import Annex
from exchanges.simulators.kalshi.auth import Keys
from exchanges.simulators.kalshi.engine import EventEngine
from exchanges.simulators.kalshi.floor import Floor
from exchanges.simulators.kalshi.instruments import FEE_STEP, Listings
from exchanges.simulators.kalshi.keypair import private_pem, public_key
from exchanges.simulators.kalshi.lifecycle import Lifecycle, Step
from exchanges.simulators.kalshi.limits import Limits
from exchanges.simulators.kalshi.listing import SECOND, Listing, Result
from exchanges.simulators.kalshi.publisher import KalshiPublisher
from exchanges.simulators.kalshi.recording import KalshiReplay, is_recording
from exchanges.simulators.kalshi.rest import KalshiRest
from exchanges.simulators.kalshi.streams import KalshiStreams
from exchanges.simulators.settings import SimulatorSettings

LIFE_SECONDS = 0.1
"""How often it is looked whether a market's time or an order's is over."""
DAY_NS = 86_400 * SECOND
CLOSE_SECONDS = 2.0
"""How long, in real time, a recorded market stays open when its recording has come to its close.

An order that answers its last trades is on its way that long, however fast they are played.
"""
LISTED_DAYS = 7
"""How long a generated market is open."""


class KalshiSimulator(Simulator):
    """A Kalshi of one's own. REST is under ``url + '/trade-api/v2'``, the WebSocket at ``ws_url + '/trade-api/ws/v2'``.

    Requests are signed with an RSA key. ``settings.public_key`` gives the public half, or
    ``settings.api_secret`` the private one as PEM; otherwise the simulator makes a pair (kept in
    ``settings.folder``, where there is one) and `private_key` gives the client its half. Further keys
    are the PEMs of ``settings.more_keys``.

    Args:
        fee_step: what the fee of an order is rounded up to, in dollars (the exchange's: 0.01,
            for direct members 0.0001).
    """

    name: ClassVar[str] = "kalshi"
    currency: ClassVar[str] = "USD"
    engine: ClassVar[type[MatchingEngine]] = EventEngine

    def __init__(self, settings: SimulatorSettings, *, fee_step: Decimal = FEE_STEP) -> None:
        super().__init__(settings)
        self._fee_step = fee_step
        self._recording: KalshiReplay | None = None
        self._private = ""
        self._annex: Annex | None = None
        self._reached: deque[tuple[float, int]] = deque()
        """When it was seen how far the recording had come, as far back as `CLOSE_SECONDS`."""

    @property
    def key_id(self) -> str:
        return self.settings.api_key

    @property
    def private_key(self) -> str:
        """The PEM clients sign with; empty if the settings gave the public half alone.

        Raises:
            SimulatorError: the folder it is kept in can't be used.
        """
        if not self._private and not self.settings.public_key:
            given = self.settings.api_secret.get_secret_value()
            self._private = given if "PRIVATE KEY" in given else private_pem(self.settings.folder)
        return self._private

    async def start(self) -> None:
        await asyncio.to_thread(lambda: self.private_key)
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        if self._annex is not None:
            self._annex.close()
            self._annex = None

    def open_replay(self) -> Replay | None:
        path: Path | None = self.settings.replay_path
        if path is None or not path.exists() or not is_recording(path):
            return super().open_replay()
        self._recording = KalshiReplay(path, self.settings.symbols)
        self._listings = self._made_listings()
        return self._recording

    def catalogue(self) -> Catalogue:
        self._listings = self._made_listings()
        return self._listings

    def _made_listings(self) -> Listings:
        recorded = self._recording.markets() if self._recording is not None else {}
        return Listings(self.settings, self._fee_step, recorded)

    def assemble(self, venue: Venue) -> Parts:
        annex = self._annex = Annex(self.settings.folder)
        lifecycle = Lifecycle(venue, annex)
        lifecycle.admit(self._timed(self._listings.listing(key), venue) for key in venue.markets)
        self.floor = Floor(venue, self._listings, annex, lifecycle, Limits.of(self.settings))
        keys = Keys(self._keys(), venue.faults)
        streams = KalshiStreams(venue, keys)
        return Parts(KalshiRest(self.floor, keys, streams), streams, KalshiPublisher(self.floor, streams))

    def _keys(self) -> dict[str, tuple[str, Any]]:
        pems = {self.key_id: self.settings.public_key or self.private_key}
        pems |= {key: secret.get_secret_value() for key, secret in self.settings.more_keys.items()}
        accounts = self.settings.credentials()
        return {key: (accounts[key][0], public_key(pem, f"the API key {key!r}")) for key, pem in pems.items()}

    def _timed(self, listing: Listing, venue: Venue) -> Listing:
        """The times a new listing shows. A recorded market shows its close as far ahead as its trades are from it."""
        now, speed = venue.now_ns(), self.settings.speed
        listing.created_ns = listing.updated_ns = listing.opens_ns = now
        listing.closes_ns = now + LISTED_DAYS * DAY_NS
        if self._recording is not None and listing.recorded_close_ns:
            ahead = max(listing.recorded_close_ns - self._recording.first_ns, 0)
            listing.closes_ns = now + int(ahead / (1.0 if speed == "max" else speed))
        listing.expires_ns = listing.closes_ns + DAY_NS
        return listing

    def background(self) -> dict[str, Coroutine[None, None, None]]:
        return {"lives": self._live()}

    async def _live(self) -> None:
        while True:
            now_ns = self.venue.now_ns()
            self.floor.lifecycle.expire(now_ns)
            self.floor.lifecycle.advance(now_ns, self._replayed_ns())
            await asyncio.sleep(LIFE_SECONDS)

    def _replayed_ns(self) -> int:
        """How far the recording had come `CLOSE_SECONDS` ago: to its last trade that was sent, or past everything."""
        if self._recording is None:
            return 0
        now = time.monotonic()
        self._reached.append((now, 1 << 62 if self.venue.progress.finished else self.player.reached_ns))
        while len(self._reached) > 1 and self._reached[1][0] <= now - CLOSE_SECONDS:
            self._reached.popleft()
        seen, reached_ns = self._reached[0]
        return reached_ns if seen <= now - CLOSE_SECONDS else 0

    async def step(self, ticker: str, step: Step, result: Result = Result.NONE) -> None:
        """Take a market one step through its life: the same as ``POST /control/markets``.

        Raises:
            ApiError: no such market, or the step does not lead on from its phase.
        """
        self.floor.lifecycle.step(ticker, step, result)

    def account_rows(self, account: str) -> dict[str, Any]:
        return portfolio.rows(self.floor, account)
