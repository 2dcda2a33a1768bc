"""Bybit's error codes, and which of the engine's refusals they stand for."""

from __future__ import annotations

from exchanges.matching.rejection import OrderRejectedError, Reject

PARAMETER = 10001
TIMESTAMP = 10002
API_KEY = 10003
SIGNATURE = 10004
PERMISSION = 10005
RATE_LIMIT = 10006
SERVER = 10016
DUPLICATE_REQUEST = 20006
ORDER_NOT_FOUND = 110001

MESSAGES = {
    RATE_LIMIT: "Too many visits. Exceeded the API Rate Limit.",
    SERVER: "Internal server error.",
    PERMISSION: "Permission denied, please check your API key permissions.",
}

_ENGINE: dict[Reject, tuple[int, str]] = {
    Reject.UNKNOWN_ACCOUNT: (API_KEY, "API key is invalid."),
    Reject.UNKNOWN_INSTRUMENT: (PARAMETER, "params error: symbol invalid"),
    Reject.NOT_TRADING: (110074, "This contract is not live"),
    Reject.INSUFFICIENT_POSITION: (170131, "Balance insufficient"),
    Reject.UNKNOWN_ORDER: (ORDER_NOT_FOUND, "order not exists or too late to cancel"),
    Reject.ALREADY_CLOSED: (ORDER_NOT_FOUND, "order not exists or too late to cancel"),
    Reject.DUPLICATE_CLIENT_ID: (110072, "OrderLinkedID is duplicate"),
    Reject.PARAMETER: (PARAMETER, "params error"),
    Reject.QUANTITY: (PARAMETER, "Qty invalid"),
    Reject.PRICE: (PARAMETER, "Price invalid"),
    Reject.NOTIONAL_MIN: (110094, "Order does not meet minimum order value 5USDT"),
    Reject.INSUFFICIENT_MARGIN: (110007, "ab not enough for new order"),
    Reject.REDUCE_ONLY: (110017, "current position is zero, cannot fix reduce-only order qty"),
    Reject.TOO_MANY_ORDERS: (110020, "You have reached the limit of 500 active orders"),
    Reject.TRIGGER: (PARAMETER, "trigger price invalid"),
    Reject.UNCHANGED: (PARAMETER, "The order remains unchanged as the parameters entered match the existing ones."),
}


class ApiError(Exception):
    """An answer with a ``retCode`` other than 0."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def translated(error: OrderRejectedError) -> ApiError:
    """The venue's answer to what the engine refused; every code of the engine has one."""
    code, message = _ENGINE[error.code]
    return ApiError(code, f"{message} ({error})")
