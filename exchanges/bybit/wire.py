"""Bybit's messages to ours and back: pure functions, typed structs for what comes often."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from exchanges.bybit.settings import INTERVALS
from exchanges.bybit.symbols import CATEGORIES, LINEAR, SPOT, VENUE, coins, full
from exchanges.model.instrument import ContractKind, Instrument, lowest_maintenance
from exchanges.model.market import Bar, Quote, Ticker, Trade
from exchanges.model.order import LIQUIDATION_PREFIX, Fill, Liquidity, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.trigger import Direction, Source, StopOrders, Trigger
from exchanges.model.venue import PaymentReport, VenuePosition

MS = 1_000_000
_ABSURD = 1e18
_BEYOND = Decimal(10) ** 18
"""No amount of anything is that large: what is, was spoilt on its way."""

_ZERO, _ONE = Decimal(0), Decimal(1)


class WireError(ValueError):
    """A message that isn't what the venue's documentation says."""


class TradeRow(msgspec.Struct, gc=False):
    T: int
    s: str
    S: str
    v: str
    p: str
    i: str = ""


class TradeMessage(msgspec.Struct, gc=False):
    topic: str
    data: list[TradeRow]


class KlineRow(msgspec.Struct, gc=False):
    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    confirm: bool


class KlineMessage(msgspec.Struct, gc=False):
    topic: str
    data: list[KlineRow]


class BookRow(msgspec.Struct, gc=False):
    s: str
    b: list[tuple[str, str]] = []
    a: list[tuple[str, str]] = []
    u: int = 0


class BookMessage(msgspec.Struct, gc=False):
    topic: str
    type: str
    ts: int
    data: BookRow
    cts: int = 0


class TickerRow(msgspec.Struct, gc=False):
    symbol: str
    bid1Price: str = ""
    bid1Size: str = ""
    ask1Price: str = ""
    ask1Size: str = ""
    markPrice: str = ""
    indexPrice: str = ""
    fundingRate: str = ""
    nextFundingTime: str = ""


class TickerMessage(msgspec.Struct, gc=False):
    topic: str
    ts: int
    data: TickerRow


class Envelope(msgspec.Struct):
    """What any message may start with: data has a ``topic``, answers have an ``op``."""

    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


decode_trades = msgspec.json.Decoder(TradeMessage).decode
decode_klines = msgspec.json.Decoder(KlineMessage).decode
decode_book = msgspec.json.Decoder(BookMessage).decode
decode_ticker = msgspec.json.Decoder(TickerMessage).decode
decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_rows = msgspec.json.Decoder(list[dict[str, Any]]).decode

_SIDES = {"Buy": "buy", "Sell": "sell"}
_STATUS = {
    "New": OrderStatus.OPEN,
    "Created": OrderStatus.OPEN,
    "Untriggered": OrderStatus.OPEN,
    "Triggered": OrderStatus.OPEN,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,  # not certain: a conditional order that ended before it was met
    "Rejected": OrderStatus.REJECTED,
    "Expired": OrderStatus.EXPIRED,
}
FORCES = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
TRIGGER_BY = {"LastPrice": Source.LAST, "MarkPrice": Source.MARK}
_NOT_TRIGGERED = ("Untriggered", "Deactivated", "Rejected")
STOPS = StopOrders(sources=(Source.LAST, Source.MARK))
"""What perpetuals have: an order with a trigger price waits, ties up no margin and may be reduce-only."""
_SILENT_REASONS = ("", "EC_NoError", "UNKNOWN")
EXECUTIONS = ("Trade", "AdlTrade", "BustTrade", "Settle", "BlockTrade", "MovePosition", "Delivery")
"""The execution types that change a position; ``Funding`` moves cash alone."""
FORCED = ("AdlTrade", "BustTrade")


def price(text: str) -> float:
    """A price; raises ``WireError`` unless it is a finite number above 0."""
    value = float(text)
    if not 0.0 < value < _ABSURD:
        raise WireError(f"expected a price above 0, found {text!r}")
    return value


def size(text: str) -> float:
    """A size; raises ``WireError`` unless it is a finite number, 0 or more."""
    value = float(text)
    if not 0.0 <= value < _ABSURD:
        raise WireError(f"expected a size of 0 or more, found {text!r}")
    return value


# -- market data -----------------------------------------------------------------------------


def trades(text: str | bytes, recv_ns: int, category: str = LINEAR) -> list[Trade]:
    """The trades of one ``publicTrade`` message; raises ``msgspec.DecodeError``, ``ValueError`` or ``KeyError``."""
    return [
        Trade(full(row.s, category), 0, 0, row.T * MS, recv_ns, price(row.p), size(row.v), _SIDES[row.S], row.i)
        for row in decode_trades(text).data
    ]


def bars(text: str | bytes, recv_ns: int, category: str = LINEAR) -> list[Bar]:
    """The candles of one ``kline`` message."""
    message = decode_klines(text)
    _, interval, name = message.topic.split(".", 2)
    length = interval_ns(interval)
    return [
        Bar(
            full(name, category),
            0,
            0,
            row.start * MS,
            recv_ns,
            price(row.open),
            price(row.high),
            price(row.low),
            price(row.close),
            size(row.volume),
            length,
            row.confirm,
        )
        for row in message.data
    ]


_LENGTHS = {name: seconds * 1_000_000_000 for seconds, name in INTERVALS.items()}


def interval_ns(name: str) -> int:
    """The length of a candle by the venue's name of it (``1``, ``60``, ``D``, ``W``)."""
    if name not in _LENGTHS:
        raise WireError(f"expected a candle length among {', '.join(_LENGTHS)}, found {name!r}")
    return _LENGTHS[name]


