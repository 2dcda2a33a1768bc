"""Why the engine refuses a command."""

from __future__ import annotations

import enum

from runtime.errors import BigwheelError


class Reject(enum.StrEnum):
    """Venue-neutral codes; each protocol simulator translates them into its venue's own."""

    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    NOT_TRADING = "not_trading"
    """The instrument is known, but takes no orders now."""
    UNKNOWN_ORDER = "unknown_order"
    ALREADY_CLOSED = "already_closed"
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    PARAMETER = "parameter"
    QUANTITY = "quantity"
    PRICE = "price"
    NOTIONAL_MIN = "notional_min"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    """Cash or margin is short."""
    INSUFFICIENT_POSITION = "insufficient_position"
    """More is sold than is held, where that isn't allowed."""
    REDUCE_ONLY = "reduce_only"
    TOO_MANY_ORDERS = "too_many_orders"
    UNCHANGED = "unchanged"
    TRIGGER = "trigger"
    """A stop that is through the market already."""


class OrderRejectedError(BigwheelError):
    """A command the engine refused; nothing has changed. ``code`` says why in one word."""

    def __init__(self, code: Reject, text: str) -> None:
        super().__init__(f"{code.value.upper()}: {text}")
        self.code = code
