"""Gates on how fast and how often: duplicates, cooldown, losing streaks, order rate."""

from __future__ import annotations

from actors.messages.signals import Step
from actors.risk.case import Case
from actors.risk.gates.steps import denied, passed
from exchanges.model.flow import Flow, Rest


def cooldown(case: Case) -> Step:
    """One entry of a strategy in a symbol and on a side at a time, and not too soon after the last.

    A quote that only makes is no such entry: both sides are quoted at once, and moved with the market.
    """
    signal, track, last = case.signal, case.track, case.pace.last_entry_ns
    since = case.now - last
    same = [
        client_id
        for client_id, order in case.book.outstanding(signal.symbol)
        if (order.strategy, order.side) == (signal.strategy, signal.side) and not order.reduce_only
    ]
    seen = {"since_ns": str(since) if last else "never", "limit_ns": str(track.cooldown_ns), "track": track.name}
    if case.exits:
        return passed("cooldown", seen)
    if same:
        return denied("cooldown", "DUPLICATE_INTENT", {"order": same[0], "side": signal.side.value})
    if last and since < track.cooldown_ns and not _quotes(signal.flow):
        return denied("cooldown", "COOLDOWN", seen)
    return passed("cooldown", seen)


def _quotes(flow: Flow | None) -> bool:
    """Whether it rests in the book and never takes."""
    return isinstance(flow, Rest) and flow.post_only


def loss_streak(case: Case) -> Step:
    """A strategy whose last round trips have all lost makes no entry for a while."""
    strategy, settings = case.signal.strategy, case.settings
    until = case.account.paused.get(strategy, 0)
    streak = case.account.streaks.get(strategy, 0)
    seen = {"losses": str(streak), "limit": str(settings.loss_streak), "paused_until_ns": str(until)}
    if case.now < until and not case.exits:
        return denied("loss_streak", "LOSS_STREAK", seen)
    return passed("loss_streak", seen)


def order_rate(case: Case) -> Step:
    """Approvals in the last second and the last minute; a loop gone wild meets it closing or opening."""
    pace, settings = case.pace, case.settings
    seen = {
        "second": str(pace.second),
        "limit_second": str(settings.orders_per_second),
        "minute": str(pace.minute),
        "limit_minute": str(settings.orders_per_minute),
    }
    if pace.second >= settings.orders_per_second or pace.minute >= settings.orders_per_minute:
        return denied("order_rate", "ORDER_RATE", seen)
    return passed("order_rate", seen)
