"""A whole session for a test: started small, broken on purpose, and audited from outside."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import ray

from actors.bus.lifecycle import OPEN
from actors.gateway.token import read_token
from actors.messages.control import ActorRestarted
from actors.messages.orders import Filled, LegPlanned
from actors.messages.signals import Approved, Generated
from actors.risk import state as risk_state
from actors.venue.note import read_note
from bigwheel.books import Books, records
from bigwheel.queries import open_journal
from bigwheel.session import Session
from conf import Settings, load
from exchanges.model.order import Side
from runtime.host.cell import CellState
from runtime.journal import audit
from runtime.journal.record import Record
from runtime.snapshots import SnapshotStore

Json = dict[str, Any]
ZERO = Decimal(0)
SYMBOLS = ("bybit:BTCUSDT", "bybit:ETHUSDT")
CHURN = "tests.integration.churn:Churn"
NO_ACTORS = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
STARTING_CASH = Decimal(100_000)
PATIENCE = 3.0
"""A machine that others use, too, may take so many times longer; a condition that holds is never waited for."""
EVERY = 20
"""The trades from one signal of a strategy to its next."""


def settings(store: Path, namespace: str, **more: Any) -> Settings:
    """The settings of ``overrides``."""
    return load("test", overrides(store, namespace, **more), environ={})


def overrides(store: Path, namespace: str, **more: Any) -> dict[str, Any]:
    """What makes of the environment ``test`` a small, lively session; ``more`` are further sections."""
    (store / "signals").mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "store": str(store),
        "symbols": list(SYMBOLS),
        "strategies": [{"name": CHURN, "label": "churn", "params": {"every": EVERY, "folder": str(store / "signals")}}],
        "ray": {"namespace": namespace},
        "simulator": {"rate": 40.0},
        "risk": {"orders_per_second": 1_000, "orders_per_minute": 50_000},
        "exchange": {"bybit": {"orders_per_second": 50, "streams": ["trade", "quote"]}},
    }
    for section, values in more.items():
        known = given.get(section)
        given[section] = {**known, **values} if isinstance(known, dict) and isinstance(values, Mapping) else values
    return given


def actor_processes() -> dict[int, str]:
    """The actors of the Ray that this process started, warm spares included, by process id."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            actor = title.startswith("ray::") and not title.startswith(NO_ACTORS)
            if actor and descends(int(entry.name), os.getpid()):
                found[int(entry.name)] = title
    return found


def descends(pid: int, root: int) -> bool:
    """Whether the process is ``root`` or was started by it, however indirectly."""
    while pid > 1:
        if pid == root:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            return False
    return False


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(what: Callable[[], Any], within_s: float, waiting_for: str) -> Any:
    """Look again and again until ``what()`` is true, and return it."""
    limit = time.monotonic() + within_s * PATIENCE
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < limit, f"after {within_s * PATIENCE:g} s still waiting for {waiting_for}"
        time.sleep(0.05)


