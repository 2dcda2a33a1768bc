"""Bybit's messages to ours and back: pure functions, typed structs for what comes often."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from exchanges.bybit.settings import VENUE
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.venue import PlaceOrder, VenuePosition

MS = 1_000_000
_ZERO = Decimal(0)


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
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
    "Expired": OrderStatus.EXPIRED,
}
_FORCES = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
_FORCE_NAMES = {force: name for name, force in _FORCES.items()}
_SILENT_REASONS = ("", "EC_NoError", "UNKNOWN")
EXECUTIONS = ("Trade", "AdlTrade", "BustTrade", "Settle", "BlockTrade", "MovePosition", "Delivery")
"""The execution types that change a position; ``Funding`` moves cash alone."""


def full(native: str) -> str:
    """``BTCUSDT`` as ``bybit:BTCUSDT``."""
    return f"{VENUE}:{native}"


def native(symbol: str) -> str:
    """``bybit:BTCUSDT`` as ``BTCUSDT``; raises ``WireError`` for another venue's symbol."""
    venue, _, name = symbol.partition(":")
    if venue != VENUE or not name:
        raise WireError(f"expected a symbol such as bybit:BTCUSDT, found {symbol!r}")
    return name


# -- market data -----------------------------------------------------------------------------


def trades(text: str | bytes, recv_ns: int) -> list[Trade]:
    """The trades of one ``publicTrade`` message; raises ``msgspec.DecodeError``, ``ValueError`` or ``KeyError``."""
    return [
        Trade(f"bybit:{row.s}", 0, 0, row.T * MS, recv_ns, float(row.p), float(row.v), _SIDES[row.S], row.i)
        for row in decode_trades(text).data
    ]


def bars(text: str | bytes, recv_ns: int) -> list[Bar]:
    """The candles of one ``kline`` message."""
    message = decode_klines(text)
    _, interval, name = message.topic.split(".", 2)
    length = interval_ns(interval)
    return [
        Bar(
            full(name),
            0,
            0,
            row.start * MS,
            recv_ns,
            float(row.open),
            float(row.high),
            float(row.low),
            float(row.close),
            float(row.volume),
            length,
            row.confirm,
        )
        for row in message.data
    ]


def interval_ns(name: str) -> int:
    """The length of a candle by the venue's name of it (``1``, ``60``, ``D``, ``W``)."""
    seconds = {"D": 86_400, "W": 604_800}.get(name)
    if seconds is None:
        if not name.isdigit():
            raise WireError(f"expected a candle length in minutes, D or W, found {name!r}")
        seconds = int(name) * 60
    return seconds * 1_000_000_000


def ticker_quote(fields: TickerRow, ts_ms: int, recv_ns: int) -> Quote | None:
    """The best bid and ask of a ticker, ``None`` while one is missing."""
    if not fields.bid1Price or not fields.ask1Price:
        return None
    return Quote(
        full(fields.symbol),
        0,
        0,
        ts_ms * MS,
        recv_ns,
        float(fields.bid1Price),
        float(fields.bid1Size or 0),
        float(fields.ask1Price),
        float(fields.ask1Size or 0),
    )


def kline_rows(rows: list[list[str]], name: str, length_ns: int, now_ms: int) -> list[Bar]:
    """REST candles (newest first) as closed bars, oldest first."""
    made = []
    for row in rows:
        start_ns = int(row[0]) * MS
        if start_ns + length_ns > now_ms * MS:
            continue
        opened, high, low, closed, volume = (float(value) for value in row[1:6])
        made.append(Bar(full(name), 0, 0, start_ns, now_ms * MS, opened, high, low, closed, volume, length_ns, True))
    return sorted(made, key=lambda bar: bar.ts_ns)


