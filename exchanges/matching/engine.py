"""The matching engine: commands and market data in, changes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from exchanges.matching import record as reasons
from exchanges.matching.account import Account
from exchanges.matching.bars import path
from exchanges.matching.checks import check_amend, check_margin, check_order, check_outcome, reserve_paid
from exchanges.matching.liquidation import Liquidator, forced
from exchanges.matching.liquidity import DepthModel, Level
from exchanges.matching.market import Market
from exchanges.matching.matcher import Matcher
from exchanges.matching.record import NOTHING, ZERO, Changes, Counters, OrderRecord, record_of
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.stops import Stops
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder


class MatchingEngine:
    """Price-time priority for several accounts on one book, and an external market around it.

    It has no clock: every call is told the time in nanoseconds. The same calls in the same
    order give the same changes. A call either raises `OrderRejectedError`, and then nothing has
    changed, or returns all it changed.

    Args:
        depth: makes the external depth of instruments whose market data is trades alone;
            without it such instruments trade against resting orders only.
        id_prefix: put before order and execution identifiers, so that they stay unique
            where another engine's are remembered.
        keep_closed: how many ended orders stay known; the client order ids of all stay taken.
        insured: whether a fund pays what a liquidation loses beyond the account's equity.
    """

    def __init__(
        self,
        *,
        depth: DepthModel | None = None,
        id_prefix: str = "",
        keep_closed: int = 100_000,
        insured: bool = False,
    ) -> None:
        self.accounts: dict[str, Account] = {}
        self.markets: dict[str, Market] = {}
        self._depth = depth
        self._keep_closed, self._insured = keep_closed, insured
        self._prefix = id_prefix
        self._matcher = Matcher(self.accounts, self.mark, id_prefix)
        self._liquidator = Liquidator(self.markets, self.mark)
        self._stops = Stops(self.accounts, self._matcher, self._match, self.mark)
        self._orders: dict[str, OrderRecord] = {}
        self._closed: dict[str, None] = {}
        self._open: dict[str, dict[str, OrderRecord]] = {}
        self._by_client: dict[tuple[str, str], str] = {}
        self._order_count = 0
        self._priority = 0

    def list_instrument(self, instrument: Instrument) -> None:
        """Make ``instrument`` tradable under its full symbol; a second time changes nothing."""
        self.markets.setdefault(instrument.symbol, Market(instrument, self._depth))

    def relist(self, instrument: Instrument) -> None:
        """Replace a listed instrument: other trading hours, fees or steps. Open orders stay.

        Raises:
            OrderRejectedError: ``UNKNOWN_INSTRUMENT``.
        """
        self._market(instrument.symbol).relist(instrument)

    def open_account(
        self, name: str, balance: Decimal, currency: str = "USDT", multiplier: Decimal = Decimal(1)
    ) -> Account:
        """The account ``name``, new with ``balance`` if it isn't there yet; ``multiplier`` 1 is a cash account."""
        account = self.accounts.get(name)
        if account is None:
            account = Account(name, currency, wallet=balance, deposited=balance, multiplier=multiplier)
            self.accounts[name] = account
        return account

    def place(self, account: str, command: PlaceOrder, now_ns: int) -> Changes:
        """Take an order: match it and rest or cancel the remainder, or, with a trigger, let it wait.

        Raises:
            OrderRejectedError: it breaks a rule; the client order id stays free.
        """
        holder, market = self._account(account), self._market(command.symbol)
        if command.client_id and (account, command.client_id) in self._by_client:
            raise OrderRejectedError(
                Reject.DUPLICATE_CLIENT_ID,
                f"expected a client order id that was never used, found {command.client_id!r} again; query that order",
            )
        quantity = check_order(holder, market, command)
        if command.trigger is not None:
            self._stops.check(market, command.trigger)
        free = command.trigger is not None and not market.paid
        margin = ZERO if free else check_margin(holder, market, command, quantity, self.mark)
        record = self._enter(account, command, quantity, now_ns)
        changes = Changes()
        changes.subject = record
        changes.touch(record)
        if market.paid:
            market.enter(record)
            reserve_paid(holder, market)
        elif record.type is OrderType.LIMIT:
            holder.reserve(record, margin)
        self._match(market, record, now_ns, changes)
        return self._settle(changes)

    def _enter(self, account: str, command: PlaceOrder, quantity: Decimal, now_ns: int) -> OrderRecord:
        self._order_count += 1
        self._priority += 1
        record = record_of(account, command, quantity, f"{self._prefix}o{self._order_count}", self._priority, now_ns)
        self._admit(record)
        return record

    def _admit(self, record: OrderRecord) -> None:
        self._orders[record.id] = record
        if record.client_id:
            self._by_client[record.account, record.client_id] = record.id
        if record.status.final:
            self._closed[record.id] = None
        else:
            self._open.setdefault(record.account, {})[record.id] = record

    def _match(self, market: Market, record: OrderRecord, now: int, changes: Changes) -> None:
        """Take what can be taken, then rest or cancel the remainder; what waits for a price, or for any, does that."""
        matcher, price = self._matcher, record.price
        if record.waiting:
            market.wait(record)
            return
        if market.silent:
            market.waiting[record.id] = record
            return
        if record.time_in_force is TimeInForce.POST_ONLY and price is not None and market.crossing(record.side, price):
            matcher.close(market, record, OrderStatus.CANCELLED, reasons.POST_ONLY_CROSS, now, changes)
            return
        if record.time_in_force is TimeInForce.FOK:
            available = market.available(
                record.side, price, record.account, record.open, self.reducible_in(record.symbol)
            )
            if available < record.open:
                matcher.close(market, record, OrderStatus.CANCELLED, reasons.NOT_ENOUGH_QUANTITY, now, changes)
                return
        matcher.take(market, record, price, now, changes)
        if record.status.final:
            return
        if price is None or record.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            matcher.close(market, record, OrderStatus.CANCELLED, reasons.NO_IMMEDIATE_QUANTITY, now, changes)
            return
        record.queue_ahead = market.external.side(record.side).size_at(price)
        record.resting = True
        market.rest(record)

    def amend(self, account: str, command: AmendOrder, now_ns: int, *, order_id: str = "") -> Changes:
        """Change quantity (the new total) or price of a working order.

        Only a smaller quantity keeps the place in the queue; a new price is matched like a
        new order.

        Raises:
            OrderRejectedError: unknown, ended or unchanged, or the new values break a rule.
        """
        holder, market = self._account(account), self._market(command.symbol)
        record = self._working(account, command.symbol, command.client_id, order_id)
        changes = Changes()
        changes.subject = record
        if record.waiting:
            self._stops.amend(market, record, command)
            record.updated_ns = now_ns
            changes.touch(record)
            return self._settle(changes)
        quantity, price = check_amend(holder, market, record, command, self.mark)
        changes.touch(record)
        keeps_place = price == record.price and quantity < record.quantity
        record.updated_ns = now_ns
        if not keeps_place:
            if record.resting:
                market.withdraw(record)
            record.resting = False
            self._priority += 1
            record.sequence = self._priority
        record.quantity, record.price = quantity, price
        if market.paid:
            reserve_paid(holder, market)
        else:
            margin = ZERO if record.reduce_only else holder.order_margin(record.symbol, record.side, record.open, price)
            holder.reserve(record, margin)
        if not keeps_place:
            self._match(market, record, now_ns, changes)
        return self._settle(changes)

    def cancel(self, account: str, command: CancelOrder, now_ns: int, *, order_id: str = "") -> Changes:
        """Cancel a working order, found by client order id or ``order_id``.

        Raises:
            OrderRejectedError: there is no such order, or it has ended.
        """
        record = self._working(account, command.symbol, command.client_id, order_id)
        changes = Changes()
        changes.subject = record
        market = self._market(record.symbol)
        self._matcher.close(market, record, OrderStatus.CANCELLED, reasons.BY_USER, now_ns, changes)
        return self._settle(changes)

    def expire(self, record: OrderRecord, now_ns: int) -> Changes:
        """End a working order whose time is over."""
        changes = Changes()
        changes.subject = record
        self._matcher.close(self._market(record.symbol), record, OrderStatus.EXPIRED, reasons.EXPIRED, now_ns, changes)
        return self._settle(changes)

    def cancel_all(self, account: str, now_ns: int, *, symbol: str = "", reason: str = reasons.BY_USER_ALL) -> Changes:
        """Cancel the working orders of ``symbol``, or of every symbol when it is empty."""
        self._account(account)
        changes = Changes()
        for record in list(self._open.get(account, {}).values()):
            if not symbol or record.symbol == symbol:
                market = self._market(record.symbol)
                self._matcher.close(market, record, OrderStatus.CANCELLED, reason, now_ns, changes)
        return self._settle(changes)

    def set_leverage(self, account: str, symbol: str, leverage: Decimal) -> None:
        """Set the account's leverage for ``symbol``.

        Raises:
            OrderRejectedError: ``UNCHANGED`` if it is that already.
        """
        holder = self._account(account)
        self._market(symbol)
        if leverage < 1:
            raise OrderRejectedError(Reject.PARAMETER, f"expected a leverage of at least 1, found {leverage}")
        if holder.leverage_of(symbol) == leverage:
            raise OrderRejectedError(Reject.UNCHANGED, f"leverage of {symbol} is {leverage} already")
        holder.leverage[symbol] = leverage

    def on_trade(self, symbol: str, price: float, size: float, taker: Side, now_ns: int) -> Changes:
        """A trade of the external market: moves the mark and fills what its taker would have met.

        In a market that takes no orders now it only moves the mark. What an account can't carry at the new mark
        is liquidated.
        """
        market = self._market(symbol)
        market.external.traded(price, taker)
        changes = self._reach(market, price, size, taker, now_ns) if market.instrument.trading else NOTHING
        return self.liquidate(now_ns, symbol).after(changes)

    def on_cross(self, symbol: str, price: float, size: float, taker: Side, now_ns: int) -> Changes:
        """An external offer through resting orders: fills what its taker would have met; the mark stays as it is."""
        market = self._market(symbol)
        return self._reach(market, price, size, taker, now_ns) if market.instrument.trading else NOTHING

    def on_open(self, symbol: str, price: float, size: float, now_ns: int) -> Changes:
        """The first trade of a bar, after a time without any: what it has jumped over is filled at its price.

        A silent market speaks again, and the orders that wait are matched, those that came first, first.
        """
        market, changes = self._market(symbol), Changes()
        market.external.traded(price, Side.BUY if price >= market.external.last_price else Side.SELL)
        market.silent = False
        if market.instrument.trading:
            for taker in (Side.SELL, Side.BUY):
                changes.merge(self._reach(market, price, size, taker, now_ns, opening=True))
            waiting, market.waiting = market.waiting, {}
            for record in (each for each in waiting.values() if not each.status.final):
                self._match(market, record, now_ns, changes)
        return self.liquidate(now_ns, symbol).after(self._settle(changes))

    def silence(self, symbol: str) -> None:
        """There is no price to trade at until the next ``on_open``."""
        self._market(symbol).silent = True

    def _reach(
        self, market: Market, price: float, size: float, taker: Side, now_ns: int, *, opening: bool = False
    ) -> Changes:
        side = market.book.bids if taker is Side.SELL else market.book.asks
        if not side:
            return NOTHING
        exact, best = market.external.exact(price), side.best()
        if best is None or (best < exact if taker is Side.SELL else best > exact):
            return NOTHING
        changes = Changes()
        self._matcher.trade(market, exact, Decimal(repr(size)), taker, now_ns, changes, opening=opening)
        return self._settle(changes)

    def on_quote(self, symbol: str, bid: Level, ask: Level) -> None:
        """Fresh best bid and ask of the external market, each price and size."""
        self._market(symbol).external.quoted(bid, ask)

    def on_book(self, symbol: str, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Fresh levels of the external market, best first."""
        self._market(symbol).external.booked(list(bids), list(asks))

    def on_bar(self, bar: Bar, now_ns: int) -> Changes:
        """A closed bar, walked from open over its extremes to its close."""
        market = self._market(bar.symbol)
        trades = path(bar, market.external.last_price, float(market.instrument.lot))
        idle = not market.book.bids and not market.book.asks
        if idle and self.carries(bar.symbol, bar.low, bar.high):
            for price, _, taker in trades:
                market.external.traded(price, taker)
            return NOTHING
        price, size, _ = next(trades)
        changes = Changes()
        changes.merge(self.on_open(bar.symbol, price, size, now_ns))
        for price, size, taker in trades:
            changes.merge(self.on_way(bar.symbol, price, size, taker, now_ns))
        return changes

    def on_way(self, symbol: str, price: float, size: float, taker: Side, now_ns: int) -> Changes:
        """A trade that the market has come to step by step: what waits for a price in between is met there."""
        market, changes = self._market(symbol), Changes()
        for level in self._stops.between(market, price):
            market.external.traded(level, taker)
            changes.merge(self.liquidate(now_ns, symbol))
        changes.merge(self.on_trade(symbol, price, size, taker, now_ns))
        return changes

    def on_mark(self, symbol: str, price: Decimal) -> None:
        """The venue's own mark price; 0 goes back to the last trade's. See ``liquidate``."""
        self._market(symbol).marked = price

    def liquidate(self, now_ns: int, symbol: str) -> Changes:
        """Meet the stops of ``symbol`` at its prices of now, then close out who can't carry it (see ``Liquidator``).

        Called by every trade; to be called where the mark moves otherwise.
        """
        market = self._market(symbol)
        if market.silent or not (market.instrument.maintenance_rate or market.stops):
            return NOTHING
        changes, margined = Changes(), market.instrument.maintenance_rate > 0
        self._stops.meet(market, now_ns, changes)
        for account in self.accounts.values():
            if margined and self._liquidator.failing(account, market, self._matcher.execution_count):
                self._close_out(account, now_ns, changes)
        return self._settle(changes) if changes else NOTHING

    def carried(self, symbol: str) -> tuple[float, float]:
        """Between which prices ``symbol`` may be traded while it is sure that nothing is liquidated."""
        return self._liquidator.bounds(self.accounts.values(), self._market(symbol), self._matcher.execution_count)

    def carries(self, symbol: str, low: float, high: float) -> bool:
        """Whether it is sure that nothing is met or liquidated while ``symbol`` is traded from ``low`` to ``high``."""
        lowest, highest = self.carried(symbol)
        return not self._market(symbol).stops and lowest < low and high < highest

    def _close_out(self, account: Account, now_ns: int, changes: Changes) -> None:
        """Cancel the account's orders for perpetuals, then close its positions until the rest can be carried."""
        for record in self.working(account.name):
            market = self._market(record.symbol)
            if not market.paid:
                self._matcher.close(market, record, OrderStatus.CANCELLED, reasons.LIQUIDATION, now_ns, changes)
        for position in self._liquidator.heaviest(account):
            side, market = Side.SELL if position.quantity > 0 else Side.BUY, self._market(position.symbol)
            while (held := account.position(position.symbol)).quantity and self._liquidator.short_of_margin(account):
                if market.silent or market.best(side.opposite) is None:
                    break
                quantity = self._liquidator.step(held)
                command = PlaceOrder("", position.symbol, side, OrderType.MARKET, quantity, reduce_only=True)
                record = self._enter(account.name, command, quantity, now_ns)
                changes.touch(record)
                first = len(changes.executions)
                self._match(market, record, now_ns, changes)
                record.reason = reasons.LIQUIDATION
                changes.executions[first:] = map(forced, changes.executions[first:])
            if self._insured:
                self._matcher.insure(market, account, now_ns, changes)

    def fund(self, symbol: str, rate: Decimal, now_ns: int) -> Changes:
        """Longs of a perpetual pay ``rate`` of their value at the mark price to shorts (the reverse below 0)."""
        changes = Changes()
        self._matcher.fund(self._market(symbol), rate, now_ns, changes)
        return changes

    def settle(self, symbol: str, value: Decimal, now_ns: int) -> Changes:
        """Pay an event contract out: cancel its orders, close every position at ``value``, end its trading.

        ``value`` is what one contract is worth: ``contract_value`` for yes, 0 for no.

        Raises:
            OrderRejectedError: ``PARAMETER``, it is no event contract or ``value`` is out of range.
        """
        market = self._market(symbol)
        instrument = market.instrument
        check_outcome(instrument, value)
        changes = Changes()
        for record in [r for orders in self._open.values() for r in orders.values() if r.symbol == symbol]:
            self._matcher.close(market, record, OrderStatus.CANCELLED, reasons.SETTLED, now_ns, changes)
        self._matcher.pay_out(market, value, now_ns, changes)
        market.relist(msgspec.structs.replace(instrument, trading=False))
        return self._settle(changes)

    def thin(self, share: Decimal) -> None:
        """From now on synthetic depth has ``share`` of its usual sizes, at least a lot; 1 is all of it."""
        for market in self.markets.values():
            market.external.thin(share)

    def mark(self, symbol: str) -> Decimal:
        """The price positions are valued at."""
        return self._market(symbol).mark()

    def find(self, account: str, *, client_id: str = "", order_id: str = "") -> OrderRecord | None:
        """The order as it is now, ended ones included while they are kept."""
        record = self._orders.get(order_id or self._by_client.get((account, client_id), ""))
        return record if record is not None and record.account == account else None

    def working(self, account: str) -> list[OrderRecord]:
        """The account's open orders, oldest first."""
        return list(self._open.get(account, {}).values())

    def orders(self, account: str) -> list[OrderRecord]:
        """All orders of the account that are still known, oldest first."""
        return [record for record in self._orders.values() if record.account == account]

    def available(self, account: str) -> Decimal:
        return self._account(account).available(self.mark)

    def counters(self) -> Counters:
        return Counters(self._prefix, self._order_count, self._matcher.execution_count, self._priority)

    def restore(self, counters: Counters, accounts: Iterable[Account], orders: Iterable[OrderRecord]) -> None:
        """Take over stored state; orders that rested are in the book again, in their old priority.

        The instruments they are in must have been listed.
        """
        self._prefix = self._matcher.prefix = counters.prefix
        self._order_count, self._priority = counters.orders, counters.priority
        self._matcher.execution_count = counters.executions
        for account in accounts:
            self.accounts[account.name] = account
        known = sorted(orders, key=lambda record: record.created_ns)
        for record in known:
            self._admit(record)
        for record in sorted((r for r in known if r.resting or r.waiting), key=lambda r: r.sequence):
            market = self._market(record.symbol)
            (market.wait if record.waiting else market.rest)(record)
        self._reserve_again(known)

    def _reserve_again(self, known: list[OrderRecord]) -> None:
        """What orders reserve where positions are paid for changes with their neighbours: it isn't stored with each."""
        for record in known:
            if not record.status.final:
                self._market(record.symbol).enter(record)
        for market in self.markets.values():
            for name in market.working:
                reserve_paid(self.accounts[name], market)
        for name, account in self.accounts.items():
            account.reserved = sum((record.margin for record in self.working(name)), ZERO)

    def reducible_in(self, symbol: str) -> Callable[[str, Side], Decimal]:
        """How much an account can reduce its position in ``symbol`` by, with orders of a side."""
        lot = self._market(symbol).instrument.lot
        return lambda name, side: self.accounts[name].reducible(symbol, side, lot)

    def _settle(self, changes: Changes) -> Changes:
        """Move ended orders out of the open ones and forget the oldest beyond what is kept."""
        for record in changes.touched():
            if record.status.final and self._open.get(record.account, {}).pop(record.id, None) is not None:
                self._closed[record.id] = None
        while len(self._closed) > self._keep_closed:
            oldest = next(iter(self._closed))
            del self._closed[oldest], self._orders[oldest]
        return changes

    def _working(self, account: str, symbol: str, client_id: str, order_id: str) -> OrderRecord:
        record = self.find(account, client_id=client_id, order_id=order_id)
        if record is None or (symbol and record.symbol != symbol):
            raise OrderRejectedError(
                Reject.UNKNOWN_ORDER,
                f"no order of {symbol} with id {order_id!r} or client id {client_id!r} in {account!r}",
            )
        if record.status.final:
            raise OrderRejectedError(Reject.ALREADY_CLOSED, f"order {record.id} has ended as {record.status.value}")
        return record

    def _account(self, name: str) -> Account:
        account = self.accounts.get(name)
        if account is None:
            raise OrderRejectedError(Reject.UNKNOWN_ACCOUNT, f"no account {name!r}; open it first")
        return account

    def _market(self, symbol: str) -> Market:
        market = self.markets.get(symbol)
        if market is None:
            raise OrderRejectedError(
                Reject.UNKNOWN_INSTRUMENT, f"expected one of {sorted(self.markets)[:8]}, found {symbol!r}"
            )
        return market
