"""Orders that wait for a price: what they must satisfy, and what follows when it comes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from exchanges.matching import record as reasons
from exchanges.matching.account import Account
from exchanges.matching.checks import Mark, check_margin, check_price, check_quantity, reserve_paid
from exchanges.matching.market import Market
from exchanges.matching.matcher import Matcher
from exchanges.matching.record import Changes, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.order import OrderStatus, OrderType
from exchanges.model.trigger import Source, Trigger
from exchanges.model.venue import AmendOrder, PlaceOrder

Match = Callable[[Market, OrderRecord, int, Changes], None]
_SOURCES = (Source.LAST, Source.MARK)


class Stops:
    """Lets waiting orders wait, changes them, and makes common orders of them when their price has come.

    A waiting order that may open a perpetual's position ties up no margin; where positions are paid for it ties up
    position or cash like any other.

    Args:
        match: Takes what an order can take, and rests or cancels the remainder.
    """

    def __init__(self, accounts: dict[str, Account], matcher: Matcher, match: Match, mark: Mark) -> None:
        self._accounts, self._matcher, self._match, self._mark = accounts, matcher, match, mark

    def check(self, market: Market, trigger: Trigger) -> None:
        """Raises ``OrderRejectedError`` for a price off the tick, and for one that is through the market already."""
        check_price(market.instrument, trigger.price)
        if trigger.symbol not in ("", market.instrument.symbol) or trigger.source not in _SOURCES:
            raise OrderRejectedError(
                Reject.PARAMETER,
                f"expected a trigger on the last or the mark price of {market.instrument.symbol}, found {trigger}",
            )
        price = _looked_at(market, trigger)
        if price and trigger.reached(price):
            raise OrderRejectedError(
                Reject.TRIGGER,
                f"expected a price the market has yet to come to, found {trigger.direction.value} {trigger.price} with "
                f"{trigger.source.value} at {price}",
            )

    def amend(self, market: Market, record: OrderRecord, command: AmendOrder) -> None:
        """Give a waiting order another quantity, price or trigger.

        Raises:
            OrderRejectedError: nothing would change, or the new values break a rule.
        """
        account, trigger = self._accounts[record.account], record.trigger
        quantity, price = command.quantity or record.quantity, command.price or record.price
        if trigger is not None and command.trigger_price is not None:
            trigger = msgspec.structs.replace(trigger, price=command.trigger_price)
        if (quantity, price, trigger) == (record.quantity, record.price, record.trigger):
            raise OrderRejectedError(Reject.UNCHANGED, f"order {record.id} has these values already")
        check_quantity(market.instrument, quantity)
        if price is not None and record.type is OrderType.LIMIT:
            check_price(market.instrument, price)
        if trigger is not None and trigger != record.trigger:
            self.check(market, trigger)
        if record.reduce_only:
            quantity = min(quantity, account.reducible(record.symbol, record.side, market.instrument.lot))
        record.quantity, record.trigger = quantity, trigger
        record.price = price if record.type is OrderType.LIMIT else None
        if market.paid:
            reserve_paid(account, market)

    def meet(self, market: Market, now: int, changes: Changes) -> None:
        """Carry out the waiting orders whose price has come, the one that came first, first."""
        if not market.instrument.trading:
            return
        due = [r for r in market.stops.values() if r.trigger is not None and _met(market, r.trigger)]
        for record in sorted(due, key=lambda r: r.sequence):
            if record.waiting:
                self._carry_out(market, record, now, changes)

    def between(self, market: Market, price: float) -> list[float]:
        """The prices waited for on the way from the last price to ``price``, nearest first."""
        before = market.external.last_price
        low, high = min(before, price), max(before, price)
        waited = {float(r.trigger.price) for r in market.stops.values() if r.trigger is not None}
        return sorted((level for level in waited if low < level < high), reverse=price < before)

    def _carry_out(self, market: Market, record: OrderRecord, now: int, changes: Changes) -> None:
        market.release(record)
        record.triggered, record.updated_ns = True, now
        changes.touch(record)
        account = self._accounts[record.account]
        if record.reduce_only:
            allowed = account.reducible(record.symbol, record.side, market.instrument.lot)
            record.quantity = min(record.quantity, allowed)
            if not allowed:
                self._matcher.close(market, record, OrderStatus.CANCELLED, reasons.REDUCE_ONLY, now, changes)
                return
        elif not market.paid and not self._margined(account, market, record):
            self._matcher.close(market, record, OrderStatus.CANCELLED, reasons.INSUFFICIENT_FUNDS, now, changes)
            return
        self._match(market, record, now, changes)

    def _margined(self, account: Account, market: Market, record: OrderRecord) -> bool:
        """Whether the account has the margin for it, of which a limit order reserves its own."""
        command = PlaceOrder(record.client_id, record.symbol, record.side, record.type, record.quantity, record.price)
        try:
            margin = check_margin(account, market, command, record.quantity, self._mark)
        except OrderRejectedError:
            return False
        if record.type is OrderType.LIMIT:
            account.reserve(record, margin)
        return True


def _looked_at(market: Market, trigger: Trigger) -> Decimal:
    """The price it looks at; 0 while there is none."""
    return market.mark() if trigger.source is Source.MARK else market.external.last


def _met(market: Market, trigger: Trigger) -> bool:
    price = _looked_at(market, trigger)
    return price > 0 and trigger.reached(price)
