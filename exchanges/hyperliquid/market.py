"""Instruments, trades, quotes, books, candles and contexts, as REST and the stream give them.

Market data becomes float64 here, once it was read exactly. A book comes whole each time (documented), so there is
nothing to keep in step and no sequence to watch: what counts is that it keeps coming.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any, NamedTuple

from exchanges.fields import ZERO, Fields, WireError, decimal_of, not_negative, positive, rows, text
from exchanges.hyperliquid.names import VENUE, full
from exchanges.hyperliquid.pricing import DECIMALS, price_steps
from exchanges.hyperliquid.wire import CURRENCY, inner, instant, side, whole
from exchanges.model.instrument import ContractKind, Instrument, lowest_maintenance
from exchanges.model.market import Bar, Book, Quote, Ticker, Trade
from exchanges.model.trigger import Source, StopOrders

MIN_NOTIONAL = Decimal(10)
MOST = Decimal(10) ** 9
"""The venue names no largest order; its margin and its caps say no."""

FUNDING_NS = 3_600 * 1_000_000_000


class Fees(NamedTuple):
    """The account's rates, as fractions of notional."""

    maker: Decimal
    taker: Decimal


STANDARD = Fees(Decimal("0.00015"), Decimal("0.00045"))
"""The rates of the lowest tier, as the venue publishes them."""


def instrument(row: Fields, fees: Fees) -> Instrument:
    """The perpetual in one row of ``meta``'s universe.

    Raises:
        WireError: its name, decimals or leverage make no sense.
    """
    coin, places = text(row, "name"), whole(row, "szDecimals")
    if places > DECIMALS:
        raise WireError(f"expected szDecimals of at most {DECIMALS}, found {places} of {coin}")
    steps, lot = price_steps(places), Decimal(1).scaleb(-places)
    leverage = Decimal(max(whole(row, "maxLeverage"), 1))
    return Instrument(
        symbol=full(coin),
        venue=VENUE,
        native=coin,
        kind=ContractKind.LINEAR_PERPETUAL,
        base=coin,
        quote=CURRENCY,
        tick=steps[0].step,
        lot=lot,
        min_quantity=lot,
        max_quantity=MOST,
        min_notional=MIN_NOTIONAL,
        maker_fee=fees.maker,
        taker_fee=fees.taker,
        trading=row.get("isDelisted") is not True,
        price_steps=steps if len(steps) > 1 else (),
        max_leverage=leverage,
        maintenance_rate=lowest_maintenance(leverage),
        funding_interval_ns=FUNDING_NS,
        stops=STOPS,
    )


STOPS = StopOrders(sources=(Source.MARK,), amend=False)
"""Trigger orders: they are met by the mark price (documented), and changed only by another order."""


def fees(answer: object) -> Fees:
    """The rates in ``userFees``; raises ``WireError`` where they make no sense."""
    told = inner({"userFees": answer}, "userFees")
    found = Fees(*(decimal_of(told.get(name), name) for name in ("userAddRate", "userCrossRate")))
    if not all(abs(rate) < Decimal("0.1") for rate in found):
        raise WireError(f"expected fee rates below 0.1, found {found.maker} and {found.taker}")
    return found


def trade(row: Fields, recv_ns: int) -> Trade:
    """One public trade; its side is the taker's."""
    price = positive(decimal_of(row.get("px"), "px"), "px")
    size = positive(decimal_of(row.get("sz"), "sz"), "sz")
    identity = str(whole(row, "tid"))
    ts_ns = instant(row, "time")
    return Trade(full(text(row, "coin")), 0, 0, ts_ns, recv_ns, float(price), float(size), side(row).value, identity)


def quote(data: Fields, recv_ns: int) -> Quote | None:
    """The best bid and ask in a ``bbo``; ``None`` while a side is empty.

    Raises:
        WireError: a level makes no sense, or they cross.
    """
    levels = data.get("bbo")
    if not isinstance(levels, list) or len(levels) != 2:
        raise WireError(f"expected bid and ask in bbo, found {levels!r}")
    if levels[0] is None or levels[1] is None:
        return None
    (bid, bids), (ask, asks) = (_level(level) for level in levels)
    if bid >= ask:
        raise WireError(f"expected a bid below the ask, found {bid} and {ask}")
    symbol, ts_ns = full(text(data, "coin")), instant(data, "time")
    return Quote(symbol, 0, 0, ts_ns, recv_ns, float(bid), float(bids), float(ask), float(asks))


