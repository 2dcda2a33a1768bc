"""The matching itself: takers walk levels, trades of the market fill resting orders."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from exchanges.matching.account import Account
from exchanges.matching.checks import reserve_paid
from exchanges.matching.demand import exact_fee, rounded_fee, unit_need
from exchanges.matching.market import Market, within
from exchanges.matching.record import (
    INSUFFICIENT_FUNDS,
    INSURANCE,
    REDUCE_ONLY,
    SELF_TRADE,
    ZERO,
    Changes,
    Execution,
    Funding,
    OrderRecord,
)
from exchanges.model.order import Fill, Liquidity, OrderStatus, OrderType, Side

PAYMENT_STEP = Decimal("0.00000001")
"""What funding is rounded to, on the wire and in the wallet alike."""


class Matcher:
    """Fills orders and books the fills; what may be placed at all is the engine's business.

    Self-trades: an incoming order never matches a resting one of the same account. The
    resting one is cancelled (reason ``SELF_TRADE``) and the incoming one goes on.
    """

    def __init__(self, accounts: dict[str, Account], mark: Callable[[str], Decimal], id_prefix: str) -> None:
        self._accounts = accounts
        self._mark = mark
        self.prefix = id_prefix
        self.execution_count = 0

    def take(self, market: Market, record: OrderRecord, limit: Decimal | None, now: int, changes: Changes) -> None:
        """Fill ``record`` from the best prices on, as far as ``limit`` lets it."""
        side = record.side.opposite
        while record.open > 0 and not record.status.final:
            price = market.best(side)
            if price is None or not within(record.side, price, limit):
                return
            if self._wanted(market, record, price) <= 0:
                self.close(market, record, OrderStatus.CANCELLED, INSUFFICIENT_FUNDS, now, changes)
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
                ahead = ladder.take(min(resting.queue_ahead, self._wanted(market, record, price)))
                self._trade_outside(market, record, price, ahead, now, changes)
            quantity = min(self._wanted(market, record, price), resting.open)
            if quantity <= 0:
                return
            self._fill(market, resting, price, quantity, Liquidity.MAKER, now, changes)
            self._fill(market, record, price, quantity, Liquidity.TAKER, now, changes)
            if record.open == 0:
                return
        if ladder.best() == price:
            taken = ladder.take(self._wanted(market, record, price))
            self._trade_outside(market, record, price, taken, now, changes)

    def _wanted(self, market: Market, record: OrderRecord, price: Decimal) -> Decimal:
        """What ``record`` may take at ``price``: all that is open, but of a market order only what can be paid for."""
        if not market.paid or record.price is not None or record.open == 0:
            return record.open
        account, instrument = self._accounts[record.account], market.instrument
        closing = min(record.open, account.reducible(record.symbol, record.side, instrument.lot))
        funds = max(account.available(self._mark) + record.margin, ZERO)
        if record.side is Side.SELL and not instrument.short:
            return closing
        affordable = funds / unit_need(instrument, record.side, price, account.multiplier)
        return min(record.open, closing + instrument.round_quantity(affordable))

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

    def trade(
        self,
        market: Market,
        price: Decimal,
        size: Decimal,
        taker: Side,
        now: int,
        changes: Changes,
        *,
        opening: bool = False,
    ) -> None:
        """A trade of the external market: its taker would have met our resting orders first.

        It fills the orders it would have reached, each at its own price, with at most its
        size in all. At its very price the external queue ahead of an order goes first. An
        ``opening`` trade came without any between it and the one before: orders are filled at its price.
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
                    left -= self._fill_outside(market, record, price if opening else level, left, now, changes)

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
        withheld = instrument.base_fee(quantity, record.side, liquidity)
        in_cash = ZERO if market.paid else instrument.fee(price, quantity, liquidity)
        self.execution_count += 1
        fill = Fill(
            execution_id=f"{self.prefix}e{self.execution_count}",
            client_id=record.client_id,
            venue_id=record.id,
            symbol=record.symbol,
            side=record.side,
            price=price,
            quantity=quantity,
            fee=in_cash if withheld is None else withheld,
            fee_currency=account.currency if withheld is None else instrument.base,
            liquidity=liquidity,
            ts_ns=now,
            fee_in_base=withheld is not None,
        )
        closed = account.apply(fill, instrument)
        self._advance(market, record, fill, now, changes)
        if market.paid and withheld is None:
            fill = self._charged(market, record, fill)
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

    def _charged(self, market: Market, record: OrderRecord, fill: Fill) -> Fill:
        """The fill with its fee, which the account pays.

        The fee is rounded up over the order, not over each fill. A cash account never pays
        more for the rounding than it has left: the rest is charged with the order's next fill.
        """
        instrument, account = market.instrument, self._accounts[record.account]
        record.due += exact_fee(instrument, fill.price, fill.quantity, fill.liquidity)
        fee = rounded_fee(instrument, record.due) - record.fee
        if account.multiplier == 1 and not account.perpetuals():
            fee = min(fee, max(account.available(self._mark), ZERO))
        record.fee += fee
        account.charge(fill.symbol, fee)
        return msgspec.structs.replace(fill, fee=fee)

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
        account = self._accounts[record.account]
        if market.paid:
            reserve_paid(account, market)
        elif record.margin:
            margin = account.order_margin(record.symbol, record.side, record.open, record.price or fill.price)
            account.reserve(record, min(margin, record.margin))

    def _clamp_reduce_only(self, market: Market, account: Account, now: int, changes: Changes) -> None:
        """Keep every resting reduce-only order within the position it may reduce."""
        for record in list(market.reduce_only.values()):
            if record.account != account.name or record.status.final:
                continue
            allowed = account.reducible(record.symbol, record.side, market.instrument.lot)
            if allowed == 0:
                self.close(market, record, OrderStatus.CANCELLED, REDUCE_ONLY, now, changes)
            elif record.open > allowed:
                record.quantity = record.filled + allowed
                record.updated_ns = now
                changes.touch(record)
        if market.paid:
            reserve_paid(account, market)

    def close(
        self, market: Market, record: OrderRecord, status: OrderStatus, reason: str, now: int, changes: Changes
    ) -> None:
        """End an order: out of the book, its margin released."""
        if record.resting:
            market.withdraw(record)
            record.resting = False
        elif record.waiting:
            market.release(record)
        account = self._accounts[record.account]
        account.reserve(record, ZERO)
        if market.paid:
            market.leave(record)
            reserve_paid(account, market)
        record.status, record.reason, record.updated_ns = status, reason, now
        changes.touch(record)

    def fund(self, market: Market, rate: Decimal, now: int, changes: Changes) -> None:
        """Exchange a funding payment between longs and shorts."""
        symbol, mark = market.instrument.symbol, market.mark()
        for account in self._accounts.values():
            quantity = account.position(symbol).quantity
            if not quantity or not mark:
                continue
            amount = (quantity * mark * rate).quantize(PAYMENT_STEP, ROUND_HALF_EVEN)
            account.wallet -= amount
            account.funding += amount
            self.execution_count += 1
            count, name = self.execution_count, f"{self.prefix}f{self.execution_count}"
            changes.fundings.append(Funding(account.name, symbol, quantity, mark, rate, amount, now, count, name))

    def insure(self, market: Market, account: Account, now: int, changes: Changes) -> None:
        """Pay what an account that holds no perpetual any more has lost beyond its equity."""
        short = account.equity(self._mark)
        if account.perpetuals() or short >= 0:
            return
        account.wallet -= short
        market.external_cash += short
        self.execution_count += 1
        count, name = self.execution_count, f"{self.prefix}i{self.execution_count}"
        symbol, mark = market.instrument.symbol, market.mark()
        changes.fundings.append(
            Funding(account.name, symbol, ZERO, mark, ZERO, short, now, count, name, kind=INSURANCE)
        )

    def pay_out(self, market: Market, value: Decimal, now: int, changes: Changes) -> None:
        """Close every position of an event contract at ``value``."""
        instrument = market.instrument
        for account in self._accounts.values():
            held = account.position(instrument.symbol).quantity
            if not held:
                continue
            self.execution_count += 1
            fill = Fill(
                execution_id=f"settlement-{instrument.native}",
                client_id="",
                venue_id="",
                symbol=instrument.symbol,
                side=Side.SELL if held > 0 else Side.BUY,
                price=value,
                quantity=abs(held),
                fee=ZERO,
                fee_currency=account.currency,
                liquidity=Liquidity.MAKER,
                ts_ns=now,
            )
            closed = account.apply(fill, instrument)
            market.external_quantity += held
            market.external_cash -= held * value
            changes.executions.append(
                Execution(
                    account=account.name,
                    fill=fill,
                    order_type=OrderType.MARKET,
                    order_price=None,
                    order_quantity=closed,
                    leaves=ZERO,
                    closed=closed,
                    fee_rate=ZERO,
                    sequence=self.execution_count,
                    settlement=True,
                )
            )
