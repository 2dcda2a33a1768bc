"""Which scenarios there are, and one run of one of them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from bigwheel.simulations.attack import Attack
from bigwheel.simulations.outage import Outage
from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.script import Script
from bigwheel.simulations.simulation import Simulation
from runtime.simulation.world import START_NS, SimulationFailure

Build = Callable[..., Simulation]
"""Makes the run of a script; takes ``trace``, the lines of history to keep."""


class Kind(NamedTuple):
    """A scenario."""

    build: Build
    seconds: float
    """Virtual seconds with faults, unless a script says otherwise."""
    text: str


SCENARIOS: dict[str, Kind] = {
    "trading": Kind(
        Scenario, Scenario.SECONDS, "bus, risk, learner, a venue, strategies, a source of nonsense, an operator"
    ),
    "flows": Kind(Scenario, Scenario.SECONDS, "the same, and everybody trades through flows"),
    "outage": Kind(
        Outage, Outage.SECONDS, "brackets; the connection is down while the market goes through their stops"
    ),
    "tree": Kind(Scenario, Scenario.SECONDS, "trading on two venues, restarts by supervisors that may fall too"),
    "calm": Kind(Scenario, Scenario.SECONDS, "as tree, a tick a second and rarer faults: for long runs (--duration)"),
    "long": Kind(Scenario, 10_000.0, "as tree, spells of trading with quiet minutes between them, for hours"),
    "attack": Kind(Attack, Attack.SECONDS, "strategies that emit anything at any rate, briefly, every limit checked"),
}


class Outcome(msgspec.Struct):
    """What a run came to; ``failure`` is empty when every invariant held."""

    script: Script
    failure: str = ""
    broken: str = ""
    events: int = 0
    messages: int = 0
    seconds: float = 0.0
    """Of the processor."""
    simulated: float = 0.0
    """Virtual seconds, all in all."""
    faulty: float = 0.0
    """Those of them in which something could go wrong."""
    healed: bool = False
    """Whether it came to its end, or at least to its rest without faults."""
    orders: int = 0
    """Taken by the venues."""
    restarts: int = 0
    """Of hosts."""
    idle: float = 0.0
    """The longest time without a fill, in virtual seconds."""
    faults: dict[str, int] = {}
    records: dict[str, int] = {}


def simulate(script: Script, *, trace: int = 0, build: Build | None = None) -> tuple[Outcome, Simulation]:
    """One run; what it fails by is in the outcome, also where the simulation itself raised.

    Args:
        script: What to run.
        trace: Lines of history to keep.
        build: Makes it in place of the scenario, with the same arguments.
    """
    began, failure, broken = time.process_time(), "", ""
    simulation = (build or SCENARIOS[script.scenario].build)(script, trace=trace)
    try:
        simulation.run()
    except SimulationFailure as error:
        failure, broken = str(error), error.invariant
    except Exception as error:
        raised = "".join(traceback.format_exception(error))
        failure = f"seed {script.seed}: the simulation raised {error!r}\nRepeat it: {script.command()}\n{raised}"
        broken = f"nothing-raises {type(error).__name__}"
    world = simulation.world
    simulated = (world.scheduler.now - START_NS) / 1e9
    outcome = Outcome(
        script=script,
        failure=failure,
        broken=broken,
        events=world.events,
        messages=world.messages,
        seconds=time.process_time() - began,
        simulated=simulated,
        faulty=world.healed_ns / 1e9 if world.healed_ns else simulated,
        healed=bool(world.healed_ns),
        orders=sum(len(venue.taken) for venue in simulation.venues),
        restarts=sum(world.epochs.values()) - len(world.epochs),
        idle=simulation.audit.idle() / 1e9,
        faults=world.occurrences.counts(),
        records=dict(simulation.audit.kinds),
    )
    return outcome, simulation
