"""Market data over alpaca-py's data clients, and recorded data played by the Alpaca simulator."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from alpaca.data.requests import (
    CryptoLatestOrderbookRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from tests.integration.alpaca_bench import (
    DATA,
    Prices,
    Running,
    Updates,
    code_of,
    crypto,
    eventually,
    market,
    order,
    running,
    stocks,
    trading,
)

BARS = DATA / "bars" / "us_equities_1m"
TRADES = DATA / "trades" / "us_equities_open_20160525.parquet"
WIRE = DATA / "wire" / "alpaca"
MINUTE = 60_000_000_000
START = 1_699_999_980_000_000_000
recorded = pytest.mark.skipif(not BARS.is_dir(), reason="recorded data is not here; set BIGWHEEL_DATA")


def bars_file(folder: Path, symbol: str, count: int) -> dict[str, list[Any]]:
    """A recording of minute bars; returns its columns."""
    table: dict[str, list[Any]] = {"ts_ns": [START + i * MINUTE for i in range(count)]}
    for name, price in (("open", 100.0), ("high", 110.0), ("low", 99.0), ("close", 105.0)):
        table[name] = [round(price + i / 100, 2) for i in range(count)]
    table["volume"] = [float(40 + i % 5 * 4) for i in range(count)]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / f"{symbol}.parquet")
    return table


def played(bench: Running) -> None:
    """Wait for the end of the recording."""
    eventually(lambda: bench.state()["replay"]["finished"])


def collected(prices: Prices, symbol: str, count: int) -> list[dict[str, Any]]:
    """The first ``count`` bars of a symbol."""
    return [prices.of("b", symbol) for _ in range(count)]


class TestHistory:
    def test_bars_of_every_frame_are_made_of_the_minutes_and_come_in_pages(self, tmp_path: Path) -> None:
        table = bars_file(tmp_path, "AAPL", 150)
        with running(feed="replay", replay_path=tmp_path, speed="max") as bench:
            Prices(bench, {"bars": ["AAPL"]})
            played(bench)
            first = dt.datetime.fromtimestamp(START / 1e9, dt.UTC)
            hour = dt.timedelta(hours=1)
            asked = {"symbol_or_symbols": "AAPL", "start": first - hour, "end": first + 24 * hour}
            minutes = stocks(bench).get_stock_bars(StockBarsRequest(timeframe=TimeFrame.Minute, **asked))["AAPL"]
            assert [bar.open for bar in minutes] == table["open"]
            assert [bar.volume for bar in minutes] == table["volume"]
            assert {bar.trade_count for bar in minutes} == {4}
            assert [int(bar.timestamp.timestamp()) * 10**9 for bar in minutes] == table["ts_ns"]
            fives = TimeFrame(5, TimeFrameUnit.Minute)
            longer = stocks(bench).get_stock_bars(StockBarsRequest(timeframe=fives, **asked))["AAPL"]
            assert sum(bar.volume for bar in longer) == sum(table["volume"])
            assert {int(bar.timestamp.timestamp()) % 300 for bar in longer} == {0}
            days = stocks(bench).get_stock_bars(StockBarsRequest(timeframe=TimeFrame.Day, **asked | {"start": None}))
            assert days.data == {}
            self.pages(bench, table)

    def pages(self, bench: Running, table: dict[str, list[Any]]) -> None:
        client, found, token = stocks(bench), [], None
        params = {"symbols": "AAPL", "timeframe": "1Min", "start": "2023-11-01", "end": "2023-11-30", "limit": 40}
        while True:
            page = client.get("/stocks/bars", params | ({"page_token": token} if token else {}))
            found += page["bars"].get("AAPL", [])
            token = page["next_page_token"]
            if token is None:
                break
        assert [bar["c"] for bar in found] == table["close"]
        backwards = client.get("/stocks/bars", params | {"sort": "desc"})
        assert [bar["c"] for bar in backwards["bars"]["AAPL"]] == table["close"][:-41:-1]

    def test_bad_requests_get_the_venues_code(self) -> None:
        with running() as bench:
            client = stocks(bench)
            for params in (
                {"timeframe": "1Min"},
                {"symbols": "AAPL", "timeframe": "7Fortnight"},
                {"symbols": "AAPL", "timeframe": "60Min"},
                {"symbols": "AAPL", "timeframe": "1Min", "page_token": "???"},
                {"symbols": "AAPL", "timeframe": "1Min", "page_token": "bm90aGluZw=="},
            ):
                assert code_of(lambda params=params: client.get("/stocks/bars", params)) == (400, 40010000)
            wrong = {"symbols": "AAPL", "timeframe": "1Min", "start": "noon"}
            assert code_of(lambda: client.get("/stocks/bars", wrong)) == (422, 42210000)

    def test_the_latest_trade_quote_bar_and_snapshot_are_those_of_the_moment(self) -> None:
        with running() as bench:
            client = stocks(bench)
            unseen = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=["AAPL", "NOPE"]))
            assert unseen == {}
            for price, side in ((229.40, "buy"), (229.45, "buy"), (229.38, "sell")):
                bench.trade("AAPL", price, 50.0, side)
            trade = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
            quote = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
            shot = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
            assert (trade.price, trade.size) == (229.38, 50)
            assert quote.bid_price == 229.38 < quote.ask_price
            assert (shot.daily_bar.open, shot.daily_bar.high, shot.daily_bar.low) == (229.40, 229.45, 229.38)
            assert shot.latest_trade == trade
            today = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
            trades = client.get_stock_trades(StockTradesRequest(symbol_or_symbols="AAPL", start=today))["AAPL"]
            assert [seen.price for seen in trades] == [229.40, 229.45, 229.38]

    def test_crypto_has_its_books_and_bars(self) -> None:
        with running() as bench:
            bench.trade("BTC/USD", 60_000.0, 0.5, "buy")
            client = crypto(bench)
            asked = CryptoLatestOrderbookRequest(symbol_or_symbols="BTC/USD")
            book = client.get_crypto_latest_orderbook(asked)["BTC/USD"]
            assert book.bids[0].price < book.asks[0].price == 60_000.0
            bars = client.get("/crypto/us/latest/bars", {"symbols": "BTC/USD,AAPL"})["bars"]
            assert list(bars) == ["BTC/USD"]
            shots = client.get("/crypto/us/snapshots", {"symbols": "BTC/USD"})["snapshots"]
            assert shots["BTC/USD"]["latestTrade"]["tks"] == "B"


class TestReplay:
    def test_every_trade_and_bar_of_several_symbols_reaches_the_subscriber_once(self, tmp_path: Path) -> None:
        tables = {symbol: bars_file(tmp_path, symbol, 400) for symbol in ("AAPL", "XYZ")}
        with running(feed="replay", replay_path=tmp_path, speed="max") as bench:
            prices = Prices(bench, {"bars": ["AAPL", "XYZ"], "trades": ["AAPL", "XYZ"]})
            played(bench)
            assert bench.state()["replay"]["rows"] == {"AAPL": 400, "XYZ": 400}
            found: dict[tuple[str, str], list[Any]] = {}
            while sum(map(len, found.values())) < 2 * (400 + 1_600):
                message = prices.next()
                found.setdefault((message["T"], message["S"]), []).append(message)
            for symbol, table in tables.items():
                bars = found["b", symbol]
                assert [bar["t"].to_unix_nano() for bar in bars] == table["ts_ns"]
                for name, column in (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume")):
                    assert [bar[name] for bar in bars] == pytest.approx(table[column])
                assert len({trade["i"] for trade in found["t", symbol]}) == 1_600

    def test_a_symbol_that_no_table_knows_is_listed_on_the_steps_of_its_data(self, tmp_path: Path) -> None:
        bars_file(tmp_path, "XYZ", 10)
        with running(feed="replay", replay_path=tmp_path, speed="max") as bench:
            asset = trading(bench).get_asset("XYZ")
            assert (asset["symbol"], asset["tradable"], asset["fractionable"]) == ("XYZ", True, True)
            assert code_of(lambda: trading(bench).get_asset("AAPL")) == (404, 40410000)
            placed = trading(bench).post("/orders", order(symbol="XYZ", limit_price="99.01"))
            assert placed["limit_price"] == "99.01"
            assert bench.simulator.venue.markets["XYZ"].instrument.tick == D("0.01")

    @recorded
    def test_recorded_minutes_of_stocks_are_told_as_they_were(self) -> None:
        symbols = ("AAPL", "SPY", "XLP")
        tables = {symbol: pq.read_table(BARS / f"{symbol}.parquet").to_pydict() for symbol in symbols}
        with running(feed="replay", replay_path=BARS, symbols=symbols, speed="max") as bench:
            prices = Prices(bench, {"bars": list(symbols)})
            played(bench)
            found: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
            while any(len(found[symbol]) < len(tables[symbol]["ts_ns"]) for symbol in symbols):
                message = prices.next()
                found[message["S"]].append(message)
        for symbol, table in tables.items():
            assert [bar["t"].to_unix_nano() for bar in found[symbol]] == table["ts_ns"]
            for name, column in (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close")):
                assert [bar[name] for bar in found[symbol]] == table[column]
            assert [bar["v"] for bar in found[symbol]] == pytest.approx(table["volume"], abs=1e-6)

    @recorded
    def test_an_order_rests_in_a_recorded_market_and_fills_when_the_market_gets_there(self) -> None:
        table = pq.read_table(BARS / "AAPL.parquet").to_pydict()
        lowest = min(table["low"])
        with running(feed="replay", replay_path=BARS, symbols=("AAPL",), speed="max") as bench:
            client, updates = trading(bench), Updates(bench)
            high = client.post("/orders", order(limit_price="169.50", qty="10"))
            never = client.post("/orders", order(limit_price=str(round(lowest - 0.05, 2)), qty="10"))
            Prices(bench, {"bars": ["AAPL"]})
            played(bench)
            found = client.get_order_by_id(high["id"])
            assert (found["status"], found["filled_avg_price"]) == ("filled", "169.5")
            assert client.get_order_by_id(never["id"])["status"] == "new"
            fill = updates.next(lambda message: message["data"]["event"] == "fill")["data"]
            assert (fill["order"]["id"], fill["position_qty"]) == (high["id"], "10")

    @recorded
    def test_recorded_trades_of_several_stocks_are_told_in_their_order(self) -> None:
        table = pq.read_table(TRADES).to_pydict()
        with running(feed="replay", replay_path=TRADES, speed="max") as bench:
            prices = Prices(bench, {"trades": ["*"]})
            found = [prices.next() for _ in table["price"]]
        for symbol in set(table["symbol"]):
            rows = [i for i, name in enumerate(table["symbol"]) if name == symbol]
            mine = [message for message in found if message["S"] == symbol]
            assert [message["p"] for message in mine] == [table["price"][i] for i in rows]
            assert [message["s"] for message in mine] == [table["size"][i] for i in rows]
            assert [message["t"].to_unix_nano() for message in mine] == [table["ts_ns"][i] for i in rows]


def test_the_generator_trades_stocks_in_whole_shares_on_their_tick() -> None:
    with running(feed="generator", rate=200.0) as bench:
        prices = Prices(bench, {"trades": ["AAPL", "MULN"]})
        seen = [prices.next() for _ in range(200)]
        assert {message["S"] for message in seen} == {"AAPL", "MULN"}
        for message in seen:
            tick = D("0.01") if message["S"] == "AAPL" else D("0.0001")
            assert D(repr(message["p"])) % tick == 0
            assert message["s"] == int(message["s"]) >= 1


@pytest.fixture(scope="module")
def bench() -> Iterator[Running]:
    """A venue in which an order has been filled."""
    if not WIRE.is_dir():
        pytest.skip("recorded messages are not here; set BIGWHEEL_DATA")
    with running() as found:
        found.trade("AAPL", 229.40, 10.0, "buy")
        trading(found).post("/orders", market(qty="2"))
        yield found


class TestWire:
    """What the venue sends has every field that its samples have."""

    @pytest.mark.parametrize(
        ("name", "path", "ignored"),
        [
            (
                "rest_account_routes_get_account",
                "/account",
                {"pattern_day_trader", "daytrade_count", "daytrading_buying_power", "sma", "last_maintenance_margin"}
                | {"options_buying_power", "options_approved_level", "options_trading_level"},
            ),
            ("rest_asset_routes_get_asset", "/assets/AAPL", {"last_close_pct_change", "last_price"}),
            ("rest_order_routes_get_order_by_id", "/orders?status=all", {"commission"}),
            ("rest_position_routes_get_all_positions", "/positions", {"usd"}),
            ("rest_lib_account_activities_reference_trade_activity", "/account/activities/FILL", set()),
            ("rest_lib_clock_reference_clock", "/clock", set()),
        ],
    )
    def test_rest(self, bench: Running, name: str, path: str, ignored: set[str]) -> None:
        expected = json.loads((WIRE / f"{name}.json").read_text())
        found = trading(bench).get(path)
        rows = [value[0] if isinstance(value, list) else value for value in (expected, found)]
        assert rows[0].keys() - rows[1].keys() - ignored == set()

    def test_streams(self, bench: Running) -> None:
        updates, prices = Updates(bench), Prices(bench, {"trades": ["AAPL"], "quotes": ["AAPL"]})
        trading(bench).post("/orders", order())
        sample = json.loads((WIRE / "ws_trading_order_update.json").read_text())
        update = updates.next(lambda message: message["data"]["event"] == "new")
        assert sample["data"].keys() - update["data"].keys() == set()
        assert sample["data"]["order"].keys() - update["data"]["order"].keys() == set()
        bench.trade("AAPL", 229.50, 10.0, "buy")
        for kind, name in (("t", "trade"), ("q", "quote")):
            sample = json.loads((WIRE / f"ws_stream_{name}_element.json").read_text())
            assert sample.keys() - prices.of(kind, "AAPL").keys() == set()


def test_a_bar_is_told_once_its_minute_is_over_though_no_trade_follows() -> None:
    with running(feed="generator", rate=5.0, symbols=("AAPL",)) as bench:
        prices = Prices(bench, {"bars": ["AAPL"], "daily_bars": ["AAPL"]})
        ahead = round((60 - time.time() % 60 - 1) * 1_000)  # the venue's minute ends in a second
        eventually(lambda: bench.simulator.venue.markets["AAPL"].last)
        bench.faults(clock_skew_ms=ahead + 3_000)
        bar = prices.of("b", "AAPL")
        assert bar["l"] <= bar["o"] <= bar["h"]
        assert (bar["n"] >= 1, bar["v"] >= 1) == (True, True)
        assert prices.of("d", "AAPL")["v"] >= bar["v"]
