"""What an account may spend: stocks on margin, crypto with its own cash."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import ZERO
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side
from exchanges.simulators.alpaca.errors import FORBIDDEN, ApiError
from exchanges.simulators.alpaca.instruments import is_crypto
from exchanges.simulators.alpaca.wire import text

_CENT = Decimal("0.01")


class Funds(NamedTuple):
    """``cash`` is the balance, ``power`` what stocks may cost in all, ``own`` what crypto may.

    The engine lets the multiplier back crypto too; here crypto and orders for it take all of
    what they cost.
    """

    cash: Decimal
    equity: Decimal
    longs: Decimal
    shorts: Decimal
    power: Decimal
    own: Decimal


def funds(engine: MatchingEngine, name: str) -> Funds:
    holder = engine.accounts[name]
    multiplier = holder.multiplier
    worth = {kind: _worth(engine, name, kind) for kind in (ContractKind.SPOT, ContractKind.EQUITY)}
    coins, stocks = worth[ContractKind.SPOT], worth[ContractKind.EQUITY]
    longs, shorts = sum((w for w in stocks if w > 0), ZERO), sum((w for w in stocks if w < 0), ZERO)
    ordered = sum((r.margin for r in engine.working(name) if is_crypto(engine.markets[r.symbol].instrument)), ZERO)
    held = sum(coins, ZERO)
    free = engine.available(name) - held * (1 - 1 / multiplier) - ordered * (multiplier - 1)
    own = min(free, holder.wallet + shorts - ordered * multiplier)
    return Funds(
        cash=holder.wallet,
        equity=holder.equity(engine.mark),
        longs=longs + held,
        shorts=shorts,
        power=max(ZERO, free * multiplier),
        own=max(ZERO, own),
    )


def _worth(engine: MatchingEngine, name: str, kind: ContractKind) -> list[Decimal]:
    held = engine.accounts[name].holdings(kind)
    return [position.quantity * (engine.mark(position.symbol) or position.average_price) for position in held]


def check(
    engine: MatchingEngine, name: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
) -> None:
    """Check that an order which adds to a position can be paid for.

    Raises:
        ApiError: 403, it can't.
    """
    found, cost = funds(engine, name), quantity * price
    if is_crypto(instrument):
        if cost > found.own:  # the fee of a purchase is taken from the coins
            asked, left = (text(value.quantize(_CENT, ROUND_DOWN)) for value in (cost, found.own))
            raise ApiError(
                FORBIDDEN,
                f"insufficient balance for {instrument.quote} (requested: {asked}, available: {left})",
                balance=text(found.cash.quantize(_CENT, ROUND_DOWN)),
                symbol=instrument.quote,
            )
    elif cost > found.power:
        raise short_of(found, cost)


def short_of(found: Funds, cost: Decimal) -> ApiError:
    power = text(found.power.quantize(_CENT, ROUND_DOWN))
    return ApiError(FORBIDDEN, "insufficient buying power", buying_power=power, cost_basis=text(cost))
