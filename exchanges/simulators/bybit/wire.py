"""How the venue writes things down: every number a string, times in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from exchanges.matching import record as reasons
from exchanges.matching.account import Account
from exchanges.matching.record import ZERO, Execution, Funding, OrderRecord
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import LIQUIDATION_PREFIX, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Position
from exchanges.model.trigger import Direction, Source
from exchanges.simulators.bybit.instruments import MAINTENANCE_RATE, base_of
from exchanges.simulators.bybit.topics import LINEAR, SPOT, SPOT_SUFFIX, category_of_symbol
from exchanges.simulators.candles import Candle
from exchanges.simulators.keys import key_of

Json = dict[str, Any]

SIDES = {Side.BUY: "Buy", Side.SELL: "Sell"}
STATUSES = {
    OrderStatus.OPEN: "New",
    OrderStatus.PARTIALLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELLED: "Cancelled",
    OrderStatus.REJECTED: "Rejected",
}
TRIGGER_BY = {Source.LAST: "LastPrice", Source.MARK: "MarkPrice"}
DIRECTIONS = {Direction.ABOVE: 1, Direction.BELOW: 2}
TIMES_IN_FORCE = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}
REJECT_REASONS = {
    reasons.POST_ONLY_CROSS: "EC_PostOnlyWillTakeLiquidity",
    reasons.NO_IMMEDIATE_QUANTITY: "EC_NoImmediateQtyToFill",
    reasons.NOT_ENOUGH_QUANTITY: "EC_NoEnoughQtyToFill",
    reasons.BY_USER: "EC_PerCancelRequest",
    reasons.BY_USER_ALL: "EC_PerCancelRequest",
}
CANCEL_TYPES = {
    reasons.BY_USER: "CancelByUser",
    reasons.BY_USER_ALL: "CancelByUser",
    reasons.SELF_TRADE: "CancelBySmp",
    reasons.REDUCE_ONLY: "CancelByReduceOnly",
}
MOST_TICKS = 19_999_998
"""The highest price, in ticks."""


def text(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros."""
    if not value:
        return "0"
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def plain(value: Decimal) -> str:
    """A decimal without exponent, its zeros kept: the way steps are written."""
    return format(value, "f")


def amount(value: float) -> str:
    """A sum of market data, to eight decimals."""
    return f"{value:.8f}".rstrip("0").rstrip(".") or "0"


def rounded(value: Decimal) -> str:
    """A derived amount, to eight decimals."""
    return text(round(value, 8))


