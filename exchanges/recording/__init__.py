"""Market data, orders and fills on disk: Parquet files by venue, symbol and UTC day."""

from exchanges.recording.recorder import Recorder
from exchanges.recording.settings import RecorderSettings

__all__ = ["Recorder", "RecorderSettings"]
