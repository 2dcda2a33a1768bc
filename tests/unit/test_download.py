"""Fetching history: what is there is left alone, what comes is checked, what is missing is told."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwheel.cli.download import Session
from bigwheel.screen import terminal
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.market import Bar, Trade
from exchanges.model.venue import Outcome
from exchanges.recording import history
from exchanges.recording.coverage import Span, by_day, covered, missing, union
from exchanges.recording.errors import RecordingError
from exchanges.recording.history import Downloader, Report, Wanted
from exchanges.recording.lock import only_one
from exchanges.recording.schemas import FundingRate
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from exchanges.recording.validation import check, gaps
from tests.unit.front_door import refused
from tests.unit.recording_bench import BTC, MIDNIGHT_NS, SECOND, TODAY, bar, names, rows, trade

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BARS = "bars_60s"
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple), max_size=6)


class Venue:
    """An adapter's history: a bar every minute and a trade every ten seconds from noon yesterday on."""

    venue = "bybit"

    def __init__(self) -> None:
        self.calls: list[Span] = []
        self.failures: list[Exception] = []
        self.silent: set[int] = set()
        self.closed = False
        self.change: Callable[[list[Bar]], list[Bar]] = lambda bars: bars

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        assert symbol == BTC and interval_ns == MINUTE
        self.calls.append(Span(start_ns, end_ns))
        if self.failures:
            raise self.failures.pop(0)
        first = -(-start_ns // MINUTE) * MINUTE
        times = [at for at in range(first, end_ns, MINUTE) if at not in self.silent]
        return self.change([bar(0, at) for at in times])

    async def close(self) -> None:
        self.closed = True

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        self.calls.append(Span(0, 0))
        return [trade(0, MIDNIGHT_NS + n * 10 * SECOND) for n in range(100)]


class Telling(Venue):
    """One that tells trades of any time, and funding."""

    async def trades_between(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        self.calls.append(Span(start_ns, end_ns))
        return [
            trade(number, 0)
            for number in range(start_ns // 1_000_000, end_ns // 1_000_000)
            if not number % 600_000 and start_ns <= number * 1_000_000 < end_ns
        ]

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        self.calls.append(Span(start_ns, end_ns))
        return [(at, 0.0001) for at in range(-(-start_ns // (8 * HOUR)) * 8 * HOUR, end_ns, 8 * HOUR)]


class Bench:
    """Downloads into a folder at a moment that stands still."""

    def __init__(self, folder: Path, venue: Venue | None = None, now_ns: int = MIDNIGHT_NS + 30 * DAY) -> None:
        self.folder, self.venue, self.now_ns = folder, venue or Venue(), now_ns
        self.told: list[tuple[int, int]] = []

    def get(self, start_ns: int, end_ns: int, table: str = BARS) -> Report:
        downloader = Downloader(
            self.venue, self.folder, lambda done, count: self.told.append((done, count)), lambda: self.now_ns
        )
        return asyncio.run(downloader.download(Wanted(BTC, table, Span(start_ns, end_ns))))

    def times(self, table: str = BARS) -> list[int]:
        return [(at - MIDNIGHT_NS) // MINUTE for at in rows(self.folder, table, "ts_ns")]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing really waits; what it would have waited is noted."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(history.asyncio, "sleep", sleep)
    return waits


# -- spans -------------------------------------------------------------------------------


@given(SPANS)
def test_a_union_holds_the_same_moments_in_spans_that_do_not_touch(spans: list[tuple[int, int]]) -> None:
    joined = union(spans)
    assert {at for span in joined for at in range(*span)} == {at for span in spans for at in range(*span)}
    assert all(earlier.end_ns < later.start_ns for earlier, later in pairwise(joined))


@given(SPANS, st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted))
def test_what_is_missing_and_what_is_covered_make_up_what_is_wanted(
    spans: list[tuple[int, int]], wanted: Sequence[int]
) -> None:
    open_spans = missing(Span(*wanted), spans)
    covered_too = {at for span in spans for at in range(*span)}
    assert {at for span in open_spans for at in range(*span)} == set(range(*wanted)) - covered_too
    assert all(span.length_ns > 0 for span in open_spans)


@given(st.integers(-3 * DAY, 3 * DAY), st.integers(0, 4 * DAY))
def test_a_span_is_cut_at_every_midnight(start_ns: int, length_ns: int) -> None:
    pieces = by_day(Span(start_ns, start_ns + length_ns))
    assert sum(piece.length_ns for piece in pieces) == length_ns
    assert all(piece.start_ns // DAY == (piece.end_ns - 1) // DAY for piece in pieces)


# -- bars --------------------------------------------------------------------------------


def test_a_span_is_fetched_in_pages_into_a_file_for_each_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    report = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + 2 * DAY)
    assert (report.rows, report.calls, report.duplicates, report.pending) == (2_880, 4, 0, ())
    assert bench.times() == list(range(2_880))
    assert names(tmp_path) == ["bars_60s-0-3-m1.parquet"]
    assert bench.told[0] == (0, 0) and bench.told[-1] == (2 * DAY, 2_880)


def test_what_is_there_and_complete_is_not_fetched_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY)
    bench.venue.calls.clear()
    again = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY)
    assert bench.venue.calls == [] and (again.rows, again.calls) == (0, 0)
    bench.get(MIDNIGHT_NS - HOUR, MIDNIGHT_NS + DAY + HOUR)
    assert bench.venue.calls == [
        Span(MIDNIGHT_NS - HOUR, MIDNIGHT_NS),
        Span(MIDNIGHT_NS + DAY, MIDNIGHT_NS + DAY + HOUR),
    ]
    assert bench.times() == list(range(-60, 1_500))


def test_a_download_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    pages = 0

    def interrupt(bars: list[Bar]) -> list[Bar]:
        nonlocal pages
        pages += 1
        if pages == 3:
            raise KeyboardInterrupt
        return bars

    bench.venue.change = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench.get(MIDNIGHT_NS, MIDNIGHT_NS + 2 * DAY)
    there = len(bench.times())
    assert 0 < there < 2_880
    bench.venue.calls.clear()
    report = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + 2 * DAY)
    assert bench.venue.calls[0].start_ns == MIDNIGHT_NS + there * MINUTE
    assert report.rows == 2_880 - there and bench.times() == list(range(2_880))


def test_days_without_a_bar_are_not_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.venue.change = lambda bars: []
    assert bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY).rows == 0
    bench.venue.calls.clear()
    assert bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY).pending == ()
    assert bench.venue.calls == []


def test_the_running_bar_and_the_future_are_left_for_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, now_ns=MIDNIGHT_NS + 10 * MINUTE + 30 * SECOND)
    report = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY)
    assert report.span.end_ns == MIDNIGHT_NS + 9 * MINUTE + 25 * SECOND
    assert bench.times() == list(range(10)) and report.pending == ()
    bench.now_ns += 2 * MINUTE
    bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY)
    assert bench.times() == list(range(12))


