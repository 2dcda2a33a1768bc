"""A signal's way through the bus: requests to it, and the events it journals."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from exchanges.model.flow import Flow
from exchanges.model.order import OrderType, Side, TimeInForce
from runtime.lanes import Lane
from runtime.message import Message
from strategies.signal import Signal


class Emit(Message):
    """Strategy to bus: here is a signal. Sent again with the same id it changes nothing."""

    signal: Signal


class Evaluate(Message):
    """Bus to risk: judge this. May come twice; the answer must be the same.

    ``after`` is the signal of the bus's latest approval, which the judge has to know of before
    it answers; ``attempt`` comes back in the verdict.
    """

    signal: Signal
    attempt: int = 1
    after: str = ""


class Step(msgspec.Struct, frozen=True):
    """One step of the evaluation, with what it looked at (``passed`` false ends it)."""

    name: str
    passed: bool
    code: str = ""
    inputs: dict[str, str] = {}


class ApprovedOrder(Message):
    """The only thing an exchange connection executes; made by the risk brain alone.

    ``client_id`` is derived from the signal, so the same approval is always the same order. With a
    ``flow`` it is the frame its orders have to stay in: no more than ``quantity`` in all, no price
    worse than ``price`` (``None``: any), none sent after ``ends_ns``, and their client ids numbered from leg 1.
    """

    signal_id: str
    client_id: str
    strategy: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    reduce_only: bool
    reference_price: Decimal
    approved_ns: int
    expires_ns: int
    tick_recv_ns: int
    signal_ns: int
    flow: Flow | None = None
    ends_ns: int = 0
    closes: bool = False
    """It ends what the strategy itself holds: no entry, although the account's position may grow by it."""


class Verdict(Message):
    """Risk to bus: an approval (``order``) or a denial (``gate``, ``code``, ``detail``).

    ``regime`` is the market's at the time, ``policy`` the version of the learner's policy it was
    judged by, ``arm`` which side of a trial the signal fell on (empty: there was none).
    """

    signal_id: str
    steps: tuple[Step, ...]
    order: ApprovedOrder | None = None
    gate: str = ""
    code: str = ""
    detail: str = ""
    attempt: int = 0
    regime: str = ""
    policy: int = 0
    arm: str = ""


class Withdraw(Message):
    """Strategy or API to bus, which journals it: what was asked for by this signal is no longer wanted.

    Working orders are cancelled, those not sent stay unsent; what has filled has filled.
    """

    signal_id: str
    symbol: str
    by: str
    reason: str = ""


class Unsent(Message):
    """Exchange to bus: an approved order will not be sent (halt latch, expiry, no stream)."""

    signal_id: str
    client_id: str
    expired: bool
    gate: str
    code: str
    detail: str


class SignalEvent(Message):
    """Base of the journaled steps of a signal's life."""

    signal_id: str
    strategy: str
    symbol: str


class Generated(SignalEvent):
    signal: Signal


class Evaluating(SignalEvent):
    attempt: int = 1


class Approved(SignalEvent):
    """The outbox row: once it is flushed, the exchange connection may send ``order``."""

    order: ApprovedOrder
    steps: tuple[Step, ...] = ()
    regime: str = ""
    policy: int = 0
    arm: str = ""


class Blocked(SignalEvent):
    gate: str
    code: str
    detail: str
    steps: tuple[Step, ...] = ()
    regime: str = ""
    policy: int = 0
    arm: str = ""


class Expired(SignalEvent):
    reason: str
    age_ns: int = 0


class Executing(SignalEvent):
    client_id: str


class Executed(SignalEvent):
    client_id: str
    filled: Decimal
    average_price: Decimal


class Learned(SignalEvent):
    """The signal's lesson is in: see ``Lesson``."""

    version: int
    value: float


class LifecycleViolation(Message):
    """Someone asked for a step the lifecycle does not have. Journaled, changes nothing else."""

    lane: ClassVar[Lane] = Lane.ORDER
    signal_id: str
    state: str
    asked: str
    by: str
    detail: str = ""


class SignalStuck(SignalEvent):
    """A signal has not moved on in the time its state is given; journaled once a state.

    Raised for a person to look at: nothing is decided by it.
    """

    state: str
    waited_ns: int
    detail: str
