"""What stands behind the commands: times, books, summary, screen, and the look before a start."""

from __future__ import annotations

import fcntl
import io
import json
import os
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.overview import overview
from actors.messages.orders import Repaired
from actors.messages.signals import Blocked, Expired, Generated, Learned
from actors.tree import Planner
from bigwheel import preflight
from bigwheel.books import Books, records
from bigwheel.cli.run import Runner
from bigwheel.client import GatewayClient
from bigwheel.errors import SessionError, UsageError
from bigwheel.orders import OrderRow, stops
from bigwheel.screen import MOST_ROWS, one_line, render, terminal
from bigwheel.session import Session, StoreLock, _contained, _lost, _stands
from bigwheel.summary import summarize, write_summary
from bigwheel.times import duration_s, moment_ns, stamp
from conf import Settings, load
from exchanges.model.order import OrderStatus
from runtime.errors import BigwheelError, SetupError
from runtime.journal.memory import MemoryJournal
from runtime.journal.store import LmdbJournal
from runtime.message import Message
from runtime.snapshots import SnapshotStore
from runtime.supervision.spec import ChildSpec
from strategies.errors import StrategyError
from tests.unit.brain_context import START_NS
from tests.unit.brain_samples import BTC, ETH, make_exchange_state, make_filled, make_signal, order_changed
from tests.unit.front_door import bigwheel, refused
from tests.unit.gateway_tree import child, tree

# -- times -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("60s", 60), ("5m", 300), ("2h", 7_200), ("500ms", 0.5), ("1d", 86_400), (" 1.5 m ", 90)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "0s", "-1s", "5 x", "1e3", "5m3s", "nan", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a duration such as 60s, 5m or 2h"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 400),
        ("1970-01-01T00:01", 60),
        ("1970-01-01 00:00:01.5", 1.5),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86_400),
        ("1970-01-01T00:00:05Z", 5),
    ],
)
def test_moments_are_times_or_durations_ago(text: str, seconds: float) -> None:
    assert moment_ns(text, now=1_000) == int(seconds * 1e9)


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_a_stamp_can_be_read_back(ns: int) -> None:
    assert abs(moment_ns(stamp(ns)) - ns) < 2_000


# -- books and summary -----------------------------------------------------------------

ONE, TWO = make_signal(0), make_signal(1, symbol=ETH)


def write(journal: Any, *events: Message) -> None:
    for event in events:
        journal.append(event, ts=START_NS, source="bus", epoch=1, keys={})
    journal.commit()


EVENTS: tuple[Message, ...] = (
    Generated(ONE.id, "trend", BTC, ONE),
    Generated(TWO.id, "trend", ETH, TWO),
    Blocked(TWO.id, "trend", ETH, "exposure", "LIMIT", ""),
    order_changed(ONE, OrderStatus.OPEN),
    order_changed(ONE, OrderStatus.FILLED, filled="1"),
    make_filled(ONE, "e1", "1", "100", fee="0.5"),
    make_filled(ONE, "e1", "1", "100", fee="0.5"),
    Learned(TWO.id, "trend", ETH, 1, 0.1),
    Repaired("bybit", BTC, "position", "1", "1", "the venue's"),
    make_exchange_state(cash=Decimal("99.5"), equity=Decimal("100")),
)


def test_books_are_the_fold_of_a_journal() -> None:
    journal = MemoryJournal()
    write(journal, *EVENTS)
    books = Books.of(records(journal))
    assert books.signals == {"GENERATED": 1, "LEARNED": 1}
    assert books.passed == {"GENERATED": 2, "BLOCKED": 1, "LEARNED": 1}
    assert books.order_statuses == {"filled": 1}
    assert books.fills == 1, "an execution counts once"
    assert (books.positions[BTC].quantity, books.realized) == (Decimal(1), Decimal("-0.5"))
    assert len(books.repairs) == 1
    assert (books.cash, books.equity) == (Decimal("99.5"), Decimal(100))


def test_books_can_be_folded_from_a_part() -> None:
    journal = MemoryJournal()
    write(journal, *EVENTS)
    assert Books.of(records(journal, after=5)).signals == {"LEARNED": 1}
    assert Books.of(records(journal, kinds=("Generated",))).signals == {"GENERATED": 2}


