"""Several strategies in one backtest: as they would run in a session, on one account, each with its own figures."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import bigwheel
import conf
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.result import BacktestResult
from bigwheel.cli.app import app
from bigwheel.cli.entries import entry
from bigwheel.errors import UsageError
from bigwheel.reports import write_report
from bigwheel.sweeps.terms import terms_of
from bigwheel.sweeps.trial import Desk
from exchanges.model.market import Bar
from runtime.errors import BigwheelError
from strategies.strategy import Strategy
from tests.unit.backtest_files import told
from tests.unit.test_backtest import BTC, ETH, Timed, bars, steps, wavy

OWN = ("strategy", "symbol", "side", "quantity", "price", "fee", "liquidity", "ts_ns")


class Sayer(Strategy):
    """Says something at one bar, with all that belongs to it, and leaves at another if it holds anything."""

    class Params(bigwheel.StrategyParams):
        side: str = "buy"
        at: int = 3
        out: int = 8
        conviction: float = 0.5
        ttl: float = 900.0
        size: float = 0.05

    def __init__(self) -> None:
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        told = self.params
        if self.count == told.at:
            sources = {f"of_{told.side}": told.conviction if told.side == "buy" else -told.conviction}
            self.signal(told.side, told.conviction, "my word", Decimal(str(told.size)), told.ttl, sources=sources)
        elif self.count == told.out:
            self.exit("it is time")


def two(where: Path, count: int = 120) -> Path:
    folder = where / "data"
    folder.mkdir(exist_ok=True)
    bars(folder / "BTCUSDT.parquet", steps(wavy(count)))
    bars(folder / "ETHUSDT.parquet", steps([round(close / 15, 2) for close in wavy(count, 30)]))
    return folder


def gained(result: BacktestResult) -> float:
    return float(result.summary["final_equity"] - result.summary["starting_cash"])


def test_two_that_have_nothing_to_do_with_each_other_do_what_each_does_alone(tmp_path: Path) -> None:
    data = two(tmp_path)
    first = {"name": Timed, "label": "first", "symbols": [BTC], "params": {"size": 0.1}}
    second = {"name": Timed, "label": "second", "symbols": ETH, "params": {"buy": 4, "sell": 9, "size": 0.7}}
    both = bigwheel.backtest([first, second], data=data)
    alone = [bigwheel.backtest(each, data=data) for each in (first, second)]
    for table, columns in (("fills", OWN), ("trades", tuple(both.trades.column_names))):
        apart = [row for result in alone for row in told(getattr(result, table), *columns)]
        assert len(apart) >= 2 and sorted(told(getattr(both, table), *columns)) == sorted(apart), table
    assert gained(both) == pytest.approx(sum(map(gained, alone)), abs=1e-9)
    for label, result in zip(("first", "second"), alone, strict=True):
        assert both.summary["strategies"][label]["profit"] == pytest.approx(gained(result), abs=1e-9)
    assert both.strategy == "first, second"
    assert both.params == {"first.size": 0.1, "second.buy": 4, "second.sell": 9, "second.size": 0.7}


def said(data: Path, *entries: dict[str, Any], **more: Any) -> Counter[tuple[Any, ...]]:
    result = bigwheel.backtest([{"name": Sayer, **each} for each in entries], data=data, symbols=BTC, **more)
    return Counter(told(result.signals, "strategy", "side", "state", "code"))


def test_opinions_on_one_symbol_are_weighed_together(tmp_path: Path) -> None:
    data = two(tmp_path)
    bear = {"label": "bear", "params": {"side": "sell", "conviction": 0.9, "out": 999}}
    bull = {"label": "bull", "params": {"at": 5, "conviction": 0.4, "out": 999, "size": 0.06}}
    assert said(data, bull) == {("bull", "buy", "EXECUTED", ""): 1}
    against = said(data, bear, bull)
    assert against == {("bear", "sell", "EXECUTED", ""): 1, ("bull", "buy", "BLOCKED", "ENSEMBLE_DISAGREES"): 1}
    each_alone = said(data, bear, bull, config={"risk": {"ensemble": False}})
    assert each_alone[("bull", "buy", "EXECUTED", "")] == 1
    late = {**bull, "params": {**bull["params"], "at": 40}}
    # An opinion is heard as long as its signal lives.
    assert said(data, bear, late)[("bull", "buy", "EXECUTED", "")] == 1


def test_two_that_are_of_two_minds_on_one_symbol_both_leave(tmp_path: Path) -> None:
    entries = [
        {"name": Sayer, "label": "bull", "params": {"at": 3, "out": 30}},
        {"name": Sayer, "label": "bear", "params": {"at": 5, "out": 20, "side": "sell", "size": 0.08}},
    ]
    result = bigwheel.backtest(entries, data=two(tmp_path), symbols=BTC, config={"risk": {"ensemble": False}})
    assert result.summary["signals"] == {"EXECUTED": 4}
    assert told(result.trades, "strategy", "side", "quantity") == [("bear", "short", 0.08), ("bull", "long", 0.05)]
    assert result.equity["exposure"].to_pylist()[-1] == 0


def test_the_figures_of_each_add_up_to_the_account_with_funding_on_a_shared_symbol(tmp_path: Path) -> None:
    data = two(tmp_path, 600)
    entries = [
        {"name": Sayer, "label": "one", "params": {"out": 550, "conviction": 0.9}},
        {"name": Sayer, "label": "two", "params": {"at": 7, "out": 999, "conviction": 0.9}},
        {"name": Timed, "label": "three", "symbols": [ETH], "params": {"sell": 60}},
    ]
    result = bigwheel.backtest(entries, data=data, symbols=BTC, funding=0.001)
    assert result.payments is not None and result.payments.num_rows > 0
    each = result.summary["strategies"]
    assert sum(one["profit"] for one in each.values()) == pytest.approx(gained(result), abs=1e-6)
    assert {label: (one["signals"], one["trades"]) for label, one in each.items()} == {
        "one": (2, 1), "two": (1, 0), "three": (2, 1),
    }  # fmt: skip
    assert each["one"]["symbols"] == each["two"]["symbols"] == [BTC] and each["three"]["symbols"] == [ETH]


def test_a_report_says_what_each_strategy_and_each_source_did(tmp_path: Path) -> None:
    entries = [
        {"name": Sayer, "label": "one", "params": {"conviction": 0.9}},
        {"name": Sayer, "label": "two", "params": {"at": 12, "out": 20, "side": "sell"}},
    ]
    result = bigwheel.backtest(entries, data=two(tmp_path), symbols=BTC)
    page = write_report(result, tmp_path / "report").read_text()
    made = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert {row["key"] for row in made["attribution"]["strategy"]} == {"one", "two"}
    assert {row["key"] for row in made["attribution"]["source"]} == {"of_buy", "of_sell"}
    assert made["summary"]["strategies"]["two"]["trades"] == 1
    assert "<h2>Strategies</h2>" in page
    alone = bigwheel.backtest(entries[0], data=two(tmp_path), symbols=BTC)
    assert "<h2>Strategies</h2>" not in write_report(alone, tmp_path / "alone").read_text()


SESSION = """
extends: live
symbols: [bybit:BTCUSDT, bybit:ETHUSDT]
strategies:
  - name: trend
    params: {source: bars, fast: 4, slow: 10, enter: 0.3}
    symbols: [bybit:BTCUSDT]
    share: 0.5
  - name: reversion
    params: {source: bars}
  - name: trend
    label: dry
    params: {source: bars}
    dry_run: true
