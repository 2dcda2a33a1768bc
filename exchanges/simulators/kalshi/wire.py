"""How orders, fills, positions and markets look on the wire.

Prices are dollars of the YES contract, in strings of four to six decimals; counts have two.
``*_fp`` and ``*_dollars`` are the venue's suffixes for the two. The whole-cent fields of the older
protocol are not sent any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from exchanges.matching import record as reasons
from exchanges.matching.account import Account
from exchanges.matching.record import ZERO, Execution, OrderRecord
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderStatus, Side
from exchanges.model.position import Position
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.candles import Candle
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.kalshi.annex import Ticket
from exchanges.simulators.kalshi.form import Json
from exchanges.simulators.kalshi.listing import Listing, Phase, identity
from exchanges.simulators.kalshi.tally import ONE, OrderTally
from exchanges.simulators.keys import key_of

MS = 1_000_000
_MICRO = Decimal("0.000001")
BOOK_SIDES = {Side.BUY: "bid", Side.SELL: "ask"}
OUTCOMES = {Side.BUY: "yes", Side.SELL: "no"}
"""Who buys YES bets on yes, who sells it bets on no, whatever is held."""
STATUSES = {
    OrderStatus.OPEN: "resting",
    OrderStatus.PARTIALLY_FILLED: "resting",
    OrderStatus.FILLED: "executed",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "canceled",
    OrderStatus.REJECTED: "canceled",
}
UPDATE_REASONS = {
    reasons.POST_ONLY_CROSS: "PostOnlyCrossCancel",
    reasons.SELF_TRADE: "SelfTradeCancel",
    reasons.REDUCE_ONLY: "ReduceOnlyCancel",
}

Levels = Sequence[tuple[Decimal, Decimal]]
"""Price and quantity."""


def dollars(value: Decimal) -> str:
    """An amount with four decimals, or as many as six where it has them."""
    written = f"{value.quantize(_MICRO):.6f}"
    return written[:-2] if written.endswith("00") else written


def count(value: Decimal) -> str:
    return f"{value:.2f}"


def number(value: Decimal) -> int | float:
    """A bare JSON number, without decimals where it is whole."""
    return int(value) if value == int(value) else float(value)


def cents(value: Decimal) -> int:
    """Whole cents, what is less cut off."""
    return int(value * 100)


def instant(ts_ns: int) -> str | None:
    """RFC 3339 with microseconds, ``None`` for a time that isn't known."""
    if not ts_ns:
        return None
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest // 1_000:06d}Z" if rest // 1_000 else f"{stamp}Z"


def direction(side: Side) -> Json:
    """A side in the vocabulary of today and in that of before."""
    return {
        "outcome_side": OUTCOMES[side],
        "book_side": BOOK_SIDES[side],
        "side": "yes",
        "action": "buy" if side is Side.BUY else "sell",
    }


def prices(price: Decimal) -> Json:
    return {"yes_price_dollars": dollars(price), "no_price_dollars": dollars(ONE - price)}


def order(record: OrderRecord, tally: OrderTally, ticket: Ticket | None) -> Json:
    """An order as REST and ``user_orders`` give it."""
    return {
        "order_id": record.id,
        "user_id": identity(record.account),
        "client_order_id": record.client_id,
        "ticker": key_of(record.symbol),
        **direction(record.side),
        "type": "limit",
        "status": STATUSES[record.status],
        **prices(record.price or ZERO),
        "fill_count_fp": count(record.filled),
        "remaining_count_fp": count(ZERO if record.status.final else record.open),
        "initial_count_fp": ticket.initial if ticket else count(record.quantity),
        "taker_fill_cost_dollars": dollars(tally.taker_cost),
        "maker_fill_cost_dollars": dollars(tally.maker_cost),
        "taker_fees_dollars": dollars(tally.taker_fees),
        "maker_fees_dollars": dollars(tally.maker_fees),
        "expiration_time": instant(ticket.expires_ns) if ticket else None,
        "created_time": instant(record.created_ns),
        "last_update_time": instant(record.updated_ns),
        "last_update_reason": UPDATE_REASONS.get(record.reason, ""),
        "self_trade_prevention_type": ticket.self_trade if ticket else None,
        "cancel_order_on_pause": bool(ticket and ticket.cancel_on_pause),
        "order_group_id": None,
        "exchange_index": 0,
    }


def placed(record: OrderRecord) -> Json:
    """The answer to a new or amended order."""
    answer: Json = {
        "order_id": record.id,
        "client_order_id": record.client_id,
        "fill_count": count(record.filled),
        "remaining_count": count(ZERO if record.status.final else record.open),
        "ts_ms": record.updated_ns // MS,
    }
    if record.filled:
        answer["average_fill_price"] = dollars(record.average_price)
        answer["average_fee_paid"] = dollars(record.fee / record.filled)
    return answer


