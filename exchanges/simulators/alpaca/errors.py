"""Alpaca's error answers, and which of the engine's refusals they stand for."""

from __future__ import annotations

from typing import Any

from exchanges.matching.rejection import OrderRejectedError, Reject

BAD_REQUEST = 40010000
BAD_BODY = 40010001
UNAUTHORIZED = 40110000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
UNPROCESSABLE = 42210000
RATE_LIMITED = 42910000
INTERNAL = 50010000

STATUS = {
    BAD_REQUEST: 400,
    BAD_BODY: 422,
    UNAUTHORIZED: 401,
    FORBIDDEN: 403,
    NOT_FOUND: 404,
    UNPROCESSABLE: 422,
    RATE_LIMITED: 429,
    INTERNAL: 500,
}

_ENGINE: dict[Reject, tuple[int, str]] = {
    Reject.UNKNOWN_ACCOUNT: (UNAUTHORIZED, "request is not authorized"),
    Reject.UNKNOWN_INSTRUMENT: (UNPROCESSABLE, "asset is not tradable"),
    Reject.NOT_TRADING: (UNPROCESSABLE, "asset is not tradable"),
    Reject.UNKNOWN_ORDER: (NOT_FOUND, "order not found"),
    Reject.ALREADY_CLOSED: (UNPROCESSABLE, "order is not open"),
    Reject.DUPLICATE_CLIENT_ID: (BAD_BODY, "client_order_id must be unique"),
    Reject.PARAMETER: (UNPROCESSABLE, "invalid parameter"),
    Reject.QUANTITY: (UNPROCESSABLE, "invalid qty"),
    Reject.PRICE: (UNPROCESSABLE, "invalid limit_price"),
    Reject.NOTIONAL_MIN: (FORBIDDEN, "cost basis must be >= minimal amount of order"),
    Reject.INSUFFICIENT_MARGIN: (FORBIDDEN, "insufficient buying power"),
    Reject.INSUFFICIENT_POSITION: (FORBIDDEN, "insufficient qty available for order"),
    Reject.REDUCE_ONLY: (FORBIDDEN, "insufficient qty available for order"),
    Reject.TOO_MANY_ORDERS: (FORBIDDEN, "too many open orders"),
    Reject.TRIGGER: (UNPROCESSABLE, "stop price is through the market"),
    Reject.UNCHANGED: (UNPROCESSABLE, "no change in order parameters"),
}


class ApiError(Exception):
    """An answer that refuses: HTTP ``status``, the venue's ``code`` and text, and what else the body holds."""

    def __init__(self, code: int, message: str, *, status: int = 0, **details: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or STATUS[code]
        self.details = details

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, **self.details}


def translated(error: OrderRejectedError, **details: Any) -> ApiError:
    """The venue's answer to what the engine refused."""
    code, message = _ENGINE.get(error.code, (UNPROCESSABLE, "order rejected"))
    return ApiError(code, f"{message} ({error})" if code == UNPROCESSABLE else message, **details)
