"""Kalshi's error answers in their three shapes, and which of the engine's refusals they stand for.

The venue publishes no list of its codes: those here are the ones seen in recorded answers, or
made in their spirit. The HTTP status is what clients can rely on.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from exchanges.matching.rejection import OrderRejectedError, Reject


class Shape(enum.Enum):
    """How an error's body looks."""

    NESTED = enum.auto()
    """``{"error": {"code", "message", "details"}}``: keys, permissions and paths."""
    FLAT = enum.auto()
    """``{"code", "message", "details"}``: what an operation refuses."""
    BARE = enum.auto()
    """``{"error": "text"}``: the limiter."""


_SHAPES = {401: Shape.NESTED, 403: Shape.NESTED, 404: Shape.NESTED, 410: Shape.NESTED, 429: Shape.BARE}
TOO_MANY = "too many requests"


class ApiError(Exception):
    """An answer with an HTTP ``status`` of 400 or more; the status decides the shape."""

    def __init__(self, status: int, code: str, message: str = "", details: str = "") -> None:
        super().__init__(f"{status} {code}: {message} {details}".strip())
        self.status = status
        self.code = code
        self.message = message or code.replace("_", " ")
        self.details = details

    def body(self) -> dict[str, Any]:
        shape = _SHAPES.get(self.status, Shape.FLAT)
        if shape is Shape.BARE:
            return {"error": self.message}
        told = {"code": self.code, "message": self.message} | ({"details": self.details} if self.details else {})
        return {"error": told} if shape is Shape.NESTED else told


class _Answer(NamedTuple):
    status: int
    code: str


_ENGINE: dict[str, _Answer] = {
    Reject.UNKNOWN_ACCOUNT: _Answer(401, "authentication_error"),
    Reject.UNKNOWN_INSTRUMENT: _Answer(404, "market_not_found"),
    Reject.NOT_TRADING: _Answer(400, "market_not_active"),
    Reject.UNKNOWN_ORDER: _Answer(404, "not_found"),
    Reject.ALREADY_CLOSED: _Answer(404, "not_found"),
    Reject.DUPLICATE_CLIENT_ID: _Answer(409, "order_already_exists"),
    Reject.PARAMETER: _Answer(400, "invalid_parameters"),
    Reject.QUANTITY: _Answer(400, "invalid_count"),
    Reject.PRICE: _Answer(400, "invalid_price"),
    Reject.INSUFFICIENT_MARGIN: _Answer(400, "insufficient_balance"),
    Reject.REDUCE_ONLY: _Answer(400, "reduce_only_without_position"),
    Reject.TOO_MANY_ORDERS: _Answer(400, "too_many_open_orders"),
    Reject.UNCHANGED: _Answer(400, "order_unchanged"),
}
_OTHER = _Answer(400, "invalid_order")


def translated(error: OrderRejectedError) -> ApiError:
    """The venue's answer to what the engine refused."""
    answer = _ENGINE.get(error.code, _OTHER)
    return ApiError(answer.status, answer.code, details=str(error))


def invalid(text: str) -> ApiError:
    """400 for a request that can't be read; ``text`` says what was expected and what was found."""
    return ApiError(400, "invalid_parameters", details=text)


def missing(what: str, which: object) -> ApiError:
    """404 for something that isn't here."""
    return ApiError(404, "not_found" if what != "market" else "market_not_found", details=f"no {what} {which}")


def limited() -> ApiError:
    """429; the venue never says how long to wait."""
    return ApiError(429, "too_many_requests", TOO_MANY)
