"""What ``bigwheel backtest --session`` refuses, and the parts of a re-run by themselves."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import msgspec

from actors.bus.ledger import Ledger
from actors.messages.signals import Evaluating, Generated
from actors.window import remember, window
from bigwheel.reruns.comparison import compare
from bigwheel.reruns.log import Log
from bigwheel.reruns.mail import KEEP_NS, Mail
from runtime.host.cell import Record as Written
from runtime.journal.memory import MemoryJournal
from runtime.message import Message
from tests.unit.brain_samples import make_signal
from tests.unit.front_door import refused


def test_a_session_without_tapes_is_refused_and_told_how_to_keep_them(tmp_path: Path) -> None:
    said = refused("backtest", "--session", tmp_path)
    assert f"expected the tapes of a session in {tmp_path / 'tapes'}, found none" in said
    assert "audit.enabled: true" in said
    assert "found none at" in refused("backtest", "--session", tmp_path / "nowhere")


def test_a_session_brings_all_it_is_run_with(tmp_path: Path) -> None:
    said = refused("backtest", "trend", "--cash", "5", "--session", tmp_path)
    assert "found cash, strategy as well" in said
    assert "or --session STORE" in refused("backtest", "trend")


def test_mail_gives_each_message_once_and_again_to_a_successor() -> None:
    mail = Mail()
    mail.put("a", "b", b"recorded", b"made", 1, lasting=True)
    assert mail.take("a", "c", b"recorded") is None
    assert mail.take("a", "b", b"recorded") == b"made"
    assert mail.take("a", "b", b"recorded") == b"made", "who comes after one that died has it again"
    mail.void("a", "b", b"other")
    assert mail.voided("a", "b", b"other") and not mail.voided("a", "b", b"recorded")


def test_mail_lets_go_of_market_data_that_nobody_asked_for_and_of_nothing_else() -> None:
    mail = Mail()
    mail.put("a", "b", b"tick", b"tick", 1, lasting=False)
    mail.put("a", "b", b"order", b"order", 2, lasting=True)
    mail.forget(KEEP_NS)
    assert mail.take("a", "b", b"tick") is None
    assert mail.take("a", "b", b"order") == b"order"


def _journal(*events: Message, epoch: int = 1) -> MemoryJournal:
    journal = MemoryJournal()
    for event in events:
        journal.append(event, ts=5, source="bus", epoch=epoch, keys={})
    journal.commit()
    return journal


def _events(count: int) -> list[Message]:
    signals = [make_signal(number) for number in range(count)]
    return [Generated(signal.id, signal.strategy, signal.symbol, signal) for signal in signals]


def test_what_a_bus_had_not_flushed_is_gone_and_what_its_tape_lacks_is_borrowed() -> None:
    one, two, three = _events(3)
    log = Log(_journal(two, three, epoch=2))
    log.reach(1, restarted=True, lost=False)
    log.write(Written(one, {}, "", 0, True), 5, "bus", 1, 1)
    assert log.find(1) is None, "the recording has another incarnation's record under that number"
    assert log.next_seq == 2
    log.reach(1, restarted=True, lost=True)
    assert log.next_seq == 1
    log.reach(3, restarted=False, lost=True)
    assert [record.event for record in log.records] == [two, three]
    assert log.borrowed == 2


def test_records_of_messages_that_this_run_has_not_are_not_borrowed() -> None:
    log = Log(_journal(*_events(3)))
    log.reach(3, restarted=False, lost=False)
    assert log.borrowed == 0 and log.records == []
    assert log.voided(1) and log.voided(2) and not log.voided(3)


def test_signals_on_one_side_alone_are_named() -> None:
    one, two = _events(2)
    assert isinstance(two, Generated)
    step = Evaluating(two.signal_id, two.strategy, two.symbol)
    found = compare(_journal(one, two, step).read(0, 9), _journal(one, step).read(0, 9))
    assert (found.signals.recorded, found.signals.rerun, found.signals.equal) == (2, 1, 1)
    (different,) = found.signals.different
    assert different.key == two.signal_id and different.rerun is None
    assert not found.signals.ok and found.orders.ok and not found.records.ok


def test_a_window_forgets_its_oldest_as_a_plain_dict_does_and_comes_back_as_one() -> None:
    plain: dict[str, int] = {}
    quick = window(plain)
    for number in range(500):
        for kept in (plain, quick):
            remember(kept, str(number * 7 % 90), number, 40)
    assert list(quick.items()) == list(plain.items())
    assert msgspec.msgpack.encode(quick) == msgspec.msgpack.encode(plain)
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(Ledger(reports=quick)), type=Ledger)
    assert isinstance(restored.reports, OrderedDict) and restored.reports == plain
