"""Prices to wait for, and what a venue offers of orders that wait for one."""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec


class Source(enum.StrEnum):
    """The price a trigger looks at. ``MARK`` is what a perpetual is settled by."""

    LAST = "last"
    BID = "bid"
    ASK = "ask"
    MARK = "mark"


class Direction(enum.StrEnum):
    """``ABOVE`` is met at the price and above it, ``BELOW`` at the price and below it."""

    ABOVE = "above"
    BELOW = "below"


class Trigger(msgspec.Struct, frozen=True):
    """A price to wait for. ``symbol`` is empty for the order's or flow's own; another must be of the same venue."""

    direction: Direction
    price: Decimal
    source: Source = Source.LAST
    symbol: str = ""

    def reached(self, price: Decimal) -> bool:
        """Whether it is met at ``price``."""
        return price >= self.price if self.direction is Direction.ABOVE else price <= self.price


class StopOrders(msgspec.Struct, frozen=True):
    """What the venue has of orders that rest there until a price is met, for one instrument.

    ``sources`` are the prices they may look at, the one to prefer first. ``reduce_only`` says that they can be kept
    from opening a position, ``beside`` that another order to close the same position may rest next to them, ``amend``
    that trigger price and quantity can be changed. What they become is a market order.
    """

    sources: tuple[Source, ...] = (Source.LAST,)
    reduce_only: bool = True
    beside: bool = True
    amend: bool = True
