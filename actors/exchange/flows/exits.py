"""The next move of exits: a limit order that takes profit, and a stop that rests at the venue or is watched here."""

from __future__ import annotations

from decimal import Decimal

from actors.exchange.flows.guard import STOP_NUMBER, exit_side, guard, stop_level
from actors.exchange.flows.moves import (
    WAIT,
    Cancel,
    LegView,
    Move,
    Send,
    StopTerms,
    View,
    Wait,
    executed,
    too_soon,
    wind_down,
    working,
)
from actors.exchange.flows.prices import Prices
from actors.exchange.flows.state import FlowState, Stop
from actors.messages.control import TradingState
from exchanges.model.flow import Bracket, Oco, Role, Source, TrailingStop
from exchanges.model.order import OrderType, Side, TimeInForce

TAKE_NUMBER = 2
"""The number of the orders that take profit."""


def watch(flow: FlowState, prices: Prices, now: int, resting: Decimal | None = None) -> None:
    """Follow the best price and remember that a stop was met.

    Where a stop rests at the venue (``resting``) its price decides, which trails in steps.
    """
    kind = flow.frame.flow
    last = prices.get(flow.frame.symbol, Source.LAST, now)
    if last is None or flow.fired or not isinstance(kind, Bracket | Oco | TrailingStop):
        return
    sells = exit_side(flow) is Side.SELL
    flow.best = last if flow.best is None else (max(flow.best, last) if sells else min(flow.best, last))
    level = stop_level(flow) if resting is None else resting
    if level is not None and (last <= level if sells else last >= level):
        fire(flow, f"last={last} {'below' if sells else 'above'} {level}", now)


def fire(flow: FlowState, how: str, now: int) -> None:
    """Its stop is met: from now on it gets out."""
    flow.fired, flow.fired_ns = how, now


def next_exit(view: View, goal: Decimal) -> Move:
    """What the exits want now, that are to close ``goal`` in all."""
    flow, legs = view.flow, view.of(Role.TAKE, Role.STOP)
    if flow.stop is not None:
        return wind_down(legs, flow.stop)
    left = goal - executed(legs)
    if left <= 0:
        return wind_down(legs, Stop("flow", "FILLED", f"closed_beyond_it={-left}" if left else ""))
    if view.now >= flow.frame.ends_ns:
        return wind_down(legs, Stop("flow", "LIFETIME_OVER", f"not_closed={left}"))
    rest = view.instrument.round_quantity(min(left, view.closable))
    if view.closable <= 0:
        return wind_down(legs, Stop("flow", "POSITION_CLOSED", f"not_closed={left}"))
    if view.small(rest, None, reduce_only=True):
        return wind_down(legs, Stop("flow", "REMAINDER_TOO_SMALL", f"quantity={rest}"))
    for leg in working(legs):
        if leg.left > rest and not leg.cancelling and not leg.stands:
            return Cancel(leg.order.client_id, f"only {rest} is left to close")
    want = view.instrument.round_quantity(min(rest, view.reducible, view.instrument.max_quantity))
    if view.trading is TradingState.HALTED or view.small(want, None, reduce_only=True):
        return WAIT
    if flow.fired or any(leg.role is Role.STOP and not leg.stands for leg in working(legs)):
        return _stop(view, legs, want)
    level = stop_level(flow)
    if view.stop_terms is None or level is None:
        return _take(view, legs, want)
    return _guarded(view, view.stop_terms, legs, rest, level)


def _stop(view: View, legs: list[LegView], want: Decimal) -> Move:
    """Get out at once, when it is certain what the other exits have done."""
    for leg in working(legs):
        if leg.role is Role.TAKE and not leg.cancelling:
            return Cancel(leg.order.client_id, "the stop was met")
    for leg in working(legs):
        patience = view.stop_terms.wait_ns if view.stop_terms is not None else 0
        if leg.stands and not leg.cancelling and view.now - view.flow.fired_ns >= patience:
            return Cancel(leg.order.client_id, "its price was met, and the venue has not sold")
        return WAIT
    if too_soon(view, [leg for leg in legs if leg.role is Role.STOP and not leg.stands]):
        return WAIT
    return Send(Role.STOP, STOP_NUMBER, OrderType.MARKET, want, None, TimeInForce.IOC, f"stop: {view.flow.fired}")


def _guarded(view: View, terms: StopTerms, legs: list[LegView], rest: Decimal, level: Decimal) -> Move:
    """A stop rests at the venue. Beside it stands what takes profit, where the two can close no more than this flow's.

    Elsewhere one exit is at the venue at a time, the stop until the book has the other one's price.
    """
    takes = [leg for leg in legs if leg.role is Role.TAKE]
    stops = [leg for leg in legs if leg.role is Role.STOP]
    want = view.instrument.round_quantity(min(rest, view.reducible, view.instrument.max_quantity))
    beside = terms.offered.beside and terms.offered.reduce_only and view.alone and view.reducible <= rest
    if beside:
        move = guard(view, terms, stops, rest, level)
        return _take(view, takes, want) if isinstance(move, Wait) else move
    for leg in working(takes):
        if leg.order.time_in_force is TimeInForce.GTC and not leg.cancelling:
            return Cancel(leg.order.client_id, "the position is not this flow's alone")
        return WAIT
    profit = _take(view._replace(exits_rest=False), takes, want)
    if isinstance(profit, Wait):
        return guard(view, terms, stops, rest, level)
    for leg in working(stops):
        return (
            WAIT if leg.cancelling else Cancel(leg.order.client_id, profit.reason if isinstance(profit, Send) else "")
        )
    return profit


def _take(view: View, legs: list[LegView], want: Decimal) -> Move:
    kind = view.frame.flow
    price = kind.take_profit if isinstance(kind, Bracket | Oco) else None
    if price is None or working(legs) or too_soon(view, [leg for leg in legs if leg.role is Role.TAKE]):
        return WAIT
    side = exit_side(view.flow)
    price = view.instrument.round_price(price, side)
    if view.exits_rest:
        return Send(Role.TAKE, TAKE_NUMBER, OrderType.LIMIT, want, price, TimeInForce.GTC, f"takes profit at {price}")
    best = view.prices.own(view.frame.symbol, side.opposite, view.now)
    if best is None or (best - price) * side.sign > 0:
        return WAIT
    reason = f"takes profit at {price}: the book has {best}"
    return Send(Role.TAKE, TAKE_NUMBER, OrderType.LIMIT, want, price, TimeInForce.IOC, reason)