def recent_trades(rows: list[dict[str, Any]], recv_ns: int) -> list[Trade]:
    """REST trades (newest first), oldest first."""
    return [
        Trade(
            full(row["symbol"]),
            0,
            0,
            int(row["time"]) * MS,
            recv_ns,
            float(row["price"]),
            float(row["size"]),
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
    except InvalidOperation as error:
        raise WireError(f"expected a number in {name}, found {value!r}") from error
    if not number.is_finite():
        raise WireError(f"expected a finite number in {name}, found {value!r}")
    return number


def _choice(table: dict[str, Any], fields: dict[str, Any], name: str) -> Any:
    value = fields.get(name)
    if value not in table:
        raise WireError(f"expected {name} to be one of {', '.join(table)}, found {value!r}")
    return table[str(value)]


def order(fields: dict[str, Any]) -> Order:
    """One order, pushed or fetched."""
    kind = OrderType.MARKET if fields.get("orderType") == "Market" else OrderType.LIMIT
    reasons = (str(fields.get("rejectReason") or ""), str(fields.get("cancelType") or ""))
    reason = next((text for text in reasons if text not in _SILENT_REASONS), "")
    return Order(
        client_id=str(fields.get("orderLinkId") or ""),
        symbol=full(str(fields["symbol"])),
        side=Side(_choice(_SIDES, fields, "side")),
        type=kind,
        quantity=amount(fields, "qty"),
        price=amount(fields, "price") if kind is OrderType.LIMIT else None,
        time_in_force=_FORCES.get(str(fields.get("timeInForce")), TimeInForce.GTC),
        reduce_only=bool(fields.get("reduceOnly", False)),
        status=_choice(_STATUS, fields, "orderStatus"),
        venue_id=str(fields.get("orderId") or ""),
        filled=amount(fields, "cumExecQty"),
        average_price=amount(fields, "avgPrice"),
        reason=reason,
        updated_ns=int(fields.get("updatedTime") or 0) * MS,
    )


def fill(fields: dict[str, Any]) -> Fill | None:
    """One execution; ``None`` for those that change no position (funding)."""
    if fields.get("execType", "Trade") not in EXECUTIONS:
        return None
    return Fill(
        execution_id=str(fields["execId"]),
        client_id=str(fields.get("orderLinkId") or ""),
        venue_id=str(fields.get("orderId") or ""),
        symbol=full(str(fields["symbol"])),
        side=Side(_choice(_SIDES, fields, "side")),
        price=amount(fields, "execPrice"),
        quantity=amount(fields, "execQty"),
        fee=amount(fields, "execFee"),
        fee_currency=str(fields.get("feeCurrency") or "USDT"),
        liquidity=Liquidity.MAKER if fields.get("isMaker") else Liquidity.TAKER,
        ts_ns=int(fields["execTime"]) * MS,
    )


def position(fields: dict[str, Any]) -> VenuePosition:
    """One position; the stream says ``entryPrice`` where REST says ``avgPrice``."""
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
        held = amount(coin, "totalPositionIM") + amount(coin, "totalOrderIM")
        made.append(Balance(str(coin["coin"]), total, max(_ZERO, total - held)))
    return tuple(made)


def instrument(fields: dict[str, Any], maker_fee: Decimal, taker_fee: Decimal) -> Instrument:
    """One linear perpetual."""
    lots, prices = fields["lotSizeFilter"], fields["priceFilter"]
    largest = min(amount(lots, "maxOrderQty"), amount(lots, "maxMktOrderQty", "maxOrderQty"))
    return Instrument(
        symbol=full(str(fields["symbol"])),
        venue=VENUE,
        native=str(fields["symbol"]),
        kind=ContractKind.LINEAR_PERPETUAL,
        base=str(fields["baseCoin"]),
        quote=str(fields["quoteCoin"]),
        tick=amount(prices, "tickSize"),
        lot=amount(lots, "qtyStep"),
        min_quantity=amount(lots, "minOrderQty"),
        max_quantity=largest,
        min_notional=amount(lots, "minNotionalValue"),
        maker_fee=maker_fee,
        taker_fee=taker_fee,
        trading=fields.get("status") == "Trading",
    )


def place_request(command: PlaceOrder, category: str) -> dict[str, Any]:
    """The parameters of ``/v5/order/create``."""
    request: dict[str, Any] = {
        "category": category,
        "symbol": native(command.symbol),
        "side": "Buy" if command.side is Side.BUY else "Sell",
        "orderType": "Market" if command.type is OrderType.MARKET else "Limit",
        "qty": plain(command.quantity),
        "orderLinkId": command.client_id,
        "reduceOnly": command.reduce_only,
        "positionIdx": 0,
    }
    if command.type is OrderType.LIMIT:
        if command.price is None:
            raise WireError(f"expected a price of limit order {command.client_id}, found none")
        request["price"] = plain(command.price)
        request["timeInForce"] = _FORCE_NAMES[command.time_in_force]
    return request


def plain(value: Decimal) -> str:
    """A number without an exponent."""
    return format(value, "f")
