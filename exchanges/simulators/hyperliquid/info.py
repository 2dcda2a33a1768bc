"""Questions: ``POST /info``. Anyone may ask about any address; one that nobody has gets empty answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from exchanges.hyperliquid.settings import INTERVALS
from exchanges.matching.record import OrderRecord
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.rest import CallKind, Route
from exchanges.simulators.hyperliquid import wire
from exchanges.simulators.hyperliquid.errors import UnreadableError
from exchanges.simulators.hyperliquid.instruments import places_of
from exchanges.simulators.hyperliquid.venue import HyperliquidVenue
from exchanges.simulators.hyperliquid.wire import Json

Question = Callable[[HyperliquidVenue, str, Json], Any]
"""What answers a question: the venue, the account of ``user`` (empty for none), and the body."""

LENGTHS_MS = {name: seconds * 1_000 for seconds, name in INTERVALS.items()}
BOOK_LEVELS = 20
_CANDLES, _TRADES, _FILLS, _FUNDINGS, _HISTORY = 5_000, 10, 2_000, 500, 2_000
_LIGHT, _PLAIN, _ROLE = 2.0, 20.0, 60.0


def meta(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    rows = [
        {
            "name": market.key,
            "szDecimals": places_of(market.instrument),
            "maxLeverage": int(market.instrument.max_leverage),
            **({} if market.instrument.trading else {"isDelisted": True}),
        }
        for market in venue.markets.values()
    ]
    return {"universe": rows}


def contexts(venue: HyperliquidVenue, account: str, body: Json) -> list[Any]:
    return [meta(venue, account, body), [context(venue, market) for market in venue.markets.values()]]


def context(venue: HyperliquidVenue, market: SymbolMarket) -> Json:
    """Mark, index and the rate of the running hour."""
    mark, due = venue.mark(market.instrument.symbol), venue.boundary(venue.now_ns()) + 1
    last = wire.number(market.last) if market.last else None
    return {
        "funding": wire.text(venue.rate(market.key, due)),
        "openInterest": "0.0",
        "prevDayPx": last or "0.0",
        "dayNtlVlm": "0.0",
        "premium": "0.0",
        "oraclePx": last or "0.0",
        "markPx": wire.text(mark),
        "midPx": last,
        "impactPxs": None,
        "dayBaseVlm": "0.0",
    }


def spot_meta(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    return {"universe": [], "tokens": []}


def mids(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    return {market.key: wire.number(market.last) for market in venue.markets.values() if market.last}


def book(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    return snapshot(venue, _market(venue, body))


def snapshot(venue: HyperliquidVenue, market: SymbolMarket) -> Json:
    """The visible book."""
    sides = venue.engine.markets[market.instrument.symbol].depth(BOOK_LEVELS)
    levels = [[wire.level(price, size) for price, size in side] for side in sides]
    return {"coin": market.key, "time": moment(venue, market), "levels": levels}


def moment(venue: HyperliquidVenue, market: SymbolMarket) -> int:
    """The time of what a market shows: of its last trade, so that recorded data is of one time."""
    return market.last_ms or venue.now_ms()


def candles(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    asked = body.get("req")
    if not isinstance(asked, dict) or asked.get("interval") not in LENGTHS_MS:
        raise UnreadableError
    market, name = _market(venue, asked), str(asked["interval"])
    start, end = _time(asked, "startTime", 0), _time(asked, "endTime", 1 << 62)
    found = [c for c in market.minutes.grouped(LENGTHS_MS[name]) if start <= c.start <= end]
    return [wire.candle(one, market.key, name, LENGTHS_MS[name]) for one in found[-_CANDLES:]]


def recent_trades(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    market = _market(venue, body)
    return [wire.trade(market, row) for row in reversed(list(market.recent)[-_TRADES:])]


def funding_history(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    market, every = _market(venue, body), venue.funding_ns
    first = -(-_time(body, "startTime", 0) * 1_000_000 // every)
    last = min(venue.boundary(venue.now_ns()), _time(body, "endTime", 1 << 50) * 1_000_000 // every)
    return [
        {
            "coin": market.key,
            "fundingRate": wire.text(venue.rate(market.key, boundary)),
            "premium": "0.0",
            "time": boundary * every // 1_000_000,
        }
        for boundary in range(first, min(last, first + _FUNDINGS - 1) + 1)
    ]


# -- the account -------------------------------------------------------------------------------


def state(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    if not account:
        nothing = dict.fromkeys(("accountValue", "totalNtlPos", "totalRawUsd", "totalMarginUsed"), "0.0")
        return {"marginSummary": nothing, "withdrawable": "0.0", "assetPositions": [], "time": venue.now_ms()}
    return wire.state(venue.engine.accounts[account], venue.mark, venue.engine.available(account), venue.now_ms())


def open_orders(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    return [wire.order(record, full=False) for record in reversed(venue.engine.working(account))]


def frontend_open_orders(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    return [wire.order(record, full=True) for record in reversed(venue.engine.working(account))]


def order_status(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    """By the venue's number, or by cloid."""
    record = find(venue, account, body.get("oid"))
    if record is None:
        return {"status": "unknownOid"}
    return {"status": "order", "order": wire.report(record, full=True)}


