"""The chain of causes of a signal or an order: from market data to fill, payments and lesson."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.messages.learning import FeedbackIssued, Lesson
from actors.messages.orders import Adopted, Filled, FlowEnded, LegPlanned, LegRefused, OrderChanged, Paid
from actors.messages.signals import (
    Approved,
    Blocked,
    Evaluating,
    Executed,
    Executing,
    Expired,
    Generated,
    Learned,
    LifecycleViolation,
    Step,
    Withdraw,
)
from bigwheel.errors import UsageError
from bigwheel.times import stamp
from runtime.journal.base import History
from runtime.journal.record import Record

LIMIT = 1_000
"""Records of one signal that are looked at, at most."""


def find(journal: History, wanted: str) -> list[Record]:
    """The records of a signal id, or of the signal behind a client order id, oldest first.

    An order that no signal led to (a panic's, an adopted one) has records of its own.

    Raises:
        UsageError: no record bears that id.
    """
    found = journal.read(0, LIMIT, index="signal", value=wanted)
    if found:
        return found
    for record in journal.read(0, 1, index="order", value=wanted):
        signal = record.correlation or dict(record.keys).get("signal", "")
        index, value = ("signal", signal) if signal else ("order", wanted)
        return journal.read(0, LIMIT, index=index, value=value)
    raise UsageError(
        f"expected the id of a signal or a client order id, found {wanted!r}, which no record of the journal "
        "bears; `bigwheel signals` lists the ids"
    )


def explain(journal: History, wanted: str) -> list[str]:
    """The chain as lines of text: each with its record's number, time and source."""
    lines: list[str] = []
    chain = find(journal, wanted)
    for record in chain:
        tell = _TELLERS.get(type(record.event).__name__)
        said = tell(record.event) if tell else [record.kind]
        because = f", because of #{record.causation}" if record.causation else ""
        lines.append(f"#{record.seq} {stamp(record.ts)} {record.source}{because}: {said[0]}")
        lines.extend(f"    {line}" for line in said[1:])
    lines.extend(_payments(journal, chain))
    lines.extend(_afterwards(journal, chain))
    return lines


def _generated(event: Generated) -> list[str]:
    signal = event.signal
    cause = signal.cause
    return [
        f"GENERATED {signal.side} {signal.symbol} by {signal.strategy}, conviction {signal.conviction:.3f}: "
        f"{signal.reason or 'no reason given'}",
        f"from {cause.kind} {cause.tick_id} at {cause.price:g}, venue time {stamp(cause.ts_ns)}, "
        f"received {stamp(cause.recv_ns)}",
        *(f"opinion of {name} = {value:+.4g}" for name, value in signal.sources.items()),
        *(f"{name} = {value:.6g}" for name, value in signal.features.items()),
    ]


def _steps(steps: tuple[Step, ...]) -> list[str]:
    return [
        f"{'passed' if step.passed else 'DENIED'} {step.name}"
        + (f" [{step.code}]" if step.code else "")
        + "".join(f" {k}={v}" for k, v in step.inputs.items())
        for step in steps
    ]


def _judged_by(event: Approved | Blocked) -> list[str]:
    """What was learned and held at the time; nothing where nobody had learned or measured anything."""
    if not (event.policy or event.arm or event.regime):
        return []
    arm = f", on the {event.arm} side of a trial" if event.arm else ""
    return [f"judged by policy {event.policy or 'none'}{arm}, in a market that was {event.regime or 'unknown'}"]


def _evaluating(event: Evaluating) -> list[str]:
    return [f"EVALUATING, put to the risk supervisor (attempt {event.attempt})"]


def _approved(event: Approved) -> list[str]:
    order = event.order
    price = f" at {order.price}" if order.price is not None else ""
    return [
        f"APPROVED as {order.client_id}: {order.side} {order.quantity} {order.symbol} {order.type}{price} "
        f"{order.time_in_force}, reference price {order.reference_price}",
        *(["it ends what the strategy itself holds, and is no entry"] if order.closes else []),
        *([f"as a flow: {order.flow}, until {stamp(order.ends_ns)}"] if order.flow is not None else []),
        *_judged_by(event),
        *_steps(event.steps),
    ]


def _blocked(event: Blocked) -> list[str]:
    return [
        f"BLOCKED at gate {event.gate}: {event.code}: {event.detail}",
        *_judged_by(event),
        *_steps(event.steps),
    ]


def _expired(event: Expired) -> list[str]:
    return [f"EXPIRED after {event.age_ns / 1e9:.3f} s: {event.reason}"]


def _executing(event: Executing) -> list[str]:
    return [f"EXECUTING as {event.client_id}"]


def _adopted(event: Adopted) -> list[str]:
    order = event.order
    price = f" at {order.price}" if order.price is not None else ""
    return [
        f"adopted by {event.by} as {order.client_id}: {order.side} {order.quantity} {order.symbol} {order.type}{price}",
        f"venue id {order.venue_id}, filled {order.filled} before",
    ]


def _order(event: OrderChanged) -> list[str]:
    order = event.order
    timing = []
    if event.attempted_ns and event.tick_recv_ns:
        timing = [f"left {(event.attempted_ns - event.tick_recv_ns) / 1e6:.3f} ms after the market data came in"]
    note = f" ({order.reason})" if order.reason else ""
    return [
        f"order {order.client_id} is {order.status}, filled {order.filled} of {order.quantity}"
        f"{f', venue id {order.venue_id}' if order.venue_id else ''}{note}",
        *timing,
    ]


def _leg(event: LegPlanned) -> list[str]:
    order, trigger = event.order, event.order.trigger
    price = f" at {order.price}" if order.price is not None else ""
    if trigger is not None:
        price += f", at the venue once {trigger.source.value} is {trigger.direction.value} {trigger.price},"
    return [
        f"leg {event.number}.{event.attempt} ({event.role.value}) planned as {order.client_id}: {order.side} "
        f"{order.quantity} {order.type}{price} {order.time_in_force}{', reduce-only' if order.reduce_only else ''}",
        f"why: {event.reason}",
    ]


def _leg_refused(event: LegRefused) -> list[str]:
    return [f"leg {event.client_id} refused: {event.reason}"]


def _flow_ended(event: FlowEnded) -> list[str]:
    what = "the flow's entry ended, its exits go on" if event.lives_on else "the flow ended"
    exited = f", closed again {event.exited}" if event.exited else ""
    return [
        f"{what}: {event.code}{f' {event.detail}' if event.detail else ''}",
        f"filled {event.filled} at {event.average_price:.8g} on average{exited}",
    ]


def _withdrawn(event: Withdraw) -> list[str]:
    return [f"withdrawn by {event.by}: {event.reason or 'no reason given'}"]


def _filled(event: Filled) -> list[str]:
    fill, position = event.fill, event.position
    return [
        f"filled {fill.quantity} at {fill.price} as {fill.liquidity}, fee {fill.fee} {fill.fee_currency} "
        f"(execution {fill.execution_id})",
        f"position after it: {position.quantity} at {position.average_price:.8g}, realised {position.realized}",
    ]


def _executed(event: Executed) -> list[str]:
    return [f"EXECUTED: {event.filled} at {event.average_price} on average"]


def _learned(event: Learned) -> list[str]:
    return [f"LEARNED: outcome {event.value:+.6f} (lesson {event.version})"]


def _lesson(event: Lesson) -> list[str]:
    kind = "what it missed" if event.counterfactual else "its outcome"
    held = "" if event.counterfactual else f", slippage {event.slippage:+.6f}, held {event.holding_ns / 1e9:g} s"
    lines = [
        f"{kind}: {event.value:+.6f} from {event.entry_price:g} to {event.exit_price:g} "
        f"over {event.horizon_ns / 1e9:g} s",
        f"on the way {event.adverse:+.6f} to {event.favourable:+.6f}; fees {event.fees:.6f}{held}; "
        f"stake {event.stake:.8g}",
    ]
    if event.policy or event.arm or event.regime:
        arm = f", {event.arm} side of a trial" if event.arm else ""
        lines.append(f"judged by policy {event.policy} in regime {event.regime or 'unknown'}{arm}")
    return lines + ([f"not counted: {event.reason}"] if event.reason else [])


def _violation(event: LifecycleViolation) -> list[str]:
    return [f"refused: {event.by} asked for {event.asked} in state {event.state} {event.detail}".rstrip()]


_TELLERS: dict[str, Callable[[Any], list[str]]] = {
    "Generated": _generated,
    "Evaluating": _evaluating,
    "Approved": _approved,
    "Blocked": _blocked,
    "Expired": _expired,
    "Executing": _executing,
    "Adopted": _adopted,
    "OrderChanged": _order,
    "LegPlanned": _leg,
    "LegRefused": _leg_refused,
    "FlowEnded": _flow_ended,
    "Withdraw": _withdrawn,
    "Filled": _filled,
    "Executed": _executed,
    "Learned": _learned,
    "Lesson": _lesson,
    "LifecycleViolation": _violation,
}


def _payments(journal: History, chain: list[Record]) -> list[str]:
    """What was paid or received for the position that the signal's fills led to, until it was flat."""
    fills = [record for record in chain if isinstance(record.event, Filled)]
    if not fills or not isinstance(last := fills[-1].event, Filled) or not last.position.quantity:
        return []
    lines: list[str] = []
    later = journal.read(fills[-1].seq, LIMIT, kinds=("Filled", "Paid"), index="symbol", value=last.fill.symbol)
    for record in later:
        event = record.event
        if isinstance(event, Filled) and not event.position.tradable(event.lot).quantity:
            break
        if isinstance(event, Paid):
            way = "received" if event.amount > 0 else "paid"
            lines.append(
                f"#{record.seq} {stamp(record.ts)} {record.source}: {event.kind} {way}, {abs(event.amount)} "
                f"{event.currency} on a position of {event.position.quantity}; {event.position.payments:+f} so far"
            )
    return lines


def _afterwards(journal: History, chain: list[Record]) -> list[str]:
    """The first feedback for its strategy and symbol after the lesson: what changes next time."""
    lessons = [record for record in chain if isinstance(record.event, Lesson)]
    if not lessons:
        return []
    lesson = lessons[-1].event
    if not isinstance(lesson, Lesson):
        return []
    for record in journal.read(lessons[-1].seq, 20, kinds=("FeedbackIssued",), index="symbol", value=lesson.symbol):
        event = record.event
        if isinstance(event, FeedbackIssued) and event.strategy == lesson.strategy:
            return [
                f"#{record.seq} {stamp(record.ts)} {record.source}: next time size x{event.size_multiplier:.3f}, "
                f"conviction from {event.conviction_threshold:.3f} (version {event.version}, "
                f"{event.wins} won, {event.losses} lost)"
            ]
    return []
