"""The next move of exits: a limit order that takes profit, a stop that is watched here. One works at a time."""

from __future__ import annotations

from decimal import Decimal

from actors.exchange.flows.moves import FILLED, WAIT, Cancel, LegView, Move, Send, View, executed, wind_down, working
from actors.exchange.flows.prices import Prices
from actors.exchange.flows.state import FlowState, Stop
from actors.messages.control import TradingState
from exchanges.model.flow import Bracket, Oco, Role, Source, TrailingStop
from exchanges.model.order import OrderType, Side, TimeInForce

_TAKE, _STOP = 2, 3
"""The numbers of their orders."""
_DOUBLINGS = 5


def exit_side(flow: FlowState) -> Side:
    """The side exits trade on: of a bracket the other one than its entry."""
    side = flow.frame.side
    return side.opposite if isinstance(flow.frame.flow, Bracket) else side


def watch(flow: FlowState, prices: Prices, now: int) -> None:
    """Follow the best price and remember that a stop was met."""
    kind = flow.frame.flow
    last = prices.get(flow.frame.symbol, Source.LAST, now)
    if last is None or flow.fired or not isinstance(kind, Bracket | Oco | TrailingStop):
        return
    sells = exit_side(flow) is Side.SELL
    flow.best = last if flow.best is None else (max(flow.best, last) if sells else min(flow.best, last))
    level = stop_level(flow)
    if level is not None and (last <= level if sells else last >= level):
        flow.fired = f"last={last} {'below' if sells else 'above'} {level}"


def stop_level(flow: FlowState) -> Decimal | None:
    """The price at which it gets out: the tighter one of stop and trail."""
    kind, sells = flow.frame.flow, exit_side(flow) is Side.SELL
    levels = []
    if isinstance(kind, Bracket | Oco) and kind.stop_loss is not None:
        levels.append(kind.stop_loss)
    distance = kind.trail if isinstance(kind, Bracket) else kind.distance if isinstance(kind, TrailingStop) else None
    if distance is not None and flow.best is not None:
        levels.append(flow.best - distance if sells else flow.best + distance)
    if not levels:
        return None
    return max(levels) if sells else min(levels)


def next_exit(view: View, goal: Decimal) -> Move:
    """What the exits want now, that are to close ``goal`` in all."""
    flow, legs = view.flow, view.of(Role.TAKE, Role.STOP)
    if flow.stop is not None:
        return wind_down(legs, flow.stop)
    left = goal - executed(legs)
    if left <= 0:
        return wind_down(legs, FILLED.stop)
    if view.now >= flow.frame.ends_ns:
        return wind_down(legs, Stop("flow", "LIFETIME_OVER", f"not_closed={left}"))
    rest = view.instrument.round_quantity(min(left, view.closable))
    if view.closable <= 0:
        return wind_down(legs, Stop("flow", "POSITION_CLOSED", f"not_closed={left}"))
    if view.small(rest, None, reduce_only=True):
        return wind_down(legs, Stop("flow", "REMAINDER_TOO_SMALL", f"quantity={rest}"))
    for leg in working(legs):
        if leg.order.quantity - leg.executed > rest and not leg.cancelling:
            return Cancel(leg.order.client_id, f"only {rest} is left to close")
    want = view.instrument.round_quantity(min(rest, view.reducible, view.instrument.max_quantity))
    if view.trading is TradingState.HALTED or view.small(want, None, reduce_only=True):
        return WAIT
    return _stop(view, legs, want) if flow.fired else _take(view, legs, want)


def _stop(view: View, legs: list[LegView], want: Decimal) -> Move:
    """Get out at once, when it is certain what the other exit has done."""
    for leg in working(legs):
        if leg.role is Role.TAKE and not leg.cancelling:
            return Cancel(leg.order.client_id, "the stop was met")
        return WAIT
    if _too_soon(view, legs, Role.STOP):
        return WAIT
    return Send(Role.STOP, _STOP, OrderType.MARKET, want, None, TimeInForce.IOC, f"stop: {view.flow.fired}")


def _take(view: View, legs: list[LegView], want: Decimal) -> Move:
    kind = view.frame.flow
    price = kind.take_profit if isinstance(kind, Bracket | Oco) else None
    if price is None or working(legs) or _too_soon(view, legs, Role.TAKE):
        return WAIT
    side = exit_side(view.flow)
    price = view.instrument.round_price(price, side)
    if view.exits_rest:
        return Send(Role.TAKE, _TAKE, OrderType.LIMIT, want, price, TimeInForce.GTC, f"takes profit at {price}")
    best = view.prices.own(view.frame.symbol, side.opposite, view.now)
    if best is None or (best - price) * side.sign > 0:
        return WAIT
    reason = f"takes profit at {price}: the book has {best}"
    return Send(Role.TAKE, _TAKE, OrderType.LIMIT, want, price, TimeInForce.IOC, reason)


def _too_soon(view: View, legs: list[LegView], role: Role) -> bool:
    """An exit that came to nothing is tried again and again, but ever more slowly."""
    failures = 0
    for leg in reversed([leg for leg in legs if leg.role is role]):
        if leg.executed:
            break
        failures += 1
    last = next((leg for leg in reversed(legs) if leg.role is role), None)
    if last is None or last.executed >= last.order.quantity:
        return False
    return view.now - last.touched_ns < view.retry_ns << min(max(failures - 1, 0), _DOUBLINGS)
