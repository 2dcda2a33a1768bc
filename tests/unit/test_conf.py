"""The typed configuration: what it reads, what it refuses, and how well it says why."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from conf import ConfigError, Settings, load
from conf.risk import RiskSettings
from conf.sources import FOLDER
from runtime.errors import BigwheelError


def problems(name: str = "sim", overrides: dict[str, object] | None = None, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(name, overrides, environ)
    return caught.value.problems


def written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        found.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += keys_of(field.annotation, f"{prefix}{name}.")
    return found


def test_the_sim_file_says_what_the_models_default_to() -> None:
    assert load("sim", environ={}) == Settings()


def test_the_sim_file_names_every_key_there_is() -> None:
    values = yaml.safe_load((FOLDER / "sim.yaml").read_text())
    missing = []
    for key in keys_of(Settings):
        spot = values
        for part in key.split("."):
            if part not in spot:
                missing.append(key)
                break
            spot = spot[part]
    assert missing == []
    assert {"bybit", "alpaca", "kalshi", "hyperliquid"} == set(values["exchange"])


def test_every_key_is_read_by_somebody() -> None:
    rooms = ("runtime", "exchanges", "strategies", "actors", "bigwheel", "conf")
    # The sections themselves only declare their keys; everyone else is who reads them.
    declaring = {"hosting.py", "section.py", "settings.py", "trading.py", "venues.py"}
    files = [file for room in rooms for file in (FOLDER.parent / room).rglob("*.py")]
    text = "\n".join(f.read_text() for f in files if f.parent != FOLDER or f.name not in declaring)
    leaves = {key.rpartition(".")[2] for key in keys_of(Settings)}
    read = "|".join((r"\.{0}\b", r"\[\"{0}\"\]"))
    assert [name for name in sorted(leaves) if not re.search(read.format(name), text)] == []


@pytest.mark.parametrize("name", ["sim", "three", "paper", "demo", "live", "backtest"])
def test_every_line_of_a_file_that_sets_a_value_says_what_it_does(name: str) -> None:
    bare = [
        line
        for line in (FOLDER / f"{name}.yaml").read_text().splitlines()
        if line.strip()
        and not line.lstrip().startswith(("#", "- bybit", "- alpaca", "- kalshi", "extends:"))
        and "#" not in line
        and not line.rstrip().endswith(":")
    ]
    assert bare == []


@pytest.mark.parametrize("name", ["test", "three", "paper", "demo", "live", "backtest"])
def test_a_file_that_extends_sim_holds_only_differences(name: str) -> None:
    own = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert own["extends"] == "sim"
    sim = yaml.safe_load((FOLDER / "sim.yaml").read_text())
    repeated = [
        f"{section}.{key}"
        for section, values in own.items()
        if isinstance(values, dict) and section in sim
        for key, value in values.items()
        if sim[section].get(key) == value
    ]
    assert repeated == []


def test_the_test_file_keeps_no_spares() -> None:
    settings = load("test", environ={})
    assert settings.supervision.spares.strategy == 0
    assert settings.supervision.intensity == Settings().supervision.intensity


def test_settings_travel_as_json_and_come_back_equal() -> None:
    settings = load("test", {"risk.daily_loss": "12.50", "strategies.0.params.fast": 3}, {})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_money_is_read_exactly() -> None:
    settings = load("sim", {"risk.max_slippage": 0.1}, {"BIGWHEEL_RISK__DAILY_LOSS": "0.1"})
    assert settings.risk.max_slippage == Decimal("0.1")
    assert settings.risk.daily_loss == Decimal("0.1")


def test_the_environment_wins_over_the_file_and_the_caller_over_both(tmp_path: Path) -> None:
    mine = written(tmp_path, "extends: sim\ngateway: {port: 1111, host: 0.0.0.0}\n")
    environ = {"BIGWHEEL_GATEWAY__PORT": "2222", "BIGWHEEL_BUS__STUCK_S": "4", "HOME": "/nowhere"}
    settings = load(mine, {"bus.stuck_s": 5}, environ)
    assert (settings.gateway.host, settings.gateway.port, settings.bus.stuck_s) == ("0.0.0.0", 2222, 5)


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("BIGWHEEL_SYMBOLS", "[bybit:BTCUSDT, bybit:XRPUSDT]", "symbols", ("bybit:BTCUSDT", "bybit:XRPUSDT")),
        ("BIGWHEEL_RAY__NAMESPACE", "12", "ray.namespace", "12"),
        ("BIGWHEEL_RAY__DASHBOARD", "true", "ray.dashboard", True),
        ("BIGWHEEL_BUS__LINGER_MS", "1e-3", "bus.linger_ms", 0.001),
        ("BIGWHEEL_LOGGING__LEVEL", "debug", "logging.level", "debug"),
        ("BIGWHEEL_STORE", "/42", "store", Path("/42")),
    ],
)
def test_the_environment_is_read_as_the_type_of_its_field(name: str, text: str, path: str, value: object) -> None:
    spot: object = load("sim", None, {name: text})
    for part in path.split("."):
        spot = getattr(spot, part)
    assert spot == value


def test_what_tells_the_tests_where_their_data_lies_is_no_setting() -> None:
    assert load("sim", environ={"BIGWHEEL_DATA": "/recorded", "BIGWHEEL_SEEDS": "5"}) == Settings()
    assert "did you mean" in problems(BIGWHEEL_DATUM="1")[0] or "unknown key" in problems(BIGWHEEL_DATUM="1")[0]


def test_the_environment_reaches_into_lists_and_venues() -> None:
    environ = {"BIGWHEEL_STRATEGIES__0__PARAMS__FAST": "3", "BIGWHEEL_EXCHANGE__BYBIT__RING": "16"}
    settings = load("sim", None, environ)
    assert settings.strategies[0].params == {"fast": 3}
    assert settings.exchange["bybit"].ring == 16
    assert settings.exchange["bybit"].credentials.key_env == ""
    environ = {"BIGWHEEL_EXCHANGE__KALSHI__CREDENTIALS__SOURCES": "[pass]", "BIGWHEEL_EXCHANGE__ALPACA__FEED": "sip"}
    settings = load("sim", None, environ)
    assert settings.exchange.kalshi.credentials.sources == ("pass",)
    assert settings.exchange.alpaca.feed == "sip"


def test_an_unknown_key_names_its_file_its_path_and_the_nearest_known_key(tmp_path: Path) -> None:
    mine = written(tmp_path, "extends: sim\nrisk:\n  dayly_loss: 500\n")
    (problem,) = problems(mine)
    assert problem == f"{mine}: risk.dayly_loss: unknown key; did you mean 'daily_loss'?"


def test_an_unknown_variable_is_named() -> None:
    (problem,) = problems(BIGWHEEL_BUS__LINGR_MS="3")
    assert problem.startswith("environment variable BIGWHEEL_BUS__LINGR_MS: bus.lingr_ms: unknown key")
    assert "'linger_ms'" in problem


def test_an_unknown_key_like_no_other_lists_those_there_are() -> None:
    (problem,) = problems(overrides={"gateway.zzz": 1})
    assert "host, port, token_file" in problem


def test_all_problems_are_told_at_once() -> None:
    wrong = {"risk.daily_los": 3, "mode": "alive", "gateway.port": "80", "ray.dashboard": 1, "strategies.7.name": "a"}
    found = problems(overrides=dict(wrong), BIGWHEEL_MODE__X="1")
    text = "\n".join(found)
    assert len(found) == 6
    for part in ("daily_los", "mode: expected 'sim'", "gateway.port", "ray.dashboard", "strategies.7", "mode.x"):
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("risk.order_notional", "lots", "expected a valid decimal, found 'lots'"),
        ("risk.order_notional", -1, "expected greater than 0, found -1"),
        ("risk.order_notional", 10**9, "expected order_notional <= symbol_notional"),
        ("learner.size_max", float("nan"), "expected a finite number"),
        ("learner.size_min", 1.5, "expected size_min <= 1 <= size_max"),
        ("learner.base_threshold", 0.9, "expected threshold_min <= base_threshold <= threshold_max"),
        ("bus.ttl_s", 5000.0, "expected ttl_s <= max_ttl_s"),
        ("supervision.hang_after_s", 0.5, "expected hang_after_s > heartbeat_s"),
        ("simulator.port", 70000, "less than or equal to 65535"),
        ("symbols", ["BTCUSDT"], "expected venue:NATIVE such as bybit:BTCUSDT, found 'BTCUSDT'"),
        ("symbols", ["bybit:BTCUSDT", "bybit:BTCUSDT"], "listed twice"),
        ("symbols", ["kraken:AAPL"], "expected a symbol of one of the venues alpaca, bybit, hyperliquid, kalshi"),
        ("symbols", [], "at least 1 item"),
        ("strategies", [{"name": "trend"}, {"name": "trend"}], "found 'trend' twice"),
        ("strategies", [{"name": "trend", "label": "a/b"}], "choose another label"),
        ("strategies", [{"name": "trend", "symbols": ["bybit:XRPUSDT"]}], "add it to `symbols`"),
        ("exchange.bybti.ring", 5, "did you mean 'bybit'?"),
        ("exchange.bybit.streams", ["trades"], "did you mean 'trade'?"),
        ("exchange.bybit.feed", "sip", "exchange.bybit.feed: unknown key"),
        ("exchange.alpaca.streams", ["book"], "expected 'trade', 'quote' or 'bar', found 'book'"),
        ("exchange.alpaca.bar_interval_s", 300, "expected 60, found 300"),
        ("exchange.kalshi.market_slippage", 1, "expected less than 1, found 1"),
        (
            "exchange.kalshi.credentials.sources",
            ["vault"],
            "'pass' or 'keyring', found 'vault'",
        ),
        ("exchange.kalshi.credentials.sources", [], "at least 1 item"),
        ("mode", "lively", "did you mean 'live'?"),
        ("bus.stuck_s", "5e-1", "write the number without quotes and with a decimal point"),
    ],
)
def test_a_value_that_does_not_fit_says_what_does(path: str, value: object, expected: str) -> None:
    found = problems(overrides={path: value})
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("risk: [", "expected YAML"),
        ("mode: sim\nmode: sim\n", "the key 'mode' comes twice"),
        ("- a\n- b\n", "expected `key: value` lines, found list"),
        ("extends: [sim]\n", "extends: expected one name or path"),
        ("extends: nowhere\n", "found nothing at"),
        ("extends: mine.yaml\n", "found a circle"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems(written(tmp_path, text))
    assert expected in problem


def test_a_missing_file_lists_the_environments_there_are() -> None:
    (problem,) = problems("production")
    assert "(backtest, demo, live, paper, sim, test, three)" in problem


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"mode: \xff\n")
    (problem,) = problems(str(tmp_path / "mine.yaml"))
    assert "expected UTF-8 text" in problem


def test_an_empty_file_that_extends_nothing_gives_the_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, "\n"), environ={}) == Settings()


def test_files_extend_each_other_from_where_they_lie(tmp_path: Path) -> None:
    written(tmp_path, "extends: test\nbus: {stuck_s: 9}\nsimulator: {seed: 1}\n", "base.yaml")
    settings = load(written(tmp_path, "extends: base.yaml\nsimulator: {seed: 2}\n"), environ={})
    assert (settings.bus.stuck_s, settings.simulator.seed, settings.gateway.port) == (9, 2, 0)


def test_the_store_is_absolute_so_that_every_process_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("sim", environ={}).store == tmp_path / ".bigwheel"


def test_settings_cannot_be_changed_once_made() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.risk.daily_loss = Decimal(1)  # type: ignore[misc]


def test_sections_are_strict_in_code_too() -> None:
    with pytest.raises(ValidationError):
        RiskSettings(orders_per_second="5")  # type: ignore[arg-type]


def test_a_strategy_is_labelled_by_its_class_and_trades_all_symbols_unless_told() -> None:
    settings = load("sim", {"strategies": [{"name": "my.module:Mine"}, {"name": "trend", "label": "slow"}]}, {})
    assert [entry.tag for entry in settings.strategies] == ["Mine", "slow"]
    assert settings.symbols_of(settings.strategies[0]) == settings.symbols


def test_a_config_error_is_one_of_ours_and_survives_pickling() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(ConfigError(["a", "b"])))
    assert isinstance(error, BigwheelError)
    assert error.problems == ("a", "b")
    assert str(error).startswith("the configuration has 2 problems:")


# -- modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sim", "paper", "demo", "live"])
def test_the_file_of_each_mode_can_be_used_as_it_is_and_has_a_store_of_its_own(mode: str) -> None:
    settings = load(mode, environ={})
    assert settings.mode == mode
    stores = {load(other, environ={}).store for other in ("sim", "paper", "demo", "live") if other != mode}
    assert settings.store not in stores


def test_the_live_file_trades_nothing_until_it_is_told_to_and_risks_less_than_the_others() -> None:
    live = load("live", environ={})
    assert all(entry.dry_run for entry in live.strategies)
    assert live.exchange["bybit"].live_account == ""
    assert "env" not in live.exchange["bybit"].credentials.sources
    for other in ("sim", "paper", "demo"):
        assert live.risk.order_notional < load(other, environ={}).risk.order_notional
        assert live.risk.daily_loss < load(other, environ={}).risk.daily_loss


def test_the_file_of_three_venues_trades_at_all_three_in_the_simulator() -> None:
    settings = load("three", environ={})
    assert settings.mode == "sim"
    assert set(settings.venues) == {"bybit", "alpaca", "kalshi"}


@pytest.mark.parametrize(
    ("mode", "path", "value", "expected"),
    [
        ("live", "exchange.bybit.rest_url", "https://api-demo.bybit.com", "which is that of mode demo"),
        ("live", "exchange.bybit.rest_url", "http://127.0.0.1:8080", "found 127.0.0.1, this machine"),
        ("demo", "exchange.bybit.private_url", "wss://stream.bybit.com", "which is that of mode paper and live"),
        ("sim", "exchange.bybit.rest_url", "https://api.bybit.com", "on this machine (127.0.0.1), found api.bybit.com"),
        ("demo", "exchange.bybit.credentials.key_env", "BYBIT_LIVE_KEY", "the name for mode live"),
        ("live", "exchange.bybit.credentials.pass_entry", "bigwheel/bybit-demo", "the name for mode demo"),
        ("live", "simulator.faults", "standard", "expected no simulator.faults in mode live"),
        ("paper", "simulator.replay", "data", "expected no simulator.replay in mode paper"),
    ],
)
def test_what_does_not_belong_to_the_mode_is_an_error_when_the_configuration_is_read(
    mode: str, path: str, value: str, expected: str
) -> None:
    (problem,) = problems(mode, {path: value})
    assert expected in problem
    assert "the overrides" in problem


def test_addresses_of_a_venue_that_is_not_traded_are_not_looked_at() -> None:
    load("live", {"exchange.alpaca.rest_url": "https://paper-api.alpaca.markets"}, {})
    wrong = {"exchange.alpaca.rest_url": "https://paper-api.alpaca.markets", "symbols": ["alpaca:AAPL"]}
    (problem,) = problems("live", dict(wrong))
    assert "that of mode paper and demo" in problem


def test_several_simulators_can_not_share_a_port() -> None:
    (problem,) = problems("three", {"simulator.port": 8000})
    assert "expected simulator.port 0 with 3 venues" in problem


def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_shown() -> None:
    (problem,) = problems("live", {"exchange.bybit.credentials.secret_env": "a+secret/of=mine"})
    assert "expected the name of an environment variable" in problem
    assert "mine" not in problem
    (problem,) = problems("live", {"exchange.bybit.secret": "a+secret/of=mine"})
    assert "mine" not in problem
