"""The only place where an ``ApprovedOrder`` is made."""

from __future__ import annotations

from actors.messages.signals import ApprovedOrder
from actors.risk.settings import RiskSettings
from actors.risk.sizing import Plan
from exchanges.model.order import OrderType, TimeInForce
from strategies.signal import Signal, client_order_id


def approve(signal: Signal, plan: Plan, now: int, settings: RiskSettings) -> ApprovedOrder:
    """The order of a signal that passed every gate; ``now`` in ns."""
    market = plan.type is OrderType.MARKET
    return ApprovedOrder(
        signal_id=signal.id,
        client_id=client_order_id(signal.id),
        strategy=signal.strategy,
        symbol=signal.symbol,
        side=signal.side,
        type=plan.type,
        quantity=plan.quantity,
        price=None if market else plan.price,
        time_in_force=TimeInForce.IOC,
        reduce_only=plan.reduce_only,
        reference_price=plan.reference,
        approved_ns=now,
        expires_ns=min(now + settings.approval_ttl_ns, signal.created_ns + signal.ttl_ns),
        tick_recv_ns=signal.cause.recv_ns,
        signal_ns=signal.created_ns,
    )
