"""A simulator as a host embeds it."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from decimal import Decimal
from email.utils import formatdate
from typing import Any, ClassVar, NamedTuple

from aiohttp import web

from exchanges.matching.engine import MatchingEngine
from exchanges.model.instrument import Instrument
from exchanges.simulators.base.catalogue import Catalogue
from exchanges.simulators.base.control import Control
from exchanges.simulators.base.player import Player
from exchanges.simulators.base.publisher import Publisher
from exchanges.simulators.base.rest import RestServer
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.faults import FaultOrder
from exchanges.simulators.feeds.generator import Generator
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.rates import load
from exchanges.simulators.settings import SimulatorSettings
from exchanges.simulators.store import VenueStore
from exchanges.tasks import end

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"


class Parts(NamedTuple):
    """What a venue's package puts together over a `Venue`."""

    rest: RestServer[Any]
    streams: Streams
    publisher: Publisher


class Simulator(ABC):
    """A venue of one's own on the loopback interface.

    ``port`` is known after ``start``. REST is under ``url``, the streams under ``ws_url``.
    Everything runs on the loop that called ``start``.
    """

    name: ClassVar[str]
    currency: ClassVar[str]
    """What the accounts' cash is in."""
    multiplier: Decimal = Decimal(1)
    """How many times its equity an account may hold in shares: 1 is a cash account."""
    engine: ClassVar[type[MatchingEngine]] = MatchingEngine
    """For a venue whose engine does more (trading sessions)."""
    books: ClassVar[type[Venue]] = Venue
    """For a venue that keeps more than the shared one."""
    controls: ClassVar[type[Control]] = Control
    """For a venue whose clients know orders by other ids than the books."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.port = settings.port
        self._runner: web.AppRunner | None = None
        self._store: VenueStore | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    @abstractmethod
    def catalogue(self) -> Catalogue:
        """What the venue lists, with the fees the settings ask for."""

    @abstractmethod
    def assemble(self, venue: Venue) -> Parts:
        """The venue's REST routes, streams and publisher."""

    @abstractmethod
    def account_rows(self, account: str) -> dict[str, Any]:
        """An account's orders, executions, positions and cash in the venue's own words, for ``/control/state``."""

    def background(self) -> dict[str, Coroutine[None, None, None]]:
        """Further tasks by name, started once the port is open (market hours, settlement)."""
        return {}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    async def start(self) -> None:
        """Open the books and the feed, bind the port and let the market move.

        Raises:
            FeedError: the recording can't be played.
            FaultPlanError: the fault plan can't be used.
            SimulatorError: the port is taken, a symbol isn't listed, or the folder can't be used.
        """
        plan = await asyncio.to_thread(load, self.settings.faults) if self.settings.faults is not None else None
        catalogue = self.catalogue()
        replay = await asyncio.to_thread(self.open_replay)
        instruments = await asyncio.to_thread(self._instruments, catalogue, replay)
        self._store = VenueStore(self.settings.folder) if self.settings.folder else None
        try:
            self._assemble(catalogue, instruments)
            self.venue.faults.name = self.name
            self.inject(FaultOrder(plan=plan))
            await self._bind()
        except BaseException:
            await self.stop()
            raise
        self._play(instruments, replay)

    def open_replay(self) -> Replay | None:
        path = self.settings.replay_path
        return Replay(path, self.settings.symbols, self.settings.replay_symbols) if path is not None else None

    def _instruments(self, catalogue: Catalogue, replay: Replay | None) -> list[Instrument]:
        if replay is not None:
            return [catalogue.observed(key, *replay.sample(key)) for key in replay.symbols]
        return [catalogue.listed(key) for key in self.settings.symbols or catalogue.default]

    def _assemble(self, catalogue: Catalogue, instruments: list[Instrument]) -> None:
        self.venue = self.books(
            self.settings,
            catalogue,
            instruments,
            self._store,
            self.currency,
            multiplier=self.multiplier,
            make=self.engine,
        )
        self.rest, self.streams, self.publisher = self.assemble(self.venue)
        self.player = Player(self.venue, self.streams, self.publisher)
        self.control = self.controls(self.venue, self.streams, self.player, self.account_rows)
        self._started = True

    async def _bind(self) -> None:
        application = web.Application()
        application.add_routes([*self.rest.routes(), *self.streams.routes(), *self.control.routes()])
        application.on_response_prepare.append(self._date)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.settings.port)
        try:
            await site.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise SimulatorError(
                f"expected port {self.settings.port} of {HOST} to be free for the {self.name} simulator, found it "
                f"taken; stop what uses it, or set port=0 for any free one"
            ) from error
        self.port = int(self._runner.addresses[0][1])

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self.venue.now_ns() / 1e9, usegmt=True)

    def _play(self, instruments: list[Instrument], replay: Replay | None) -> None:
        self._spawn("refresh", self.player.refresh())
        self._spawn("faults", self.control.turn())
        if replay is not None:
            self._spawn("replay", self.player.replay(replay))
        elif self.settings.feed == "generator":
            generator = Generator(
                instruments,
                self.venue.starting_prices(),
                seed=self.settings.seed,
                rate=self.settings.rate,
                start_ns=time.time_ns(),
            )
            self._spawn("generator", self.player.generate(generator))
        for name, work in self.background().items():
            self._spawn(name, work)

    def _spawn(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"{self.name} simulator {name}")
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def deliver(self, rows: list[Row]) -> None:
        """Public trades from outside the feed, for a host or a test that moves the market itself."""
        await self.player.deliver(rows)

    def inject(self, order: FaultOrder) -> None:
        """The same as ``POST /control/faults``, from Python."""
        self.control.apply(order)

    async def stop(self) -> None:
        """Close every socket, release the port and close the books. A second time does nothing."""
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        if self._runner is not None:
            self.publisher.close()
            self.rest.close()
            for client in list(self.streams.clients):
                await client.finish()
            await self._runner.cleanup()
            self._runner = None
            self.venue.save_market()
        if self._store is not None:
            self._store.close()
            self._store = None

    def stats(self) -> dict[str, float]:
        """Counters by name, none before the start.

        ``replay_finished`` is 1 when the recording has been played to its end, ``replay_failed``
        when it can't be (``/control/state`` says why).
        """
        if not self._started:
            return {}
        venue = self.venue
        counts = {
            "requests": float(sum(self.rest.calls.values())),
            "clients": float(len(self.streams.clients)),
            "orders": float(venue.engine.counters().orders),
            "executions": float(len(venue.executions)),
            "trades_sent": float(sum(self.publisher.sent.values())),
            "replay_finished": float(venue.progress.finished),
            "replay_failed": float(bool(self.player.failure)),
            "faults": float(sum(venue.faults.fired.values())),
        }
        return counts | {f"requests{path}": float(count) for path, count in self.rest.calls.items()}


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("%s failed: %s", task.get_name(), task.exception())
