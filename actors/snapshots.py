"""Reading a brain's snapshot: the bytes of a versioned state."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from runtime.errors import SnapshotError

REBUILT = "remove it, and the state is rebuilt from the journal"


class Versioned(Protocol):
    """A state that says which version of the code wrote it."""

    @property
    def version(self) -> int: ...


S = TypeVar("S", bound=Versioned)


def decode(data: bytes, kind: type[S], version: int, owner: str, remedy: str = REBUILT) -> S:
    """The state in a snapshot.

    Args:
        data: what ``msgspec.msgpack.encode`` made of the state.
        kind: the state's type.
        version: the one version that is understood.
        owner: whose state it is, for the error's text.
        remedy: what to do about a snapshot that can't be used.

    Raises:
        SnapshotError: the bytes are no such state, or one of another version.
    """
    try:
        state = msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"expected a snapshot of {owner}, found {len(data)} bytes ({error}); {remedy}") from error
    if state.version != version:
        raise SnapshotError(
            f"expected a snapshot of {owner} of version {version}, found version {state.version}; {remedy}"
        )
    return state