def ticker_quote(fields: TickerRow, ts_ms: int, recv_ns: int, category: str = LINEAR) -> Quote | None:
    """The best bid and ask of a ticker, ``None`` while one is missing."""
    if not fields.bid1Price or not fields.ask1Price:
        return None
    return Quote(
        full(fields.symbol, category),
        0,
        0,
        ts_ms * MS,
        recv_ns,
        price(fields.bid1Price),
        size(fields.bid1Size or "0"),
        price(fields.ask1Price),
        size(fields.ask1Size or "0"),
    )


def ticker(fields: TickerRow, ts_ms: int, recv_ns: int, category: str = LINEAR) -> Ticker | None:
    """Mark price and funding of a ticker, ``None`` where there is no mark price (spot)."""
    if not fields.markPrice:
        return None
    return Ticker(
        full(fields.symbol, category),
        0,
        0,
        ts_ms * MS,
        recv_ns,
        price(fields.markPrice),
        size(fields.indexPrice or "0"),
        float(_decimal(fields.fundingRate or "0", "fundingRate")),
        int(fields.nextFundingTime or 0) * MS,
    )


def kline_rows(rows: list[list[str]], symbol: str, length_ns: int, now_ns: int) -> list[Bar]:
    """REST candles (newest first) as closed bars, oldest first."""
    made = []
    for row in rows:
        start_ns = int(row[0]) * MS
        if start_ns + length_ns > now_ns:
            continue
        opened, high, low, closed = (price(value) for value in row[1:5])
        volume = size(row[5])
        made.append(Bar(symbol, 0, 0, start_ns, now_ns, opened, high, low, closed, volume, length_ns, True))
    return sorted(made, key=lambda bar: bar.ts_ns)


def recent_trades(rows: list[dict[str, Any]], recv_ns: int, category: str = LINEAR) -> list[Trade]:
    """REST trades (newest first), oldest first."""
    return [
        Trade(
            full(row["symbol"], category),
            0,
            0,
            int(row["time"]) * MS,
            recv_ns,
            price(row["price"]),
            size(row["size"]),
            _SIDES[row["side"]],
            str(row.get("execId", "")),
        )
        for row in reversed(rows)
    ]


# -- the account -----------------------------------------------------------------------------


def amount(fields: dict[str, Any], *names: str) -> Decimal:
    """The first of ``names`` that is there and not empty, exactly; 0 if none is."""
    for name in names:
        value = fields.get(name)
        if value not in (None, ""):
            return _decimal(str(value), name)
    return _ZERO


def _decimal(value: str, name: str) -> Decimal:
    try:
        number = Decimal(value)
        believable = abs(number) < _BEYOND
    except InvalidOperation as error:
        raise WireError(f"expected a number in {name}, found {value!r:.60}") from error
    if not believable:
        raise WireError(f"expected a number below {_BEYOND:g} in {name}, found {value!r:.60}")
    return number


