"""Market data over REST."""

from __future__ import annotations

from typing import Any

from exchanges.simulators.base.market import DAY_MS, SymbolMarket
from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.orders import category_in
from exchanges.simulators.bybit.topics import LINEAR, SPOT, category_of
from exchanges.simulators.bybit.venue import BybitVenue
from exchanges.simulators.bybit.wire import SIDES, Json, text

INTERVALS_MS = {
    **{str(minutes): minutes * 60_000 for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": DAY_MS,
    "W": 7 * DAY_MS,
    "M": 30 * DAY_MS,
}
HOUR_NS = 3_600 * 1_000_000_000


def server_time(venue: BybitVenue, account: str, params: Json) -> Json:
    now = venue.now_ns()
    return {"timeSecond": str(now // 1_000_000_000), "timeNano": str(now)}


def instruments(venue: BybitVenue, account: str, params: Json) -> Json:
    category, chosen = _chosen(venue, params)
    start, limit = cursor_of(params), limit_of(params, 500, 1_000)
    page = chosen[start : start + limit]
    following = str(start + limit) if start + limit < len(chosen) else ""
    return {"category": category, "list": [wire.instrument(m.instrument) for m in page], "nextPageCursor": following}


def _chosen(venue: BybitVenue, params: Json) -> tuple[str, list[SymbolMarket]]:
    category, symbol = category_in(params), params.get("symbol")
    return category, [venue.market_of(category, symbol)] if symbol else venue.listed(category)


def tickers(venue: BybitVenue, account: str, params: Json) -> Json:
    category, chosen = _chosen(venue, params)
    return {"category": category, "list": [ticker(venue, market) for market in chosen]}


def ticker(venue: BybitVenue, market: SymbolMarket) -> Json:
    """A symbol's ticker; what the simulation doesn't have (open interest) is neutral."""
    return _spot_ticker(venue, market) if category_of(market.instrument) == SPOT else _perpetual_ticker(venue, market)


def _spot_ticker(venue: BybitVenue, market: SymbolMarket) -> Json:
    bids, asks = venue.engine.markets[market.instrument.symbol].depth(1)
    return {
        **_prices(market),
        "bid1Price": text(bids[0][0]) if bids else "",
        "bid1Size": text(bids[0][1]) if bids else "",
        "ask1Price": text(asks[0][0]) if asks else "",
        "ask1Size": text(asks[0][1]) if asks else "",
        "usdIndexPrice": f"{market.last:.{market.places}f}" if market.last else "",
    }


def _prices(market: SymbolMarket) -> Json:
    """What both categories say of today's prices."""
    today, places = market.days.current, market.places
    first = today.open if today else 0.0
    return {
        "symbol": market.instrument.native,
        "lastPrice": f"{market.last:.{places}f}" if market.last else "0",
        "prevPrice24h": f"{first:.{places}f}",
        "price24hPcnt": f"{market.last / first - 1:.6f}" if first else "0",
        "highPrice24h": f"{today.high:.{places}f}" if today else "0",
        "lowPrice24h": f"{today.low:.{places}f}" if today else "0",
        "turnover24h": wire.amount(today.turnover) if today else "0",
        "volume24h": wire.amount(today.volume) if today else "0",
    }


def _perpetual_ticker(venue: BybitVenue, market: SymbolMarket) -> Json:
    symbol = market.instrument.symbol
    bids, asks = venue.engine.markets[symbol].depth(1)
    last = f"{market.last:.{market.places}f}" if market.last else "0"
    mark = venue.mark(symbol)
    due = venue.boundary(venue.now_ns()) + 1
    return {
        **_prices(market),
        "tickDirection": _direction(market),
        "indexPrice": last,
        "markPrice": f"{mark:.{market.places}f}" if mark else "0",
        "prevPrice1h": last,
        "openInterest": "0",
        "openInterestValue": "0",
        "fundingRate": text(venue.rate(market.key, due)),
        "nextFundingTime": str(due * venue.funding_ns // 1_000_000),
        "fundingIntervalHour": str(max(1, venue.funding_ns // HOUR_NS)),
        "bid1Price": text(bids[0][0]) if bids else "",
        "bid1Size": text(bids[0][1]) if bids else "",
        "ask1Price": text(asks[0][0]) if asks else "",
        "ask1Size": text(asks[0][1]) if asks else "",
    }


def _direction(market: SymbolMarket) -> str:
    return f"{'' if market.moved else 'Zero'}{'Plus' if market.move > 0 else 'Minus'}Tick"


def book(venue: BybitVenue, market: SymbolMarket, levels: int) -> Json:
    """The visible book, best first."""
    engine_market = venue.engine.markets[market.instrument.symbol]
    bids, asks = engine_market.depth(levels)
    return {
        "s": market.instrument.native,
        "b": [[text(price), text(size)] for price, size in bids],
        "a": [[text(price), text(size)] for price, size in asks],
        "u": engine_market.external.generation + 1,
        "seq": market.sequence,
    }


def orderbook(venue: BybitVenue, account: str, params: Json) -> Json:
    market = venue.market_of(params.get("category"), params.get("symbol"))
    now = venue.now_ms()
    return {**book(venue, market, limit_of(params, 25, 1_000)), "ts": now, "cts": market.last_ms or now}


def kline(venue: BybitVenue, account: str, params: Json) -> Json:
    market = venue.market_of(params.get("category"), params.get("symbol"))
    interval = INTERVALS_MS.get(str(params.get("interval")))
    if interval is None:
        raise ApiError(PARAMETER, f"expected interval as one of {list(INTERVALS_MS)}, found {params.get('interval')!r}")
    start, end = time_of(params, "start", 0), time_of(params, "end", 1 << 62)
    found = [c for c in market.minutes.grouped(interval) if start <= c.start <= end]
    newest = found[-limit_of(params, 200, 1_000) :][::-1]
    rows = [wire.candle(candle, market.places) for candle in newest]
    return {"category": params["category"], "symbol": market.instrument.native, "list": rows}


def recent_trades(venue: BybitVenue, account: str, params: Json) -> Json:
    market = venue.market_of(params.get("category"), params.get("symbol"))
    newest = list(market.recent)[-limit_of(params, 500, 1_000) :][::-1]
    rows = [
        {
            "execId": trade_id,
            "symbol": market.instrument.native,
            "price": f"{price:.{market.places}f}",
            "size": wire.amount(size),
            "side": SIDES[side],
            "time": str(ts_ns // 1_000_000),
            "isBlockTrade": False,
        }
        for ts_ns, _, price, size, side, trade_id in newest
    ]
    return {"category": params["category"], "list": rows}


def funding_history(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/market/funding/history``, newest first."""
    market = venue.market_of(LINEAR if params.get("category") == LINEAR else "", params.get("symbol"))
    start, end = time_of(params, "startTime", 0), time_of(params, "endTime", 1 << 62)
    last = min(venue.boundary(venue.now_ns()), end * 1_000_000 // venue.funding_ns)
    rows = []
    for boundary in range(last, last - limit_of(params, 200, 200), -1):
        at = boundary * venue.funding_ns // 1_000_000
        if at >= start:
            rate = text(venue.rate(market.key, boundary))
            rows.append({"symbol": market.instrument.native, "fundingRate": rate, "fundingRateTimestamp": str(at)})
    return {"category": LINEAR, "list": rows}


def limit_of(params: Json, default: int, most: int) -> int:
    """The page size asked for, within the venue's bounds."""
    return min(max(_integer(params, "limit", default), 1), most)


def time_of(params: Json, name: str, default: int) -> int:
    return _integer(params, name, default)


def cursor_of(params: Json) -> int:
    """Cursors are plain offsets here; clients must treat them as opaque."""
    return _integer(params, "cursor", 0)


def _integer(params: Json, name: str, default: int) -> int:
    value: Any = params.get(name)
    if value in (None, ""):
        return default
    if not str(value).isdigit():
        raise ApiError(PARAMETER, f"expected {name} as a whole number, found {value!r}")
    return int(value)
