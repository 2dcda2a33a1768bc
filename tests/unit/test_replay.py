"""``bigwheel replay`` over a store: tapes of strategies, the journal's fold, and how it refuses."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import msgspec
import pytest
from ray import cloudpickle

from actors.bus.fold import apply
from actors.bus.ledger import BusState, Ledger, encode
from actors.bus.settings import BusSettings
from actors.messages.orders import Watching
from actors.messages.signals import Evaluating, Generated
from actors.strategy.actor import SymbolStrategy
from actors.strategy.plan import StrategyPlan
from actors.tree import Planner
from bigwheel import refold as folding
from conf import load
from runtime.host.cell import Cell, CellState, Effect, Parcel
from runtime.journal.store import LmdbJournal
from runtime.lifecycle import CaughtUp
from runtime.message import Message
from runtime.snapshots import SnapshotStore
from runtime.supervision.assignment import Assignment, CellAssignment
from runtime.tape.format import Head, TapeRules, folder_of
from runtime.tape.tape import Tape
from runtime.tape.writer import TapeWriter
from strategies.strategy import Strategy
from tests.unit.brain_context import SECOND, START_NS
from tests.unit.brain_samples import BTC, make_signal, make_trade
from tests.unit.front_door import bigwheel, refused
from tests.unit.tape_bench import Taping

RULES = TapeRules(enabled=True)
TAPED = "strategy/taped/bybit:BTCUSDT"


class Riser(Strategy):
    """Buys when a price is above the highest so far."""

    margin = 0.0

    def on_start(self) -> None:
        self.highest = 0.0

    def on_trade(self, trade: object) -> None:
        price = float(getattr(trade, "price"))  # noqa: B009 - a trade of any kind
        if price > self.highest + self.margin:
            self.highest = price
            self.buy(0.9, "a new high", high=price)


class StrategyTaping(Taping):
    """A strategy's host, taped as the live one is."""

    def __init__(self, store: Path, plan: StrategyPlan) -> None:
        cell = CellAssignment(TAPED, config=msgspec.msgpack.encode(plan))
        settings = load("test", {"store": str(store)}, environ={}).model_dump_json().encode()
        assignment = Assignment(TAPED, "strategy", 7, "", "", str(store), (cell,), settings=settings)
        head = Head(TAPED, 7, 0, "actors.strategy.actor:SymbolStrategy", "full", msgspec.msgpack.encode(assignment))
        self.counted = {}
        self.time = START_NS
        self.writer = TapeWriter(folder_of(store, TAPED), RULES, head)
        self.tape = Tape(self.writer, RULES, self.count)
        build = SymbolStrategy.builder(assignment)
        self.cells = [Cell(TAPED, 7, functools.partial(build, cell), self)]
        self.cells[0].witness = self.tape.track(self.time, 0, None)
        self.cells[0].begin()
        self.sent: list[Effect] = []

    def apply(self, cell: Cell, effects: list[Effect]) -> None:
        self.sent.extend(effects)

    def say(self, message: Message, sender: str = "exchange/bybit") -> None:
        self.cells[0].offer(Parcel(message, sender))
        self.cells[0].step()


