"""What a look before the start finds wrong with mode, account, key and store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.tree import Planner
from bigwheel import preflight
from bigwheel.errors import SessionError, UsageError
from bigwheel.preflight import claim, live_accounts
from conf import Settings, load
from exchanges.credentials import CredentialError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("BYBIT_DEMO_KEY", "BYBIT_DEMO_SECRET", "BYBIT_LIVE_KEY", "BYBIT_LIVE_SECRET"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


def told(mode: str, store: Path, **changes: Any) -> Settings:
    return load(mode, {"store": str(store), "gateway.port": 0, **changes}, {})


def look(settings: Settings) -> None:
    preflight.check(settings, Planner(settings), strategies=False)


def test_paper_at_bybit_needs_neither_key_nor_account(tmp_path: Path) -> None:
    look(told("paper", tmp_path))


def test_demo_needs_a_key_and_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="set BYBIT_DEMO_KEY and BYBIT_DEMO_SECRET, or write them to"):
        look(told("demo", tmp_path, **{"exchange.bybit.credentials.sources": ["env", "file"]}))


def test_a_key_in_the_environment_is_enough_and_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYBIT_DEMO_KEY", "anything\n")
    look(told("demo", tmp_path))


def test_a_key_file_that_others_may_read_is_told_before_the_start(tmp_path: Path, home: Path) -> None:
    file = home / ".config/bigwheel/bybit-demo.toml"
    file.parent.mkdir(parents=True)
    file.write_text("this is not even TOML")
    file.chmod(0o640)
    settings = told("demo", tmp_path, **{"exchange.bybit.credentials.sources": ["file"]})
    with pytest.raises(CredentialError, match=f"found 640; run: chmod 600 {file}"):
        look(settings)
    file.chmod(0o600)
    look(settings)


def test_pass_and_the_keyring_are_not_asked_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    look(told("demo", tmp_path, **{"exchange.bybit.credentials.sources": ["pass"]}))


def test_on_a_cluster_keys_are_left_to_the_process_that_uses_them(tmp_path: Path) -> None:
    look(told("demo", tmp_path, **{"ray.address": "10.0.0.1:6379", "exchange.bybit.credentials.sources": ["env"]}))


def test_live_needs_the_account_of_each_venue_typed_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the account of bybit typed out by hand for mode live, found none"):
        look(told("live", tmp_path))
    look(told("live", tmp_path, exchange=live_accounts(["24617703"], ["bybit"])))


@pytest.mark.parametrize(
    ("typed", "venues", "found"),
    [
        (["24617703"], ["bybit"], {"bybit": {"live_account": "24617703"}}),
        (["bybit:24617703"], ["bybit"], {"bybit": {"live_account": "24617703"}}),
        (
            ["bybit:1", "kalshi:a-b"],
            ["bybit", "kalshi"],
            {"bybit": {"live_account": "1"}, "kalshi": {"live_account": "a-b"}},
        ),
        ([], ["bybit"], {}),
    ],
)
def test_accounts_are_typed_by_venue(typed: list[str], venues: list[str], found: dict[str, dict[str, str]]) -> None:
    assert live_accounts(typed, venues) == found


@pytest.mark.parametrize(
    ("typed", "venues", "said"),
    [
        (["24617703"], ["bybit", "kalshi"], "expected --live-account VENUE:ID with a venue that is traded"),
        (["kalshi:1"], ["bybit"], r"traded \(bybit\), found 'kalshi:1'"),
        (["bybit:"], ["bybit"], "found 'bybit:'"),
        (["bybit:1", "bybit:2"], ["bybit"], "expected one --live-account of bybit, found two"),
    ],
)
def test_an_account_of_nobody_knows_whom_is_refused(typed: list[str], venues: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        live_accounts(typed, venues)


# -- a store belongs to one mode -----------------------------------------------------------------


def test_a_store_of_one_mode_is_refused_in_another(tmp_path: Path) -> None:
    claim(tmp_path / "store", "paper")
    claim(tmp_path / "store", "paper")
    look(told("paper", tmp_path / "store"))
    with pytest.raises(SessionError, match=r"expected a store of mode sim at .* a session of mode paper"):
        look(told("sim", tmp_path / "store"))
    with pytest.raises(SessionError, match="give another folder: --store"):
        claim(tmp_path / "store", "live")


def test_a_store_from_before_there_were_modes_is_the_simulators(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    look(told("sim", tmp_path))
    with pytest.raises(SessionError, match="holds a session of mode sim"):
        look(told("paper", tmp_path))
    claim(tmp_path, "sim")
    assert not (tmp_path / "mode").exists()


def test_a_store_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(SessionError, match="expected a store that can be written at"):
        claim(tmp_path / "store", "sim")
