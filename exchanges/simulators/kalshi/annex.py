"""What the exchange remembers besides the engine's books: markets' lives and the extras of orders."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.kalshi.listing import Listing

logger = logging.getLogger(__name__)

FILE = "kalshi.jsonl"


class Ticket(msgspec.Struct):
    """What an order was placed with that the engine has no use for. ``expires_ns`` 0 is never."""

    order_id: str
    initial: str
    self_trade: str = ""
    expires_ns: int = 0
    cancel_on_pause: bool = False


class _Entry(msgspec.Struct, omit_defaults=True):
    listing: Listing | None = None
    ticket: Ticket | None = None


class Annex:
    """Append-only lines in ``folder``, the last about a thing being the one that counts.

    Without a folder all is forgotten with the process. Like the books themselves a line
    survives the death of the process, not that of the machine.

    Raises:
        SimulatorError: the file can't be used.
    """

    def __init__(self, folder: Path | None) -> None:
        self.listings: dict[str, Listing] = {}
        self.tickets: dict[str, Ticket] = {}
        self._path = folder / FILE if folder else None
        self._encoder = msgspec.json.Encoder()
        if self._path is None:
            return
        try:
            self._load(self._path)
            self._compact(self._path)
            self._file = self._path.open("ab")
        except OSError as error:
            raise SimulatorError(
                f"expected to read and write the markets' lives at {self._path}, found {error}; check the permissions"
            ) from error

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        lines = path.read_bytes().split(b"\n")
        decoder = msgspec.json.Decoder(_Entry)
        for number, line in enumerate(lines):
            if not line:
                continue
            try:
                entry = decoder.decode(line)
            except msgspec.DecodeError as error:
                if number < len(lines) - 1:
                    raise SimulatorError(
                        f"expected an entry in line {number + 1} of {path}, found something else ({error}); "
                        f"move the folder away to start anew"
                    ) from error
                # A kill in the middle of a write: what it was about had not been answered yet.
                logger.warning("%s: the last line is broken off and counts for nothing", path)
                continue
            if entry.listing is not None:
                self.listings[entry.listing.ticker] = entry.listing
            if entry.ticket is not None:
                self.tickets[entry.ticket.order_id] = entry.ticket

    def _compact(self, path: Path) -> None:
        entries = [_Entry(listing=listing) for listing in self.listings.values()]
        entries += [_Entry(ticket=ticket) for ticket in self.tickets.values()]
        draft = path.with_suffix(".new")
        draft.write_bytes(b"".join(self._encoder.encode(entry) + b"\n" for entry in entries))
        draft.replace(path)

    def save_listing(self, listing: Listing) -> None:
        self.listings[listing.ticker] = listing
        self._append(_Entry(listing=listing))

    def save_ticket(self, ticket: Ticket) -> None:
        self.tickets[ticket.order_id] = ticket
        self._append(_Entry(ticket=ticket))

    def _append(self, entry: _Entry) -> None:
        if self._path is not None:
            self._file.write(self._encoder.encode(entry) + b"\n")
            self._file.flush()

    def close(self) -> None:
        if self._path is not None:
            self._file.close()
