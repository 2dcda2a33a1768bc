"""The tables of a recording: their columns, and how messages become rows.

Market data is float64, as it is everywhere. Quantities, prices, fees and payments are decimal numbers as text: exact
whatever their number of digits, so that none is ever refused by a column's type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import pyarrow as pa

from exchanges.model.market import Bar, Book, MarketData, Quote, Ticker, Trade
from exchanges.model.order import Fill, Order
from exchanges.model.venue import PaymentReport

SECOND = 1_000_000_000

ORDERS = "orders"
FILLS = "fills"
TRADES = "trades"
QUOTES = "quotes"
BOOKS = "books"
TICKERS = "tickers"
FUNDING = "funding"
PAYMENTS = "payments"
_BARS = "bars_"

_INT, _FLOAT, _TEXT, _LIST = pa.int64(), pa.float64(), pa.string(), pa.list_(pa.float64())


class SeenOrder(NamedTuple):
    """An order as it was at ``ts_ns`` by the venue's clock and known to us at ``recv_ns``."""

    ts_ns: int
    recv_ns: int
    order: Order


class SeenFill(NamedTuple):
    """An execution, known to us at ``recv_ns``."""

    ts_ns: int
    recv_ns: int
    fill: Fill


class SeenPayment(NamedTuple):
    """Cash that moved without a trade, known to us at ``recv_ns``."""

    ts_ns: int
    recv_ns: int
    payment: PaymentReport


class FundingRate(NamedTuple):
    """The funding rate of a perpetual that was settled at ``ts_ns``, a fraction of the position's value."""

    ts_ns: int
    rate: float


class Column(NamedTuple):
    """One column and where its values are found in a row."""

    name: str
    type: pa.DataType
    value: Callable[[Any], Any]
    nullable: bool = False


