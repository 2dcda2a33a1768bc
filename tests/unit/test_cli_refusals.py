"""What the command line refuses, and what it says then."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigwheel.cli.run import Wanted, configure
from tests.unit.front_door import refused


@pytest.mark.parametrize("command", ["status", "halt", "panic", "stop", "resume", "reduce", "orders", "adopt --all"])
def test_without_a_session_a_command_says_how_to_start_one(tmp_path: Path, command: str) -> None:
    assert "start one with `bigwheel run`" in refused(*command.split(), "--store", tmp_path)


def test_a_session_that_is_gone_is_told_from_one_that_never_was(tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text('{"url": "http://127.0.0.1:1"}')
    assert "if the session has ended" in refused("status", "--store", tmp_path)
    (tmp_path / "gateway.json").write_text("{torn")
    assert "start one with `bigwheel run`" in refused("status", "--store", tmp_path)


@pytest.mark.parametrize("command", [["signals"], ["why", "x"], ["journal", "verify"], ["journal", "backup", "b"]])
def test_without_a_journal_a_question_names_the_folder_it_looked_in(tmp_path: Path, command: list[str]) -> None:
    text = refused(*command, "--store", tmp_path)
    assert str(tmp_path) in text
    assert "--store" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--for", "5x"], "expected a duration such as 60s, 5m or 2h, found '5x'"),
        (["run", "--for", "0"], "expected a duration"),
        (["run", "--for", "-3s"], "expected a duration"),
        (["run", "--speed", "0"], "expected --speed as a positive multiple of real time or max, found '0'"),
        (["run", "--speed", "quick"], "found 'quick'"),
        (["run", "--speed", "nan"], "found 'nan'"),
        (["run", "--seed", "-1"], "--seed"),
        (["run", "--mode", "live"], "expected the account of bybit typed out by hand for mode live, found none"),
        (["run", "--mode", "simm"], "did you mean 'sim'?"),
        (["run", "--symbols", "BTCUSDT"], "expected venue:NATIVE such as bybit:BTCUSDT, found 'BTCUSDT'"),
        (["run", "--symbols", "kraken:X"], "expected a symbol of one of the venues alpaca, bybit, hyperliquid, kalshi"),
        (["run", "--symbols", "bybit:BTCUSDT,bybit:BTCUSDT"], "expected each symbol once"),
        (["run", "--symbols", "alpaca:AAPL", "--mode", "demo"], "expected a key of alpaca for mode demo, found none"),
        (["run", "--config", "nope"], "give one of the environments (backtest, demo, live, paper, sim, test, three)"),
        (["run", "--config", "no/such.yaml"], "expected a settings file, found nothing at"),
        (["run", "--summary", "/no/such/folder/s.json"], "expected an existing folder for --summary"),
        (["signals", "--limit", "0"], "--limit"),
        (["signals", "--limit", "x"], "--limit"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["why"], "Missing argument"),
        (["run", "--replay"], "--replay"),
        (["run", "--nonsense"], "No such option"),
    ],
)
def test_an_argument_that_can_not_be_used_is_refused_in_one_line(arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("trendd", "expected a strategy, found 'trendd'; did you mean 'trend'?"),
        ("strategies.trend:Trendy", "did you mean 'Trend'?"),
        ("no.such.module:Mine", "expected a module 'no.such.module', found none"),
        ("no_such_file.py:Mine", "expected a file"),
        ("json:JSONDecoder", "to be a class derived from bigwheel's Strategy"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused_before_anything_starts(
    tmp_path: Path, strategy: str, said: str
) -> None:
    assert said in refused("run", "--quiet", "--config", "test", "--store", tmp_path, "--strategy", strategy)


def test_a_strategy_whose_constructor_fails_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from bigwheel import Strategy\nclass Mine(Strategy):\n    def __init__(self): self.x = 1 / 0\n")
    text = refused("run", "--quiet", "--config", "test", "--store", tmp_path, "--strategy", f"{file}:Mine")
    assert "ZeroDivisionError: division by zero; correct its __init__" in text


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("bybit:BTCUSTD", "did you mean bybit:BTCUSDT?"),
        ("bybit:QQQQ", "it lists BTCUSDT, "),
        ("bybit:NOSUCHUSDT", "expected symbols that the embedded venue lists, found bybit:NOSUCHUSDT"),
    ],
)
def test_a_symbol_the_venue_does_not_list_is_refused(tmp_path: Path, symbol: str, said: str) -> None:
    assert said in refused("run", "--quiet", "--config", "test", "--store", tmp_path, "--symbols", symbol)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: sim\nrisk:\n  daily_los: 3\n", "risk.daily_los: unknown key; did you mean 'daily_loss'?"),
        ("extends: sim\nbus:\n  ttl_s: soon\n", "bus.ttl_s: expected a valid number, found 'soon'"),
        ("extends: sim\nbus: [\n", "expected YAML, found"),
        ("- a\n- b\n", "expected `key: value` lines, found list"),
        ("extends: nowhere\n", "expected a settings file"),
    ],
)
def test_a_configuration_that_can_not_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert said in refused("run", "--config", file)


def test_the_environment_is_checked_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWHEEL_RISK__DAILY_LOS", "3")
    text = refused("status")
    assert "environment variable BIGWHEEL_RISK__DAILY_LOS" in text
    assert "did you mean 'daily_loss'?" in text


# -- recordings ------------------------------------------------------------------------


def recording(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_recording_that_can_not_be_played_is_refused(tmp_path: Path) -> None:
    run = ("run", "--quiet", "--config", "test", "--store", tmp_path, "--replay")
    assert "found nothing there" in refused(*run, tmp_path / "no.parquet")
    text = tmp_path / "BTCUSDT.parquet"
    text.write_text("price,size\n1,2\n")
    assert "write the data as Parquet" in refused(*run, text)
    lacking = recording(tmp_path / "ETHUSDT.parquet", ts_ns=[1, 2], price=[1.0, 2.0])
    assert "expected a column 'size' (double), found ['price', 'ts_ns']" in refused(*run, lacking)
    (tmp_path / "empty").mkdir()
    assert "expected *.parquet files in the folder" in refused(*run, tmp_path / "empty")


@pytest.mark.parametrize(
    ("strategy", "streams"), [("fair_value", ["trade", "quote"]), ("maker", ["trade", "quote"]), ("trend", ["trade"])]
)
def test_a_replay_also_gives_what_its_strategies_look_at_and_the_venue_makes(
    tmp_path: Path, strategy: str, streams: list[str]
) -> None:
    file = recording(tmp_path / "BTCUSDT.parquet", ts_ns=[1, 2], price=[1.0, 2.0], size=[1.0, 1.0])
    told = configure("sim", str(tmp_path / "store"), Wanted(strategy=strategy, replay=str(file)))
    assert told.exchange["bybit"].streams[: len(streams)] == tuple(streams)


def test_a_symbol_that_the_recording_lacks_is_refused(tmp_path: Path) -> None:
    file = recording(tmp_path / "BTCUSDT.parquet", ts_ns=[1, 2], price=[1.0, 2.0], size=[1.0, 1.0])
    run = ("run", "--quiet", "--config", "test", "--store", tmp_path, "--replay", file)
    text = refused(*run, "--symbols", "bybit:ETHUSDT")
    assert "found no data of ['ETHUSDT']" in text
    assert "it holds ['BTCUSDT']" in text
