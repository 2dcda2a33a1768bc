"""A whole system in one thread: hosts, network, disk and faults, all drawn from one seed."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import NoReturn, Protocol

from runtime.behavior import Context
from runtime.journal.memory import Shelf
from runtime.message import Message
from runtime.simulation.disk import SnapshotStore
from runtime.simulation.faults import SECOND, FaultPlan
from runtime.simulation.network import Network
from runtime.simulation.occurrences import Occurrences
from runtime.simulation.process import HostSpec, Process
from runtime.simulation.scheduler import Scheduler
from runtime.simulation.supervision import Supervision
from runtime.tape.tape import Tape

START_NS = 1_700_000_000_000_000_000
"""Where every run begins on the virtual clock (nanoseconds since the Unix epoch)."""

TRACE = 4_000
"""Lines of history kept for the report of a failure."""

CROSS_CHECK = 1_000
"""Events from one question to the next whether something changed that no check was told of."""

_SUPERVISORS = 3
"""Hosts die so many times as often as a supervisor."""

REPLAY = "the same seed, faults and code give the same run"
"""How a run is repeated; who knows the command says so in ``World.replay``."""


class SimulationFailure(AssertionError):
    """An invariant did not hold: ``invariant`` names it, the text says what was found, and how to repeat it."""

    def __init__(self, text: str, invariant: str = "") -> None:
        super().__init__(text)
        self.invariant = invariant


class EndReached(Exception):
    """The run has come to the event it was to end with."""


Observer = Callable[[Process, Context, Message], None]


class Check(Protocol):
    """What holds all along, looked at after each event that may have changed it."""

    def look(self) -> None:
        """Take in what has changed since the last look; ``World.fail`` where something does not hold."""

    def overlooked(self) -> str:
        """What has changed since the last look, in words; empty when nothing has."""


class World:
    """One run.

    Args:
        seed: Where every choice comes from: the same seed and code give the same run.
        plan: What goes wrong; by default drawn from the seed.
        log: The cell whose host owns the journal.
        calls: Link the hosts by calls (as Ray does between nodes) instead of streams.
        trace: Lines of history to keep.
        only: Names of the faults that may happen (see ``Occurrences``); all when it is ``None``.
        end: The event to end with; 0 for none.
    """

    def __init__(
        self,
        seed: int,
        plan: FaultPlan | None = None,
        *,
        log: str = "bus",
        calls: bool = False,
        trace: int = TRACE,
        only: Collection[str] | None = None,
        end: int = 0,
    ) -> None:
        self.seed, self.log, self.calls = seed, log, calls
        self.plan = plan if plan is not None else FaultPlan.from_seed(seed)
        self.occurrences = Occurrences(only)
        self.end = end
        self.scheduler = Scheduler(START_NS)
        self.rng = random.Random(f"world {seed}")
        self.network = Network(self.scheduler, self.plan, random.Random(f"network {seed}"), self.occurrences)
        self.replay = REPLAY
        self.shelf = Shelf()
        self.durable = 0
        self.healed_ns = 0
        """When the faults ended, in nanoseconds of the run; 0 before that."""
        self.snapshots = SnapshotStore()
        self.specs: dict[str, HostSpec] = {}
        self.hosts_by_cell: dict[str, str] = {}
        self.processes: dict[str, Process] = {}
        self.epochs: dict[str, int] = {}
        self.checks: list[Check] = []
        self.touched = True
        """Set by whoever changed something that a check looks at: they look after this event."""
        self.thorough = False
        """Whether the checks look after every event, whatever it touched."""
        self.taping: Callable[[Process], Tape] | None = None
        """Makes the tape of a process that starts, where tapes are wanted."""
        self.supervision: Supervision | None = None
        """Decides about restarts; without it what dies is simply started again."""
        self.observers: list[Observer] = []
        self.crashes: Counter[str] = Counter()
        self.history: deque[tuple[int, str, Message | None]] = deque(maxlen=trace)
        self._milestone = 0
        self._held: set[str] = set()
        self._zombies: dict[Process, None] = {}
        self._failure: SimulationFailure | None = None
        self._chance = random.Random(f"global {seed}").getstate()
        self._messages = 0

    # -- assembly ------------------------------------------------------------------

    def add_host(self, spec: HostSpec) -> None:
        """Add a host; it starts with the first ``run``."""
        self.specs[spec.name] = spec
        for cell in spec.cells:
            self.hosts_by_cell[cell.name] = spec.name

    def start(self) -> None:
        """Start every host, and whatever goes wrong by itself."""
        for name in self.specs:
            self._start(name)
            self._crash_later(name)
        self._break_later()
        self._part_later()
        if self.supervision is not None:
            self.supervision.start(list(self.specs), _SUPERVISORS * self.plan.crash_every_ns)

    def _start(self, name: str) -> None:
        epoch = self.epochs[name] = self.epochs.get(name, 0) + 1
        before = self.processes.get(name)
        if before is not None and not before.alive:
            before.release()
        process = Process(self, self.specs[name], epoch)
        self.processes[name] = self.network.stations[name] = process
        self.note(f"{name}#{epoch} starts")
        self.touched = True
        process.start()

    # -- running -------------------------------------------------------------------

    def run(self, until_ns: int) -> None:
        """Go on until the virtual time ``until_ns`` (from ``START_NS`` on).

        Raises:
            SimulationFailure: an invariant is broken, or a process raised what it should not.
            EndReached: that was the last event that was wanted.
        """
        limit, checks, scheduler = START_NS + until_ns, self.checks, self.scheduler
        step, thorough = scheduler.step, self.thorough
        outside = random.getstate()
        # The links take the jitter of their retries from the module's own generator.
        random.setstate(self._chance)
        try:
            while step(limit):
                if self.touched or thorough:
                    self.touched = False
                    for check in checks:
                        check.look()
                if self._failure is not None:
                    raise self._failure
                if scheduler.fired >= self._milestone:
                    self._pause()
            self._cross_check()
        finally:
            self._chance = random.getstate()
            random.setstate(outside)

    def _pause(self) -> None:
        """At the last event that is wanted, or to see whether the checks were told of everything."""
        fired = self.scheduler.fired
        if fired == self.end:
            raise EndReached(f"event {self.end}")
        self._cross_check()
        self._milestone = fired + CROSS_CHECK - fired % CROSS_CHECK
        if fired < self.end:
            self._milestone = min(self._milestone, self.end)

    def _cross_check(self) -> None:
        for check in self.checks:
            if text := check.overlooked():
                self.fail("nothing-is-overlooked", f"no check was told of {text}")

    def heal(self) -> None:
        """From now on nothing goes wrong any more; what is down comes back."""
        self.healed_ns = self.scheduler.now - START_NS
        self.plan = self.network.plan = self.plan.healed()
        self.network.heal()
        if self.supervision is not None:
            self.supervision.heal()
        for zombie in list(self._zombies):
            self._wake(zombie)

    def hold(self, name: str) -> None:
        """End a host that is to stay down until it is let go."""
        self._held.add(name)
        if self.processes[name].alive:
            self.processes[name].die("held down")

    def release(self, name: str) -> None:
        """Let a host start again."""
        self._held.discard(name)

    def close(self) -> None:
        """The run is over: every process ends, and says nothing more."""
        for process in (*self.processes.values(), *self._zombies):
            process.loop.stop()
            process.end_tape("the run is over")

    @property
    def events(self) -> int:
        """Scheduled events carried out so far: loop passes, timers, arrivals."""
        return self.scheduler.fired

    @property
    def messages(self) -> int:
        """Messages the brains have handled."""
        return self._messages

    # -- history -------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Add a line to the history."""
        self.history.append((self.scheduler.now, text, None))

    def lines(self) -> list[str]:
        """The history as text: virtual milliseconds, who, what."""
        return [
            f"{(when - START_NS) / 1e6:12.3f} ms  {text}{'' if message is None else message}"
            for when, text, message in self.history
        ]

    def committed(self, records: int) -> None:
        """The journal's first ``records`` records are on the disk: ``durable`` is what may be relied on."""
        self.durable = max(self.durable, records)
        self.touched = True

    def observe(self, process: Process, ctx: Context, message: Message) -> None:
        """A brain is about to handle ``message``."""
        self._messages += 1
        if self.history.maxlen:
            self.history.append((self.scheduler.now, f"{ctx.name}#{ctx.epoch} <- {ctx.sender}: ", message))
        for observer in self.observers:
            observer(process, ctx, message)

    def fail(self, invariant: str, reason: str, cause: BaseException | None = None) -> NoReturn:
        """Stop the run: ``invariant`` is broken.

        Raises:
            SimulationFailure: always; the first one of the run.
        """
        if self._failure is not None:
            raise self._failure
        self._failure = SimulationFailure(
            f"seed {self.seed}, at {(self.scheduler.now - START_NS) / 1e9:.6f} s, "
            f"event {self.scheduler.fired:,}: {reason}\n"
            f"Broken: {invariant}. Repeat it: {self.replay.format(seed=self.seed)}",
            invariant,
        )
        raise self._failure from cause

    # -- crashes -------------------------------------------------------------------

    def ended(self, process: Process, reason: str) -> None:
        """A process died: its supervisor starts a successor."""
        self.note(f"{process.name}#{process.epoch} dies: {reason}")
        self.crashes[reason.partition(":")[0]] += 1
        self.network.ended(process)
        cut_off = process in self._zombies
        self._zombies.pop(process, None)
        if self.processes.get(process.name) is not process:
            process.release()
        elif not (cut_off and self.supervision is not None):
            self._restart(process, process.due(), reason)

    def watched(self, host: str) -> bool:
        """Whether a supervisor sees to the host at the moment."""
        return self.supervision is None or self.supervision.watches(host)

    def _restart(self, process: Process, ended_ns: int, reason: str) -> None:
        """Start a successor when the supervisor says so; starting takes its time."""
        took = self.rng.randint(*self.plan.restart_ns)
        if self.supervision is not None:
            ended_ns = max(ended_ns, self.supervision.restart_ns(process.name, self.scheduler.now, reason))
        self.scheduler.at(ended_ns + took, self._start_next, process)

    def _start_next(self, process: Process) -> None:
        if self.processes.get(process.name) is not process:
            return
        if process.name in self._held:
            self.scheduler.after(SECOND // 10, self._start_next, process)
        elif self.supervision is not None and not self.watched(process.name):
            self.scheduler.at(self.supervision.back_ns(process.name), self._start_next, process)
        else:
            self._start(process.name)

    def _crash_later(self, name: str) -> None:
        mean = self.plan.crash_every_ns
        if mean:
            self.scheduler.after(int(self.rng.expovariate(1.0) * mean), self._crash, name)

    def _crash(self, name: str) -> None:
        process = self.processes[name]
        if not self.plan.crash_every_ns:
            return
        if process.alive and process.due() > self.scheduler.now:
            # What it has done so far is under way already; the crash points are inside of it.
            self.scheduler.at(process.due() + 1, self._crash, name)
            return
        self._crash_later(name)
        if not process.alive or process in self._zombies:
            return
        zombie = self.rng.random() < self.plan.zombie
        if not self.occurrences.strike("zombie" if zombie else "crash", name):
            return
        if zombie:
            self._haunt(process)
        else:
            process.die("crash")

    def _haunt(self, process: Process) -> None:
        """Cut a process off: it goes on until its lease ends, and comes back after its successor."""
        self.note(f"{process.name}#{process.epoch} is cut off")
        self.crashes["zombie"] += 1
        self._zombies[process] = None
        self.network.isolate(process)
        lease = self.plan.lease_ns
        self.scheduler.after(lease, self._freeze, process)
        self._restart(process, self.scheduler.now + lease, "cut off")
        self.scheduler.after(lease * 2 + int(self.rng.expovariate(1.0) * 2 * lease), self._wake, process)

    def _freeze(self, process: Process) -> None:
        if process.alive and process in self._zombies:
            process.freeze(True)

    def _wake(self, process: Process) -> None:
        """The zombie goes on; where it could move money, its lease stops it first."""
        if not process.alive or process not in self._zombies:
            return
        self.note(f"{process.name}#{process.epoch} comes back")
        if process.spec.ports:
            process.die("lease")
            return
        self.network.rejoin(process)
        process.freeze(False)
        self.scheduler.after(self.plan.lease_ns, process.die, "killed")

    # -- the network's own troubles --------------------------------------------------

    def _break_later(self) -> None:
        if self.plan.break_every_ns:
            self.scheduler.after(int(self.rng.expovariate(1.0) * self.plan.break_every_ns), self._break)

    def _break(self) -> None:
        if self.plan.break_every_ns:
            self.network.break_any()
            self._break_later()

    def _part_later(self) -> None:
        if self.plan.partition_every_ns:
            self.scheduler.after(int(self.rng.expovariate(1.0) * self.plan.partition_every_ns), self._part)

    def _part(self) -> None:
        if not self.plan.partition_every_ns:
            return
        one, other = self.rng.sample(sorted(self.specs), 2)
        until = self.scheduler.now + self.rng.randint(*self.plan.partition_ns)
        if self.occurrences.strike("partition", "|".join(sorted((one, other)))):
            self.note(f"{one} and {other} are parted")
            self.network.part(one, other, until)
        self._part_later()
