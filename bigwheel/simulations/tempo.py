"""How fast a run lives: in a long one things come by themselves more rarely; what answers is as fast as ever."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bigwheel.simulations.venue import VenueFaults
from runtime.simulation.faults import SECOND, FaultPlan, Span


class Tempo(NamedTuple):
    """Factors against a run of some seconds, in which everything happens at once."""

    pace: int = 1
    """How many times as long faults that come by themselves, the source of nonsense and the operator stay away."""
    rarity: int = 1
    """How many times as rare faults are that need an occasion: a send, a commit, a chunk on its way."""
    beat: int = 1
    """How many times as far apart the beats are by which brains and links look after what is due."""
    snapshots: int = 1
    """How many times as far apart snapshots are."""
    tick_ns: int = 0
    """Mean time between two ticks of a symbol; 0 for ``pace`` times the venue's own."""
    spell_ns: int = 0
    """A market ticks for so long on average, and is quiet then; 0 for one that never is."""
    lull_ns: Span = (0, 0)
    """How long it is quiet."""
    rest_s: float = 46.0
    """Seconds without faults and new signals until nothing may be under way any more."""

    def plan(self, seed: int) -> FaultPlan:
        """What goes wrong in and between the hosts."""
        plan = FaultPlan.from_seed(seed).slower(self.pace).rarer(self.rarity)
        snapshot_every_ns = plan.snapshot_every_ns * self.snapshots
        return msgspec.structs.replace(plan, snapshot_every_ns=snapshot_every_ns, sweep_ns=plan.sweep_ns * self.beat)

    def venue(self, seed: int, name: str) -> VenueFaults:
        """How a venue misbehaves, and when its market ticks."""
        faults = VenueFaults.from_seed(seed, name).slower(self.pace)
        tick_ns = self.tick_ns or faults.tick_ns
        return msgspec.structs.replace(faults, tick_ns=tick_ns, spell_ns=self.spell_ns, lull_ns=self.lull_ns)


BRISK = Tempo()
CALM = Tempo(pace=25)
LONG = Tempo(
    pace=250,
    rarity=15,
    beat=4,
    snapshots=20,
    tick_ns=SECOND // 2,
    spell_ns=8 * SECOND,
    lull_ns=(30 * SECOND, 300 * SECOND),
    rest_s=120.0,
)
"""Spells of trading with quiet minutes in between, and beats of a second where a short run has four in it."""
