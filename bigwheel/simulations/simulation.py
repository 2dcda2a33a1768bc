"""What all scenarios have in common: a world, its venues, an audit, and a run that can end early."""

from __future__ import annotations

import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import msgspec

from actors import names
from bigwheel.simulations.audit import Audit
from bigwheel.simulations.script import Script
from bigwheel.simulations.venue import SimulatedVenue, VenueFaults
from runtime.simulation.faults import FaultPlan
from runtime.simulation.port import Port
from runtime.simulation.process import CellSpec, HostSpec
from runtime.simulation.world import EndReached, World


class Simulation(ABC):
    """One run of a script: ``run`` it, and every invariant has held."""

    SECONDS: ClassVar[float]
    """Virtual seconds of trading with faults, unless the script says otherwise."""

    script: Script
    world: World
    audit: Audit
    venues: tuple[SimulatedVenue, ...]
    drawn: dict[str, FaultPlan | VenueFaults]
    """What can go wrong: between and in the hosts, and at each venue. Healing does not change it."""

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """What a script may leave out: actors that trade or interfere, and symbols."""

    @abstractmethod
    def play(self, seconds: float) -> None:
        """Trade with faults for so many virtual seconds, heal, let it come to rest, check."""

    def run(self, seconds: float = 0.0) -> None:
        """Run it all, or as far as the script wants it.

        Raises:
            SimulationFailure: an invariant is broken.
        """
        length = seconds or self.script.seconds
        self.world.replay = msgspec.structs.replace(self.script, seconds=length).command()
        try:
            with contextlib.suppress(EndReached):
                self.play(length or self.SECONDS)
        finally:
            self.world.close()

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.world.heal()
        for venue in self.venues:
            venue.faults = venue.faults.healed()

    def _world(self, script: Script, plan: FaultPlan, rng: random.Random, trace: int) -> World:
        self.script, self.drawn = script, {"hosts": plan}
        calls = rng.random() < 0.3
        return World(script.seed, plan, log=names.BUS, calls=calls, trace=trace, only=script.only, end=script.end)

    def _market(self, symbols: tuple[str, ...], faults: Callable[[str], VenueFaults]) -> tuple[SimulatedVenue, ...]:
        """One venue for each there is among ``symbols``, with what ``faults`` gives for its name."""
        listed: dict[str, tuple[str, ...]] = {}
        for symbol in symbols:
            name = symbol.partition(":")[0]
            listed[name] = (*listed.get(name, ()), symbol)
        drawn, silent = {name: faults(name) for name in listed}, self.script.without
        self.drawn.update(drawn)
        return tuple(SimulatedVenue(self.world, drawn[name], listed[name], silent) for name in listed)

    def _host(
        self, name: str, cells: Sequence[CellSpec], *, journal: bool = False, ports: Mapping[str, Port] | None = None
    ) -> None:
        """Add a host with those of its cells that the script does not leave out."""
        kept = tuple(cell for cell in cells if cell.name not in self.script.without)
        if kept:
            self.world.add_host(HostSpec(name, kept, journal=journal, ports=ports or {}))
