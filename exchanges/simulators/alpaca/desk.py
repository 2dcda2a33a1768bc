"""Order operations: place, replace, cancel, and what the clock does to orders."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from exchanges.hours import Phase, TradingHours
from exchanges.matching.record import Changes, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, Side
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from exchanges.simulators.alpaca import checks
from exchanges.simulators.alpaca.depth import WholeShares
from exchanges.simulators.alpaca.engine import SessionEngine
from exchanges.simulators.alpaca.entry import TIMES, Entry, check_limit, client_id, entry, number
from exchanges.simulators.alpaca.errors import BAD_BODY, NOT_FOUND, UNPROCESSABLE, ApiError, translated
from exchanges.simulators.alpaca.funds import check, funds, short_of
from exchanges.simulators.alpaca.instruments import asset_id, execution_uuid, is_crypto
from exchanges.simulators.alpaca.tickets import Ticket, TicketBook, new_id
from exchanges.simulators.alpaca.wire import Json, position_name
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.venue import Venue

GOOD_TILL_NS = 90 * 86_400_000_000_000
"""How long an order that is good till cancelled lives."""


class Desk:
    """The venue's order entry over the matching engine.

    The engine is replaced by one that knows market hours. ``on_replaced`` is told of an order
    that another one has replaced, before anything else is told of the new one. ``opened_ns`` is
    when the books were opened first: the engine's identifiers begin with it.
    """

    def __init__(self, venue: Venue, hours: TradingHours, multiplier: Decimal) -> None:
        self.venue = venue
        self.hours = hours
        self.tickets = TicketBook(venue.settings.folder)
        self.on_replaced: Callable[[Ticket, OrderRecord], None] = lambda ticket, record: None
        self._extended = False
        self._executed: dict[str, int] = {}
        depth = WholeShares(SyntheticDepth(venue.settings.seed, spread_bps=venue.settings.spread_bps))
        for holder in venue.engine.accounts.values():
            holder.multiplier = multiplier
        self.engine = SessionEngine.adopting(venue.engine, depth, venue.now_ns())
        venue.engine = self.engine
        self.opened_ns = int(self.engine.counters().prefix.rstrip("-") or "0", 16)
        self.tickets.drop_unknown({record.id for name in self.engine.accounts for record in self.engine.orders(name)})
        self._names = {name: key for key in venue.markets for name in (key, position_name(key), asset_id(key))}
        self._phase = hours.phase(venue.now_ns())
        self.engine.admits = self._admits
        self.engine.moves = self._moves
        self._shift(venue.now_ns())

    def market(self, name: str) -> SymbolMarket | None:
        """The market of a symbol (a crypto pair with or without its slash) or asset id."""
        key = self._names.get(name)
        return self.venue.markets[key] if key is not None else None

    def _admits(self, record: OrderRecord) -> bool:
        """Whether an order may trade in this part of the day."""
        if self._phase is Phase.REGULAR or is_crypto(self.engine.markets[record.symbol].instrument):
            return True
        ticket = self.tickets.current(record.id)
        extended = ticket.extended if ticket is not None else self._extended
        return extended and self._phase is not Phase.CLOSED

    def _moves(self, symbol: str) -> bool:
        return self.venue.settings.feed == "replay" or self.is_open(self.engine.markets[symbol].instrument)

    def is_open(self, instrument: Instrument) -> bool:
        """Whether anything is traded in it now, extended hours included."""
        return self._phase is not Phase.CLOSED or is_crypto(instrument)

    def turn(self) -> None:
        """Let the clock act: orders wake at the open, rest at the close, and expire."""
        now = self.venue.now_ns()
        phase = self.hours.phase(now)
        for name in self.engine.accounts:
            for record in self.engine.working(name):
                ticket = self.tickets.current(record.id)
                if ticket is not None and 0 < ticket.expires_ns <= now:
                    self.venue.apply(self.engine.expire(record, now))
        if phase is not self._phase:
            self._phase = phase
            self._shift(now)

    def _shift(self, now: int) -> None:
        """Let in and take out the orders that this part of the day is, or isn't, for."""
        self._resize()
        changes = self.engine.turn(now)
        self._route(changes)
        self.venue.apply(changes)

    def _resize(self) -> None:
        """What an amount of money buys is settled when its order is let in, not when it was placed."""
        for name in self.engine.accounts:
            for record in self.engine.working(name):
                ticket = self.tickets.current(record.id)
                if ticket is not None and ticket.notional is not None and not record.filled and self._admits(record):
                    instrument = self.engine.markets[record.symbol].instrument
                    price = self._price(record.symbol, record.side, record.price)
                    record.quantity = _bought(ticket.notional, price, instrument) or record.quantity

    def _route(self, changes: Changes) -> None:
        """Note which of the touched orders are no longer held."""
        routed = []
        for record in changes.touched():
            ticket = self.tickets.current(record.id)
            if ticket is not None and not ticket.routed and self._admits(record):
                ticket.routed = True
                routed.append(ticket)
        self.tickets.save(routed)

    def place(self, account: str, params: Json) -> tuple[Ticket, OrderRecord]:
        """``POST /v2/orders``.

        Raises:
            ApiError: the venue refuses it; nothing has changed.
        """
        name = params.get("symbol")
        if not name:
            raise ApiError(BAD_BODY, "symbol is required")
        market = self.market(str(name))
        if market is None:
            raise ApiError(UNPROCESSABLE, f'asset "{name}" not found')
        return self.enter(account, market, entry(params, market.instrument))

    def enter(self, account: str, market: SymbolMarket, wanted: Entry) -> tuple[Ticket, OrderRecord]:
        """Take an order that has been read.

        Raises:
            ApiError: the account can't have it.
        """
        instrument = market.instrument
        identifier = wanted.client_id or new_id()
        if self.tickets.of_client(account, identifier) is not None:
            raise ApiError(BAD_BODY, "client_order_id must be unique")
        quantity = wanted.quantity or self._quantity(wanted, instrument)
        intent = checks.order(self.engine, self.tickets, account, instrument, wanted, quantity)
        if intent.endswith("open"):
            price = wanted.limit or self.engine.markets[instrument.symbol].worst(wanted.side, account, quantity)
            check(self.engine, account, instrument, wanted.side, quantity, price)
        command = PlaceOrder(
            client_id=identifier,
            symbol=instrument.symbol,
            side=wanted.side,
            type=wanted.type,
            quantity=quantity,
            price=wanted.limit,
            time_in_force=TIMES[wanted.time_in_force],
        )
        self._extended = wanted.extended  # of the order that has no ticket yet
        try:
            changes = self.engine.place(account, command, self.venue.now_ns())
        except OrderRejectedError as error:
            raise self._refusal(error, account, command) from error
        record = _subject(changes)
        ticket = self._ticket(account, market, wanted, record, intent)
        ticket.after = self.engine.counters().executions - len(changes.executions)
        self.tickets.add(ticket)
        self._route(changes)
        self.venue.apply(changes)
        return ticket, record

    def _ticket(self, account: str, market: SymbolMarket, wanted: Entry, record: OrderRecord, intent: str) -> Ticket:
        return Ticket(
            id=new_id(),
            account=account,
            engine_id=record.id,
            client_id=record.client_id,
            key=market.key,
            time_in_force=wanted.time_in_force,
            intent=intent,
            created_ns=record.created_ns,
            quantity=wanted.quantity,
            notional=wanted.notional,
            limit=wanted.limit,
            extended=wanted.extended,
            expires_ns=self._expiry(market.instrument, wanted.time_in_force, extended=wanted.extended),
        )

    def _quantity(self, wanted: Entry, instrument: Instrument) -> Decimal:
        """How much an amount of money buys at the price of the moment."""
        price = self._price(instrument.symbol, wanted.side, wanted.limit)
        quantity = _bought(wanted.notional or Decimal(0), price, instrument)
        if not quantity:
            raise ApiError(UNPROCESSABLE, f'unable to price the notional order: no quote of "{instrument.native}"')
        return quantity

    def _price(self, symbol: str, side: Side, limit: Decimal | None) -> Decimal:
        if limit is not None:
            return limit
        return self.engine.markets[symbol].best(side.opposite) or self.engine.mark(symbol)

    def _expiry(self, instrument: Instrument, time_in_force: str, *, extended: bool) -> int:
        now = self.venue.now_ns()
        if time_in_force == "day" and not is_crypto(instrument):
            return self.hours.day_end(now, extended=extended)
        return now + GOOD_TILL_NS

    def _refusal(self, error: OrderRejectedError, account: str, command: PlaceOrder) -> ApiError:
        if error.code is not Reject.INSUFFICIENT_MARGIN:
            return translated(error)
        price = command.price or self.engine.mark(command.symbol)
        return short_of(funds(self.engine, account), command.quantity * price)

    def executed(self, identifier: str) -> int:
        """Where in the venue's list of executions the one with this identifier is; -1 if it isn't."""
        executions = self.venue.executions
        for index in range(len(self._executed), len(executions)):
            self._executed[execution_uuid(executions[index].fill.execution_id)] = index
        return self._executed.get(identifier, -1)

    def find(self, account: str, order_id: str) -> tuple[Ticket, OrderRecord]:
        """An order under its identifier.

        Raises:
            ApiError: 404, there is none.
        """
        ticket = self.tickets.find(account, order_id)
        record = self.engine.find(account, order_id=ticket.engine_id) if ticket is not None else None
        if ticket is None or record is None:
            raise ApiError(NOT_FOUND, f"order not found for {order_id}")
        return ticket, record

    def cancel(self, account: str, order_id: str) -> None:
        """``DELETE /v2/orders/{id}``.

        Raises:
            ApiError: 404 there is none, 422 it has ended.
        """
        ticket, record = self.find(account, order_id)
        self._check_alive(ticket, record)
        self.venue.cancel(account, CancelOrder(record.client_id, record.symbol), order_id=record.id)

    @staticmethod
    def _check_alive(ticket: Ticket, record: OrderRecord) -> None:
        if ticket.replaced_by or record.status.final:
            raise ApiError(UNPROCESSABLE, f'order is already in "{ticket.status(record)}" state')

    def replace(self, account: str, order_id: str, params: Json) -> tuple[Ticket, OrderRecord]:
        """``PATCH /v2/orders/{id}``: a new order in the old one's place.

        The new order starts unfilled: its quantity comes on top of what the old one was filled
        with, also where the request names none, as the venue has it.

        Raises:
            ApiError: 404 there is none, 403 or 422 it can't be replaced like that.
        """
        old, record = self.find(account, order_id)
        self._check_alive(old, record)
        if not old.routed or not record.resting:
            raise ApiError(BAD_BODY, "unable to replace order, order isn't sent to exchange yet")
        if old.notional is not None or old.quantity is None:
            raise ApiError(UNPROCESSABLE, "notional orders cannot be replaced")
        new = self._successor(old, record, params)
        quantity, limit = new.quantity or old.quantity, new.limit
        command = AmendOrder(record.client_id, record.symbol, quantity=record.filled + quantity, price=limit)
        before = self.engine.counters().executions
        if (command.quantity, command.price) == (record.quantity, record.price):
            changes = Changes()
            changes.touch(record)
        else:
            try:
                changes = self.engine.amend(account, command, self.venue.now_ns(), order_id=record.id)
            except OrderRejectedError as error:
                asked = PlaceOrder(record.client_id, record.symbol, record.side, record.type, quantity, limit)
                raise self._refusal(error, account, asked) from error
        new.after = before
        old.replaced_by, old.replaced_ns = new.id, self.venue.now_ns()
        old.end_filled, old.end_value = new.base_filled, new.base_value
        self.tickets.add(new, old)
        self.on_replaced(old, record)
        self.venue.apply(changes)
        return new, record

    def _successor(self, old: Ticket, record: OrderRecord, params: Json) -> Ticket:
        instrument, now = self.engine.markets[record.symbol].instrument, self.venue.now_ns()
        quantity, limit = number(params, "qty") or old.quantity, number(params, "limit_price") or old.limit
        time_in_force = str(params.get("time_in_force") or old.time_in_force)
        if old.quantity is not None and quantity != old.quantity:
            checks.replaced_quantity(instrument, old.quantity, quantity)
        check_limit(limit, instrument)
        if time_in_force not in ("gtc",) if is_crypto(instrument) else time_in_force not in ("day", "gtc"):
            raise ApiError(UNPROCESSABLE, f"invalid time_in_force for a replacement: {time_in_force}")
        identifier = client_id(params) or new_id()
        if self.tickets.of_client(old.account, identifier) is not None:
            raise ApiError(BAD_BODY, "client_order_id must be unique")
        return msgspec.structs.replace(
            old,
            id=new_id(),
            client_id=identifier,
            created_ns=now,
            quantity=quantity,
            limit=limit,
            time_in_force=time_in_force,
            expires_ns=self._expiry(instrument, time_in_force, extended=old.extended),
            base_filled=record.filled,
            base_value=record.value,
            replaces=old.id,
        )

    def close_position(
        self, account: str, market: SymbolMarket, quantity: Decimal | None
    ) -> tuple[Ticket, OrderRecord]:
        """A market order against the position, or a part of it.

        Raises:
            ApiError: 403, the position is held for other orders.
        """
        held = self.engine.accounts[account].position(market.instrument.symbol).quantity
        crypto = is_crypto(market.instrument)
        wanted = Entry(
            side=Side.SELL if held > 0 else Side.BUY,
            type=OrderType.MARKET,
            quantity=abs(held) if quantity is None else quantity,
            notional=None,
            limit=None,
            time_in_force="gtc" if crypto else "day",
            extended=False,
            client_id="",
            intent="",
        )
        return self.enter(account, market, wanted)


def _bought(notional: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    return instrument.round_quantity(notional / price) if price else Decimal(0)


def _subject(changes: Changes) -> OrderRecord:
    if changes.subject is None:
        raise RuntimeError("expected the order that was placed, found none: a fault of the matching engine")
    return changes.subject
