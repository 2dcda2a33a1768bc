"""The venue's orders as its clients know them: what the engine does not keep of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import lmdb
import msgspec

from exchanges.matching.record import INSUFFICIENT_FUNDS, NO_IMMEDIATE_QUANTITY, ZERO, OrderRecord
from exchanges.model.order import OrderStatus, OrderType
from exchanges.simulators.errors import SimulatorError

_MAP_SIZE = 1 << 32


class Ticket(msgspec.Struct):
    """One order under its identifier at the venue.

    An order of the engine (``engine_id``) has one ticket, and one more for each time it was
    replaced; only the last of them is alive. ``quantity`` is what its client asked for, ``None``
    for an amount of money (``notional``). What the engine's order had been filled with when the
    ticket was made is in ``base_filled`` and ``base_value``; what it had when the ticket was
    replaced, in ``end_filled`` and ``end_value``. ``after`` is the last execution before the ticket.
    """

    id: str
    account: str
    engine_id: str
    client_id: str
    key: str
    time_in_force: str
    intent: str
    created_ns: int
    quantity: Decimal | None
    notional: Decimal | None
    limit: Decimal | None
    extended: bool = False
    expires_ns: int = 0
    routed: bool = False
    after: int = 0
    base_filled: Decimal = ZERO
    base_value: Decimal = ZERO
    end_filled: Decimal = ZERO
    end_value: Decimal = ZERO
    replaces: str = ""
    replaced_by: str = ""
    replaced_ns: int = 0

    def status(self, record: OrderRecord) -> str:
        """The order's state in the venue's word.

        A market order that met nobody, or could not be paid for when it was let in, is rejected,
        unless it was to be cancelled then (``ioc``, ``fok``).
        """
        if self.replaced_by:
            return "replaced"
        if record.status is OrderStatus.CANCELLED:
            unmet = record.type is OrderType.MARKET and record.reason in (NO_IMMEDIATE_QUANTITY, INSUFFICIENT_FUNDS)
            return "rejected" if unmet and self.time_in_force in ("day", "gtc") and not record.filled else "canceled"
        if record.status.final:
            return record.status.value
        if self.filled(record):
            return "partially_filled"
        return "new" if self.routed else "accepted"

    def filled(self, record: OrderRecord) -> Decimal:
        return (self.end_filled if self.replaced_by else record.filled) - self.base_filled

    def value(self, record: OrderRecord) -> Decimal:
        """What its fills add up to in money."""
        return (self.end_value if self.replaced_by else record.value) - self.base_value


class TicketBook:
    """All tickets, also on disk if there is a folder.

    Raises:
        SimulatorError: the folder can't be used.
    """

    def __init__(self, folder: Path | None) -> None:
        self._by_id: dict[str, Ticket] = {}
        self._by_client: dict[tuple[str, str], Ticket] = {}
        self._chains: dict[str, list[Ticket]] = {}
        self._env = _opened(folder) if folder is not None else None
        for ticket in sorted(self._load(), key=lambda ticket: ticket.created_ns):
            self._index(ticket)

    def _load(self) -> Iterator[Ticket]:
        if self._env is None:
            return
        with self._env.begin() as transaction, transaction.cursor() as cursor:
            for _, value in cursor:
                yield msgspec.msgpack.decode(value, type=Ticket)

    def _index(self, ticket: Ticket) -> None:
        self._by_id[ticket.id] = ticket
        self._by_client[ticket.account, ticket.client_id] = ticket
        self._chains.setdefault(ticket.engine_id, []).append(ticket)

    def add(self, ticket: Ticket, *changed: Ticket) -> None:
        """Keep a new ticket, and others that changed with it."""
        self._index(ticket)
        self.save((*changed, ticket))

    def save(self, tickets: Iterable[Ticket]) -> None:
        if self._env is None:
            return
        with self._env.begin(write=True) as transaction:
            for ticket in tickets:
                transaction.put(ticket.id.encode(), msgspec.msgpack.encode(ticket))

    def drop_unknown(self, engine_ids: set[str]) -> None:
        """Forget the tickets whose order the engine never got: the venue died in between."""
        for engine_id in [known for known in self._chains if known not in engine_ids]:
            for ticket in self._chains.pop(engine_id):
                del self._by_id[ticket.id]
                self._by_client.pop((ticket.account, ticket.client_id), None)

    def find(self, account: str, ticket_id: str) -> Ticket | None:
        found = self._by_id.get(ticket_id)
        return found if found is not None and found.account == account else None

    def of_client(self, account: str, client_id: str) -> Ticket | None:
        return self._by_client.get((account, client_id))

    def current(self, engine_id: str) -> Ticket | None:
        """The ticket of an engine's order that is alive, or was last."""
        chain = self._chains.get(engine_id)
        return chain[-1] if chain else None

    def at(self, engine_id: str, sequence: int) -> Ticket | None:
        """The ticket that was alive at the execution ``sequence``."""
        chain = self._chains.get(engine_id, ())
        return next((ticket for ticket in reversed(chain) if ticket.after < sequence), None)

    def of_account(self, account: str) -> list[Ticket]:
        """All of the account's tickets, the oldest first."""
        return [ticket for ticket in self._by_id.values() if ticket.account == account]

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None


def new_id() -> str:
    return str(uuid.uuid4())


def _opened(folder: Path) -> lmdb.Environment:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return lmdb.open(str(folder / "tickets.lmdb"), map_size=_MAP_SIZE, sync=False, metasync=False, subdir=True)
    except (OSError, lmdb.Error) as error:
        raise SimulatorError(
            f"expected a writable folder for the venue's orders at {folder}, found {error}; "
            f"check its permissions, or whether this process has it open already"
        ) from error
