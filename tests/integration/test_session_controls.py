"""What people do to a running session: watch it, hold it up, submit to it, ask it why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from actors.messages.control import ControlTaken
from actors.messages.signals import Approved, Blocked
from bigwheel import Runtime, Strategy
from bigwheel.books import records
from bigwheel.cli.app import app
from bigwheel.client import GatewayClient
from bigwheel.errors import SessionError, UsageError
from bigwheel.queries import open_journal
from bigwheel.runtime import Handle
from exchanges.model.market import Bar, Trade
from runtime.journal.record import Record
from tests.integration.stage import SYMBOLS, Json, Stage, overrides, until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
BTC, ETH = SYMBOLS


class Hoard(Strategy):
    """Only ever buys, so that there is something to flatten."""

    every = 10

    def on_start(self) -> None:
        self.seen = 0

    def on_trade(self, trade: Trade) -> None:
        self.seen += 1
        if self.seen % self.params.every == 0 and self.position.quantity < Decimal("0.05"):
            self.buy(1.0, f"trade {self.seen}", quantity="0.01")


class Pair(Strategy):
    """Buys each of its symbols until it has some, on bars of its own length; wants a past there is little of."""

    together = True
    timeframes = ("2s",)
    history = {"1m": 5}

    def on_start(self) -> None:
        self.bars: dict[str, int] = {}

    def on_bar(self, bar: Bar) -> None:
        if bar.interval_ns == 2_000_000_000:
            self.bars[bar.symbol] = self.bars.get(bar.symbol, 0) + 1
            # An order may be refused: the data were old, or the next bar is there before the fill.
            if not self.positions[bar.symbol].quantity and self.bars[bar.symbol] >= 2:
                self.buy(1.0, "its second bar or a later one", quantity="0.01", symbol=bar.symbol)


class Theatre(NamedTuple):
    """A session of the Python API, and the stage to look at it from."""

    runtime: Runtime
    stage: Stage

    def journal(self, *kinds: str, after: int = 0) -> list[Record]:
        with open_journal(self.stage.store) as journal:
            return list(records(journal, after, kinds))

    def head(self) -> int:
        with open_journal(self.stage.store) as journal:
            return journal.head

    def generated(self, more: int) -> None:
        """Wait for ``more`` signals."""
        signals, _ = self.stage.progress()
        until(lambda: self.stage.progress()[0] >= signals + more, 30, f"{more} more signals")


@pytest.fixture(scope="module")
def session(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    given = overrides(tmp_path_factory.mktemp("controls"), "controls")
    before = Stage.processes()
    runtime = Runtime.start("test", strategies=True, settings=given)
    stage = Stage(runtime.settings)
    stage.before, stage.session = before, runtime._session
    try:
        stage.all_up()
        yield Theatre(runtime, stage)
    finally:
        runtime.shutdown()


@pytest.fixture
def theatre(session: Theatre) -> Theatre:
    """The session, up and trading without restrictions whatever the test before did to it."""
    session.stage.all_up()
    if session.stage.seen()["trading_state"] != "ACTIVE":
        session.stage.act("resume")
        session.stage.trading("ACTIVE")
    return session


# -- looking ---------------------------------------------------------------------------


def test_health_is_good_while_everything_runs_and_bad_while_an_actor_is_gone(theatre: Theatre) -> None:
    stage = theatre.stage
    stage.healthy(True)

    def seen_after_a_blow() -> bool:
        os.kill(stage.actor("learner")["pid"], signal.SIGKILL)
        try:
            stage.healthy(False, 2)
        except AssertionError:
            return False
        return True

    # A warm spare may be there between two looks; after each further blow its start is held back longer.
    assert any(seen_after_a_blow() for _ in range(4))
    stage.healthy(True)


def test_health_is_bad_while_an_actor_hangs_until_it_is_replaced(theatre: Theatre) -> None:
    stage = theatre.stage
    pid = stage.actor("learner")["pid"]
    os.kill(pid, signal.SIGSTOP)
    stage.healthy(False, 10)
    stage.healthy(True)
    assert stage.actor("learner")["pid"] != pid
    assert not Path(f"/proc/{pid}").exists()


def test_metrics_are_prometheus_text_with_every_actor_in_it(theatre: Theatre) -> None:
    theatre.stage.trades_on()
    status, text = theatre.stage.get("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    up = {sample.labels["actor"]: sample.value for sample in families["bigwheel_actor_up"].samples}
    assert {"bus", "risk", "learner", "exchange/bybit", "root"} <= set(up)
    assert set(up.values()) == {1.0}
    states = {sample.labels["state"]: sample.value for sample in families["bigwheel_signals"].samples}
    assert states["EXECUTED"] > 0
    assert families["bigwheel_tick_to_order_seconds"].samples[0].value > 0


# -- holding up ------------------------------------------------------------------------


def test_nobody_acts_without_the_token(theatre: Theatre) -> None:
    stage = theatre.stage
    assert stage.post({"action": "halt"}, token="")[0] == 401
    assert stage.post({"action": "panic"}, token="somebody-else's")[0] == 401
    assert stage.post({"action": "explode"})[0] == 400
    theatre.generated(3)
    assert stage.seen()["trading_state"] == "ACTIVE"


def test_while_halted_no_order_leaves_and_after_the_resume_trading_goes_on(theatre: Theatre) -> None:
    stage = theatre.stage
    stage.trades_on()
    client = GatewayClient(stage.store)
    given = client.control("halt", reason="a look at the news")
    stage.trading("HALTED")
    stage.settle()
    orders, head = len(stage.venue()["orders"]), theatre.head()
    theatre.generated(5)
    stage.settle()
    assert len(stage.venue()["orders"]) == orders
    assert theatre.journal("Approved", after=head) == []
    blocked = [record.event for record in theatre.journal("Blocked", after=head)]
    assert len(blocked) >= 4
    assert {event.gate for event in blocked if isinstance(event, Blocked)} == {"trading_state"}
    taken = [record.event for record in theatre.journal("ControlTaken")]
    assert given in {event.control_id for event in taken if isinstance(event, ControlTaken)}
    client.control("resume")
    stage.trading("ACTIVE")
    stage.trades_on()


def test_while_reducing_only_orders_that_lower_a_position_leave(theatre: Theatre) -> None:
    stage = theatre.stage
    stage.trades_on()
    stage.act("reduce")
    stage.trading("REDUCING")
    stage.settle()
    head = theatre.head()
    theatre.generated(8)
    stage.settle()
    approved = [record.event for record in theatre.journal("Approved", after=head)]
    assert all(event.order.reduce_only for event in approved if isinstance(event, Approved))
    assert theatre.journal("Blocked", after=head)
    stage.act("resume")
    stage.trading("ACTIVE")
    stage.trades_on()


def test_a_panic_leaves_the_account_flat_and_trading_halted(theatre: Theatre) -> None:
    stage = theatre.stage
    handle = theatre.runtime.submit(Hoard, [ETH], label="hoard")
    until(lambda: Decimal(shown(handle, ETH).get("position", 0)) >= Decimal("0.02"), 30, "a position")
    given = stage.act("panic")
    stage.trading("HALTED")

    def flat() -> bool:
        return any(
            isinstance(r.event, ControlTaken)
            and r.event.control_id.startswith(given)
            and r.event.action.endswith("flat")
            for r in theatre.journal("ControlTaken")
        )

    until(flat, 20, "the report that all is flat")
    venue = stage.venue()
    assert [row for row in venue["positions"] if Decimal(row["size"])] == []
    assert [order for order in venue["orders"] if order["orderStatus"] in ("New", "PartiallyFilled")] == []
    until(lambda: not any(Decimal(p["position"]) for p in theatre.runtime.positions().values()), 10, "flat books")
    until(lambda: not Decimal(shown(handle, ETH).get("position", 1)), 10, "a flat strategy")
    assert stage.seen()["trading_state"] == "HALTED"
    handle.stop()


# -- the Python API --------------------------------------------------------------------


def shown(handle: Handle, symbol: str) -> Json:
    """What a strategy says of itself on a symbol; nothing while its actor starts or does not answer."""
    return handle.status().get(symbol, {})


def test_a_class_of_the_callers_own_is_submitted_paused_resumed_and_stopped(theatre: Theatre) -> None:
    runtime = theatre.runtime
    handle = runtime.submit(Hoard, [BTC], {"every": 5}, label="mine")
    until(lambda: shown(handle, BTC).get("signals", 0) > 1, 30, "its signals")
    with pytest.raises(UsageError):
        runtime.submit(Hoard, [BTC], {"every": 6}, label="mine")
    with pytest.raises(UsageError, match="bybit:DOGEUSDT"):
        runtime.submit(Hoard, ["bybit:DOGEUSDT"], label="other")
    handle.pause()
    until(lambda: shown(handle, BTC).get("paused"), 10, "the pause")
    row = shown(handle, BTC)
    signals, ticks = row["signals"], row["ticks"]
    until(lambda: shown(handle, BTC).get("ticks", 0) > ticks + 40, 20, "ticks")
    assert shown(handle, BTC)["signals"] == signals
    handle.resume()
    until(lambda: not shown(handle, BTC).get("paused", True), 10, "the end of the pause")
    pid = theatre.stage.actor("strategy/mine/bybit:BTCUSDT")["pid"]
    handle.stop()
    assert handle.status() == {}
    until(lambda: not Path(f"/proc/{pid}").exists(), 5, "its process to end")


def test_one_strategy_on_two_symbols_has_bars_of_its_own_length_and_survives_its_process(theatre: Theatre) -> None:
    handle = theatre.runtime.submit(Pair, SYMBOLS, label="pair")
    (cell,) = handle.cells

    def held() -> set[str]:
        return {symbol for symbol, row in handle.status().items() if Decimal(row["position"])}

    until(lambda: held() == set(SYMBOLS), 60, "a position in both symbols")
    before = shown(handle, BTC)
    assert before["symbols"] == list(SYMBOLS)
    assert not before["warming"]
    os.kill(theatre.stage.actor(cell)["pid"], signal.SIGKILL)
    until(lambda: handle.status().get(ETH, {}).get("ticks", 0) > before["ticks"] + 50, 30, "data after the blow")
    until(lambda: held() == set(SYMBOLS), 10, "the positions it held before")
    assert theatre.stage.seen()["strategies"]["pair"]["symbols"] == list(SYMBOLS)
    handle.stop()


def test_the_api_tells_of_signals_and_positions(theatre: Theatre) -> None:
    theatre.stage.trades_on()
    learned = theatre.runtime.signals(state="learned", limit=5)
    assert learned and {row.state for row in learned} == {"LEARNED"}
    churned = theatre.runtime.signals(strategy="churn", symbol=ETH, limit=3)
    assert {(row.signal.strategy, row.signal.symbol) for row in churned} == {("churn", ETH)}
    assert set(SYMBOLS) <= set(theatre.runtime.positions())
    with pytest.raises(UsageError, match="expected a state"):
        theatre.runtime.signals(state="LOST")


SECOND = """
import json, sys
from bigwheel import Runtime
runtime = Runtime.connect(sys.argv[1])
runtime.submit("reversion", ["bybit:ETHUSDT"], label="second")
found = {"symbols": list(runtime.settings.symbols), "rate": runtime.settings.risk.orders_per_second}
found |= {"positions": sorted(runtime.positions()), "signals": len(runtime.signals(limit=7))}
found["halt"] = runtime.control("halt", reason="from another process")
runtime.shutdown()
print(json.dumps(found))
"""


def test_another_process_joins_submits_gives_an_order_and_leaves_the_session_running(theatre: Theatre) -> None:
    stage = theatre.stage
    done = subprocess.run(
        [sys.executable, "-c", SECOND, str(stage.store)],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["signals"] == 7
    assert (found["symbols"], found["rate"]) == (list(SYMBOLS), stage.settings.risk.orders_per_second)
    assert set(SYMBOLS) <= set(found["positions"])
    stage.trading("HALTED")
    assert stage.down() == []
    assert stage.actor("strategy/second/bybit:ETHUSDT")["state"] == "running"


# -- the command line ------------------------------------------------------------------


def _run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_status_prints_the_whole_system_as_json(theatre: Theatre) -> None:
    found = json.loads(_run("status", "--store", str(theatre.stage.store), "--json"))
    assert set(SYMBOLS) == set(found["symbols"])
    assert {actor["name"] for actor in found["actors"]} >= {"root", "bus", "risk", "exchange/bybit"}


def test_why_tells_the_story_of_an_executed_and_of_a_blocked_signal(theatre: Theatre) -> None:
    stage, store = theatre.stage, str(theatre.stage.store)
    stage.trades_on()
    stage.act("halt")
    stage.trading("HALTED")
    # The strategies contradict each other now and then, and the ensemble is asked first.
    halted = until(
        lambda: [r.event for r in theatre.journal("Blocked") if r.event.gate == "trading_state"],  # type: ignore[attr-defined]
        30,
        "a signal that the halt blocked",
    )
    stage.settle()
    executed, blocked = theatre.journal("Executed")[-1].event, halted[-1]
    told = _run("why", executed.signal_id, "--store", store)  # type: ignore[attr-defined]
    for step in ("GENERATED", "EVALUATING", "APPROVED", "EXECUTING", "filled", "EXECUTED"):
        assert step in told
    assert told.index("APPROVED") < told.index("filled") < told.index("EXECUTED:")
    assert "#" in _run("why", executed.client_id, "--store", store)  # type: ignore[attr-defined]
    told = _run("why", blocked.signal_id, "--store", store)
    assert "BLOCKED at gate trading_state" in told and "APPROVED" not in told
    rows = json.loads(_run("signals", "--store", store, "--json", "--limit", "50"))
    assert len(rows) == 50
    assert [row["changed_ns"] for row in rows] == sorted((row["changed_ns"] for row in rows), reverse=True)


# -- the end ---------------------------------------------------------------------------


def test_a_shutdown_leaves_nothing_behind(theatre: Theatre) -> None:
    stage, store = theatre.stage, theatre.stage.store
    began = time.monotonic()
    theatre.runtime.shutdown()
    assert time.monotonic() - began < 15
    theatre.runtime.shutdown()
    assert ray.is_initialized(), "it was not the session that started Ray"
    assert stage.left_over() == {}
    assert not (store / "session.json").exists()
    with pytest.raises(SessionError):
        Runtime.connect(store, config="test")
