"""Working orders at the venues, ours and those that were placed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bigwheel.errors import UsageError

EVERY = "*"
"""What names all foreign orders where one is asked for."""


class OrderRow(NamedTuple):
    """One working order; ``since_ns`` is when we sent it, for one placed elsewhere when the venue last changed it.

    ``waits_for`` is the price at which it becomes a common order, as in ``last below 95.0``; ``protects`` says that it
    is a stop that stays at the venue through a halt, and when the session ends.
    """

    venue: str
    client_id: str
    venue_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    filled: str
    status: str
    since_ns: int
    waits_for: str
    adopted: bool
    protects: bool
    foreign: bool


def working(overview: Mapping[str, Any], *, foreign: bool = False) -> list[OrderRow]:
    """The working orders in an overview of the session; with ``foreign`` those that are not ours."""
    part = "foreign" if foreign else "working"
    return [
        OrderRow(venue, **order, foreign=foreign)
        for venue, state in sorted(overview.get("venues", {}).items())
        for order in state.get(part) or ()
    ]


def stops(overview: Mapping[str, Any]) -> list[OrderRow]:
    """The stops at the venues that protect what is held, also without us."""
    return [row for row in working(overview) if row.protects]


def named(overview: Mapping[str, Any], wanted: str) -> str:
    """The name to adopt by: ``wanted`` itself, if the session knows such an order.

    Raises:
        UsageError: no foreign order bears that id, or there is none at all.
    """
    known = working(overview, foreign=True)
    if not known:
        raise UsageError("expected orders that were placed elsewhere, found none; see `bigwheel orders --foreign`")
    if wanted == EVERY or any(wanted in (row.venue_id, row.client_id) for row in known):
        return wanted
    raise UsageError(
        f"expected the venue's id of an order that was placed elsewhere, found {wanted!r}; "
        "`bigwheel orders --foreign` lists them"
    )
