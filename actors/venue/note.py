"""Where an embedded venue listens: left in the store for the connection that looks for it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class VenueNote(msgspec.Struct, frozen=True):
    """``venue`` listens on ``port`` of the loopback interface."""

    venue: str
    port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


def _path(store: Path, venue: str) -> Path:
    return store / "venues" / f"{venue}.json"


def write_note(store: Path, note: VenueNote) -> None:
    """Replace the venue's note in one step."""
    path = _path(store, note.venue)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(note))
    os.replace(draft, path)


def read_note(store: Path, venue: str) -> VenueNote | None:
    """The venue's note, or ``None`` where there is none that can be read."""
    try:
        return msgspec.json.decode(_path(store, venue).read_bytes(), type=VenueNote)
    except (OSError, msgspec.DecodeError):
        return None
