"""The venue without its sockets: engine, books on disk, market data so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import msgspec

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes, Execution, Funding, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import Instrument
from exchanges.model.order import Side
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from exchanges.simulators.base.catalogue import Catalogue
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.faults import FaultPlan
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.keys import key_of
from exchanges.simulators.settings import SimulatorSettings
from exchanges.simulators.store import Progress, VenueStore

Listener = Callable[[Changes], None]


class Venue:
    """The venue's truth. Each change is on disk before anyone is told of it.

    ``markets`` are by key (see `Catalogue`), ``executions`` and ``fundings`` of all accounts in their
    order, ``settled`` what an event contract paid, by symbol. ``make`` makes the engine: its class,
    or one derived from it.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        catalogue: Catalogue,
        instruments: Sequence[Instrument],
        store: VenueStore | None,
        currency: str,
        *,
        multiplier: Decimal = Decimal(1),
        make: type[MatchingEngine] = MatchingEngine,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.currency = currency
        self.store = store
        self.faults = FaultPlan()
        self.executions: list[Execution] = []
        self.fundings: list[Funding] = []
        self.settled: dict[str, Decimal] = {}
        self.progress = Progress()
        self.markets: dict[str, SymbolMarket] = {}
        self.listeners: list[Listener] = []
        depth = SyntheticDepth(settings.seed, spread_bps=settings.spread_bps)
        self.engine = make(depth=depth, id_prefix=f"{time.time_ns():x}-")
        for instrument in instruments:
            self._list(instrument)
        prices = self._restore()
        for account in settings.accounts():
            self.engine.open_account(account, settings.balance, currency, multiplier)
        for key, price in prices.items():
            self._reopen(self.markets[key], price)
        self.prepare()
        self._save_start()

    def prepare(self) -> None:
        """What a venue's own class has to set up once the books are open."""
        return

    def _list(self, instrument: Instrument) -> None:
        self.engine.list_instrument(instrument)
        market = SymbolMarket(instrument)
        self.markets.setdefault(market.key, market)

    def _restore(self) -> dict[str, float]:
        if self.store is None:
            return {}
        books = self.store.load()
        for instrument in books.instruments:
            self._list(instrument)
        if books.counters is not None:
            self.engine.restore(books.counters, books.accounts, books.orders)
        self.executions.extend(books.executions)
        self.fundings.extend(books.fundings)
        self.settled = books.settled
        for symbol in self.settled:
            self._close_trading(self.markets[key_of(symbol)])
        self.progress = books.progress
        return books.prices

    def _reopen(self, market: SymbolMarket, price: float) -> None:
        """Go on from a stored last price, so that positions have a mark at once."""
        market.last = price
        self.engine.on_trade(market.instrument.symbol, price, 0.0, Side.BUY, self.now_ns())

    def _save_start(self) -> None:
        if self.store is not None:
            self.store.save_instruments(market.instrument for market in self.markets.values())
            self.store.save(Changes(), self.engine.counters(), self.engine.accounts.values())

    def now_ns(self) -> int:
        """The venue's clock: this machine's, and the skew a test asked for."""
        return time.time_ns() + self.faults.clock_skew_ms * 1_000_000

    def now_ms(self) -> int:
        return self.now_ns() // 1_000_000

    def market(self, key: object) -> SymbolMarket:
        """The market of ``key``.

        Raises:
            OrderRejectedError: ``UNKNOWN_INSTRUMENT``, it isn't listed here.
        """
        found = self.markets.get(str(key))
        if found is None:
            raise OrderRejectedError(
                Reject.UNKNOWN_INSTRUMENT, f"expected one of {sorted(self.markets)[:8]}, found {key!r}"
            )
        return found

    def place(self, account: str, command: PlaceOrder) -> OrderRecord:
        """Take an order, store and tell what it changed; returns it as it then stands.

        Raises:
            OrderRejectedError: it breaks a rule; nothing has changed.
        """
        return self._subject(self.engine.place(account, command, self.now_ns()))

    def amend(self, account: str, command: AmendOrder, *, order_id: str = "") -> OrderRecord:
        """Change a working order, found by client order id or ``order_id``.

        Raises:
            OrderRejectedError: unknown, ended or unchanged, or the new values break a rule.
        """
        return self._subject(self.engine.amend(account, command, self.now_ns(), order_id=order_id))

    def cancel(self, account: str, command: CancelOrder, *, order_id: str = "") -> OrderRecord:
        """Cancel a working order, found by client order id or ``order_id``.

        Raises:
            OrderRejectedError: there is no such order, or it has ended.
        """
        return self._subject(self.engine.cancel(account, command, self.now_ns(), order_id=order_id))

    def cancel_all(self, account: str, symbol: str = "") -> list[OrderRecord]:
        """Cancel the working orders of ``symbol`` (full name), or all; returns them."""
        changes = self.engine.cancel_all(account, self.now_ns(), symbol=symbol)
        self.apply(changes)
        return changes.orders

    def relist(self, instrument: Instrument) -> None:
        """Go on with other trading hours, fees or steps of a listed instrument."""
        self.engine.relist(instrument)
        self.markets[key_of(instrument.symbol)].instrument = instrument

    def settle(self, key: str, value: Decimal) -> None:
        """Pay an event contract out at ``value`` (its full value for yes, 0 for no) and end its trading.

        Raises:
            OrderRejectedError: it isn't listed, no event contract, or ``value`` is out of range.
        """
        market = self.market(key)
        symbol = market.instrument.symbol
        changes = self.engine.settle(symbol, value, self.now_ns())
        self.settled[symbol] = value
        self._close_trading(market)
        if self.store is not None:
            self.store.save_settled(self.settled)
        self.apply(changes)

    def _close_trading(self, market: SymbolMarket) -> None:
        self.relist(msgspec.structs.replace(market.instrument, trading=False))

    def _subject(self, changes: Changes) -> OrderRecord:
        self.apply(changes)
        if changes.subject is None:
            raise RuntimeError("expected the order that was changed, found none: a fault of the matching engine")
        return changes.subject

    def apply(self, changes: Changes) -> None:
        """Write changes to the disk, then tell the listeners."""
        if not changes:
            return
        if self.store is not None:
            accounts = [self.engine.accounts[name] for name in changes.accounts]
            self.store.save(changes, self.engine.counters(), accounts)
        self.executions.extend(changes.executions)
        self.fundings.extend(changes.fundings)
        for listener in self.listeners:
            listener(changes)

    def save_account(self, name: str) -> None:
        if self.store is not None:
            self.store.save(Changes(), self.engine.counters(), [self.engine.accounts[name]])

    def save_market(self) -> None:
        """Write last prices and replay progress."""
        if self.store is not None:
            prices = {key: m.last for key, m in self.markets.items() if m.last}
            self.store.save_market(prices, self.progress)

    def trade(self, row: Row) -> None:
        """A trade of the external market, into the engine. The public learns of it when it is sent."""
        _, key, price, size, side, _ = row
        symbol = self.markets[key].instrument.symbol
        self.apply(self.engine.on_trade(symbol, price, size, side, self.now_ns()))

    def starting_prices(self) -> dict[str, float]:
        """Where generated prices go on: the stored last price, or the catalogue's."""
        return {key: market.last or self.catalogue.start_price(key) for key, market in self.markets.items()}

    def mark(self, symbol: str) -> Decimal:
        return self.engine.mark(symbol)

    def ended(self, account: str, start_ms: int = 0) -> Iterator[OrderRecord]:
        """Ended orders created at ``start_ms`` or later, the newest first."""
        for record in reversed(self.engine.orders(account)):
            if record.created_ns < start_ms * 1_000_000:
                return
            if record.status.final:
                yield record
