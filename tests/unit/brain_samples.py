"""Signals, orders, fills and instruments for the tests of brains."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from actors.messages.orders import ExchangeState, Filled, OrderChanged
from actors.messages.signals import ApprovedOrder
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Trade
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Position
from strategies.signal import Cause, Signal, client_order_id, signal_id
from tests.unit.brain_context import SECOND, START_NS

BTC = "bybit:BTCUSDT"
ETH = "bybit:ETHUSDT"
EXCHANGE = "exchange/bybit"


def make_instrument(symbol: str = BTC, **changes: Any) -> Instrument:
    venue, _, native = symbol.partition(":")
    fields: dict[str, Any] = {
        "symbol": symbol,
        "venue": venue,
        "native": native,
        "kind": ContractKind.LINEAR_PERPETUAL,
        "base": native[:3],
        "quote": "USDT",
        "tick": Decimal("0.1"),
        "lot": Decimal("0.001"),
        "min_quantity": Decimal("0.001"),
        "max_quantity": Decimal("100"),
        "min_notional": Decimal("5"),
        "maker_fee": Decimal("0.0002"),
        "taker_fee": Decimal("0.00055"),
    }
    return Instrument(**{**fields, **changes})


def make_signal(
    ordinal: int = 0,
    *,
    symbol: str = BTC,
    side: Side = Side.BUY,
    now: int = START_NS,
    price: float = 100.0,
    strategy: str = "trend",
    **changes: Any,
) -> Signal:
    tick = f"{symbol}@1.{ordinal}"
    fields: dict[str, Any] = {
        "id": signal_id(strategy, symbol, tick, 0),
        "strategy": strategy,
        "symbol": symbol,
        "side": side,
        "conviction": 0.8,
        "created_ns": now,
        "ttl_ns": 30 * SECOND,
        "cause": Cause(tick, "Trade", now, now, price),
    }
    return Signal(**{**fields, **changes})


def make_approved(signal: Signal, *, quantity: str = "1", price: str = "100", now: int = START_NS) -> ApprovedOrder:
    return ApprovedOrder(
        signal_id=signal.id,
        client_id=client_order_id(signal.id),
        strategy=signal.strategy,
        symbol=signal.symbol,
        side=signal.side,
        type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(price),
        time_in_force=TimeInForce.IOC,
        reduce_only=False,
        reference_price=Decimal(price),
        approved_ns=now,
        expires_ns=now + 10 * SECOND,
        tick_recv_ns=now,
        signal_ns=now,
    )


def make_order(signal: Signal, status: OrderStatus, *, quantity: str = "1", filled: str = "0", **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "client_id": client_order_id(signal.id),
        "symbol": signal.symbol,
        "side": signal.side,
        "type": OrderType.LIMIT,
        "quantity": Decimal(quantity),
        "price": Decimal("100"),
        "status": status,
        "filled": Decimal(filled),
        "average_price": Decimal("100") if Decimal(filled) else Decimal(0),
    }
    return Order(**{**fields, **changes})


def order_changed(signal: Signal, status: OrderStatus, **changes: Any) -> OrderChanged:
    return OrderChanged(signal.id, signal.strategy, make_order(signal, status, **changes))


def make_filled(
    signal: Signal,
    execution: str,
    quantity: str,
    price: str = "100",
    *,
    position: Position | None = None,
    ts: int = START_NS,
    fee: str = "0",
) -> Filled:
    fill = Fill(
        execution_id=execution,
        client_id=client_order_id(signal.id),
        venue_id="v1",
        symbol=signal.symbol,
        side=signal.side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        fee_currency="USDT",
        liquidity=Liquidity.TAKER,
        ts_ns=ts,
    )
    return Filled(signal.id, signal.strategy, fill, (position or Position(signal.symbol)).apply(fill))


def make_trade(price: float, *, symbol: str = BTC, ts: int = START_NS, recv: int | None = None, seq: int = 1) -> Trade:
    return Trade(symbol, 1, seq, ts, ts if recv is None else recv, price, 1.0, "buy", f"t{seq}")


def make_exchange_state(venue: str = "bybit", **changes: Any) -> ExchangeState:
    fields: dict[str, Any] = {
        "venue": venue,
        "public_up": True,
        "private_up": True,
        "reconciled": True,
        "instruments": (make_instrument(BTC), make_instrument(ETH)),
        "cash": Decimal("10000"),
        "equity": Decimal("10000"),
    }
    return ExchangeState(**{**fields, **changes})
