"""The Ray actor of an exchange connection: the brain, and behind its port the venue's adapter."""

from __future__ import annotations

import asyncio
import time

from actors.exchange.brain import ExchangeBrain
from actors.exchange.configuration import connection, own_symbols, section
from actors.exchange.connect import make_exchange, simulated_addresses, simulated_keys
from actors.exchange.recorder import start_recorder
from actors.host import TradingHost
from actors.names import LEARNER, RISK, SESSION_NOTE
from actors.venue.note import VenueNote, read_note
from conf.venues import VenueSettings
from exchanges.access import ensure_access
from exchanges.credentials import resolve
from exchanges.history import HistoryDesk
from exchanges.interface import Exchange
from exchanges.model.venue import VENUE_PORT, Command, FetchHistory
from exchanges.modes import Mode
from exchanges.recording import Recorder
from runtime.behavior import Behavior
from runtime.errors import BigwheelError
from runtime.host.engine import Engine
from runtime.message import Message
from runtime.supervision.assignment import CellAssignment

VENUE_DEADLINE_S = 60.0


class ExchangeConnection(TradingHost):
    """The only holder of its venue's keys."""

    _exchange: Exchange | None = None
    _recorder: Recorder | None = None
    _key_source = "this session"
    _history: HistoryDesk | None = None

    @property
    def venue(self) -> str:
        return self.name.partition("/")[2]

    @property
    def symbols(self) -> tuple[str, ...]:
        return own_symbols(self.settings, self.venue)

    def build(self, cell: CellAssignment) -> Behavior:
        return ExchangeBrain(connection(self.settings, self.venue))

    async def opened(self, engine: Engine) -> None:
        exchange = await self.make_exchange()
        self._exchange = exchange
        if not (self.settings.store / SESSION_NOTE).exists():
            # Later a session goes on without a venue, and its stream says why; it does not begin without one.
            await ensure_access(exchange, self.symbols, Mode(self.settings.mode), self._key_source)
        recorder = self._recorder = start_recorder(self._told().record, self.venue, self.assignment.epoch)

        def submit(message: Message) -> None:
            if not isinstance(message, Command):
                raise BigwheelError(f"expected a command for the venue, found {type(message).__name__}")
            if isinstance(message, FetchHistory):
                history.submit(message)
                return
            if recorder is not None:
                recorder.take(message)
            exchange.submit(message)

        def sink(message: Message) -> None:
            if recorder is not None:
                recorder.take(message)
            engine.deliver(self.name, message, VENUE_PORT)

        history = self._history = HistoryDesk(exchange, sink)
        engine.ports[VENUE_PORT] = submit
        engine.on_pressure = exchange.pause
        await exchange.connect(self.symbols, sink)
        if self.settings.simulator.replay:
            exchange.pause(True)
            self._tasks.append(asyncio.ensure_future(self._await_listeners(engine, exchange)))

    async def make_exchange(self) -> Exchange:
        """The adapter of this connection's venue."""
        told, mode = self._told(), Mode(self.settings.mode)
        if mode is not Mode.SIM:
            keys = await asyncio.to_thread(resolve, self.venue, mode, told.credentials)
            self._key_source = keys.source if keys is not None else ""
            return make_exchange(self.settings, self.venue, {}, keys)
        addresses = {} if told.rest_url else simulated_addresses(told, await self._await_venue())
        folder = self.settings.store / "venues" / self.venue
        return make_exchange(self.settings, self.venue, addresses, simulated_keys(self.venue, folder))

    async def _await_listeners(self, engine: Engine, exchange: Exchange) -> None:
        """A recording waits until everyone who was configured to listen does."""
        traded = [symbol for entry in self.settings.strategies for symbol in self.settings.symbols_of(entry)]
        seats = sum(symbol in self.symbols for symbol in traded) + len((RISK, LEARNER)) * len(self.symbols)
        limit = time.monotonic() + VENUE_DEADLINE_S
        while time.monotonic() < limit:
            said = engine.seats[self.name].cell.behavior.status()
            if int(str(said["seats"])) >= seats:
                break
            await asyncio.sleep(0.05)
        exchange.pause(False)

    async def closing(self) -> None:
        if self._history is not None:
            await self._history.close()
        if self._exchange is not None:
            await self._exchange.close()
        if self._recorder is not None:
            await self._recorder.close()

    def idle(self) -> bool:
        """Nothing works at the venue any more, nothing is under way, and the journal has what came of it."""
        if self.engine is None:
            return True
        said = self.engine.seats[self.name].cell.behavior.status()
        return not any(said.get(what) for what in ("working", "outstanding", "unconfirmed"))

    def details(self) -> dict[str, object]:
        said: dict[str, object] = {"adapter": self._exchange.stats()} if self._exchange is not None else {}
        if self._recorder is not None:
            said["recorder"] = self._recorder.stats()
        return said

    def _told(self) -> VenueSettings:
        return section(self.settings, self.venue)

    async def _await_venue(self) -> VenueNote:
        """Where the embedded venue listens; it may still be starting."""
        limit = time.monotonic() + VENUE_DEADLINE_S
        while time.monotonic() < limit:
            note = read_note(self.settings.store, self.venue)
            if note is not None:
                return note
            await asyncio.sleep(0.02)
        raise BigwheelError(
            f"expected the embedded venue {self.venue} to listen within {VENUE_DEADLINE_S:g} s, found no note of it in "
            f"{self.settings.store / 'venues'}; its log says why"
        )
