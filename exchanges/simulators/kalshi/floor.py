"""All that the simulated exchange knows: the venue's books, the markets' lives, the orders' extras."""

from __future__ import annotations

from decimal import Decimal

from exchanges.matching.liquidity import Level
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.model.order import Side
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.kalshi import wire
from exchanges.simulators.kalshi.annex import Annex
from exchanges.simulators.kalshi.errors import missing
from exchanges.simulators.kalshi.form import Json
from exchanges.simulators.kalshi.instruments import Listings
from exchanges.simulators.kalshi.lifecycle import Lifecycle
from exchanges.simulators.kalshi.limits import Limits
from exchanges.simulators.kalshi.listing import Listing
from exchanges.simulators.kalshi.tally import Tallies

BOOK_LEVELS = 10
"""As deep as the streamed book goes."""


class Floor:
    """What routes and streams are answered from."""

    def __init__(self, venue: Venue, listings: Listings, annex: Annex, lifecycle: Lifecycle, limits: Limits) -> None:
        self.venue = venue
        self.listings = listings
        self.annex = annex
        self.lifecycle = lifecycle
        self.limits = limits
        self.tallies = Tallies(venue.executions)
        self.volumes: dict[str, float] = {}
        venue.listeners.append(self.tallies.note)

    def market(self, ticker: str) -> tuple[Listing, SymbolMarket]:
        """A listed market.

        Raises:
            ApiError: 404, there is none of that name.
        """
        listing, market = self.annex.listings.get(ticker), self.venue.markets.get(ticker)
        if listing is None or market is None:
            raise missing("market", ticker)
        return listing, market

    def depth(self, ticker: str, levels: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks for YES, best first; none where the market takes no orders."""
        if not self.lifecycle.trading(ticker):
            return [], []
        return self.venue.engine.markets[self.symbol(ticker)].depth(levels)

    def symbol(self, ticker: str) -> str:
        return self.venue.markets[ticker].instrument.symbol

    def interest(self, ticker: str) -> Decimal:
        """The contracts our accounts hold of a market; of nobody else is it known."""
        symbol = self.symbol(ticker)
        held = (account.position(symbol).quantity for account in self.venue.engine.accounts.values())
        return sum((quantity for quantity in held if quantity > 0), ZERO)

    def traded(self, ticker: str, size: float) -> None:
        """Count a public trade."""
        self.volumes[ticker] = self.volumes.get(ticker, 0.0) + size

    def market_row(self, listing: Listing) -> Json:
        bids, asks = self.depth(listing.ticker, 1)
        return wire.market(
            listing,
            self.venue.markets[listing.ticker],
            bids,
            asks,
            volume=self.volumes.get(listing.ticker, 0.0),
            interest=self.interest(listing.ticker),
        )

    def order_row(self, record: OrderRecord) -> Json:
        return wire.order(record, self.tallies.order(record.id), self.annex.tickets.get(record.id))

    def position_row(self, account: str, symbol: str) -> Json:
        holder, engine = self.venue.engine.accounts[account], self.venue.engine
        resting = sum(1 for record in engine.working(account) if record.symbol == symbol)
        return wire.position(
            holder.position(symbol),
            engine.markets[symbol].instrument,
            self.tallies.traded(account, symbol),
            resting,
            self.tallies.updated_ns(account, symbol),
        )

    def own_best(self, account: str, symbol: str, side: Side) -> Decimal | None:
        """The best price at which the account itself rests on ``side``."""
        found = [
            record.price
            for record in self.venue.engine.working(account)
            if record.symbol == symbol and record.side is side and record.price is not None
        ]
        return None if not found else max(found) if side is Side.BUY else min(found)
