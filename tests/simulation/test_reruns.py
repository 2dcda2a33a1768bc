"""A recorded session, run again as a whole, gives the same signals and orders; what differs is found and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from actors import names
from actors.messages.signals import Evaluate, Verdict
from bigwheel.reruns.effects import paired, told
from bigwheel.reruns.report import lines
from exchanges.model.market import MarketData, Trade
from exchanges.model.venue import CommandResult, Outcome
from runtime import codec
from runtime.behavior import Behavior, Context
from runtime.host.cell import Send, Timer
from runtime.lanes import Delivery
from runtime.message import Message
from runtime.tape.format import FRAMES, Damage, Frame, TapeRules, decode_sections, folder_of, pack, preamble, scan
from tests.simulation.taped import RULES, SECONDS, History, rerun, taped

EXCHANGE = names.exchange("bybit")


@pytest.fixture
def copy(history: History, tmp_path: Path) -> History:
    """The history, to be altered."""
    shutil.copytree(history.store, tmp_path / "copy")
    return History(tmp_path / "copy", history.brains)


def test_all_brains_together_give_the_same_signals_orders_and_records(history: History) -> None:
    found = rerun(*history)
    text = "\n".join(lines(found))
    assert found.ok, text
    assert found.signals.equal == found.signals.recorded > 50, text
    assert found.orders.equal == found.orders.recorded > 3, text
    assert found.signals.states["EXECUTED"] > 0 and found.signals.states["BLOCKED"] > 0, text
    assert found.records.equal == found.records.recorded == len(history.brains.journal.read(0, 10_000)), text
    assert found.taken.keys() == {"kernel", "market data", "venue"}, "nothing of what brains say is taken over"
    assert found.borrowed == 0
    assert found.anew["messages"] > 1_000 and found.anew["timers"] > 50, text
    assert text.endswith("the session and its re-run are equal")


def test_through_crashes_partitions_and_zombies_the_same_comes_of_it(tmp_path: Path) -> None:
    found = rerun(tmp_path, taped(tmp_path, 8, SECONDS, RULES))
    assert found.ok, "\n".join(lines(found))
    assert found.lives > 5 * found.actors
    assert found.signals.equal == found.signals.recorded > 3


def test_where_only_digests_of_decisions_were_kept_it_is_the_same(tmp_path: Path) -> None:
    found = rerun(tmp_path, taped(tmp_path, 9, 2.0, TapeRules(enabled=True, effects="digest")))
    assert found.ok, "\n".join(lines(found))
    assert found.signals.equal > 5


def test_what_tapes_no_longer_hold_is_taken_from_the_recording_and_counted(tmp_path: Path) -> None:
    found = rerun(tmp_path, taped(tmp_path, 15, 6.0, TapeRules(enabled=True, max_bytes=80_000)))
    text = "\n".join(lines(found))
    assert found.ok, text
    assert found.borrowed > 0 and found.taken["borrowed"] > 0
    assert found.anew["records"] > 0
    assert f"{found.borrowed:,} journal records taken from the recording" in text


# -- what differs --------------------------------------------------------------------------


def altered(store: Path, host: str, change: Callable[[Message], Message | None]) -> tuple[Message, Message]:
    """Change the first message on a host's tapes for which ``change`` has another; returns both."""
    for file in sorted(folder_of(store, host).glob("*.tape")):
        written, done = [preamble()], None
        for chunk in scan(file.read_bytes()):
            assert not isinstance(chunk, Damage)
            payload = chunk.payload
            if chunk.kind == FRAMES and done is None:
                payload, done = _rewritten(payload, change)
            written.append(pack(chunk.kind, payload))
        if done is not None:
            file.write_bytes(b"".join(written))
            return done
    raise AssertionError(f"expected a message to change on the tapes of {host}, found none")


def _rewritten(
    payload: bytes, change: Callable[[Message], Message | None]
) -> tuple[bytes, tuple[Message, Message] | None]:
    done = None
    sections = []
    for section in decode_sections(payload):
        rows = []
        for frame in section.frames:
            body = frame.message
            if done is None and not frame.mark:
                old = codec.decode(body)
                new = change(old)
                if new is not None:
                    body, done = msgspec.Raw(codec.encode(new)), (old, new)
            rows.append(_row(frame, body))
        sections.append((section.cell, section.first, rows))
    return msgspec.msgpack.encode(sections), done


