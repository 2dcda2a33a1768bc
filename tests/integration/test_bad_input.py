"""Strategies that fail, venues that talk nonsense, and sessions that can't start, on real actors."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bigwheel.session
from bigwheel.errors import SessionError
from bigwheel.session import Session
from conf import Settings, load
from tests.integration.stage import PATIENCE, until
from tests.unit.front_door import bigwheel as command
from tests.unit.front_door import refused

pytestmark = [pytest.mark.timeout(300), pytest.mark.ray]

HERE = "tests.integration.faulty_strategies"
GOOD, RAISING, BLOCKING, MOODY, UNPICKLABLE = (
    f"bybit:{native}" for native in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT")
)
FAULTY = {"raising": RAISING, "blocking": BLOCKING, "moody": MOODY, "unpicklable": UNPICKLABLE}
CLASSES = {"raising": "Raising", "blocking": "Blocking", "moody": "Moody", "unpicklable": "Unpicklable"}


def settings_in(store: Path, **changes: object) -> Settings:
    laid: dict[str, object] = {
        "store": str(store),
        "symbols": [GOOD, *FAULTY.values()],
        "strategies": [
            {"name": "trend", "params": {"fast": 5, "slow": 15}, "symbols": [GOOD]},
            *(
                {"name": f"{HERE}:{CLASSES[label]}", "label": label, "symbols": [symbol]}
                for label, symbol in FAULTY.items()
            ),
        ],
        "ray": {"namespace": f"bad-input-{store.name}"},
        "simulator": {"rate": 20.0},
        # A busy machine keeps an actor that is well from answering for a second or two.
        "supervision": {"intensity": 2, "window_s": 120.0, "heartbeat_s": 0.3, "hang_after_s": 4.0},
    }
    return load("test", {**laid, **changes}, {})


class Stage:
    """The one session of this file, with a good strategy among faulty ones."""

    def __init__(self, session: Session) -> None:
        self.session, self.store = session, session.settings.store

    def actor(self, name: str) -> dict[str, Any]:
        """What the overview says of one actor."""
        found: dict[str, Any] = until(
            lambda: next((row for row in self.overview()["actors"] if row["name"].endswith(name)), None),
            20,
            f"{name} in the overview",
        )
        return found

    def overview(self) -> dict[str, Any]:
        """One that is there."""
        found: dict[str, Any] = until(self.session.overview, 20, "the root's answer")
        return found

    def cell(self, symbol: str) -> dict[str, Any]:
        """What the brain of the strategy on ``symbol`` says of itself."""
        for child in _children(self.session.tree()):
            for cell in (child["detail"] or {}).get("cells", []):
                if cell["name"].startswith("strategy/") and cell["name"].endswith(symbol):
                    return {**cell["detail"], "cell_state": cell["state"], "error": cell["error"]}
        return {}

    def counter(self, name: str) -> int:
        return int(self.overview()["counters"].get(name, 0))

    def until(self, condition: Callable[[], bool], seconds: float = 40.0) -> None:
        limit = time.monotonic() + seconds * PATIENCE
        while not condition():
            if time.monotonic() > limit:
                raise AssertionError(json.dumps(self.session.overview().get("actors"), indent=1, default=str))
            time.sleep(0.2)

    def trades_on(self) -> None:
        """The good strategy sees more market data than before."""
        before = self.ticks(GOOD)
        self.until(lambda: self.ticks(GOOD) > before + 20, 15.0)

    def ticks(self, symbol: str) -> int:
        """The market data the strategy on ``symbol`` has seen; 0 while it does not answer."""
        return int(self.cell(symbol).get("ticks", 0))

    def logged(self, symbol: str) -> int:
        """The number in the last line that the strategy on ``symbol`` logged; 0 while there is none."""
        lines = self.cell(symbol).get("log") or ["none 0"]
        return int(lines[-1].split()[1])


def _children(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in tree.get("children", []):
        yield child
        yield from _children(child.get("detail") or {})


@pytest.fixture(scope="module")
def stage(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    session = Session.start(settings_in(tmp_path_factory.mktemp("faulty")))
    yield Stage(session)
    session.stop("the tests are over")


def test_a_strategy_that_always_raises_is_given_up_and_says_why(stage: Stage) -> None:
    stage.until(lambda: stage.actor(RAISING)["state"] == "failed")
    told = stage.actor(RAISING)
    assert "Raising.on_tick of raising on bybit:ETHUSDT raised ValueError: no sense in this tick" in told["reason"]
    assert told["cells"][0]["restarts"] == 20, "it was restored as often as may be"
    assert told["pid"], "its process lives on: the failure stayed in the cell"
    assert stage.counter("dead_letters") >= 21
    stage.trades_on()


def test_market_data_for_a_strategy_that_was_given_up_does_not_flood_the_journal(stage: Stage) -> None:
    stage.until(lambda: stage.counter("data_refused") > 20)
    before, refused_before = stage.counter("bus.dead_letters"), stage.counter("data_refused")
    stage.until(lambda: stage.counter("data_refused") > refused_before + 40)
    assert stage.counter("bus.dead_letters") - before < 20, "only other strategies' failures are journaled"


def test_a_strategy_that_raises_now_and_then_is_restored_and_goes_on(stage: Stage) -> None:
    stage.until(lambda: any(cell["restarts"] >= 2 for cell in stage.actor(MOODY)["cells"]))
    good = stage.logged(MOODY)
    stage.until(lambda: stage.logged(MOODY) > good + 20)
    stage.until(lambda: stage.actor(MOODY)["state"] == "running")
    stage.until(lambda: "is one too many" in str(stage.cell(MOODY).get("error")))


def test_a_strategy_that_never_comes_back_is_replaced_and_in_the_end_given_up(stage: Stage) -> None:
    stage.until(lambda: stage.actor(BLOCKING)["state"] == "failed", 60.0)
    told = stage.actor(BLOCKING)
    assert told["restarts"] == 2
    assert told["reason"] == "hung: no sign of life for 4 s"
    stage.trades_on()


def test_a_strategy_that_can_not_be_captured_trades_on_and_names_the_attribute(stage: Stage) -> None:
    stage.until(lambda: "Unpicklable.lock" in str(stage.cell(UNPICKLABLE).get("error")))
    before = stage.ticks(UNPICKLABLE)
    stage.until(lambda: stage.ticks(UNPICKLABLE) > before + 5)
    assert stage.actor(UNPICKLABLE)["state"] == "running"
    stage.until(lambda: stage.counter("snapshots_failed") > 0)


def test_nonsense_on_the_websocket_is_counted_and_the_session_goes_on(stage: Stage) -> None:
    venue = json.loads((stage.store / "venues" / "bybit.json").read_text())
    order = {"streams": [{"stream": stream, "kind": "garbage"} for stream in ("public", "private")]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{venue['port']}/control/faults", data=json.dumps(order).encode(), method="POST"
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        assert answer.status == 200

    def malformed() -> float:
        for child in _children(stage.session.tree()):
            if child["name"] == "exchange/bybit":
                return float(child["detail"]["adapter"].get("malformed", 0))
        return 0

    stage.until(lambda: malformed() >= 1)
    stage.trades_on()


def test_a_second_session_in_the_same_store_is_refused(stage: Stage) -> None:
    with pytest.raises(SessionError, match=r"expected the store .* to be free, found it in use by process \d+"):
        Session.start(stage.session.settings)


def test_the_status_of_a_session_shows_who_was_given_up(stage: Stage) -> None:
    stage.until(lambda: stage.actor(RAISING)["state"] == "failed")
    answer = command("status", "--config", "test", "--store", stage.store)
    assert answer.status == 0
    row = next(line for line in answer.out.splitlines() if RAISING in line and "strategy" in line)
    assert "failed" in row
    found = json.loads(command("status", "--config", "test", "--store", stage.store, "--json").out)
    assert found["symbols"][GOOD]["ticks"] > 0


def test_a_wrong_token_can_do_nothing(stage: Stage) -> None:
    token = stage.store / "token"
    right = token.read_text()
    try:
        token.write_text("guessed")
        text = refused("halt", "--config", "test", "--store", stage.store)
        assert "401" in text
        assert "expected the token of this session" in text
    finally:
        token.write_text(right)
    assert stage.overview()["trading_state"] == "ACTIVE"


def test_a_journal_in_use_can_be_backed_up_but_not_replaced(stage: Stage, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    given = ("--config", "test", "--store", stage.store)
    answer = command("journal", "backup", place, *given)
    assert answer.status == 0, answer
    assert "records, verified" in answer.out
    assert "found something there: name another folder" in refused("journal", "backup", place, *given)
    assert "found it in use by process" in refused("journal", "restore", place, "--overwrite", *given)


def test_a_gateway_whose_port_is_taken_ends_the_start_with_its_own_words(
    ray_session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the look beforehand would have seen may also happen after it.
    monkeypatch.setattr(bigwheel.session, "check", lambda *given, **said: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = settings_in(
            tmp_path, gateway={"port": port}, symbols=[GOOD], strategies=[{"name": "trend"}], supervision={}
        )
        began = time.monotonic()
        with pytest.raises(
            SessionError, match=rf"gateway: SetupError: expected port {port} on 127\.0\.0\.1 to be free"
        ):
            Session.start(settings)
        assert time.monotonic() - began < 60, "it does not wait for what can't come"
