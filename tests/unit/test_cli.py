"""The command line over a journal on disk: what it prints, and how it refuses."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import pytest

from actors.bus.turn import keys_of
from actors.messages.learning import Ban, FeedbackIssued, Lesson, Policy, PolicyIssued, Stage
from actors.messages.signals import (
    Approved,
    Blocked,
    Evaluating,
    Executed,
    Executing,
    Expired,
    Generated,
    Learned,
    Step,
)
from actors.risk.settings import HighTrack
from bigwheel.queries import select
from exchanges.model.order import OrderStatus
from runtime.journal.store import LmdbJournal
from runtime.message import Message
from strategies.signal import Signal, client_order_id
from tests.unit.brain_context import SECOND, START_NS
from tests.unit.brain_samples import BTC, ETH, make_approved, make_filled, make_signal, order_changed
from tests.unit.front_door import bigwheel, refused
from tests.unit.risk_desk import Desk

STEPS = (
    Step("gates", False, "EXPOSURE_LIMIT_SYMBOL", {"exposure": "1200", "limit": "1000"}),
    Step("sizing", True, "", {"quantity": "1"}),
)

DONE = make_signal(0, reason="fast above slow", features={"fast": 101.5, "slow": 99.25})
DENIED = make_signal(1, symbol=ETH, strategy="reversion")
LATE = make_signal(2, symbol=BTC, strategy="reversion")
OPEN = make_signal(3, symbol=ETH)


class Scribe:
    """Writes a journal as the bus does: each record caused by its signal's last."""

    def __init__(self, store: Path) -> None:
        self.journal = LmdbJournal(store / "journal", epoch=1)
        self.ts = START_NS
        self.last: dict[str, int] = {}

    def write(self, event: Message, source: str = "bus", signal: str = "") -> None:
        keys = keys_of(event)
        about = signal or keys.get("signal", "")
        self.ts += SECOND
        seq = self.journal.append(
            event,
            ts=self.ts,
            source=source,
            epoch=1,
            keys=keys,
            correlation=about,
            causation=self.last.get(about, 0),
        )
        self.last[about] = seq

    def begin(self, signal: Signal) -> tuple[str, str, str]:
        about = (signal.id, signal.strategy, signal.symbol)
        self.write(Generated(*about, signal), f"strategy/{signal.strategy}/{signal.symbol}")
        return about

    def close(self) -> None:
        self.journal.commit()
        self.journal.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose journal holds one signal of each fate."""
    scribe = Scribe(tmp_path)
    done = scribe.begin(DONE)
    order = client_order_id(DONE.id)
    scribe.write(Evaluating(*done))
    scribe.write(Approved(*done, make_approved(DONE), STEPS[1:]), "risk")
    scribe.write(Executing(*done, order), "exchange/bybit")
    scribe.write(order_changed(DONE, OrderStatus.OPEN), "exchange/bybit")
    scribe.write(make_filled(DONE, "e1", "1", "100", fee="0.055"), "exchange/bybit")
    scribe.write(Executed(*done, order, Decimal(1), Decimal(100)), "exchange/bybit")
    lesson = (*done, "EXECUTED", 100.0, 101.0, 0.0099, 10 * SECOND, False)
    scribe.write(Lesson(*lesson), "learner")
    scribe.write(Learned(*done, 1, 0.0099), "learner")
    scribe.write(FeedbackIssued("trend", BTC, 2, 1.1, 0.09, 3, 1, 0.004), "learner")
    denied = scribe.begin(DENIED)
    scribe.write(Evaluating(*denied))
    detail = "EXPOSURE_LIMIT_SYMBOL: exposure=1200 limit=1000"
    scribe.write(Blocked(*denied, "exposure", "EXPOSURE_LIMIT_SYMBOL", detail, STEPS[:1]), "risk")
    late = scribe.begin(LATE)
    scribe.write(Expired(*late, "no verdict within its time-to-live", 30 * SECOND))
    scribe.begin(OPEN)
    scribe.close()
    return tmp_path


def ids(*arguments: str | Path) -> list[str]:
    answer = bigwheel("signals", "--json", *arguments)
    assert answer.status == 0, answer
    return [row["id"] for row in json.loads(answer.out)]


# -- signals ---------------------------------------------------------------------------


def test_signals_come_the_one_that_changed_last_first(store: Path) -> None:
    assert ids("--store", store) == [OPEN.id, LATE.id, DENIED.id, DONE.id]


def test_a_signal_that_goes_on_while_it_is_read_has_its_place_by_what_is_told_of_it(store: Path) -> None:
    scribe = Scribe(store)
    scribe.ts += 100 * SECOND
    read = scribe.journal.read
    grown: list[str] = []

    def growing(*given: Any, **told: Any) -> Any:
        """The late signal's story goes on while the rows are put together."""
        if told.get("value") == LATE.id and not grown:
            grown.append(LATE.id)
            scribe.write(Learned(LATE.id, LATE.strategy, LATE.symbol, 2, 0.001), "learner")
            scribe.journal.commit()
        return read(*given, **told)

    with mock.patch.object(scribe.journal, "read", growing):
        rows = select(scribe.journal)
    scribe.close()
    assert grown
    assert [row.signal.id for row in rows] == [LATE.id, OPEN.id, DENIED.id, DONE.id]
    assert rows[0].state == "LEARNED"


