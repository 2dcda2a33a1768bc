"""What the book and the trades say about the next moment."""

from __future__ import annotations

from strategies.indicators.average import SMA


class OrderFlowImbalance:
    """Order-flow imbalance: by how much the best bid's queue grew more than the best ask's, in base units.

    The contribution of a change of the quote is the bid's size where the bid did not fall, less the
    size before where it did not rise, and the mirror of it for the ask; ``value`` adds up the
    last ``period`` changes. Ready after ``period + 1`` quotes.
    R. Cont, A. Kukanov, S. Stoikov, The Price Impact of Order Book Events (2014), section 2.1.
    """

    def __init__(self, period: int) -> None:
        self.changes = SMA(period)
        self.last: tuple[float, float, float, float] | None = None
        self.change = 0.0
        self.value = 0.0
        self.ready = False

    def update_quote(self, bid: float, bid_size: float, ask: float, ask_size: float) -> float:
        """Take in the best bid and ask."""
        last, self.last = self.last, (bid, bid_size, ask, ask_size)
        if last is None:
            return self.value
        change = (bid_size if bid >= last[0] else 0.0) - (last[1] if bid <= last[0] else 0.0)
        change -= (ask_size if ask <= last[2] else 0.0) - (last[3] if ask >= last[2] else 0.0)
        self.change = change
        self.changes.update(change)
        self.value, self.ready = self.changes.total, self.changes.ready
        return self.value


class TradeImbalance:
    """The takers' signed volume over all volume of the last ``period`` trades, -1 (all sold) to 1.

    Trades whose taker is not known count as volume without a direction. Ready after ``period`` trades.
    """

    def __init__(self, period: int) -> None:
        self.signed = SMA(period)
        self.volume = SMA(period)
        self.value = 0.0
        self.ready = False

    def update_trade(self, size: float, side: str) -> float:
        """Take in one trade; ``side`` is the taker's: ``buy``, ``sell`` or empty."""
        signed = self.signed.update(size if side == "buy" else -size if side == "sell" else 0.0)
        volume = self.volume.update(size)
        self.value = max(-1.0, min(1.0, signed / volume)) if volume > 0 else 0.0
        self.ready = self.volume.ready
        return self.value


class MicroPrice:
    """The mid weighted by the other side's size: near the ask where the bid is the larger.

    ``(bid * ask_size + ask * bid_size) / (bid_size + ask_size)``, the mid where no size is known.
    J. Gatheral and R. Oomen, Zero-intelligence realized variance estimation (2010); it is the first
    approximation of S. Stoikov, The micro-price (2018). Ready with the first quote.
    """

    def __init__(self) -> None:
        self.mid = 0.0
        self.imbalance = 0.0
        self.value = 0.0
        self.ready = False

    def update_quote(self, bid: float, bid_size: float, ask: float, ask_size: float) -> float:
        """Take in the best bid and ask; ``imbalance`` is -1 (only asks) to 1 (only bids)."""
        both = bid_size + ask_size
        self.mid = (bid + ask) / 2
        self.imbalance = (bid_size - ask_size) / both if both > 0 else 0.0
        self.value = self.mid + (ask - bid) / 2 * self.imbalance
        self.ready = True
        return self.value
