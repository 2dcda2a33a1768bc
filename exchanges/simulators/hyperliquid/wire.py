"""How the venue writes things down: numbers as strings, times in milliseconds, orders and trades by numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from exchanges.hyperliquid.cloids import client_id_in, cloid_of
from exchanges.matching import record as reasons
from exchanges.matching.account import Account
from exchanges.matching.record import ZERO, Execution, Funding, OrderRecord
from exchanges.model.order import LIQUIDATION_PREFIX, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.candles import Candle
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.keys import key_of

Json = dict[str, Any]
CURRENCY = "USDC"
SIDES = {Side.BUY: "B", Side.SELL: "A"}
TIFS = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc", TimeInForce.POST_ONLY: "Alo"}
_NO_HASH = "0x" + "0" * 64
_ORDERS_A_SECOND = 10**6

_STATUSES = {
    OrderStatus.OPEN: "open",
    OrderStatus.PARTIALLY_FILLED: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.REJECTED: "rejected",
}
_ENDINGS = {
    reasons.POST_ONLY_CROSS: "badAloPxRejected",
    reasons.SELF_TRADE: "selfTradeCanceled",
    reasons.REDUCE_ONLY: "reduceOnlyCanceled",
}


def text(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros."""
    if not value:
        return "0.0"
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def rounded(value: Decimal) -> str:
    """A derived amount, to six decimals."""
    return text(round(value, 6))


def number(value: float) -> str:
    """A figure of market data."""
    return f"{value:.8f}".rstrip("0").rstrip(".") or "0"


def ms(ts_ns: int) -> int:
    return ts_ns // 1_000_000


# -- numbers of the engine's ids ---------------------------------------------------------------


def numbered(identity: str) -> int:
    """An id of the engine (``1a2b-o12``) as a number: the second its books began, and its count."""
    prefix, _, count = identity.partition("-")
    return int(prefix, 16) // 1_000_000_000 * _ORDERS_A_SECOND + int(count[1:])


def order_id(oid: int, prefix: str) -> str:
    """The engine's id of an order; ``prefix`` is the engine's. One that was never given stands for no order."""
    found = f"{prefix}o{oid % _ORDERS_A_SECOND}"
    return found if numbered(found) == oid else ""


def trade_number(trade_id: str) -> int:
    """A public trade's id as a number of 50 bits."""
    return int.from_bytes(hashlib.blake2b(trade_id.encode(), digest_size=7).digest(), "big") >> 6


def client_id(cloid: object) -> str:
    """What the books call an order: the id its cloid holds, else the cloid itself; empty without one."""
    return (client_id_in(str(cloid)) or str(cloid).lower()) if cloid else ""


def cloid(record_id: str) -> str | None:
    """The cloid of what the books call an order."""
    if not record_id:
        return None
    return record_id if record_id.startswith("0x") else cloid_of(record_id)


# -- the account -------------------------------------------------------------------------------


def status(record: OrderRecord) -> str:
    """The venue's word for how an order stands."""
    if record.reason == reasons.NO_IMMEDIATE_QUANTITY and not record.filled:
        return "iocCancelRejected"
    if record.triggered and not record.status.final:
        return "triggered"
    return _ENDINGS.get(record.reason, _STATUSES[record.status])


def order(record: OrderRecord, *, full: bool) -> Json:
    """An order; ``full`` as REST gives it, else as the stream does."""
    trigger = record.trigger
    made: Json = {
        "coin": key_of(record.symbol),
        "side": SIDES[record.side],
        "limitPx": text(record.price or (trigger.price if trigger else ZERO)),
        "sz": text(record.open),
        "oid": numbered(record.id),
        "timestamp": ms(record.created_ns),
        "origSz": text(record.quantity),
        "cloid": cloid(record.client_id),
    }
    if full:
        made |= {
            "triggerCondition": f"Price {trigger.direction.value} {text(trigger.price)}" if trigger else "N/A",
            "isTrigger": trigger is not None,
            "triggerPx": text(trigger.price) if trigger else "0.0",
            "children": [],
            "isPositionTpsl": False,
            "reduceOnly": record.reduce_only,
            "orderType": _kind(record),
            "tif": None if trigger else TIFS[record.time_in_force],
        }
    return made