def test_a_summary_tells_what_the_journal_and_the_last_overview_say(tmp_path: Path) -> None:
    journal = LmdbJournal(tmp_path / "journal", epoch=1)
    write(journal, *EVENTS)
    journal.close()
    settings = load("sim", {"store": str(tmp_path), "symbols": [BTC, ETH]}, {})
    found = summarize(settings, overview(tree(), settings), START_NS)
    assert found["signals"] == {"GENERATED": 1, "LEARNED": 1}
    assert (found["fills"], found["orders"], found["positions"]) == (1, {"filled": 1}, {BTC: "1"})
    assert found["journal"]["verified"]
    assert (found["ticks"], found["restarts"]["strategy"], found["dead_letters"]) == (43, 21, 8)
    assert found["started"].startswith("2023-11-14T22:13:20")
    write_summary(found, tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == found


def test_a_summary_of_a_damaged_journal_says_so(tmp_path: Path) -> None:
    LmdbJournal(tmp_path / "journal", epoch=1).close()
    (tmp_path / "journal" / "data.mdb").write_bytes(b"x" * 9_000)
    found = summarize(load("sim", {"store": str(tmp_path)}, {}), {}, START_NS)
    assert found["journal"]["verified"] is False
    assert (found["signals"], found["ticks"]) == ({}, 0)


@pytest.mark.parametrize("name", ["", "no/such/s.json"])
def test_a_summary_that_could_not_be_written_is_refused_before_the_run(tmp_path: Path, name: str) -> None:
    text = refused("run", "--config", "test", "--store", tmp_path, "--summary", tmp_path / name)
    assert "--summary" in text


# -- screen ----------------------------------------------------------------------------


def shown(found: dict[str, Any], **more: str) -> str:
    out = io.StringIO()
    terminal(file=out, width=220, no_color=True).print(render(found, **more))
    return out.getvalue()


SETTINGS = load("sim", {"symbols": [BTC, ETH]}, {})


def test_the_screen_shows_symbols_money_signals_and_actors() -> None:
    text = shown(overview(tree(), SETTINGS), url="http://127.0.0.1:8780", dashboard="http://127.0.0.1:8265")
    for part in ("ACTIVE", "mode sim", "ticks 43", "99,000.50", "99,010.25", BTC, "101.5", "+5.50", "+3.00"):
        assert part in text
    assert "EXECUTED 4" in text
    assert f"strategy/trend/{ETH}" in text
    assert "failed" in text
    assert "http://127.0.0.1:8780/health" in text
    assert "http://127.0.0.1:8265" in text


def test_the_screen_is_cut_where_there_is_too_much() -> None:
    many = overview(tree(), load("sim", {"symbols": [f"bybit:S{n}" for n in range(50)]}, {}))
    many["actors"] = many["actors"] * 10
    text = shown(many)
    assert f"... {len(many['symbols']) - MOST_ROWS} more" in text
    assert f"... {len(many['actors']) - MOST_ROWS} more" in text


@pytest.mark.parametrize("found", [{}, {"error": "gone"}])
def test_without_an_overview_the_screen_waits(found: dict[str, Any]) -> None:
    assert "waiting for the system" in shown(found)
    assert "waiting for the system" in one_line(found)


def test_one_line_says_the_most_important() -> None:
    line = one_line(overview(tree(), SETTINGS))
    assert "\n" not in line
    assert line.startswith("ACTIVE ticks=43 equity=99010.25 fills=0 GENERATED=9 EXECUTED=4 actors=9 restarts=21")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"public_up": False, "streams_down": {"public": "no route to the host"}}, "public stream down: no route to"),
        ({"private_up": False}, "private stream down: not connected yet"),
        ({"reconciled": False}, "not reconciled with the venue yet"),
        ({"halted": {BTC: "position differs by 1"}}, f"{BTC} is halted: position differs by 1"),
        ({"unknown": ["c1", "c2"]}, "2 orders whose outcome is unknown: c1, c2"),
    ],
)
def test_what_keeps_a_venue_from_trading_is_told(changed: dict[str, Any], said: str) -> None:
    found = overview(tree(), SETTINGS)
    assert "bybit:" not in one_line(found)
    found["venues"]["bybit"].update(changed)
    assert f"bybit: {said}" in shown(found)
    assert f"bybit: {said}" in one_line(found)


