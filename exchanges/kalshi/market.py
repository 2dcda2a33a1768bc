"""Markets, their series, trades, candles and books, as REST gives them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from exchanges.kalshi import amounts
from exchanges.kalshi.amounts import ONE, SECOND, ZERO, Fields, WireError
from exchanges.kalshi.direction import complement, side_of
from exchanges.kalshi.fees import Rates
from exchanges.kalshi.settings import VENUE, KalshiSettings
from exchanges.model.instrument import ContractKind, FeeModel, Instrument, PriceStep
from exchanges.model.market import Bar, Trade

FRACTION = Decimal("0.01")
"""The finest count of contracts."""

Levels = dict[Decimal, Decimal]
"""Contracts by price, of one side of a book."""


class MarketState(enum.StrEnum):
    """Where a market stands in its life, in the venue's words."""

    INITIALIZED = "initialized"
    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"
    DETERMINED = "determined"
    DISPUTED = "disputed"
    AMENDED = "amended"
    FINALIZED = "finalized"
    UNKNOWN = "unknown"
    """A word we don't know: not tradable, and not settled."""

    @property
    def pending(self) -> bool:
        """Closed and not yet paid: what is held is locked."""
        return self in _PENDING


_PENDING = (MarketState.CLOSED, MarketState.DETERMINED, MarketState.DISPUTED, MarketState.AMENDED)
_STATES = {state.value: state for state in MarketState if state is not MarketState.UNKNOWN}


class Market(NamedTuple):
    """One market's row, read."""

    ticker: str
    event: str
    series: str
    state: MarketState
    opens_ns: int
    closes_ns: int
    steps: tuple[PriceStep, ...]
    lot: Decimal
    value: Decimal
    word: str
    """The state as the venue spelled it."""


def full(ticker: str) -> str:
    """``KXHIGHNY-24AUG08-T85`` as ``kalshi:KXHIGHNY-24AUG08-T85``."""
    return f"{VENUE}:{ticker}"


def native(symbol: str) -> str:
    """``kalshi:TICKER`` as ``TICKER``; raises ``WireError`` for another venue's symbol."""
    venue, _, ticker = symbol.partition(":")
    if venue != VENUE or not ticker or "/" in ticker or "?" in ticker:
        raise WireError(f"expected a symbol such as kalshi:KXHIGHNY-24AUG08-T85, found {symbol!r}")
    return ticker


# -- markets ---------------------------------------------------------------------------------


def market(fields: Fields) -> Market:
    """One row of ``/markets``.

    Raises:
        WireError: ticker, times, price ranges or contract value make no sense.
    """
    ticker = amounts.text(fields, "ticker")
    event = amounts.optional_text(fields, "event_ticker")
    word = amounts.text(fields, "status")
    value = amounts.positive(amounts.dollars(fields, "notional_value") or ONE, "notional_value_dollars")
    return Market(
        ticker,
        event,
        amounts.optional_text(fields, "series_ticker") or (event or ticker).split("-", 1)[0],
        _STATES.get(word, MarketState.UNKNOWN),
        amounts.instant(fields, "open_time"),
        amounts.instant(fields, "close_time"),
        _steps(fields, value),
        ONE if fields.get("fractional_trading_enabled") is False else FRACTION,
        value,
        word,
    )


def _steps(fields: Fields, value: Decimal) -> tuple[PriceStep, ...]:
    """The price steps, ascending; from the whole-cent ``tick_size`` where there are no ranges."""
    ranges = amounts.rows(fields, "price_ranges")
    if not ranges:
        tick = amounts.dollars(fields, "tick_size")
        return (PriceStep(ZERO, amounts.positive(FRACTION if tick is None else tick, "tick_size")),)
    made: list[PriceStep] = []
    reached = ZERO
    for row in sorted(ranges, key=lambda row: amounts.decimal_of(row.get("start"), "price_ranges.start")):
        start = amounts.decimal_of(row.get("start"), "price_ranges.start")
        end = amounts.decimal_of(row.get("end"), "price_ranges.end")
        step = amounts.positive(amounts.decimal_of(row.get("step"), "price_ranges.step"), "price_ranges.step")
        if not reached <= start < end <= value or step > value:
            raise WireError(f"expected ascending price ranges up to {value}, found {start} to {end} by {step}")
        if start % step:
            # The model measures a price's step from 0.
            raise WireError(f"expected a range that starts on its own step {step}, found {start}")
        made.append(PriceStep(start, step))
        reached = end
    return tuple(made)


