"""What is asked for through the API: signals by hand, and taking signals back."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchanges.model.flow import Flow, fault
from exchanges.model.order import Side
from strategies.signal import Cause, Signal, signal_id

MANUAL = "manual"
"""The strategy such signals are booked under unless another is named."""
_LONGEST_TTL_S = 3_600.0


class OrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /execute`` takes. ``id`` is the sender's own: the same one is the same signal, however often sent.

    Decimals may be text. ``flow`` has a ``kind`` (``twap``, ``bracket``, ...) and its fields.
    """

    id: str
    symbol: str
    side: Side
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    reduce_only: bool = False
    flow: Flow | None = None
    strategy: str = MANUAL
    reason: str = ""
    conviction: float = 1.0
    ttl_s: float = 10.0

    @property
    def signal(self) -> str:
        """The id of the signal it makes."""
        return signal_id(self.strategy, self.symbol, f"request/{self.id}", 0)

    def fault(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if not self.id or not self.strategy:
            return f"expected an id and a strategy, found {self.id!r} and {self.strategy!r}"
        for name, amount in (("quantity", self.quantity), ("limit_price", self.limit_price)):
            if amount is not None and not (amount.is_finite() and amount > 0):
                return f"expected {name} above 0, found {amount}; the side says the direction"
        if not 0 <= self.conviction <= 1 or not 0 < self.ttl_s <= _LONGEST_TTL_S:
            return (
                f"expected a conviction from 0 to 1 and ttl_s up to {_LONGEST_TTL_S:g}, "
                f"found {self.conviction} and {self.ttl_s}"
            )
        if self.flow is None:
            return ""
        return fault(self.flow, self.symbol, self.side, reduce_only=self.reduce_only, limit_price=self.limit_price)

    def made(self, price: float, now: int) -> Signal:
        """The signal at the market's last ``price``; ``now`` in ns."""
        return Signal(
            id=self.signal,
            strategy=self.strategy,
            symbol=self.symbol,
            side=self.side,
            conviction=self.conviction,
            created_ns=now,
            ttl_ns=int(self.ttl_s * 1e9),
            cause=Cause(f"request/{self.id}", "Request", now, now, price),
            reason=self.reason or "asked for through the API",
            quantity=self.quantity,
            limit_price=self.limit_price,
            reduce_only=self.reduce_only,
            flow=self.flow,
        )


class WithdrawRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /withdraw`` takes."""

    signal: str
    symbol: str
    reason: str = ""
