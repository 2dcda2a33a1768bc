"""The embedded venues' own books against our journal: what was lost, what was doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from actors.exchange.state import ADOPTED_PREFIX, OUR_PREFIX
from bigwheel.books import Books
from conf import Settings
from exchanges.model.order import Fill, Order, OrderStatus
from exchanges.simulators.store import VenueStore

ACCOUNT = "main"
_UNSEEN = (OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.REJECTED, OrderStatus.EXPIRED)
"""What the journal may say of an order that the venue never took."""

_CASH_STEP = Decimal("0.00000001")
"""Average prices are quotients: their last digit is rounded."""

Trade = tuple[str, str, str, Decimal, Decimal]


class VenueBooks(msgspec.Struct, frozen=True):
    """One account as the venue itself has it; ``positions`` are signed, by symbol, none of them 0.

    ``deposited`` is the cash it began with (none: not known), ``bought`` are the symbols whose positions
    are paid for rather than margined, ``locked`` is what sold event contracts hold back of the cash.
    """

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    positions: Mapping[str, Decimal]
    cash: Decimal
    deposited: Decimal | None = None
    bought: frozenset[str] = frozenset()
    locked: Decimal = Decimal(0)


class Agreement(msgspec.Struct, frozen=True):
    """How the venue's books and the journal agree.

    ``lost`` is what the venue has and the journal lacks (orders also the other way round),
    ``doubled`` what is there more often than it happened. ``reconciled``: nothing of that, equal
    positions, the cash that follows from them, and no order of ours still working.
    """

    orders_lost: int
    orders_doubled: int
    fills_lost: int
    fills_doubled: int
    reconciled: bool
    differences: tuple[str, ...] = ()


def stored_books(settings: Settings, venue: str) -> VenueBooks | None:
    """The books that the embedded ``venue`` has left in the session's store; ``None`` where there are none."""
    folder = settings.store / "venues" / venue
    if not (folder / "venue.lmdb").exists():
        return None
    store = VenueStore(folder)
    try:
        books = store.load()
    finally:
        store.close()
    account = next((account for account in books.accounts if account.name == ACCOUNT), None)
    if account is None:
        return None
    return VenueBooks(
        tuple(record.order() for record in books.orders if record.account == ACCOUNT),
        tuple(done.fill for done in books.executions if done.account == ACCOUNT),
        {symbol: held.quantity for symbol, held in account.positions.items() if held.quantity},
        account.wallet,
        account.deposited,
        frozenset(account.kinds),
        sum(account.locked.values(), Decimal(0)),
    )


def _named(journal: Books, order: Order) -> str:
    """What the journal calls one of the venue's orders: an adopted one may bear an id that we could not read."""
    adopted = f"{ADOPTED_PREFIX}{order.venue_id}"
    return adopted if adopted in journal.orders or not order.client_id else order.client_id


def compare(journal: Books, venue: str, books: VenueBooks) -> Agreement:
    """Set the journal's fold against the books of ``venue``."""
    prefix = f"{venue}:"
    named = {_named(journal, order): order for order in books.orders}
    theirs = {key: order for key, order in named.items() if key.startswith(OUR_PREFIX) or key in journal.orders}
    ours = {key: order for key, order in journal.orders.items() if order.symbol.startswith(prefix)}
    unknown = sorted(set(theirs) - set(ours))
    missing = sorted(key for key, order in ours.items() if order.status not in _UNSEEN and key not in theirs)
    ours_there = [key for key in theirs if key.startswith(OUR_PREFIX) and key not in journal.planned]
    legs = Counter(key.rpartition("-")[0] for key in ours_there)
    doubled = sum(times - 1 for times in legs.values())
    seen = Counter(trade(fill) for fill in journal.trades if fill.symbol.startswith(prefix))
    happened = Counter(trade(fill) for fill in books.fills)
    lost_fills, doubled_fills = happened - seen, seen - happened
    differences = [
        *(f"order {key} is unknown to the journal" for key in unknown),
        *(f"order {key} is unknown to the venue" for key in missing),
        *(f"fill {key} is not in the journal" for key in lost_fills),
        *(f"fill {key} did not happen at the venue" for key in doubled_fills),
        *_positions(journal, prefix, books),
        *_cash(journal, prefix, books),
        *(f"order {order.client_id} is still working" for order in theirs.values() if not order.status.final),
    ]
    return Agreement(
        orders_lost=len(unknown) + len(missing),
        orders_doubled=doubled,
        fills_lost=lost_fills.total(),
        fills_doubled=doubled_fills.total(),
        reconciled=not differences and not doubled,
        differences=tuple(differences),
    )


def trade(fill: Fill) -> Trade:
    """What an execution has in common with the venue's own record of it, whatever it is called there."""
    client_id = "" if fill.client_id.startswith(ADOPTED_PREFIX) else fill.client_id
    return client_id, fill.symbol, fill.side.value, fill.price, fill.quantity


def _cash(journal: Books, prefix: str, books: VenueBooks) -> Iterable[str]:
    """What is left of the deposit: realised profit, less fees, with payments, less what is held has cost."""
    if books.deposited is None:
        return
    ours = books.deposited - books.locked
    for symbol, position in journal.positions.items():
        if symbol.startswith(prefix):
            ours += position.net - (position.cost if symbol in books.bought else 0)
    if abs(ours - books.cash) >= _CASH_STEP:
        yield f"cash: the journal makes {ours:f} of the deposit, the venue has {books.cash:f}"


def _positions(journal: Books, prefix: str, books: VenueBooks) -> Iterable[str]:
    held = {s: p.quantity for s, p in journal.positions.items() if s.startswith(prefix) and p.quantity}
    for symbol in sorted({*held, *books.positions}):
        ours, theirs = held.get(symbol, Decimal(0)), books.positions.get(symbol, Decimal(0))
        if ours != theirs:
            yield f"position in {symbol}: the journal has {ours}, the venue {theirs}"