def cancelled(record: OrderRecord) -> Json:
    return {
        "order_id": record.id,
        "client_order_id": record.client_id,
        "reduced_by": count(record.open),
        "ts_ms": record.updated_ns // MS,
    }


def fill(done: Execution) -> Json:
    """A fill as REST gives it."""
    one = done.fill
    return {
        "fill_id": one.execution_id,
        "trade_id": one.execution_id,
        "order_id": one.venue_id,
        "client_order_id": one.client_id,
        "ticker": key_of(one.symbol),
        "market_ticker": key_of(one.symbol),
        "exchange_index": 0,
        **direction(one.side),
        "count_fp": count(one.quantity),
        **prices(one.price),
        "is_taker": not done.is_maker,
        "fee_cost": dollars(one.fee),
        "created_time": instant(one.ts_ns),
        "ts": one.ts_ns // 1_000_000_000,
        "ts_ms": one.ts_ns // MS,
    }


def fill_message(done: Execution, position: Decimal) -> Json:
    """A fill as the ``fill`` channel gives it; ``position`` is what is held after it."""
    one = done.fill
    return {
        "trade_id": one.execution_id,
        "order_id": one.venue_id,
        "client_order_id": one.client_id,
        "market_ticker": key_of(one.symbol),
        "is_taker": not done.is_maker,
        **direction(one.side),
        **prices(one.price),
        "count_fp": count(one.quantity),
        "fee_cost": dollars(one.fee),
        "post_position_fp": count(position),
        "ts": one.ts_ns // 1_000_000_000,
        "ts_ms": one.ts_ns // MS,
    }


def exposure(held: Position, instrument: Instrument) -> Decimal:
    """What an open position cost: YES at its average price, NO at what was missing to $1."""
    return instrument.commitment(held.quantity, held.average_price) if held.quantity else ZERO


def position(held: Position, instrument: Instrument, traded: Decimal, resting: int, updated_ns: int) -> Json:
    """One market of the account; a negative count is of NO contracts."""
    return {
        "ticker": instrument.native,
        "exchange_index": 0,
        "position_fp": count(held.quantity),
        "market_exposure_dollars": dollars(exposure(held, instrument)),
        "total_traded_dollars": dollars(traded),
        "realized_pnl_dollars": dollars(held.realized),
        "fees_paid_dollars": dollars(held.fees),
        "resting_orders_count": resting,
        "last_updated_ts": instant(updated_ns),
    }


def position_message(account: Account, held: Position, instrument: Instrument, volume: Decimal) -> Json:
    """The same as the ``market_positions`` channel gives it."""
    return {
        "user_id": identity(account.name),
        "market_ticker": instrument.native,
        "position_fp": count(held.quantity),
        "position_cost_dollars": dollars(exposure(held, instrument)),
        "realized_pnl_dollars": dollars(held.realized),
        "fees_paid_dollars": dollars(held.fees),
        "volume_fp": count(volume),
    }


def settlement(done: Execution, listing: Listing, fees: Decimal) -> Json:
    """A paid-out position: the execution sold YES at $1 or $0, or bought back what NO had sold.

    ``fees`` are all that were paid in the market.
    """
    one = done.fill
    yes, no = (one.quantity, ZERO) if one.side is Side.SELL else (ZERO, one.quantity)
    return {
        "ticker": listing.ticker,
        "event_ticker": listing.event,
        "market_result": listing.result.value,
        "yes_count_fp": count(yes),
        "no_count_fp": count(no),
        "revenue": cents(yes * one.price + no * (ONE - one.price)),
        "value": cents(one.price),
        "fee_cost": dollars(fees),
        "settled_time": instant(one.ts_ns),
    }


def book(bids: Levels, asks: Levels) -> tuple[list[list[str]], list[list[str]]]:
    """Bids for YES and for NO, the best last; who asks for YES at p bids for NO at 1 - p."""
    yes = [[dollars(price), count(size)] for price, size in reversed(bids)]
    no = [[dollars(ONE - price), count(size)] for price, size in reversed(asks)]
    return yes, no


