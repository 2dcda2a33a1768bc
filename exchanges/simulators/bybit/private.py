"""Account state over REST: orders, executions, positions, wallet, fees, key."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from exchanges.matching.record import OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.orders import category_in
from exchanges.simulators.bybit.public import cursor_of, limit_of, time_of
from exchanges.simulators.bybit.topics import LINEAR, category_of_symbol
from exchanges.simulators.bybit.venue import HEDGE, ONE_WAY, BybitVenue
from exchanges.simulators.bybit.wire import Json, text
from exchanges.simulators.faults import KeyState
from exchanges.simulators.keys import key_of

WEEK_MS = 7 * 86_400_000


def open_orders(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/order/realtime``: working orders, or with ``openOnly=1`` the last 500 ended ones.

    Asked for by an id, the order is found in either state, as the venue does for recent ones.
    """
    _scoped(params)
    if _asked_for(params):
        records = list(_of_symbol(_by_id(venue, account, params), params))
    elif str(params.get("openOnly", "0")) == "1":
        records = list(itertools.islice(_of_symbol(venue.ended(account), params), 500))
    else:
        records = list(_of_symbol(reversed(venue.engine.working(account)), params))
    return _page([wire.order(record) for record in records], params, 20, 50)


def order_history(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/order/history``: ended orders, newest first."""
    start, end = _window(venue, params)
    if _asked_for(params):
        records = [r for r in _of_symbol(_by_id(venue, account, params), params) if r.status.final]
    else:
        found = _of_symbol(venue.ended(account, start), params)
        records = [record for record in found if record.created_ns // 1_000_000 <= end]
    return _page([wire.order(record) for record in records], params, 20, 50)


def _asked_for(params: Json) -> bool:
    return bool(params.get("orderId") or params.get("orderLinkId"))


def _by_id(venue: BybitVenue, account: str, params: Json) -> list[OrderRecord]:
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    found = venue.engine.find(account, client_id=link_id, order_id=order_id)
    return [found] if found is not None else []


def _of_symbol(records: Iterable[OrderRecord], params: Json) -> Iterator[OrderRecord]:
    """The records of the category asked for, and of the symbol if there is one."""
    wanted = _wanted(params)
    return (record for record in records if wanted(record.symbol))


def _wanted(params: Json) -> Callable[[str], bool]:
    category, native = category_in(params), str(params.get("symbol") or "")

    def wanted(symbol: str) -> bool:
        return category_of_symbol(symbol) == category and (not native or wire.native(symbol) == native)

    return wanted


def executions(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/execution/list``: fills and funding, newest first, at most seven days at a time."""
    start, end = _window(venue, params)
    wanted, kind = _wanted(params), str(params.get("execType") or "")
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    found: list[Json] = []
    for done in reversed(venue.executions):
        at = done.fill.ts_ns // 1_000_000
        if at < start:
            break
        asked = (not order_id or done.fill.venue_id == order_id) and (not link_id or done.fill.client_id == link_id)
        if done.account == account and at <= end and wanted(done.fill.symbol) and asked and kind in ("", "Trade"):
            found.append(wire.execution(done, venue.mark(done.fill.symbol)))
    if not order_id and not link_id and kind in ("", "Funding"):
        for paid in venue.fundings:
            if paid.account == account and start <= paid.ts_ns // 1_000_000 <= end and wanted(paid.symbol):
                found.append(wire.funding(paid))
        found.sort(key=lambda row: -int(row["seq"]))
    return _page(found, params, 50, 100)


def positions(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/position/list``: one symbol, flat or not, or all open positions of a settle coin."""
    _scoped(params)
    if params.get("category") != LINEAR:
        raise ApiError(PARAMETER, f"expected category linear, found {params.get('category')!r}; spot has a wallet")
    holder, now = venue.engine.accounts[account], venue.now_ms()
    if params.get("symbol"):
        symbols = [venue.market_of(LINEAR, params["symbol"]).instrument.symbol]
    else:
        symbols = [held.symbol for held in holder.perpetuals()]
    sequence, rows = len(venue.executions), []
    for symbol in symbols:
        row = wire.position(holder, symbol, venue.mark(symbol), now, sequence, stream=False)
        hedged = venue.modes.get((account, key_of(symbol))) == HEDGE
        rows += [{**row, "positionIdx": index} for index in ((1, 2) if hedged else (0,))]
    return _page(rows, params, 20, 200)


def switch_mode(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/position/switch-mode``: one-way or hedge, for a symbol or all of a coin."""
    if params.get("category") != LINEAR:
        raise ApiError(PARAMETER, f"expected category linear, found {params.get('category')!r}")
    mode = params.get("mode")
    if mode not in (ONE_WAY, HEDGE):
        raise ApiError(PARAMETER, f"expected mode 0 (one-way) or 3 (hedge), found {mode!r}")
    if params.get("symbol"):
        chosen = [venue.market_of(LINEAR, params["symbol"])]
    else:
        chosen = [m for m in venue.listed(LINEAR) if m.instrument.quote == params.get("coin")]
    before = [venue.modes.get((account, market.key), ONE_WAY) for market in chosen]
    if not chosen or all(found == mode for found in before):
        raise ApiError(110025, "Position mode is not modified")
    symbols = {market.instrument.symbol for market in chosen}
    if any(held.symbol in symbols for held in venue.engine.accounts[account].perpetuals()):
        raise ApiError(110024, "You have an existing position, so position mode cannot be switched")
    if any(record.symbol in symbols for record in venue.engine.working(account)):
        raise ApiError(110028, "You have existing open orders, so position mode cannot be switched")
    venue.modes.update({(account, market.key): mode for market in chosen})
    return {}


def wallet_balance(venue: BybitVenue, account: str, params: Json) -> Json:
    return {"list": [wire.wallet(venue.engine.accounts[account], venue.mark, venue.engine.working(account))]}


def set_leverage(venue: BybitVenue, account: str, params: Json) -> Json:
    if params.get("category") != LINEAR:
        raise ApiError(PARAMETER, f"expected category linear, found {params.get('category')!r}")
    market = venue.market_of(LINEAR, params.get("symbol"))
    value = str(params.get("buyLeverage", ""))
    if value != str(params.get("sellLeverage", "")) or not value.replace(".", "", 1).isdigit():
        raise ApiError(PARAMETER, f"expected equal buyLeverage and sellLeverage, found {value!r} and the other")
    if not 1 <= Decimal(value) <= market.instrument.max_leverage:
        raise ApiError(PARAMETER, f"expected a leverage of 1 to {market.instrument.max_leverage}, found {value}")
    try:
        venue.engine.set_leverage(account, market.instrument.symbol, Decimal(value))
    except OrderRejectedError as error:
        if error.code is Reject.UNCHANGED:
            raise ApiError(110043, "Set leverage has not been modified.") from error
        raise
    venue.save_account(account)
    return {}


def fee_rate(venue: BybitVenue, account: str, params: Json) -> Json:
    category = category_in(params)
    chosen = [venue.market_of(category, params["symbol"])] if params.get("symbol") else venue.listed(category)
    rows = [
        {
            "symbol": market.instrument.native,
            "baseCoin": "",
            "takerFeeRate": text(market.instrument.taker_fee),
            "makerFeeRate": text(market.instrument.maker_fee),
        }
        for market in chosen
    ]
    return {"category": category, "list": rows}


def key_information(venue: BybitVenue, account: str, params: Json) -> Json:
    read_only = venue.key_state(account) is KeyState.READ_ONLY
    return {
        "id": account,
        "note": "simulator",
        "readOnly": int(read_only),
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": [],
            "Options": [],
            "Derivatives": [],
        },
        "ips": ["*"],
        "type": 1,
        "uta": 1,
        "unified": 0,
        "userID": 1,
        "isMaster": True,
        "deadlineDay": 90,
    }


def account_information(venue: BybitVenue, account: str, params: Json) -> Json:
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
    if category_in(params) == LINEAR and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
        raise ApiError(PARAMETER, "expected symbol, baseCoin or settleCoin for linear, found none of them")


def _window(venue: BybitVenue, params: Json) -> tuple[int, int]:
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
    return {"category": params.get("category"), "list": rows[start : start + limit], "nextPageCursor": following}
