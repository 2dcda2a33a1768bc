"""A venue's books on disk: written through on each change, there again after a kill."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import lmdb
import msgspec

from exchanges.matching.account import Account
from exchanges.matching.record import Changes, Counters, Execution, Funding, OrderRecord
from exchanges.model.instrument import Instrument
from exchanges.simulators.errors import SimulatorError

T = TypeVar("T")
FORMAT = 1
_MAP_SIZE = 1 << 36


class Progress(msgspec.Struct):
    """How far a replay has been played: trades by symbol of the recording ``source``."""

    source: str = ""
    trades: dict[str, int] = {}
    finished: bool = False


class Books(msgspec.Struct):
    """All that was stored; ``settled`` is what an event contract paid, by symbol."""

    counters: Counters | None
    accounts: list[Account]
    orders: list[OrderRecord]
    executions: list[Execution]
    fundings: list[Funding]
    settled: dict[str, Decimal]
    instruments: list[Instrument]
    prices: dict[str, float]
    progress: Progress


class VenueStore:
    """The books in an LMDB file in ``folder``.

    Not flushed to the disk on each commit: what was written survives the death of the
    process, not that of the machine. That is enough for a venue that is itself a simulation.

    Raises:
        SimulatorError: the folder can't be used, or another venue has it open.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "venue.lmdb"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(str(path), map_size=_MAP_SIZE, sync=False, metasync=False, subdir=True)
        except (OSError, lmdb.Error) as error:
            raise SimulatorError(
                f"expected a writable folder for the venue's books at {folder}, found {error}; "
                f"check its permissions, or whether this process has it open already"
            ) from error
        self._encoder = msgspec.msgpack.Encoder()
        self._check_format()

    def _check_format(self) -> None:
        with self._env.begin(write=True) as transaction:
            found = transaction.get(b"format")
            if found is None:
                transaction.put(b"format", str(FORMAT).encode())
            elif int(found) != FORMAT:
                raise SimulatorError(
                    f"expected venue books of format {FORMAT}, found {found.decode()} in {self._env.path()}; "
                    f"move the folder away to start anew"
                )

    def save(self, changes: Changes, counters: Counters, accounts: Iterable[Account]) -> None:
        """Write what a call changed, in one transaction."""
        pack = self._encoder.encode
        with self._env.begin(write=True) as transaction:
            transaction.put(b"counters", pack(counters))
            for account in accounts:
                transaction.put(b"account/" + account.name.encode(), pack(account))
            for record in changes.touched():
                transaction.put(b"order/" + record.id.encode(), pack(record))
            for execution in changes.executions:
                transaction.put(b"execution/" + execution.sequence.to_bytes(8, "big"), pack(execution))
            for funding in changes.fundings:
                transaction.put(b"funding/" + funding.sequence.to_bytes(8, "big"), pack(funding))

    def save_instruments(self, instruments: Iterable[Instrument]) -> None:
        with self._env.begin(write=True) as transaction:
            for instrument in instruments:
                transaction.put(b"instrument/" + instrument.symbol.encode(), self._encoder.encode(instrument))

    def save_settled(self, settled: dict[str, Decimal]) -> None:
        """Write what event contracts paid."""
        with self._env.begin(write=True) as transaction:
            transaction.put(b"settled", self._encoder.encode(settled))

    def save_market(self, prices: dict[str, float], progress: Progress) -> None:
        """Write the last prices and how far a replay has been played."""
        with self._env.begin(write=True) as transaction:
            transaction.put(b"prices", self._encoder.encode(prices))
            transaction.put(b"progress", self._encoder.encode(progress))

    def load(self) -> Books:
        """All that is stored; empty books in a new folder."""
        with self._env.begin() as transaction:
            return Books(
                counters=_one(transaction, b"counters", Counters),
                accounts=_all(transaction, b"account/", Account),
                orders=_all(transaction, b"order/", OrderRecord),
                executions=_all(transaction, b"execution/", Execution),
                fundings=_all(transaction, b"funding/", Funding),
                settled=_one(transaction, b"settled", dict[str, Decimal]) or {},
                instruments=_all(transaction, b"instrument/", Instrument),
                prices=_one(transaction, b"prices", dict[str, float]) or {},
                progress=_one(transaction, b"progress", Progress) or Progress(),
            )

    def close(self) -> None:
        self._env.close()


def _one(transaction: lmdb.Transaction, key: bytes, kind: type[T]) -> T | None:
    value = transaction.get(key)
    return None if value is None else msgspec.msgpack.decode(value, type=kind)


def _all(transaction: lmdb.Transaction, prefix: bytes, kind: type[T]) -> list[T]:
    decoder = msgspec.msgpack.Decoder(kind)
    found: list[T] = []
    with transaction.cursor() as cursor:
        more = cursor.set_range(prefix)
        while more and bytes(cursor.key()).startswith(prefix):
            found.append(decoder.decode(cursor.value()))
            more = cursor.next()
    return found
