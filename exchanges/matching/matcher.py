"""The matching itself: takers walk levels, trades of the market fill resting orders."""

from __future__ import annotations

from decimal import Decimal

from exchanges.matching.account import Account
from exchanges.matching.market import Market, within
from exchanges.matching.record import REDUCE_ONLY, SELF_TRADE, ZERO, Changes, Execution, OrderRecord
from exchanges.model.order import Fill, Liquidity, OrderStatus, Side


class Matcher:
    """Fills orders and books the fills; what may be placed at all is the engine's business.

    Self-trades: an incoming order never matches a resting one of the same account. The
    resting one is cancelled (reason ``SELF_TRADE``) and the incoming one goes on.
    """

    def __init__(self, accounts: dict[str, Account], id_prefix: str) -> None:
        self._accounts = accounts
        self.prefix = id_prefix
        self.execution_count = 0

    def take(self, market: Market, record: OrderRecord, limit: Decimal | None, now: int, changes: Changes) -> None:
        """Fill ``record`` from the best prices on, as far as ``limit`` lets it."""
        side = record.side.opposite
        while record.open > 0 and not record.status.final:
            price = market.best(side)
            if price is None or not within(record.side, price, limit):
                return
            self._take_level(market, record, price, now, changes)

    def _take_level(self, market: Market, record: OrderRecord, price: Decimal, now: int, changes: Changes) -> None:
        ladder = market.external.side(record.side.opposite)
        for resting in market.book.side(record.side.opposite).at(price):
            if resting.status.final:
                continue
            if resting.account == record.account:
                self.close(market, resting, OrderStatus.CANCELLED, SELF_TRADE, now, changes)
                continue
            if resting.queue_ahead > 0 and ladder.best() == price:
                ahead = ladder.take(min(resting.queue_ahead, record.open))
                self._trade_outside(market, record, price, ahead, now, changes)
            if record.open == 0:
                return
            quantity = min(record.open, resting.open)
            self._fill(market, resting, price, quantity, Liquidity.MAKER, now, changes)
            self._fill(market, record, price, quantity, Liquidity.TAKER, now, changes)
            if record.open == 0:
                return
        if ladder.best() == price:
            self._trade_outside(market, record, price, ladder.take(record.open), now, changes)

    def _trade_outside(
        self, market: Market, record: OrderRecord, price: Decimal, quantity: Decimal, now: int, changes: Changes
    ) -> None:
        if quantity > 0:
            self._meet_market(market, record, price, quantity)
            self._fill(market, record, price, quantity, Liquidity.TAKER, now, changes)

    @staticmethod
    def _meet_market(market: Market, record: OrderRecord, price: Decimal, quantity: Decimal) -> None:
        market.external_quantity -= quantity * record.side.sign
        market.external_cash += quantity * price * record.side.sign

    def trade(self, market: Market, price: Decimal, size: Decimal, taker: Side, now: int, changes: Changes) -> None:
        """A trade of the external market: its taker would have met our resting orders first.

        It fills the orders it would have reached, each at its own price, with at most its
        size in all. At its very price the external queue ahead of an order goes first.
        """
        side = market.book.side(taker.opposite)
        left = size
        for level in side.prices_until(price):
            eaten = ZERO
            for record in side.at(level):
                if record.status.final:
                    continue
                if level == price:
                    ahead = max(ZERO, record.queue_ahead - eaten)
                    passed = min(ahead, left)
                    left -= passed
                    eaten += passed
                    record.queue_ahead = ahead - passed
                else:
                    record.queue_ahead = ZERO
                if left > 0:
                    left -= self._fill_outside(market, record, level, left, now, changes)

    def _fill_outside(
        self, market: Market, record: OrderRecord, price: Decimal, size: Decimal, now: int, changes: Changes
    ) -> Decimal:
        quantity = market.instrument.round_quantity(min(size, record.open))
        if quantity > 0:
            self._meet_market(market, record, price, quantity)
            self._fill(market, record, price, quantity, Liquidity.MAKER, now, changes)
        return quantity

    def _fill(
        self,
        market: Market,
        record: OrderRecord,
        price: Decimal,
        quantity: Decimal,
        liquidity: Liquidity,
        now: int,
        changes: Changes,
    ) -> None:
        instrument, account = market.instrument, self._accounts[record.account]
        rate = instrument.maker_fee if liquidity is Liquidity.MAKER else instrument.taker_fee
        self.execution_count += 1
        fill = Fill(
            execution_id=f"{self.prefix}e{self.execution_count}",
            client_id=record.client_id,
            venue_id=record.id,
            symbol=record.symbol,
            side=record.side,
            price=price,
            quantity=quantity,
            fee=instrument.fee(price, quantity, liquidity),
            fee_currency=account.currency,
            liquidity=liquidity,
            ts_ns=now,
        )
        closed = account.apply(fill)
        self._advance(market, record, fill, now, changes)
        execution = Execution(
            account=record.account,
            fill=fill,
            order_type=record.type,
            order_price=record.price,
            order_quantity=record.quantity,
            leaves=record.open,
            closed=closed,
            fee_rate=rate,
            sequence=self.execution_count,
        )
        changes.executions.append(execution)
        if closed and market.reduce_only:
            self._clamp_reduce_only(market, account, now, changes)

    def _advance(self, market: Market, record: OrderRecord, fill: Fill, now: int, changes: Changes) -> None:
        record.filled += fill.quantity
        record.value += fill.quantity * fill.price
        record.fee += fill.fee
        record.updated_ns = now
        changes.touch(record)
        if record.open == 0:
            self.close(market, record, OrderStatus.FILLED, "", now, changes)
            return
        record.status = OrderStatus.PARTIALLY_FILLED
        if record.margin:
            account = self._accounts[record.account]
            margin = account.order_margin(record.symbol, record.side, record.open, record.price or fill.price)
            account.reserve(record, min(margin, record.margin))

    def _clamp_reduce_only(self, market: Market, account: Account, now: int, changes: Changes) -> None:
        """Keep every resting reduce-only order within the position it may reduce."""
        for record in list(market.reduce_only.values()):
            if record.account != account.name or record.status.final:
                continue
            allowed = account.reducible(record.symbol, record.side)
            if allowed == 0:
                self.close(market, record, OrderStatus.CANCELLED, REDUCE_ONLY, now, changes)
            elif record.open > allowed:
                record.quantity = record.filled + allowed
                record.updated_ns = now
                changes.touch(record)

    def close(
        self, market: Market, record: OrderRecord, status: OrderStatus, reason: str, now: int, changes: Changes
    ) -> None:
        """End an order: out of the book, its margin released."""
        if record.resting:
            market.withdraw(record)
            record.resting = False
        self._accounts[record.account].reserve(record, ZERO)
        record.status, record.reason, record.updated_ns = status, reason, now
        changes.touch(record)
