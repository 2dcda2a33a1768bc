"""Runs a session's tapes through the same brains again, and says whether they decide the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.host import TradingHost
from bigwheel.errors import SessionError, UsageError
from bigwheel.queries import open_journal
from bigwheel.times import moment_ns, stamp
from runtime.behavior import Behavior
from runtime.errors import BigwheelError, SupervisionError, TapeError
from runtime.host.cell import Cell
from runtime.supervision.assignment import Assignment, CellAssignment
from runtime.supervision.incarnation import load_class
from runtime.tape.format import Head
from runtime.tape.player import CellPlayer, Tally, Window
from runtime.tape.reader import Cause, Incarnation, Missing, Read, head_of, incarnations, items
from strategies.state import attributes
from strategies.strategy import Strategy

Progress = Callable[[int], None]
Builder = Callable[[CellAssignment], Behavior]
Builders = Callable[[Head, Assignment], Builder]


class State(msgspec.Struct, frozen=True):
    """One brain as it was: what it says of itself, and everything it knew, JSON-ready.

    ``last_ns`` is when it had handled the last of its ``messages`` on the tape until then.
    """

    actor: str
    epoch: int
    messages: int
    last_ns: int
    status: dict[str, object]
    state: Any
    attributes: dict[str, str]


class Report(msgspec.Struct):
    """What a replay found. ``missing`` are (incarnation, what is not on its tape)."""

    tallies: list[Tally] = []
    missing: list[tuple[str, Missing]] = []
    states: list[State] = []

    @property
    def differences(self) -> int:
        """Incarnations of actors that decided otherwise."""
        return sum(tally.difference is not None for tally in self.tallies)

    def causes(self, cause: Cause) -> int:
        """How many things are missing for ``cause``."""
        told = [missing for _, missing in self.missing] + [one for tally in self.tallies for one in tally.missing]
        return sum(missing.cause is cause for missing in told)

    @property
    def ok(self) -> bool:
        """Whether everything that was ever taped was decided again, with no gap and no damage in it."""
        return not (self.differences or self.causes(Cause.DAMAGE) or self.causes(Cause.GAP))


def window_of(store: Path, since: int, until: int, moment: str = "") -> Window:
    """The part of a session between two journal records (0: open), or up to ``moment``, a record's number or a time.

    Raises:
        UsageError: the journal has no such record, or ``moment`` is neither.
    """
    if moment:
        if moment.isdigit():
            return Window(until=_written(store, int(moment)), stop=int(moment) + 1)
        return Window(until=moment_ns(moment))
    first = _written(store, since) if since else 0
    return Window(first, _written(store, until), until + 1) if until else Window(first)


def _written(store: Path, seq: int) -> int:
    """When a record was written, in nanoseconds."""
    with open_journal(store) as journal:
        found = journal.read(seq - 1, 1) if seq > 0 else []
        if not found or found[0].seq != seq:
            raise UsageError(f"expected the number of a record from 1 to {journal.head}, found {seq}")
        return found[0].ts


def tapes(store: Path) -> list[Incarnation]:
    """The tapes of a session; empty where none was kept.

    Raises:
        SessionError: there is no such folder.
    """
    if not store.is_dir():
        raise SessionError(f"expected the folder of a session, found none at {store}")
    return incarnations(store)


def replay(
    found: list[Incarnation],
    window: Window,
    *,
    actor: str = "",
    inspect: bool = False,
    progress: Progress = lambda size: None,
    builder: Builders | None = None,
) -> Report:
    """Run tapes again.

    Args:
        found: the incarnations.
        window: what of them is compared, and where they end.
        actor: an actor's name, or the beginning of one up to a ``/``; empty for all.
        inspect: report the state at the window's end as well.
        progress: called with the number of bytes read.
        builder: makes the brains of an incarnation; by default the actors' own ``build``.

    Raises:
        UsageError: no tape is that of ``actor``.
    """
    report = Report()
    latest: dict[str, tuple[CellPlayer, Cell]] = {}
    for incarnation in found:
        players = _play(incarnation, window, actor, report, progress, builder or builder_of)
        for player in players:
            tally, cell = player.tally, player.cell
            if tally.messages or tally.skipped or tally.missing:
                report.tallies.append(tally)
            if cell is not None and player.begun_ns <= window.until:
                latest[tally.actor] = player, cell
    if actor and not report.tallies and not latest:
        raise UsageError(f"expected the name of an actor with a tape, found {actor!r}; there are {_names(found)}")
    if inspect:
        report.states = [_state(player, cell) for player, cell in latest.values()]
    return report


def _names(found: list[Incarnation]) -> str:
    return ", ".join(dict.fromkeys(incarnation.host for incarnation in found))


def _wanted(name: str, actor: str) -> bool:
    return not actor or name == actor or name.startswith(f"{actor}/")


def builder_of(head: Head, assignment: Assignment) -> Builder:
    """What makes the brains of an incarnation: the ``build`` of its host's class.

    Raises:
        TapeError: that class hosts no brains of this program.
        ValueError, ImportError, SupervisionError: it can't be found, or its settings can't be read.
    """
    owner = load_class(head.actor_class)
    if not (isinstance(owner, type) and issubclass(owner, TradingHost)):
        raise TapeError(f"expected {head.actor_class} to host brains of this program, found that it is another class")
    return owner.builder(assignment)


def opened(
    incarnation: Incarnation, builder: Builders, actor: str = ""
) -> tuple[Head, Assignment, Builder] | Missing | None:
    """What an incarnation was, and what makes its brains again; or why that can't be told.

    ``None`` if no brain of ``actor`` is among them (empty: any will do).
    """
    head = head_of(incarnation)
    if head is None:
        return Missing("none of its files begins as one: what it was can't be told", Cause.DAMAGE)
    try:
        assignment = msgspec.msgpack.decode(head.assignment, type=Assignment)
        if not any(_wanted(cell.name, actor) for cell in assignment.cells):
            return None
        return head, assignment, builder(head, assignment)
    except (BigwheelError, SupervisionError, ValueError, ImportError) as error:
        return Missing(f"its brains can't be made again: {error}", Cause.DAMAGE)


def _play(
    incarnation: Incarnation,
    window: Window,
    actor: str,
    report: Report,
    progress: Progress,
    builder: Builders,
) -> list[CellPlayer]:
    """Run one incarnation; what is missing of it goes into the report."""
    name = f"{incarnation.host}#{incarnation.epoch}"
    told = opened(incarnation, builder, actor)
    if told is None:
        progress(incarnation.size)
        return []
    if isinstance(told, Missing):
        report.missing.append((name, told))
        return []
    head, assignment, build = told
    players = {
        number: CellPlayer(
            cell.name,
            incarnation.epoch,
            functools.partial(build, cell),
            journals=bool(assignment.journal),
            digests=head.effects == "digest",
            window=window,
        )
        for number, cell in enumerate(assignment.cells)
        if _wanted(cell.name, actor)
    }
    for item in items(incarnation):
        if isinstance(item, Missing):
            report.missing.append((name, item))
            for player in players.values():
                player.missing(item.cause)
        elif isinstance(item, Read):
            progress(item.size)
        elif not isinstance(item, Head) and item.cell in players:
            players[item.cell].take(item.first, item.frames)
    return list(players.values())


def _state(player: CellPlayer, cell: Cell) -> State:
    tally, behavior = player.tally, cell.behavior
    try:
        known = msgspec.msgpack.decode(behavior.snapshot())
    except (BigwheelError, msgspec.DecodeError) as error:
        known = f"it can't be shown: {error}"
    strategy = getattr(behavior, "strategy", None)
    own = {name: repr(value) for name, value in attributes(strategy).items()} if isinstance(strategy, Strategy) else {}
    return State(tally.actor, tally.epoch, tally.messages, player.now(), behavior.status(), known, own)


def lines(report: Report) -> list[str]:
    """The report for people."""
    said = []
    for tally in report.tallies:
        said.append(_line(tally))
        said.extend(f"    {missing.cause}: {missing.text}" for missing in tally.missing)
        if tally.difference is not None:
            said.extend(_difference(tally))
    said.extend(f"{name}: {missing.cause}: {missing.text}" for name, missing in report.missing)
    messages, compared = sum(t.messages for t in report.tallies), sum(t.compared for t in report.tallies)
    ending = "every decision is the same" if report.ok else _fault(report)
    said.append(f"{len(report.tallies)} lives of actors, {messages} messages, {compared} decisions compared: {ending}")
    return said


def _fault(report: Report) -> str:
    told = {
        "DIFFERENT DECISIONS": report.differences,
        "DAMAGE": report.causes(Cause.DAMAGE),
        "GAPS": report.causes(Cause.GAP),
    }
    return ", ".join(f"{name}: {count}" for name, count in told.items() if count)


def _line(tally: Tally) -> str:
    text = f"{tally.actor}#{tally.epoch}: {tally.messages} messages, {tally.compared} decisions"
    if tally.skipped:
        text += f", {tally.skipped} messages before its first kept state passed over"
    if tally.left_out:
        text += f", {tally.left_out} sends of market data not compared (its beginning has made room)"
    return text


def _difference(tally: Tally) -> list[str]:
    found = tally.difference
    if found is None:
        return []
    none = ["nothing"]
    return [
        f"    DIFFERENT at its message {found.number}, {stamp(found.now)}, from {found.sender}: {found.message}",
        *(f"      recorded: {line}" for line in found.recorded or none),
        *(f"      replayed: {line}" for line in found.replayed or none),
    ]
