"""What the exchange connections say about orders, and what follows for their signals."""

from __future__ import annotations

from decimal import Decimal

from actors import names
from actors.bus.fold import ending, execution_key, order_key
from actors.bus.ledger import Closed, Live
from actors.bus.turn import Turn
from actors.messages.orders import Filled, FlowEnded, OrderChanged
from actors.messages.signals import Blocked, Executed, Executing, Expired, Unsent
from exchanges.model.order import Order, OrderStatus
from strategies.signal import SignalState

_ZERO = Decimal(0)


def order_changed(turn: Turn, message: OrderChanged) -> None:
    """Journal an order's new state, then take its signal on."""
    order = message.order
    closed = _book(turn, message, order.symbol, order_key(order) in turn.ledger.reports)
    if closed is not None and not order.status.final and message.signal_id not in turn.ledger.flows:
        turn.violate(
            message.signal_id,
            SignalState.EXECUTING.value,
            f"order {order.client_id} is {order.status.value} after the signal had ended; it is booked",
        )


def filled(turn: Turn, message: Filled) -> None:
    """Journal a fill once, then take its signal on; a fill of a signal that ended is raised."""
    fill = message.fill
    closed = _book(turn, message, fill.symbol, execution_key(message) in turn.ledger.executions)
    late = closed is not None and (closed.flowed or closed.client_id == fill.client_id)
    if late and message.signal_id not in turn.ledger.flows:
        turn.violate(
            message.signal_id,
            SignalState.EXECUTED.value,
            f"execution {fill.execution_id} of {fill.quantity} came after the signal had ended; it is booked",
        )


def _book(turn: Turn, message: OrderChanged | Filled, symbol: str, known: bool) -> Closed | None:
    """Journal what an exchange connection reports, unless it is ``known``; the signal, if it had ended before."""
    if not turn.from_sender(names.exchange_of(symbol), message.signal_id, message):
        return None
    if known:
        turn.repeated(type(message).__name__)
        return None
    closed = turn.ledger.closed.get(message.signal_id)
    turn.record(message)
    live = turn.ledger.live.get(message.signal_id)
    if live is None:
        return closed
    settle(turn, live)
    return None


def unsent(turn: Turn, message: Unsent) -> None:
    """End an approved signal whose order the exchange connection will not send."""
    ledger = turn.ledger
    live, closed = ledger.live.get(message.signal_id), ledger.closed.get(message.signal_id)
    if live is None and closed is None:
        turn.undeliverable(message, f"no signal {message.signal_id} is known")
        return
    symbol = live.signal.symbol if live else closed.symbol if closed else ""
    strategy = live.signal.strategy if live else closed.strategy if closed else ""
    if not turn.from_sender(names.exchange_of(symbol), message.signal_id, message):
        return
    event = _unsent_event(turn, message, strategy, symbol)
    if closed is not None and closed.ending == ending(event):
        turn.repeated("Unsent")
    elif live is None or live.state is not SignalState.APPROVED:
        state = ledger.state_of(message.signal_id)
        turn.violate(message.signal_id, "Unsent", f"an order is unsent only while APPROVED, this is {state}")
    elif live.order is None or live.order.client_id != message.client_id:
        expected = live.order.client_id if live.order else "none"
        turn.violate(message.signal_id, "Unsent", f"expected client id {expected}, found {message.client_id}")
    else:
        turn.advance(live, event)


def settle(turn: Turn, live: Live) -> None:
    """Derive the steps a signal has taken from its order (or its flow) and its fills; safe to repeat.

    Executions are the truth, so a final order waits for its fills. What is still missing after
    ``missing_fills_ns`` can't be had any more, and the order's own totals are taken.
    """
    if live.order is None or live.state not in (SignalState.APPROVED, SignalState.EXECUTING):
        return
    if live.order.flow is not None:
        _settle_flow(turn, live, live.order.client_id)
        return
    order = turn.ledger.orders.get(live.order.client_id)
    sent = order is not None and order.status is not OrderStatus.PENDING
    signal, client_id = live.signal, live.order.client_id
    if live.state is SignalState.APPROVED and (sent or live.filled > 0):
        turn.advance(live, Executing(signal.id, signal.strategy, signal.symbol, client_id))
    if order is None or not order.status.final:
        return
    missing = live.filled < order.filled
    if missing and turn.ctx.now - live.final_ns < turn.settings.missing_fills_ns:
        return
    if missing:
        turn.ctx.count("bus.fills_missing")
        turn.advance(
            live, Executed(signal.id, signal.strategy, signal.symbol, client_id, order.filled, order.average_price)
        )
    elif live.filled > 0:
        average = live.notional / live.filled
        turn.advance(live, Executed(signal.id, signal.strategy, signal.symbol, client_id, live.filled, average))
    else:
        turn.advance(live, _unfilled(turn, live, order))


def _settle_flow(turn: Turn, live: Live, client_id: str) -> None:
    """End the signal of a flow whose entry has ended, once its fills are in."""
    ended, signal = live.ended, live.signal
    if ended is None:
        return
    missing = live.filled < ended.filled
    if missing and turn.ctx.now - live.final_ns < turn.settings.missing_fills_ns:
        return
    filled, average = max(live.filled, ended.filled), ended.average_price
    if missing:
        turn.ctx.count("bus.fills_missing")
    elif live.filled > 0:
        average = live.notional / live.filled
    if filled <= 0:
        turn.advance(live, _ended_unfilled(turn, live, ended))
        return
    if live.state is SignalState.APPROVED:
        turn.advance(live, Executing(signal.id, signal.strategy, signal.symbol, client_id))
    turn.advance(live, Executed(signal.id, signal.strategy, signal.symbol, client_id, filled, average))


def _ended_unfilled(turn: Turn, live: Live, ended: FlowEnded) -> Blocked | Expired:
    signal = live.signal
    if not ended.expired:
        return Blocked(signal.id, signal.strategy, signal.symbol, ended.gate, ended.code, ended.detail)
    reason = f"{ended.code}: {ended.detail}" if ended.detail else ended.code
    return Expired(signal.id, signal.strategy, signal.symbol, reason, turn.ctx.now - signal.created_ns)


def _unfilled(turn: Turn, live: Live, order: Order) -> Blocked | Expired:
    signal = live.signal
    if order.status is OrderStatus.REJECTED:
        detail = order.reason or f"no reason given for {order.client_id}"
        return Blocked(signal.id, signal.strategy, signal.symbol, "venue", "VENUE_REJECTED", detail)
    reason = f"ORDER_UNFILLED: status={order.status.value} reason={order.reason or 'none'}"
    return Expired(signal.id, signal.strategy, signal.symbol, reason, turn.ctx.now - signal.created_ns)


def _unsent_event(turn: Turn, message: Unsent, strategy: str, symbol: str) -> Blocked | Expired:
    if not message.expired:
        return Blocked(message.signal_id, strategy, symbol, message.gate, message.code, message.detail)
    live = turn.ledger.live.get(message.signal_id)
    age = turn.ctx.now - live.signal.created_ns if live else 0
    reason = f"{message.code}: {message.detail}" if message.detail else message.code
    return Expired(message.signal_id, strategy, symbol, reason, age)
