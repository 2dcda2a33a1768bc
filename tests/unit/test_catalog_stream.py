"""Many series as one stream: its order, its numbers, its bounds, and how little of it is in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.catalog import Catalog, Clock, DataError, MarketStream, Series
from exchanges.catalog.catalog import FOR_EVER_NS
from exchanges.model.market import Bar, Book, MarketData, Quote, Ticker, Trade
from exchanges.recording.files import Draft, make_folder
from exchanges.recording.layout import Note, Partition, day_of, name_of, with_note
from tests.unit.catalog_bench import (
    BARS,
    BTC,
    DATA,
    MINUTE,
    QUOTES,
    TRADES,
    bar_columns,
    minutes,
    quote_columns,
    recorded_data,
    take,
    took,
    trade_columns,
)
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND

DAY = 86_400 * SECOND
ETH = "bybit:ETHUSDT"
ALL = [Series(symbol, kind) for symbol in (ETH, BTC) for kind in ("trades", "quotes", "bars_60s", "bars_300s")]


def rows_of(series: Series, times: Sequence[int]) -> pa.Table:
    """Rows whose first value is their place."""
    n, places = len(times), [float(place + 1) for place in range(len(times))]
    if series.interval_ns:
        columns = bar_columns(list(times), volume=places)
    elif series.kind == "trades":
        columns = trade_columns(list(times), size=places)
    else:
        columns = quote_columns(list(times), bid_size=places)
    return pa.table({**columns, "recv_ns": list(times)}, schema=series.table.schema) if n else pa.table({})


def place_of(message: MarketData) -> tuple[str, float]:
    """What ``rows_of`` put into a message."""
    if isinstance(message, Bar):
        return f"bars_{message.interval_ns // SECOND}s", message.volume
    return ("trades", message.size) if isinstance(message, Trade) else ("quotes", message.bid_size)  # type: ignore[attr-defined]


def store(
    root: Path, series: Series, times: Sequence[int], group_rows: int = 4, received: Sequence[int] | None = None
) -> None:
    """Files of a day each with small row groups."""
    rows = rows_of(series, times)
    rows = rows.set_column(rows.schema.get_field_index("recv_ns"), "recv_ns", pa.array(received or times, pa.int64()))
    for day in sorted({at // DAY for at in times}):
        own = rows.filter(pa.array([at // DAY == day for at in times]))
        folder = Partition(series.venue, series.native, day_of(day * DAY)).folder(root)
        make_folder(folder)
        path = folder / name_of(series.kind, 0, 1)
        pa.parquet.write_table(own.cast(with_note(series.table.schema, Note())), path, row_group_size=group_rows)


Drawn = dict[Series, list[int]]
_TIMES = st.lists(st.integers(0, 12), max_size=14)


@st.composite
def markets(draw: st.DrawFn) -> Drawn:
    """Some series, each with times in order that often meet those of others, over two days."""
    chosen = draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=5, unique=True))
    found: Drawn = {}
    for series in chosen:
        steps = sorted(draw(_TIMES.filter(len)))
        times = [MIDNIGHT_NS + DAY - 6 * MINUTE + step * MINUTE for step in steps]
        found[series] = sorted(set(times)) if series.interval_ns else times
    return found


def due(series: Series, at: int) -> int:
    return at + series.interval_ns


def plain(drawn: Drawn, start_ns: int = 0, end_ns: int = FOR_EVER_NS) -> list[tuple[Any, ...]]:
    """All rows sorted, numbered by symbol."""
    keys = [
        (due(series, at), series.rank, place + 1.0, at)
        for series, times in drawn.items()
        for place, at in enumerate(times)
        if start_ns <= at < end_ns and (not series.interval_ns or due(series, at) <= end_ns)
    ]
    seqs: Counter[str] = Counter()
    wanted = []
    for due_ns, rank, place, at in sorted(keys):
        seqs[rank[2]] += 1
        wanted.append((due_ns, rank[2], at, place, seqs[rank[2]]))
    return wanted


def streamed(messages: Sequence[MarketData]) -> list[tuple[Any, ...]]:
    return [(m.recv_ns, m.symbol, m.ts_ns, place_of(m)[1], m.seq) for m in messages]


# -- order -------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(drawn=markets(), portion=st.integers(1, 6))
def test_the_stream_is_all_rows_sorted_whatever_the_portions(
    tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, portion: int
) -> None:
    root = tmp_path_factory.mktemp("stream")
    for series, times in drawn.items():
        store(root, series, times)
    stream = MarketStream(Catalog(root), list(drawn), portion_rows=portion)
    assert streamed(list(stream.messages())) == plain(drawn)
    by_column: list[tuple[Any, ...]] = []
    for window in stream.windows():
        for which, where in zip(*(places.tolist() for places in window.order()), strict=True):
            batch = window.batches[which]
            by_column.append(
                (batch.due_ns[where], batch.series.symbol, batch.numbers("ts_ns")[where], batch.seq[where])
            )
    assert by_column == [(due_ns, symbol, at, seq) for due_ns, symbol, at, _, seq in plain(drawn)]


@settings(max_examples=25, deadline=None)
@given(drawn=markets(), ends=st.tuples(st.integers(0, 14), st.integers(0, 14)), start=st.integers(0, 6))
def test_an_earlier_end_changes_nothing_before_it(
    tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, ends: tuple[int, int], start: int
) -> None:
    root = tmp_path_factory.mktemp("stream")
    for series, times in drawn.items():
        store(root, series, times)
    origin = MIDNIGHT_NS + DAY - 6 * MINUTE
    start_ns, (earlier, later) = origin + start * MINUTE, sorted(origin + end * MINUTE for end in ends)
    short, long = (
        list(MarketStream(Catalog(root), list(drawn), start_ns, end_ns, portion_rows=3).messages())
        for end_ns in (earlier, later)
    )
    assert long[: len(short)] == short
    assert streamed(short) == plain(drawn, start_ns, earlier)
    assert all(message.recv_ns >= earlier for message in long[len(short) :])


def test_what_the_future_holds_does_not_change_the_past(tmp_path: Path) -> None:
    times = [MIDNIGHT_NS + n for n in range(40)]
    streams = []
    for name, ending in (("one", 0.0), ("other", 7.0)):
        prices = [100.0 + n if n < 25 else 200.0 + n + ending for n in range(40)]
        took(tmp_path / name / "catalog", trade_columns(times, price=prices))
        streams.append(list(MarketStream(Catalog(tmp_path / name / "catalog"), [TRADES], portion_rows=4).messages()))
    assert streams[0][:25] == streams[1][:25]
    assert streams[0][25] != streams[1][25]


def test_a_bar_comes_when_it_ends_before_what_happens_then(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, bar_columns(minutes(2)))
    took(root, trade_columns([MIDNIGHT_NS, MIDNIGHT_NS + MINUTE - 1, MIDNIGHT_NS + MINUTE, MIDNIGHT_NS + 2 * MINUTE]))
    took(root, quote_columns([MIDNIGHT_NS + MINUTE]))
    found = list(MarketStream(Catalog(root), Catalog(root).series()).messages())
    assert [type(message).__name__ for message in found] == ["Trade", "Trade", "Bar", "Quote", "Trade", "Bar", "Trade"]
    assert [message.seq for message in found] == [1, 2, 3, 4, 5, 6, 7]
    assert {message.epoch for message in found} == {1}
    assert all(message.recv_ns >= message.ts_ns for message in found)


def test_numbers_run_by_symbol_over_its_kinds(tmp_path: Path) -> None:
    store(tmp_path, BARS, minutes(6))
    store(tmp_path, QUOTES, minutes(6))
    store(tmp_path, Series(ETH, "trades"), minutes(6))
    found = list(
        MarketStream(Catalog(tmp_path), [BARS, QUOTES, Series(ETH, "trades")], epoch=7, portion_rows=4).messages()
    )
    for symbol, count in ((BTC, 12), (ETH, 6)):
        assert [message.seq for message in found if message.symbol == symbol] == list(range(1, count + 1))
    assert {message.epoch for message in found} == {7}


# -- the clock of receipt ----------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    delays=st.lists(st.integers(-3, 5), min_size=1, max_size=25),
    other=st.lists(st.integers(-3, 5), min_size=1, max_size=25),
    bounds=st.tuples(st.integers(0, 14), st.integers(0, 25), st.integers(0, 25)),
    portion=st.integers(1, 6),
)
def test_by_the_clock_of_receipt_each_series_comes_as_it_was_received(
    tmp_path_factory: pytest.TempPathFactory,
    delays: list[int],
    other: list[int],
    bounds: tuple[int, int, int],
    portion: int,
) -> None:
    root = tmp_path_factory.mktemp("stream")
    origin = MIDNIGHT_NS + DAY - 10 * SECOND  # over midnight
    start_ns, (earlier, later) = origin + bounds[0] * SECOND, sorted(origin + end * SECOND for end in bounds[1:])
    expected = []
    for series, late in ((TRADES, delays), (QUOTES, other)):
        times = [origin + n * SECOND for n in range(len(late))]
        received = [at + delay * SECOND for at, delay in zip(times, late, strict=True)]
        store(root, series, times, received=received)
        reached = 0
        for place, (at, received_ns) in enumerate(zip(times, received, strict=True)):
            if at >= start_ns:
                reached = max(reached, received_ns)
                expected.append((reached, series.rank, place + 1.0))
    streams = []
    for end_ns in (earlier, later):
        stream = MarketStream(
            Catalog(root), [TRADES, QUOTES], start_ns, end_ns, clock=Clock.RECEIVED, portion_rows=portion
        )
        streams.append(list(stream.messages()))
    for found, end_ns in zip(streams, (earlier, later), strict=True):
        wanted = [row for row in sorted(expected) if row[0] < end_ns]
        assert [(m.recv_ns, place_of(m)[1]) for m in found] == [(due_ns, place) for due_ns, _, place in wanted]
    assert streams[1][: len(streams[0])] == streams[0]


def test_what_was_not_received_live_is_known_by_the_venues_clock(tmp_path: Path) -> None:
    store(tmp_path, BARS, minutes(3), received=[minutes(1)[0] + 3 * SECOND + MINUTE, MIDNIGHT_NS + 9 * DAY, 0])
    found = list(MarketStream(Catalog(tmp_path), [BARS], clock=Clock.RECEIVED).messages())
    assert [message.recv_ns for message in found] == [MIDNIGHT_NS + MINUTE + 3 * SECOND, *minutes(4)[2:]]


# -- kinds -------------------------------------------------------------------------------


def test_every_kind_becomes_its_message(tmp_path: Path) -> None:
    wanted: list[MarketData] = [
        Bar(BTC, 1, 1, MIDNIGHT_NS, MIDNIGHT_NS + MINUTE, 1.0, 4.0, 0.5, 2.0, 9.0, MINUTE),
        Ticker(BTC, 1, 2, MIDNIGHT_NS + MINUTE, MIDNIGHT_NS + MINUTE, 5.0, 6.0, 0.1, 77),
        Book(BTC, 1, 3, MIDNIGHT_NS + MINUTE, MIDNIGHT_NS + MINUTE, ((1.0, 2.0), (0.5, 3.0)), ()),
        Quote(BTC, 1, 4, MIDNIGHT_NS + MINUTE, MIDNIGHT_NS + MINUTE, 1.0, 2.0, 3.0, 4.0),
        Trade(BTC, 1, 5, MIDNIGHT_NS + MINUTE, MIDNIGHT_NS + MINUTE, 1.5, 2.5, "sell", "x"),
    ]
    kinds = ["bars_60s", "tickers", "books", "quotes", "trades"]
    for kind, message in zip(kinds, wanted, strict=True):
        table = Series(BTC, kind).table
        folder = Partition("bybit", "BTCUSDT", "2026-11-24").folder(tmp_path)
        make_folder(folder)
        with Draft(folder / name_of(kind, 1, 1), with_note(table.schema, Note())) as draft:
            draft.add(pa.Table.from_batches([table.batch([message])]))
            draft.keep()
    assert list(MarketStream(Catalog(tmp_path), [Series(BTC, kind) for kind in kinds]).messages()) == wanted


def test_funding_streams_as_columns_alone(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, {"ts_ns": [MIDNIGHT_NS, MIDNIGHT_NS + 8 * 60 * MINUTE], "rate": [0.1, -0.2]})
    stream = MarketStream(Catalog(root), [Series(BTC, "funding")])
    (window,) = stream.windows()
    assert window.batches[0].numbers("rate").tolist() == [0.1, -0.2]
    with pytest.raises(DataError, match="expected a kind with market messages"):
        list(stream.messages())


# -- memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 3])
def test_no_more_is_held_than_a_portion_of_each_series_however_long_they_are(tmp_path: Path, days: int) -> None:
    chosen = [TRADES, QUOTES, Series(ETH, "trades")]
    for place, series in enumerate(chosen):
        store(tmp_path, series, [MIDNIGHT_NS + n * 97 * SECOND + place for n in range(days * 880)], group_rows=64)
    stream = MarketStream(Catalog(tmp_path), chosen, portion_rows=50)
    count = sum(len(batch) for window in stream.windows() for batch in window.batches)
    assert count == 3 * days * 880
    assert stream.rows_held <= 3 * (50 + 1)  # what is left of a portion waits for the next: here one row
    assert sum(1 for _ in stream.messages()) == count


def test_files_are_opened_when_they_are_due_and_closed_when_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, TRADES, [MIDNIGHT_NS + day * DAY + n for day in range(5) for n in range(30)])
    opened: list[Any] = []
    original = pa.parquet.ParquetFile

    def noted(path: Path) -> Any:
        opened.append(original(path))
        return opened[-1]

    monkeypatch.setattr("exchanges.catalog.catalog.pq.ParquetFile", noted)
    windows = MarketStream(Catalog(tmp_path), [TRADES], portion_rows=10).windows()
    next(windows)
    assert len(opened) == 1
    assert sum(1 for _ in windows) > 10
    assert len(opened) == 5
    assert all(file.closed for file in opened)


def test_columns_are_handed_out_without_a_copy(tmp_path: Path) -> None:
    store(tmp_path, TRADES, [MIDNIGHT_NS + n for n in range(30)], group_rows=100)
    (window,) = MarketStream(Catalog(tmp_path), [TRADES]).windows()
    (batch,) = window.batches
    assert not batch.numbers("price").flags.owndata
    assert batch.column("side").to_pylist()[:2] == ["buy", "sell"]
    assert np.array_equal(batch.due_ns, batch.numbers("ts_ns"))


# -- recordings --------------------------------------------------------------------------


def test_what_the_recorder_wrote_twice_into_one_file_is_streamed_once(tmp_path: Path) -> None:
    schema = TRADES.table.schema
    folder = Partition("bybit", "BTCUSDT", "2026-11-24").folder(tmp_path)
    make_folder(folder)
    columns = trade_columns([MIDNIGHT_NS, MIDNIGHT_NS + 1, MIDNIGHT_NS + 1], trade_id=["a", "b", "b"])
    with Draft(folder / name_of("trades", 3, 1), with_note(schema, Note())) as draft:
        draft.add(pa.table({**columns, "recv_ns": columns["ts_ns"]}))
        draft.keep()
    found = [message for message in MarketStream(Catalog(tmp_path), [TRADES]).messages() if isinstance(message, Trade)]
    assert [trade.trade_id for trade in found] == ["a", "b"]


def test_files_that_overlap_are_streamed_once_and_in_order(tmp_path: Path) -> None:
    schema = TRADES.table.schema
    folder = Partition("bybit", "BTCUSDT", "2026-11-24").folder(tmp_path)
    make_folder(folder)
    for number, places in ((1, range(60)), (2, range(30, 90))):
        columns = trade_columns([MIDNIGHT_NS + n for n in places], trade_id=[f"t{n}" for n in places])
        with Draft(folder / name_of("trades", 3, number), with_note(schema, Note())) as draft:
            draft.add(pa.table({**columns, "recv_ns": columns["ts_ns"]}))
            draft.keep()
    found = list(MarketStream(Catalog(tmp_path), [TRADES], portion_rows=7).messages())
    assert [message.ts_ns - MIDNIGHT_NS for message in found] == list(range(90))


@recorded_data
def test_recorded_trades_quotes_and_bars_stream_in_step(tmp_path: Path) -> None:
    take(tmp_path, DATA / "trades/binance_usdm_BTCUSDT_20240808.parquet")
    take(tmp_path, DATA / "quotes/binance_usdm_BTCUSDT_20240808.parquet")
    stream = MarketStream(Catalog(tmp_path), [TRADES, QUOTES], portion_rows=8_192)
    last, count = 0, 0
    for message in stream.messages():
        assert message.ts_ns >= last
        last, count = message.ts_ns, count + 1
        assert message.seq == count
    assert count == 21_313 + 66_089


# -- what can't be streamed --------------------------------------------------------------


def test_a_series_that_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    store(tmp_path, TRADES, [MIDNIGHT_NS])
    with pytest.raises(DataError, match=r"expected bybit:BTCUSDT quotes in .*, found bybit:BTCUSDT trades"):
        MarketStream(Catalog(tmp_path), [QUOTES])
    with pytest.raises(DataError, match="nothing of that symbol"):
        MarketStream(Catalog(tmp_path), [Series(ETH, "trades")])


@pytest.mark.parametrize("chosen", [[], [TRADES, TRADES]])
def test_each_series_is_named_once(tmp_path: Path, chosen: list[Series]) -> None:
    store(tmp_path, TRADES, [MIDNIGHT_NS])
    with pytest.raises(DataError, match="each of them once"):
        MarketStream(Catalog(tmp_path), chosen)


def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    store(tmp_path, TRADES, [MIDNIGHT_NS])
    next(tmp_path.rglob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(DataError, match="expected files of bybit:BTCUSDT trades that can be read"):
        list(MarketStream(Catalog(tmp_path), [TRADES]).windows())


def test_rows_out_of_order_are_not_streamed_as_if_they_were(tmp_path: Path) -> None:
    store(tmp_path, TRADES, [MIDNIGHT_NS + n for n in (1, 2, 9, 4, 5, 6)])
    for rows in (3, 100):
        with pytest.raises(DataError, match="expected rows of bybit:BTCUSDT trades in time order"):
            list(MarketStream(Catalog(tmp_path), [TRADES], portion_rows=rows).messages())
