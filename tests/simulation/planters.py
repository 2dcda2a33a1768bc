"""Violations, each planted into a run that would hold without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from actors import names
from actors.exchange.state import PANIC_PREFIX
from actors.messages.learning import Lesson
from actors.messages.orders import Filled, FlowEnded, Repaired
from actors.messages.signals import Approved, ApprovedOrder, Evaluating, Generated
from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.venue import BTC
from exchanges.model.flow import Twap
from exchanges.model.order import OrderType, Side
from exchanges.model.venue import PlaceOrder
from runtime import codec
from runtime.journal.record import Record
from runtime.lanes import Delivery, Lane
from runtime.lifecycle import PeerDown
from runtime.links.frames import Item
from runtime.message import Message
from runtime.simulation.faults import SECOND

M = TypeVar("M", bound=Message)
Planter = Callable[[Scenario], None]
D = Decimal


def journal(run: Scenario, *events: Message, epoch: int = 0, gap: int = 0) -> None:
    """Write to the journal past the bus, and commit it at once."""
    world, records = run.world, run.world.shelf.records
    for event in events:
        seq, term = len(records) + 1 + gap, world.processes["bus-host"].epoch - epoch
        kind = type(event).__name__
        records.append(Record(seq, world.scheduler.now, "test", term, "", 0, kind, (), codec.encode(event)))
    world.committed(len(records))


def found(run: Scenario, kind: type[M]) -> Iterator[M]:
    """What the journal has of one kind."""
    events = (codec.decode(record.body) for record in run.world.shelf.records)
    return (event for event in events if isinstance(event, kind))


def order(run: Scenario, client_id: str, *, reduce_only: bool = False) -> None:
    """An order that comes to the venue from nobody."""
    (venue,) = run.venues
    assert venue.line is not None
    shape = (client_id, BTC, Side.BUY, OrderType.MARKET, D("0.01"))
    venue.received(venue.line, PlaceOrder(*shape, reduce_only=reduce_only))


def approved(run: Scenario, **changes: Any) -> ApprovedOrder:
    """A signal's way to its approval, which is changed from one that was given."""
    signal = next(found(run, Generated)).signal
    was = next(event for event in found(run, Approved) if not event.order.reduce_only).order
    shape = {"signal_id": "planted", "client_id": "bw-planted-0-1", **changes}
    made = msgspec.structs.replace(was, **shape)
    who = ("planted", made.strategy, made.symbol)
    generated = Generated(*who, msgspec.structs.replace(signal, id="planted"))
    journal(run, generated, Evaluating(*who), Approved(*who, made))
    return made


def without_limits(run: Scenario) -> None:
    """Nothing that is approved is too much."""
    most = {"symbol_notional": D(10**9), "total_notional": D(10**9)}
    run.audit.limits = msgspec.structs.replace(run.audit.limits, **most)


def flow(run: Scenario, filled: str) -> ApprovedOrder:
    """A flow of a hundredth, and a fill of it."""
    without_limits(run)
    frame = approved(run, symbol=BTC, side=Side.BUY, quantity=D("0.01"), flow=Twap(SECOND, 2))
    was = next(found(run, Filled))
    shape = {"execution_id": "planted", "symbol": BTC, "side": Side.BUY, "quantity": D(filled)}
    fill = msgspec.structs.replace(was.fill, **shape)
    journal(run, msgspec.structs.replace(was, signal_id="planted", fill=fill))
    return frame


def ended(frame: ApprovedOrder, filled: str) -> FlowEnded:
    return FlowEnded("planted", frame.strategy, frame.symbol, D(filled), D(1), "flow", "DONE", "", False)


def _skipped(run: Scenario) -> None:
    journal(run, next(found(run, Filled)), gap=1)


def _earlier(run: Scenario) -> None:
    journal(run, next(found(run, Filled)), epoch=1)


def _backwards(run: Scenario) -> None:
    journal(run, next(found(run, Generated)))


def _lesson(run: Scenario) -> None:
    journal(run, next(found(run, Lesson)))


def _fill(run: Scenario) -> None:
    journal(run, next(found(run, Filled)))


def _repair(run: Scenario) -> None:
    journal(run, Repaired("bybit", BTC, "position", "0", "1", "planted"))


def _unapproved(run: Scenario) -> None:
    order(run, "bw-nobody-0-1")


def _twice(run: Scenario) -> None:
    (venue,) = run.venues
    client_id = venue.taken[0]
    venue.accepted[client_id] += 1
    venue.taken.append(client_id)
    run.world.touched = True


def _second_leg(run: Scenario) -> None:
    plain = next(each for each in run.venues[0].taken if each.split("-")[1] not in run.audit.flows)
    order(run, f"{plain[:-1]}9")


def _large(run: Scenario) -> None:
    approved(run, quantity=D(10_000))


def _large_in_all(run: Scenario) -> None:
    run.audit.limits = msgspec.structs.replace(run.audit.limits, symbol_notional=D(10**12))
    approved(run, quantity=D(10_000))


def _not_its_own(run: Scenario) -> None:
    without_limits(run)
    approved(run, strategy="planted", closes=True)


def _over_its_frame(run: Scenario) -> None:
    flow(run, "0.02")


def _two_ends(run: Scenario) -> None:
    frame = flow(run, "0.01")
    journal(run, ended(frame, "0.01"), ended(frame, "0.01"))


def _wrong_sums(run: Scenario) -> None:
    journal(run, ended(flow(run, "0.01"), "0.02"))


def _panic(run: Scenario) -> None:
    order(run, f"{PANIC_PREFIX}planted-1")


def _predecessor(run: Scenario) -> None:
    run.venues[0].epoch += 1
    order(run, "bw-nobody-0-1")


def _raises(run: Scenario) -> None:
    def fail() -> None:
        raise ZeroDivisionError("planted")

    run.world.processes[names.RISK].loop.call_soon(fail)


def _stale(run: Scenario) -> None:
    receiver = run.world.processes[names.RISK].endpoint._ingress._receiver
    item = Item(names.RISK, "planted", codec.encode(PeerDown("planted")), "", int(Delivery.ALL))
    for epoch in (9, 8):
        receiver.arrived("planted", epoch, Lane.CONTROL, 1, item)


PLANTED: dict[str, Planter] = {
    "journal-in-sequence": _skipped,
    "journal-epochs-rise": _earlier,
    "lifecycle": _backwards,
    "learned-once": _lesson,
    "execution-once": _fill,
    "no-repair-needed": _repair,
    "approved-before-sent": _unapproved,
    "order-once": _twice,
    "leg-is-one-order": _second_leg,
    "symbol-limit": _large,
    "total-limit": _large_in_all,
    "leaves-its-own": _not_its_own,
    "flow-within-approval": _over_its_frame,
    "flow-ends-once": _two_ends,
    "flow-sums": _wrong_sums,
    "panic-only-reduces": _panic,
    "no-command-of-a-predecessor": _predecessor,
    "nothing-raises": _raises,
    "epochs-never-go-back": _stale,
}
"""By the invariant that each breaks."""