@pytest.mark.parametrize(
    ("narrowing", "wanted"),
    [
        (["--state", "BLOCKED"], [DENIED]),
        (["--state", "blocked"], [DENIED]),
        (["--state", "EXPIRED"], [LATE]),
        (["--state", "LEARNED"], [DONE]),
        (["--state", "GENERATED"], [OPEN]),
        (["--state", "EXECUTED"], [DONE]),
        (["--symbol", ETH], [OPEN, DENIED]),
        (["--strategy", "reversion"], [LATE, DENIED]),
        (["--strategy", "reversion", "--symbol", BTC], [LATE]),
        (["--strategy", "nobody"], []),
        (["--limit", "1"], [OPEN]),
        (["--since", "2001-01-01"], [OPEN, LATE, DENIED, DONE]),
        (["--since", "5m"], []),
    ],
)
def test_signals_can_be_narrowed(store: Path, narrowing: list[str], wanted: list[Signal]) -> None:
    assert ids("--store", store, *narrowing) == [signal.id for signal in wanted]


def test_since_leaves_out_what_did_not_change_after_it(store: Path) -> None:
    last_two = START_NS // SECOND + 14
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(last_two))
    assert ids("--store", store, "--since", moment) == [OPEN.id, LATE.id]


def test_a_row_says_why_it_ended(store: Path) -> None:
    rows = {row["id"]: row for row in json.loads(bigwheel("signals", "--json", "--store", store).out)}
    assert rows[DENIED.id]["detail"] == "EXPOSURE_LIMIT_SYMBOL: exposure=1200 limit=1000"
    assert rows[LATE.id]["detail"] == "no verdict within its time-to-live"
    assert rows[DONE.id]["detail"] == "outcome +0.00990"
    assert rows[DONE.id]["features"] == {"fast": 101.5, "slow": 99.25}


def test_the_table_of_signals_shows_id_state_and_detail(store: Path) -> None:
    out = bigwheel("signals", "--store", store).out
    for text in (DENIED.id, "BLOCKED", "reversion", ETH, "0.800"):
        assert text in out


@pytest.mark.parametrize("columns", [80, 60])
def test_a_narrow_terminal_leaves_the_ids_whole(store: Path, columns: int) -> None:
    out = bigwheel("signals", "--store", store, columns=columns).out
    assert all(signal.id in out for signal in (DONE, DENIED, LATE, OPEN))


def test_what_goes_to_a_file_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    scribe = Scribe(tmp_path)
    told = "EXPOSURE_LIMIT_SYMBOL: " + " ".join(f"part{number}=1200" for number in range(20))
    scribe.write(Blocked(*scribe.begin(OPEN), "exposure", "EXPOSURE_LIMIT_SYMBOL", told))
    scribe.close()
    assert told in bigwheel("signals", "--store", tmp_path, columns=None).out


def test_what_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    scribe.write(Blocked(*scribe.begin(OPEN), "venue", "X", "[/red] said the [bold]venue"))
    scribe.close()
    assert "[/red] said the [bold]venue" in bigwheel("signals", "--store", tmp_path).out


def test_an_empty_journal_has_no_signals(tmp_path: Path) -> None:
    Scribe(tmp_path).close()
    assert ids("--store", tmp_path) == []


# -- why -------------------------------------------------------------------------------


