"""Executions and positions: each execution counts once, in whatever order they come."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState
from actors.messages.orders import Repaired
from actors.names import pair
from actors.window import forget_oldest, oldest, remember
from exchanges.model.order import Fill
from exchanges.model.position import Position

_ZERO = Decimal(0)


class FillLedger:
    """Positions as the sum of the executions seen, starting from the venue's own figure."""

    def __init__(self, settings: ExchangeSettings, state: ConnectionState) -> None:
        self._settings = settings
        self._state = state

    def since_ns(self, now: int) -> int:
        """From when on executions are worth fetching: everything older is known."""
        state = self._state
        start = state.fetched_ns or state.executed_ns or now
        return max(start - self._settings.overlap_ns, state.floor_ns, 0)

    def known(self, fill: Fill) -> bool:
        state = self._state
        horizon = max(state.floor_ns, state.baselines.get(fill.symbol, 0))
        return fill.execution_id in state.executions or fill.ts_ns <= horizon

    def position(self, symbol: str) -> Position:
        return self._state.positions.get(symbol) or Position(symbol)

    def remember(self, fill: Fill) -> None:
        """Count an execution as known without moving the position."""
        state = self._state
        state.executions[fill.execution_id] = fill.ts_ns
        state.executed_ns = max(state.executed_ns, fill.ts_ns)
        self._prune()

    def apply(self, fill: Fill, strategy: str = "") -> Position | None:
        """The position after a new execution (of ``strategy``'s); ``None`` if it is known already."""
        if self.known(fill):
            return None
        self.remember(fill)
        position = self.position(fill.symbol).apply(fill)
        self._state.positions[fill.symbol] = position
        instrument = self._state.instruments.get(fill.symbol)
        if fill.fee_in_base and instrument is not None and not instrument.fee_told:
            reckoned = self._state.reckoned
            reckoned[fill.symbol] = reckoned.get(fill.symbol, Decimal(0)) + fill.fee
        self._share(strategy, fill, position)
        return position

    def pay(self, payment_id: str, symbol: str, amount: Decimal, ts_ns: int) -> Position | None:
        """The position after a new payment; ``None`` if it is known already, or older than the books."""
        state = self._state
        known = payment_id in state.payments
        remember(state.payments, payment_id, ts_ns, self._settings.payments_kept)
        if known or symbol not in state.baselines:
            return None
        position = state.positions[symbol] = self.position(symbol).pay(amount)
        return position

    def share(self, strategy: str, symbol: str) -> Decimal:
        """What the strategy holds by its own fills, signed."""
        return self._state.shares.get(pair(strategy, symbol), _ZERO)

    def _share(self, strategy: str, fill: Fill, position: Position) -> None:
        shares = self._state.shares
        if strategy:
            key = pair(strategy, fill.symbol)
            held = shares.pop(key, _ZERO) + fill.delta
            if held:
                shares[key] = held
        elif not position.tradable(self._lot(fill.symbol)).quantity:
            # A panic, or somebody else, has closed what all of them held.
            for key in [key for key in shares if key.partition("|")[2] == fill.symbol]:
                del shares[key]

    def _lot(self, symbol: str) -> Decimal:
        instrument = self._state.instruments.get(symbol)
        return instrument.lot if instrument is not None else _ZERO

    def put(self, position: Position, as_of_ns: int) -> None:
        """Take over the venue's figure, which holds the symbol's executions up to ``as_of_ns`` (venue time)."""
        self._state.positions[position.symbol] = position
        self._state.baselines.setdefault(position.symbol, as_of_ns)

    def fold(self, repaired: Repaired) -> None:
        """Replay a repair that the snapshot does not have."""
        epoch, _, number = repaired.id.partition(".")
        mark = (int(epoch), int(number)) if epoch.isdigit() and number.isdigit() else (0, 0)
        if mark <= self._state.repair_mark:
            return
        self._state.repair_mark, self._state.repairs = mark, mark[1]
        if repaired.fill is not None:
            self.apply(repaired.fill)
        elif repaired.position is not None:
            self.put(repaired.position, repaired.as_of_ns)

    def restate(self, symbol: str, position: Position) -> Position:
        """``position`` with the profit, fees and payments booked so far."""
        old = self.position(symbol)
        return msgspec.structs.replace(position, realized=old.realized, fees=old.fees, payments=old.payments)

    def _prune(self) -> None:
        """Forget the oldest executions, but none that a fetch would bring again."""
        state = self._state
        horizon = state.executed_ns - 2 * self._settings.overlap_ns
        while len(state.executions) > self._settings.executions_kept:
            if oldest(state.executions)[1] >= horizon:
                return
            state.floor_ns = max(state.floor_ns, forget_oldest(state.executions)[1])
