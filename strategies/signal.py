"""A signal: what a strategy wants, why, and on which market data."""

from __future__ import annotations

import base64
import enum
import hashlib
from decimal import Decimal

import msgspec

from exchanges.model.flow import Flow
from exchanges.model.order import Side
from runtime.message import Message


class SignalState(enum.StrEnum):
    GENERATED = "GENERATED"
    EVALUATING = "EVALUATING"
    APPROVED = "APPROVED"
    EXECUTING = "EXECUTING"
    EXECUTED = "EXECUTED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    LEARNED = "LEARNED"


class Cause(msgspec.Struct, frozen=True):
    """The piece of market data a signal came from; times in ns, ``price`` as it was then."""

    tick_id: str
    kind: str
    ts_ns: int
    recv_ns: int
    price: float


class Signal(Message):
    """One intent to trade. ``conviction`` is in 0..1, ``ttl_ns`` counts from ``created_ns``.

    ``quantity`` is what the strategy asks for in base units, or ``None`` to leave the size
    to the risk supervisor. ``features`` are the numbers behind it, shown by ``bigwheel why``.
    ``sources`` are the opinions it was made of, by name, from -1 (sell) to 1 (buy); empty: the
    strategy's own, at its conviction. ``flow`` says how it is to be carried out; ``None``: as one
    order that takes at once.
    """

    id: str
    strategy: str
    symbol: str
    side: Side
    conviction: float
    created_ns: int
    ttl_ns: int
    cause: Cause
    reason: str = ""
    features: dict[str, float] = {}
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    reduce_only: bool = False
    dry_run: bool = False
    sources: dict[str, float] = {}
    flow: Flow | None = None

    @property
    def opinions(self) -> dict[str, float]:
        """``sources``, or the strategy's own opinion where it names none."""
        return self.sources or {self.strategy: self.side.sign * self.conviction}

    @property
    def price(self) -> float:
        """The market price the signal was made at."""
        return self.cause.price


def signal_id(strategy: str, symbol: str, cause: str, ordinal: int) -> str:
    """The id of the ``ordinal``-th signal that ``strategy`` makes of one piece of market data.

    It depends on nothing else, so a strategy that sees the same data again after a restart
    gives its signal the same id, and the bus recognises it. 20 characters of ``[A-Z2-7]``.
    """
    digest = hashlib.blake2b(f"{strategy}|{symbol}|{cause}|{ordinal}".encode(), digest_size=12)
    return base64.b32encode(digest.digest()).decode().rstrip("=")


def client_order_id(signal: str, leg: int = 0, attempt: int = 0) -> str:
    """The client order id of a signal's order: at most 36 characters of ``[A-Za-z0-9_-]``."""
    return f"bw-{signal}-{leg}-{attempt}"
