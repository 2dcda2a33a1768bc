"""A backtest's report: attribution, the page, and the figures it is made of."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bigwheel.errors import UsageError
from bigwheel.reports import write_report
from bigwheel.reports.attribution import BY, UNKNOWN, attribution, counted, denials, liquidity
from bigwheel.reports.charts import charts
from bigwheel.reports.curves import CANDLES, MARKS, POINTS, places, symbols
from bigwheel.reports.figures import figures, plain
from bigwheel.reports.page import page
from bigwheel.reports.sweeps import heat_map
from tests.unit.report_samples import DAY, HOUR, SCHEMAS, START, Sample, busy, curve, rows, sweep

EVIL = '</script><img src=x onerror="alert(1)">&\u2028'


class Page(HTMLParser):
    """A page as a browser takes it apart: its elements, and the texts of its scripts and cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.texts: list[str] = []
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = (dict(attrs).get("id") or "own") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = data
        else:
            self.texts.append(data)

    @property
    def charts(self) -> dict[str, Any]:
        done: dict[str, Any] = json.loads(self.scripts["charts"])
        return done


@pytest.fixture(scope="module")
def sample() -> Sample:
    return busy()


@pytest.fixture(scope="module")
def made(sample: Sample) -> dict[str, Any]:
    return figures(sample, sweep=sweep())


@pytest.fixture(scope="module")
def shown(made: dict[str, Any]) -> Page:
    return Page(page(made))


@pytest.mark.parametrize("by", BY)
def test_each_attribution_adds_up_to_the_totals(sample: Sample, by: str) -> None:
    table = attribution(sample)[by]
    assert len(table) > 1
    assert sum(row["count"] for row in table) == sample.trades.num_rows
    for column in ("pnl", "gross", "fees"):
        assert sum(row[column] for row in table) == pytest.approx(sum(sample.trades[column].to_pylist()))
    won = sum(pnl > 0 for pnl in sample.trades["pnl"].to_pylist())
    assert sum(row["hit_rate"] * row["count"] for row in table) == pytest.approx(won)


def test_a_round_trip_is_put_down_to_the_signal_whose_fill_opened_it() -> None:
    trip = {
        "strategy": "s",
        "symbol": "x",
        "side": "long",
        "gross": 1.0,
        "fees": 0.0,
        "pnl": 1.0,
        "exit_ns": START + DAY,
    }
    fill = {"strategy": "s", "symbol": "x", "quantity": 1.0, "price": 1.0}
    sample = Sample(
        trades=rows("trades", {**trip, "entry_ns": START}, {**trip, "entry_ns": START + HOUR, "pnl": -2.0}),
        fills=rows(
            "fills",
            {**fill, "ts_ns": START, "signal_id": "a"},
            {**fill, "ts_ns": START, "signal_id": "b"},
            {**fill, "ts_ns": START + DAY, "signal_id": "b"},
        ),
        signals=rows("signals", {"signal_id": "a", "source": "carry"}, {"signal_id": "b", "source": "flow"}),
    )
    tables = attribution(sample)
    assert [(row["key"], row["pnl"]) for row in tables["source"]] == [("carry", 1.0), (UNKNOWN, -2.0)]
    assert [row["key"] for row in tables["hour"]] == ["00:00", "01:00"]
    assert [row["key"] for row in tables["weekday"]] == ["Thursday"]


def test_denials_are_counted_by_gate_and_code_with_the_first_as_an_example() -> None:
    table = rows(
        "signals",
        {"gate": "pace", "code": "RATE", "detail": "first", "conviction": 0.4, "state": "BLOCKED"},
        {"gate": "pace", "code": "RATE", "detail": "second", "conviction": 0.6, "state": "LEARNED"},
        {"gate": "halt", "code": None, "conviction": 0.5, "state": "BLOCKED"},
        {"gate": None, "code": "", "conviction": 0.9, "state": "EXECUTED"},
    )
    assert denials(table) == [
        {"gate": "pace", "code": "RATE", "count": 2, "mean_conviction": 0.5, "example": "first"},
        {"gate": "halt", "code": "", "count": 1, "mean_conviction": 0.5, "example": ""},
    ]
    assert counted(table["state"])[0] == {"key": "BLOCKED", "count": 2}
    assert sum(row["count"] for row in counted(table["state"])) == 4


def test_fees_are_told_apart_by_liquidity(sample: Sample) -> None:
    table = {row["key"]: row for row in liquidity(sample.fills)}
    assert set(table) == {"maker", "taker"}
    assert sum(row["fees"] for row in table.values()) == pytest.approx(sum(sample.fills["fee"].to_pylist()))
    assert all(row["bps"] == pytest.approx(3.0) for row in table.values())


