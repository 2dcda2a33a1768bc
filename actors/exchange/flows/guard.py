"""The stop that rests at the venue: placed, kept at the size of what it protects, trailed in steps."""

from __future__ import annotations

from decimal import Decimal

from actors.exchange.flows.moves import WAIT, Amend, Cancel, LegView, Move, Send, StopTerms, View, too_soon, working
from actors.exchange.flows.state import FlowState
from exchanges.model.flow import Bracket, Oco, Role, TrailingStop
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Trigger

_ZERO = Decimal(0)
STOP_NUMBER = 3
"""The number of stops, those at the venue and those sent from here."""


def exit_side(flow: FlowState) -> Side:
    """The side exits trade on: of a bracket the other one than its entry."""
    side = flow.frame.side
    return side.opposite if isinstance(flow.frame.flow, Bracket) else side


def stop_level(flow: FlowState) -> Decimal | None:
    """The price at which it gets out: the tighter one of stop and trail."""
    kind, sells = flow.frame.flow, exit_side(flow) is Side.SELL
    levels = []
    if isinstance(kind, Bracket | Oco) and kind.stop_loss is not None:
        levels.append(kind.stop_loss)
    distance = distance_of(flow)
    if distance is not None and flow.best is not None:
        levels.append(flow.best - distance if sells else flow.best + distance)
    if not levels:
        return None
    return max(levels) if sells else min(levels)


def distance_of(flow: FlowState) -> Decimal | None:
    """What it trails by; ``None`` if it stays where it is."""
    kind = flow.frame.flow
    if isinstance(kind, TrailingStop):
        return kind.distance
    return kind.trail if isinstance(kind, Bracket) else None


def resting_level(flow: FlowState, stops: list[LegView]) -> Decimal | None:
    """The price at which the last of the stops that wait at the venue is met; ``None`` if none waits there."""
    levels = [leg.order.trigger.price for leg in stops if leg.order.trigger is not None and _waits(leg)]
    if not levels:
        return None
    return min(levels) if exit_side(flow) is Side.SELL else max(levels)


def _waits(leg: LegView) -> bool:
    return leg.resting and not leg.order.triggered and not leg.cancelling


def guard(view: View, terms: StopTerms, stops: list[LegView], rest: Decimal, level: Decimal) -> Move:
    """What the stops at the venue want, that are to close ``rest`` at ``level``; wait if they are as they should be."""
    standing = working(stops)
    if not all(leg.settled and not leg.order.triggered for leg in standing):
        return WAIT
    side = exit_side(view.flow)
    level = view.instrument.round_price(level, side)
    covered = sum((leg.left for leg in standing), _ZERO)
    if covered > rest:
        return _shrink(terms, standing[-1], covered - rest, view)
    missing = view.instrument.round_quantity(min(rest, view.reducible) - covered)
    if not view.small(missing, None, reduce_only=True):
        return _place(view, terms, stops, min(missing, view.instrument.max_quantity), level)
    return _trail(view, terms, standing, level)


def _place(view: View, terms: StopTerms, stops: list[LegView], quantity: Decimal, level: Decimal) -> Move:
    """Another stop at the venue, unless the last one was refused a moment ago: until then it is watched here."""
    tries = [leg for leg in stops if leg.stands and leg.final and not leg.cancelling]
    if too_soon(view, tries):
        return WAIT
    side, offered = exit_side(view.flow), terms.offered
    trigger = Trigger(Direction.BELOW if side is Side.SELL else Direction.ABOVE, level, offered.sources[0])
    reason = f"rests at the venue, to stop at {trigger.source.value} {level}"
    return Send(Role.STOP, STOP_NUMBER, OrderType.MARKET, quantity, None, TimeInForce.GTC, reason, trigger)


def _shrink(terms: StopTerms, leg: LegView, excess: Decimal, view: View) -> Move:
    """Take back what is too much: the position has become smaller."""
    kept = leg.left - excess
    client_id = leg.order.client_id
    if not terms.offered.amend or leg.amend_refused or view.small(kept, None, reduce_only=True):
        return Cancel(client_id, f"{excess} less is left to close")
    return Amend(client_id, quantity=leg.executed + kept)


def _trail(view: View, terms: StopTerms, standing: list[LegView], level: Decimal) -> Move:
    """Move the stop that lies behind the most, by a step at least and not too often; it never goes back."""
    sign, distance = exit_side(view.flow).sign, distance_of(view.flow)
    if distance is None or view.now - view.flow.moved_ns < terms.trail_ns:
        return WAIT
    for leg in standing:
        trigger = leg.order.trigger
        if trigger is None or (trigger.price - level) * sign < max(distance * terms.trail_step, view.instrument.tick):
            continue
        if not terms.offered.amend or leg.amend_refused:
            return Cancel(leg.order.client_id, f"trails to {level}")
        return Amend(leg.order.client_id, trigger_price=level)
    return WAIT
