"""What a venue does with perpetuals that their account can't carry any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from exchanges.matching.account import Account
from exchanges.matching.market import Market
from exchanges.matching.record import ZERO, Execution
from exchanges.model.order import LIQUIDATION_PREFIX
from exchanges.model.position import Position

_ONE = Decimal(1)
_SLACK = 1e-9
"""What a range of prices is narrowed by, as a fraction, because it is kept in floats."""


class _Carried(NamedTuple):
    """Marks between which an account's perpetual is carried, while nothing but marks within such ranges has changed."""

    executions: int
    wallet: Decimal
    low: float
    high: float


class Liquidator:
    """Says what has to be closed, and in which order.

    All perpetuals of an account are margined by its equity (cross margin): it fails when the equity is no more than
    the sum of their maintenance margins, by ``Instrument.maintenance`` of quantity x mark. Its orders for perpetuals
    are then cancelled and its positions closed at the market, the one with the largest maintenance margin first, until
    the rest is carried: one that reaches into higher tiers tier by tier, each step down to the value at which its tier
    begins, and as a whole from the lowest. The taker's fee is charged. A loss beyond the equity stays with the account,
    unless the engine is ``insured``.
    """

    def __init__(self, markets: Mapping[str, Market], mark: Callable[[str], Decimal]) -> None:
        self._markets, self._mark = markets, mark
        self._carried: dict[tuple[str, str], _Carried] = {}

    def failing(self, account: Account, market: Market, executions: int) -> bool:
        """Whether the account holds the market's perpetual and can't carry what it holds.

        ``executions`` is the engine's count of executions and payments: as long as it stays, an account's perpetuals
        are carried within known ranges of marks, and nothing has to be summed up.
        """
        symbol = market.instrument.symbol
        position = account.positions.get(symbol)
        if position is None or not position.quantity:
            return False
        mark = float(market.marked) or market.external.last_price
        low, high = self.carried(account, market, executions)
        if low < mark < high:
            return False
        if self.short_of_margin(account):
            return True
        self._keep(account, executions)
        return False

    def carried(self, account: Account, market: Market, executions: int) -> tuple[float, float]:
        """Between which marks it is known that the account carries the market's perpetual; none if it isn't known."""
        known = self._carried.get((account.name, market.instrument.symbol))
        if known is None or known.executions != executions or known.wallet != account.wallet:
            return math.inf, -math.inf
        return known.low, known.high

    def bounds(self, accounts: Iterable[Account], market: Market, executions: int) -> tuple[float, float]:
        """Between which marks it is known that all accounts carry the market's perpetual; none if one fails."""
        low, high = -math.inf, math.inf
        for account in accounts if market.instrument.maintenance_rate else ():
            if account.position(market.instrument.symbol).quantity:
                if self.failing(account, market, executions):
                    return math.inf, -math.inf
                lowest, highest = self.carried(account, market, executions)
                low, high = max(low, lowest), min(high, highest)
        return low, high

    def _keep(self, account: Account, executions: int) -> None:
        """Note within which marks the account carries what it holds, where that is perpetuals alone.

        Each mark may move by the same share of itself, whatever the others do. Who leaves its range is looked at anew,
        and with it all of them.
        """
        held = [position for position in account.positions.values() if position.quantity]
        margined = account.perpetuals()
        rates = {position.symbol: self._markets[position.symbol].instrument.steepest for position in margined}
        if len(margined) < len(held) or not all(rates.values()):
            return
        spare = account.equity(self._mark) - sum(map(self.required, margined), ZERO)
        # A move of the mark by d takes at most |q| d of the equity, and adds at most |q| d rate to the margin.
        stake = sum((abs(p.quantity) * self._price(p) * (_ONE + rates[p.symbol]) for p in margined), ZERO)
        for position in margined:
            mark = self._price(position)
            room = float(spare * mark / stake - self._markets[position.symbol].instrument.tick_at(mark))
            low, high = float(mark) - room, float(mark) + room
            self._carried[account.name, position.symbol] = _Carried(
                executions, account.wallet, low * (1 + _SLACK) if low > 0 else low, high * (1 - _SLACK)
            )

    def _price(self, position: Position) -> Decimal:
        """The mark, or the entry price where there is none yet."""
        return self._mark(position.symbol) or position.average_price

    def required(self, position: Position) -> Decimal:
        """The maintenance margin of a position."""
        instrument = self._markets[position.symbol].instrument
        return instrument.maintenance(abs(position.quantity) * self._price(position))

    def step(self, position: Position) -> Decimal:
        """How much of a position is closed next: down to where its tier begins, all of it from the lowest."""
        quantity, mark = abs(position.quantity), self._price(position)
        instrument = self._markets[position.symbol].instrument
        begins = max((t.above for t in instrument.maintenance_tiers if t.above < quantity * mark), default=ZERO)
        keeps = instrument.round_quantity(begins / mark) if mark else ZERO
        return quantity - keeps

    def short_of_margin(self, account: Account) -> bool:
        """Whether the equity is no more than all maintenance margins."""
        required = sum(map(self.required, account.perpetuals()), ZERO)
        return required > 0 and account.equity(self._mark) <= required

    def heaviest(self, account: Account) -> list[Position]:
        """The account's perpetuals, the one with the largest maintenance margin first."""
        return sorted(account.perpetuals(), key=self.required, reverse=True)


def forced(done: Execution) -> Execution:
    """An execution by which the venue closes a position."""
    if done.fill.client_id:
        return done
    name = f"{LIQUIDATION_PREFIX}{done.fill.execution_id}"
    return msgspec.structs.replace(done, fill=msgspec.structs.replace(done.fill, execution_id=name), liquidation=True)
