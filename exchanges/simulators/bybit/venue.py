"""The venue without its sockets: engine, books on disk, market data so far."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes, Execution, OrderRecord
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import Instrument
from exchanges.model.order import Side
from exchanges.simulators.bybit.auth import Keys
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.instruments import start_price
from exchanges.simulators.candles import Candles
from exchanges.simulators.faults import FaultPlan
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.settings import SimulatorSettings
from exchanges.simulators.store import Progress, VenueStore

RECENT_TRADES = 1_000
DAY_MS = 86_400_000


class SymbolMarket:
    """What the public has seen of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.places = max(0, -int(instrument.tick.normalize().as_tuple().exponent))
        self.lot = float(instrument.lot)
        self.recent: deque[Row] = deque(maxlen=RECENT_TRADES)
        self.minutes = Candles()
        self.days = Candles(DAY_MS, keep=1)
        self.last = 0.0
        self.last_ms = 0
        self.tick_direction = "ZeroPlusTick"
        self.sequence = 0

    def note(self, row: Row) -> None:
        """Count a trade that is being sent."""
        ts_ns, _, price, size, _, _ = row
        if price > self.last:
            self.tick_direction = "PlusTick"
        elif price < self.last:
            self.tick_direction = "MinusTick"
        elif not self.tick_direction.startswith("Zero"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last, self.last_ms = price, ts_ns // 1_000_000
        self.sequence += 1
        self.recent.append(row)
        self.minutes.add(self.last_ms, price, size)
        self.days.add(self.last_ms, price, size)


Listener = Callable[[Changes], None]


class Venue:
    """The venue's truth. Each change is on disk before anyone is told of it."""

    def __init__(
        self, settings: SimulatorSettings, instruments: Sequence[Instrument], store: VenueStore | None
    ) -> None:
        self.settings = settings
        self.store = store
        self.faults = FaultPlan()
        self.keys = Keys(settings.credentials())
        self.executions: list[Execution] = []
        self.progress = Progress()
        self.markets: dict[str, SymbolMarket] = {}
        self.listeners: list[Listener] = []
        depth = SyntheticDepth(settings.seed, spread_bps=settings.spread_bps)
        self.engine = MatchingEngine(depth=depth, id_prefix=f"{time.time_ns():x}-")
        for instrument in instruments:
            self._list(instrument)
        prices = self._restore()
        for account in self.keys.accounts():
            self.engine.open_account(account, settings.balance)
        for native, price in prices.items():
            self._reopen(self.markets[native], price)
        self._save_start()

    def _list(self, instrument: Instrument) -> None:
        self.engine.list_instrument(instrument)
        self.markets.setdefault(instrument.native, SymbolMarket(instrument))

    def _restore(self) -> dict[str, float]:
        if self.store is None:
            return {}
        books = self.store.load()
        for instrument in books.instruments:
            self._list(instrument)
        if books.counters is not None:
            self.engine.restore(books.counters, books.accounts, books.orders)
        self.executions.extend(books.executions)
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

    def market(self, native: object) -> SymbolMarket:
        """The market of a native symbol.

        Raises:
            ApiError: 10001, it isn't listed here.
        """
        found = self.markets.get(str(native))
        if found is None:
            raise ApiError(PARAMETER, f"params error: symbol invalid {native}")
        return found

    def apply(self, changes: Changes) -> None:
        """Write changes to the disk, then tell the listeners."""
        if not changes:
            return
        if self.store is not None:
            accounts = [self.engine.accounts[name] for name in changes.accounts]
            self.store.save(changes, self.engine.counters(), accounts)
        self.executions.extend(changes.executions)
        for listener in self.listeners:
            listener(changes)

    def save_account(self, name: str) -> None:
        if self.store is not None:
            self.store.save(Changes(), self.engine.counters(), [self.engine.accounts[name]])

    def save_market(self) -> None:
        """Write last prices and replay progress."""
        if self.store is not None:
            prices = {native: m.last for native, m in self.markets.items() if m.last}
            self.store.save_market(prices, self.progress)

    def trade(self, row: Row) -> None:
        """A trade of the external market, into the engine. The public learns of it when it is sent."""
        _, native, price, size, side, _ = row
        symbol = self.markets[native].instrument.symbol
        self.apply(self.engine.on_trade(symbol, price, size, side, self.now_ns()))

    def starting_prices(self) -> dict[str, float]:
        """Where generated prices go on: the stored last price, or the table's."""
        return {native: market.last or start_price(native) for native, market in self.markets.items()}

    def mark(self, symbol: str) -> Decimal:
        return self.engine.mark(symbol)

    def ended(self, account: str, start_ms: int = 0) -> Iterator[OrderRecord]:
        """Ended orders created at ``start_ms`` or later, the newest first."""
        for record in reversed(self.engine.orders(account)):
            if record.created_ns < start_ms * 1_000_000:
                return
            if record.status.final:
                yield record
