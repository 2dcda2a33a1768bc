"""The simulator as a host embeds it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from exchanges.hours import Hours, TradingHours, trading_hours
from exchanges.model.instrument import Instrument
from exchanges.simulators.alpaca import rows, wire
from exchanges.simulators.alpaca.auth import Keys
from exchanges.simulators.alpaca.desk import Desk
from exchanges.simulators.alpaca.instruments import SHARE, AlpacaCatalogue, is_crypto
from exchanges.simulators.alpaca.limits import Limits
from exchanges.simulators.alpaca.publisher import AlpacaPublisher
from exchanges.simulators.alpaca.rest import AlpacaRest
from exchanges.simulators.alpaca.streams import AlpacaStreams
from exchanges.simulators.base.catalogue import Catalogue
from exchanges.simulators.base.control import Control
from exchanges.simulators.base.simulator import Parts, Simulator
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.settings import SimulatorSettings

MULTIPLIER = Decimal(2)


class AlpacaControl(Control):
    """Books in which orders and fills have the identifiers that the venue's clients know.

    An execution is called by its order and by how much of that is filled after it, which the
    stream and the account activities both tell (``<order id>:<cumulative quantity>``).
    """

    desk: Desk

    def books(self, account: str) -> dict[str, Any]:
        found = super().books(account)
        for row in found["orders"]:
            ticket = self.desk.tickets.current(row["venue_id"])
            row["venue_id"] = ticket.id if ticket is not None else row["venue_id"]
        executions = (done for done in self.desk.venue.executions if done.account == account)
        for row, done in zip(found["fills"], executions, strict=True):
            owner = self.desk.tickets.at(done.fill.venue_id, done.sequence)
            if owner is not None:
                filled = done.order_quantity - done.leaves - owner.base_filled
                row["venue_id"], row["execution_id"] = owner.id, f"{owner.id}:{wire.text(filled)}"
        return found


class AlpacaSimulator(Simulator):
    """An Alpaca of one's own. REST of both interfaces is under ``url``, the streams under ``ws_url``.

    Args:
        hours: ``always`` (the market never closes), ``nyse``, or a calendar of one's own; on the venue's clock.
        multiplier: how many times their equity accounts may hold in stocks.
    """

    name: ClassVar[str] = "alpaca"
    currency: ClassVar[str] = "USD"
    controls: ClassVar[type[Control]] = AlpacaControl

    def __init__(
        self, settings: SimulatorSettings, *, hours: Hours | TradingHours = "always", multiplier: Decimal = MULTIPLIER
    ) -> None:
        super().__init__(settings)
        self.hours = hours if isinstance(hours, TradingHours) else trading_hours(hours)
        self.multiplier = multiplier
        self.desk: Desk | None = None

    def catalogue(self) -> Catalogue:
        return AlpacaCatalogue(self.settings.maker_fee, self.settings.taker_fee)

    def assemble(self, venue: Venue) -> Parts:
        self.desk = Desk(venue, self.hours, self.multiplier)
        keys = Keys(self.settings.credentials(), venue.faults)
        streams = AlpacaStreams(venue, keys)
        publisher = AlpacaPublisher(self.desk, streams)
        return Parts(AlpacaRest(publisher, keys, Limits.of(self.settings)), streams, publisher)

    def _assemble(self, catalogue: Catalogue, instruments: list[Instrument]) -> None:
        super()._assemble(catalogue, instruments)
        if isinstance(self.control, AlpacaControl):
            self.control.desk = self._opened()

    def _play(self, instruments: list[Instrument], replay: Replay | None) -> None:
        """Let generated trades of stocks be in whole shares."""
        traded = [i if is_crypto(i) else msgspec.structs.replace(i, lot=SHARE) for i in instruments]
        super()._play(traded, replay)

    def account_rows(self, account: str) -> dict[str, Any]:
        desk, engine = self._opened(), self.venue.engine
        told: dict[str, Any] = {"orders": [], "activities": [], "positions": []}
        for ticket in desk.tickets.of_account(account):
            record = engine.find(account, order_id=ticket.engine_id)
            if record is not None:
                told["orders"].append(rows.order(ticket, record, engine.markets[record.symbol].instrument))
        for done in self.venue.executions:
            owner = desk.tickets.at(done.fill.venue_id, done.sequence)
            if done.account == account and owner is not None:
                told["activities"].append(rows.activity(done, owner, engine.markets[done.fill.symbol].instrument))
        for market in self.venue.markets.values():
            held = engine.accounts[account].position(market.instrument.symbol)
            if held.quantity:
                working = rows.working_against(engine, account, held)
                told["positions"].append(rows.position(held, market, engine.mark(held.symbol), working))
        return told | {"cash": wire.text(engine.accounts[account].wallet)}

    def _opened(self) -> Desk:
        if self.desk is None:
            raise RuntimeError("expected a started simulator, found one whose desk is not open; await start() first")
        return self.desk

    async def stop(self) -> None:
        await super().stop()
        if self.desk is not None:
            self.desk.tickets.close()
