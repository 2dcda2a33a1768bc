"""The modes that meet a venue, on real Ray and through the command line, with a simulator in the venue's place.

On this machine an address may stand in for the venue's in every mode but ``live``; ``paper`` uses its public
side alone, ``demo`` trades with a key from the environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.names import SESSION_NOTE
from bigwheel.books import Books, records
from bigwheel.queries import open_journal
from bigwheel.reconciliation import VenueBooks, compare
from exchanges.simulators.bybit import BybitSimulator
from runtime.journal import audit
from tests.conformance.floor import venue_books
from tests.integration.listening import is_loopback, listeners
from tests.integration.stage import CHURN, until
from tests.integration.venue_bench import Running, running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET = "demokey-7Q2xVb", "demosecret-Zp93kLw0Rt"
FILLS = 4
JOINING = "import sys; from bigwheel import Runtime; print(len(Runtime.connect(sys.argv[1]).strategy_actors()))"
"""Another process that joins the Ray of a session."""
PROCESSES = {"gcs_server", "raylet", "ray::SignalBus", "ray::Gateway", "ray::VenueSimul"}
"""Some that listen, by the first 15 letters of their names."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: Ray puts sockets below it."""
    with tempfile.TemporaryDirectory(prefix="bw", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def venue() -> Iterator[Running]:
    """The venue: an account with a key of its own, and a market that moves."""
    market = {"symbols": ("BTCUSDT",), "feed": "generator", "rate": 40.0}
    with running(BybitSimulator, api_key=KEY, api_secret=SECRET, **market) as bench:
        yield bench


class Run:
    """``bigwheel run`` as a user starts it, with keys in its environment; without ``venue`` it has one of its own."""

    def __init__(self, mode: str, folder: Path, venue: Running | None, **environment: str) -> None:
        self.store = folder / "store"
        self.folder = folder
        self.config = folder / "mine.yaml"
        self.config.write_text(yaml.safe_dump(self._settings(mode, venue)))
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from bigwheel.cli import main; main()",
                "run",
                "--quiet",
                "--config",
                str(self.config),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**_environment(folder), **environment},
        )

    def _settings(self, mode: str, venue: Running | None) -> dict[str, Any]:
        (self.store / "signals").mkdir(parents=True)
        (self.folder / "ray").mkdir()
        addresses = {}
        if venue is not None:
            simulator = venue.simulator
            addresses = {"rest_url": simulator.url, "public_url": simulator.ws_url, "private_url": simulator.ws_url}
        params = {"every": 10, "folder": str(self.store / "signals")}
        return {
            "extends": "test",
            "mode": mode,
            "store": str(self.store),
            "strategies": [{"name": CHURN, "label": "churn", "params": params}],
            "exchange": {"bybit": {**addresses, "streams": ["trade", "quote"], "credentials": {"sources": ["env"]}}},
            "risk": {"orders_per_second": 1_000, "orders_per_minute": 50_000},
            "ray": {"namespace": f"modes-{mode}", "dashboard": venue is None},
        }

    def books(self) -> Books:
        with open_journal(self.store) as journal:
            return Books.of(records(journal))

    def trades(self) -> None:
        """Wait for some fills."""

        def enough() -> bool:
            assert self.process.poll() is None, self.process.communicate()[0][-3_000:]
            return (self.store / SESSION_NOTE).exists() and self.books().fills >= FILLS

        until(enough, 150, f"{FILLS} fills in {self.store}")

    def stop(self) -> str:
        """Ctrl-C; returns what it said."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=90)
        assert self.process.returncode == 0, said[-3_000:]
        return said

    def holders(self, *texts: str) -> list[str]:
        """The files of the session, its logs and Ray's own, in which one of the texts stands."""
        wanted = [text.encode() for text in texts]
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert any(path.suffix == ".mdb" for path in files)
        assert any("logs" in path.parts and "ray" in path.parts for path in files)
        return [str(path) for path in files if any(text in path.read_bytes() for text in wanted)]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=60)


def _environment(folder: Path) -> dict[str, str]:
    """That of a terminal in which no Ray has run."""
    kept = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    return {**kept, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder / "ray")}


def theirs(venue: Running) -> VenueBooks:
    return venue_books(venue.state()["books"]["main"])


def test_a_demo_session_trades_at_the_venue_and_leaves_its_key_nowhere(folder: Path, venue: Running) -> None:
    run = Run("demo", folder, venue, BYBIT_DEMO_KEY=KEY, BYBIT_DEMO_SECRET=SECRET)
    try:
        run.trades()
        said = run.stop()
    finally:
        run.end()
    assert audit.verify(run.store / "journal").ok
    found = compare(run.books(), "bybit", theirs(venue))
    assert found.reconciled, found.differences
    assert SECRET not in said
    assert KEY not in said
    assert run.holders(KEY, SECRET) == []


def test_a_paper_session_trades_on_the_venues_prices_and_the_venue_hears_of_no_order(
    folder: Path, venue: Running
) -> None:
    run = Run("paper", folder, venue)
    try:
        run.trades()
        run.stop()
    finally:
        run.end()
    assert audit.verify(run.store / "journal").ok
    books = run.books()
    assert [order for order in books.orders.values() if not order.status.final] == []
    assert {order.venue_id.partition("-")[0] for order in books.orders.values() if order.filled} == {"paper"}
    assert theirs(venue).orders == ()


def test_a_key_the_venue_does_not_take_ends_the_start_with_one_sentence(folder: Path, venue: Running) -> None:
    run = Run("demo", folder, venue, BYBIT_DEMO_KEY=KEY, BYBIT_DEMO_SECRET=f"{SECRET}-of-another")
    try:
        said, _ = run.process.communicate(timeout=150)
    finally:
        run.end()
    assert run.process.returncode == 2, said
    assert "expected bybit to take the key from" in said
    assert "in mode demo, found that it was refused (1000" in said
    assert SECRET not in said
    assert theirs(venue).orders == ()


def test_nothing_of_a_session_can_be_reached_from_another_machine_and_processes_of_this_one_join_it(
    folder: Path,
) -> None:
    run = Run("sim", folder, None)
    try:
        run.trades()
        found = listeners(run.process.pid)
        joined = subprocess.run(
            [sys.executable, "-c", JOINING, str(run.store)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env=_environment(folder),
        )
        run.stop()
    finally:
        run.end()
    assert set(found.values()) >= PROCESSES
    assert {place: name for place, name in found.items() if not is_loopback(place)} == {}
    assert (joined.returncode, joined.stdout) == (0, "1\n"), joined.stderr[-3_000:]