def _row(frame: Frame, body: msgspec.Raw) -> tuple[object, ...]:
    row = (body, frame.sender, frame.now, frame.base)
    return (*row, frame.extra) if bytes(frame.extra) else row


def test_an_altered_market_price_is_found_and_named(copy: History) -> None:
    seen: list[Message] = []

    def change(message: Message) -> Message | None:
        seen.append(message)
        wanted = isinstance(message, Trade) and len(seen) > 120
        return msgspec.structs.replace(message, price=message.price * 1.05) if wanted else None  # type: ignore[attr-defined]

    old, new = altered(copy.store, EXCHANGE, change)
    found = rerun(*copy)
    text = "\n".join(lines(found))
    assert not found.ok
    assert found.first is not None and found.first.actor == EXCHANGE, text
    assert isinstance(old, MarketData) and isinstance(new, Trade) and isinstance(old, Trade)
    assert f"price={new.price}" in found.first.message
    assert any(f"price={old.price}" in line for line in found.first.recorded), text
    assert any(f"price={new.price}" in line for line in found.first.replayed), text
    assert "DIFFERENT" in text and text.endswith("the session and its re-run DIFFER")
    assert found.borrowed == 0 and "borrowed" not in found.taken
    assert found.otherwise > 1, "whoever was told of the price decides otherwise, from this run's own messages"


def test_an_altered_answer_of_the_venue_is_found_and_its_signal_named(copy: History) -> None:
    def change(message: Message) -> Message | None:
        if isinstance(message, CommandResult) and message.command == "PlaceOrder":
            return msgspec.structs.replace(message, outcome=Outcome.REJECTED, code="10001", reason="altered")
        return None

    old, _ = altered(copy.store, EXCHANGE, change)
    assert isinstance(old, CommandResult) and old.outcome is not Outcome.REJECTED
    found = rerun(*copy)
    text = "\n".join(lines(found))
    assert not found.ok and found.first is not None
    assert "reason='altered'" in found.first.message and found.first.actor == EXCHANGE, text
    different = found.signals.different[0]
    assert different.key in old.client_id, text
    assert different.recorded is not None and different.rerun is not None
    assert different.rerun["code"] == "VENUE_REJECTED" != different.recorded["code"]
    assert f"the first of them is {different.key}: " in text and "code='VENUE_REJECTED'" in text
    assert found.borrowed == 0, text


class Denying:
    """A risk supervisor that somebody has changed since: it lets nothing through."""

    def __init__(self, inner: Behavior) -> None:
        self.inner = inner
        self.snapshot, self.restore, self.status = inner.snapshot, inner.restore, inner.status

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Evaluate):
            denial = Verdict(message.signal.id, (), gate="changed", code="CHANGED", attempt=message.attempt)
            ctx.send(names.BUS, denial)
        else:
            self.inner.receive(message, ctx)


def test_a_changed_brain_changes_what_the_others_do_and_no_answer_comes_to_what_was_not_asked(history: History) -> None:
    sound = history.brains[names.RISK]
    found = rerun(history.store, history.brains.but(names.RISK, lambda: Denying(sound())))
    text = "\n".join(lines(found))
    assert not found.ok
    assert found.first is not None and found.first.actor == names.RISK, text
    assert found.orders.recorded > 3 and found.orders.rerun == 0, text
    assert found.signals.rerun > 50, "the strategies are asked and judged all the same"
    assert "EXECUTED" not in found.signals.states, text
    assert any(one.rerun and one.rerun["code"] == "CHANGED" for one in found.signals.different)
    assert found.withheld > 0, text
    assert "code='CHANGED'" in text and "answers of a venue withheld" in text


def test_of_two_decisions_like_effects_are_held_against_each_other() -> None:
    one, two, three = Denied("a"), Denied("b"), Denied("c")
    made = [Send("bus", one, False, Delivery.ALL), Send("bus", two, False, Delivery.ALL), Timer("t", 5, None)]
    recorded = told(
        msgspec.msgpack.encode([Send("bus", two, False, Delivery.ALL), Send("bus", three, False, Delivery.ALL)])
    )
    assert recorded is not None
    pairs = {
        (getattr(pair.made, "message", None), pair.told.message if pair.told else None)
        for pair in paired(made, recorded)
    }
    assert pairs == {(two, two), (one, three)}
    assert told(b"") == [] == told(msgspec.msgpack.encode("ValueError: it failed"))
    assert told(msgspec.msgpack.encode(b"12345678")) is None


class Denied(Message):
    text: str
