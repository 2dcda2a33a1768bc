"""What a session decided, every kind of its brains decides again, through faults, crashes and rollbacks."""

from __future__ import annotations

from pathlib import Path

import msgspec

from actors import names
from actors.messages.signals import Verdict
from bigwheel.replay import lines
from bigwheel.simulations.scenario import LAYOUTS
from runtime.behavior import Behavior, Context
from runtime.message import Message
from runtime.simulation.world import START_NS
from runtime.tape.format import TapeRules
from runtime.tape.player import Window
from runtime.tape.reader import Cause
from tests.simulation.taped import SECONDS, History, replayed, taped

TRADERS = [trader.cell for trader in LAYOUTS["trading"].traders]
KINDS = {names.BUS, names.RISK, names.LEARNER, names.exchange("bybit"), *TRADERS}


def test_every_kind_of_brain_decides_the_same_again(history: History) -> None:
    report = replayed(*history)
    assert report.ok, "\n".join(lines(report))
    assert {tally.actor for tally in report.tallies if tally.compared} >= KINDS
    assert sum(tally.compared for tally in report.tallies) > 500
    assert not any(tally.skipped for tally in report.tallies)


def test_of_digests_every_decision_is_compared_too(tmp_path: Path) -> None:
    report = replayed(tmp_path, taped(tmp_path, 12, 2.0, TapeRules(enabled=True, effects="digest")))
    assert report.ok, "\n".join(lines(report))
    assert sum(tally.compared for tally in report.tallies) > 100


def test_from_any_kept_state_on_every_brain_decides_the_same_again(tmp_path: Path) -> None:
    rules = TapeRules(enabled=True, max_bytes=80_000)
    report = replayed(tmp_path, taped(tmp_path, 14, 6.0, rules))
    assert not report.differences, "\n".join(lines(report))
    assert not report.causes(Cause.DAMAGE), "\n".join(lines(report))
    assert any("made room" in missing.text for _, missing in report.missing)
    assert any(tally.skipped for tally in report.tallies)


class Changed:
    """A risk supervisor that somebody has changed since: its verdicts say a word more."""

    def __init__(self, inner: Behavior) -> None:
        self.inner = inner
        self.snapshot, self.restore, self.status = inner.snapshot, inner.restore, inner.status

    def receive(self, message: Message, ctx: Context) -> None:
        self.inner.receive(message, _Wordy(ctx))  # type: ignore[arg-type]


class _Wordy:
    def __init__(self, inner: Context) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def send(self, to: str, message: Message, **options: object) -> None:
        if isinstance(message, Verdict):
            message = msgspec.structs.replace(message, detail=f"{message.detail} indeed")
        self._inner.send(to, message, **options)  # type: ignore[arg-type]


def test_a_brain_that_was_changed_is_found_out_at_its_first_other_decision(history: History) -> None:
    sound = history.brains[names.RISK]
    report = replayed(history.store, history.brains.but(names.RISK, lambda: Changed(sound())))
    different = [tally for tally in report.tallies if tally.difference is not None]
    assert {tally.actor for tally in different} == {names.RISK}
    found = different[0]
    assert found.difference is not None
    assert found.difference.message.startswith("Evaluate(")
    assert found.difference.recorded != found.difference.replayed
    assert "Verdict(" in found.difference.recorded[0]
    assert "indeed" in found.difference.replayed[0]
    text = "\n".join(lines(report))
    assert "DIFFERENT at its message" in text
    assert "DIFFERENT DECISIONS" in text


def test_what_a_brain_knew_can_be_looked_at_for_any_moment(history: History) -> None:
    half = START_NS + int(SECONDS / 2 * 1e9)
    early, late = (
        {state.actor: state for state in replayed(*history, window=Window(until=until)).states}
        for until in (half, START_NS + int(SECONDS * 1e9))
    )
    assert set(early) >= KINDS
    # A crash may take a strategy back to an older state, but never the bus behind its journal.
    traders = [early[cell] for cell in TRADERS]
    assert any(int(str(trader.status["ticks"])) for trader in traders)
    assert any(trader.attributes for trader in traders)
    assert all(trader.last_ns <= half for trader in traders)
    assert int(str(early[names.BUS].status["seq"])) < int(str(late[names.BUS].status["seq"]))