@pytest.mark.parametrize("kept", [True, False])
def test_stops_at_the_venues_are_counted_and_those_that_outlive_the_session_are_named(
    kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {name: "" for name in OrderRow._fields if name not in ("venue", "foreign")}
    stop = {**row, "side": "sell", "quantity": "1", "symbol": BTC, "waits_for": "last below 95", "protects": True}
    found = overview(tree(), SETTINGS)
    found["venues"]["bybit"]["working"] = [{**stop, "client_id": "bw-S-3-0"}, {**row, "protects": False}]
    assert [order.client_id for order in stops(found)] == ["bw-S-3-0"]
    assert one_line(found).endswith("stops_at_venues=1")
    assert "stops at venues 1" in shown(found)
    told = load("sim", {"exchange": {"bybit": {"keep_stops": kept}}}, environ={})
    Runner(told, None, quiet=False)._say_stops(found)
    text = "a stop stays at bybit: sell 1 bybit:BTCUSDT once last below 95 (bw-S-3-0)"
    assert (text in capsys.readouterr().out) is kept


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    found = overview(tree(), SETTINGS)
    found["actors"][0]["name"] = "strategy/[bold]/x"
    assert "[bold]" in shown(found)


# -- the lock --------------------------------------------------------------------------


def test_a_store_is_used_by_one_session_at_a_time(tmp_path: Path) -> None:
    first, second = StoreLock(tmp_path / "new"), StoreLock(tmp_path / "new")
    first.take()
    with pytest.raises(SessionError, match=rf"in use by process {os.getpid()}; stop that session"):
        second.take()
    first.free()
    first.free()
    second.take()
    second.free()


def test_a_store_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SessionError, match=r"expected a folder for the session that can be written at .*--store"):
        StoreLock(tmp_path / "file" / "store").take()


