"""Market data over REST."""

from __future__ import annotations

from typing import Any

from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.venue import DAY_MS, SymbolMarket, Venue
from exchanges.simulators.bybit.wire import SIDES, Json, text

INTERVALS_MS = {
    **{str(minutes): minutes * 60_000 for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": DAY_MS,
    "W": 7 * DAY_MS,
    "M": 30 * DAY_MS,
}
FUNDING_MS = 8 * 3_600_000


def server_time(venue: Venue, account: str, params: Json) -> Json:
    now = venue.now_ns()
    return {"timeSecond": str(now // 1_000_000_000), "timeNano": str(now)}


def instruments(venue: Venue, account: str, params: Json) -> Json:
    symbol = params.get("symbol")
    chosen = [venue.market(symbol)] if symbol else list(venue.markets.values())
    start, limit = cursor_of(params), limit_of(params, 500, 1_000)
    page = chosen[start : start + limit]
    following = str(start + limit) if start + limit < len(chosen) else ""
    return {"category": "linear", "list": [wire.instrument(m.instrument) for m in page], "nextPageCursor": following}


def tickers(venue: Venue, account: str, params: Json) -> Json:
    symbol = params.get("symbol")
    chosen = [venue.market(symbol)] if symbol else list(venue.markets.values())
    return {"category": "linear", "list": [ticker(venue, market) for market in chosen]}


def ticker(venue: Venue, market: SymbolMarket) -> Json:
    """A symbol's ticker; what the simulation doesn't have (funding, open interest) is neutral."""
    symbol = market.instrument.symbol
    bids, asks = venue.engine.markets[symbol].depth(1)
    last = f"{market.last:.{market.places}f}" if market.last else "0"
    today = market.days.current
    first = today.open if today else 0.0
    now = market.last_ms or venue.now_ms()
    return {
        "symbol": market.instrument.native,
        "tickDirection": market.tick_direction,
        "lastPrice": last,
        "indexPrice": last,
        "markPrice": last,
        "prevPrice24h": f"{first:.{market.places}f}",
        "price24hPcnt": f"{market.last / first - 1:.6f}" if first else "0",
        "highPrice24h": f"{today.high:.{market.places}f}" if today else "0",
        "lowPrice24h": f"{today.low:.{market.places}f}" if today else "0",
        "prevPrice1h": last,
        "openInterest": "0",
        "openInterestValue": "0",
        "turnover24h": wire.amount(today.turnover) if today else "0",
        "volume24h": wire.amount(today.volume) if today else "0",
        "fundingRate": "0.0001",
        "nextFundingTime": str((now // FUNDING_MS + 1) * FUNDING_MS),
        "fundingIntervalHour": "8",
        "bid1Price": text(bids[0][0]) if bids else "",
        "bid1Size": text(bids[0][1]) if bids else "",
        "ask1Price": text(asks[0][0]) if asks else "",
        "ask1Size": text(asks[0][1]) if asks else "",
    }


def book(venue: Venue, market: SymbolMarket, levels: int) -> Json:
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


def orderbook(venue: Venue, account: str, params: Json) -> Json:
    market = venue.market(params.get("symbol"))
    now = venue.now_ms()
    return {**book(venue, market, limit_of(params, 25, 1_000)), "ts": now, "cts": market.last_ms or now}


def kline(venue: Venue, account: str, params: Json) -> Json:
    market = venue.market(params.get("symbol"))
    interval = INTERVALS_MS.get(str(params.get("interval")))
    if interval is None:
        raise ApiError(PARAMETER, f"expected interval as one of {list(INTERVALS_MS)}, found {params.get('interval')!r}")
    start, end = time_of(params, "start", 0), time_of(params, "end", 1 << 62)
    found = [c for c in market.minutes.grouped(interval) if start <= c.start <= end]
    newest = found[-limit_of(params, 200, 1_000) :][::-1]
    rows = [wire.candle(candle, market.places) for candle in newest]
    return {"category": "linear", "symbol": market.instrument.native, "list": rows}


def recent_trades(venue: Venue, account: str, params: Json) -> Json:
    market = venue.market(params.get("symbol"))
    newest = list(market.recent)[-limit_of(params, 500, 1_000) :][::-1]
    rows = [
        {
            "execId": trade_id,
            "symbol": native,
            "price": f"{price:.{market.places}f}",
            "size": wire.amount(size),
            "side": SIDES[side],
            "time": str(ts_ns // 1_000_000),
            "isBlockTrade": False,
        }
        for ts_ns, native, price, size, side, trade_id in newest
    ]
    return {"category": "linear", "list": rows}


def funding_history(venue: Venue, account: str, params: Json) -> Json:
    market = venue.market(params.get("symbol"))
    last = (market.last_ms or venue.now_ms()) // FUNDING_MS
    rows = [
        {
            "symbol": market.instrument.native,
            "fundingRate": "0.0001",
            "fundingRateTimestamp": str((last - back) * FUNDING_MS),
        }
        for back in range(limit_of(params, 200, 200))
    ]
    return {"category": "linear", "list": rows}


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
