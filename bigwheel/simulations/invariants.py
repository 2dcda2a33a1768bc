"""What must hold in every run, by name: a failure says which of them is broken."""

from __future__ import annotations

from typing import NamedTuple


class Invariant(NamedTuple):
    """When and where it is checked, and what it says."""

    when: str
    where: str
    text: str


_EVENT, _END = "after every event", "at the end"
_WORLD = "runtime/simulation/world.py"
_KERNEL, _VENUE = "runtime/simulation/process.py", "bigwheel/simulations/venue.py"
_AUDIT, _ATTACK = "bigwheel/simulations/audit.py", "bigwheel/simulations/attack.py"

INVARIANTS: dict[str, Invariant] = {
    "nothing-raises": Invariant(_EVENT, _KERNEL, "no callback of a host raises, but for one that is fenced"),
    "nothing-is-overlooked": Invariant(
        "every 1,000 events", _WORLD, "no check that looks after what touches it was left untold of a change"
    ),
    "epochs-never-go-back": Invariant(
        _EVENT, _KERNEL, "no host hears of an incarnation after a later one of the same host"
    ),
    "no-command-of-a-predecessor": Invariant(
        _EVENT, _VENUE, "a venue gets no command of an incarnation after one of its successor"
    ),
    "panic-only-reduces": Invariant(_EVENT, _VENUE, "a panic opens nothing"),
    "journal-in-sequence": Invariant(_EVENT, _AUDIT, "the journal's records are numbered without a gap"),
    "journal-epochs-rise": Invariant(_EVENT, _AUDIT, "no record is of an older incarnation of the bus than one before"),
    "lifecycle": Invariant(_EVENT, _AUDIT, "a signal takes no step that its lifecycle does not have"),
    "learned-once": Invariant(_EVENT, _AUDIT, "nothing is learned from a signal twice"),
    "execution-once": Invariant(_EVENT, _AUDIT, "no execution is in the journal twice"),
    "no-repair-needed": Invariant(_EVENT, _AUDIT, "reconciliation finds nothing to mend, for nobody else trades"),
    "approved-before-sent": Invariant(
        _EVENT, _AUDIT, "a venue takes no order whose approval, or plan of its leg, is not committed"
    ),
    "order-once": Invariant(_EVENT, _AUDIT, "a venue takes no client order id twice"),
    "leg-is-one-order": Invariant(_EVENT, _AUDIT, "a signal, or each leg of one, becomes one order at most"),
    "symbol-limit": Invariant(_EVENT, _AUDIT, "what is held and approved can't exceed a symbol's limit"),
    "total-limit": Invariant(_EVENT, _AUDIT, "what is held and approved can't exceed the limit on all of it"),
    "leaves-its-own": Invariant(
        _EVENT, _AUDIT, "an exit that may add to the account's position closes no more than its strategy holds"
    ),
    "flow-within-approval": Invariant(
        _EVENT,
        _AUDIT,
        "what a flow has working and filled stays within its approval, its exits within its entry; of exits that stand "
        "side by side each on its own",
    ),
    "flow-ends-once": Invariant(_EVENT, _AUDIT, "a flow ends once"),
    "flow-sums": Invariant(_EVENT, _AUDIT, "a flow's end tells the sums of its fills"),
    "stops-protect-without-us": Invariant(
        "when the connection is down",
        "bigwheel/simulations/outage.py",
        "a market that goes through stops that wait at the venue leaves nothing of what they cover",
    ),
    "nothing-fails": Invariant(_END, _AUDIT, "every cell runs, and none had to be restarted for an error"),
    "signals-end": Invariant(_END, _AUDIT, "no signal stays on its way for ever, but for an order that works"),
    "signals-are-learned": Invariant(_END, _AUDIT, "something was learned from every signal that has ended"),
    "flows-end": Invariant(_END, _AUDIT, "every flow has ended, with a reason"),
    "ended-flows-forgotten": Invariant(_END, _AUDIT, "nobody keeps the state of a flow that has ended"),
    "executions-complete": Invariant(_END, _AUDIT, "the journal has the executions of the venues and no others"),
    "books-agree": Invariant(
        _END, _AUDIT, "journal, exchange connection, risk supervisor and venue hold the same positions"
    ),
    "shares-agree": Invariant(_END, _AUDIT, "each strategy believes in the position its own fills add up to"),
    "nothing-waits": Invariant(_END, _AUDIT, "nobody waits for word of a signal"),
    "journal-refolds": Invariant(_END, _AUDIT, "the journal read from its beginning gives the state the bus has"),
    "limit-order-notional": Invariant(_EVENT, _ATTACK, "no entry is larger than an order may be"),
    "limit-venue-notional": Invariant(_EVENT, _ATTACK, "what is held and approved can't exceed a venue's limit"),
    "limit-category-share": Invariant(_EVENT, _ATTACK, "nor a category's"),
    "limit-max-open-positions": Invariant(_EVENT, _ATTACK, "nor be on more symbols than are allowed"),
    "limit-daily-budget": Invariant(_EVENT, _ATTACK, "entries spend no more than the day's budget"),
    "limit-symbol-notional-at-the-venue": Invariant(_EVENT, _ATTACK, "a venue holds no more of a symbol than it may"),
    "limit-total-notional-at-the-venue": Invariant(_EVENT, _ATTACK, "nor of all symbols together"),
    "limit-daily-loss": Invariant(_EVENT, _ATTACK, "nothing is entered by one who knows of too large a loss"),
    "limit-max-drawdown": Invariant(_EVENT, _ATTACK, "nor by one who knows of too deep a fall from the peak"),
}


def at_the_end(name: str) -> bool:
    """Whether the invariant of that name, as a failure gives it, can only be checked once nothing moves any more."""
    found = INVARIANTS.get(name.partition(" ")[0])
    return found is not None and found.when == _END
