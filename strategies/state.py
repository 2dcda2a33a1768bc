"""A strategy's attributes as bytes and back, without a line of code from its author."""

from __future__ import annotations

import io
import pickle
from typing import Any

from strategies.errors import StateError
from strategies.strategy import Strategy

_RUNTIME = frozenset({"desk"})
_OWNER = "the strategy"


class _Pickler(pickle.Pickler):
    """Writes a mark for the strategy itself, so that its bound methods find the new one."""

    def __init__(self, file: io.BytesIO, owner: Strategy) -> None:
        super().__init__(file, protocol=5)
        self.owner = owner

    def persistent_id(self, item: Any) -> str | None:
        return _OWNER if item is self.owner else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, owner: Strategy) -> None:
        super().__init__(file)
        self.owner = owner

    def persistent_load(self, mark: Any) -> Strategy:
        if mark != _OWNER:
            raise pickle.UnpicklingError(f"expected the mark {_OWNER!r}, found {mark!r}")
        return self.owner


def attributes(strategy: Strategy) -> dict[str, Any]:
    """What has been set on ``strategy`` since it was made, without what the runtime put there."""
    return {name: value for name, value in vars(strategy).items() if name not in _RUNTIME}


def save(strategy: Strategy) -> bytes:
    """The attributes as bytes.

    Raises:
        StateError: one of them can't be pickled; the text names it.
    """
    values = attributes(strategy)
    try:
        return _dump(values, strategy)
    except Exception as error:
        # Pickling runs code of the attributes' own classes, which may raise anything.
        name, value, reason = _culprit(values, strategy) or ("?", values, error)
        raise StateError(
            f"expected attributes that can be pickled, found {type(strategy).__name__}.{name} of type "
            f"{type(value).__name__}, which can't ({reason}); make it in on_start as a local or module-level object, "
            "define its class in a module, or keep plain data in its place"
        ) from error


def load(strategy: Strategy, data: bytes) -> None:
    """Put saved attributes back; attributes added to the class since then keep their new values.

    Raises:
        StateError: the bytes hold something that no longer exists.
    """
    try:
        values = _Unpickler(io.BytesIO(data), strategy).load()
    except Exception as error:
        raise StateError(
            f"expected the saved attributes of {type(strategy).__name__}, found {len(data)} bytes that can't be read "
            f"({type(error).__name__}: {error}); was a class or module they use renamed or removed?"
        ) from error
    vars(strategy).update((name, value) for name, value in values.items() if name not in _RUNTIME)


def _dump(values: Any, owner: Strategy) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, owner).dump(values)
    return buffer.getvalue()


def _culprit(values: dict[str, Any], owner: Strategy) -> tuple[str, Any, Exception] | None:
    for name, value in values.items():
        try:
            _dump(value, owner)
        except Exception as error:
            return name, value, error
    return None