def test_why_tells_an_executed_signal_from_market_data_to_lesson(store: Path) -> None:
    lines = bigwheel("why", DONE.id, "--store", store).out.splitlines()
    numbered = [line for line in lines if line.startswith("#")]
    assert [int(line[1:].split()[0]) for line in numbered] == list(range(1, 11))
    told = "\n".join(lines)
    for text in (
        f"GENERATED buy {BTC} by trend, conviction 0.800: fast above slow",
        f"from Trade {BTC}@1.0 at 100",
        "fast = 101.5",
        f"APPROVED as {client_order_id(DONE.id)}: buy 1 {BTC} limit at 100",
        "passed sizing quantity=1",
        "filled 1 at 100 as taker, fee 0.055 USDT (execution e1)",
        "position after it: 1 at 100",
        "EXECUTED: 1 at 100 on average",
        "its outcome: +0.009900 from 100 to 101 over 10 s",
        "LEARNED: outcome +0.009900",
        "next time size x1.100, conviction from 0.090 (version 2, 3 won, 1 lost)",
    ):
        assert text in told
    assert numbered[1].endswith("because of #1: EVALUATING, put to the risk supervisor (attempt 1)")


def test_why_tells_each_step_of_a_real_evaluation_with_its_numbers(tmp_path: Path) -> None:
    desk, scribe = Desk(high=HighTrack(0.5)), Scribe(tmp_path)
    knots = ((0.0, 0.5), (1.0, 0.7))
    policy = Policy(3, {"flow|": 2.0}, {f"trend|{BTC}": knots}, bans={f"trend|{ETH}": Ban(1 << 62, "decayed")})
    desk.entry(PolicyIssued(policy, Stage.TRIAL, 1.0))
    told = []
    for ordinal, symbol in enumerate((BTC, ETH)):
        signal = desk.signal(ordinal, symbol=symbol, sources={"flow": 0.8, "noise": -0.1})
        verdict, about = desk.ask(signal), scribe.begin(signal)
        learned = ("quiet-ranging", verdict.policy, verdict.arm)
        if verdict.order is not None:
            scribe.write(Approved(*about, verdict.order, verdict.steps, *learned), "risk")
        else:
            scribe.write(Blocked(*about, verdict.gate, verdict.code, verdict.detail, verdict.steps, *learned), "risk")
        told.append(signal.id)
    scribe.close()
    good, bad = (bigwheel("why", signal_id, "--store", tmp_path).out for signal_id in told)
    for text in (
        "opinion of flow = +0.8",
        "judged by policy 3, on the trial side of a trial, in a market that was quiet-ranging",
        "passed ensemble flow=0.8 weight=2 age_ns=0 noise=-0.1 weight=1 age_ns=0 combined=0.5 side=buy",
        "passed conviction conviction=0.5 threshold=0 by=settings policy=3 arm=trial",
        "passed sizing track=high method=fixed fraction=0.01 multiplier=1 by=settings equity=10000 share=1",
        "passed correlated_exposure exposure=100.3",
        "passed dry_run strategy=trend quantity=1.000",
    ):
        assert text in good
    assert "DENIED bans [BANNED] scope=" in bad and "reason=decayed policy=3" in bad


def test_why_takes_a_client_order_id_too(store: Path) -> None:
    by_order = bigwheel("why", client_order_id(DONE.id), "--store", store)
    assert by_order == bigwheel("why", DONE.id, "--store", store)


def test_why_tells_what_a_blocked_signal_failed_on(store: Path) -> None:
    out = bigwheel("why", DENIED.id, "--store", store).out
    assert "BLOCKED at gate exposure: EXPOSURE_LIMIT_SYMBOL" in out
    assert "DENIED gates [EXPOSURE_LIMIT_SYMBOL] exposure=1200 limit=1000" in out


def test_why_tells_how_old_an_expired_signal_was(store: Path) -> None:
    assert (
        "EXPIRED after 30.000 s: no verdict within its time-to-live" in bigwheel("why", LATE.id, "--store", store).out
    )


def test_why_of_an_unknown_id_names_where_ids_are_found(store: Path) -> None:
    text = refused("why", "nobody", "--store", store)
    assert "found 'nobody'" in text
    assert "`bigwheel signals` lists the ids" in text


# -- the journal -----------------------------------------------------------------------


