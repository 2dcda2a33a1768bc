"""What of a strategy's brain survives a restart."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.learning import FeedbackIssued
from exchanges.model.position import Position
from runtime.message import Message
from strategies.signal import Signal

VERSION = 1


class HookDue(Message, array_like=True):
    """To itself: show the journal entry ``seq``, whose facts are taken in already, to the strategy's code."""

    seq: int


class TimerDue(Message, array_like=True):
    """To itself: the strategy's timer ``name`` is due."""

    name: str
    due_ns: int


class Unseen(msgspec.Struct, frozen=True):
    """A fill or feedback the strategy's code has not seen, and the position just after it."""

    body: bytes
    position: Position


class BrainState(msgspec.Struct, frozen=True):
    """``user`` are the strategy's attributes, valid for the class and parameters in ``made_for``.

    ``journaled`` are signals the journal has, of data that this state has not been shown (again) yet.
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
    lot: Decimal = Decimal(0)
