"""Account state over REST: orders, executions, positions, wallet, fees, key."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from decimal import Decimal

from exchanges.matching.record import OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.errors import PARAMETER, ApiError, translated
from exchanges.simulators.bybit.public import cursor_of, limit_of, time_of
from exchanges.simulators.bybit.venue import Venue
from exchanges.simulators.bybit.wire import Json, text

WEEK_MS = 7 * 86_400_000


def open_orders(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/order/realtime``: working orders, or with ``openOnly=1`` the last 500 ended ones.

    Asked for by an id, the order is found in either state, as the venue does for recent ones.
    """
    _scoped(params)
    if _asked_for(params):
        records = _by_id(venue, account, params)
    elif str(params.get("openOnly", "0")) == "1":
        records = list(itertools.islice(_of_symbol(venue.ended(account), params), 500))
    else:
        records = list(_of_symbol(reversed(venue.engine.working(account)), params))
    return _page([wire.order(record) for record in records], params, 20, 50)


def order_history(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/order/history``: ended orders, newest first."""
    start, end = _window(venue, params)
    if _asked_for(params):
        records = [record for record in _by_id(venue, account, params) if record.status.final]
    else:
        found = _of_symbol(venue.ended(account, start), params)
        records = [record for record in found if record.created_ns // 1_000_000 <= end]
    return _page([wire.order(record) for record in records], params, 20, 50)


def _asked_for(params: Json) -> bool:
    return bool(params.get("orderId") or params.get("orderLinkId"))


def _by_id(venue: Venue, account: str, params: Json) -> list[OrderRecord]:
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    found = venue.engine.find(account, client_id=link_id, order_id=order_id)
    return [found] if found is not None else []


def _of_symbol(records: Iterable[OrderRecord], params: Json) -> Iterator[OrderRecord]:
    native = str(params.get("symbol") or "")
    return (record for record in records if not native or wire.native(record.symbol) == native)


def executions(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/execution/list``: fills, newest first, at most seven days at a time."""
    start, end = _window(venue, params)
    native = str(params.get("symbol") or "")
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    since = itertools.takewhile(lambda done: done.fill.ts_ns // 1_000_000 >= start, reversed(venue.executions))
    found = [
        done
        for done in since
        if done.account == account
        and done.fill.ts_ns // 1_000_000 <= end
        and (not native or wire.native(done.fill.symbol) == native)
        and (not order_id or done.fill.venue_id == order_id)
        and (not link_id or done.fill.client_id == link_id)
    ]
    return _page([wire.execution(done, venue.mark(done.fill.symbol)) for done in found], params, 50, 100)


def positions(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/position/list``: one symbol, flat or not, or all open positions of a settle coin."""
    _scoped(params)
    holder, now = venue.engine.accounts[account], venue.now_ms()
    if params.get("symbol"):
        symbols = [venue.market(params["symbol"]).instrument.symbol]
    else:
        symbols = [symbol for symbol, held in holder.positions.items() if held.quantity]
    sequence = len(venue.executions)
    rows = [wire.position(holder, symbol, venue.mark(symbol), now, sequence, stream=False) for symbol in symbols]
    return _page(rows, params, 20, 200)


def wallet_balance(venue: Venue, account: str, params: Json) -> Json:
    return {"list": [wire.wallet(venue.engine.accounts[account], venue.mark)]}


def set_leverage(venue: Venue, account: str, params: Json) -> Json:
    market = venue.market(params.get("symbol"))
    value = str(params.get("buyLeverage", ""))
    if value != str(params.get("sellLeverage", "")) or not value.replace(".", "", 1).isdigit():
        raise ApiError(PARAMETER, f"expected equal buyLeverage and sellLeverage, found {value!r} and the other")
    if not 1 <= Decimal(value) <= wire.MAX_LEVERAGE:
        raise ApiError(PARAMETER, f"expected a leverage of 1 to {wire.MAX_LEVERAGE}, found {value}")
    try:
        venue.engine.set_leverage(account, market.instrument.symbol, Decimal(value))
    except OrderRejectedError as error:
        if error.code is Reject.UNCHANGED:
            raise ApiError(110043, "Set leverage has not been modified.") from error
        raise translated(error) from error
    venue.save_account(account)
    return {}


def fee_rate(venue: Venue, account: str, params: Json) -> Json:
    chosen = [venue.market(params["symbol"])] if params.get("symbol") else list(venue.markets.values())
    rows = [
        {
            "symbol": market.instrument.native,
            "baseCoin": "",
            "takerFeeRate": text(market.instrument.taker_fee),
            "makerFeeRate": text(market.instrument.maker_fee),
        }
        for market in chosen
    ]
    return {"category": "linear", "list": rows}


def key_information(venue: Venue, account: str, params: Json) -> Json:
    return {
        "id": account,
        "note": "simulator",
        "readOnly": 0,
        "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": [], "Options": [], "Derivatives": []},
        "ips": ["*"],
        "type": 1,
        "uta": 1,
        "unified": 0,
        "userID": 1,
        "isMaster": True,
        "deadlineDay": 90,
    }


def account_information(venue: Venue, account: str, params: Json) -> Json:
    return {
        "unifiedMarginStatus": 5,
        "marginMode": "REGULAR_MARGIN",
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "updatedTime": str(venue.now_ms()),
    }


def _scoped(params: Json) -> None:
    if params.get("category") != "linear":
        raise ApiError(PARAMETER, f"expected category linear, found {params.get('category')!r}")
    if not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
        raise ApiError(PARAMETER, "expected symbol, baseCoin or settleCoin for linear, found none of them")


def _window(venue: Venue, params: Json) -> tuple[int, int]:
    """Start and end in ms: by default the last seven days; never more than seven."""
    has_start, has_end = bool(params.get("startTime")), bool(params.get("endTime"))
    end = time_of(params, "endTime", 0)
    start = time_of(params, "startTime", 0)
    if not has_start:
        start = (end if has_end else venue.now_ms()) - WEEK_MS
    if not has_end:
        end = start + WEEK_MS
    if end - start > WEEK_MS:
        raise ApiError(PARAMETER, f"expected at most 7 days from startTime to endTime, found {start} to {end}")
    return start, end


def _page(rows: list[Json], params: Json, default: int, most: int) -> Json:
    start, limit = cursor_of(params), limit_of(params, default, most)
    following = str(start + limit) if start + limit < len(rows) else ""
    return {"category": "linear", "list": rows[start : start + limit], "nextPageCursor": following}
