"""How an approved intent is to be carried out: as one order, or as several over time.

A flow says what is wanted of the market; the exchange connection makes the orders. Prices are
in the quote currency, quantities in base units, times in nanoseconds. A stop rests at the venue where
that has orders for it (``Instrument.stops``); every other one, and every trigger, is watched by the
connection itself and needs it to run.
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from exchanges.model.order import Side
from exchanges.model.trigger import Direction as Direction
from exchanges.model.trigger import Source as Source
from exchanges.model.trigger import Trigger as Trigger

SECOND = 1_000_000_000
_LONGEST_NS = 90 * 86_400 * SECOND


class Chase(msgspec.Struct, frozen=True, tag="chase", tag_field="kind"):
    """A limit order at our side of the book that follows the market, never beyond the approved price.

    ``offset_ticks`` behind the best price of our side (0: at it). Moved at most every
    ``interval_ns`` and ``moves`` times; after ``patience_ns`` the rest is taken from the book
    (``take``) or given up.
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
    """A limit order of which ``visible`` at most is in the book at a time; each part follows the one before.

    At the signal's ``limit_price``, or the worst price that was approved.
    """

    visible: Decimal
    lifetime_ns: int = 300 * SECOND


class Twap(msgspec.Struct, frozen=True, tag="twap", tag_field="kind"):
    """The quantity in ``slices`` equal parts over ``duration_ns``.

    Parts are on the lot. What a part could not get is added to the next ones; the last one asks for
    all that is left. Counted from the approval.
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

    At least one of them. The stop rests at the venue where that has orders for it; whichever exit is met takes the
    other away, and a stop sells what the limit order at ``take_profit`` had not. Stops look at the last price, or at
    what the venue's own look at.
    """

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trail: Decimal | None = None
    lifetime_ns: int = 86_400 * SECOND


class Oco(msgspec.Struct, frozen=True, tag="oco", tag_field="kind"):
    """Two exits of a position that is held, as in ``Bracket``: its signal is reduce-only, on the exits' side."""

    take_profit: Decimal
    stop_loss: Decimal
    lifetime_ns: int = 86_400 * SECOND


class TrailingStop(msgspec.Struct, frozen=True, tag="trailing_stop", tag_field="kind"):
    """A reduce-only exit of a position that is held, ``distance`` behind the best price since it was set."""

    distance: Decimal
    lifetime_ns: int = 86_400 * SECOND


Flow = Chase | Rest | Iceberg | Twap | Conditional | Bracket | Oco | TrailingStop
"""Every way but the plain one: a single order that takes what there is."""


class Role(enum.StrEnum):
    """What an order of a flow is for. ``TAKE`` and ``STOP`` are exits, of which one works at a time."""

    ENTRY = "entry"
    TAKE = "take_profit"
    STOP = "stop"


CHASE_END_NS = 10 * SECOND
"""What a chase has, once its patience is over, to cancel and to take the rest."""
SLICES_MAX = 1_000
TRIGGERS_MAX = 16


def lifetime_ns(flow: Flow) -> int:
    """How long after its approval a flow may send orders."""
    if isinstance(flow, Chase):
        return flow.patience_ns + CHASE_END_NS
    return flow.duration_ns if isinstance(flow, Twap) else flow.lifetime_ns


def protects(flow: Flow | None) -> bool:
    """Whether it is nothing but the exits of a position that is held."""
    return isinstance(flow, Oco | TrailingStop)


def priced_at(flow: Flow | None, symbol: str, side: Side, reference: Decimal) -> Decimal:
    """The market price that an order has to be priced from: the dearest (for a sale the cheapest) it may begin at.

    Of a conditional order that is where its own symbol's triggers are met, else ``reference``.
    """
    if not isinstance(flow, Conditional):
        return reference
    own = [trigger.price for trigger in flow.triggers if trigger.symbol in ("", symbol)]
    return max(reference, *own) if side is Side.BUY else min(reference, *own)


def fault(flow: Flow, symbol: str, side: Side, *, reduce_only: bool, limit_price: Decimal | None) -> str:
    """What is wrong with a flow, in one sentence; empty if nothing is."""
    times = {name: getattr(flow, name) for name in flow.__struct_fields__ if name.endswith("_ns")}
    for name, span in times.items():
        if not 0 < span <= _LONGEST_NS:
            return f"expected {name} from 1 ns to 90 days, found {span}"
    for name in ("visible", "take_profit", "stop_loss", "trail", "distance"):
        amount = getattr(flow, name, None)
        if amount is not None and not (amount.is_finite() and amount > 0):
            return f"expected {name} above 0, found {amount}"
    if protects(flow) and not reduce_only:
        return f"expected reduce_only with {type(flow).__name__}, whose orders close a position; set it"
    if isinstance(flow, Bracket) and reduce_only:
        return "expected a bracket to open a position, found reduce_only; use Oco for one that is held"
    if isinstance(flow, Rest) and limit_price is None:
        return "expected a limit_price for Rest to wait at, found none"
    return _shape_fault(flow, symbol, side)


def _shape_fault(flow: Flow, symbol: str, side: Side) -> str:
    if isinstance(flow, Chase) and (flow.offset_ticks < 0 or flow.moves < 0):
        return f"expected offset_ticks and moves of 0 or more, found {flow.offset_ticks} and {flow.moves}"
    if isinstance(flow, Twap) and not (1 <= flow.slices <= min(SLICES_MAX, flow.duration_ns)):
        return f"expected from 1 to {SLICES_MAX} slices, found {flow.slices}"
    if isinstance(flow, Conditional):
        return _trigger_fault(flow, symbol)
    if isinstance(flow, Bracket) and (flow.take_profit, flow.stop_loss, flow.trail) == (None, None, None):
        return "expected take_profit, stop_loss or trail of a bracket, found none of them"
    if isinstance(flow, Bracket | Oco) and flow.take_profit is not None and flow.stop_loss is not None:
        long = (side is Side.BUY) is isinstance(flow, Bracket)
        if (flow.take_profit > flow.stop_loss) is not long or flow.take_profit == flow.stop_loss:
            where = "above" if long else "below"
            return f"expected take_profit {where} stop_loss, found {flow.take_profit} and {flow.stop_loss}"
    return ""


def _trigger_fault(flow: Conditional, symbol: str) -> str:
    if not 1 <= len(flow.triggers) <= TRIGGERS_MAX:
        return f"expected from 1 to {TRIGGERS_MAX} triggers, found {len(flow.triggers)}"
    venue = symbol.partition(":")[0]
    for trigger in flow.triggers:
        if not (trigger.price.is_finite() and trigger.price > 0):
            return f"expected a trigger's price above 0, found {trigger.price}"
        if trigger.symbol and trigger.symbol.partition(":")[0] != venue:
            return f"expected triggers on {venue}, found one on {trigger.symbol}"
    return ""
