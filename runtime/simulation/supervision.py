"""Who starts what has died: the live supervisors' restart policy, on the virtual clock."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from runtime.simulation.faults import SECOND
from runtime.simulation.occurrences import Occurrences
from runtime.simulation.scheduler import Scheduler
from runtime.supervision.policy import Again, Intensity, RestartPolicy

PERSON_NS = 2 * SECOND
"""How long it takes until somebody restarts a host that its supervisor has given up."""


class Supervision:
    """Supervisors over the hosts of a run, one for one; they come and go themselves.

    Restart, backoff and giving up are decided by ``RestartPolicy``, as they are live. While a supervisor is down,
    nobody notices what dies under it and nobody keeps its snapshots; back again, it begins with fresh policies.

    Args:
        seed: Where its choices come from.
        scheduler: The clock.
        occurrences: Decides whether a supervisor really falls.
        intensity: How many restarts are borne.
        supervisor_of: The supervisor's name for a host's.
    """

    def __init__(
        self,
        seed: int,
        scheduler: Scheduler,
        occurrences: Occurrences,
        intensity: Intensity,
        supervisor_of: Callable[[str], str],
    ) -> None:
        self._rng = random.Random(f"supervisors {seed}")
        self._scheduler, self._occurrences = scheduler, occurrences
        self._intensity, self.supervisor_of = intensity, supervisor_of
        self._policies: dict[str, RestartPolicy] = {}
        self._back_ns: dict[str, int] = {}
        self._every_ns = 0
        self.counters: Counter[str] = Counter()

    def start(self, hosts: list[str], every_ns: int) -> None:
        """From now on a supervisor falls each ``every_ns`` on average; 0 for never."""
        self._every_ns = every_ns
        for supervisor in sorted(set(map(self.supervisor_of, hosts))):
            self._fall_later(supervisor)

    def heal(self) -> None:
        """No supervisor falls any more, and all are there."""
        self._every_ns = 0
        self._back_ns.clear()

    def watches(self, host: str) -> bool:
        """Whether its supervisor is there."""
        return self.back_ns(host) <= self._scheduler.now

    def back_ns(self, host: str) -> int:
        """From when on its supervisor is there."""
        return self._back_ns.get(self.supervisor_of(host), 0)

    def restart_ns(self, host: str, ended_ns: int, reason: str) -> int:
        """When the successor of a host that ended is to be started."""
        noticed = max(ended_ns, self.back_ns(host))
        policy = self._policies.get(host)
        if policy is None:
            policy = self._policies[host] = RestartPolicy(self._intensity, seed=self._rng.getrandbits(32))
        decision = policy.decide(noticed, reason=reason)
        if isinstance(decision, Again):
            self.counters["restarted"] += 1
            return decision.at_ns
        self.counters["given up"] += 1
        policy.forgive()
        return noticed + PERSON_NS

    def _fall_later(self, supervisor: str) -> None:
        if self._every_ns:
            self._scheduler.after(int(self._rng.expovariate(1.0) * self._every_ns), self._fall, supervisor)

    def _fall(self, supervisor: str) -> None:
        if not self._every_ns:
            return
        back = self._scheduler.now + self._rng.randint(SECOND // 50, SECOND)
        if self._occurrences.strike("supervisor", supervisor):
            self.counters["fallen"] += 1
            self._back_ns[supervisor] = back
            for host in [each for each in self._policies if self.supervisor_of(each) == supervisor]:
                del self._policies[host]
        self._fall_later(supervisor)
