"""The simulator as a host embeds it."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Coroutine

from aiohttp import web

from exchanges.model.instrument import Instrument
from exchanges.simulators.bybit.control import Control
from exchanges.simulators.bybit.instruments import listed, observed
from exchanges.simulators.bybit.limits import Limits
from exchanges.simulators.bybit.player import Player
from exchanges.simulators.bybit.publisher import Publisher
from exchanges.simulators.bybit.rest import RestServer
from exchanges.simulators.bybit.streams import Streams
from exchanges.simulators.bybit.venue import Venue
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.faults import FaultOrder
from exchanges.simulators.feeds.generator import Generator
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.settings import SimulatorSettings
from exchanges.simulators.store import VenueStore

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class BybitSimulator:
    """A Bybit of one's own on the loopback interface.

    ``port`` is known after ``start``. REST is at ``http://127.0.0.1:port``, the streams at
    ``ws://127.0.0.1:port/v5/...``. Everything runs on the loop that called ``start``.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.port = settings.port
        self._runner: web.AppRunner | None = None
        self._store: VenueStore | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

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
            SimulatorError: the port is taken, or the folder can't be used.
        """
        replay = await asyncio.to_thread(self._open_replay)
        instruments = await asyncio.to_thread(self._instruments, replay)
        self._store = VenueStore(self.settings.folder) if self.settings.folder else None
        try:
            self._assemble(instruments)
            await self._bind()
        except BaseException:
            await self.stop()
            raise
        self._play(instruments, replay)

    def _open_replay(self) -> Replay | None:
        path = self.settings.replay_path
        return Replay(path, self.settings.symbols, self.settings.replay_symbols) if path is not None else None

    def _instruments(self, replay: Replay | None) -> list[Instrument]:
        maker, taker = self.settings.maker_fee, self.settings.taker_fee
        if replay is not None:
            return [observed(native, *replay.sample(native), maker, taker) for native in replay.symbols]
        return [listed(native, maker, taker) for native in self.settings.symbols or DEFAULT_SYMBOLS]

    def _assemble(self, instruments: list[Instrument]) -> None:
        settings = self.settings
        self.venue = Venue(settings, instruments, self._store)
        limits = Limits({"order": settings.order_limit, "query": settings.query_limit})
        self._rest = RestServer(self.venue, limits)
        self._streams = Streams(self.venue, limits)
        self._publisher = Publisher(self.venue, self._streams)
        self._player = Player(self.venue, self._streams, self._publisher)
        self.control = Control(self.venue, self._streams, self._player)
        self._started = True

    async def _bind(self) -> None:
        application = web.Application()
        application.add_routes([*self._rest.routes(), *self._streams.routes(), *self.control.routes()])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.settings.port)
        try:
            await site.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise SimulatorError(
                f"expected port {self.settings.port} of {HOST} to be free for the Bybit simulator, found it taken; "
                f"stop what uses it, or set port=0 for any free one"
            ) from error
        self.port = int(self._runner.addresses[0][1])

    def _play(self, instruments: list[Instrument], replay: Replay | None) -> None:
        self._spawn("refresh", self._player.refresh())
        if replay is not None:
            self._spawn("replay", self._player.replay(replay))
        elif self.settings.feed == "generator":
            generator = Generator(
                instruments,
                self.venue.starting_prices(),
                seed=self.settings.seed,
                rate=self.settings.rate,
                start_ns=time.time_ns(),
            )
            self._spawn("generator", self._player.generate(generator))

    def _spawn(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"bybit simulator {name}")
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def deliver(self, rows: list[Row]) -> None:
        """Public trades from outside the feed, for a host or a test that moves the market itself."""
        await self._player.deliver(rows)

    def inject(self, order: FaultOrder) -> None:
        """The same as ``POST /control/faults``, from Python."""
        self.control.apply(order)

    async def stop(self) -> None:
        """Close every socket, release the port and close the books. A second time does nothing."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._runner is not None:
            self._publisher.close()
            for client in list(self._streams.clients):
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
            "requests": float(sum(self._rest.calls.values())),
            "clients": float(len(self._streams.clients)),
            "orders": float(venue.engine.counters().orders),
            "executions": float(len(venue.executions)),
            "trades_sent": float(sum(self._publisher.sent.values())),
            "replay_finished": float(venue.progress.finished),
            "replay_failed": float(bool(self._player.failure)),
            "faults": float(sum(venue.faults.fired.values())),
        }
        return counts | {f"requests{path}": float(count) for path, count in self._rest.calls.items()}


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("%s failed: %s", task.get_name(), task.exception())
