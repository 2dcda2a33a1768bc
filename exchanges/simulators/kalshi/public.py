"""Market data over REST."""

from __future__ import annotations

from collections.abc import Iterable

from exchanges.simulators.kalshi import form, page, wire
from exchanges.simulators.kalshi.errors import invalid, missing
from exchanges.simulators.kalshi.floor import Floor
from exchanges.simulators.kalshi.form import Json, Params
from exchanges.simulators.kalshi.listing import FILTERS, SECOND, Listing

INTERVALS_MS = {"1": 60_000, "60": 3_600_000, "1440": 86_400_000}
MOST_LEVELS = 60


def status(floor: Floor, account: str, params: Params) -> Json:
    return {"exchange_active": True, "trading_active": True, "exchange_estimated_resume_time": None}


def markets(floor: Floor, account: str, params: Params) -> Json:
    """``/markets``: in the order they are listed."""
    form.known(params, ("limit", "cursor", "event_ticker", "series_ticker", "status", "tickers", "min_close_ts",
                        "max_close_ts", "mve_filter"))  # fmt: skip
    tickers, event = form.listed(params, "tickers"), form.text(params, "event_ticker", "")
    series, word = form.text(params, "series_ticker", ""), form.choice(params, "status", tuple(FILTERS), "")
    phases = FILTERS.get(word)
    first = form.integer(params, "min_close_ts", 0) * SECOND
    last = form.integer(params, "max_close_ts", 1 << 40) * SECOND

    def wanted(listing: Listing) -> bool:
        return (
            (not tickers or listing.ticker in tickers)
            and event in ("", listing.event)
            and series in ("", listing.series)
            and (phases is None or listing.phase in phases)
            and first <= listing.closes_ns <= last
        )

    found, cursor = page.in_order(_listed(floor), params, wanted)
    return {"markets": [floor.market_row(listing) for listing in found], "cursor": cursor}


def market(floor: Floor, account: str, params: Params) -> Json:
    listing, _ = floor.market(form.text(params, "ticker"))
    return {"market": floor.market_row(listing)}


def orderbook(floor: Floor, account: str, params: Params) -> Json:
    """``/markets/{ticker}/orderbook``: bids for YES and for NO, the best last."""
    listing, _ = floor.market(form.text(params, "ticker"))
    levels = form.integer(params, "depth", 0, 0, 100) or MOST_LEVELS
    yes, no = wire.book(*floor.depth(listing.ticker, levels))
    return {"orderbook_fp": {"yes_dollars": yes, "no_dollars": no}}


def trades(floor: Floor, account: str, params: Params) -> Json:
    """``/markets/trades``: the most recent ones, newest first."""
    form.known(params, ("limit", "cursor", "ticker", "min_ts", "max_ts"))
    ticker = form.text(params, "ticker", "")
    chosen = [floor.market(ticker)[1]] if ticker else list(floor.venue.markets.values())
    first, last = form.integer(params, "min_ts", 0) * SECOND, form.integer(params, "max_ts", 1 << 40) * SECOND
    rows = sorted((row for one in chosen for row in one.recent), key=lambda row: row[0])
    found, cursor = page.newest_first(rows, params, lambda row: first <= row[0] <= last)
    return {"trades": [wire.trade(row, stream=False) for row in found], "cursor": cursor}


def series(floor: Floor, account: str, params: Params) -> Json:
    """``/series/{series}``: with what its fees are computed from."""
    ticker = form.text(params, "series")
    members = [listing for listing in _listed(floor) if listing.series == ticker]
    if not members:
        raise missing("series", ticker)
    known = floor.listings.series(members[0].ticker)
    maker = any(floor.venue.markets[listing.ticker].instrument.maker_fee for listing in members)
    return {
        "series": {
            "ticker": ticker,
            "title": known.title,
            "category": known.category,
            "frequency": known.frequency,
            "fee_type": "quadratic_with_maker_fees" if maker else "quadratic",
            "fee_multiplier": wire.number(floor.listings.multiplier),
            "settlement_sources": [],
            "tags": [],
            "contract_url": "",
            "contract_terms_url": "",
            "additional_prohibitions": [],
        }
    }


def candlesticks(floor: Floor, account: str, params: Params) -> Json:
    """``/series/{series}/markets/{ticker}/candlesticks``: those whose end is within the times asked for."""
    form.known(params, ("series", "ticker", "start_ts", "end_ts", "period_interval"))
    listing, one = floor.market(form.text(params, "ticker"))
    if listing.series != form.text(params, "series"):
        raise missing("market", f"{listing.ticker} in series {params['series']}")
    interval = INTERVALS_MS.get(str(params.get("period_interval")))
    if interval is None:
        raise invalid(f"expected period_interval of {list(INTERVALS_MS)}, found {params.get('period_interval')!r}")
    if not params.get("start_ts") or not params.get("end_ts"):
        raise invalid("expected start_ts and end_ts, found one missing")
    first, last = form.integer(params, "start_ts", 0) * 1_000, form.integer(params, "end_ts", 0) * 1_000
    before, rows, interest = None, [], floor.interest(listing.ticker)
    for candle in one.minutes.grouped(interval):
        if first <= candle.start + interval <= last:
            rows.append(wire.candle(candle, interval, before, interest))
        before = candle.close
    return {"ticker": listing.ticker, "candlesticks": rows}


def events(floor: Floor, account: str, params: Params) -> Json:
    """``/events``, with their markets if asked for."""
    form.known(params, ("limit", "cursor", "status", "series_ticker", "with_nested_markets"))
    series, word = form.text(params, "series_ticker", ""), form.choice(params, "status", tuple(FILTERS), "")
    nested, phases = form.flag(params, "with_nested_markets"), FILTERS.get(word)
    by_event: dict[str, list[Listing]] = {}
    for listing in _listed(floor):
        by_event.setdefault(listing.event, []).append(listing)

    def wanted(members: list[Listing]) -> bool:
        of_phase = phases is None or any(listing.phase in phases for listing in members)
        return series in ("", members[0].series) and of_phase

    found, cursor = page.in_order(list(by_event.values()), params, wanted)
    rows = [_event(floor, members) | (_nested(floor, members) if nested else {}) for members in found]
    return {"events": rows, "cursor": cursor, "milestones": []}


def event(floor: Floor, account: str, params: Params) -> Json:
    ticker = form.text(params, "event")
    members = [listing for listing in _listed(floor) if listing.event == ticker]
    if not members:
        raise missing("event", ticker)
    return {"event": _event(floor, members), **_nested(floor, members)}


def _event(floor: Floor, members: list[Listing]) -> Json:
    first = members[0]
    return {
        "event_ticker": first.event,
        "series_ticker": first.series,
        "title": first.title,
        "sub_title": first.event.partition("-")[2],
        "category": floor.listings.series(first.ticker).category,
        "collateral_return_type": "",
        "mutually_exclusive": False,
        "strike_period": "",
        "available_on_brokers": False,
    }


def _nested(floor: Floor, members: Iterable[Listing]) -> Json:
    return {"markets": [floor.market_row(listing) for listing in members]}


def _listed(floor: Floor) -> list[Listing]:
    return [floor.annex.listings[ticker] for ticker in floor.venue.markets]
