"""The account's messages to ours and back: orders, fills, positions, cash and settlements."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from exchanges.kalshi import amounts
from exchanges.kalshi.amounts import ONE, ZERO, Fields, WireError
from exchanges.kalshi.direction import book_side, to_yes
from exchanges.kalshi.market import direction, full, native
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.venue import PlaceOrder, VenuePosition

CURRENCY = "USD"
SETTLEMENT = "settlement-"
_CENTS = Decimal(100)
_STATUS = {"resting": OrderStatus.OPEN, "canceled": OrderStatus.CANCELLED, "executed": OrderStatus.FILLED}
_FORCES = {
    TimeInForce.GTC: "good_till_canceled",
    TimeInForce.POST_ONLY: "good_till_canceled",
    TimeInForce.IOC: "immediate_or_cancel",
    TimeInForce.FOK: "fill_or_kill",
}

FeeOf = Callable[[str, str, Side, Decimal, Decimal, Liquidity], Decimal]
"""Order id, ticker, side, price, count and liquidity to the fee, where the venue doesn't say it."""


def known_status(word: str) -> bool:
    """Whether an order's status is one of ours."""
    return word in _STATUS


# -- orders ----------------------------------------------------------------------------------


def order(fields: Fields) -> Order:
    """One order, pushed or fetched. A status we don't know is taken for a working one: it ends nothing.

    Raises:
        WireError: ids, direction, price or counts make no sense.
    """
    word = amounts.text(fields, "status")
    filled = amounts.not_negative(amounts.count(fields, "fill_count"), "fill_count_fp")
    remaining = amounts.not_negative(amounts.count(fields, "remaining_count"), "remaining_count_fp")
    initial = amounts.not_negative(amounts.count(fields, "initial_count"), "initial_count_fp")
    side, price = _side(fields), _limit(fields)
    status = _STATUS.get(word, OrderStatus.OPEN)
    if status is OrderStatus.FILLED:
        quantity = filled or initial
    elif status is OrderStatus.OPEN:
        # An amended order's first count may still be told; what counts is what can be filled in all.
        quantity = filled + remaining
        status = OrderStatus.PARTIALLY_FILLED if filled else status
    else:
        quantity = initial or filled + remaining
    return Order(
        client_id=amounts.optional_text(fields, "client_order_id"),
        symbol=full(amounts.text(fields, "ticker", "market_ticker")),
        side=side,
        type=OrderType.LIMIT,
        quantity=amounts.positive(quantity, "the order's count"),
        price=price,
        status=status,
        venue_id=amounts.text(fields, "order_id"),
        filled=filled,
        average_price=_average(fields, side, filled),
        reason=_reason(word, fields),
        updated_ns=_updated(fields),
    )


def _reason(word: str, fields: Fields) -> str:
    if not known_status(word):
        return f"the venue calls its status {word!r}, which is taken for working"
    return amounts.optional_text(fields, "cancel_reason")


def _updated(fields: Fields) -> int:
    return amounts.instant(fields, "last_updated_ts_ms", "last_update_time", "ts_ms", "created_ts_ms", "created_time")


def _side(fields: Fields) -> Side:
    """The YES side, by today's fields or by the older pair of action and leg."""
    word = fields.get("book_side") or fields.get("outcome_side")
    if word is not None:
        found: Side = direction(str(word))
        return found
    leg, action = fields.get("side"), fields.get("action")
    if action is None and isinstance(leg, str):
        # The stream's older orders name the leg alone: they are buys of it.
        action = "buy"
    try:
        return to_yes(str(action), str(leg), ONE).side
    except ValueError as error:
        raise WireError(f"expected book_side, or action and side: {error}") from error


def _limit(fields: Fields) -> Decimal | None:
    """The order's YES price; ``None`` for one without (an old market order)."""
    price = amounts.dollars(fields, "yes_price")
    if price is None or price in (ZERO, ONE):
        return None
    return amounts.traded_price(price, "yes_price_dollars")


def _average(fields: Fields, side: Side, filled: Decimal) -> Decimal:
    """The average YES price of what was filled, 0 where the venue's cost does not give it.

    The cost of a sold YES is told in prices of the leg that was paid for, NO.
    """
    costs = [amounts.dollars(fields, f"{role}_fill_cost") or ZERO for role in ("taker", "maker")]
    if not filled or not any(costs):
        return ZERO
    paid = sum(costs, ZERO) / filled
    average = paid if side is Side.BUY else ONE - paid
    return average if 0 < average < 1 else ZERO


# -- fills and settlements -------------------------------------------------------------------