def test_a_span_that_has_not_begun_is_empty(tmp_path: Path) -> None:
    bench = Bench(tmp_path, now_ns=MIDNIGHT_NS)
    assert bench.get(MIDNIGHT_NS + DAY, MIDNIGHT_NS + 2 * DAY).calls == 0


def test_missing_bars_are_counted_with_their_spans(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.venue.silent = {MIDNIGHT_NS, MIDNIGHT_NS + 30 * MINUTE, MIDNIGHT_NS + 31 * MINUTE}
    span = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + HOUR).span
    found = gaps(tmp_path, "bybit", "BTCUSDT", BARS, span)
    assert (found.found, found.missing) == (57, 3)
    assert found.spans == (
        Span(MIDNIGHT_NS, MIDNIGHT_NS + MINUTE),
        Span(MIDNIGHT_NS + 30 * MINUTE, MIDNIGHT_NS + 32 * MINUTE),
    )
    assert gaps(tmp_path, "bybit", "ETHUSDT", BARS, span).missing == 60


# -- answers -----------------------------------------------------------------------------


def twice(bars: list[Bar]) -> list[Bar]:
    return [bars[0], *bars]


def test_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.venue.change = twice
    report = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + HOUR)
    assert (report.rows, report.duplicates) == (60, 1)
    assert bench.times() == list(range(60))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda bars: bars[::-1], "oldest first"),
        (lambda bars: [*bars, bar(0, bars[-1].ts_ns + MINUTE)], "found one of"),
        (lambda bars: [msgspec.structs.replace(bars[0], close=99.0), *bars], "expected .* one row for"),
        (lambda bars: [msgspec.structs.replace(bars[0], high=1.0)], "low <= open"),
        (lambda bars: [msgspec.structs.replace(bars[0], open=float("nan"))], "low <= open"),
        (lambda bars: [msgspec.structs.replace(bars[0], volume=-1.0)], "a volume"),
    ],
)
def test_an_answer_that_can_not_be_right_is_refused_and_not_kept(
    tmp_path: Path, change: Callable[[list[Bar]], list[Bar]], text: str
) -> None:
    bench = Bench(tmp_path)
    bench.venue.change = change
    with pytest.raises(RecordingError, match=text):
        bench.get(MIDNIGHT_NS, MIDNIGHT_NS + HOUR)
    assert bench.times() == []