def _kind(record: OrderRecord) -> str:
    """``Limit``, or how a trigger order is called."""
    trigger, form = record.trigger, "Market" if record.type is OrderType.MARKET else "Limit"
    if trigger is None:
        return "Limit"
    against = (trigger.direction is Direction.BELOW) is (record.side is Side.SELL)
    return f"{'Stop' if against else 'Take Profit'} {form}"


def report(record: OrderRecord, *, full: bool) -> Json:
    """An order with its status."""
    return {
        "order": order(record, full=full),
        "status": status(record),
        "statusTimestamp": ms(record.updated_ns),
    }


def fill(done: Execution) -> Json:
    """One execution, as ``userFills`` gives it, without what it says of the position before."""
    one = done.fill
    return {
        "coin": key_of(one.symbol),
        "px": text(one.price),
        "sz": text(one.quantity),
        "side": SIDES[one.side],
        "time": ms(one.ts_ns),
        "hash": _NO_HASH,
        "oid": numbered(one.venue_id),
        "crossed": not done.is_maker,
        "fee": text(one.fee),
        "tid": numbered(one.execution_id.removeprefix(LIQUIDATION_PREFIX)),
        "feeToken": CURRENCY,
        "cloid": cloid(one.client_id),
    }


def funding(paid: Funding) -> Json:
    """A funding payment, as the stream gives it: what was received, below 0 what was paid."""
    return {
        "time": ms(paid.ts_ns),
        "coin": key_of(paid.symbol),
        "usdc": rounded(-paid.amount),
        "szi": text(paid.quantity),
        "fundingRate": text(paid.rate),
        "nSamples": None,
    }


def user_funding(paid: Funding) -> Json:
    """The same as REST gives it."""
    told = funding(paid)
    return {"time": told.pop("time"), "hash": _NO_HASH, "delta": {"type": "funding", **told}}


def state(holder: Account, mark: Callable[[str], Decimal], available: Decimal, now_ms: int) -> Json:
    """``clearinghouseState``: positions, what they are worth, and cash."""
    held = holder.perpetuals()
    worth = sum((abs(p.quantity) * mark(p.symbol) for p in held), ZERO)
    margin = holder.position_margin(mark)
    summary = {
        "accountValue": rounded(holder.equity(mark)),
        "totalNtlPos": rounded(worth),
        "totalRawUsd": rounded(holder.wallet - sum((p.cost for p in held), ZERO)),
        "totalMarginUsed": rounded(margin),
    }
    return {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": rounded(margin / 2),
        "withdrawable": rounded(max(available, ZERO)),
        "assetPositions": [{"type": "oneWay", "position": _position(holder, p.symbol, mark(p.symbol))} for p in held],
        "time": now_ms,
    }


def _position(holder: Account, symbol: str, mark: Decimal) -> Json:
    held, leverage = holder.position(symbol), holder.leverage_of(symbol)
    worth = abs(held.quantity) * mark
    return {
        "coin": key_of(symbol),
        "szi": text(held.quantity),
        "leverage": {"type": "cross", "value": int(leverage)},
        "entryPx": text(round(held.average_price, 8)),
        "positionValue": text(worth),
        "unrealizedPnl": text(round(held.unrealized(mark), 6)) if mark else "0.0",
        "returnOnEquity": "0.0",
        "liquidationPx": None,
        "marginUsed": rounded(worth / leverage),
        "maxLeverage": int(leverage),
        "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
    }


# -- the market --------------------------------------------------------------------------------


def trade(market: SymbolMarket, row: Row) -> Json:
    ts_ns, _, price, size, side, trade_id = row
    return {
        "coin": market.key,
        "side": SIDES[side],
        "px": number(price),
        "sz": number(size),
        "hash": _NO_HASH,
        "time": ms(ts_ns),
        "tid": trade_number(trade_id),
        "users": ["0x" + "0" * 40, "0x" + "0" * 40],
    }


def level(price: Decimal, size: Decimal) -> Json:
    return {"px": text(price), "sz": text(size), "n": 1}


def candle(found: Candle, coin: str, interval: str, length_ms: int) -> Json:
    return {
        "t": found.start,
        "T": found.start + length_ms - 1,
        "s": coin,
        "i": interval,
        "o": number(found.open),
        "c": number(found.close),
        "h": number(found.high),
        "l": number(found.low),
        "v": number(found.volume),
        "n": 1,
    }
