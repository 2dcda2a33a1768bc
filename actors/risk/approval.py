"""The only place where an ``ApprovedOrder`` is made: one order, or the frame of a flow's orders."""

from __future__ import annotations

from actors.messages.signals import ApprovedOrder
from actors.risk.settings import RiskSettings
from actors.risk.sizing import Plan
from exchanges.model.flow import Chase, Conditional, Iceberg, Rest, lifetime_ns, protects
from exchanges.model.order import OrderType, TimeInForce
from strategies.signal import Signal, client_order_id

_RESTING = (Chase, Rest, Iceberg)
"""What stands in the book, and so needs a price."""


def approve(signal: Signal, plan: Plan, now: int, settings: RiskSettings) -> ApprovedOrder:
    """The order of a signal that passed every gate; ``now`` in ns."""
    flow = signal.flow
    market = _at_market(signal, plan)
    return ApprovedOrder(
        signal_id=signal.id,
        client_id=client_order_id(signal.id),
        strategy=signal.strategy,
        symbol=signal.symbol,
        side=signal.side,
        type=OrderType.MARKET if market else OrderType.LIMIT,
        quantity=plan.quantity,
        price=None if market else plan.price,
        time_in_force=TimeInForce.GTC if isinstance(flow, _RESTING) else TimeInForce.IOC,
        reduce_only=plan.reduce_only,
        reference_price=plan.reference,
        approved_ns=now,
        expires_ns=min(now + settings.approval_ttl_ns, signal.created_ns + signal.ttl_ns),
        tick_recv_ns=signal.cause.recv_ns,
        signal_ns=signal.created_ns,
        flow=flow,
        ends_ns=now + lifetime_ns(flow) if flow is not None else 0,
        closes=plan.closes,
    )


def _at_market(signal: Signal, plan: Plan) -> bool:
    """Whether no price bounds it: a stop that closes has to get out."""
    flow = signal.flow
    if isinstance(flow, _RESTING):
        return False
    closes = plan.reduce_only and signal.limit_price is None
    return protects(flow) or (isinstance(flow, Conditional) and closes) or plan.type is OrderType.MARKET
