"""The crossover by nautilus_trader, on bars, trades and quotes: its own averages, orders at the market.

On bars it executes by the bars themselves. An order meets the close of the bar it was decided on, which the made bars
have as the next one's open.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import nautilus_trader
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, PriceType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler, QuoteTickDataWrangler, TradeTickDataWrangler
from nautilus_trader.trading.strategy import Strategy

from scripts.benchmarks.engines.task import MINUTE_NS, Outcome, Task

VENUE = Venue("BYBIT")
PRICES, SIZES = 1, 3
"""Decimals."""


class Crossover(Strategy):  # type: ignore[misc]
    """Long while the fast average is above the slow one, else flat."""

    def __init__(self, task: Task, instrument: Any) -> None:
        super().__init__()
        self.task, self.instrument, self.seen, self.trips = task, instrument, 0, 0
        price = PriceType.MID if task.kind == "quotes" else PriceType.LAST
        self.fast = ExponentialMovingAverage(task.fast, price)
        self.slow = ExponentialMovingAverage(task.slow, price)
        self.unit = instrument.make_qty(1)

    def on_start(self) -> None:
        about = bar_type(self.instrument) if self.task.kind == "bars" else self.instrument.id
        register, subscribe = {
            "bars": (self.register_indicator_for_bars, self.subscribe_bars),
            "trades": (self.register_indicator_for_trade_ticks, self.subscribe_trade_ticks),
            "quotes": (self.register_indicator_for_quote_ticks, self.subscribe_quote_ticks),
        }[self.task.kind]
        register(about, self.fast)
        register(about, self.slow)
        subscribe(about)

    def on_bar(self, bar: Any) -> None:
        self.decide()

    def on_trade_tick(self, tick: Any) -> None:
        self.decide()

    def on_quote_tick(self, tick: Any) -> None:
        self.decide()

    def on_position_closed(self, event: Any) -> None:
        self.trips += 1

    def decide(self) -> None:
        self.seen += 1
        if self.seen < self.task.wait:
            return
        wanted = self.fast.value > self.slow.value
        if wanted != self.portfolio.is_net_long(self.instrument.id):
            side = OrderSide.BUY if wanted else OrderSide.SELL
            self.submit_order(self.order_factory.market(self.instrument.id, side, self.unit))


def version() -> str:
    return str(nautilus_trader.__version__)


def read(task: Task, path: str) -> tuple[Any, list[Any]]:
    """The instrument, and its data as the engine's own objects."""
    instrument, frame = perpetual(task.fee), pd.read_parquet(path)
    ahead = MINUTE_NS if task.kind == "bars" else 0
    frame.index = pd.to_datetime(frame.pop("ts_ns") + ahead, utc=True)
    if task.kind == "bars":
        return instrument, BarDataWrangler(bar_type(instrument), instrument).process(frame)
    if task.kind == "quotes":
        return instrument, QuoteTickDataWrangler(instrument).process(frame)
    del frame["side"]  # else it keeps a spread between the last buy and the last sell
    return instrument, TradeTickDataWrangler(instrument).process(frame.rename(columns={"size": "quantity"}))


def run(task: Task, data: tuple[Any, list[Any]]) -> Outcome:
    instrument, rows = data
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USDT,
        starting_balances=[Money(task.cash, USDT)],
        default_leverage=Decimal(100),
        bar_execution=task.kind == "bars",
        trade_execution=task.kind == "trades",
    )
    engine.add_instrument(instrument)
    engine.add_data(rows)
    strategy = Crossover(task, instrument)
    engine.add_strategy(strategy)
    engine.run()
    balance = engine.cache.account_for_venue(VENUE).balance_total(USDT).as_double()
    open_worth = engine.portfolio.unrealized_pnl(instrument.id)
    engine.dispose()
    return Outcome(len(rows), strategy.trips, balance + (open_worth.as_double() if open_worth is not None else 0.0))


def bar_type(instrument: Any) -> Any:
    """Minute bars of last prices."""
    return BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")


def perpetual(fee: float) -> Any:
    """BTCUSDT on the steps of the made data."""
    rate = Decimal(str(fee))
    return CryptoPerpetual(
        instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=PRICES,
        size_precision=SIZES,
        price_increment=Price(0.1, PRICES),
        size_increment=Quantity(0.001, SIZES),
        ts_event=0,
        ts_init=0,
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=rate,
        taker_fee=rate,
    )
