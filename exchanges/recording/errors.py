"""What can be wrong with recorded files or the folder they are written to."""

from __future__ import annotations

from runtime.errors import SetupError


class RecordingError(SetupError):
    """Recorded data can't be written, read or trusted; the text says what to change."""
