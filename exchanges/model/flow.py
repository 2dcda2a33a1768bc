"""How an approved intent is to be carried out: as one order, or as several over time.

A flow says what is wanted of the market; the exchange connection makes the orders. Prices are
in the quote currency, quantities in base units, times in nanoseconds.
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

SECOND = 1_000_000_000


class Source(enum.StrEnum):
    """The price a trigger looks at. ``MARK`` is what a perpetual is settled by."""

    LAST = "last"
    BID = "bid"
    ASK = "ask"
    MARK = "mark"


class Direction(enum.StrEnum):
    """``ABOVE`` is met at the price and above it, ``BELOW`` at the price and below it."""

    ABOVE = "above"
    BELOW = "below"


class Trigger(msgspec.Struct, frozen=True):
    """A price to wait for. ``symbol`` is empty for the flow's own; another must be of the same venue."""

    direction: Direction
    price: Decimal
    source: Source = Source.LAST
    symbol: str = ""


class Chase(msgspec.Struct, frozen=True, tag="chase", tag_field="kind"):
    """A limit order at our side of the book that follows the market, never beyond the approved price.

    ``offset_ticks`` behind the best price of our side (0: at it). Moved at most every
    ``interval_ns`` and ``moves`` times; then, or after ``patience_ns``, the rest is taken from the
    book (``take``) or given up.
    """

    offset_ticks: int = 0
    interval_ns: int = SECOND
    moves: int = 20
    patience_ns: int = 30 * SECOND
    take: bool = True


class Rest(msgspec.Struct, frozen=True, tag="rest", tag_field="kind"):
    """A limit order at the signal's ``limit_price`` that waits for ``lifetime_ns`` to be met, then is cancelled.

    ``post_only``: it must not take from the book; one that would is refused.
    """

    lifetime_ns: int = 10 * SECOND
    post_only: bool = True


class Iceberg(msgspec.Struct, frozen=True, tag="iceberg", tag_field="kind"):
    """A limit order of which ``visible`` at most is in the book at a time; each part follows the one before."""

    visible: Decimal
    lifetime_ns: int = 300 * SECOND


class Twap(msgspec.Struct, frozen=True, tag="twap", tag_field="kind"):
    """The quantity in ``slices`` equal parts over ``duration_ns``.

    What a part could not get is added to the next ones; the last one asks for all that is left.
    """

    duration_ns: int
    slices: int


class Conditional(msgspec.Struct, frozen=True, tag="conditional", tag_field="kind"):
    """One order, sent once the triggers are met (``every``: all at the same time, else any of them)."""

    triggers: tuple[Trigger, ...]
    every: bool = False
    lifetime_ns: int = 3_600 * SECOND


class Bracket(msgspec.Struct, frozen=True, tag="bracket", tag_field="kind"):
    """An entry, and exits for what it got: at ``take_profit``, at ``stop_loss``, or ``trail`` behind the best price.

    At least one of them; the first that fills cancels the others (one cancels the other).
    """

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trail: Decimal | None = None
    lifetime_ns: int = 86_400 * SECOND


class Oco(msgspec.Struct, frozen=True, tag="oco", tag_field="kind"):
    """Two exits of a position that is held: a limit order at ``take_profit`` and a stop at ``stop_loss``."""

    take_profit: Decimal
    stop_loss: Decimal
    lifetime_ns: int = 86_400 * SECOND


class TrailingStop(msgspec.Struct, frozen=True, tag="trailing_stop", tag_field="kind"):
    """An exit of a position that is held, ``distance`` behind the best price since it was set."""

    distance: Decimal
    lifetime_ns: int = 86_400 * SECOND


Flow = Chase | Rest | Iceberg | Twap | Conditional | Bracket | Oco | TrailingStop
"""Every way but the plain one: a single order that takes what there is."""
