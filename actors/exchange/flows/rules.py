"""A flow's next move, whatever its kind and wherever it stands."""

from __future__ import annotations

from actors.exchange.flows.entries import next_entry
from actors.exchange.flows.exits import next_exit
from actors.exchange.flows.moves import Move, View, executed
from exchanges.model.flow import Role, protects


def next_move(view: View) -> Move:
    """What it wants now: its entry first, then the exits of what that has got."""
    if protects(view.frame.flow):
        return next_exit(view, view.frame.quantity)
    if view.flow.entered_ns:
        return next_exit(view, executed(view.of(Role.ENTRY)))
    return next_entry(view)
