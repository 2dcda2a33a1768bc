"""The exchange connection dies and stays down while the market goes through the stops: who protects what is held?"""

from __future__ import annotations

import random
from decimal import Decimal

from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.venue import ACCOUNT, SimulatedVenue
from exchanges.matching.record import OrderRecord
from exchanges.model.order import Side
from runtime.simulation.faults import SECOND

_LOOKS_NS = SECOND // 20
_ZERO = Decimal(0)


class Outage(Scenario):
    """Brackets under the faults of the seed, until their stops wait at the venue; then the connection is down for 20 s.

    In that time the market falls or rises through every stop there is. ``stopped`` counts them.
    """

    SECONDS = 6.0
    DOWN_S = 20.0
    stopped = 0

    def _traders(self) -> None:
        """Those of the layout alone: what they hold is protected as a whole."""
        self._strategies()

    def _operator(self, rng: random.Random) -> None:
        """Nobody interferes."""

    def play(self, seconds: float) -> None:
        world, most = self.world, int(seconds * SECOND)
        world.start()
        now = 0
        while now < most and not self._protected():
            now += _LOOKS_NS
            world.run(now)
        connection = self.connections[0]
        world.hold(connection)
        # What it has sent arrives, and so do the venue's ticks of before.
        now += SECOND
        world.run(now)
        for venue in self.venues:
            self._through(venue)
        now += int(self.DOWN_S * SECOND)
        world.run(now)
        world.release(connection)
        super().rest(now / SECOND)

    def _protected(self) -> bool:
        """Whether every position at the venue has a stop of its size waiting there, and there is one."""
        venue = self.venues[0]
        held = [position for position in venue.account.positions.values() if position.quantity]
        covered = {symbol: sum((r.open for r in self._waiting(venue, symbol)), _ZERO) for symbol in venue.symbols}
        return bool(held) and all(covered[each.symbol] >= abs(each.quantity) for each in held)

    def _waiting(self, venue: SimulatedVenue, symbol: str) -> list[OrderRecord]:
        return [r for r in venue.engine.working(ACCOUNT) if r.waiting and r.symbol == symbol]

    def _through(self, venue: SimulatedVenue) -> None:
        """Let the market trade beyond the farthest stop of each symbol, and see that each has done its work."""
        for symbol in venue.symbols:
            stops = self._waiting(venue, symbol)
            held = venue.position(symbol)
            sells = [r.trigger.price for r in stops if r.trigger is not None and r.side is Side.SELL]
            buys = [r.trigger.price for r in stops if r.trigger is not None and r.side is Side.BUY]
            levels = sells if held > 0 else buys
            if not levels:
                continue
            covered = sum((r.open for r in stops if (r.side is Side.SELL) is (held > 0)), _ZERO)
            price = min(levels) * Decimal("0.999") if held > 0 else max(levels) * Decimal("1.001")
            venue.jump(symbol, float(price))
            left = abs(venue.position(symbol))
            self.stopped += len(levels)
            if left > max(abs(held) - covered, _ZERO):
                text = f"{symbol} is at {price}, stops of {covered} waited for it with {held} held, and {left} is left"
                self.world.fail("stops-protect-without-us", text)