def find(venue: HyperliquidVenue, account: str, oid: object) -> OrderRecord | None:
    """An order of the account, by number or cloid."""
    if isinstance(oid, str):
        return venue.engine.find(account, client_id=wire.client_id(oid))
    if not isinstance(oid, int) or isinstance(oid, bool):
        raise UnreadableError
    known = wire.order_id(oid, venue.engine.counters().prefix)
    return venue.engine.find(account, order_id=known) if known else None


def historical_orders(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    newest = reversed(venue.engine.orders(account)[-_HISTORY:])
    return [wire.report(record, full=True) for record in newest]


def fills(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    """The newest executions, newest first."""
    return [wire.fill(done) for done in reversed(venue.executions) if done.account == account][:_FILLS]


def fills_by_time(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    """The oldest executions of a span, oldest first."""
    found = (wire.fill(done) for done in venue.executions if done.account == account)
    return _spanned(found, body, _FILLS)


def user_funding(venue: HyperliquidVenue, account: str, body: Json) -> list[Json]:
    return _spanned((wire.user_funding(paid) for paid in venue.fundings if paid.account == account), body, _FUNDINGS)


def user_fees(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    first = next(iter(venue.markets.values())).instrument
    return {"userAddRate": wire.text(first.maker_fee), "userCrossRate": wire.text(first.taker_fee)}


def user_role(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    return venue.wallets.role(body.get("user"))


def user_rate_limit(venue: HyperliquidVenue, account: str, body: Json) -> Json:
    traded = sum((d.fill.quantity * d.fill.price for d in venue.executions if d.account == account), 0)
    sent = len(venue.engine.orders(account)) if account else 0
    return {"cumVlm": str(traded), "nRequestsUsed": sent, "nRequestsCap": 10_000 + int(traded)}


def _market(venue: HyperliquidVenue, body: Json) -> SymbolMarket:
    found = venue.markets.get(str(body.get("coin")))
    if found is None:
        raise UnreadableError
    return found


def _spanned(rows: Iterable[Json], body: Json, most: int) -> list[Json]:
    start, end = _time(body, "startTime", 0), _time(body, "endTime", 1 << 62)
    return [row for row in rows if start <= row["time"] <= end][:most]


def _time(body: Json, name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnreadableError
    return value


def _asked(name: str, call: Question, cost: float = _PLAIN, *, account: bool = False) -> Route[Question]:
    kind = CallKind.QUERY if account else CallKind.MARKET
    return Route("POST", f"/info/{name}", kind, call, signed=False, cost=cost)


QUESTIONS: dict[str, Route[Question]] = {
    route.path.rpartition("/")[2]: route
    for route in (
        _asked("meta", meta),
        _asked("metaAndAssetCtxs", contexts),
        _asked("spotMeta", spot_meta),
        _asked("allMids", mids, _LIGHT),
        _asked("l2Book", book, _LIGHT),
        _asked("candleSnapshot", candles),
        _asked("recentTrades", recent_trades),
        _asked("fundingHistory", funding_history),
        _asked("clearinghouseState", state, _LIGHT, account=True),
        _asked("openOrders", open_orders, account=True),
        _asked("frontendOpenOrders", frontend_open_orders, account=True),
        _asked("orderStatus", order_status, _LIGHT, account=True),
        _asked("historicalOrders", historical_orders, account=True),
        _asked("userFills", fills, account=True),
        _asked("userFillsByTime", fills_by_time, account=True),
        _asked("userFunding", user_funding, account=True),
        _asked("userFees", user_fees, account=True),
        _asked("userRole", user_role, _ROLE, account=True),
        _asked("userRateLimit", user_rate_limit, account=True),
    )
}
