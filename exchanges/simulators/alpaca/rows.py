"""Orders, fills, positions, accounts and assets in the venue's own words."""

from __future__ import annotations

import uuid
from decimal import ROUND_DOWN, Decimal

from exchanges.hours import local
from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import ZERO, Execution, OrderRecord
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, Side
from exchanges.model.position import Position
from exchanges.simulators.alpaca import wire
from exchanges.simulators.alpaca.funds import funds
from exchanges.simulators.alpaca.instruments import (
    PAIRS,
    STOCKS,
    account_uuid,
    asset_id,
    execution_uuid,
    fractionable,
    is_crypto,
)
from exchanges.simulators.alpaca.tickets import Ticket
from exchanges.simulators.alpaca.wire import Json, text, text_or_null, time, time_or_null
from exchanges.simulators.base.market import SymbolMarket

ORDER_STATUSES = {"new", "accepted", "partially_filled"}
"""Of orders that still work."""
_CENT = Decimal("0.01")
_RATE = Decimal("0.0000000001")
_ENDS = {"filled": "filled_at", "canceled": "canceled_at", "expired": "expired_at", "rejected": "failed_at"}


def asset_class(instrument: Instrument) -> str:
    return "crypto" if is_crypto(instrument) else "us_equity"


def exchange(instrument: Instrument) -> str:
    if is_crypto(instrument):
        return wire.CRYPTO_EXCHANGE
    known = STOCKS.get(instrument.native)
    return known.exchange if known else "NYSE"