def ms(ts_ns: int) -> str:
    return str(ts_ns // 1_000_000)


def native(symbol: str) -> str:
    """The venue's name of one of our symbols."""
    return key_of(symbol).removesuffix(SPOT_SUFFIX)


def status(record: OrderRecord) -> str:
    """The venue's word for where an order stands; a conditional one that ends before its price came has its own."""
    if record.waiting:
        return "Untriggered"
    if record.trigger is not None and not record.triggered and record.status is OrderStatus.CANCELLED:
        return "Deactivated"
    return STATUSES[record.status]


def order(record: OrderRecord) -> Json:
    """An order as REST and the ``order`` topic give it."""
    price, trigger = record.price or ZERO, record.trigger
    return {
        "category": category_of_symbol(record.symbol),
        "symbol": native(record.symbol),
        "orderId": record.id,
        "orderLinkId": record.client_id,
        "blockTradeId": "",
        "side": SIDES[record.side],
        "positionIdx": 0,
        "orderStatus": status(record),
        "cancelType": CANCEL_TYPES.get(record.reason, "UNKNOWN"),
        "rejectReason": REJECT_REASONS.get(record.reason, "EC_NoError"),
        "timeInForce": TIMES_IN_FORCE[record.time_in_force],
        "isLeverage": "",
        "price": text(price),
        "qty": text(record.quantity),
        "avgPrice": rounded(record.average_price) if record.filled else "",
        "leavesQty": "0" if record.status.final else text(record.open),
        "leavesValue": "0" if record.status.final else text(record.open * price),
        "cumExecQty": text(record.filled),
        "cumExecValue": text(record.value),
        "cumExecFee": text(record.fee),
        "orderType": "Limit" if record.type is OrderType.LIMIT else "Market",
        "stopOrderType": "Stop" if trigger else "",
        "orderIv": "",
        "triggerPrice": text(trigger.price) if trigger else "",
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": DIRECTIONS[trigger.direction] if trigger else 0,
        "triggerBy": TRIGGER_BY[trigger.source] if trigger else "",
        "lastPriceOnCreated": "",
        "reduceOnly": record.reduce_only,
        "closeOnTrigger": False,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "createType": "CreateByUser",
        "feeCurrency": _fee_currency(record),
        "createdTime": ms(record.created_ns),
        "updatedTime": ms(record.updated_ns),
    }


def _fee_currency(record: OrderRecord) -> str:
    """A spot pair takes the fee from what is received, a perpetual from the settlement coin."""
    name = native(record.symbol)
    in_base = category_of_symbol(record.symbol) == SPOT and record.side is Side.BUY
    return base_of(name) if in_base else name.removeprefix(base_of(name))


def execution(done: Execution, mark: Decimal) -> Json:
    """A fill as REST and the ``execution`` topic give it."""
    fill = done.fill
    category = category_of_symbol(fill.symbol)
    return {
        "category": category,
        "symbol": native(fill.symbol),
        "execId": fill.execution_id.removeprefix(LIQUIDATION_PREFIX),
        "orderId": fill.venue_id,
        "orderLinkId": fill.client_id,
        "side": SIDES[fill.side],
        "orderPrice": text(done.order_price or ZERO),
        "orderQty": text(done.order_quantity),
        "leavesQty": text(done.leaves),
        "createType": "CreateByLiq" if done.liquidation else "CreateByUser",
        "orderType": "Limit" if done.order_type is OrderType.LIMIT else "Market",
        "stopOrderType": "UNKNOWN",
        "execFee": text(fill.fee),
        "execPrice": text(fill.price),
        "execQty": text(fill.quantity),
        "execType": "BustTrade" if done.liquidation else "Trade",
        "execValue": text(fill.quantity * fill.price),
        "execTime": ms(fill.ts_ns),
        "feeCurrency": fill.fee_currency,
        "isMaker": done.is_maker,
        "feeRate": text(done.fee_rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": text(mark),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": text(done.closed) if category == LINEAR else "",
        "isLeverage": "0",
        "seq": done.sequence,
    }


def funding(paid: Funding) -> Json:
    """A funding payment as REST and the ``execution`` topic give it: ``execFee`` above 0 was paid."""
    size = text(abs(paid.quantity))
    return {
        "category": LINEAR,
        "symbol": native(paid.symbol),
        "execId": paid.execution_id,
        "orderId": paid.execution_id,
        "orderLinkId": "",
        "side": SIDES[Side.BUY if paid.quantity > 0 else Side.SELL],
        "orderPrice": "0",
        "orderQty": "0",
        "leavesQty": "0",
        "createType": "",
        "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN",
        "execFee": rounded(paid.amount),
        "execPrice": text(paid.mark),
        "execQty": size,
        "execType": "Funding",
        "execValue": rounded(abs(paid.quantity) * paid.mark),
        "execTime": ms(paid.ts_ns),
        "feeCurrency": "",
        "isMaker": False,
        "feeRate": text(paid.rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": text(paid.mark),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "0",
        "isLeverage": "0",
        "seq": paid.sequence,
    }


def position(account: Account, symbol: str, mark: Decimal, now_ms: int, sequence: int, *, stream: bool) -> Json:
    """A position; REST says ``avgPrice`` where the stream says ``entryPrice``."""
    held = account.position(symbol)
    leverage = account.leverage_of(symbol)
    value = abs(held.quantity) * mark
    side = "" if not held.quantity else "Buy" if held.quantity > 0 else "Sell"
    return {
        "category": "linear",
        "positionIdx": 0,
        "tradeMode": 0,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": native(symbol),
        "side": side,
        "size": text(abs(held.quantity)),
        "entryPrice" if stream else "avgPrice": rounded(held.average_price),
        "leverage": text(leverage),
        "positionValue": rounded(value),
        "positionBalance": "0",
        "markPrice": text(mark),
        "positionIM": rounded(value / leverage),
        "positionMM": rounded(value * MAINTENANCE_RATE),
        "liqPrice": "",
        "bustPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "tpslMode": "Full",
        "unrealisedPnl": rounded(held.unrealized(mark)) if held.quantity and mark else "0",
        "curRealisedPnl": rounded(held.realized - held.fees),
        "cumRealisedPnl": rounded(held.realized - held.fees),
        "positionStatus": "Normal",
        "adlRankIndicator": 0,
        "autoAddMargin": 0,
        "isReduceOnly": False,
        "leverageSysUpdatedTime": "",
        "mmrSysUpdatedTime": "",
        "seq": sequence,
        "createdTime": str(now_ms),
        "updatedTime": str(now_ms),
    }


def wallet(account: Account, mark: Callable[[str], Decimal], orders: Sequence[OrderRecord] = ()) -> Json:
    """The unified account: its cash, and a coin for each base that spot pairs brought; ``orders`` are the open ones."""
    spot_orders = [record for record in orders if category_of_symbol(record.symbol) == SPOT]
    locked = sum((record.margin for record in spot_orders), ZERO)
    unrealized, margin = account.unrealized(mark), account.position_margin(mark)
    maintenance = sum((abs(p.quantity) * mark(p.symbol) * MAINTENANCE_RATE for p in account.perpetuals()), ZERO)
    cash, equity, available = account.wallet + unrealized, account.equity(mark), account.available(mark)
    ordered = account.reserved - locked
    rate = (margin + ordered) / equity if equity > 0 else ZERO
    coin = {
        "coin": account.currency,
        "equity": rounded(cash),
        "usdValue": rounded(cash),
        "walletBalance": text(account.wallet),
        "availableToWithdraw": rounded(max(available, ZERO)),
        "availableToBorrow": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": rounded(ordered),
        "totalPositionIM": rounded(margin),
        "totalPositionMM": rounded(maintenance),
        "unrealisedPnl": rounded(unrealized),
        "cumRealisedPnl": text(account.wallet - account.deposited),
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
        "locked": rounded(locked),
        "spotBorrow": "0",
    }
    coins = [_held(held, mark(held.symbol), spot_orders) for held in account.holdings(ContractKind.SPOT)]
    return {
        "accountType": "UNIFIED",
        "accountIMRate": rounded(rate),
        "accountMMRate": rounded(maintenance / equity) if equity > 0 else "0",
        "accountLTV": "0",
        "totalEquity": rounded(equity),
        "totalWalletBalance": rounded(equity - unrealized),
        "totalMarginBalance": rounded(equity),
        "totalAvailableBalance": rounded(available),
        "totalPerpUPL": rounded(unrealized),
        "totalInitialMargin": rounded(margin + ordered),
        "totalMaintenanceMargin": rounded(maintenance),
        "coin": [coin, *coins],
    }


def _held(held: Position, mark: Decimal, orders: Sequence[OrderRecord]) -> Json:
    """What a spot pair's base coin makes in the wallet; its open sales lock it."""
    selling = sum((r.open for r in orders if r.symbol == held.symbol and r.side is Side.SELL), ZERO)
    return {
        "coin": base_of(native(held.symbol)),
        "equity": text(held.quantity),
        "usdValue": rounded(held.quantity * mark),
        "walletBalance": text(held.quantity),
        "availableToWithdraw": text(held.quantity - selling),
        "availableToBorrow": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
        "locked": text(selling),
        "spotBorrow": "0",
    }


def instrument(one: Instrument) -> Json:
    """An instrument of either category as ``instruments-info`` gives it."""
    return _spot_pair(one) if one.kind is ContractKind.SPOT else _perpetual(one)


def _spot_pair(one: Instrument) -> Json:
    return {
        "symbol": one.native,
        "baseCoin": one.base,
        "quoteCoin": one.quote,
        "innovation": "0",
        "status": "Trading" if one.trading else "Closed",
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(one.lot),
            "quotePrecision": "0.00000001",
            "minOrderQty": plain(one.min_quantity),
            "maxOrderQty": plain(one.max_quantity),
            "minOrderAmt": text(one.min_notional),
            "maxOrderAmt": "4000000",
        },
        "priceFilter": {"tickSize": plain(one.tick)},
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.05"},
    }


def _perpetual(one: Instrument) -> Json:
    scale = max(0, -int(one.tick.as_tuple().exponent))
    return {
        "symbol": one.native,
        "contractType": "LinearPerpetual",
        "status": "Trading" if one.trading else "Closed",
        "baseCoin": one.base,
        "quoteCoin": one.quote,
        "settleCoin": one.quote,
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(scale),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{one.max_leverage}.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": plain(one.tick),
            "maxPrice": text(one.tick * MOST_TICKS),
            "tickSize": plain(one.tick),
        },
        "lotSizeFilter": {
            "maxOrderQty": plain(one.max_quantity),
            "minOrderQty": plain(one.min_quantity),
            "qtyStep": plain(one.lot),
            "postOnlyMaxOrderQty": plain(one.max_quantity),
            "maxMktOrderQty": plain(one.max_quantity),
            "minNotionalValue": text(one.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": one.funding_interval_ns // 60_000_000_000,
        "copyTrading": "none",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
    }


def candle(one: Candle, places: int) -> list[str]:
    """A row of ``/v5/market/kline``."""
    prices = [f"{p:.{places}f}" for p in (one.open, one.high, one.low, one.close)]
    return [str(one.start), *prices, amount(one.volume), amount(one.turnover)]
