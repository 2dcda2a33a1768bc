"""The Ray actor of the embedded venue. Its books outlive its process, as a real venue's do."""

from __future__ import annotations

from actors.host import TradingHost
from actors.venue.market import simulator as make_simulator
from actors.venue.note import VenueNote, read_note, write_note
from exchanges.simulators.base.simulator import Simulator
from runtime.host.engine import Engine


class VenueSimulator(TradingHost):
    """Serves one venue's protocol on loopback; comes back on the same port after a crash."""

    _simulator: Simulator | None = None

    async def opened(self, engine: Engine) -> None:
        simulator = make_simulator(self.settings, self.venue, port=self._port())
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
        if simulator.settings.feed == "replay":
            played = simulator.control.replay()
            said["replay"] = {"rows": sum(played["rows"].values()), "finished": played["finished"]}
        return {"venue": said}

    @property
    def venue(self) -> str:
        return self.name.partition("/")[2]

    def _port(self) -> int:
        """The port of the process before this one, which connections have been told."""
        wanted = self.settings.simulator.port
        earlier = read_note(self.settings.store, self.venue)
        again = earlier is not None and self.assignment.epoch > 1 and not wanted
        return earlier.port if again and earlier is not None else wanted