def order(
    ticket: Ticket,
    record: OrderRecord,
    instrument: Instrument,
    status: str = "",
    done: tuple[Decimal, Decimal] | None = None,
) -> Json:
    """An order as it is, or as it was in ``status`` when it had been filled with ``done`` (quantity and money)."""
    status = status or ticket.status(record)
    filled, value = done if done is not None else (ticket.filled(record), ticket.value(record))
    updated = ticket.replaced_ns or record.updated_ns
    ends: dict[str, str | None] = dict.fromkeys(("filled_at", "expired_at", "canceled_at", "failed_at"))
    if status in _ENDS:
        ends[_ENDS[status]] = time(updated)
    kind = "limit" if record.type is OrderType.LIMIT else "market"
    return {
        "id": ticket.id,
        "client_order_id": ticket.client_id,
        "created_at": time(ticket.created_ns),
        "updated_at": time(updated),
        "submitted_at": time(ticket.created_ns),
        **ends,
        "expires_at": time_or_null(ticket.expires_ns),
        "replaced_at": time_or_null(ticket.replaced_ns),
        "replaced_by": ticket.replaced_by or None,
        "replaces": ticket.replaces or None,
        "asset_id": asset_id(ticket.key),
        "symbol": instrument.native,
        "asset_class": asset_class(instrument),
        "notional": text_or_null(ticket.notional),
        "qty": text_or_null(ticket.quantity),
        "filled_qty": text(filled),
        "filled_avg_price": text(wire.average(value, filled)) if filled else None,
        "order_class": "",
        "order_type": kind,
        "type": kind,
        "side": record.side.value,
        "position_intent": ticket.intent,
        "time_in_force": ticket.time_in_force,
        "limit_price": text_or_null(ticket.limit),
        "stop_price": None,
        "status": status,
        "extended_hours": ticket.extended,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def update(event: str, shown: Json, ts_ns: int, done: Execution | None = None, position: Decimal = ZERO) -> Json:
    """A ``trade_updates`` message about the order ``shown``."""
    identifier = execution_uuid(done.fill.execution_id if done else f"{shown['id']}/{event}")
    data: Json = {"event": event, "execution_id": identifier, "timestamp": time(ts_ns), "order": shown}
    if done is not None:
        data |= {"price": text(done.fill.price), "qty": text(done.fill.quantity), "position_qty": text(position)}
    return {"stream": "trade_updates", "data": data}


def activity(done: Execution, ticket: Ticket, instrument: Instrument) -> Json:
    """A fill as an account activity."""
    fill = done.fill
    stamp = local(fill.ts_ns).strftime("%Y%m%d%H%M%S%f")[:17]
    filled = done.order_quantity - done.leaves - ticket.base_filled
    return {
        "id": f"{stamp}::{execution_uuid(fill.execution_id)}",
        "account_id": account_uuid(done.account),
        "activity_type": "FILL",
        "transaction_time": time(fill.ts_ns),
        "type": "partial_fill" if done.leaves else "fill",
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "side": fill.side.value,
        "symbol": instrument.native,
        "leaves_qty": text(done.leaves),
        "order_id": ticket.id,
        "cum_qty": text(filled),
        "order_status": "partially_filled" if done.leaves else "filled",
    }


def position(held: Position, market: SymbolMarket, mark: Decimal, working: Decimal) -> Json:
    """An open position; ``working`` is the quantity of it that open orders may close."""
    instrument, quantity = market.instrument, held.quantity
    price = mark or held.average_price
    profit, cost = held.unrealized(price), abs(held.cost)
    before = _day_before(market) or price
    change = (price / before - 1).quantize(_RATE)
    return {
        "asset_id": asset_id(market.key),
        "symbol": wire.position_name(market.key),
        "exchange": exchange(instrument),
        "asset_class": asset_class(instrument),
        "asset_marginable": not is_crypto(instrument),
        "avg_entry_price": text(wire.average(held.cost, quantity)),
        "qty": text(quantity),
        "qty_available": text(quantity - working if quantity > 0 else quantity + working),
        "side": "long" if quantity > 0 else "short",
        "market_value": text(quantity * price),
        "cost_basis": text(held.cost),
        "unrealized_pl": text(profit),
        "unrealized_plpc": text((profit / cost).quantize(_RATE) if cost else ZERO),
        "unrealized_intraday_pl": text(profit),
        "unrealized_intraday_plpc": text((profit / cost).quantize(_RATE) if cost else ZERO),
        "current_price": text(price),
        "lastday_price": text(before),
        "change_today": text(change),
    }


def _day_before(market: SymbolMarket) -> Decimal:
    """The last price of the day before, the first of this one where that isn't known."""
    days = market.days
    if days.closed:
        return Decimal(repr(days.closed[-1].close))
    return Decimal(repr(days.current.open)) if days.current is not None else ZERO


def working_against(engine: MatchingEngine, account: str, held: Position) -> Decimal:
    """What the account's open orders may close of a position."""
    side = Side.SELL if held.quantity > 0 else Side.BUY
    orders = (r for r in engine.working(account) if r.symbol == held.symbol and r.side is side)
    return sum((record.open for record in orders), ZERO)


def account(engine: MatchingEngine, name: str, opened_ns: int) -> Json:
    """``GET /v2/account``."""
    holder, found = engine.accounts[name], funds(engine, name)
    initial = (found.longs - found.shorts) / holder.multiplier
    return {
        "id": account_uuid(name),
        "account_number": f"PA{uuid.UUID(account_uuid(name)).hex[:10].upper()}",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": holder.currency,
        "buying_power": _money(found.power),
        "regt_buying_power": _money(found.power),
        "non_marginable_buying_power": _money(found.own),
        "cash": _money(found.cash),
        "accrued_fees": "0",
        "portfolio_value": _money(found.equity),
        "equity": _money(found.equity),
        "last_equity": _money(holder.deposited),
        "long_market_value": _money(found.longs),
        "short_market_value": _money(found.shorts),
        "initial_margin": _money(initial),
        "maintenance_margin": _money(initial / 2),
        "multiplier": text(holder.multiplier),
        "shorting_enabled": holder.multiplier > 1,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": time(opened_ns),
    }


def _money(value: Decimal) -> str:
    return text(value.quantize(_CENT, ROUND_DOWN))


def asset(key: str, instrument: Instrument) -> Json:
    """One asset; steps and smallest order only of crypto, as the venue has it."""
    crypto = is_crypto(instrument)
    known = PAIRS.get(key) or STOCKS.get(key)
    told = {
        "id": asset_id(key),
        "class": asset_class(instrument),
        "exchange": exchange(instrument),
        "symbol": instrument.native,
        "name": known.name if known else instrument.native,
        "status": "active",
        "tradable": instrument.trading,
        "marginable": not crypto,
        "maintenance_margin_requirement": 100 if crypto else 30,
        "shortable": instrument.short,
        "easy_to_borrow": instrument.short,
        "fractionable": fractionable(instrument),
        "attributes": [],
    }
    if crypto:
        told["min_order_size"] = text(instrument.min_quantity)
        told["min_trade_increment"] = text(instrument.lot)
        told["price_increment"] = text(instrument.tick)
    return told