def test_a_thinned_curve_keeps_its_ends_and_its_extremes() -> None:
    walk = np.cumsum(np.random.default_rng(1).normal(size=50_000))
    spikes = np.zeros(len(walk))
    spikes[[777, 40_001]] = 9.0, -9.0
    kept = places(walk, spikes)
    assert len(kept) <= POINTS
    assert (kept[0], kept[-1]) == (0, len(walk) - 1)
    assert {int(walk.argmin()), int(walk.argmax()), 777, 40_001} <= set(kept.tolist())
    assert places(walk[:10]).tolist() == list(range(10))


def test_a_price_chart_has_no_more_bars_and_round_trips_than_a_screen_can_show() -> None:
    chart = symbols(busy(days=100, trades=2_500, symbols=2))[0]
    candles, marks = chart["candles"], chart["marks"]
    assert len(candles["ts_ns"]) <= CANDLES
    assert len(marks["pnl"]) == MARKS < chart["trades"]
    for name in ("open", "close"):
        assert all(
            low <= value <= high
            for low, value, high in zip(candles["low"], candles[name], candles["high"], strict=True)
        )
    assert candles["open"][1:] == pytest.approx(candles["close"][:-1])  # made-up bars join, so merged ones must


def test_a_sweep_is_a_map_over_the_two_parameters_with_the_most_values() -> None:
    grid = heat_map(sweep(), {"fast", "slow"})
    assert grid is not None
    assert (grid["metric"], grid["x"]["name"], grid["y"]["name"]) == ("sharpe", "fast", "slow")
    assert (len(grid["z"]), len(grid["z"][0])) == (8, 5)
    assert grid["best"] == {"fast": 10, "slow": 50, "sharpe": max(sweep()["sharpe"].to_pylist())}
    assert grid["z"][grid["y"]["values"].index(20)][0] == sweep()["sharpe"][0].as_py()


def test_a_cell_is_the_best_over_the_parameters_that_have_no_axis() -> None:
    table = pa.table(
        {"a": [1, 1, 2, 2, 3], "b": [1, 1, 1, 2, 3], "c": [0, 1, 0, 1, 0], "pnl": [5.0, 7.0, None, float("nan"), -1.0]}
    )
    grid = heat_map(table, {"a", "b", "c"})
    assert grid is not None
    assert grid["z"] == [[7.0, None, None], [None, None, None], [None, None, -1.0]]
    assert grid["others"] == ["c"]


def test_a_sweep_over_one_parameter_is_a_single_row_and_over_none_nothing() -> None:
    table = pa.table({"a": [1, 2], "b": [4, 4], "score": [0.1, 0.2]})
    grid = heat_map(table, {"a", "b"})
    assert grid is not None and grid["z"] == [[0.1, 0.2]] and grid["y"]["name"] == ""
    assert heat_map(table.slice(0, 1), {"a", "b"}) is None
    with pytest.raises(UsageError, match=r"expected a metric of the sweep \(a, b, score\), found 'sharp'"):
        heat_map(table, {"a"}, "sharp")


def test_the_folder_holds_the_page_and_its_figures_and_nothing_else(tmp_path: Path, sample: Sample) -> None:
    path = write_report(sample, tmp_path / "new" / "report", sweep=sweep())
    assert path == tmp_path / "new" / "report" / "report.html"
    assert sorted(file.name for file in path.parent.iterdir()) == ["figures.json", "report.html"]
    written = json.loads((path.parent / "figures.json").read_text())
    assert written == figures(sample, sweep=sweep())
    assert path.read_text() == page(written)


