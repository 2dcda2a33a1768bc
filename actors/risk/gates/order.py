"""The order itself: what may be traded, how much of it, and within the instrument's rules."""

from __future__ import annotations

import msgspec

from actors.messages.signals import Step
from actors.risk.account import notional
from actors.risk.case import Case
from actors.risk.gates.steps import denied, limited, passed, short, yes
from actors.risk.methods import fraction
from actors.risk.sizing import Plan, Room, plan
from exchanges.model.order import Side


def category_filter(case: Case) -> Step:
    """Only categories and kinds of contracts that are allowed, and none that is denied."""
    symbol, settings, known = case.signal.symbol, case.settings, case.instrument
    labels = {label for label in (settings.categories.get(symbol), known.kind.value if known else None) if label}
    seen = {"category": case.category(symbol) or "none", "kind": known.kind.value if known else "none"}
    allowed = not settings.allow or labels & set(settings.allow)
    if (labels & set(settings.deny) or not allowed) and not case.lowers:
        return denied("category_filter", "CATEGORY_DENIED", seen)
    return passed("category_filter", seen)


def sizing(case: Case) -> Step:
    """Set the plan: size, price and whether it can only reduce."""
    view, instrument, signal = case.view, case.instrument, case.signal
    if view is None or instrument is None:
        return denied("sizing", "NO_INSTRUMENT", {"symbol": signal.symbol})
    must_reduce = case.lowers or (signal.side is Side.SELL and not instrument.short)
    if must_reduce and case.closable <= 0:
        code = "NOTHING_TO_REDUCE" if case.lowers else "SHORT_NOT_ALLOWED"
        held = str(case.book.position(signal.symbol).quantity)
        return denied("sizing", code, {"position": held, "side": signal.side.value})
    scale, source = case.multiplier
    track, share = case.track, case.settings.share(signal.strategy)
    worth = fraction(case, track, instrument)
    seen = {"track": track.name, **worth.seen, "multiplier": f"{scale:.6g}", "by": source}
    if worth.code and signal.quantity is None and not must_reduce and not case.leaves:
        return denied("sizing", worth.code, seen)
    closable = case.own if case.leaves else case.closable
    room = Room(
        equity=view.state.equity * share,
        fraction=worth.value,
        multiplier=scale,
        order_notional=case.order_notional,
        rate=case.book.rate(signal.symbol),
        closable=closable,
        must_reduce=must_reduce or case.leaves,
    )
    drawn = plan(signal, instrument, case.reference, room, case.settings)
    if case.leaves:
        drawn = msgspec.structs.replace(drawn, reduce_only=False, closes=True)
    seen = {**seen, "equity": short(room.equity), "share": str(share)}
    return _checked(case, drawn, {**seen, "lot": str(instrument.lot), "price": str(drawn.price)})


def _checked(case: Case, drawn: Plan, seen: dict[str, str]) -> Step:
    tolerance = case.settings.rounding_tolerance
    seen = {**seen, "wanted": short(drawn.wanted), "quantity": str(drawn.quantity)}
    if drawn.quantity <= 0 or drawn.price <= 0:
        return denied("sizing", "SIZE_ZERO", seen)
    off = abs(drawn.quantity / drawn.wanted - 1)
    if off > tolerance and not drawn.reduce_only and not drawn.closes:
        return denied("sizing", "SIZE_ROUNDING", {**seen, "off": short(off), "tolerance": str(tolerance)})
    case.plan = drawn
    ends = {"closes": yes(drawn.closes)} if drawn.closes else {}
    return passed("sizing", {**seen, "reduce_only": yes(drawn.reduce_only), **ends})


def instrument(case: Case) -> Step:
    """The instrument's own rules."""
    if case.plan is None or case.instrument is None:
        return denied("instrument", "NO_PLAN", {"symbol": case.signal.symbol})
    drawn = case.plan
    seen = {"quantity": str(drawn.quantity), "price": str(drawn.price)}
    fault = case.instrument.fault(drawn.quantity, drawn.price, reduce_only=drawn.reduce_only)
    if not fault:
        return passed("instrument", seen)
    code, _, values = fault.partition(": ")
    pairs = (value.partition("=") for value in values.split())
    return denied("instrument", code, {name: value for name, _, value in pairs})


def order_notional(case: Case) -> Step:
    """The largest single order: of its track, and at its venue."""
    drawn, signal = case.plan, case.signal
    if drawn is None:
        return denied("order_notional", "NO_PLAN", {"symbol": signal.symbol})
    value = notional(case.book, signal.symbol, signal.side, drawn.quantity, drawn.worst, drawn.price)
    limit = case.order_notional
    return limited(case, "order_notional", "ORDER_NOTIONAL", value, limit, spared=case.exits, track=case.track.name)
