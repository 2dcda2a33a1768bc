"""Trading hours in a backtest of stocks: what is refused, what expires at the close, what waits for the next day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

import bigwheel
from bigwheel.backtests.feed import Opening
from exchanges.hours import NEW_YORK
from exchanges.model.flow import Rest
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Bar
from exchanges.model.order import OrderType, Side
from exchanges.model.venue import FillReport, PlaceOrder
from strategies.strategy import Strategy
from tests.unit.backtest_floor import Floor
from tests.unit.brain_samples import make_instrument
from tests.unit.test_backtest import MINUTE, Row

STOCK = "alpaca:AAPL"


def new_york(day: int, hour: int, minute: int) -> int:
    """A moment of July 2026 (the 2nd is a Thursday, the 3rd a holiday)."""
    return int(dt.datetime(2026, 7, day, hour, minute, tzinfo=NEW_YORK).timestamp()) * 10**9


def session_bars(path: Path, rows: list[tuple[int, Row]]) -> Path:
    times, prices = zip(*rows, strict=True)
    names = ("open", "high", "low", "close")
    columns = {name: [row[place] for row in prices] for place, name in enumerate(names)}
    pq.write_table(pa.table({"ts_ns": times, **columns, "volume": [10_000.0] * len(rows)}), path)
    return path


class Clerk(Strategy):
    """Orders at the end of bars that begin at given moments: a quantity, and a limit or none."""

    orders: dict[int, tuple[str, str]] = {}

    def on_bar(self, bar: Bar) -> None:
        wanted = type(self).orders.get(bar.ts_ns)
        if wanted is None:
            return
        if wanted[1]:
            self.buy(
                quantity=Decimal(wanted[0]),
                limit_price=Decimal(wanted[1]),
                flow=Rest(8 * 3_600 * 10**9, post_only=False),
            )
        else:
            self.buy(quantity=Decimal(wanted[0]))


def clerk(**orders: tuple[int, str, str]) -> type[Clerk]:
    class Told(Clerk):
        pass

    Told.orders = {at: (quantity, price) for at, quantity, price in orders.values()}
    return Told


def minutes(day: int, hour: int, minute: int, count: int, price: float = 200.0) -> list[tuple[int, Row]]:
    first = new_york(day, hour, minute)
    return [(first + n * MINUTE, (price, price, price, price)) for n in range(count)]


PATIENT: dict[str, Any] = {"bus": {"max_ttl_s": 400_000.0}, "risk": {"max_slippage": "0.5"}}


def test_an_order_outside_of_hours_is_refused(tmp_path: Path) -> None:
    rows = [*minutes(2, 8, 0, 5), *minutes(2, 9, 30, 5)]
    early, regular = new_york(2, 8, 2), new_york(2, 9, 32)
    owner = clerk(early=(early, "5", ""), regular=(regular, "5", ""))
    found = bigwheel.backtest(owner, data=session_bars(tmp_path / "AAPL.parquet", rows), symbols=STOCK)
    states = {row["created_ns"]: (row["state"], row["code"]) for row in found.signals.to_pylist()}
    assert states[early + MINUTE] == ("BLOCKED", "INSTRUMENT_CLOSED")
    assert states[regular + MINUTE][0] == "EXECUTED"
    assert [row["ts_ns"] // MINUTE for row in found.fills.to_pylist()] == [(regular + MINUTE) // MINUTE]


def test_an_order_that_comes_after_the_close_is_refused_by_the_venue(tmp_path: Path) -> None:
    last = new_york(2, 15, 59)
    rows = minutes(2, 15, 50, 10)
    path = session_bars(tmp_path / "AAPL.parquet", rows)
    found = bigwheel.backtest(clerk(late=(last, "5", "")), data=path, symbols=STOCK)
    (order,) = found.orders.to_pylist()
    assert order["status"] == "rejected" and found.fills.num_rows == 0


def test_a_fraction_of_a_share_is_ordered_for_the_day(tmp_path: Path) -> None:
    # The price falls through the limit after the close.
    rows = [*minutes(2, 15, 50, 5), *minutes(2, 17, 0, 3, 190.0)]
    path = session_bars(tmp_path / "AAPL.parquet", rows)
    owner = clerk(one=(new_york(2, 15, 51), "0.5", "195"))
    found = bigwheel.backtest(owner, data=path, symbols=STOCK, config=PATIENT)
    (order,) = found.orders.to_pylist()
    assert order["status"] == "expired" and found.fills.num_rows == 0
    assert new_york(2, 16, 0) <= order["ended_ns"] < new_york(2, 16, 1)


def test_extended_hours_take_limit_orders_alone(tmp_path: Path) -> None:
    config = PATIENT | {"exchange": {"alpaca": {"extended_hours": True}}}
    fall = (new_york(2, 8, 3), (198.0, 198.0, 194.0, 194.0))
    rows = [*minutes(2, 8, 0, 3), fall, *minutes(2, 8, 4, 3, 194.0)]
    path = session_bars(tmp_path / "AAPL.parquet", rows)
    owner = clerk(one=(new_york(2, 8, 0), "5", "195"), two=(new_york(2, 8, 5), "5", ""))
    found = bigwheel.backtest(owner, data=path, symbols=STOCK, config=config)
    ended = {row["type"]: row["status"] for row in found.orders.to_pylist()}
    assert ended == {"limit": "filled", "market": "rejected"}


def test_an_order_from_the_day_before_is_filled_at_the_open_that_jumps_over_it(tmp_path: Path) -> None:
    stock = msgspec.structs.replace(make_instrument(STOCK), venue="alpaca", kind=ContractKind.EQUITY, lot=Decimal(1))
    floor = Floor(tmp_path, stock, start_ns=new_york(2, 15, 40))

    def minute(day: int, hour: int, at: int, *prices: float) -> None:
        begins = new_york(day, hour, at)
        bar = Bar(STOCK, 1, 1, begins, begins + MINUTE, *prices, 400.0, MINUTE)
        floor.until(begins)
        floor.venue.take(Opening(STOCK, bar.open, bar))
        floor.take(bar)

    minute(2, 15, 40, 100.0, 100.0, 100.0, 100.0)
    command = PlaceOrder("c1", STOCK, Side.BUY, OrderType.LIMIT, Decimal(3), Decimal(95))
    floor.send(command, new_york(2, 15, 42))
    minute(2, 15, 44, 100.0, 100.0, 99.0, 99.0)
    minute(6, 9, 30, 92.0, 96.0, 91.0, 95.5)
    ((_, filled),) = floor.of(FillReport)
    assert (filled.fill.price, filled.fill.quantity) == (92, 3)
    assert new_york(6, 9, 30) < filled.fill.ts_ns < new_york(6, 9, 31)
