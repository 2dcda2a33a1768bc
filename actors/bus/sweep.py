"""What the bus does by itself as time passes: expire, ask again, raise what is stuck."""

from __future__ import annotations

from actors.bus.executions import settle
from actors.bus.intake import evaluate, expire
from actors.bus.ledger import Ledger, Live
from actors.bus.lessons import learn
from actors.bus.settings import BusSettings
from actors.bus.turn import Turn
from actors.messages.signals import SignalStuck
from runtime.message import Message
from strategies.signal import SignalState

_NEVER_NS = 1 << 62
_MOST_DOUBLINGS = 3
"""How often the time until a signal is put to risk again doubles."""


class BusSweep(Message):
    """The bus's own timer."""


def sweep(turn: Turn) -> None:
    """Look after every open signal once."""
    for live in list(turn.ledger.live.values()):
        if expire(turn, live):
            continue
        settle(turn, live)
        if live.signal.id not in turn.ledger.live:
            continue
        _raise_stuck(turn, live)
        if live.state is SignalState.GENERATED or _unanswered(turn, live):
            evaluate(turn, live)


def still_ns(ledger: Ledger, settings: BusSettings) -> int:
    """Until when a sweep finds nothing to do where all open signals wait for the market; 0 if one doesn't."""
    found = _NEVER_NS
    for live in ledger.live.values():
        order = live.order
        if order is None or live.final_ns or live.ended is not None:
            return 0
        if live.state is SignalState.EXECUTING:
            raised_ns = max(live.since_ns, order.ends_ns) + settings.stuck_executing_ns
        elif order.flow is not None:
            raised_ns = max(order.expires_ns, order.ends_ns) + settings.stuck_approved_ns
        else:
            return 0
        found = found if live.stuck else min(found, raised_ns)
    return found


def reask(turn: Turn) -> None:
    """Put every signal without a verdict to risk again: its successor may know nothing of them.

    What the predecessor answered and is still on its way no longer counts, because the
    successor does not hold the exposure it granted.
    """
    for live in list(turn.ledger.live.values()):
        if live.state in (SignalState.GENERATED, SignalState.EVALUATING):
            live.fence = live.attempts + 1
            evaluate(turn, live)


def resume(turn: Turn) -> None:
    """Finish what the journal shows begun: after a restart, once everything is replayed."""
    for live in list(turn.ledger.live.values()):
        settle(turn, live)
    for signal_id, closed in list(turn.ledger.closed.items()):
        learn(turn, signal_id, closed)
    reask(turn)


def _unanswered(turn: Turn, live: Live) -> bool:
    """Whether to ask again: ever later, for while nobody answers each question is a record and waits in a link."""
    if live.state is not SignalState.EVALUATING:
        return False
    patience_ns = turn.settings.redeliver_ns << min(live.attempts - 1, _MOST_DOUBLINGS)
    return turn.ctx.now - live.asked_ns >= patience_ns


def _raise_stuck(turn: Turn, live: Live) -> None:
    if live.stuck:
        return
    waited = turn.ctx.now - live.since_ns
    detail = _stuck(turn, live, waited)
    if detail:
        signal = live.signal
        turn.ctx.count(f"bus.stuck.{live.state.value}")
        turn.record(SignalStuck(signal.id, signal.strategy, signal.symbol, live.state.value, waited, detail))


def _stuck(turn: Turn, live: Live, waited: int) -> str:
    settings = turn.settings
    if live.state is SignalState.EVALUATING and waited > settings.stuck_evaluating_ns:
        return f"no verdict after {live.attempts} requests: is the risk supervisor up?"
    if live.state is SignalState.APPROVED and live.order is not None:
        over = turn.ctx.now - max(live.order.expires_ns, live.order.ends_ns)
        if over > settings.stuck_approved_ns:
            return f"order {live.order.client_id} expired {over} ns ago and the exchange connection is silent"
    if live.state is SignalState.EXECUTING and live.order is not None:
        over = turn.ctx.now - max(live.since_ns, live.order.ends_ns)
        if over <= settings.stuck_executing_ns:
            return ""
        if live.order.flow is not None:
            return f"its flow was to end {over} ns ago, filled {live.filled} of {live.order.quantity}"
        order = turn.ledger.orders.get(live.order.client_id)
        status = order.status.value if order else "not reported"
        return f"order {live.order.client_id} is {status}, filled {live.filled} of {live.order.quantity}"
    return ""
