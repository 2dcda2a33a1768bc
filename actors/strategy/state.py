"""What of a strategy's brain survives a restart."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.history import HistoryTold
from actors.messages.learning import FeedbackIssued
from exchanges.model.market import Bar
from exchanges.model.position import Position
from runtime.message import Message
from strategies.performance import PerformanceState
from strategies.signal import Signal
from strategies.timeframes import SeriesState

VERSION = 1


class HookDue(Message, array_like=True):
    """To itself: show the journal entry ``seq``, whose facts are taken in already, to the strategy's code."""

    seq: int


class TimerDue(Message, array_like=True):
    """To itself: the strategy's timer ``name`` is due."""

    name: str
    due_ns: int


class PastDue(Message, array_like=True):
    """To itself: show the past bar of this number."""

    number: int


class WarmUpOver(Message, array_like=True):
    """To itself: every past bar has been ``shown``, or else the wait for them is over."""

    shown: bool


class WarmState(msgspec.Struct):
    """``told`` are answers by ``symbol|length``; once ``merged``, ``past`` are the bars still to be shown."""

    over: bool = False
    told: dict[str, HistoryTold] = {}
    past: dict[int, Bar] = {}
    merged: bool = False


class Unseen(msgspec.Struct, frozen=True):
    """A fill or feedback the strategy's code has not seen, and the position just after it."""

    body: bytes
    position: Position


class BrainState(msgspec.Struct, frozen=True):
    """``user`` are the strategy's attributes, valid for the class and parameters in ``made_for``.

    ``journaled`` are signals the journal has, of data that this state has not been shown (again) yet.
    ``position``, ``feedback``, ``epoch`` and ``seq`` are the first symbol's; ``positions``, ``feedbacks`` and
    ``marks`` (epoch and seq) are by symbol, all of them. ``data`` is the piece in hand, ``latest`` the
    newest of each of several symbols. ``gates`` are ticket and whether it is closed, by connection;
    ``issued`` the symbols of signals; ``series`` by ``symbol|length``.
    """

    version: int
    made_for: str
    user: bytes
    data: bytes
    epoch: int
    seq: int
    entry_seq: int
    live: bool
    paused: bool
    position: Position
    feedback: FeedbackIssued | None
    pending: tuple[Signal, ...]
    unseen: dict[int, Unseen]
    timers: dict[str, int]
    controls: tuple[str, ...]
    lines: tuple[str, ...]
    counts: dict[str, int]
    gated: bool = True
    ticket: int = 0
    journaled: dict[str, int] = {}
    positions: dict[str, Position] = {}
    feedbacks: dict[str, FeedbackIssued] = {}
    marks: dict[str, tuple[int, int]] = {}
    gates: dict[str, tuple[int, bool]] = {}
    latest: dict[str, bytes] = {}
    issued: dict[str, str] = {}
    series: dict[str, SeriesState] = {}
    warm: WarmState | None = None
    performance: PerformanceState | None = None
    lots: dict[str, Decimal] = {}
