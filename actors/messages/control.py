"""Halts, panic, restarts, and what went wrong."""

from __future__ import annotations

import enum
from typing import ClassVar

from runtime.lanes import Lane
from runtime.lifecycle import DeadLetter
from runtime.message import Message

__all__ = [
    "ActorRestarted",
    "ActorStopped",
    "Control",
    "ControlTaken",
    "DeadLetter",
    "TradingState",
    "TradingStateChanged",
]


class TradingState(enum.StrEnum):
    """``REDUCING`` lets orders through that lower exposure; ``HALTED`` lets none through."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Control(Message):
    """An order to the system.

    ``action`` is ``halt``, ``reduce``, ``resume``, ``panic``, ``pause``, ``unpause``, ``adopt`` or ``rollback``.
    ``target`` narrows it to one strategy's name (``pause`` and ``unpause``), or is the venue's id of the order
    to ``adopt`` (``*``: all) or the version to go back to (``rollback``). ``id`` is unique, and a repeated id
    changes nothing.
    """

    lane: ClassVar[Lane] = Lane.CONTROL
    id: str
    action: str
    by: str
    reason: str = ""
    target: str = ""


class TradingStateChanged(Message):
    """Risk to bus, journaled: what is allowed from now on."""

    state: TradingState
    reason: str
    by: str
    control_id: str = ""


class ControlTaken(Message):
    """An actor carried out a ``Control``; journaled with who asked."""

    control_id: str
    action: str
    by: str
    actor: str
    detail: str = ""


class ActorRestarted(Message):
    """A supervisor started a successor."""

    name: str
    kind: str
    epoch: int
    reason: str
    recovery_ns: int = 0


class ActorStopped(Message):
    """A supervisor gave a child up, or was told to stop it."""

    name: str
    kind: str
    reason: str
    failed: bool
