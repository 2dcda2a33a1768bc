"""What can be wrong with market data that is to be read, kept or streamed."""

from __future__ import annotations

from runtime.errors import SetupError


class DataError(SetupError):
    """Market data that can't be used as it is; the text says where it is wrong and what to change."""