def test_a_sound_journal_verifies(store: Path) -> None:
    answer = bigwheel("journal", "verify", "--store", store)
    assert answer.status == 0
    assert answer.out.startswith("16 records (#1 to #16), ")
    assert answer.out.rstrip().endswith("clean")
    assert json.loads(bigwheel("journal", "verify", "--json", "--store", store).out)["records"] == 16


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_journal_is_told_and_its_exit_status_is_1(store: Path, damage: str) -> None:
    spoil(store / "journal" / "data.mdb", damage)
    answer = bigwheel("journal", "verify", "--store", store)
    assert answer.status == 1
    assert "DAMAGED" in answer.out
    assert "expected" in answer.out
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize(
    "command", [["signals"], ["why", "x"], ["journal", "export", "OUT"], ["journal", "backup", "OUT"]]
)
def test_a_damaged_journal_is_refused_by_whoever_reads_it(store: Path, command: list[str]) -> None:
    spoil(store / "journal" / "data.mdb", "garbage")
    given = [str(store / "out.jsonl") if part == "OUT" else part for part in command]
    assert "expected an LMDB store" in refused(*given, "--store", store)


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_session_does_not_start_on_a_damaged_journal(store: Path, damage: str) -> None:
    spoil(store / "journal" / "data.mdb", damage)
    text = refused("run", "--quiet", "--config", "test", "--store", store)
    assert "bigwheel journal restore BACKUP --overwrite" in text


def test_a_backup_is_verified_and_can_be_put_back(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup"
    answer = bigwheel("journal", "backup", copy, "--store", store)
    assert (answer.status, answer.out) == (0, f"{copy}: 16 records, verified\n")
    spoil(store / "journal" / "data.mdb", "garbage")
    assert "say replace" in refused("journal", "restore", copy, "--store", store)
    assert bigwheel("journal", "restore", copy, "--overwrite", "--store", store).status == 0
    assert len(ids("--store", store)) == 4
    assert (store / "journal.replaced-1").exists()


def test_a_backup_does_not_overwrite(store: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert "name another folder" in refused("journal", "backup", tmp_path / "there", "--store", store)


def test_what_is_no_backup_is_not_restored(store: Path, tmp_path: Path) -> None:
    assert "expected a sound backup" in refused("journal", "restore", tmp_path / "no", "--overwrite", "--store", store)
    assert len(ids("--store", store)) == 4


def test_an_export_holds_every_record_decoded(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    assert bigwheel("journal", "export", file, "--store", store).out == f"{file}: 16 records\n"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, 17))
    assert rows[0]["event"]["signal"]["reason"] == "fast above slow"
    table = tmp_path / "all.parquet"
    assert bigwheel("journal", "export", table, "--store", store).status == 0
    assert pq.read_table(table).num_rows == 16


def test_an_export_since_a_time_leaves_out_what_came_before(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "part.jsonl"
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START_NS // SECOND + 14))
    assert bigwheel("journal", "export", file, "--since", moment, "--store", store).out.endswith(": 3 records\n")
    assert bigwheel("journal", "export", file, "--since", "1s", "--store", store).out.endswith(": 0 records\n")


@pytest.mark.parametrize("name", ["out.csv", "no/such/folder/out.jsonl"])
def test_an_export_that_can_not_be_written_is_refused(store: Path, tmp_path: Path, name: str) -> None:
    assert "expected" in refused("journal", "export", tmp_path / name, "--store", store)


def spoil(file: Path, damage: str) -> None:
    data = file.read_bytes()
    if damage == "truncated":
        data = data[: len(data) // 3]
    elif damage == "garbage":
        data = b"\x7fnot a journal" * (len(data) // 14)
    else:
        data = b""
    file.write_bytes(data)


# -- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["FROZEN", "approve"])
def test_an_unknown_state_names_those_there_are(store: Path, state: str) -> None:
    assert f"EXPIRED, LEARNED), found '{state}'" in refused("signals", "--state", state, "--store", store)


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "", " 5 parsecs"])
def test_a_since_that_is_no_time_is_refused(store: Path, since: str) -> None:
    if since:
        assert "expected a time such as 2026-03-01T12:00" in refused("signals", "--since", since, "--store", store)
    else:
        assert len(ids("--since", since, "--store", store)) == 4, "none given: no limit"