def _positive(fields: dict[str, Any], name: str) -> Decimal:
    """A number that must be there and above 0."""
    value = amount(fields, name)
    if value <= 0:
        raise WireError(f"expected {name} above 0, found {fields.get(name)!r}")
    return value


def _choice(table: dict[str, Any], fields: dict[str, Any], name: str) -> Any:
    value = fields.get(name)
    if value not in table:
        raise WireError(f"expected {name} to be one of {', '.join(table)}, found {value!r}")
    return table[str(value)]


def category_of(fields: dict[str, Any], otherwise: str = LINEAR) -> str:
    """The category a row names itself (pushed) or was asked for (fetched); raises ``WireError`` for one unknown."""
    found = str(fields.get("category") or otherwise)
    if found not in CATEGORIES:
        raise WireError(f"expected a category among {', '.join(CATEGORIES)}, found {found!r}")
    return found


def order(fields: dict[str, Any], category: str = LINEAR) -> Order:
    """One order, pushed or fetched; ``category`` is that of the question."""
    kind = OrderType.MARKET if fields.get("orderType") == "Market" else OrderType.LIMIT
    reasons = (str(fields.get("rejectReason") or ""), str(fields.get("cancelType") or ""))
    reason = next((text for text in reasons if text not in _SILENT_REASONS), "")
    trigger = _trigger(fields)
    return Order(
        client_id=str(fields.get("orderLinkId") or ""),
        symbol=full(str(fields["symbol"]), category_of(fields, category)),
        side=Side(_choice(_SIDES, fields, "side")),
        type=kind,
        quantity=amount(fields, "qty"),
        price=amount(fields, "price") if kind is OrderType.LIMIT else None,
        time_in_force=FORCES.get(str(fields.get("timeInForce")), TimeInForce.GTC),
        reduce_only=bool(fields.get("reduceOnly", False)),
        status=_choice(_STATUS, fields, "orderStatus"),
        venue_id=str(fields.get("orderId") or ""),
        filled=amount(fields, "cumExecQty"),
        average_price=amount(fields, "avgPrice"),
        reason=reason,
        updated_ns=int(fields.get("updatedTime") or 0) * MS,
        trigger=trigger,
        triggered=trigger is not None and fields.get("orderStatus") not in _NOT_TRIGGERED,
    )


def _trigger(fields: dict[str, Any]) -> Trigger | None:
    """What a conditional order waits for; ``None`` for every other."""
    price = amount(fields, "triggerPrice")
    if price <= 0:
        return None
    above = fields.get("triggerDirection") in (1, "1")
    source = TRIGGER_BY.get(str(fields.get("triggerBy")), Source.LAST)
    return Trigger(Direction.ABOVE if above else Direction.BELOW, price, source)


def fill(fields: dict[str, Any], category: str = LINEAR) -> Fill | None:
    """One execution; ``None`` for those that change no position (``payment`` reads funding)."""
    if fields.get("execType", "Trade") not in EXECUTIONS:
        return None
    name, found, side = str(fields["symbol"]), category_of(fields, category), Side(_choice(_SIDES, fields, "side"))
    currency = str(fields.get("feeCurrency") or _fee_currency(name, found, side))
    return Fill(
        execution_id=f"{LIQUIDATION_PREFIX if fields.get('execType') in FORCED else ''}{fields['execId']}",
        client_id=str(fields.get("orderLinkId") or ""),
        venue_id=str(fields.get("orderId") or ""),
        symbol=full(name, found),
        side=side,
        price=_positive(fields, "execPrice"),
        quantity=_positive(fields, "execQty"),
        fee=amount(fields, "execFee"),
        fee_currency=currency,
        liquidity=Liquidity.MAKER if fields.get("isMaker") else Liquidity.TAKER,
        ts_ns=int(fields["execTime"]) * MS,
        fee_in_base=found == SPOT and currency == _base(name, currency),
    )


def _base(name: str, fee_currency: str) -> str:
    """The base coin of a pair: by the quote coins we know, else the fee's own where the name begins with it."""
    return coins(name)[0] or (fee_currency if name.startswith(fee_currency) else "")


def _fee_currency(name: str, category: str, side: Side) -> str:
    """The venue takes a spot fee from what is bought, and every other from the settlement currency."""
    base, quote = coins(name)
    return base if category == SPOT and side is Side.BUY else quote or "USDT"


