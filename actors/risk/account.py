"""What is kept of the account over days and restarts: the day's budget, the peak, and how strategies fare."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.orders import Filled
from actors.messages.signals import ApprovedOrder
from actors.names import pair
from actors.risk.book import DAY_NS, Book, Bounds
from actors.window import open_windows, remember, window
from exchanges.model.order import Side
from exchanges.model.position import Position

_ZERO = Decimal(0)
_STRATEGIES = 10_000
"""Strategies and their symbols that are remembered."""


class Account(msgspec.Struct):
    """The fold of approvals and fills.

    ``spent`` is the notional of the entries approved on the UTC day ``day`` and journaled. ``peak`` is
    the highest profit there was. ``holdings`` are by ``strategy|symbol`` what a strategy's own fills
    come to; ``streaks`` its losing round trips in a row, ``paused`` until when it makes no entry.
    """

    day: int = 0
    spent: Decimal = _ZERO
    peak: Decimal = _ZERO
    holdings: dict[str, Position] = {}
    streaks: dict[str, int] = {}
    paused: dict[str, int] = {}

    def __post_init__(self) -> None:
        open_windows(self, "holdings", "streaks", "paused")

    def approved(self, order: ApprovedOrder, book: Book) -> None:
        """Count an entry for the budget of the day it was approved on."""
        day = order.approved_ns // DAY_NS
        if day > self.day:
            self.day, self.spent = day, _ZERO
        if day == self.day and not order.reduce_only and not order.closes:
            price = order.price or order.reference_price
            self.spent += notional(book, order.symbol, order.side, order.quantity, price, price)

    def spent_on(self, now: int, book: Book) -> Decimal:
        """What was approved on the UTC day of ``now``, with what is granted and not yet journaled."""
        granted = [order for order in book.commitments.values() if not order.firm and not order.reduce_only]
        return (self.spent if now // DAY_NS == self.day else _ZERO) + sum(
            (notional(book, o.symbol, o.side, o.quantity, o.price, o.price) for o in granted), _ZERO
        )

    def filled(self, event: Filled, ts: int, losses: int, pause_ns: int) -> None:
        """Fold a fill into its strategy's own holding; a holding that is closed is a round trip.

        A round trip that lost, fees included, adds to the streak; ``losses`` of them in a row
        (0: never) pause the strategy. Where nothing is held any more, no strategy holds anything, unless what they
        hold offsets each other and it was one of them that traded.
        """
        fill = event.fill
        if event.strategy:
            key = pair(event.strategy, fill.symbol)
            held = (self.holdings.pop(key, None) or Position(fill.symbol)).apply(fill)
            if held.quantity:
                remember(self.holdings, key, held, _STRATEGIES)
            else:
                self._closed(event.strategy, held.realized - held.fees, ts, losses, pause_ns)
        if not event.position.quantity and (not event.strategy or self.booked(fill.symbol)):
            self.flat(fill.symbol)

    def share(self, strategy: str, symbol: str) -> Decimal:
        """What a strategy holds by its own fills, signed."""
        held = self.holdings.get(pair(strategy, symbol))
        return held.quantity if held is not None else _ZERO

    def booked(self, symbol: str) -> Decimal:
        """What all strategies together hold by their own fills, signed."""
        return sum((held.quantity for held in self.holdings.values() if held.symbol == symbol), _ZERO)

    def flat(self, symbol: str) -> None:
        """The position is gone, whoever closed it."""
        self.holdings = window((key, held) for key, held in self.holdings.items() if held.symbol != symbol)

    def _closed(self, strategy: str, result: Decimal, ts: int, losses: int, pause_ns: int) -> None:
        streak = self.streaks.pop(strategy, 0) + 1 if result < 0 else 0
        if losses and streak >= losses:
            remember(self.paused, strategy, ts + pause_ns, _STRATEGIES)
            streak = 0
        if streak:
            remember(self.streaks, strategy, streak, _STRATEGIES)
        else:
            self.streaks.pop(strategy, None)

    def drawdown(self, profit: Decimal) -> Decimal:
        """How far the profit is below its peak, in dollars."""
        self.peak = max(self.peak, profit)
        return self.peak - profit


def notional(book: Book, symbol: str, side: Side, quantity: Decimal, dearest: Decimal, cheapest: Decimal) -> Decimal:
    """What one order puts at stake in dollars, between two prices."""
    bounds = Bounds(_ZERO, quantity) if side is Side.BUY else Bounds(-quantity, _ZERO)
    return bounds.stake(dearest, cheapest, book.contracts.get(symbol)) * book.rate(symbol)


def drawdown_share(drawdown: Decimal, equity: Decimal) -> Decimal:
    """A drawdown as a share of the equity at the peak: what there is now and what was lost since.

    So a deposit or a withdrawal is no gain and no loss.
    """
    peak = equity + drawdown
    return drawdown / peak if peak > 0 else Decimal(1 if drawdown > 0 else 0)