class Table(NamedTuple):
    """The columns of one kind of data, and those in which two rows that agree are the same row.

    An empty text in the first column of ``identity`` says nothing: such rows are never the same. Where ``revised``,
    the later one of two is right.
    """

    columns: tuple[Column, ...]
    identity: tuple[str, ...]
    revised: bool = False

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(column.name, column.type, nullable=column.nullable) for column in self.columns])

    def batch(self, rows: Sequence[Any]) -> pa.RecordBatch:
        """``rows`` as columns."""
        arrays = [pa.array(list(map(column.value, rows)), column.type) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _of(name: str, type_: pa.DataType, path: str = "") -> Column:
    return Column(name, type_, attrgetter(path or name))


def _text(name: str, path: str) -> Column:
    """An exact number as text."""
    value = attrgetter(path)
    return Column(name, _TEXT, lambda row: plain_number(value(row)))


def plain_number(value: Decimal) -> str:
    """The number without an exponent, digit for digit."""
    return format(value, "f")


_PRICE = attrgetter("order.price")
_TRADES = Table(
    (
        _of("ts_ns", _INT),
        _of("price", _FLOAT),
        _of("size", _FLOAT),
        _of("side", _TEXT),
        _of("trade_id", _TEXT),
        _of("recv_ns", _INT),
    ),
    ("trade_id", "ts_ns"),
)
_QUOTES = Table(
    (
        _of("ts_ns", _INT),
        _of("bid_price", _FLOAT, "bid"),
        _of("bid_size", _FLOAT),
        _of("ask_price", _FLOAT, "ask"),
        _of("ask_size", _FLOAT),
        _of("recv_ns", _INT),
    ),
    (),
)
_BOOKS = Table(
    (
        _of("ts_ns", _INT),
        Column("bid_prices", _LIST, lambda book: list(map(itemgetter(0), book.bids))),
        Column("bid_sizes", _LIST, lambda book: list(map(itemgetter(1), book.bids))),
        Column("ask_prices", _LIST, lambda book: list(map(itemgetter(0), book.asks))),
        Column("ask_sizes", _LIST, lambda book: list(map(itemgetter(1), book.asks))),
        _of("recv_ns", _INT),
    ),
    (),
)
_BAR = Table(
    (
        _of("ts_ns", _INT),
        _of("open", _FLOAT),
        _of("high", _FLOAT),
        _of("low", _FLOAT),
        _of("close", _FLOAT),
        _of("volume", _FLOAT),
        _of("recv_ns", _INT),
    ),
    ("ts_ns",),
    revised=True,
)
_TICKERS = Table(
    (
        _of("ts_ns", _INT),
        _of("mark", _FLOAT),
        _of("index", _FLOAT),
        _of("funding_rate", _FLOAT),
        _of("funding_ns", _INT),
        _of("recv_ns", _INT),
    ),
    (),
)
_FUNDING = Table((_of("ts_ns", _INT), _of("rate", _FLOAT)), ("ts_ns",), revised=True)
_ORDERS = Table(
    (
        _of("ts_ns", _INT),
        _of("recv_ns", _INT),
        _of("client_id", _TEXT, "order.client_id"),
        _of("venue_id", _TEXT, "order.venue_id"),
        _of("side", _TEXT, "order.side.value"),
        _of("type", _TEXT, "order.type.value"),
        _text("quantity", "order.quantity"),
        Column("price", _TEXT, lambda row: None if _PRICE(row) is None else plain_number(_PRICE(row)), nullable=True),
        _of("time_in_force", _TEXT, "order.time_in_force.value"),
        _of("reduce_only", pa.bool_(), "order.reduce_only"),
        _of("status", _TEXT, "order.status.value"),
        _text("filled", "order.filled"),
        _text("average_price", "order.average_price"),
        _of("reason", _TEXT, "order.reason"),
    ),
    ("client_id", "venue_id", "ts_ns", "status", "filled", "quantity", "price", "average_price", "reason"),
)
_FILLS = Table(
    (
        _of("ts_ns", _INT),
        _of("recv_ns", _INT),
        _of("execution_id", _TEXT, "fill.execution_id"),
        _of("client_id", _TEXT, "fill.client_id"),
        _of("venue_id", _TEXT, "fill.venue_id"),
        _of("side", _TEXT, "fill.side.value"),
        _text("price", "fill.price"),
        _text("quantity", "fill.quantity"),
        _text("fee", "fill.fee"),
        _of("fee_currency", _TEXT, "fill.fee_currency"),
        _of("liquidity", _TEXT, "fill.liquidity.value"),
    ),
    ("execution_id",),
)
_PAYMENTS = Table(
    (
        _of("ts_ns", _INT),
        _of("recv_ns", _INT),
        _of("payment_id", _TEXT, "payment.payment_id"),
        _of("kind", _TEXT, "payment.kind"),
        _text("amount", "payment.amount"),
        _of("currency", _TEXT, "payment.currency"),
    ),
    ("payment_id", "kind"),
)
_TABLES = {
    TRADES: _TRADES,
    QUOTES: _QUOTES,
    BOOKS: _BOOKS,
    TICKERS: _TICKERS,
    FUNDING: _FUNDING,
    ORDERS: _ORDERS,
    FILLS: _FILLS,
    PAYMENTS: _PAYMENTS,
}
OURS = frozenset({ORDERS, FILLS, PAYMENTS})
"""What is never dropped."""


def table_of(name: str) -> Table:
    """The table called ``name``, such as ``trades`` or ``bars_60s``; a KeyError if there is none."""
    return _BAR if name.startswith(_BARS) else _TABLES[name]


def bars_name(interval_ns: int) -> str:
    """The name of the table of bars of that length, such as ``bars_60s``."""
    return f"{_BARS}{interval_ns // SECOND}s"


def bars_interval_ns(name: str) -> int:
    """The length of the bars in the table called ``name``; 0 if it holds no bars."""
    return int(name.removeprefix(_BARS).removesuffix("s")) * SECOND if name.startswith(_BARS) else 0


def name_for(data: MarketData) -> str:
    """The table a piece of market data belongs in; none ("") for an unfinished bar or an unknown kind."""
    if isinstance(data, Bar):
        return bars_name(data.interval_ns) if data.closed else ""
    return _NAMES.get(type(data), "")


_NAMES: dict[type[MarketData], str] = {Trade: TRADES, Quote: QUOTES, Book: BOOKS, Ticker: TICKERS}
