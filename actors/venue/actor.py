"""The Ray actor of the embedded venue. Its books outlive its process, as a real venue's do."""

from __future__ import annotations

from pathlib import Path

from actors.host import TradingHost
from actors.venue.market import ensure_known, natives
from actors.venue.note import VenueNote, read_note, write_note
from exchanges.simulators.bybit.server import BybitSimulator
from exchanges.simulators.settings import SimulatorSettings
from runtime.host.engine import Engine


class VenueSimulator(TradingHost):
    """Serves one venue's protocol on loopback; comes back on the same port after a crash."""

    _simulator: BybitSimulator | None = None

    async def opened(self, engine: Engine) -> None:
        simulator = BybitSimulator(self._settings())
        await simulator.start()
        self._simulator = simulator
        write_note(self.settings.store, VenueNote(self.venue, simulator.port))

    async def closing(self) -> None:
        if self._simulator is not None:
            await self._simulator.stop()

    def details(self) -> dict[str, object]:
        if self._simulator is None:
            return {}
        simulator = self._simulator
        said: dict[str, object] = {"name": self.venue, "port": simulator.port, "stats": dict(simulator.stats())}
        if self.settings.simulator.replay:
            played = simulator.control.replay()
            said["replay"] = {"rows": sum(played["rows"].values()), "finished": played["finished"]}
        return {"venue": said}

    @property
    def venue(self) -> str:
        return self.name.partition("/")[2]

    def _settings(self) -> SimulatorSettings:
        wanted = self.settings.simulator
        ensure_known(self.settings)
        earlier = read_note(self.settings.store, self.venue)
        again = earlier is not None and self.assignment.epoch > 1 and not wanted.port
        return SimulatorSettings(
            port=earlier.port if again and earlier is not None else wanted.port,
            seed=wanted.seed,
            symbols=natives(self.settings, self.venue),
            feed="replay" if wanted.replay else "generator",
            rate=wanted.rate,
            replay_path=Path(wanted.replay) if wanted.replay else None,
            speed=wanted.speed or "max",
            folder=self.settings.store / "venues" / self.venue,
            latency_ms=wanted.latency_ms,
            balance=wanted.starting_balance,
            maker_fee=wanted.maker_fee,
            taker_fee=wanted.taker_fee,
        )
