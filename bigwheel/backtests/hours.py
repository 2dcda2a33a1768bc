"""When stocks trade in a backtest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import msgspec

from bigwheel.backtests.floor import Floor
from exchanges.hours import FAR_AHEAD, NyseHours, Phase, ends_with_the_day, local
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import OrderType, TimeInForce
from exchanges.model.venue import PlaceOrder
from exchanges.paper.books import ACCOUNT

_SECOND = 1_000_000_000


class MarketHours:
    """Opens and closes the stocks of one venue by the calendar of the New York Stock Exchange.

    While they are closed orders are refused, and data move the price and fill nothing. Orders that are good till
    cancelled wait for the next day; those that end with the day do so at the close.

    Args:
        extended: stocks trade from 04:00 to 20:00, outside of 09:30 to 16:00 by limit orders.
    """

    def __init__(self, floor: Floor, instruments: Iterable[Instrument], *, extended: bool) -> None:
        self._floor, self._extended = floor, extended
        self._stocks = {each.symbol: each for each in instruments if each.kind is ContractKind.EQUITY}
        self._hours = NyseHours()

    def open(self) -> None:
        """Await the first change."""
        if self._stocks:
            self._await()

    def listed(self, instrument: Instrument) -> Instrument:
        """The instrument as it stands now."""
        if instrument.symbol not in self._stocks:
            return instrument
        opens_ns, closes_ns = self._next()
        trading = self._trading()
        return msgspec.structs.replace(instrument, trading=trading, opens_ns=opens_ns, closes_ns=closes_ns)

    def refusal(self, command: PlaceOrder) -> str:
        """Why an order can't be taken in this part of the day; empty if it can."""
        if command.symbol not in self._stocks or not self._trading() or self._phase() is Phase.REGULAR:
            return ""
        if command.type is OrderType.LIMIT and command.time_in_force is TimeInForce.GTC:
            return ""
        return "only limit orders without IOC or FOK are traded in extended hours"

    def _phase(self) -> Phase:
        return self._hours.phase(self._floor.driver.now)

    def _trading(self) -> bool:
        phase = self._phase()
        return phase is Phase.REGULAR or (self._extended and phase is not Phase.CLOSED)

    def _next(self) -> tuple[int, int]:
        """When trading begins next, and when it ends next."""
        now = local(self._floor.driver.now)
        days = list(self._hours.sessions(now.date(), now.date() + dt.timedelta(days=FAR_AHEAD)))
        begins = (day.early if self._extended else day.opens for day in days)
        ends = (day.late if self._extended else day.closes for day in days)
        first, last = (next(at for at in times if at > now) for times in (begins, ends))
        return int(first.timestamp()) * _SECOND, int(last.timestamp()) * _SECOND

    def _await(self) -> None:
        self._floor.at(min(self._next()), self._turn)

    def _turn(self) -> None:
        floor = self._floor
        if not self._trading():
            for record in [each for each in floor.books.engine.working(ACCOUNT) if each.symbol in self._stocks]:
                terms = (record.quantity, record.type, record.time_in_force)
                if ends_with_the_day(*terms, extended=self._extended):
                    floor.changed(floor.books.expire(record))
        floor.relist(tuple(map(self.listed, self._stocks.values())))
        self._await()
