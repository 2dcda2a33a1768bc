"""Makes a failing run as small as it gets: fewer faults, fewer traders, less time, and the same invariant broken.

Faults are taken away by delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and isolating
failure-inducing input", IEEE Transactions on Software Engineering 28(2), 2002): first all but one kind,
then one kind after the other, then in ever smaller lots. A run without a fault may be another history;
it counts if it breaks the same invariant.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from bigwheel.simulations.invariants import at_the_end
from bigwheel.simulations.scenarios import Build, Outcome, simulate
from bigwheel.simulations.script import Script
from runtime.simulation.occurrences import kind_of, place_of

RUNS, SECONDS = 300, 120.0
"""A shrinking ends after so many runs, or seconds of the processor, with the best it has."""

_PATIENCE = 1.25
"""How much later than the best run so far, in events, another one may fail: what does not is cut off there."""


class Shrunk(NamedTuple):
    """What became of a failing run. ``first`` and ``outcome`` are its runs as it was and as it is."""

    script: Script
    first: Outcome
    outcome: Outcome
    runs: int

    def line(self) -> str:
        """Before and after, for a person."""
        before, after = sum(self.first.faults.values()), len(self.script.only or ())
        return (
            f"{before:,} faults became {after:,}, {self.first.events:,} events {self.outcome.events:,}, "
            f"{self.first.simulated:.3f} s {self.outcome.simulated:.3f} s; {self.runs} runs"
        )


def shrink(script: Script, *, build: Build | None = None, runs: int = RUNS, seconds: float = SECONDS) -> Shrunk | None:
    """The smallest run found that breaks what ``script`` breaks; ``None`` if that breaks nothing.

    Args:
        script: The run that fails.
        build: Makes the run in place of the scenario, as ``simulate`` takes it.
        runs: How many runs to try at most.
        seconds: How long to try, in seconds of the processor.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return _Search(script, build, runs, time.process_time() + seconds).result()
    finally:
        logging.disable(disabled)


class _Search:
    """The best run so far, and what is tried to better it."""

    def __init__(self, script: Script, build: Build | None, runs: int, until: float) -> None:
        self._build, self._most, self._until = build, runs, until
        self._runs = 0
        self.script = script
        self.first, self._faults, self._parts = self._run(script)
        self.outcome = self.first

    def result(self) -> Shrunk | None:
        if not self.first.broken:
            return None
        before, lots = self.script, 0
        while not self._spent() and (lots < 2 * len(self._faults) or before != self.script):
            # Coarse first: a run that became shorter makes everything after it cheap.
            before, lots = self.script, lots * 8 or 8
            self._less_time()
            self._fewer_parts()
            self._fewer_faults(lots)
        script = self._change(only=self._faults)
        if not at_the_end(self.first.broken):
            script = msgspec.structs.replace(script, end=self.outcome.events)
        outcome, _, _ = self._run(script)
        if outcome.broken != self.first.broken:
            raise RuntimeError(
                f"expected {script} to break {self.first.broken} again, found {outcome.failure or 'nothing'}"
            )
        found = outcome.failure.partition("\n")[0]
        script = msgspec.structs.replace(script, broken=outcome.broken, found=found)
        return Shrunk(script, self.first, outcome, self._runs)

    # -- what is taken away ----------------------------------------------------------

    def _less_time(self) -> None:
        """Faults no longer than until it fails; what shows at the end alone may do with a part of the time."""
        whole = self.outcome.faulty
        if not at_the_end(self.first.broken):
            if not self.outcome.healed:
                self._try(seconds=math.ceil(whole * 1_000) / 1_000)
            return
        for part in (0.25, 0.5, 0.75, 0.9):
            if self._try(seconds=round(whole * part, 3)):
                return

    def _fewer_parts(self) -> None:
        for part in self._parts:
            if part not in self.script.without:
                self._try(without=(*self.script.without, part))

    def _fewer_faults(self, most: int) -> None:
        """Take away whole kinds, then lots, of which there are ``most`` at most."""
        if not self._faults or self._try(only=()):
            return
        if self._one_of(kind_of):
            self._one_of(place_of)
        for kind in sorted({kind_of(name) for name in self._faults}):
            rest = tuple(name for name in self._faults if kind_of(name) != kind)
            if len(rest) < len(self._faults):
                self._try(only=rest)
        lots = 2
        while self._faults and not self._spent():
            if self._without_a_lot(min(lots, len(self._faults))):
                lots = max(lots - 1, 2)
            elif lots >= min(len(self._faults), most):
                return
            else:
                lots *= 2

    def _one_of(self, group: Callable[[str], str]) -> bool:
        """Whether the faults of one kind, or of one kind at one place, do."""
        groups = sorted({group(name) for name in self._faults})
        return len(groups) > 1 and any(self._try(only=(one,)) for one in groups)

    def _without_a_lot(self, lots: int) -> bool:
        """Cut what is left into ``lots`` and take one of them away, if any can be spared."""
        names = self._faults
        for number in range(lots):
            first, last = len(names) * number // lots, len(names) * (number + 1) // lots
            if self._try(only=names[:first] + names[last:]):
                return True
        return False

    # -- running ---------------------------------------------------------------------

    def _try(self, **changes: Any) -> bool:
        """Whether the best run so far breaks the same with those changes; then that is the best."""
        script = self._change(**changes)
        if self._spent() or script == self.script:
            return False
        if not at_the_end(self.first.broken):
            script = msgspec.structs.replace(script, end=int(self.outcome.events * _PATIENCE) + 1_000)
        outcome, faults, _ = self._run(script)
        if outcome.broken != self.first.broken:
            return False
        self.script, self.outcome, self._faults = msgspec.structs.replace(script, end=0), outcome, faults
        return True

    def _change(self, **changes: Any) -> Script:
        return msgspec.structs.replace(self.script, **changes)

    def _run(self, script: Script) -> tuple[Outcome, tuple[str, ...], tuple[str, ...]]:
        """What came of it, the faults that happened, and what could be left out."""
        self._runs += 1
        outcome, simulation = simulate(script, build=self._build)
        return outcome, tuple(simulation.world.occurrences.happened), simulation.parts

    def _spent(self) -> bool:
        return self._runs >= self._most or time.process_time() > self._until