def test_a_report_that_fails_leaves_the_last_one_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(Sample(strategy="first"), tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    asked: list[int] = []

    def full(handle: int) -> None:
        asked.append(handle)
        if len(asked) == 2:
            raise OSError("no space left on device")

    monkeypatch.setattr("bigwheel.reports.writer.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_report(Sample(strategy="second"), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert b"first" in path.read_bytes()


def test_the_page_loads_nothing(shown: Page, made: dict[str, Any]) -> None:
    for tag, attrs in shown.tags:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "form", "a"), tag
        assert not {"src", "href", "action", "srcset", "data"} & attrs.keys(), (tag, attrs)
    policies = [attrs["content"] for tag, attrs in shown.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and str(policies[0]).startswith("default-src 'none';")
    assert not re.search(r"https?://|@import|url\(", page(made))
    assert len(page(made)) < 5_000_000


def test_nothing_from_outside_is_markup(sample: Sample) -> None:
    trades = sample.trades.set_column(0, "strategy", pa.array([EVIL] * sample.trades.num_rows))
    signals = sample.signals
    for column in ("source", "gate", "code", "detail", "state"):
        place = signals.column_names.index(column)
        signals = signals.set_column(place, column, pa.array([EVIL] * signals.num_rows))
    evil = Sample(
        trades=trades.set_column(1, "symbol", pa.array([EVIL] * trades.num_rows)),
        fills=sample.fills,
        signals=signals,
        equity=sample.equity,
        prices=sample.prices.set_column(1, "symbol", pa.array([EVIL] * sample.prices.num_rows))
        if sample.prices
        else None,
        summary={"symbols": [EVIL], "from": EVIL, "to": EVIL},
        params={EVIL: EVIL},
        strategy=EVIL,
    )
    runs = pa.table({EVIL: [EVIL, "b"], "other": ["c", EVIL], "sharpe": [1.0, 2.0]})
    shown = Page(page(figures(evil, sweep=runs)))
    assert not [tag for tag, _ in shown.tags if tag == "img"]
    assert not [attrs for _, attrs in shown.tags if any(name.startswith("on") for name in attrs)]
    assert sum(EVIL in text for text in shown.texts) >= 8
    drawn = shown.charts
    assert len(drawn["prices"]) == 1
    assert "<img" not in json.dumps(drawn)  # the library takes some markup in its texts


def test_the_page_draws_the_figures_that_stand_in_the_json(shown: Page, made: dict[str, Any]) -> None:
    drawn, account = shown.charts, made["account"]
    equity, drawdown, gross, net = drawn["account"]["data"]
    assert [round(ms * 1_000_000) for ms in equity["x"]] == account["ts_ns"]
    assert equity["y"] == account["equity"]
    assert [-value for value in drawdown["y"]] == account["drawdown"]
    assert (gross["y"], net["y"]) == (account["gross_exposure"], account["exposure"])
    for chart, symbol in zip(drawn["prices"], made["symbols"], strict=True):
        assert chart["data"][0]["close"] == symbol["candles"]["close"]
        assert chart["data"][2]["y"] == symbol["marks"]["entry_price"]
        assert chart["data"][3]["y"] == symbol["marks"]["exit_price"]
    assert [trace["y"] for trace in drawn["costs"]["data"]] == [
        made["profit"]["gross"],
        made["profit"]["pnl"],
        made["fees"]["fees"],
    ]
    assert drawn["sweep"]["data"][0]["z"] == made["sweep"]["z"]


def test_the_page_says_the_figures_that_stand_in_the_json(shown: Page, made: dict[str, Any]) -> None:
    figure = made["statistics"]
    told = dict(zip(shown.texts, shown.texts[1:], strict=False))
    for label, expected in {
        "Sortino ratio": f"{figure['sortino']:,.2f}",
        "Value at risk 95%, one day": f"{figure['var_95']:.2%}",
        "Round trips": f"{figure['trades']:,}",
        "Average loss": f"{figure['average_loss']:,.2f}",
        "Max drawdown": f"{-figure['max_drawdown']:.2%}",
        "Turnover a year": f"{figure['turnover_a_year']:,.2f}",
    }.items():
        assert told[label] == expected.replace("-", "\u2212"), label
    for row in made["monthly_returns"]:
        assert f"{row['total']:.2%}".replace("-", "\u2212") in shown.texts
    for table in made["attribution"].values():
        for row in table:
            assert f"{row['pnl']:,.2f}".replace("-", "\u2212") in shown.texts


def test_the_charts_are_such_as_plotly_takes(made: dict[str, Any]) -> None:
    from plotly.graph_objects import Figure

    drawn = charts(made)
    assert set(drawn) == {"account", "prices", "costs", "sweep"}
    for chart in (drawn["account"], drawn["costs"], drawn["sweep"], *drawn["prices"]):
        assert len(Figure(data=chart["data"], layout=chart["layout"]).data) == len(chart["data"])


def test_a_result_of_nothing_has_a_page() -> None:
    shown = Page(page(figures(Sample(), sweep=sweep().slice(0, 0))))
    assert shown.charts == {}
    assert shown.texts.count("None.") >= 8


def test_a_result_without_a_prices_attribute_has_a_page(sample: Sample) -> None:
    class Bare:
        def __getattr__(self, name: str) -> Any:
            if name == "prices":
                raise AttributeError(name)
            return getattr(sample, name)

    assert figures(Bare())["symbols"] == []  # type: ignore[arg-type]


def test_trades_without_prices_and_open_positions_have_a_page() -> None:
    sample = Sample(
        fills=rows("fills", {"quantity": 1.0, "price": 10.0, "fee": 0.1, "liquidity": "taker", "ts_ns": START}),
        equity=curve([100.0, 99.9, 101.0], gross=10.0),
    )
    made = figures(sample)
    assert (made["statistics"]["fees"], made["statistics"]["trades"], made["symbols"]) == (0.1, 0, [])
    assert "No prices came with this result." in Page(page(made)).texts


def test_what_json_can_not_hold_is_null_or_text() -> None:
    assert plain({"a": float("nan"), 2: (1, float("inf")), "c": START, "d": {"e": Path("x")}}) == {
        "a": None,
        "2": [1, None],
        "c": START,
        "d": {"e": "x"},
    }


def test_the_samples_have_the_columns_of_a_result(sample: Sample) -> None:
    for kind, schema in SCHEMAS.items():
        assert getattr(sample, kind).column_names == list(schema)


def test_a_report_is_imported_without_plotly() -> None:
    import subprocess
    import sys

    code = "import sys, bigwheel.reports; print('plotly' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
