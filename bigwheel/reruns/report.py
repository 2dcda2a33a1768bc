"""What a re-run found, and how it is told."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from bigwheel.reruns.comparison import Compared, Comparison, Unequal
from bigwheel.reruns.stage import Stage
from bigwheel.times import stamp
from runtime.tape.player import Difference
from runtime.tape.reader import Cause, Missing

_SAME = "the same"


class Rerun(msgspec.Struct):
    """The outcome of a re-run.

    ``taken``, ``anew``, ``absent``, ``added`` and ``withheld`` are those of ``Stage``; ``borrowed`` are journal records
    that were taken from the recording. ``first`` is the earliest decision that is another one: what all other
    differences come from. ``decisions`` counts effects that were compared, ``otherwise`` incarnations of actors that
    decided something else.
    """

    signals: Comparison
    orders: Comparison
    records: Comparison
    actors: int
    lives: int
    messages: int
    decisions: int
    otherwise: int
    taken: dict[str, int]
    anew: dict[str, int]
    absent: int
    added: int
    withheld: int
    borrowed: int
    seconds: float
    first: Difference | None = None
    missing: list[tuple[str, Missing]] = []

    @classmethod
    def of(cls, stage: Stage, compared: Compared, seconds: float) -> Self:
        """The outcome of a stage that has run."""
        tallies = [player.tally for player in stage.players]
        found = [tally.difference for tally in tallies if tally.difference is not None]
        gone = [(f"{tally.actor}#{tally.epoch}", one) for tally in tallies for one in tally.missing]
        return cls(
            compared.signals,
            compared.orders,
            compared.records,
            len({tally.actor for tally in tallies}),
            len(tallies),
            sum(tally.messages for tally in tallies),
            sum(tally.compared for tally in tallies),
            len(found),
            dict(stage.taken),
            dict(stage.anew),
            stage.absent,
            stage.added,
            stage.withheld,
            stage.log.borrowed,
            seconds,
            min(found, key=lambda one: one.now, default=None),
            [*stage.missing, *gone],
        )

    @property
    def ok(self) -> bool:
        """Whether signals, orders and every decision are the recorded ones, with nothing damaged or missing."""
        lacking = any(missing.cause is not Cause.NOTE for _, missing in self.missing)
        same = self.signals.ok and self.orders.ok and self.records.ok
        return same and not (self.otherwise or self.absent or self.added or self.withheld or lacking)


def lines(found: Rerun) -> list[str]:
    """The outcome for people."""
    said = [
        f"{found.lives} lives of {found.actors} actors, {found.messages:,} messages, {found.decisions:,} decisions, "
        f"in {found.seconds:.1f} s",
        f"from the recording: {_counts(found.taken)}",
        f"made anew: {_counts(found.anew)}",
        *_side("signals", found.signals),
        *_side("orders", found.orders),
        *_side("journal records", found.records, states=False),
    ]
    for count, what in (
        (found.borrowed, "journal records taken from the recording: the bus's tape lacks what they came from"),
        (found.absent, "messages that were received in the recording, and not sent in this run"),
        (found.added, "messages of this run that there are not in the recording"),
        (found.withheld, "answers of a venue withheld: this run did not ask"),
    ):
        if count:
            said.append(f"{count:,} {what}")
    said += [f"{name}: {missing.cause}: {missing.text}" for name, missing in found.missing]
    if found.first is not None:
        said += _why(found.first)
    return [*said, "the session and its re-run are equal" if found.ok else "the session and its re-run DIFFER"]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "nothing"


def _side(name: str, side: Comparison, *, states: bool = True) -> list[str]:
    told = _SAME if side.ok else f"DIFFERENT: {max(side.recorded, side.rerun) - side.equal:,}"
    text = f"{name}: {side.recorded:,} recorded, {side.rerun:,} again, {side.equal:,} equal: {told}"
    if states and side.states:
        text += f" ({_counts({state.lower(): count for state, count in side.states.items()})})"
    return [text, *(_unequal(side.different[0]) if side.different else ())]


def _unequal(one: Unequal) -> list[str]:
    """The first difference of a kind: what differs of both sides."""
    names = one.fields or list(one.recorded or one.rerun or {})
    return [
        f"    the first of them is {one.key}: {', '.join(one.fields) or 'on one side alone'}",
        f"      recorded: {_shown(one.recorded, names)}",
        f"      again:    {_shown(one.rerun, names)}",
    ]


def _shown(row: dict[str, Any] | None, names: list[str]) -> str:
    return ", ".join(f"{name}={row.get(name)!r}" for name in names) if row is not None else "nothing"


def _why(found: Difference) -> list[str]:
    """The first other decision."""
    none = ["nothing"]
    return [
        f"it begins with {found.actor}#{found.epoch} at its message {found.number}, {stamp(found.now)}, from "
        f"{found.sender}: {found.message}",
        *(f"      recorded: {line}" for line in found.recorded or none),
        *(f"      again:    {line}" for line in found.replayed or none),
    ]
