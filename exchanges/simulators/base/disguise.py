"""Values nobody knows, in messages that are right otherwise."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

UNKNOWN_VALUE = "something_new"


def disguised(message: Any, fields: Collection[str]) -> Any:
    """A copy of ``message`` with `UNKNOWN_VALUE` for each text in one of ``fields``, at any depth."""
    if isinstance(message, dict):
        return {
            name: UNKNOWN_VALUE if name in fields and isinstance(value, str) else disguised(value, fields)
            for name, value in message.items()
        }
    if isinstance(message, list | tuple):
        return [disguised(value, fields) for value in message]
    return message