def test_a_restore_is_refused_while_a_session_runs(tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        text = refused("journal", "restore", tmp_path / "backup", "--overwrite", "--store", tmp_path)
    assert "found it in use by process unknown" in text


# -- the look before a start -----------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def settings_in(store: Path, **changes: object) -> Settings:
    return load("test", {"store": str(store), **changes}, {})


def look(settings: Settings, planner: type[Planner] = Planner, *, strategies: bool = True) -> None:
    preflight.check(settings, planner(settings), strategies=strategies)


def test_a_session_that_can_start_passes(tmp_path: Path) -> None:
    look(settings_in(tmp_path))
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


@pytest.mark.parametrize("section", ["gateway", "simulator"])
def test_a_port_that_is_taken_is_told_with_its_setting(tmp_path: Path, taken: int, section: str) -> None:
    with pytest.raises(SessionError, match=rf"expected port {taken} on 127\.0\.0\.1 to be free .* set {section}\.port"):
        look(settings_in(tmp_path, **{section: {"port": taken}}))


def test_a_taken_port_ends_the_run_with_one_line(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWHEEL_GATEWAY__PORT", str(taken))
    assert f"expected port {taken}" in refused("run", "--quiet", "--config", "test", "--store", tmp_path)


def test_an_address_that_is_not_ours_is_told(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"expected port 9 on 203\.0\.113\.9 to be free"):
        look(settings_in(tmp_path, gateway={"host": "203.0.113.9", "port": 9}))


def test_on_a_cluster_ports_are_left_to_the_actors(tmp_path: Path, taken: int) -> None:
    look(settings_in(tmp_path, gateway={"port": taken}, ray={"address": "10.0.0.1:6379"}))


def garbage(folder: Path) -> None:
    (folder / "data.mdb").write_bytes(b"\x00 this is no store \x00" * 800)


def test_a_damaged_supervisor_store_is_told_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "supervisors" / "root"
    SnapshotStore(str(folder)).close()
    look(settings_in(tmp_path))
    garbage(folder)
    with pytest.raises(SessionError, match=rf"this is another kind of file; move {folder} away"):
        look(settings_in(tmp_path))
    assert "begin without these snapshots" in refused("run", "--quiet", "--config", "test", "--store", tmp_path)


def test_damaged_books_of_the_venue_are_told_with_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "venues" / "bybit" / "venue.lmdb"
    folder.mkdir(parents=True)
    lmdb.open(str(folder), map_size=1 << 24).close()
    look(settings_in(tmp_path))
    garbage(folder)
    with pytest.raises(SessionError, match=r"move .*venues/bybit away"):
        look(settings_in(tmp_path))


def test_a_strategy_is_built_for_a_look_only_where_strategies_run(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, strategies=[{"name": "trendd"}])
    with pytest.raises(StrategyError, match="did you mean 'trend'"):
        look(settings)
    look(settings, strategies=False)


@pytest.mark.parametrize(
    ("params", "said"),
    [({"fast": 60, "slow": 20}, "fast"), ({"fats": 3}, "fats"), ({"fast": "many"}, "fast")],
)
def test_parameters_that_do_not_fit_are_told(tmp_path: Path, params: dict[str, object], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        look(settings_in(tmp_path, strategies=[{"name": "trend", "params": params}]))


def test_a_symbol_that_an_embedded_venue_does_not_list_is_told(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, symbols=["kalshi:FED-26"], exchange={"kalshi": {}}, strategies=[])
    with pytest.raises(SetupError, match=r"expected symbols that the embedded venue lists, found kalshi:FED-26"):
        look(settings)


def test_a_tree_without_embedded_venues_is_not_asked_about_symbols(tmp_path: Path, taken: int) -> None:
    class Elsewhere(Planner):
        def embedded(self) -> list[ChildSpec]:
            return []

    look(settings_in(tmp_path, symbols=["bybit:NOSUCH"], simulator={"port": taken}), Elsewhere)


def test_made_up_markets_may_be_as_many_as_a_load_test_wants(tmp_path: Path) -> None:
    look(settings_in(tmp_path, symbols=[f"bybit:S{number}" for number in range(300)]))


def test_a_start_that_is_refused_frees_the_store(tmp_path: Path) -> None:
    with pytest.raises(BigwheelError):
        Session.start(settings_in(tmp_path, strategies=[{"name": "trendd"}]))
    lock = StoreLock(tmp_path)
    lock.take()
    lock.free()


# -- who stands, who is lost -----------------------------------------------------------


def test_an_actor_stands_once_it_says_so_itself() -> None:
    assert _stands(child("bus", "bus", detail={"state": "running"}))
    for detail in ({}, {"state": "starting"}, {"error": "no status"}):
        assert not _stands(child("bus", "bus", detail=detail))
    assert not _stands(child("bus", "bus", state="restarting", detail={"state": "running"}))


@pytest.mark.parametrize(
    ("kind", "stood", "state", "setup", "lost"),
    [
        ("bus", False, "restarting", False, False),
        ("bus", False, "failed", False, True),
        ("bus", True, "failed", False, True),
        ("gateway", False, "restarting", True, True),
        ("strategy", False, "failed", False, True),
        ("strategy", False, "restarting", True, True),
        ("strategy", True, "failed", False, False),
    ],
)
def test_a_session_is_lost_with_what_can_not_start(kind: str, stood: bool, state: str, setup: bool, lost: bool) -> None:
    assert _lost(child("x", kind, state=state, setup_failed=setup), stood) is lost


def test_a_strategy_that_hung_before_anybody_saw_it_stand_is_given_up_alone() -> None:
    given_up = child("strategy/slow/x", "strategy", state="failed", hung=True)
    assert not _lost(given_up, stood=False)
    assert _contained(given_up)
    for other in (
        child("strategy/slow/x", "strategy", state="restarting", hung=True),
        child("strategy/slow/x", "strategy", state="failed"),
        child("bus", "bus", state="failed", hung=True),
    ):
        assert not _contained(other), "it is waited for, or there is no session without it"
    assert _lost(child("bus", "bus", state="failed", hung=True), stood=True)


# -- the client ------------------------------------------------------------------------


def test_orders_need_the_token_of_the_session(tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text('{"url": "http://127.0.0.1:1"}')
    assert "expected the token of a session" in refused("halt", "--store", tmp_path)
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o644)
    assert "mode 600" in refused("halt", "--store", tmp_path)


def test_what_is_no_gateway_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "gateway.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}))
        server.close()
        with pytest.raises(SessionError, match=rf"expected the gateway of .* at http://127\.0\.0\.1:{port}/status"):
            GatewayClient(tmp_path).status()


def test_a_command_line_error_is_never_a_traceback(tmp_path: Path) -> None:
    answer = bigwheel("run", "--config", tmp_path)
    assert answer.status == 2
    assert "Traceback" not in answer.err


def test_an_expired_signal_shows_in_the_books() -> None:
    journal = MemoryJournal()
    write(journal, EVENTS[0], Expired(ONE.id, "trend", BTC, "too old"))
    assert Books.of(records(journal)).signals == {"EXPIRED": 1}
