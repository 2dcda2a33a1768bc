"""What is remembered of a flow. Its orders' own states are the connection's tracked orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.signals import ApprovedOrder
from exchanges.model.flow import Role


class Leg(msgspec.Struct, frozen=True):
    """One order of a flow whose plan the journal has."""

    client_id: str
    role: Role
    number: int
    attempt: int


class Stop(msgspec.Struct, frozen=True):
    """Why a flow ends, as ``FlowEnded`` tells it. ``whole`` is false if the exits of a bracket go on."""

    gate: str
    code: str
    detail: str
    expired: bool = True
    whole: bool = True


class FlowState(msgspec.Struct):
    """One flow. What its legs don't say is here; a crash costs at most what came after the last snapshot.

    ``frame`` is its approval, ``asked`` the client id of a leg the journal was asked for. ``stop``
    ends it, ``entered_ns`` is when its entry had ended and its exits began, 0 before. ``fired`` says which
    trigger was met, ``best`` the best price a trailing stop has seen. ``own`` is whether its exits
    close the strategy's own share of the position; ``None`` before they began. ``fired_ns`` is when its stop was met.
    """

    frame: ApprovedOrder
    legs: list[Leg] = []
    asked: str = ""
    stop: Stop | None = None
    entered_ns: int = 0
    done: bool = False
    fired: str = ""
    best: Decimal | None = None
    moves: int = 0
    moved_ns: int = 0
    own: bool | None = None
    fired_ns: int = 0