def payment(fields: dict[str, Any], category: str = LINEAR) -> PaymentReport | None:
    """A funding payment out of the list of executions; ``None`` for everything else.

    The venue writes it as a fee: positive is paid, negative received.
    """
    if fields.get("execType") != "Funding":
        return None
    name, found = str(fields["symbol"]), category_of(fields, category)
    return PaymentReport(
        payment_id=str(fields["execId"]),
        kind="funding",
        symbol=full(name, found),
        amount=-amount(fields, "execFee"),
        currency=str(fields.get("feeCurrency") or coins(name)[1] or "USDT"),
        ts_ns=int(fields["execTime"]) * MS,
    )


def position(fields: dict[str, Any]) -> VenuePosition:
    """One position of a perpetual; the stream says ``entryPrice`` where REST says ``avgPrice``.

    Raises:
        WireError: also for the two halves of a hedged position, which have no place here.
    """
    if fields.get("positionIdx") not in (None, "", 0, "0"):
        raise WireError(
            f"expected a position of one-way mode, found positionIdx {fields['positionIdx']} of "
            f"{fields.get('symbol')}; switch the account to one-way mode"
        )
    size = amount(fields, "size")
    side = fields.get("side")
    if size and side not in _SIDES:
        raise WireError(f"expected side Buy or Sell of a position of {size}, found {side!r}")
    return VenuePosition(
        full(str(fields["symbol"])),
        -size if side == "Sell" else size,
        amount(fields, "avgPrice", "entryPrice"),
        amount(fields, "markPrice"),
    )


def balances(fields: dict[str, Any]) -> tuple[Balance, ...]:
    """The coins of a unified account; available is what neither positions nor orders hold."""
    made = []
    for coin in fields.get("coin", ()):
        total = amount(coin, "walletBalance")
        held = amount(coin, "totalPositionIM") + amount(coin, "totalOrderIM") + amount(coin, "locked")
        made.append(Balance(str(coin["coin"]), total, max(_ZERO, total - held)))
    return tuple(made)


def holdings(fields: dict[str, Any], symbols: Mapping[str, str]) -> tuple[VenuePosition, ...]:
    """What a unified account holds of the base coins of spot pairs (``symbols``: full name to base coin).

    A coin has no entry price; its worth now stands in for it.
    """
    coins_held = {str(coin["coin"]): coin for coin in fields.get("coin", ())}
    made = []
    for symbol, base in symbols.items():
        coin = coins_held.get(base, {})
        quantity = amount(coin, "walletBalance") - amount(coin, "spotBorrow")
        price = amount(coin, "usdValue") / quantity if quantity > 0 else _ZERO
        made.append(VenuePosition(symbol, quantity, price, price))
    return tuple(made)


def instrument(fields: dict[str, Any], maker_fee: Decimal, taker_fee: Decimal, category: str = LINEAR) -> Instrument:
    """One perpetual or spot pair."""
    lots, prices, spot = fields["lotSizeFilter"], fields["priceFilter"], category == SPOT
    leverage = _ONE if spot else amount(fields.get("leverageFilter") or {}, "maxLeverage") or _ONE
    largest = amount(lots, "maxMarketOrderQty" if spot else "maxMktOrderQty", "maxOrderQty")
    if not spot:
        largest = min(largest, amount(lots, "maxOrderQty"))
    return Instrument(
        symbol=full(str(fields["symbol"]), category),
        venue=VENUE,
        native=str(fields["symbol"]),
        kind=ContractKind.SPOT if spot else ContractKind.LINEAR_PERPETUAL,
        base=str(fields["baseCoin"]),
        quote=str(fields["quoteCoin"]),
        tick=_positive(prices, "tickSize"),
        lot=_positive(lots, "basePrecision" if spot else "qtyStep"),
        min_quantity=amount(lots, "minOrderQty"),
        max_quantity=largest,
        min_notional=amount(lots, "minOrderAmt" if spot else "minNotionalValue"),
        maker_fee=maker_fee,
        taker_fee=taker_fee,
        trading=fields.get("status") == "Trading",
        short=not spot,
        max_leverage=leverage,
        maintenance_rate=lowest_maintenance(leverage),
        funding_interval_ns=0 if spot else int(fields.get("fundingInterval") or 0) * 60_000 * MS,
        fee_in_base=spot,
        stops=None if spot else STOPS,
    )


def plain(value: Decimal) -> str:
    """A number without an exponent."""
    return format(value, "f")