def fill(fields: Fields, client_id: str, fee_of: FeeOf) -> Fill:
    """One execution. Its id is the trade's, which stream and REST both give.

    Raises:
        WireError: ids, direction, price or count make no sense.
    """
    ticker = amounts.text(fields, "market_ticker", "ticker")
    side = _side(fields)
    price = amounts.traded_price(amounts.dollars(fields, "yes_price"), "yes_price_dollars")
    quantity = amounts.positive(amounts.count(fields, "count"), "count_fp")
    taker = fields.get("is_taker")
    if not isinstance(taker, bool):
        raise WireError(f"expected true or false in is_taker, found {taker!r}")
    liquidity = Liquidity.TAKER if taker else Liquidity.MAKER
    venue_id = amounts.text(fields, "order_id")
    told = fields.get("fee_cost")
    if told in (None, ""):
        fee = fee_of(venue_id, ticker, side, price, quantity, liquidity)
    else:
        fee = amounts.decimal_of(told, "fee_cost")
    return Fill(
        execution_id=amounts.text(fields, "trade_id", "fill_id"),
        client_id=client_id,
        venue_id=venue_id,
        symbol=full(ticker),
        side=side,
        price=price,
        quantity=quantity,
        fee=fee,
        fee_currency=CURRENCY,
        liquidity=liquidity,
        ts_ns=amounts.instant(fields, "ts_ms", "created_time", "ts"),
    )


def settlement(fields: Fields) -> Fill | None:
    """The payment of a market as the fill that closes the position; ``None`` if nothing was held.

    YES pays $1 where the result is yes, $0 where it is no, a part of it where it is a scalar; a
    void market gives back what was paid. Trading fees, which the row repeats, are the fills'.

    Raises:
        WireError: the result is unknown, or its numbers make no sense.
    """
    ticker = amounts.text(fields, "ticker")
    yes = amounts.not_negative(amounts.count(fields, "yes_count"), "yes_count_fp")
    no = amounts.not_negative(amounts.count(fields, "no_count"), "no_count_fp")
    held = yes - no
    price = _paid(fields, yes, no)
    if not held:
        return None
    return Fill(
        execution_id=f"{SETTLEMENT}{ticker}",
        client_id="",
        venue_id="",
        symbol=full(ticker),
        side=Side.SELL if held > 0 else Side.BUY,
        price=price,
        quantity=abs(held),
        fee=ZERO,
        fee_currency=CURRENCY,
        liquidity=Liquidity.TAKER,
        ts_ns=amounts.instant(fields, "settled_time", "settled_ts"),
    )


def _paid(fields: Fields, yes: Decimal, no: Decimal) -> Decimal:
    """What one YES contract was worth at settlement."""
    result = amounts.text(fields, "market_result", "result")
    if result in ("yes", "no"):
        return ONE if result == "yes" else ZERO
    if result == "scalar":
        value = amounts.decimal_of(fields.get("value"), "value") / _CENTS
    elif result == "void":
        leg, held = ("yes", yes) if yes >= no else ("no", no)
        cost = amounts.dollars(fields, f"{leg}_total_cost")
        if cost is None or not held:
            raise WireError(f"expected {leg}_total_cost_dollars of a void market, found {cost}")
        value = cost / held if leg == "yes" else ONE - cost / held
    else:
        raise WireError(f"expected a result of yes, no, scalar or void, found {result!r}")
    if not 0 <= value <= 1:
        raise WireError(f"expected a settlement value from 0 to 1 dollar, found {value}")
    return value


# -- positions and cash ----------------------------------------------------------------------


def position(fields: Fields) -> VenuePosition:
    """One position, pushed or fetched; negative is NO. The average price is that of YES, 0 if it isn't told."""
    ticker = amounts.text(fields, "ticker", "market_ticker")
    quantity = amounts.count(fields, "position")
    if quantity is None:
        raise WireError("expected position_fp of a position, found none")
    cost = amounts.dollars(fields, "market_exposure", "position_cost")
    average = ZERO
    if quantity and cost is not None:
        paid = abs(cost) / abs(quantity)
        average = paid if quantity > 0 else ONE - paid
    return VenuePosition(full(ticker), quantity, average if 0 < average < 1 else ZERO)


def balance(fields: Fields) -> Balance:
    """The account's dollars: cash, without what positions have cost or may have to pay."""
    cash = amounts.dollars(fields, "balance")
    if cash is None:
        raise WireError("expected balance_dollars, found none")
    return Balance(CURRENCY, cash, cash)


# -- requests --------------------------------------------------------------------------------


def place_request(command: PlaceOrder, price: Decimal, force: TimeInForce, self_trade: str) -> dict[str, Any]:
    """The body of ``POST /portfolio/events/orders``.

    Raises:
        WireError: price or quantity can't be written exactly.
    """
    body: dict[str, Any] = {
        "ticker": native(command.symbol),
        "client_order_id": command.client_id,
        "side": book_side(command.side),
        "count": plain_count(command.quantity),
        "price": plain_price(price),
        "time_in_force": _FORCES[force],
        "self_trade_prevention_type": self_trade,
    }
    if force is TimeInForce.POST_ONLY:
        body["post_only"] = True
    if command.reduce_only:
        body["reduce_only"] = True
    return body


def plain_price(price: Decimal) -> str:
    """A price with four places; raises ``WireError`` if that isn't all of it, or it isn't tradable."""
    amounts.traded_price(price, "the order's price")
    return _plain(price, Decimal("0.0001"), "price")


def plain_count(quantity: Decimal) -> str:
    """A count with two places; raises ``WireError`` if that isn't all of it."""
    amounts.positive(quantity, "the order's count")
    return _plain(quantity, Decimal("0.01"), "quantity")


def _plain(value: Decimal, step: Decimal, name: str) -> str:
    if value % step:
        raise WireError(f"expected a {name} in steps of {step}, found {value}")
    return format(value.quantize(step), "f")
