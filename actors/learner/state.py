"""The learner's whole state, and its snapshot."""

from __future__ import annotations

import msgspec

from actors.learner.prices import Track
from actors.learner.statistics import Moments, Record
from actors.messages.learning import FeedbackIssued, Lesson
from exchanges.model.order import Side
from runtime.errors import SnapshotError

VERSION = 1


class Followed(msgspec.Struct):
    """A signal that is open or waits for its horizon.

    ``entry_ns`` and ``entry_price`` are the market's when the signal was made, until it is
    executed; ``state`` is empty while it is open. ``since_ns`` is our clock's time of its end.
    """

    strategy: str
    symbol: str
    side: Side
    entry_ns: int
    entry_price: float
    state: str = ""
    gate: str = ""
    since_ns: int = 0


class LearnerState(msgspec.Struct):
    """Everything the brain holds. ``opened`` and ``pending`` are by signal, ``records`` by strategy and
    symbol, ``gates`` by gate; ``lessons`` and ``feedback`` are sent and not journaled yet.
    """

    version: int = VERSION
    caught_up: bool = False
    bus_epoch: int = 0
    seq: int = 0
    opened: dict[str, Followed] = {}
    pending: dict[str, Followed] = {}
    tracks: dict[str, Track] = {}
    fees: dict[str, float] = {}
    contracts: dict[str, float] = {}
    """What one contract pays, of symbols that pay all or nothing."""
    lessons: dict[str, Lesson] = {}
    feedback: dict[str, FeedbackIssued] = {}
    records: dict[str, Record] = {}
    gates: dict[str, Moments] = {}
    issued: dict[str, FeedbackIssued] = {}


def pair(strategy: str, symbol: str) -> str:
    """The key of what is kept by strategy and symbol."""
    return f"{strategy}|{symbol}"


def encode(state: LearnerState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> LearnerState:
    """The state in a snapshot.

    Raises:
        SnapshotError: the bytes are no state of a learner, or one of an unknown version.
    """
    try:
        state = msgspec.msgpack.decode(data, type=LearnerState)
    except msgspec.DecodeError as error:
        raise SnapshotError(
            f"expected a snapshot of the learner, found {len(data)} bytes ({error}); "
            "remove it, and the state is rebuilt from the journal"
        ) from error
    if state.version != VERSION:
        raise SnapshotError(
            f"expected a learner snapshot of version {VERSION}, found version {state.version}; "
            "remove it, and the state is rebuilt from the journal"
        )
    return state