def instrument(row: Market, fees: Rates, settings: KalshiSettings) -> Instrument:
    """The instrument of a market: its price is that of YES, its quantity counts YES contracts.

    ``opens_ns`` and ``closes_ns`` are given while they lie ahead by the market's own state.
    """
    trading = row.state is MarketState.ACTIVE
    return Instrument(
        symbol=full(row.ticker),
        venue=VENUE,
        native=row.ticker,
        kind=ContractKind.BINARY_EVENT,
        base=row.ticker,
        quote="USD",
        tick=min(step.step for step in row.steps),
        lot=row.lot,
        min_quantity=row.lot,
        max_quantity=settings.max_quantity,
        min_notional=ZERO,
        maker_fee=fees.maker,
        taker_fee=fees.taker,
        trading=trading,
        fee_model=FeeModel.QUADRATIC,
        fee_step=settings.fee_step,
        price_steps=row.steps if len(row.steps) > 1 else (),
        contract_value=row.value,
        opens_ns=row.opens_ns if row.state is MarketState.INITIALIZED else 0,
        closes_ns=row.closes_ns if trading or row.state is MarketState.INACTIVE else 0,
        short=True,
    )


# -- trades and candles ----------------------------------------------------------------------


def trade(fields: Fields, recv_ns: int) -> Trade:
    """One public trade, of REST or of the stream; the price is that of YES, ``buy`` took YES."""
    ticker = amounts.text(fields, "market_ticker", "ticker")
    price = amounts.traded_price(amounts.dollars(fields, "yes_price"), "yes_price_dollars")
    size = amounts.positive(amounts.count(fields, "count"), "count_fp")
    word = amounts.text(fields, "taker_book_side", "taker_outcome_side", "taker_side")
    return Trade(
        full(ticker),
        0,
        0,
        amounts.instant(fields, "ts_ms", "created_time", "ts") or recv_ns,
        recv_ns,
        float(price),
        float(size),
        direction(word).value,
        amounts.text(fields, "trade_id"),
    )


def direction(word: str) -> Any:
    """The YES side a word of the venue names; raises ``WireError`` for an unknown one."""
    try:
        return side_of(word)
    except ValueError as error:
        raise WireError(str(error)) from error


def candle(fields: Fields, ticker: str, length_ns: int, recv_ns: int) -> Bar | None:
    """One candle of trades; ``None`` for a period without any. The venue dates it by its end."""
    ended = amounts.instant(fields, "end_period_ts")
    prices = fields.get("price")
    if not isinstance(prices, dict):
        raise WireError(f"expected an object in price, found {prices!r}")
    four = [amounts.dollars(prices, name) for name in ("open", "high", "low", "close")]
    if None in four:
        return None
    opened, high, low, closed = (amounts.traded_price(value, "price") for value in four)
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise WireError(f"expected low <= open, close <= high, found {opened} {high} {low} {closed}")
    volume = amounts.not_negative(amounts.count(fields, "volume"), "volume_fp")
    if ended < length_ns:
        raise WireError(f"expected end_period_ts after the first period, found {ended}")
    values = (float(opened), float(high), float(low), float(closed), float(volume))
    return Bar(full(ticker), 0, 0, ended - length_ns, recv_ns, *values, length_ns, True)


def merged(bars: Sequence[Bar], length_ns: int) -> list[Bar]:
    """Candles put together to longer ones of ``length_ns``, which their length divides."""
    made: list[Bar] = []
    for bar in bars:
        start = bar.ts_ns - bar.ts_ns % length_ns
        last = made[-1] if made else None
        if last is None or last.ts_ns != start:
            values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        else:
            made.pop()
            volume = last.volume + bar.volume
            values = (last.open, max(last.high, bar.high), min(last.low, bar.low), bar.close, volume)
        made.append(Bar(bar.symbol, 0, 0, start, bar.recv_ns, *values, length_ns, True))
    return made


# -- books -----------------------------------------------------------------------------------


def levels(value: object, name: str, *, flipped: bool) -> Levels:
    """One side of a book, ``[[price, count], ...]``; ``flipped`` turns prices of NO into prices of YES.

    Raises:
        WireError: a level isn't a pair, a price not tradable, a count negative.
    """
    if value is None:
        return {}
    if not isinstance(value, list):
        raise WireError(f"expected a list of levels in {name}, found {value!r}")
    made: Levels = {}
    for level in value:
        if not isinstance(level, list) or len(level) != 2:
            raise WireError(f"expected a pair of price and count in {name}, found {level!r}")
        price = amounts.traded_price(amounts.decimal_of(level[0], name), name)
        size = amounts.not_negative(amounts.decimal_of(level[1], name), name)
        if size:
            made[complement(price) if flipped else price] = size
    return made


def rest_book(fields: Fields) -> tuple[Levels, Levels]:
    """Bids and asks of YES out of ``/markets/{ticker}/orderbook``, which lists bids of both legs."""
    book = fields.get("orderbook_fp") or fields.get("orderbook")
    if not isinstance(book, dict):
        raise WireError(f"expected an object in orderbook_fp, found {book!r}")
    return (
        levels(book.get("yes_dollars"), "yes_dollars", flipped=False),
        levels(book.get("no_dollars"), "no_dollars", flipped=True),
    )


def seconds_up(ns: int) -> int:
    """Whole seconds, rounded up."""
    return -(-ns // SECOND)