exchange:
  bybit:
    rest_url: https://api.bybit.com
    credentials: {key_env: MY_LIVE_KEY, secret_env: MY_LIVE_SECRET}
risk: {order_notional: 3500, symbol_notional: 5000, total_notional: 15000, daily_budget: null}
"""


def session(folder: Path) -> Path:
    path = folder / "session.yaml"
    path.write_text(SESSION)
    return path


def test_the_strategies_of_a_sessions_configuration_run_as_they_are_told_there(tmp_path: Path) -> None:
    data, path = two(tmp_path), session(tmp_path)
    result = bigwheel.backtest(data=data, config=str(path))
    assert result.strategy == "trend, reversion, dry" and result.summary["symbols"] == [BTC, ETH]
    each = result.summary["strategies"]
    assert each["dry"]["signals"] > 0 and each["dry"]["fills"] == 0 and each["dry"]["dry_run"]
    assert each["trend"]["fills"] > 0 and each["trend"]["symbols"] == [BTC]
    bought = next(row for row in result.fills.to_pylist() if row["strategy"] == "trend")
    assert bought["quantity"] * bought["price"] < 600, "its share is half of what one order is sized to"
    settings = conf.load(str(path), {"mode": "sim", "exchange.bybit.rest_url": "", "exchange.bybit.credentials": {}})
    entries = [one.model_dump(mode="json") for one in settings.strategies]
    listed = bigwheel.backtest(entries, data=data, symbols=[BTC, ETH], config=settings)
    for name in ("orders", "fills", "trades", "equity", "signals"):
        assert getattr(listed, name).equals(getattr(result, name)), name


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"strategy": None}, "expected a strategy, several, or a configuration whose `strategies` are to be run"),
        ({"strategy": []}, "expected at least one strategy, found an empty list"),
        ({"strategy": [7]}, r"expected a strategy as a name, a class .*, found 7"),
        ({"strategy": [Timed, Timed]}, r"expected a label of its own for each strategy, found 'Timed' twice; set"),
        ({"params": {"fast.buy": 3}}, r"one of the labels one, two, found 'fast.buy'; write one.buy"),
        ({"params": {"buy": 3}}, r"LABEL.name with one of the labels one, two, found 'buy'; write one.buy"),
        ({"params": {"two.by": 3}}, r"two: .*unknown parameter 'by'"),
        ({"symbols": None}, "expected symbols to trade, found none for Timed, Timed"),
        ({"strategy": [Timed, {"name": Sayer, "symbols": ["bybit:SOLUSDT"]}]},
         "bybit:SOLUSDT at .*, which Sayer is to trade, found"),
        ({"strategy": [Timed, {"name": "trend", "label": "slow"}]}, r"which slow \(Trend\) listens to, found bar"),
        ({"strategy": {"name": Timed, "lable": "x"}}, "did you mean 'label'"),
    ],
)  # fmt: skip
def test_what_can_not_be_run_is_told(tmp_path: Path, changed: dict[str, Any], expected: str) -> None:
    entries = [{"name": Timed, "label": "one"}, {"name": Timed, "label": "two"}]
    arguments: dict[str, Any] = {"strategy": entries, "symbols": BTC, "data": two(tmp_path), **changed}
    with pytest.raises(BigwheelError, match=expected):
        bigwheel.backtest(arguments.pop("strategy"), **arguments)


# -- the command line ------------------------------------------------------------------------


def test_entries_of_the_command_line() -> None:
    assert entry("trend") == "trend"
    assert entry("slow=trend") == {"name": "trend", "label": "slow"}
    assert entry("my.pack:Cls@bybit:BTCUSDT,alpaca:BTC/USD") == {
        "name": "my.pack:Cls", "symbols": ["bybit:BTCUSDT", "alpaca:BTC/USD"],
    }  # fmt: skip
    assert entry("a=dir@home/own.py:Cls@bybit:BTCUSDT")["symbols"] == ["bybit:BTCUSDT"]  # type: ignore[index, call-overload]
    assert entry("a=dir@home/own.py:Cls") == {"name": "dir@home/own.py:Cls", "label": "a"}
    with pytest.raises(UsageError, match="found 'trend@'"):
        entry("trend@")


def command(*words: str) -> Any:
    return CliRunner().invoke(app, [*words])


def test_the_command_runs_several_and_says_what_each_did(tmp_path: Path) -> None:
    words = ["backtest", "quick=trend", f"turn=reversion@{ETH}", "--data", str(two(tmp_path)), "--symbols", BTC]
    words += ["--param", "quick.source=bars", "--param", "turn.source=bars", "--param", "quick.fast=4"]
    words += ["--param", "quick.slow=10"]
    done = command(*words, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["strategy"] == "quick, turn" and found["params"]["quick.fast"] == 4
    assert {label: one["symbols"] for label, one in found["strategies"].items()} == {"quick": [BTC], "turn": [ETH]}
    shown = command(*words)
    assert shown.exit_code == 0 and "hit rate" in shown.stdout and "quick" in shown.stdout


def test_the_command_runs_a_configurations_strategies(tmp_path: Path) -> None:
    done = command("backtest", "--config", str(session(tmp_path)), "--data", str(two(tmp_path)), "--json")
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)["strategies"]) == {"trend", "reversion", "dry"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), "expected STRATEGY"), (("--config", "sim"), "expected --data"), (("trend",), "expected --data")],
)
def test_the_command_says_what_is_missing(words: tuple[str, ...], expected: str) -> None:
    data = ("--data", "somewhere") if not words else ()
    done = command("backtest", *words, *data)
    assert done.exit_code and expected in str(done.exception)


# -- sweeps ----------------------------------------------------------------------------------


def test_a_sweep_varies_parameters_by_label(tmp_path: Path) -> None:
    data = two(tmp_path, 60)
    entries = [{"name": Timed, "label": "one"}, {"name": Timed, "label": "two", "symbols": [ETH]}]
    told: dict[str, Any] = {"data": data, "symbols": BTC, "out": tmp_path / "sweep", "jobs": 0, "metric": "pnl"}
    grid = {"one.sell": [5, 8], "two.sell": [6, 9], "one.size": [0.1]}
    result = bigwheel.sweep(entries, grid=grid, where="one.sell < two.sell", **told)
    rows = result.table.select(["one.sell", "two.sell", "pnl", "error"]).to_pylist()
    assert [(row["one.sell"], row["two.sell"]) for row in rows] == [(5, 6), (5, 9), (8, 9)]
    assert not any(row["error"] for row in rows) and result.strategy == "one, two"
    params = {"one.sell": 5, "two.sell": 9, "one.size": 0.1}
    alone = bigwheel.backtest(entries, data=data, symbols=BTC, params=params)
    assert rows[1]["pnl"] == pytest.approx(sum(alone.trades["pnl"].to_pylist()), abs=1e-9)
    with pytest.raises(BigwheelError, match=r"strategies.two.symbols: .*bybit:ETHUSDT.* there"):
        bigwheel.sweep([entries[0], {**entries[1], "symbols": [BTC]}], grid=grid, where="one.sell < two.sell", **told)


def test_classes_of_several_strategies_travel_to_a_worker(tmp_path: Path) -> None:
    entries = [{"name": Timed, "label": "one"}, {"name": "trend", "params": {"source": "bars"}}]
    terms = terms_of(entries, two(tmp_path, 60), BTC, tmp_path / "out", {})
    job = terms.job(tmp_path / "data")
    assert set(job.pickled) == {0}
    case = terms.case({"one.sell": 9}, tables=True)
    there, here = Desk(job).run(case), Desk(terms.job(tmp_path / "data", pickled=False), terms.roster).run(case)
    assert not there.error and there.result is not None and here.result is not None
    assert there.result.fills.equals(here.result.fills) and there.result.fills.num_rows > 0


def test_a_walk_forward_of_several_adds_up_what_each_did(tmp_path: Path) -> None:
    entries = [{"name": Timed, "label": "one"}, {"name": Timed, "label": "two", "symbols": [ETH]}]
    told: dict[str, Any] = {"data": two(tmp_path, 240), "symbols": BTC, "out": tmp_path / "sweep", "jobs": 0}
    result = bigwheel.sweep(
        entries, grid={"one.sell": [5, 8]}, metric="pnl", walk_forward="train=1h,test=1h", report=tmp_path / "r", **told
    )
    assert result.chosen is not None
    each = result.chosen.summary["strategies"]
    assert {label: one["trades"] for label, one in each.items()} == {"one": 3, "two": 3}
    assert sum(one["profit"] for one in each.values()) == pytest.approx(gained(result.chosen), abs=1e-6)


def test_a_session_without_strategies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match="expected strategies in the configuration, found an empty list"):
        bigwheel.backtest(data=two(tmp_path), symbols=BTC, config={"strategies": []})
