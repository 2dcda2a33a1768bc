"""Misbehaviour on request: which requests, streams and executions go wrong, and how."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from exchanges.simulators.mischief import (
    EVERY_STREAM,
    Condition,
    ExecutionFault,
    KeyState,
    RequestFault,
    StreamFault,
)
from exchanges.simulators.rates import Dice, RatePlan

__all__ = [
    "EVERY_STREAM",
    "Condition",
    "Delivery",
    "ExecutionFault",
    "ExecutionRule",
    "FaultOrder",
    "FaultPlan",
    "KeyState",
    "RatePlan",
    "RequestFault",
    "RequestRule",
    "StreamFault",
    "StreamRule",
]


class RequestRule(msgspec.Struct, forbid_unknown_fields=True):
    """Applies to the next ``count`` requests whose path starts with ``path``, after ``skip`` good ones.

    ``calls`` (``place``, ``amend``, ``cancel``, ``query``, ``market``) narrows it to routes of these
    kinds, whatever the venue calls their paths; empty means all.
    ``status`` is the HTTP status, ``code`` the venue's error code, ``seconds`` how long a
    timeout holds the connection open, each where the kind of fault uses it.
    """

    path: str
    kind: RequestFault
    calls: Sequence[str] = ()
    count: int = 1
    skip: int = 0
    status: int = 503
    code: int = 10016
    seconds: float = 60.0


class StreamRule(msgspec.Struct, forbid_unknown_fields=True):
    """Applies once, now, to the open sockets of ``stream``: ``public``, ``private``, ``trade`` or ``all``.

    The one socket of a venue that sends everything over it is hit by each of them.
    """

    stream: str
    kind: StreamFault
    seconds: float = 5.0


class ExecutionRule(msgspec.Struct, forbid_unknown_fields=True):
    """The next ``duplicate`` execution messages are sent twice, the next ``delay`` ones ``seconds`` late,
    the next ``lose`` ones not at all, and the next ``reorder`` ones after the one that follows (or
    ``seconds`` late); the next ``unknown`` order messages have a status nobody knows.
    """

    duplicate: int = 0
    delay: int = 0
    lose: int = 0
    unknown: int = 0
    seconds: float = 1.0
    reorder: int = 0


class FaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What ``POST /control/faults`` takes.

    ``clear`` ends all earlier faults first, ``keys`` are API keys, ``liquidity`` is the share of the
    usual depth that is left (1: all), ``plan`` what comes by itself from now on.
    """

    requests: Sequence[RequestRule] = ()
    streams: Sequence[StreamRule] = ()
    executions: ExecutionRule | None = None
    clock_skew_ms: int | None = None
    keys: dict[str, KeyState] = {}
    clear: bool = False
    liquidity: float | None = None
    plan: RatePlan | None = None


class Delivery(NamedTuple):
    """How an execution message goes out: how often, how many seconds late, or only after the next one."""

    copies: int = 1
    seconds: float = 0.0
    held: bool = False


DELIVERIES = {
    ExecutionFault.DUPLICATE: Delivery(copies=2),
    ExecutionFault.LOSE: Delivery(copies=0),
}


class FaultPlan:
    """The faults that are still to come, and a count of those that have been (``fired``, by kind)."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.rules: list[RequestRule] = []
        self.executions = ExecutionRule()
        self.streams: deque[StreamRule] = deque()
        self.dice: Dice | None = None
        self.clock_skew_ms = 0
        self.liquidity = 1.0
        self.keys: dict[str, KeyState] = {}
        self.fired: Counter[str] = Counter()

    def apply(self, order: FaultOrder) -> None:
        if order.clear:
            self.rules.clear()
            self.streams.clear()
            self.executions = ExecutionRule()
            self.dice = None
            self.clock_skew_ms, self.liquidity = 0, 1.0
            self.keys.clear()
        self.keys.update(order.keys)
        self.rules.extend(msgspec.structs.replace(rule) for rule in order.requests)
        self.streams.extend(order.streams)
        if order.executions is not None:
            self.executions = msgspec.structs.replace(order.executions)
        if order.clock_skew_ms is not None:
            self.clock_skew_ms = order.clock_skew_ms
        if order.liquidity is not None:
            self.liquidity = order.liquidity
        if order.plan is not None:
            self.dice = Dice(order.plan, self.name)

    def key(self, api_key: str) -> KeyState:
        """What a key may still do."""
        return self.keys.get(api_key, KeyState.VALID)

    def request(self, path: str, call: str = "") -> RequestRule | None:
        """The fault this request meets, if any; using it up. ``call`` is the kind of its route."""
        found = self._ruled(path, call)
        rate = self.dice.request(path, call) if self.dice is not None and found is None else None
        if rate is not None:
            found = RequestRule(path, rate.kind, status=rate.status, code=rate.code, seconds=rate.seconds)
        if found is not None:
            self.fired[found.kind.value] += 1
        return found

    def _ruled(self, path: str, call: str) -> RequestRule | None:
        for rule in self.rules:
            if not path.startswith(rule.path) or (rule.calls and call not in rule.calls):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                return None
            rule.count -= 1
            if rule.count <= 0:
                self.rules.remove(rule)
            return rule
        return None

    def order(self) -> bool:
        """Whether the next order message has a status nobody knows."""
        drawn = self.dice.execution(order=True) if self.dice is not None else None
        if self.executions.unknown > 0:
            self.executions.unknown -= 1
        elif drawn is None:
            return False
        self.fired[ExecutionFault.UNKNOWN_STATUS.value] += 1
        return True

    def execution(self) -> Delivery:
        """How the next execution message goes out."""
        rule = self.executions
        if rule.lose > 0:
            rule.lose -= 1
            return self._delivery(ExecutionFault.LOSE, 0.0)
        if rule.reorder > 0:
            rule.reorder -= 1
            return self._delivery(ExecutionFault.REORDER, rule.seconds)
        copies, seconds = 1, 0.0
        if rule.duplicate > 0:
            rule.duplicate -= 1
            copies = self._delivery(ExecutionFault.DUPLICATE, 0.0).copies
        if rule.delay > 0:
            rule.delay -= 1
            seconds = self._delivery(ExecutionFault.DELAY, rule.seconds).seconds
        if copies > 1 or seconds or self.dice is None:
            return Delivery(copies, seconds)
        drawn = self.dice.execution(order=False)
        return self._delivery(drawn.kind, drawn.seconds) if drawn is not None else Delivery()

    def _delivery(self, kind: ExecutionFault, seconds: float) -> Delivery:
        self.fired[kind.value] += 1
        return DELIVERIES.get(kind) or Delivery(seconds=seconds, held=kind is ExecutionFault.REORDER)
