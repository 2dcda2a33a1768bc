"""A market as the exchange lists it: its terms, its times, and where it stands in its life."""

from __future__ import annotations

import enum
import uuid

import msgspec

SECOND = 1_000_000_000
_NAMES = uuid.UUID("5a0c1d4e-2f37-4b60-9a51-6d1be2b7f0c3")


class Phase(enum.StrEnum):
    """Where a market stands, in the venue's words."""

    INITIALIZED = "initialized"
    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"
    DETERMINED = "determined"
    DISPUTED = "disputed"
    AMENDED = "amended"
    FINALIZED = "finalized"


FILTERS: dict[str, frozenset[Phase]] = {
    "unopened": frozenset({Phase.INITIALIZED}),
    "open": frozenset({Phase.ACTIVE}),
    "paused": frozenset({Phase.INACTIVE}),
    "closed": frozenset({Phase.CLOSED, Phase.DETERMINED, Phase.DISPUTED, Phase.AMENDED}),
    "settled": frozenset({Phase.FINALIZED}),
}
"""The words of the ``status`` filter, which are others than those of the answer."""


class Result(enum.StrEnum):
    NONE = ""
    YES = "yes"
    NO = "no"


class Listing(msgspec.Struct):
    """One market; times in nanoseconds of the venue's clock, 0 where they are not known.

    ``recorded_close_ns`` and ``recorded_result`` are a recording's, in the recording's time:
    when its trades have come that far, the market closes and settles so.
    """

    ticker: str
    event: str
    series: str
    title: str = ""
    subtitle: str = ""
    rules: str = ""
    strike_type: str = "custom"
    floor_strike: float | None = None
    cap_strike: float | None = None
    phase: Phase = Phase.ACTIVE
    result: Result = Result.NONE
    created_ns: int = 0
    updated_ns: int = 0
    opens_ns: int = 0
    closes_ns: int = 0
    expires_ns: int = 0
    settled_ns: int = 0
    timer_s: int = 3_600
    recorded_close_ns: int = 0
    recorded_result: Result = Result.NONE

    @property
    def id(self) -> str:
        """The market's UUID, the same in every process."""
        return identity(self.ticker)


def identity(name: str) -> str:
    """A UUID made from a name: of a market, an account."""
    return str(uuid.uuid5(_NAMES, name))


def event_of(ticker: str) -> str:
    """``KXHIGHNY-24AUG08-T85`` as ``KXHIGHNY-24AUG08``; a ticker of two parts is its own event."""
    event, _, _ = ticker.rpartition("-")
    return event if "-" in event else ticker


def series_of(ticker: str) -> str:
    """``KXHIGHNY-24AUG08-T85`` as ``KXHIGHNY``."""
    return ticker.partition("-")[0]