@pytest.mark.parametrize(
    ("table", "row", "text"),
    [
        ("trades", msgspec.structs.replace(trade(0), price=0.0), "above 0"),
        ("trades", msgspec.structs.replace(trade(0), size=float("inf")), "above 0"),
        ("funding", FundingRate(trade(0).ts_ns, float("nan")), "a rate"),
    ],
)
def test_values_of_trades_and_rates_are_checked_too(table: str, row: Any, text: str) -> None:
    with pytest.raises(RecordingError, match=text):
        check(BTC, table, [row], Span(0, 1 << 62))


def test_two_trades_without_an_id_are_two(tmp_path: Path) -> None:
    nameless = msgspec.structs.replace(trade(0), trade_id="")
    assert check(BTC, "trades", [nameless, nameless, trade(0), trade(0)], Span(0, 1 << 62))[1] == 1


def failure(kind: FailureKind, retry_after_ns: int = 0) -> VenueError:
    return VenueError(Failure(kind, Outcome.NOT_SENT, "10006", "too many visits", retry_after_ns))


def test_a_venue_that_wants_time_is_asked_again_when_it_has_passed(tmp_path: Path, patient: list[float]) -> None:
    bench = Bench(tmp_path)
    bench.venue.failures = [failure(FailureKind.RATE_LIMITED, 7 * SECOND), failure(FailureKind.UNAVAILABLE)]
    assert bench.get(MIDNIGHT_NS, MIDNIGHT_NS + HOUR).rows == 60
    assert patient == [7.0, 2.0]


@pytest.mark.parametrize(
    ("error", "calls", "text"),
    [
        (failure(FailureKind.REJECTED), 1, "check symbol"),
        (failure(FailureKind.UNAVAILABLE), 5, "run it again later"),
        (ValueError("expected an interval"), 1, "expected an interval"),
    ],
)
def test_a_venue_that_refuses_or_never_answers_ends_the_download_with_its_words(
    tmp_path: Path, error: Exception, calls: int, text: str
) -> None:
    bench = Bench(tmp_path)
    bench.venue.failures = [error] * 9
    with pytest.raises(RecordingError, match=text):
        bench.get(MIDNIGHT_NS, MIDNIGHT_NS + HOUR)
    assert len(bench.venue.calls) == calls


# -- trades and funding ------------------------------------------------------------------


def test_recent_trades_cover_what_follows_the_first_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, now_ns=MIDNIGHT_NS + HOUR)
    report = bench.get(MIDNIGHT_NS - HOUR, MIDNIGHT_NS + 30 * MINUTE, "trades")
    assert report.rows == 99, "others of the first one's moment may be missing"
    assert report.pending == (Span(MIDNIGHT_NS - HOUR, MIDNIGHT_NS + 1),)
    assert report.calls == 1
    bench.venue.calls.clear()
    assert bench.get(MIDNIGHT_NS + SECOND, MIDNIGHT_NS + 30 * MINUTE, "trades").calls == 0


def test_trades_that_are_there_are_not_written_again_when_more_are_wanted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, now_ns=MIDNIGHT_NS + HOUR)
    bench.get(MIDNIGHT_NS + 300 * SECOND, MIDNIGHT_NS + 600 * SECOND, "trades")
    assert len(rows(tmp_path)) == 30
    assert bench.get(MIDNIGHT_NS - HOUR, MIDNIGHT_NS + 30 * MINUTE, "trades").rows == 69
    found = rows(tmp_path, "trades", "ts_ns")
    assert len(found) == len(set(found)) == 99


def test_what_was_recorded_live_and_is_downloaded_as_well_is_there_once(tmp_path: Path) -> None:
    venue = Telling()
    live = RecordingStore(RecorderSettings(folder=tmp_path, venue="bybit"), Counter())
    for heard in asyncio.run(venue.trades_between(BTC, MIDNIGHT_NS, MIDNIGHT_NS + HOUR)):
        live.add(BTC, "trades", heard.ts_ns, heard)
    live.finish()
    assert Bench(tmp_path, venue).get(MIDNIGHT_NS, MIDNIGHT_NS + 2 * HOUR, "trades").rows == 12
    assert len(rows(tmp_path)) == 12


def test_a_span_before_all_trades_the_venue_tells_is_pending_as_a_whole(tmp_path: Path) -> None:
    bench = Bench(tmp_path, now_ns=MIDNIGHT_NS + HOUR)
    span = Span(MIDNIGHT_NS - 2 * HOUR, MIDNIGHT_NS - HOUR)
    report = bench.get(*span, "trades")
    assert (report.rows, report.pending) == (0, (span,))
    assert covered(tmp_path, "bybit", "BTCUSDT", "trades", span) == []