def depth(data: Fields) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    """Bids and asks of an ``l2Book``, best first.

    Raises:
        WireError: a level makes no sense, they are out of order, or they cross.
    """
    sides = data.get("levels")
    if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(levels, list) for levels in sides):
        raise WireError(f"expected bids and asks in levels, found {type(sides).__name__}")
    bids, asks = ([_level(level) for level in levels] for levels in sides)
    ordered = [price for price, _ in reversed(bids)] + [price for price, _ in asks]
    if any(lower >= higher for lower, higher in itertools.pairwise(ordered)):
        raise WireError("expected bids below asks, each best first, found levels out of order")
    return bids, asks


def book(data: Fields, recv_ns: int, levels: int) -> Book | None:
    """The best ``levels`` of each side; ``None`` while one is empty."""
    bids, asks = depth(data)
    if not bids or not asks:
        return None
    shown = [tuple((float(price), float(size)) for price, size in found[:levels]) for found in (bids, asks)]
    return Book(full(text(data, "coin")), 0, 0, instant(data, "time"), recv_ns, *shown)


def _level(level: Any) -> tuple[Decimal, Decimal]:
    if not isinstance(level, dict):
        raise WireError(f"expected a level with px and sz, found {level!r}")
    return positive(decimal_of(level.get("px"), "px"), "px"), positive(decimal_of(level.get("sz"), "sz"), "sz")


def bar(row: Fields, interval: str, interval_ns: int, recv_ns: int, *, closed: bool) -> Bar:
    """One candle, as the stream and ``candleSnapshot`` give it.

    Raises:
        WireError: it is of another length, or its prices make no sense.
    """
    if row.get("i") != interval:
        raise WireError(f"expected candles of {interval}, found {row.get('i')!r}")
    opened, high, low, last = (positive(decimal_of(row.get(name), name), name) for name in ("o", "h", "l", "c"))
    if not low <= min(opened, last) <= max(opened, last) <= high:
        raise WireError(f"expected low <= open, close <= high, found {opened} {high} {low} {last}")
    volume = not_negative(decimal_of(row.get("v"), "v"), "v")
    values = (float(opened), float(high), float(low), float(last), float(volume))
    return Bar(full(text(row, "s")), 0, 0, instant(row, "t"), recv_ns, *values, interval_ns, closed)


def ticker(data: Fields, recv_ns: int) -> Ticker:
    """Mark, index and the rate of the running hour in an ``activeAssetCtx``, which names no time of its own."""
    told = inner(data, "ctx")
    mark = positive(decimal_of(told.get("markPx"), "markPx"), "markPx")
    index = positive(decimal_of(told.get("oraclePx"), "oraclePx"), "oraclePx")
    rate = rate_of(told, "funding")
    next_ns = recv_ns - recv_ns % FUNDING_NS + FUNDING_NS
    symbol = full(text(data, "coin"))
    return Ticker(symbol, 0, 0, recv_ns, recv_ns, float(mark), float(index), rate, next_ns)


def rate_of(fields: Fields, name: str) -> float:
    """A funding rate, as a fraction an hour; raises ``WireError`` beyond what the venue caps it at (4 %)."""
    value = fields.get(name)
    try:
        found = float(value) if isinstance(value, str) else 1.0
    except ValueError as error:
        raise WireError(f"expected a rate in {name}, found {value!r}") from error
    if not abs(found) <= 0.04:
        raise WireError(f"expected a rate of at most 0.04 in {name}, found {value!r}")
    return found


def universe(answer: object) -> list[dict[str, Any]]:
    """The rows of ``meta``, whose places are the assets' numbers; raises ``WireError`` without any."""
    found = rows(inner({"meta": answer}, "meta"), "universe")
    if not found:
        raise WireError("expected perpetuals in meta's universe, found none")
    return found


def best(answer: object) -> tuple[Decimal, Decimal]:
    """The best bid and ask of a fetched ``l2Book``, 0 for an empty side."""
    bids, asks = depth(inner({"l2Book": answer}, "l2Book"))
    return (bids[0][0] if bids else ZERO), (asks[0][0] if asks else ZERO)
