"""What the venue does by itself in a backtest: funding, settlement, liquidation. Money is worked out by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import bigwheel
from bigwheel.backtests.errors import BacktestError
from bigwheel.cli.app import app
from conf.errors import ConfigError
from exchanges.model.flow import Rest
from exchanges.model.market import Bar, Trade
from strategies.strategy import Strategy
from tests.unit.test_backtest import BTC, DATA, MINUTE, START, Row, Timed, bars
from tests.unit.test_backtest_lull import one_by_one

HOUR = 60 * MINUTE
TAKER = 0.00055
FLAT: Row = (30_000.0, 30_000.0, 30_000.0, 30_000.0)


def flat(path: Path, hours: int, price: float = 30_000.0, start: int = START) -> Path:
    """Bars of an hour at one price, on each of which quantities of 2,500 are traded."""
    count = hours
    columns = {name: [price] * count for name in ("open", "high", "low", "close")}
    table = {"ts_ns": [start + n * HOUR for n in range(count)], **columns, "volume": [10_000.0] * count}
    pq.write_table(pa.table(table), path)
    return path


def funding(path: Path, rows: list[tuple[int, float]], symbol: str = "BTCUSDT") -> Path:
    times, rates = zip(*rows, strict=True)
    pq.write_table(pa.table({"ts_ns": times, "symbol": [symbol] * len(rows), "rate": rates}), path)
    return path


# -- funding -----------------------------------------------------------------------------------


def test_a_constant_rate_is_paid_at_each_boundary_on_what_is_held_then(tmp_path: Path) -> None:
    # 0.1 are bought at 30,000 in the hour after the 3rd bar (03:00) and sold after the 18th (18:00): paid at 08:00
    # and 16:00, 0.1 x 30,000 x 0.0001 = 0.30 each.
    result = bigwheel.backtest(
        Timed,
        data=flat(tmp_path / "BTCUSDT.parquet", 30),
        symbols=BTC,
        params={"buy": 3, "sell": 18},
        cash=50_000,
        funding=0.0001,
    )
    paid = result.payments.to_pylist() if result.payments is not None else []
    assert [(row["ts_ns"] - START, row["kind"], row["amount"]) for row in paid] == [
        (8 * HOUR, "funding", -0.3),
        (16 * HOUR, "funding", -0.3),
    ]
    bought, sold = result.fills.to_pylist()
    fees = (bought["price"] + sold["price"]) * 0.1 * TAKER
    gained = (sold["price"] - bought["price"]) * 0.1
    assert result.summary["funding"] == pytest.approx(-0.6, abs=1e-12)
    assert result.summary["final_equity"] == pytest.approx(50_000 + gained - fees - 0.6, abs=1e-9)
    assert result.summary["funding_rates"] == {BTC: "constant"}


def test_rates_of_the_data_come_before_the_constant_and_a_short_receives(tmp_path: Path) -> None:
    class Short(Timed):
        def on_bar(self, bar: Bar) -> None:
            self.count += 1
            if self.count == 3:
                self.sell(quantity=Decimal("0.1"))

    flat(tmp_path / "BTCUSDT.parquet", 20)
    funding(
        tmp_path / "rates.parquet", [(START + 2 * HOUR, 0.5), (START + 8 * HOUR, 0.0002), (START + 16 * HOUR, -0.001)]
    )
    result = bigwheel.backtest(Short, data=tmp_path, symbols=BTC, cash=50_000, funding=0.9)
    # At 02:00 nothing is held; 0.1 x 30,000 x 0.0002 = 0.60 are received, 0.1 x 30,000 x 0.001 = 3.00 paid.
    paid = result.payments.to_pylist() if result.payments is not None else []
    assert [(row["ts_ns"] - START, row["amount"]) for row in paid] == [(8 * HOUR, 0.6), (16 * HOUR, -3.0)]
    assert result.summary["funding_rates"] == {BTC: "series"}


def test_rates_can_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    path = funding(tmp_path / "rates.parquet", [(START + 5 * HOUR, 0.0001)])
    (tmp_path / "bars").mkdir()
    data = flat(tmp_path / "bars" / "BTCUSDT.parquet", 12)
    told: dict[str, Any] = {"data": data, "symbols": BTC, "params": {"sell": 99}}
    assert bigwheel.backtest(Timed, funding=path, **told).summary["funding"] == pytest.approx(-0.3)
    with pytest.raises(BacktestError, match="expected funding rates of bybit:BTCUSDT at"):
        bigwheel.backtest(Timed, funding=funding(tmp_path / "o.parquet", [(START, 0.1)], "ETHUSDT"), **told)
    with pytest.raises(BacktestError, match=r"expected a funding rate such as 0\.0001"):
        bigwheel.backtest(Timed, funding=2, **told)


def test_without_rates_nothing_is_paid_and_the_summary_says_so(tmp_path: Path) -> None:
    told: dict[str, Any] = {"data": flat(tmp_path / "BTCUSDT.parquet", 12), "symbols": BTC, "params": {"sell": 99}}
    plain = bigwheel.backtest(Timed, **told)
    assert plain.payments is not None and plain.payments.num_rows == 0
    assert (plain.summary["funding"], plain.summary["funding_rates"]) == (0.0, {BTC: "none"})
    configured = bigwheel.backtest(Timed, config={"backtest": {"funding_rate": "0.001"}}, **told)
    assert configured.summary["funding"] == pytest.approx(-3.0)


def test_recorded_rates_are_paid_on_recorded_bars() -> None:
    data, rates = DATA / "bars/bybit_linear_1m/BTCUSDT.parquet", DATA / "funding/bybit_BTCUSDT.parquet"
    if not data.exists() or not rates.exists():
        pytest.skip(f"no recorded bars at {data}; set BIGWHEEL_DATA")
    result = bigwheel.backtest(Timed, data=data, symbols=BTC, params={"sell": 10**6}, funding=rates)
    paid = result.payments.to_pylist() if result.payments is not None else []
    known = {row["ts_ns"]: row["rate"] for row in pq.read_table(rates).to_pylist()}
    opens = {row["ts_ns"]: row["open"] for row in pq.read_table(data).to_pylist()}
    bought = result.fills["ts_ns"].to_pylist()[0]
    due = [at for at in known if bought < at <= result.summary["to"]]
    assert [row["ts_ns"] for row in paid] == due and due
    # The first price of the bar that begins at that moment is the last one then.
    assert [row["amount"] for row in paid] == pytest.approx([-0.1 * opens[at] * known[at] for at in due], abs=1e-7)


def test_tickers_announce_the_rate_and_set_the_mark(tmp_path: Path) -> None:
    flat(tmp_path / "BTCUSDT.parquet", 12)
    told = [(4, 0.5, 8), (7, 0.0002, 8), (8, 0.7, 16)]
    columns = {
        "ts_ns": [START + hour * HOUR for hour, _, _ in told],
        "symbol": ["BTCUSDT"] * 3,
        "mark": [30_000.0, 30_500.0, 30_500.0],
        "index": [30_000.0] * 3,
        "funding_rate": [rate for _, rate, _ in told],
        "funding_ns": [START + due * HOUR for _, _, due in told],
    }
    pq.write_table(pa.table(columns), tmp_path / "marks.parquet")
    result = bigwheel.backtest(Timed, data=tmp_path, symbols=BTC, params={"sell": 99}, cash=50_000)
    # The last word before 08:00 is 0.0002, on 0.1 x 30,500.
    assert result.summary["funding"] == pytest.approx(-0.61, abs=1e-12)
    assert result.summary["funding_rates"] == {BTC: "tickers"}
    (bought,) = result.fills.to_pylist()
    worth = 0.1 * (30_500 - bought["price"]) - bought["price"] * 0.1 * TAKER
    assert result.summary["final_equity"] == pytest.approx(50_000 + worth - 0.61, abs=1e-9)


# -- settlement --------------------------------------------------------------------------------

YES = "kalshi:KXSIM-1-A"


class Punter(Strategy):
    """Buys or sells 10 contracts at the third trade, and has one more rest at a price that is never met."""

    class Params(bigwheel.StrategyParams):
        buy: bool = True
        rest: float = 0.0

    def __init__(self) -> None:
        self.count = 0

    def on_trade(self, trade: Trade) -> None:
        self.count += 1
        if self.count == 3:
            (self.buy if self.params.buy else self.sell)(quantity=Decimal(10))
        if self.count == 6 and self.params.rest:
            self.buy(quantity=Decimal(10), limit_price=Decimal(str(self.params.rest)), flow=Rest(3_600 * 10**9))


def contracts(folder: Path, cents: list[int], result: str = "yes", close: int = 20) -> Path:
    """Trades of a market, one a minute, and the file of markets beside them, which says when it closes and how."""
    folder.mkdir(exist_ok=True)
    count = len(cents)
    trades = {
        "ts_ns": [START + n * MINUTE for n in range(count)],
        "ticker": ["KXSIM-1-A"] * count,
        "last": cents,
        "count": [500] * count,
        "taker_side": ["yes", "no"] * (count // 2) + ["yes"] * (count % 2),
        "trade_id": [f"t{n}" for n in range(count)],
    }
    pq.write_table(pa.table(trades), folder / "trades.parquet")
    market = {
        "ticker": ["KXSIM-1-A"],
        "event_ticker": ["KXSIM-1"],
        "series_ticker": ["KXSIM"],
        "close_time_ns": [START + close * MINUTE],
        "result": [result],
    }
    pq.write_table(pa.table(market), folder / "markets.parquet")
    return folder / "trades.parquet"


@pytest.mark.parametrize(("buy", "result", "pays"), [(True, "yes", 1.0), (True, "no", 0.0), (False, "no", 0.0)])
def test_contracts_are_paid_out_when_the_market_closes(tmp_path: Path, buy: bool, result: str, pays: float) -> None:
    path = contracts(tmp_path / "k", [40] * 12, result)
    found = bigwheel.backtest(Punter, data=path, symbols=YES, params={"buy": buy}, cash=1_000)
    entry, end = found.fills.to_pylist()
    # The fee is 0.07 x 10 x 0.4 x 0.6 = 0.168 (at 0.40), rounded up to the cent.
    assert (entry["quantity"], entry["fee"]) == (10.0, 0.17)
    assert (end["ts_ns"], end["price"], end["quantity"], end["fee"]) == (START + 20 * MINUTE, pays, 10.0, 0.0)
    sign = 1 if buy else -1
    gained = 10 * sign * (pays - entry["price"]) - 0.17
    assert found.summary["final_equity"] == pytest.approx(1_000 + gained, abs=1e-9)
    (trip,) = found.trades.to_pylist()
    assert (trip["strategy"], trip["exit_price"]) == ("Punter", pays)
    assert trip["pnl"] == pytest.approx(gained, abs=1e-9)
    assert found.equity.to_pylist()[-1]["exposure"] == 0
    assert found.summary["settlements"] == 1 and found.summary["liquidations"] == 0


def test_a_market_that_closed_takes_no_orders_and_keeps_none(tmp_path: Path) -> None:
    path = contracts(tmp_path / "k", [40] * 12, "", close=8)

    class Late(Punter):
        def on_trade(self, trade: Trade) -> None:
            super().on_trade(trade)
            if self.count == 11:
                self.buy(quantity=Decimal(10))

    found = bigwheel.backtest(Late, data=path, symbols=YES, params={"rest": 0.05}, cash=1_000)
    states = {row["created_ns"] - START: (row["state"], row["code"]) for row in found.signals.to_pylist()}
    assert states[10 * MINUTE] == ("BLOCKED", "INSTRUMENT_CLOSED")
    resting = [row for row in found.orders.to_pylist() if row["type"] == "limit"]
    assert [row["status"] for row in resting] == ["cancelled"]
    assert START + 8 * MINUTE <= resting[0]["ended_ns"] < START + 8 * MINUTE + 10**9
    assert found.fills.num_rows == 1 and found.summary["settlements"] == 0, "no result is known, so nothing is paid"


@pytest.mark.parametrize(
    ("told", "pays", "minute"),
    [
        ({YES: "no"}, 0.0, 20),
        ({YES: 1}, 1.0, 20),
        ({YES: (0.5, START + 15 * MINUTE)}, 0.5, 15),
        ({YES: ("yes", "2026-01-01T00:30:00Z")}, 1.0, 30),
    ],
)
def test_what_is_told_comes_before_the_file(tmp_path: Path, told: dict[str, Any], pays: float, minute: int) -> None:
    path = contracts(tmp_path / "k", [40] * 12, "yes")
    end = bigwheel.backtest(Punter, data=path, symbols=YES, settlements=told, cash=1_000).fills.to_pylist()[-1]
    assert (end["ts_ns"] - START, end["price"]) == (minute * MINUTE, pays)


def test_without_a_file_of_markets_what_is_told_is_paid_at_the_end_of_the_data(tmp_path: Path) -> None:
    path = contracts(tmp_path / "k", [40] * 12)
    (tmp_path / "k" / "markets.parquet").unlink()
    assert bigwheel.backtest(Punter, data=path, symbols=YES).summary["settlements"] == 0
    found = bigwheel.backtest(Punter, data=path, symbols=YES, settlements={YES: "yes"}).fills.to_pylist()
    assert (found[-1]["ts_ns"], found[-1]["price"]) == (START + 11 * MINUTE, 1.0)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            {"kalshi:KXSIM-2": 1},
            "expected settlements of event contracts among kalshi:KXSIM-1-A, found 'kalshi:KXSIM-2'",
        ),
        ({YES: 3}, "expected yes, no or what a contract of kalshi:KXSIM-1-A pays, 0 to 1, found 3"),
        ({YES: "maybe"}, "found 'maybe'"),
    ],
)
def test_settlements_that_make_no_sense_are_told(tmp_path: Path, told: dict[str, Any], said: str) -> None:
    path = contracts(tmp_path / "k", [40] * 12)
    with pytest.raises(BacktestError, match=said):
        bigwheel.backtest(Punter, data=path, symbols=YES, settlements=told)


def test_recorded_markets_end_as_they_did() -> None:
    path = DATA / "kalshi" / "trades_kxhigh.parquet"
    if not path.exists():
        pytest.skip(f"no recorded trades at {path}; set BIGWHEEL_DATA")
    markets = pq.read_table(DATA / "kalshi" / "markets_kxhigh.parquet").to_pylist()
    day = sorted((row for row in markets if row["event_ticker"] == "KXHIGHNY-25MAR20"), key=lambda row: -row["volume"])
    chosen = {f"kalshi:{row['ticker']}": row for row in day[:3]}
    found = bigwheel.backtest(Punter, data=path, symbols=list(chosen))
    ends = [row for row in found.fills.to_pylist() if not row["client_id"]]
    assert {row["symbol"]: row["price"] for row in ends} == {
        symbol: float(row["result"] == "yes") for symbol, row in chosen.items()
    }
    assert all(row["ts_ns"] == chosen[row["symbol"]]["close_time_ns"] for row in ends)
    bought = [row for row in found.fills.to_pylist() if row["client_id"]]
    cash = sum(row["quantity"] * -row["price"] - row["fee"] for row in bought)
    cash += sum(row["quantity"] * row["price"] for row in ends)
    assert found.summary["final_equity"] == pytest.approx(found.summary["starting_cash"] + cash, abs=1e-9)


def test_the_command_takes_rates_and_outcomes(tmp_path: Path) -> None:
    def told(*arguments: str) -> dict[str, Any]:
        said = CliRunner().invoke(app, ["backtest", *arguments, "--json"])
        assert said.exit_code == 0, said.output
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    path = contracts(tmp_path / "k", [40] * 12)
    elsewhere = (tmp_path / "k" / "markets.parquet").rename(tmp_path / "m.parquet")
    punter = f"{Path(__file__)}:Punter"
    options = (punter, "--data", str(path), "--symbols", YES)
    assert told(*options)["settlements"] == 0
    assert told(*options, "--settlements", str(elsewhere))["settlements"] == 1
    bars_of = flat(tmp_path / "BTCUSDT.parquet", 12)
    options = ("trend", "--data", str(bars_of), "--symbols", BTC, "--param", "source=bars")
    assert told(*options)["funding_rates"] == {BTC: "none"}
    assert told(*options, "--funding", "0.0001")["funding_rates"] == {BTC: "constant"}
    shown = CliRunner().invoke(app, ["backtest", *options])
    assert f"no rates of {BTC}" in " ".join(shown.output.split())


# -- liquidation -------------------------------------------------------------------------------

LOOSE: dict[str, Any] = {
    "risk": {
        "leverage": 50,
        "order_notional": 10**6,
        "symbol_notional": 10**6,
        "total_notional": 10**6,
        "max_slippage": "0.01",
        "cash_reserve": 0,
        "daily_loss": 10**6,
    },
    "exchange": {"bybit": {"leverage": 25}},
}


def test_a_position_that_cannot_be_carried_is_closed_and_the_books_agree(tmp_path: Path) -> None:
    seen: list[Decimal] = []

    class Watching(Timed):
        def on_bar(self, bar: Bar) -> None:
            super().on_bar(bar)
            seen.append(self.position.quantity)

    # 1.5 bought at 30,050 with 3,000 (leverage 15): equity meets the maintenance margin of 0.5% near 28,208.
    rows: list[Row] = [
        FLAT,
        FLAT,
        FLAT,
        (30_050.0, 30_050.0, 30_050.0, 30_050.0),
        (30_000.0, 30_000.0, 28_500.0, 28_600.0),
    ]
    rows += [(28_600.0, 29_900.0, 28_200.0, 29_900.0), (29_900.0, 29_900.0, 29_900.0, 29_900.0)]
    result = bigwheel.backtest(
        Watching,
        data=bars(tmp_path / "BTCUSDT.parquet", rows, volume=10_000.0),
        symbols=BTC,
        params={"sell": 99, "size": 1.5},
        cash=3_000,
        config=LOOSE,
    )
    entries = [row for row in result.fills.to_pylist() if row["client_id"]]
    closed = [row for row in result.fills.to_pylist() if not row["client_id"]]
    assert sum(row["quantity"] for row in entries) == sum(row["quantity"] for row in closed) == 1.5
    assert all(START + 5 * MINUTE < row["ts_ns"] < START + 6 * MINUTE and row["side"] == "sell" for row in closed)
    assert all(28_205 <= row["price"] <= 28_209 for row in closed), "on the bar's way, before it has come to its low"
    cash = sum(-row["quantity"] * row["price"] * (1 + TAKER) for row in entries)
    cash += sum(row["quantity"] * row["price"] * (1 - TAKER) for row in closed)
    assert all(row["fee"] == pytest.approx(row["quantity"] * row["price"] * TAKER, abs=1e-9) for row in closed)
    assert result.summary["final_equity"] == pytest.approx(3_000 + cash, abs=1e-6)
    assert 0 < result.summary["final_equity"] < 200
    assert result.summary["liquidations"] == 1
    (trip,) = result.trades.to_pylist()
    assert trip["strategy"] == "Watching" and trip["pnl"] == pytest.approx(cash, abs=1e-6)
    assert seen[-1] == 0 and max(seen) == Decimal("1.5"), "the strategy learns that it holds nothing any more"


@pytest.mark.parametrize("insured", [True, False])
def test_a_gap_through_the_equity_is_paid_by_the_fund_where_there_is_one(tmp_path: Path, insured: bool) -> None:
    # 1.5 bought at 30,050 with 3,000; the next bar opens 2,250 lower than what the equity lasts for.
    at = (30_050.0,) * 4
    rows: list[Row] = [FLAT, FLAT, FLAT, at, (26_000.0, 26_100.0, 25_900.0, 26_000.0), (26_000.0,) * 4]
    result = bigwheel.backtest(
        Timed,
        data=bars(tmp_path / "BTCUSDT.parquet", rows, volume=10_000.0),
        symbols=BTC,
        params={"sell": 99, "size": 1.5},
        cash=3_000,
        config=LOOSE | {"backtest": {"insurance": insured}},
        depth="exact",
    )
    lost = 3_000 - 1.5 * (30_050.0 - 26_000.0) - 1.5 * (30_050.0 + 26_000.0) * TAKER
    closed = [row for row in result.fills.to_pylist() if not row["client_id"]]
    assert [(row["price"], row["ts_ns"]) for row in closed] == [(26_000.0, START + 4 * MINUTE)]
    paid = [(row["kind"], row["amount"]) for row in result.payments.to_pylist()] if result.payments is not None else []
    assert paid == ([("insurance", pytest.approx(-lost, abs=1e-6))] if insured else [])
    assert result.summary["insurance"] == (pytest.approx(-lost, abs=1e-6) if insured else 0)
    assert result.summary["funding"] == 0
    assert result.summary["final_equity"] == pytest.approx(0 if insured else lost, abs=1e-6)
    assert min(result.equity["cash"].to_pylist()) >= (-1e-6 if insured else lost - 1e-6)


def test_a_table_of_margins_closes_a_large_position_sooner_and_in_steps(tmp_path: Path) -> None:
    tiers = [{"above": 0, "rate": "0.005"}, {"above": 20_000, "rate": "0.05"}]
    rows: list[Row] = [FLAT, FLAT, FLAT, (30_050.0,) * 4, (30_050.0, 30_050.0, 28_500.0, 28_600.0), (28_600.0,) * 4]
    result = bigwheel.backtest(
        Timed,
        data=bars(tmp_path / "BTCUSDT.parquet", rows, volume=10_000.0),
        symbols=BTC,
        params={"sell": 99, "size": 1.5},
        cash=3_000,
        config=LOOSE | {"backtest": {"margin_tiers": {BTC: tiers}}},
        depth="exact",
    )
    (closed,) = [row for row in result.fills.to_pylist() if not row["client_id"]]
    # Equity 3,000 - 24.79 - 1.5 (30,050 - p) meets 100 + 0.05 (1.5 p - 20,000) at 28,912.13; 20,000 of it are kept.
    assert closed["price"] == 28_912.1 and closed["quantity"] == pytest.approx(1.5 - 0.691)
    assert result.summary["liquidations"] == 1 and result.summary["insurance"] == 0


def test_a_table_of_margins_must_rise_from_nothing(tmp_path: Path) -> None:
    data = bars(tmp_path / "BTCUSDT.parquet", [FLAT] * 3)
    for tiers in ([], [{"above": 5, "rate": "0.01"}], [{"above": 0, "rate": "0.01"}, {"above": 9, "rate": "0.01"}]):
        config = {"backtest": {"margin_tiers": {BTC: tiers}}}
        with pytest.raises(ConfigError, match="begin at 0 and rise"):
            bigwheel.backtest(Timed, data=data, symbols=BTC, config=config)


def test_a_liquidation_is_the_same_with_lulls_as_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A long way down in small steps, with spikes in the lows: most bars are passed over together, one is not.
    rows: list[Row] = [FLAT] * 4
    for number in range(300):
        price = 30_000.0 - 8.0 * number
        low = price - (600.0 if number == 200 else 40.0)
        rows.append((price, price + 20.0, low, price - 5.0))
    told: dict[str, Any] = {
        "data": bars(tmp_path / "BTCUSDT.parquet", rows, volume=10_000.0),
        "symbols": BTC,
        "params": {"sell": 999, "size": 1.5},
        "cash": 3_000,
        "config": LOOSE,
    }
    together = bigwheel.backtest(Timed, **told)
    with one_by_one(monkeypatch):
        single = bigwheel.backtest(Timed, **told)
    assert together.summary["liquidations"] == single.summary["liquidations"] == 1
    for name in ("orders", "fills", "trades", "equity", "signals"):
        assert getattr(together, name).equals(getattr(single, name)), name


def test_funding_that_cannot_be_paid_liquidates_at_once(tmp_path: Path) -> None:
    # 1.0 at about 30,000 with 1,400: a rate of 4.2% at 08:00 costs 1,260 and leaves less than 150.
    result = bigwheel.backtest(
        Timed,
        data=flat(tmp_path / "BTCUSDT.parquet", 12),
        symbols=BTC,
        params={"sell": 99, "size": 1.0},
        cash=1_400,
        config=LOOSE,
        funding=0.042,
    )
    (paid,) = result.payments.to_pylist() if result.payments is not None else []
    closed = [row for row in result.fills.to_pylist() if not row["client_id"]]
    assert paid["amount"] == -1_260.0 and {row["ts_ns"] for row in closed} == {START + 8 * HOUR}
    moved = [(1 if row["side"] == "sell" else -1, row["quantity"] * row["price"]) for row in result.fills.to_pylist()]
    cash = sum(sign * worth - worth * TAKER for sign, worth in moved)
    assert result.summary["final_equity"] == pytest.approx(1_400 + cash - 1_260, abs=1e-6)


def test_a_leverage_that_is_set_bounds_what_can_be_held(tmp_path: Path) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", [FLAT] * 8, volume=10_000.0)
    narrow = LOOSE | {"exchange": {"bybit": {"leverage": 3}}}
    told: dict[str, Any] = {"data": path, "symbols": BTC, "params": {"sell": 99, "size": 1.0}, "cash": 3_000}
    refused = bigwheel.backtest(Timed, config=narrow, **told)
    (order,) = refused.orders.to_pylist()
    assert order["status"] == "rejected" and refused.fills.num_rows == 0
    assert bigwheel.backtest(Timed, config=LOOSE, **told).fills.num_rows > 0
