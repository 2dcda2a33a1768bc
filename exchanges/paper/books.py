"""The account on paper: the matching engine, the market data around it, and the books on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from exchanges.matching.bars import TRADES
from exchanges.matching.engine import MatchingEngine
from exchanges.matching.exact import ExactDepth
from exchanges.matching.liquidity import Level
from exchanges.matching.record import MARKET_CLOSED, NOTHING, ZERO, Changes, Execution, Funding, OrderRecord
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Bar, Book, MarketData, Quote, Ticker, Trade
from exchanges.model.order import Fill, Order, Side
from exchanges.model.position import Balance
from exchanges.model.venue import AmendOrder, CancelAll, CancelOrder, PlaceOrder, VenuePosition
from exchanges.paper.settings import PaperSettings
from exchanges.simulators.store import Progress, VenueStore
from runtime.errors import SetupError

ACCOUNT = "paper"
_RICH = (Book, Quote, Trade)


class PaperBooks:
    """One account in one currency. Each change is on disk before it is returned.

    Resting orders are filled by the venue's trades. Where no trades are streamed a quote or book through an
    order's price counts as one, and where there are none of these, closed bars do.

    Raises:
        SimulatorError: the folder can't be used, or another process has its books open.
    """

    def __init__(self, settings: PaperSettings, clock: Callable[[], int] = time.time_ns) -> None:
        self._settings, self._clock = settings, clock
        self._store = VenueStore(settings.folder) if settings.folder is not None else None
        self._seen: dict[str, set[type[MarketData]]] = {}
        self._prices: dict[str, float] = {}
        self._now_ns = 0
        self.executions: list[Execution] = []
        self.fundings: list[Funding] = []
        self.settled: dict[str, Decimal] = {}
        self.funded: dict[str, int] = {}
        """By symbol, when funding was paid last."""
        depth = ExactDepth() if settings.depth == "exact" else SyntheticDepth(settings.seed)
        prefix = f"{settings.prefix}-{clock():x}-"
        self.engine = MatchingEngine(depth=depth, id_prefix=prefix, insured=settings.insured)
        self._restore()

    def _restore(self) -> None:
        if self._store is None:
            return
        stored = self._store.load()
        for instrument in stored.instruments:
            self.engine.list_instrument(instrument)
        if stored.counters is not None:
            self.engine.restore(stored.counters, stored.accounts, stored.orders)
        self.executions.extend(stored.executions)
        self.settled = stored.settled
        self.fundings.extend(stored.fundings)
        for payment in stored.fundings:
            self.funded[payment.symbol] = max(self.funded.get(payment.symbol, 0), payment.ts_ns)
        for symbol, price in stored.prices.items():
            # So that what is held has a value before the venue is heard again.
            self.engine.markets[symbol].external.recalled(price)
            self._prices[symbol] = price

    def close(self) -> None:
        """Write the last prices and let go of the folder; once is enough."""
        store, self._store = self._store, None
        if store is not None:
            store.save_market(self._prices, Progress())
            store.close()

    def now_ns(self) -> int:
        """The clock, by default this machine's; it never goes back."""
        self._now_ns = max(self._now_ns, self._clock())
        return self._now_ns

    # -- the market ------------------------------------------------------------------------

    @property
    def opened(self) -> bool:
        """Whether there is an account: from the first instruments on."""
        return ACCOUNT in self.engine.accounts

    @property
    def currency(self) -> str:
        """What the account is kept in."""
        return self.engine.accounts[ACCOUNT].currency

    def list(self, instruments: Sequence[Instrument]) -> None:
        """Take over what the venue lists; hours, fees and steps of what is listed already are replaced.

        Raises:
            SetupError: the instruments are quoted in more than one currency, or in another than the account's.
        """
        quotes = {instrument.quote for instrument in instruments}
        quotes |= {account.currency for account in self.engine.accounts.values()}
        if len(quotes) > 1:
            raise SetupError(
                f"expected symbols of one quote currency for an account on paper, found {', '.join(sorted(quotes))}; "
                "trade them in sessions with stores of their own"
            )
        for instrument in instruments:
            if instrument.symbol in self.settled:
                continue
            self.engine.list_instrument(instrument)
            self.engine.relist(instrument)
        for quote in quotes:
            self.engine.open_account(ACCOUNT, self._settings.balance, quote)
        self._lever(instruments)
        if self._store is not None:
            self._store.save_instruments(market.instrument for market in self.engine.markets.values())
            self._store.save(Changes(), self.engine.counters(), self.engine.accounts.values())

    def _lever(self, instruments: Sequence[Instrument]) -> None:
        """Set the account's leverage, as far as each perpetual allows it."""
        for instrument in instruments:
            if self._settings.leverage is not None and instrument.kind is ContractKind.LINEAR_PERPETUAL:
                leverage = min(self._settings.leverage, instrument.max_leverage)
                self.engine.accounts[ACCOUNT].leverage[instrument.symbol] = max(leverage, Decimal(1))

    def instrument(self, symbol: str) -> Instrument | None:
        market = self.engine.markets.get(symbol)
        return market.instrument if market is not None else None

    def priced(self, symbol: str) -> bool:
        """Whether the venue was heard about ``symbol`` since ``forget``."""
        return bool(self._seen.get(symbol))

    def forget(self) -> None:
        """The venue can't be heard: what was known of the market is too old to match orders against."""
        self._seen.clear()

    def take(self, data: MarketData) -> Changes:
        """Let market data move the market; returns what it changed."""
        if data.symbol not in self.engine.markets:
            return NOTHING
        seen = self._seen.setdefault(data.symbol, set())
        if isinstance(data, Ticker):
            self.engine.on_mark(data.symbol, Decimal(repr(data.mark)))
        changes = self._apply(self._moved(data, seen))
        if not isinstance(data, Trade | Bar):
            changes = self._apply(self.engine.liquidate(self.now_ns(), data.symbol)).after(changes)
        if isinstance(data, _RICH) or (isinstance(data, Bar) and data.closed):
            seen.add(type(data))
            self._prices[data.symbol] = self.engine.markets[data.symbol].external.last_price
        return changes

    def open_bar(self, symbol: str, price: float, size: float = 0.0) -> Changes:
        """Move the market to the first price of a bar that is not over: what takes meets it, and what it jumps over."""
        return self._apply(self.engine.on_open(symbol, price, size, self.now_ns()))

    def walk(self, symbol: str, price: float, size: float, taker: Side) -> Changes:
        """Move the market to a price on a bar's way."""
        return self._apply(self.engine.on_way(symbol, price, size, taker, self.now_ns()))

    def end_bar(self, bar: Bar) -> None:
        """Note a bar that has been walked."""
        self._seen.setdefault(bar.symbol, set()).add(Bar)
        self._prices[bar.symbol] = self.engine.markets[bar.symbol].external.last_price

    def resting(self, symbol: str) -> bool:
        """Whether an order of ours is in the book or waits for a price."""
        market = self.engine.markets[symbol]
        return bool(market.book.bids or market.book.asks or market.stops)

    def barred(self, symbol: str) -> bool:
        """Whether bars are all that was heard about ``symbol``, and no order of ours rests or waits in it."""
        return self._seen.get(symbol) == {Bar} and not self.resting(symbol)

    def pass_bars(self, symbol: str, moves: Sequence[MarketData | float]) -> None:
        """What ``open_bar`` (a price) and ``take`` (a closed bar) do, one after the other, where ``barred``.

        Of all but the last nothing is left but the number of trades that a bar stands for.
        """
        *early, late = moves
        if early:
            openings = list(map(type, early)).count(float)
            last = next((each.close for each in reversed(early) if isinstance(each, Bar)), 0.0)
            self._prices[symbol] = last or self._prices[symbol]
            external, before = self.engine.markets[symbol].external, early[-1]
            passed = openings + (len(early) - openings) * TRADES
            external.passed(passed, before if isinstance(before, float) else last)
        if isinstance(late, MarketData):
            self.take(late)
        else:
            self.open_bar(symbol, late)

    def _moved(self, data: MarketData, seen: set[type[MarketData]]) -> Changes:
        engine = self.engine
        if isinstance(data, Trade):
            return engine.on_trade(data.symbol, data.price, data.size, self._taker(data), self.now_ns())
        if isinstance(data, Book):
            symbol = data.symbol
            bids, asks = self._levels(symbol, data.bids), self._levels(symbol, data.asks)
            engine.on_book(symbol, bids, asks)
            return NOTHING if Trade in seen else self._crossed(symbol, bids[:1], asks[:1])
        if isinstance(data, Quote) and Book not in seen:
            return self._quoted(data, seen)
        if isinstance(data, Bar) and data.closed and Trade not in seen:
            return engine.on_bar(data, self.now_ns())
        return NOTHING

    def _taker(self, trade: Trade) -> Side:
        """Who took; where the venue does not tell, by the quote rule and then the tick test (Lee and Ready, 1991)."""
        if trade.side:
            return Side(trade.side)
        market = self.engine.markets[trade.symbol]
        price, last = market.external.exact(trade.price), market.external.last_price
        bid, ask = (market.external.side(side).best() for side in (Side.BUY, Side.SELL))
        if ask is not None and price >= ask:
            return Side.BUY
        if bid is not None and price <= bid:
            return Side.SELL
        return Side.BUY if trade.price > last else Side.SELL

    def _quoted(self, quote: Quote, seen: set[type[MarketData]]) -> Changes:
        symbol = quote.symbol
        bids = self._levels(symbol, ((quote.bid, quote.bid_size),))
        asks = self._levels(symbol, ((quote.ask, quote.ask_size),))
        self.engine.on_quote(symbol, bids[0], asks[0])
        return NOTHING if Trade in seen else self._crossed(symbol, bids, asks)

    def _crossed(self, symbol: str, bids: Sequence[Level], asks: Sequence[Level]) -> Changes:
        """Fill resting orders that the best of the other side, if there is any, has gone through."""
        changes, book = Changes(), self.engine.markets[symbol].book
        bid, ask = book.bids.best(), book.asks.best()
        for (price, size), own, taker in (
            *((level, bid, Side.SELL) for level in asks),
            *((level, ask, Side.BUY) for level in bids),
        ):
            if own is not None and (price - own) * taker.sign > 0:
                changes.merge(self.engine.on_cross(symbol, float(price), float(size), taker, self.now_ns()))
        return changes

    def _levels(self, symbol: str, rows: Sequence[tuple[float, float]]) -> Sequence[Level]:
        external = self.engine.markets[symbol].external
        return [(external.exact(price), Decimal(repr(size))) for price, size in rows]

    # -- what the venue does to positions by itself ------------------------------------------

    def fund(self, symbol: str, rate: Decimal, at_ns: int) -> Changes:
        """Pay the funding of ``at_ns``, once, on the position of now."""
        if at_ns <= self.funded.get(symbol, 0):
            return NOTHING
        self.funded[symbol] = at_ns
        changes = self._apply(self.engine.fund(symbol, rate, at_ns))
        return self._apply(self.engine.liquidate(self.now_ns(), symbol)).after(changes)

    def first_ns(self, symbol: str) -> int:
        """When the symbol was traded first, 0 if it never was."""
        return next((done.fill.ts_ns for done in self.executions if done.fill.symbol == symbol), 0)

    def held_at(self, symbol: str, at_ns: int) -> bool:
        """Whether the symbol was held at that moment in the direction it is held in now."""
        fills = (done.fill for done in self.executions if done.fill.symbol == symbol)
        then = sum((fill.quantity * fill.side.sign for fill in fills if fill.ts_ns < at_ns), ZERO)
        return then * self.engine.accounts[ACCOUNT].position(symbol).quantity > 0

    def settle(self, symbol: str, value: Decimal) -> Changes:
        """Pay an event contract out, once.

        Raises:
            OrderRejectedError: it is none, or ``value`` is out of range.
        """
        if symbol in self.settled:
            return NOTHING
        changes = self._apply(self.engine.settle(symbol, value, self.now_ns()))
        self.settled[symbol] = value
        if self._store is not None:
            self._store.save_settled(self.settled)
            self._store.save_instruments([self.engine.markets[symbol].instrument])
        return changes

    # -- commands --------------------------------------------------------------------------

    def place(self, command: PlaceOrder) -> Changes:
        """Take an order. Raises ``OrderRejectedError``."""
        return self._apply(self.engine.place(ACCOUNT, command, self.now_ns()))

    def amend(self, command: AmendOrder) -> Changes:
        """Change an order. Raises ``OrderRejectedError``."""
        return self._apply(self.engine.amend(ACCOUNT, command, self.now_ns()))

    def cancel(self, command: CancelOrder) -> Changes:
        """Cancel an order. Raises ``OrderRejectedError``."""
        return self._apply(self.engine.cancel(ACCOUNT, command, self.now_ns()))

    def cancel_all(self, command: CancelAll) -> Changes:
        """Cancel all orders, of one symbol or of all. Raises ``OrderRejectedError``."""
        return self._apply(self.engine.cancel_all(ACCOUNT, self.now_ns(), symbol=command.symbol))

    def close_market(self, instrument: Instrument) -> Changes:
        """A market takes no orders any more, and those that are open are cancelled."""
        told = {"symbol": instrument.symbol, "reason": MARKET_CLOSED}
        changes = self._apply(self.engine.cancel_all(ACCOUNT, self.now_ns(), **told))
        self.list([instrument])
        return changes

    def expire(self, record: OrderRecord) -> Changes:
        """End a working order whose time is over."""
        return self._apply(self.engine.expire(record, self.now_ns()))

    def _apply(self, changes: Changes) -> Changes:
        if changes:
            if self._store is not None:
                self._store.save(changes, self.engine.counters(), self.engine.accounts.values())
            self.executions.extend(changes.executions)
            self.fundings.extend(changes.fundings)
        return changes

    # -- what they say ---------------------------------------------------------------------

    def find(self, client_id: str) -> OrderRecord | None:
        return self.engine.find(ACCOUNT, client_id=client_id)

    def working(self) -> tuple[Order, ...]:
        return tuple(record.order() for record in self.engine.working(ACCOUNT))

    def fills(self, since_ns: int) -> tuple[Fill, ...]:
        """The executions from ``since_ns`` on, oldest first."""
        return tuple(self._fills_back(since_ns))[::-1]

    def _fills_back(self, since_ns: int) -> Iterator[Fill]:
        for execution in reversed(self.executions):
            if execution.fill.ts_ns < since_ns:
                return
            yield execution.fill

    def payments(self, since_ns: int) -> tuple[Funding, ...]:
        """The funding paid and received from ``since_ns`` on, oldest first."""
        return tuple(payment for payment in self.fundings if payment.ts_ns >= since_ns)

    def positions(self) -> tuple[VenuePosition, ...]:
        """What is held; nothing for what is flat."""
        held = self.engine.accounts[ACCOUNT].positions if self.opened else {}
        return tuple(
            VenuePosition(symbol, position.quantity, position.average_price, self.engine.mark(symbol))
            for symbol, position in held.items()
            if position.quantity
        )

    def balances(self) -> tuple[Balance, ...]:
        """The cash, and how much of it new orders may use."""
        account = self.engine.accounts[ACCOUNT]
        return (Balance(account.currency, account.wallet, max(ZERO, self.engine.available(ACCOUNT))),)