def trade(store: Path, plan: StrategyPlan) -> StrategyTaping:
    """Twenty trades, ten of them new highs."""
    bench = StrategyTaping(store, plan)
    bench.say(CaughtUp(0), "bus")
    watch = next(effect for effect in bench.sent if type(effect.message).__name__ == "Watch")  # type: ignore[union-attr]
    bench.say(Watching(watch.message.ticket))  # type: ignore[union-attr]
    for number in range(1, 21):
        price = 100.0 + (number // 2 if number % 2 == 0 else 0)
        bench.say(make_trade(price, seq=number, ts=START_NS + number * SECOND, recv=START_NS))
    bench.tape.close("done")
    return bench


@pytest.fixture
def by_path(tmp_path: Path) -> Path:
    trade(tmp_path, StrategyPlan("taped", BTC, "tests.unit.test_replay:Riser"))
    return tmp_path


def test_a_users_strategy_named_by_its_path_decides_the_same_again(by_path: Path) -> None:
    answer = bigwheel("replay", by_path)
    assert answer.status == 0, answer
    assert "every decision is the same" in answer.out
    assert f"{TAPED}#7: 23 messages" in answer.out


def test_a_strategy_that_travelled_pickled_is_replayed_from_its_plan(tmp_path: Path) -> None:
    class Local(Riser):
        margin = 2.0

    trade(tmp_path, StrategyPlan("taped", BTC, "nowhere:Local", pickled=cloudpickle.dumps(Local)))
    answer = bigwheel("replay", tmp_path, "--json")
    found = json.loads(answer.out)
    assert found["ok"] and answer.status == 0
    assert found["tallies"][0]["compared"] >= 4


def test_a_strategy_that_was_changed_is_shown_with_both_sides(by_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Riser, "margin", 0.5)
    assert bigwheel("replay", by_path).status == 0, "a margin below each step changes nothing"
    monkeypatch.setattr(Riser, "margin", 1.5)
    answer = bigwheel("replay", by_path)
    assert answer.status == 1
    assert "DIFFERENT at its message" in answer.out
    assert "recorded: send to bus: Emit(signal=Signal(" in answer.out
    assert "replayed: nothing" in answer.out
    assert answer.out.strip().endswith("DIFFERENT DECISIONS: 1")


def test_what_a_strategy_knew_at_a_time_is_shown_as_json(by_path: Path) -> None:
    answer = bigwheel("replay", by_path, "--at", "2099-01-01", "--actor", "strategy")
    assert answer.status == 0, answer
    title, _, body = answer.out.partition("\n")
    assert title.startswith(f"{TAPED}#7 after 23 messages, the last at 2023-11-14 22:13:20.0000")
    shown = json.loads(body)
    assert shown["status"]["ticks"] == 20
    assert shown["state"]["seq"] == 20
    assert shown["attributes"] == {"highest": "110.0"}


def test_a_replay_is_narrowed_to_journal_records(by_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = LmdbJournal(by_path / "journal", epoch=1)
    for number in range(25):
        journal.append(
            Evaluating(f"s{number}", "taped", BTC), ts=START_NS + number * 1_000, source="bus", epoch=1, keys={}
        )
    journal.commit()
    journal.close()
    monkeypatch.setattr(Riser, "margin", 1.5)
    found = json.loads(bigwheel("replay", by_path, "--json").out)["tallies"][0]["difference"]
    first = (found["now"] - START_NS) // 1_000 + 1
    before = bigwheel("replay", by_path, "--to", str(first - 1))
    assert before.status == 0, before
    assert f"{found['number'] - 1} messages" in before.out
    assert bigwheel("replay", by_path, "--to", str(first)).status == 1
    after = json.loads(bigwheel("replay", by_path, "--from", str(first + 1), "--json").out)
    assert after["tallies"][0]["difference"]["number"] > found["number"]
    assert "from 1 to 25, found 26" in refused("replay", by_path, "--from", "26")


def test_the_configuration_decides_about_tapes() -> None:
    told = load("test", {"audit": {"max_mb": 9, "effects": "digest"}}, environ={})
    assert Planner(told).root(strategies=False).tapes == TapeRules(True, 9 << 20, "digest")
    assert not Planner(load("test", {"audit": {"enabled": False}}, environ={})).root(strategies=False).tapes.enabled


def test_a_damaged_tape_is_named_and_no_success(by_path: Path) -> None:
    (file,) = (by_path / "tapes").glob("*/*.tape")
    data = bytearray(file.read_bytes())
    data[-80] ^= 1
    file.write_bytes(data)
    answer = bigwheel("replay", by_path)
    assert answer.status == 1
    assert "can't be read: changed" in answer.out
    file.write_bytes(b"")
    answer = bigwheel("replay", by_path)
    assert answer.status == 1
    assert "none of its files begins as one" in answer.out


def test_a_class_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trade(tmp_path, StrategyPlan("taped", BTC, "tests.unit.test_replay:Riser"))
    monkeypatch.delattr("tests.unit.test_replay.Riser")
    answer = bigwheel("replay", tmp_path)
    assert answer.status == 1
    assert "it can't be built here" in answer.out


def test_a_replay_refuses_what_it_can_not_do(by_path: Path, tmp_path: Path) -> None:
    assert "found none at" in refused("replay", tmp_path / "nowhere")
    assert "found both" in refused("replay", by_path, "--at", "1", "--from", "1")
    assert f"found 'risky'; there are {TAPED}" in refused("replay", by_path, "--actor", "risky")
    assert "expected the journal of a session in" in refused("replay", by_path, "--from", "3")
    assert "expected a journal in" in refused("replay", by_path, "--journal-only")


# -- the journal alone ---------------------------------------------------------------------


def journaled(store: Path, count: int = 40) -> Ledger:
    """A journal of ``count`` open signals, twice that many records; returns its fold."""
    journal = LmdbJournal(store / "journal", epoch=1)
    ledger = Ledger()
    for number in range(count):
        signal = make_signal(number)
        about = signal.id, signal.strategy, signal.symbol
        for event in (Generated(*about, signal), Evaluating(*about)):
            ts = START_NS + number * SECOND
            seq = journal.append(event, ts=ts, source="bus", epoch=1, keys={"signal": signal.id})
            apply(ledger, BusSettings(), event, seq, ts)
    journal.commit()
    journal.close()
    return ledger


def saved(store: Path, ledger: Ledger, cursor: int) -> None:
    snapshots = SnapshotStore(store / "supervisors" / "root")
    state = CellState(1, cursor, encode(BusState(ledger=ledger, caught_up=True)))
    snapshots.save("bus", 1, msgspec.msgpack.encode(state))
    snapshots.close()


def test_without_tapes_the_journal_is_folded_and_held_against_the_bus(tmp_path: Path) -> None:
    ledger = journaled(tmp_path)
    ledger.add("duplicates")
    saved(tmp_path, ledger, 80)
    answer = bigwheel("replay", tmp_path)
    assert answer.status == 0, answer
    assert "the bus's snapshot at record 80 (epoch 1): the same as the fold" in answer.out
    assert "80 records folded" in answer.out


def test_a_bus_that_knew_something_else_is_told_where(tmp_path: Path) -> None:
    ledger = journaled(tmp_path)
    signal = make_signal(7).id
    ledger.live[signal].attempts = 3
    saved(tmp_path, ledger, 80)
    answer = bigwheel("replay", tmp_path, "--journal-only")
    assert answer.status == 1
    assert f"DIFFERENT: ledger.live.{signal}.attempts: the fold has 1, the snapshot 3" in answer.out


def test_a_journal_that_lost_its_end_is_told(tmp_path: Path) -> None:
    ledger = journaled(tmp_path)
    saved(tmp_path, ledger, 90)
    answer = bigwheel("replay", tmp_path, "--journal-only")
    assert answer.status == 1
    assert "knows record 90, which the journal lacks: records are GONE" in answer.out


def test_the_ledger_at_any_record_is_shown(tmp_path: Path) -> None:
    journaled(tmp_path)
    assert folding.refold(tmp_path, until=31).ledger["seq"] == 31
    answer = bigwheel("replay", tmp_path, "--journal-only", "--at", "31")
    assert answer.status == 0, answer
    assert '"seq": 31' in answer.out
    assert "found '10m'" in refused("replay", tmp_path, "--journal-only", "--at", "10m")
