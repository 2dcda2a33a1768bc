"""Faults that come by themselves over a simulator's life: how often each kind, drawn from a seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import yaml

from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.mischief import EVERY_STREAM, Condition, ExecutionFault, RequestFault, StreamFault

Clock = Callable[[], float]
CALLS = ("place", "amend", "cancel", "query", "market")


class FaultPlanError(SimulatorError):
    """A fault plan can't be used; the text says what is wrong with it."""


class Rate(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How often a fault comes: every ``mean_s`` seconds on average, or with ``probability`` at each chance."""

    mean_s: float = 0.0
    probability: float = 0.0

    def __post_init__(self) -> None:
        if (self.mean_s > 0) == (self.probability > 0):
            raise ValueError(
                f"expected either mean_s or probability above 0, found {self.mean_s} and {self.probability}"
            )
        if self.mean_s < 0 or not 0 <= self.probability <= 1:
            raise ValueError(f"expected a probability of 0 to 1 and no negative mean_s, found {self.probability}")


class RequestRate(Rate, frozen=True, kw_only=True):
    """A fault of requests; ``calls`` narrows it to kinds of routes, ``path`` to paths that start with it.

    ``status``, ``code`` and ``seconds`` are as in `RequestRule`.
    """

    kind: RequestFault
    path: str = ""
    calls: Sequence[str] = ()
    status: int = 503
    code: int = 10016
    seconds: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.calls) - set(CALLS))
        if unknown:
            raise ValueError(f"expected calls of {', '.join(CALLS)}, found {unknown}")


class ExecutionRate(Rate, frozen=True, kw_only=True):
    """A fault of the messages that tell of fills (or orders)."""

    kind: ExecutionFault
    seconds: float = 1.0


class TimedRate(Rate, frozen=True, kw_only=True):
    """What has no chances to draw at, only moments: it comes every ``mean_s`` seconds on average."""

    seconds: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probability:
            raise ValueError(f"expected mean_s and no probability, found probability {self.probability}")


class StreamRate(TimedRate, frozen=True, kw_only=True):
    """A fault of sockets; ``stream`` is as in `StreamRule`."""

    kind: StreamFault
    stream: str = EVERY_STREAM


class ConditionRate(TimedRate, frozen=True, kw_only=True):
    """A condition that lasts ``seconds``."""

    kind: Condition
    skew_ms: int = 0
    share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind is Condition.CLOCK_SKEW and not self.skew_ms:
            raise ValueError("expected skew_ms other than 0 with clock_skew, found 0")
        if self.kind is Condition.THIN_LIQUIDITY and not 0 < self.share < 1:
            raise ValueError(f"expected a share between 0 and 1 with thin_liquidity, found {self.share}")


class RatePlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How often each fault comes. The same ``seed`` gives the same draws."""

    seed: int = 1
    requests: Sequence[RequestRate] = ()
    executions: Sequence[ExecutionRate] = ()
    streams: Sequence[StreamRate] = ()
    conditions: Sequence[ConditionRate] = ()


AnyRate = TypeVar("AnyRate", bound=Rate)


class Die(Generic[AnyRate]):
    """One rate's draws. The first of a timed fault comes within its mean interval."""

    def __init__(self, rate: AnyRate, seed: str, now: float) -> None:
        self.rate = rate
        self._random = random.Random(seed)
        self._due = now + rate.mean_s * self._random.uniform(0.1, 1.0)

    def hits(self, now: float) -> bool:
        """Whether the fault comes at this chance."""
        if self.rate.probability:
            return self._random.random() < self.rate.probability
        if now < self._due:
            return False
        self._due = now + self.rate.mean_s * self._random.uniform(0.5, 1.5)
        return True


class Dice:
    """All draws of a plan at one venue (``name``: two venues with one plan draw apart)."""

    def __init__(self, plan: RatePlan, name: str = "", clock: Clock = time.monotonic) -> None:
        self._clock = clock
        now = clock()

        def dice(rates: Sequence[AnyRate], part: str) -> list[Die[AnyRate]]:
            return [Die(rate, f"{plan.seed}/{name}/{part}/{number}", now) for number, rate in enumerate(rates)]

        self._requests = dice(plan.requests, "requests")
        self._executions = dice(plan.executions, "executions")
        self._streams = dice(plan.streams, "streams")
        self._conditions = dice(plan.conditions, "conditions")

    def request(self, path: str, call: str) -> RequestRate | None:
        """The fault that a request meets: the first that hits."""
        now = self._clock()
        for die in self._requests:
            rate = die.rate
            if path.startswith(rate.path) and (not rate.calls or call in rate.calls) and die.hits(now):
                return rate
        return None

    def execution(self, *, order: bool) -> ExecutionRate | None:
        """The fault that a message about a fill meets, or with ``order`` one about an order."""
        now = self._clock()
        for die in self._executions:
            if order == (die.rate.kind is ExecutionFault.UNKNOWN_STATUS) and die.hits(now):
                return die.rate
        return None

    def streams(self) -> list[StreamRate]:
        """The stream faults that are due."""
        now = self._clock()
        return [die.rate for die in self._streams if die.hits(now)]

    def conditions(self) -> list[ConditionRate]:
        """The conditions that are to begin."""
        now = self._clock()
        return [die.rate for die in self._conditions if die.hits(now)]


def load(path: Path) -> RatePlan:
    """The plan in a YAML file.

    Raises:
        FaultPlanError: no such file, not YAML, or something in it is unknown or out of range.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FaultPlanError(f"expected a fault plan at {path}, found {error}; check the path") from None
    except yaml.YAMLError as error:
        raise FaultPlanError(f"expected YAML in {path}, found something else: {error}") from None
    try:
        return msgspec.convert(found, RatePlan)
    except msgspec.ValidationError as error:
        raise FaultPlanError(f"{path}: {error}; {_known(str(error))}") from None


def _known(problem: str) -> str:
    """Which kinds there are in the part of the plan that ``problem`` is about."""
    kinds = {"requests": RequestFault, "executions": ExecutionFault, "streams": StreamFault, "conditions": Condition}
    for part, kind in kinds.items():
        if f"$.{part}" in problem:
            return f"the kinds of {part} are {', '.join(kind)}"
    return f"a plan has seed, {', '.join(kinds)}"


def named(name: str) -> Path:
    """The file of a plan: one that comes with the product (``standard``), or a path to one's own.

    Raises:
        FaultPlanError: there is neither.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    folder = Path(str(resources.files("conf"))) / "faults"
    found = folder / f"{name}.yaml"
    if not found.exists():
        plans = sorted(file.stem for file in folder.glob("*.yaml"))
        raise FaultPlanError(f"expected one of {', '.join(plans)} or the path of a YAML file, found {name!r}")
    return found