def test_a_venue_that_tells_trades_of_any_time_is_asked_hour_by_hour(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Telling())
    report = bench.get(MIDNIGHT_NS, MIDNIGHT_NS + 3 * HOUR, "trades")
    assert [span.length_ns for span in bench.venue.calls] == [HOUR] * 3
    assert (report.rows, report.pending) == (18, ())


def test_funding_rates_are_fetched_from_venues_that_have_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Telling())
    assert bench.get(MIDNIGHT_NS, MIDNIGHT_NS + DAY, "funding").rows == 3
    assert rows(tmp_path, "funding", "rate") == [0.0001] * 3
    with pytest.raises(RecordingError, match="expected a venue that tells funding rates, found bybit"):
        Bench(tmp_path / "other").get(MIDNIGHT_NS, MIDNIGHT_NS + DAY, "funding")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 180), st.integers(0, 180)).map(sorted), min_size=1, max_size=5))
def test_any_order_of_downloads_leaves_each_bar_of_their_spans_once(
    tmp_path_factory: pytest.TempPathFactory, spans: list[list[int]]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("download"))
    start = TODAY.end_ns - 90 * MINUTE
    for first, last in spans:
        bench.get(start + first * MINUTE, start + last * MINUTE)
    wanted = {at for first, last in spans for at in range(first, last)}
    assert sorted(at - 1_350 for at in bench.times()) == sorted(wanted)
    asked = [at for span in bench.venue.calls for at in range(*span, MINUTE)]
    assert len(asked) == len(set(asked)), "no moment is asked for twice"


def test_a_terminal_shows_how_far_a_download_is(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = terminal(file=screen, force_terminal=True, width=200)
    wanted = Wanted(BTC, BARS, Span(MIDNIGHT_NS - 9 * DAY, MIDNIGHT_NS - 7 * DAY))
    venue = Venue()
    assert asyncio.run(Session(cast(Any, venue), tmp_path, console).run([wanted]))
    assert "100% 2880 rows" in screen.getvalue()
    assert "2880 bars, none missing" in screen.getvalue()
    assert venue.closed


# -- the command -------------------------------------------------------------------------

ARGUMENTS = {"--venue": "bybit", "--symbols": "BTCUSDT", "--from": "2026-11-01", "--to": "2026-11-02"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"--venue": "binance"}, "expected --venue as one of alpaca, bybit, hyperliquid, kalshi, found 'binance'"),
        ({"--kind": "books"}, "expected --kind as one of bars, trades, funding, found 'books'"),
        ({"--from": "2026-11-03"}, "expected --from before --to"),
        ({"--from": "2026-11-31"}, "--from and --to: expected a time such as"),
        ({"--to": "soon"}, "found 'soon'"),
        ({"--from": "2999-01-01", "--to": "2999-01-02"}, "expected --from in the past"),
        ({"--symbols": " , "}, "expected --symbols such as BTCUSDT,ETHUSDT"),
        ({"--symbols": "alpaca:AAPL"}, "expected symbols of bybit such as BTCUSDT, found 'alpaca:AAPL'"),
        ({"--interval": "0"}, "expected --interval as a number of seconds such as 60, found 0"),
        ({"--rest-url": "https://example.com"}, "example.com"),
        ({"--config": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_a_bad_argument_is_refused_in_one_line(tmp_path: Path, change: dict[str, str], text: str) -> None:
    given_arguments = [
        part for pair in (ARGUMENTS | {"--out": str(tmp_path / "out")} | change).items() for part in pair
    ]
    assert text in refused("download", *given_arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing_option", ["--venue", "--symbols", "--from", "--out"])
def test_what_a_download_needs_is_asked_for(tmp_path: Path, missing_option: str) -> None:
    options = ARGUMENTS | {"--out": str(tmp_path)}
    del options[missing_option]
    assert f"Missing option '{missing_option}'" in refused("download", *[p for pair in options.items() for p in pair])


def test_a_folder_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    options = ARGUMENTS | {"--out": str(tmp_path / "file")}
    said = refused("download", *[part for pair in options.items() for part in pair])
    assert "expected --out as a folder that can be written" in said


def test_two_downloads_do_not_write_to_one_folder_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "venue=bybit").mkdir()
    options = ARGUMENTS | {"--out": str(tmp_path)}
    with only_one(tmp_path / "venue=bybit" / ".download.lock") as mine:
        assert mine
        said = refused("download", *[part for pair in options.items() for part in pair])
    assert "found another one at work in it" in said
