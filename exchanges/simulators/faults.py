"""Misbehaviour on request: which requests, streams and executions go wrong, and how."""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Sequence

import msgspec


class RequestFault(enum.StrEnum):
    """What happens to a request. ``AFTER`` means it has been carried out all the same."""

    RATE_LIMIT = "rate_limit"
    RET_CODE = "ret_code"
    HTTP_STATUS = "http_status"
    HTML = "html"
    HTML_AFTER = "html_after"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    STATUS_AFTER = "status_after"

    @property
    def after(self) -> bool:
        return self.value.endswith("_after")


class RequestRule(msgspec.Struct, forbid_unknown_fields=True):
    """Applies to the next ``count`` requests whose path starts with ``path``, after ``skip`` good ones.

    ``status`` is the HTTP status, ``code`` the venue's error code, ``seconds`` how long a
    timeout holds the connection open, each where the kind of fault uses it.
    """

    path: str
    kind: RequestFault
    count: int = 1
    skip: int = 0
    status: int = 503
    code: int = 10016
    seconds: float = 60.0


class StreamFault(enum.StrEnum):
    DROP = "drop"
    """The sockets are cut without a closing handshake."""
    MUTE = "mute"
    """Nothing more is sent for ``seconds``, no pong either; what was due is lost."""
    GARBAGE = "garbage"
    """Text that isn't JSON is sent."""
    CLOSE = "close"
    """The sockets are closed properly."""


class StreamRule(msgspec.Struct, forbid_unknown_fields=True):
    """Applies once, now, to the open sockets of ``stream``: ``public``, ``private`` or ``trade``."""

    stream: str
    kind: StreamFault
    seconds: float = 5.0


class ExecutionRule(msgspec.Struct, forbid_unknown_fields=True):
    """The next ``duplicate`` execution messages are sent twice, the next ``delay`` ones ``seconds`` late,
    and the next ``lose`` ones not at all.
    """

    duplicate: int = 0
    delay: int = 0
    lose: int = 0
    seconds: float = 1.0


class FaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What ``POST /control/faults`` takes. ``clear`` ends all earlier faults first."""

    requests: Sequence[RequestRule] = ()
    streams: Sequence[StreamRule] = ()
    executions: ExecutionRule | None = None
    clock_skew_ms: int | None = None
    clear: bool = False


class FaultPlan:
    """The faults that are still to come, and a count of those that have been."""

    def __init__(self) -> None:
        self.rules: list[RequestRule] = []
        self.executions = ExecutionRule()
        self.streams: deque[StreamRule] = deque()
        self.clock_skew_ms = 0
        self.fired: Counter[str] = Counter()

    def apply(self, order: FaultOrder) -> None:
        if order.clear:
            self.rules.clear()
            self.streams.clear()
            self.executions = ExecutionRule()
            self.clock_skew_ms = 0
        self.rules.extend(msgspec.structs.replace(rule) for rule in order.requests)
        self.streams.extend(order.streams)
        if order.executions is not None:
            self.executions = msgspec.structs.replace(order.executions)
        if order.clock_skew_ms is not None:
            self.clock_skew_ms = order.clock_skew_ms

    def request(self, path: str) -> RequestRule | None:
        """The fault this request meets, if any; using it up."""
        for rule in self.rules:
            if not path.startswith(rule.path):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                return None
            rule.count -= 1
            if rule.count <= 0:
                self.rules.remove(rule)
            self.fired[rule.kind.value] += 1
            return rule
        return None

    def execution(self) -> tuple[int, float]:
        """How often the next execution message is sent, and how many seconds late."""
        rule = self.executions
        if rule.lose > 0:
            rule.lose -= 1
            self.fired["lose"] += 1
            return 0, 0.0
        copies, seconds = 1, 0.0
        if rule.duplicate > 0:
            rule.duplicate -= 1
            self.fired["duplicate"] += 1
            copies = 2
        if rule.delay > 0:
            rule.delay -= 1
            self.fired["delay"] += 1
            seconds = rule.seconds
        return copies, seconds
