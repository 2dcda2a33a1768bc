"""A rule by nautilus_trader: on bars with their openings told as trades, on trades, and on quotes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import SOL, USDT
from nautilus_trader.model.data import Bar, BarType, QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from tests.agreement.outcome import Outcome, Trip
from tests.agreement.rules import Candle, Pilot, point
from tests.agreement.series import MINUTE, Series

VENUE = Venue("BYBIT")
PRICES, SIZES = 2, 1
"""Decimals."""
DEEP = 1_000_000.0
"""More than any order: what is beyond the size of the last trade it fills a tick worse."""
DELAY = 1
"""Nanoseconds that a command takes where openings are told, and by which fills are therefore later."""


class Ruled(Strategy):  # type: ignore[misc]
    """Trades what its rule says, at the market."""

    def __init__(self, instrument: Any, bars: Any, rule: str, count: int, size: int, *, flat: bool = False) -> None:
        super().__init__()
        self.instrument, self.bars, self.size = instrument, bars, size
        self.pilot = Pilot(rule, count, flat=flat)
        self.closed: list[Any] = []

    def on_start(self) -> None:
        if self.bars is not None:
            self.subscribe_bars(self.bars)
            return
        self.subscribe_trade_ticks(self.instrument.id)
        self.subscribe_quote_ticks(self.instrument.id)

    def on_bar(self, bar: Any) -> None:
        self._decide(Candle(*map(float, (bar.open, bar.high, bar.low, bar.close))))

    def on_trade_tick(self, tick: Any) -> None:
        self._decide(point(float(tick.price)))

    def on_quote_tick(self, tick: Any) -> None:
        self._decide(point((float(tick.bid_price) + float(tick.ask_price)) / 2))

    def on_position_closed(self, event: Any) -> None:
        self.closed.append(event)

    def _decide(self, candle: Candle) -> None:
        held = int(self.portfolio.net_position(self.instrument.id)) // self.size
        change = self.pilot.change(candle, held)
        if change:
            side = OrderSide.BUY if change > 0 else OrderSide.SELL
            quantity = self.instrument.make_qty(abs(change) * self.size)
            self.submit_order(self.order_factory.market(self.instrument.id, side, quantity))


def perpetual(fee: float) -> Any:
    """The instrument, on the steps that ours has."""
    rate = Decimal(str(fee))
    return CryptoPerpetual(
        instrument_id=InstrumentId(Symbol("SOLUSDT"), VENUE),
        raw_symbol=Symbol("SOLUSDT"),
        base_currency=SOL,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=PRICES,
        size_precision=SIZES,
        price_increment=Price(0.01, PRICES),
        size_increment=Quantity(0.1, SIZES),
        ts_event=0,
        ts_init=0,
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=rate,
        taker_fee=rate,
    )


def on_bars(series: Series, rule: str, *, size: int, cash: int, fee: float, told: bool = True) -> Outcome:
    """What it comes to on bars.

    Args:
        told: each bar's first price is a trade, a nanosecond after the bar before it was told, and commands take that
            nanosecond. Else its own execution on bars: an order meets the close of the bar it was decided on.
    """
    instrument = perpetual(fee)
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    data: list[Any] = []
    for number, (at, candle) in enumerate(zip(series.times, series.candles, strict=True)):
        if told:
            data.append(_trade(instrument, at + DELAY, candle.open, number))
            data.append(_trade(instrument, at + MINUTE - 1, candle.close, number))
        prices = [Price(price, PRICES) for price in candle]
        data.append(Bar(kind, *prices, Quantity(DEEP, SIZES), at + MINUTE, at + MINUTE))
    strategy = Ruled(instrument, kind, rule, len(series.times), size)
    return _run(instrument, data, strategy, cash, LatencyModel(base_latency_nanos=DELAY) if told else None)


def on_trades(rows: Sequence[tuple[int, float]], rule: str, *, size: int, cash: int, fee: float) -> Outcome:
    """What it comes to on trades: time in ns, and price."""
    instrument = perpetual(fee)
    data = [_trade(instrument, at, price, number) for number, (at, price) in enumerate(rows)]
    return _run(instrument, data, Ruled(instrument, None, rule, len(rows), size, flat=True), cash, None)


def on_quotes(
    rows: Sequence[tuple[int, float, float, float, float]], rule: str, *, size: int, cash: int, fee: float
) -> Outcome:
    """What it comes to on quotes: time in ns, bid and its size, ask and its size."""
    instrument = perpetual(fee)
    data = [
        QuoteTick(
            instrument.id,
            Price(bid, PRICES),
            Price(ask, PRICES),
            Quantity(bid_size, SIZES),
            Quantity(ask_size, SIZES),
            at,
            at,
        )
        for at, bid, bid_size, ask, ask_size in rows
    ]
    return _run(instrument, data, Ruled(instrument, None, rule, len(rows), size, flat=True), cash, None)


def _trade(instrument: Any, at: int, price: float, number: int) -> Any:
    sizes = Quantity(DEEP, SIZES)
    return TradeTick(
        instrument.id, Price(price, PRICES), sizes, AggressorSide.NO_AGGRESSOR, TradeId(f"{number}-{at}"), at, at
    )


def _run(instrument: Any, data: list[Any], strategy: Any, cash: int, latency: Any) -> Outcome:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    own_bars = strategy.bars is not None and latency is None
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USDT,
        starting_balances=[Money(cash, USDT)],
        default_leverage=Decimal(100),
        latency_model=latency,
        bar_execution=own_bars,
        trade_execution=not own_bars,
    )
    engine.add_instrument(instrument)
    engine.add_data(data)
    engine.add_strategy(strategy)
    engine.run()
    balance = engine.cache.account_for_venue(VENUE).balance_total(USDT).as_double()
    open_worth = engine.portfolio.unrealized_pnl(instrument.id)
    trips = [_trip(closed, DELAY if latency is not None else 0) for closed in strategy.closed]
    engine.dispose()
    return Outcome(trips, balance + (open_worth.as_double() if open_worth is not None else 0.0), {})


def _trip(closed: Any, delay: int) -> Trip:
    """A position that it closed, without the delay."""
    return Trip(
        "long" if closed.entry == OrderSide.BUY else "short",
        closed.peak_qty.as_double(),
        closed.ts_opened - delay,
        closed.ts_closed - delay,
        closed.avg_px_open,
        closed.avg_px_close,
        closed.realized_pnl.as_double(),
    )
