"""Round trips: from flat to flat, or to the other side, for each strategy and symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from exchanges.model.order import Fill, Side

_ZERO = Decimal(0)


class _Trip(msgspec.Struct):
    """A position since it was opened: ``bought`` and ``paid`` are its entries, ``sold`` and ``got`` its exits."""

    side: int
    entry_ns: int
    held: Decimal = _ZERO
    most: Decimal = _ZERO
    bought: Decimal = _ZERO
    paid: Decimal = _ZERO
    sold: Decimal = _ZERO
    got: Decimal = _ZERO
    fees: Decimal = _ZERO


class Trips:
    """Takes fills in their order; ``rows`` are the trips that ended, as columns of the table of trades."""

    def __init__(self, intervals: dict[str, int]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._intervals = intervals
        self._open: dict[tuple[str, str], _Trip] = {}

    def take(self, strategy: str, fill: Fill) -> None:
        """One execution; where it goes through flat it ends a trip and begins another, its fee shared by quantity."""
        key = (strategy, fill.symbol)
        left, sign, fee = abs(fill.delta), fill.side.sign, fill.quote_fee
        trip = self._open.get(key)
        if trip is not None and trip.side != sign:
            part = min(left, trip.held)
            share = fee * part / left
            trip.held -= part
            trip.sold += part
            trip.got += part * fill.price
            trip.fees += share
            left, fee = left - part, fee - share
            if not trip.held:
                self._end(key, self._open.pop(key), fill)
                trip = None
        if not left:
            return
        if trip is None:
            trip = self._open[key] = _Trip(sign, fill.ts_ns)
        trip.held += left
        trip.most = max(trip.most, trip.held)
        trip.bought += left
        trip.paid += left * fill.price
        trip.fees += fee

    def forced(self, fill: Fill) -> None:
        """An execution that no strategy ordered: a settlement ends all trips of the symbol, else those it reduces."""
        left = fill.quantity
        for (strategy, symbol), trip in list(self._open.items()):
            side = Side.SELL if trip.side > 0 else Side.BUY
            if symbol != fill.symbol or (side is not fill.side and not fill.settles):
                continue
            part = trip.held if fill.settles else min(trip.held, left)
            left -= part
            if part:
                fee = fill.fee * part / fill.quantity
                self.take(strategy, msgspec.structs.replace(fill, side=side, quantity=part, fee=fee))

    def _end(self, key: tuple[str, str], trip: _Trip, fill: Fill) -> None:
        gross = (trip.got - trip.paid) * trip.side
        interval_ns = self._intervals.get(key[1], 0)
        self.rows.append(
            {
                "strategy": key[0],
                "symbol": key[1],
                "side": "long" if trip.side > 0 else "short",
                "quantity": float(trip.most),
                "entry_ns": trip.entry_ns,
                "exit_ns": fill.ts_ns,
                "entry_price": float(trip.paid / trip.bought),
                "exit_price": float(trip.got / trip.sold),
                "gross": float(gross),
                "fees": float(trip.fees),
                "pnl": float(gross - trip.fees),
                "return": float((gross - trip.fees) / trip.paid),
                "bars_held": (fill.ts_ns - trip.entry_ns) // interval_ns if interval_ns else None,
            }
        )
