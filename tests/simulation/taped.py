"""Simulated histories with a tape of every process, their replay and their re-run.

Use it as ``from tests.simulation.taped import taped, replayed, rerun``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from bigwheel.replay import Builder, Builders, Report, replay, tapes
from bigwheel.reruns.report import Rerun
from bigwheel.reruns.run import rerun_of
from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.script import Script
from runtime.behavior import Behavior
from runtime.journal.memory import MemoryJournal
from runtime.simulation.faults import SECOND
from runtime.simulation.process import Process
from runtime.supervision.assignment import Assignment, CellAssignment
from runtime.tape.format import FOREVER, Head, TapeRules, folder_of
from runtime.tape.player import Window
from runtime.tape.tape import Tape
from runtime.tape.writer import TapeWriter


class Brains(dict[str, Callable[[], Behavior]]):
    """How each cell's brain is made, and the ``journal`` its bus has written."""

    journal: MemoryJournal

    def but(self, name: str, build: Callable[[], Behavior]) -> Brains:
        """The same with another brain under ``name``."""
        other = Brains({**self, name: build})
        other.journal = self.journal
        return other


RULES = TapeRules(enabled=True)
SECONDS = 4.0


class History(NamedTuple):
    """A taped run: where its tapes are, and how its brains are made."""

    store: Path
    brains: Brains


WHOLE = Window()


class _Patient(TapeWriter):
    """Writes while the simulation waits: its time stands still, so a tape would never be behind."""

    def put(self, data: bytes, frames: int) -> None:
        super().put(data, frames)
        while self._given != self._taken:
            self._thread.join(1e-4)


def taped(store: Path, seed: int, seconds: float, rules: TapeRules) -> Brains:
    """Run a seed with all its faults and keep the tapes in ``store``; returns how each cell's brain is made."""
    scenario = Scenario(Script("trading", seed))
    world = scenario.world

    def taping(process: Process) -> Tape:
        cells = tuple(CellAssignment(cell.name) for cell in process.spec.cells)
        journal = "journal" if process.spec.journal else ""
        plan = Assignment(process.name, "simulated", process.epoch, "", "", "", cells, journal=journal)
        head = Head(process.name, process.epoch, 0, "simulated", rules.effects, msgspec.msgpack.encode(plan))
        return Tape(_Patient(folder_of(store, process.name), rules, head), rules, lambda name, amount: None)

    world.taping = taping
    world.start()
    try:
        world.run(int(seconds * SECOND))
    finally:
        world.close()
    brains = Brains({cell.name: cell.build for spec in world.specs.values() for cell in spec.cells})
    brains.journal = MemoryJournal(world.shelf)
    return brains


def replayed(store: Path, brains: Brains, *, window: Window = WHOLE, actor: str = "") -> Report:
    """Run the tapes in ``store`` through ``brains``."""
    return replay(tapes(store), window, actor=actor, builder=builder_of(brains), inspect=window.until != FOREVER)


def rerun(store: Path, brains: Brains) -> Rerun:
    """Run all ``brains`` together on the tapes in ``store``."""
    return rerun_of(tapes(store), brains.journal, builder_of(brains))


def builder_of(brains: Brains) -> Builders:
    """What makes ``brains`` of the incarnations that are on tape."""

    def builder(head: Head, assignment: Assignment) -> Builder:
        return lambda cell: brains[cell.name]()

    return builder
