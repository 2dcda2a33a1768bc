"""What actors say to each other: frozen, tagged structs, found again by their tag."""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform

import msgspec

from runtime.lanes import Lane

_types: dict[str, type[Message]] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, tag=True, tag_field="$type"):
    """Base of everything that is sent, journaled or snapshotted.

    A subclass is tagged with its class name, which must be unique. Hot messages say
    ``array_like=True``; journaled ones stay map-encoded and only ever gain fields at the
    end, with defaults.
    """

    lane: ClassVar[Lane] = Lane.ORDER

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        known = _types.get(cls.__name__)
        if known is not None and known.__module__ != cls.__module__:
            raise TypeError(
                f"two message types are called {cls.__name__!r}: {known.__module__} and "
                f"{cls.__module__}; a tag must be unique, rename one of them"
            )
        _types[cls.__name__] = cls

    @property
    def conflation_key(self) -> str:
        """Messages with the same key replace each other where delivery is ``LATEST``."""
        return type(self).__name__


def message_types() -> dict[str, type[Message]]:
    """All message types defined so far, by tag."""
    return dict(_types)
