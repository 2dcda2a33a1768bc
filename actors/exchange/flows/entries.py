"""The next move of each kind of entry. Pure: a view in, a move out; ``left`` is what is still to be ordered."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from actors.exchange.flows.moves import (
    FILLED,
    WAIT,
    Amend,
    Cancel,
    End,
    LegView,
    Move,
    Send,
    View,
    ending,
    executed,
    used,
    wind_down,
    working,
)
from actors.exchange.flows.state import Stop
from exchanges.model.flow import Bracket, Chase, Conditional, Iceberg, Rest, Role, Twap
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce

_TAKER = 2
"""The number of a chase's last order, which takes the rest."""


def next_entry(view: View) -> Move:
    """What the entry of a flow wants now."""
    flow, frame = view.flow, view.frame
    legs = view.of(Role.ENTRY)
    if flow.stop is not None:
        return wind_down(legs, flow.stop)
    if executed(legs) >= frame.quantity and not working(legs):
        return FILLED
    if view.now >= frame.ends_ns:
        return wind_down(legs, Stop("flow", "LIFETIME_OVER", f"approved_ns={frame.approved_ns}"))
    if not legs and not isinstance(frame.flow, Conditional) and view.now >= frame.expires_ns:
        return End(Stop("expiry", "APPROVAL_EXPIRED", f"late_ns={view.now - frame.expires_ns}"))
    move = _RULES[type(frame.flow)](view, frame.flow, legs, frame.quantity - used(legs))
    if not isinstance(move, Send):
        return move
    part = view.instrument.round_quantity(move.quantity)
    if view.small(part, move.price, reduce_only=frame.reduce_only):
        return WAIT if working(legs) else _remainder(view, part)
    return move._replace(quantity=part)


def _send(view: View, number: int, quantity: Decimal, reason: str, *, rests: bool = False) -> Send:
    """An order within the frame's price: taking, or (``rests``) standing in the book."""
    frame = view.frame
    kind = OrderType.LIMIT if rests else frame.type
    price = frame.price if kind is OrderType.LIMIT else None
    in_force = TimeInForce.GTC if rests else TimeInForce.IOC
    return Send(Role.ENTRY, number, kind, quantity, price, in_force, reason)


def _once(view: View, legs: list[LegView], left: Decimal, number: int, reason: str) -> Move:
    """One taking order for all that is left."""
    mine = [leg for leg in legs if leg.number == number]
    if not mine:
        return _send(view, number, left, reason)
    if not mine[-1].final:
        return WAIT
    return view.again(mine[-1]) or _send(view, number, left, reason)


def _bracket(view: View, flow: Bracket, legs: list[LegView], left: Decimal) -> Move:
    return _once(view, legs, left, 1, "entry of a bracket")


def _conditional(view: View, flow: Conditional, legs: list[LegView], left: Decimal) -> Move:
    fired = view.flow.fired
    return _once(view, legs, left, 1, f"met: {fired}") if fired or legs else WAIT


