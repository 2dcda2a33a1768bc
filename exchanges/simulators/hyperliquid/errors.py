"""How Hyperliquid says no: in texts, of a whole action or of one order in it."""

from __future__ import annotations

from exchanges.matching.rejection import OrderRejectedError, Reject

MISSING = "Order was never placed, already canceled, or filled."
IOC_UNMATCHED = "Order could not immediately match against any resting orders."
POST_ONLY = "Post only order would have immediately matched, bbo was {bbo}."

_ENGINE: dict[Reject, str] = {
    Reject.UNKNOWN_ACCOUNT: "User does not exist.",
    Reject.UNKNOWN_INSTRUMENT: "Asset is not listed.",
    Reject.NOT_TRADING: "Trading is halted.",
    Reject.UNKNOWN_ORDER: MISSING,
    Reject.ALREADY_CLOSED: MISSING,
    Reject.DUPLICATE_CLIENT_ID: "An order with this cloid exists already.",
    Reject.PARAMETER: "Order is malformed.",
    Reject.QUANTITY: "Order has invalid size.",
    Reject.PRICE: "Price must be divisible by tick size.",
    Reject.NOTIONAL_MIN: "Order must have minimum value of $10.",
    Reject.INSUFFICIENT_MARGIN: "Insufficient margin to place order.",
    Reject.INSUFFICIENT_POSITION: "Insufficient balance.",
    Reject.REDUCE_ONLY: "Reduce only order would increase position.",
    Reject.TOO_MANY_ORDERS: "Too many open orders.",
    Reject.TRIGGER: "Invalid TP/SL price.",
    Reject.UNCHANGED: "Order is unchanged.",
}


class ActionError(Exception):
    """An action that is refused as a whole: ``{"status": "err", "response": TEXT}``."""


class UnreadableError(Exception):
    """A body that can't be read: 422 and plain text."""


def text_of(error: OrderRejectedError, asset: object) -> str:
    """What the venue says of what the engine refused; every code of the engine has a text."""
    return f"{_ENGINE[error.code]} asset={asset}"
