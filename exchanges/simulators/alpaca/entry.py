"""What an order request asks for, read and checked against the rules that need no account."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NamedTuple, TypeVar

from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.simulators.alpaca.errors import BAD_BODY, FORBIDDEN, UNPROCESSABLE, ApiError
from exchanges.simulators.alpaca.instruments import FRACTION, fractionable, is_crypto
from exchanges.simulators.alpaca.wire import Json

T = TypeVar("T")
MOST_CLIENT_ID = 128
LEAST_NOTIONAL = Decimal(1)
TIMES = {"day": TimeInForce.GTC, "gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
"""The engine's word for each; that a day order ends with the day is the desk's business."""
TYPES = {"market": OrderType.MARKET, "limit": OrderType.LIMIT}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
INTENTS = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
NOT_SIMULATED = {
    "type": ("stop", "stop_limit", "trailing_stop"),
    "time_in_force": ("opg", "cls"),
    "order_class": ("bracket", "oco", "oto", "mleg"),
}


class Entry(NamedTuple):
    """A new order. Exactly one of ``quantity`` and ``notional`` (US dollars) is given."""

    side: Side
    type: OrderType
    quantity: Decimal | None
    notional: Decimal | None
    limit: Decimal | None
    time_in_force: str
    extended: bool
    client_id: str
    intent: str

    @property
    def fractional(self) -> bool:
        return self.quantity is None or self.quantity % 1 != 0


def entry(params: Json, instrument: Instrument) -> Entry:
    """The order in ``params``.

    Raises:
        ApiError: 403 or 422, with what is wrong.
    """
    for name, values in NOT_SIMULATED.items():
        if params.get(name) in values:
            raise ApiError(UNPROCESSABLE, f"{name} {params[name]} is not simulated; use a simple market or limit order")
    found = Entry(
        side=_choice(params, "side", SIDES),
        type=_choice(params, "type", TYPES),
        quantity=number(params, "qty"),
        notional=number(params, "notional"),
        limit=number(params, "limit_price"),
        time_in_force=_named(params, "time_in_force", tuple(TIMES)),
        extended=_flag(params, "extended_hours"),
        client_id=client_id(params),
        intent=_named(params, "position_intent", INTENTS) if params.get("position_intent") else "",
    )
    _check_amount(found, instrument)
    _check_price(found, instrument)
    _check_time(found, instrument)
    return found


def _check_amount(found: Entry, instrument: Instrument) -> None:
    if found.quantity is None and found.notional is None:
        raise ApiError(UNPROCESSABLE, "qty or notional is required")
    if found.quantity is not None and found.notional is not None:
        raise ApiError(UNPROCESSABLE, "only one of qty or notional is accepted")
    if found.quantity is not None and found.quantity <= 0:
        raise ApiError(UNPROCESSABLE, "qty must be > 0")
    if found.quantity is not None and found.quantity % FRACTION != 0:
        raise ApiError(UNPROCESSABLE, f"qty must have at most 9 decimal places, found {found.quantity}")
    if found.notional is not None and found.notional % Decimal("0.01") != 0:
        raise ApiError(UNPROCESSABLE, "notional value must be limited to 2 decimal places")
    if found.notional is not None and found.notional < LEAST_NOTIONAL:
        raise ApiError(FORBIDDEN, f"cost basis must be >= minimal amount of order {LEAST_NOTIONAL}")
    if found.fractional and not fractionable(instrument):
        raise ApiError(FORBIDDEN, f'asset "{instrument.native}" is not fractionable')


def _check_price(found: Entry, instrument: Instrument) -> None:
    if found.type is OrderType.MARKET and found.limit is not None:
        raise ApiError(UNPROCESSABLE, "market orders require no stop or limit price")
    if found.type is OrderType.LIMIT and found.limit is None:
        raise ApiError(UNPROCESSABLE, "limit orders require a limit price")
    check_limit(found.limit, instrument)


def check_limit(limit: Decimal | None, instrument: Instrument) -> None:
    """Check that a limit price is on the instrument's steps.

    Raises:
        ApiError: 422, it isn't.
    """
    if limit is None:
        return
    if limit <= 0:
        raise ApiError(UNPROCESSABLE, "limit price must be > 0")
    if limit % instrument.tick_at(limit) != 0:
        text = f"invalid limit_price {limit}. sub-penny increment does not fulfill minimum pricing criteria"
        raise ApiError(UNPROCESSABLE, text)


def _check_time(found: Entry, instrument: Instrument) -> None:
    if is_crypto(instrument):
        if found.time_in_force not in ("gtc", "ioc"):
            raise ApiError(UNPROCESSABLE, "invalid crypto time_in_force")
        if found.extended:
            raise ApiError(UNPROCESSABLE, "extended hours orders are not allowed for crypto")
        return
    if found.extended and (found.type is OrderType.MARKET or found.time_in_force not in ("day", "gtc")):
        raise ApiError(UNPROCESSABLE, "extended hours order must be DAY or GTC limit orders")
    if found.fractional and found.time_in_force != "day":
        raise ApiError(UNPROCESSABLE, "fractional orders must be DAY orders")


def number(params: Json, name: str) -> Decimal | None:
    """A number given as one or as text; ``None`` where it isn't given.

    Raises:
        ApiError: 422, it is neither.
    """
    value = params.get(name)
    if value is None:
        return None
    try:
        found = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        raise ApiError(BAD_BODY, f"{name} must be a number, found {value!r}")
    return found


def client_id(params: Json) -> str:
    """The client's order id, empty where none is given."""
    value = params.get("client_order_id")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MOST_CLIENT_ID:
        raise ApiError(UNPROCESSABLE, f"client_order_id must be no more than {MOST_CLIENT_ID} characters")
    return value


def _choice(params: Json, name: str, choices: dict[str, T]) -> T:
    return choices[_named(params, name, tuple(choices))]


def _named(params: Json, name: str, values: tuple[str, ...]) -> str:
    value = params.get(name)
    if value is None:
        raise ApiError(BAD_BODY, f"{name} is required")
    if value not in values:
        raise ApiError(UNPROCESSABLE, f"invalid {name}: expected one of {', '.join(values)}, found {value!r}")
    return str(value)


def _flag(params: Json, name: str) -> bool:
    value = params.get(name)
    if value not in (None, True, False):
        raise ApiError(BAD_BODY, f"{name} must be true or false, found {value!r}")
    return bool(value)