class Stage:
    """One session on one store, and everything a test asks of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = settings.store
        self.session: Session | None = None
        self.before = self.processes()
        self.pids: set[int] = set()
        self.recoveries: dict[str, float] = {}

    # -- life ----------------------------------------------------------------------

    @staticmethod
    def processes() -> set[int]:
        """The actors that run now, whosesoever they are."""
        return set(actor_processes())

    def start(self) -> None:
        self.session = Session.start(self.settings)
        self.all_up()

    def stop(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            self.pids |= set(self.mine())
            session.stop("the test is over")

    def mine(self) -> dict[int, str]:
        """The processes of this session's actors."""
        return {pid: title for pid, title in actor_processes().items() if pid not in self.before}

    def left_over(self) -> dict[int, str]:
        """What still runs a moment after the stop."""
        limit = time.monotonic() + 5 * PATIENCE
        while (rest := {p: t for p, t in self.mine().items() if alive(p)}) and time.monotonic() < limit:
            time.sleep(0.05)
        return rest

    # -- looking -------------------------------------------------------------------

    def overview(self) -> Json:
        """The newest overview; empty while the root does not answer."""
        return self.session.overview() if self.session is not None else {}

    def seen(self) -> Json:
        """An overview that is there."""
        found: Json = until(self.overview, 20, "the root's answer")
        return found

    def actor(self, name: str) -> Json:
        found: Json = until(
            lambda: next((row for row in self.overview().get("actors", []) if row["name"] == name), None),
            20,
            f"{name} in the overview",
        )
        return found

    def all_up(self) -> None:
        until(lambda: not self.down(), 60, f"every actor to run, down are {self.down()}")

    def down(self) -> list[str]:
        """What does not run, or runs and has not caught up."""
        found = self.overview()
        if not found:
            return ["root"]
        bad = [row["name"] for row in found["actors"] if row["state"] != "running" or not row["pid"]]
        for venue, said in found["venues"].items():
            bad.extend(f"{venue}.{key}" for key in ("public_up", "private_up", "reconciled") if not said.get(key))
        return bad if found["venues"] and found["gateway"] else [*bad, "venue or gateway"]

    def venue(self) -> Json:
        """The venue's own word: orders, executions, positions and wallet of our account."""
        note = read_note(self.store, "bybit")
        assert note is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{note.http}/control/state", timeout=10) as answer:
            state: Json = json.load(answer)["accounts"]["main"]
        return state

    def progress(self) -> tuple[int, int]:
        """Signals and fills in the journal so far."""
        with open_journal(self.store) as journal:
            kinds = Counter(record.kind for record in records(journal, kinds=("Generated", "Filled")))
        return kinds["Generated"], kinds["Filled"]

    def trades_on(self, more: int = 3, within_s: float = 30) -> None:
        """Wait until signals and fills have risen by ``more`` from now."""
        signals, fills = self.progress()
        until(
            lambda: all(now >= then + more for now, then in zip(self.progress(), (signals, fills), strict=True)),
            within_s,
            f"{more} more signals and fills than {signals} and {fills}, found {self.progress()}",
        )

    # -- breaking ------------------------------------------------------------------

    def await_spares(self) -> None:
        """Wait until every kind of spare that is wanted is warm."""

        def warm() -> bool:
            assert self.session is not None
            tree = self.session.tree()
            nests = [tree, *(child["detail"] for child in tree["children"] if child["kind"] == "supervisor")]
            return all(count for nest in nests for count in nest.get("spares", {}).values())

        until(warm, 60, "warm spares")

    def kill(self, *names: str) -> float:
        """``kill -9`` actors at one blow and wait until they run again; returns the seconds that took."""
        pids = {name: int(self.actor(name)["pid"]) for name in names}
        began = time.monotonic()
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)

        def back() -> bool:
            rows = {row["name"]: row for row in self.overview().get("actors", [])}
            return all(
                name in rows and rows[name]["state"] == "running" and rows[name]["pid"] not in (0, pid)
                for name, pid in pids.items()
            )

        until(back, 40, f"{', '.join(names)} to come back")
        self.all_up()
        took = time.monotonic() - began
        if len(names) == 1:
            self.recoveries[names[0]] = self.actor(names[0])["recovery_ms"] or took * 1e3
        return took

    def kill_whole(self) -> set[int]:
        """``kill -9`` every process of the session at once; nobody starts anything again. Returns their ids."""
        assert self.session is not None
        pids = set(self.mine())
        ray.kill(self.session.root, no_restart=True)
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in pids), 10, "all processes to be gone")
        self.session._lock.free()
        self.session = None
        return pids

    # -- the gateway ---------------------------------------------------------------

    def url(self) -> str:
        return str(json.loads((self.store / "gateway.json").read_text())["url"])

    def healthy(self, wanted: bool, within_s: float = 30) -> None:
        """Wait until ``/health`` answers 200 (``wanted``) or 503."""
        code = 200 if wanted else 503
        until(lambda: self.get("/health")[0] == code, within_s, f"/health to answer {code}")

    def get(self, path: str) -> tuple[int, str]:
        return self._ask(urllib.request.Request(self.url() + path))

    def post(self, body: Json, token: str | None = None) -> tuple[int, str]:
        """An order to the gateway; with the session's own token unless another one is given."""
        request = urllib.request.Request(self.url() + "/control", method="POST", data=json.dumps(body).encode())
        given = read_token(self.store / "token") if token is None else token
        if given:
            request.add_header("Authorization", f"Bearer {given}")
        return self._ask(request)

    def act(self, action: str) -> str:
        """Give an order; returns its id."""
        status, text = self.post({"action": action, "reason": "a test"})
        assert status == 202, text
        return str(json.loads(text)["id"])

    def trading(self, state: str) -> None:
        """Wait until bus and connection both say ``state``."""

        def said() -> bool:
            found = self.overview()
            return bool(found) and found["trading_state"] == state == found["venues"]["bybit"]["trading"]

        until(said, 15, f"trading to be {state}")

    def settle(self) -> None:
        """Wait until no signal is open and nothing works at the venue, twice in a row."""
        calm = [0]

        def done() -> bool:
            found = self.overview()
            still = bool(found) and not found["open_signals"] and not found["venues"]["bybit"]["working"]
            calm[0] = calm[0] + 1 if still else 0
            return calm[0] >= 2

        until(done, 30, "open signals and working orders to end")

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, str]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=15) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return int(error.code), error.read().decode()