def _twap(view: View, flow: Twap, legs: list[LegView], left: Decimal) -> Move:
    if working(legs):
        return WAIT
    frame, every = view.frame, flow.duration_ns // flow.slices
    due = min(max(view.now - frame.approved_ns, 0) // every + 1, flow.slices)
    last = due == flow.slices
    last_leg = legs[-1] if legs else None
    if last_leg is not None and last_leg.number >= due:
        if not last:
            return WAIT
        refusal = view.again(last_leg)
        if refusal is not None:
            return refusal
    goal = frame.quantity if last else view.instrument.round_quantity(frame.quantity * due / flow.slices)
    part = min(goal - executed(legs), left)
    if not last and view.small(part, frame.price, reduce_only=frame.reduce_only):
        return WAIT
    return _send(view, due, part, f"slice {due} of {flow.slices}")


def _iceberg(view: View, flow: Iceberg, legs: list[LegView], left: Decimal) -> Move:
    last = legs[-1] if legs else None
    number = last.number + 1 if last is not None else 1
    if last is not None:
        if not last.final:
            return WAIT
        if last.executed < last.order.quantity:
            number = last.number
            refusal = view.again(last)
            if refusal is not None:
                return refusal
    part = _part(view, view.instrument.round_quantity(flow.visible), left)
    return _send(view, number, part, f"part {number} of an iceberg", rests=True)


def _part(view: View, visible: Decimal, left: Decimal) -> Decimal:
    """What is shown next: less than ``visible`` where the last part would otherwise be too small to be taken."""
    price, closes = view.frame.price, view.frame.reduce_only
    part, rest = min(visible, left), left - min(visible, left)
    if rest > 0 and view.small(rest, price, reduce_only=closes):
        part = view.instrument.round_quantity(left / 2)
    return left if view.small(part, price, reduce_only=closes) else part


def _rest(view: View, flow: Rest, legs: list[LegView], left: Decimal) -> Move:
    if legs:
        if not legs[-1].final:
            return WAIT
        refusal = view.again(legs[-1])
        if refusal is not None:
            return refusal
    send = _send(view, 1, left, "rests in the book", rests=True)
    return send._replace(time_in_force=TimeInForce.POST_ONLY) if flow.post_only else send


def _chase(view: View, flow: Chase, legs: list[LegView], left: Decimal) -> Move:
    if any(leg.number == _TAKER for leg in legs):
        return _once(view, legs, left, _TAKER, "the rest of a chase")
    last = legs[-1] if legs else None
    moved = view.flow.moves + max(len(legs) - 1, 0)
    if view.now - view.frame.approved_ns >= flow.patience_ns:
        return _chase_end(view, flow, legs, left)
    want = _chased(view, flow)
    if want is None:
        return WAIT
    if last is None or last.final:
        return _chase_again(view, last, want, left)
    idle = last.resting and not last.cancelling and not last.amending
    ripe = view.now - max(view.flow.moved_ns, last.touched_ns) >= flow.interval_ns and moved < flow.moves
    if not idle or not ripe or want == last.order.price:
        return WAIT
    if last.amend_refused:
        return Cancel(last.order.client_id, f"moves to {want}")
    return Amend(last.order.client_id, want)


def _chase_again(view: View, last: LegView | None, want: Decimal, left: Decimal) -> Move:
    if last is not None:
        if last.order.status is OrderStatus.REJECTED and not last.lost:
            return End(ending(last))
        if view.now - last.touched_ns < (0 if last.cancelling else view.retry_ns):
            return WAIT
    send = _send(view, 1, left, f"chases at {want}", rests=True)
    return send._replace(price=want)


def _chase_end(view: View, flow: Chase, legs: list[LegView], left: Decimal) -> Move:
    """The patience is over: what works is cancelled, the rest taken or given up."""
    over = Stop("flow", "CHASE_OVER", f"orders={len(legs)} moves={view.flow.moves}")
    move = wind_down(legs, over)
    if not isinstance(move, End) or not flow.take:
        return move
    send = _send(view, _TAKER, left, "the rest of a chase", rests=True)
    return send._replace(time_in_force=TimeInForce.IOC)


def _chased(view: View, flow: Chase) -> Decimal | None:
    """The price a chase wants to stand at, on the tick and within the frame; ``None`` without a market."""
    frame, rules = view.frame, view.instrument
    best = view.prices.own(frame.symbol, frame.side, view.now)
    if best is None or frame.price is None:
        return None
    behind = best - frame.side.sign * flow.offset_ticks * rules.tick_at(best)
    price = rules.round_price(behind, frame.side)
    worst = frame.price
    return min(price, worst) if frame.side is Side.BUY else max(price, worst)


def _remainder(view: View, part: Decimal) -> End:
    return End(Stop("flow", "REMAINDER_TOO_SMALL", f"quantity={part} minimum={view.instrument.min_quantity}"))


_RULES: dict[type[Any], Callable[[View, Any, list[LegView], Decimal], Move]] = {
    Bracket: _bracket,
    Chase: _chase,
    Conditional: _conditional,
    Iceberg: _iceberg,
    Rest: _rest,
    Twap: _twap,
}