def market(
    listing: Listing, one: SymbolMarket, bids: Levels, asks: Levels, *, volume: float, interest: Decimal
) -> Json:
    """A market as ``/markets`` gives it; ``bids`` and ``asks`` are the best levels of YES."""
    (bid, bid_size), (ask, ask_size) = (side[0] if side else (ZERO, ZERO) for side in (bids, asks))
    instrument = one.instrument
    last = dollars(Decimal(repr(one.last)))
    open_today = one.days.current.open if one.days.current else one.last
    before = dollars(Decimal(repr(open_today)))
    return {
        **_terms(listing, instrument),
        "status": listing.phase.value,
        "result": listing.result.value,
        "yes_bid_dollars": dollars(bid),
        "yes_ask_dollars": dollars(ask if asks else ONE),
        "no_bid_dollars": dollars(ONE - ask if asks else ZERO),
        "no_ask_dollars": dollars(ONE - bid),
        "yes_bid_size_fp": count(bid_size),
        "yes_ask_size_fp": count(ask_size),
        "last_price_dollars": last,
        "previous_price_dollars": before,
        "previous_yes_bid_dollars": before,
        "previous_yes_ask_dollars": before,
        "volume_fp": f"{volume:.2f}",
        "volume_24h_fp": f"{one.days.current.volume if one.days.current else 0.0:.2f}",
        "open_interest_fp": count(interest),
        "liquidity_dollars": "0.0000",
    }


def _terms(listing: Listing, instrument: Instrument) -> Json:
    """What does not move with trading."""
    paid = listing.phase in (Phase.DETERMINED, Phase.DISPUTED, Phase.AMENDED, Phase.FINALIZED)
    return {
        "ticker": listing.ticker,
        "event_ticker": listing.event,
        "market_type": "binary",
        "title": listing.title,
        "subtitle": listing.subtitle,
        "yes_sub_title": listing.subtitle,
        "no_sub_title": listing.subtitle,
        "created_time": instant(listing.created_ns),
        "updated_time": instant(listing.updated_ns),
        "open_time": instant(listing.opens_ns),
        "close_time": instant(listing.closes_ns),
        "expected_expiration_time": instant(listing.expires_ns),
        "expiration_time": instant(listing.expires_ns),
        "latest_expiration_time": instant(listing.expires_ns),
        "settlement_timer_seconds": listing.timer_s,
        "settlement_ts": instant(listing.settled_ns),
        "settlement_value_dollars": dollars(ONE if listing.result == "yes" else ZERO) if paid else None,
        "expiration_value": "",
        "can_close_early": True,
        "fractional_trading_enabled": True,
        "notional_value_dollars": dollars(instrument.contract_value),
        "price_level_structure": _structure(instrument),
        "price_ranges": price_ranges(instrument),
        "strike_type": listing.strike_type,
        "floor_strike": listing.floor_strike,
        "cap_strike": listing.cap_strike,
        "rules_primary": listing.rules,
        "rules_secondary": "",
        "exchange_index": 0,
    }


def _structure(instrument: Instrument) -> str:
    if instrument.price_steps:
        return "tapered_deci_cent"
    return "linear_cent" if instrument.tick == Decimal("0.01") else "deci_cent"


def price_ranges(instrument: Instrument) -> list[Json]:
    """From where to where prices move in which step."""
    steps = [(step.start, step.step) for step in instrument.price_steps] or [(ZERO, instrument.tick)]
    ends = [start for start, _ in steps[1:]] + [instrument.contract_value]
    return [
        {"start": dollars(start), "end": dollars(end), "step": dollars(step)}
        for (start, step), end in zip(steps, ends, strict=True)
    ]


def trade(row: Row, *, stream: bool) -> Json:
    """A public trade; the stream calls the market ``market_ticker`` and has the time in ms."""
    ts_ns, key, price, size, side, trade_id = row
    yes = Decimal(repr(price))
    made = {
        "trade_id": trade_id,
        **prices(yes),
        "count_fp": f"{size:.2f}",
        "taker_outcome_side": OUTCOMES[side],
        "taker_book_side": BOOK_SIDES[side],
    }
    if stream:
        return {"market_ticker": key, **made, "ts": ts_ns // 1_000_000_000, "ts_ms": ts_ns // MS}
    return {"ticker": key, **made, "created_time": instant(ts_ns)}


def candle(one: Candle, interval_ms: int, before: float | None, interest: Decimal) -> Json:
    """A candlestick of ``interval_ms``; ``before`` is the close of the one before.

    No history of quotes is kept: bids and asks are given as having stood where trades were.
    """
    made = {
        f"{name}_dollars": dollars(Decimal(repr(value)))
        for name, value in (("open", one.open), ("high", one.high), ("low", one.low), ("close", one.close))
    }
    mean = one.turnover / one.volume if one.volume else one.close
    price = made | {
        "mean_dollars": dollars(Decimal(repr(mean))),
        "previous_dollars": None if before is None else dollars(Decimal(repr(before))),
    }
    return {
        "end_period_ts": (one.start + interval_ms) // 1_000,
        "price": price,
        "yes_bid": made,
        "yes_ask": made,
        "volume_fp": f"{one.volume:.2f}",
        "open_interest_fp": count(interest),
    }