@contextmanager
def on_stage(settings: Settings) -> Iterator[Stage]:
    """A started stage, which is stopped whatever happens."""
    stage = Stage(settings)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


class Evidence:
    """The journal of a store, read once it has come to rest, next to the venue's last word."""

    def __init__(self, store: Path, venue: Json) -> None:
        self.store, self.venue = store, venue
        with open_journal(store) as journal:
            self.records: list[Record] = list(records(journal))
        self.books = Books.of(self.records)

    # -- the journal by itself -----------------------------------------------------

    def problems(self) -> list[str]:
        """What ``verify`` finds, and every signal or execution that is there twice or left open."""
        report = audit.verify(self.store / "journal")
        found = list(report.problems) if not report.ok else []
        generated = Counter(r.event.signal_id for r in self.records if isinstance(r.event, Generated))
        found.extend(f"signal {i} was generated {n} times" for i, n in generated.items() if n > 1)
        causes = Counter(self.cause(r.event) for r in self.records if isinstance(r.event, Generated))
        found.extend(f"{cause} gave {n} signals" for cause, n in causes.items() if n > 1)
        found.extend(f"signal {i} is left {state}" for i, state in self.books.states.items() if state in OPEN)
        fills = Counter(r.event.fill.execution_id for r in self.records if isinstance(r.event, Filled))
        found.extend(f"execution {i} is in the journal {n} times" for i, n in fills.items() if n > 1)
        violations = [r for r in self.records if r.kind == "LifecycleViolation"]
        found.extend(f"violation at {r.seq}: {r.event}" for r in violations)
        found.extend(f"repair: {r}" for r in self.books.repairs if r.what != "opening position")
        return found + self._epochs()

    @staticmethod
    def cause(event: Generated) -> tuple[str, str, str]:
        signal = event.signal
        return signal.strategy, signal.symbol, signal.cause.tick_id

    def _epochs(self) -> list[str]:
        """The journal's own epochs never fall, nor do those of the actors it tells of."""
        found: list[str] = []
        highest: dict[str, int] = {}
        for record in self.records:
            told = [("bus (as writer)", record.epoch)]
            event = record.event
            if isinstance(event, ActorRestarted):
                told.append((event.name, event.epoch))
            for name, epoch in told:
                if epoch < highest.get(name, 0):
                    found.append(f"record {record.seq}: {name} is at epoch {epoch} after {highest[name]}")
                highest[name] = max(epoch, highest.get(name, 0))
        return found

    def restarts(self) -> set[str]:
        """The actors whose restart is journaled."""
        return {r.event.name for r in self.records if isinstance(r.event, ActorRestarted)}

    def missing_signals(self) -> list[str]:
        """Signals a strategy says that it made, and the journal does not have."""
        said = {made for symbol in SYMBOLS for made in made_signals(self.store, symbol)}
        assert said, "expected the strategies to have noted their signals"
        return sorted(said - set(self.books.states))

    def trade_numbers(self, symbol: str) -> list[int]:
        """For each signal of ``symbol``, how many trades its strategy had seen by its own count."""
        events = [record.event for record in self.records if record.kind == "Generated"]
        return [int(e.signal.reason.split()[1]) for e in events if isinstance(e, Generated) and e.symbol == symbol]

    # -- next to the venue ---------------------------------------------------------

    def unapproved_orders(self) -> list[str]:
        """Orders at the venue that are there twice, or that no earlier record approved or planned."""
        approved = {r.event.order.client_id: r.ts for r in self.records if isinstance(r.event, Approved | LegPlanned)}
        ids = Counter(order["orderLinkId"] for order in self.venue["orders"])
        found = [f"{client_id} is at the venue {n} times" for client_id, n in ids.items() if n > 1]
        for order in self.venue["orders"]:
            client_id = str(order["orderLinkId"])
            if client_id.startswith("bw-P"):
                continue
            written = approved.get(client_id)
            if written is None:
                found.append(f"{client_id} was never approved")
            elif written // 1_000_000 > int(order["createdTime"]):
                found.append(f"{client_id} was at the venue before its approval was written")
        return found

    def executions(self) -> tuple[set[str], set[str]]:
        """Execution ids: the venue's, and the journal's."""
        return {str(e["execId"]) for e in self.venue["executions"]}, {name for _, name in self.books.executions}

    def journal_positions(self) -> dict[str, Decimal]:
        """Signed sums of the journal's fills."""
        sums = dict.fromkeys(SYMBOLS, ZERO)
        for record in self.records:
            event = record.event
            if isinstance(event, Filled):
                sums[event.fill.symbol] += event.fill.quantity * event.fill.side.sign
        return sums

    def venue_positions(self) -> dict[str, Decimal]:
        found = dict.fromkeys(SYMBOLS, ZERO)
        for row in self.venue["positions"]:
            sign = Side.BUY.sign if row["side"] == "Buy" else Side.SELL.sign
            found[f"bybit:{row['symbol']}"] = Decimal(row["size"]) * sign
        return found

    def venue_cash(self) -> Decimal:
        """Cash at the venue, to eight decimals."""
        return to_eight(Decimal(self.venue["wallet"]["coin"][0]["walletBalance"]))

    def journal_cash(self) -> Decimal:
        """What the starting balance has become by the journal's fills, to eight decimals."""
        return to_eight(STARTING_CASH + self.books.realized)

    def openings(self) -> list[str]:
        """The symbols whose books were begun, once for each time that was done."""
        return sorted(repair.symbol for repair in self.books.repairs if repair.what == "opening position")

    def risk_positions(self) -> dict[str, Decimal]:
        """The risk supervisor's book, from its last snapshot."""
        state = risk_state.decode(self._snapshot("root", "risk"))
        return {symbol: state.book.position(symbol).quantity for symbol in SYMBOLS}

    def _snapshot(self, supervisor: str, cell: str) -> bytes:
        store = SnapshotStore(str(self.store / "supervisors" / supervisor))
        try:
            return msgspec.msgpack.decode(store.load(cell)[0].state, type=CellState).state
        finally:
            store.close()


def to_eight(cash: Decimal) -> Decimal:
    """``cash`` to eight decimals.

    An average entry price is a quotient, also at the venue: what is beyond its last digits must not decide how a
    half is rounded.
    """
    return round(round(cash, 16), 8)


def made_signals(store: Path, symbol: str) -> list[str]:
    """The ids of the signals that the strategy of ``symbol`` made, as it noted them itself."""
    file = store / "signals" / f"{symbol.partition(':')[2]}.signals"
    return file.read_text().split() if file.exists() else []


def brain_positions(overview: Json) -> dict[str, Decimal]:
    """The exchange brain's positions in an overview."""
    return {symbol: Decimal(overview["symbols"][symbol]["position"]) for symbol in SYMBOLS}
