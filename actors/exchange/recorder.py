"""The recorder of an exchange connection, if its settings ask for one."""

from __future__ import annotations

from pathlib import Path

from exchanges.recording import Recorder, RecorderSettings


def start_recorder(folder: str, venue: str, epoch: int) -> Recorder | None:
    """A recorder at work, or ``None`` where ``folder`` is empty.

    Args:
        folder: the root of the recording; several venues may share it.
        venue: the connection's.
        epoch: the connection's; it stands in the files' names.

    Raises:
        RecordingError: the folder can't be written to.
    """
    if not folder:
        return None
    recorder = Recorder(RecorderSettings(folder=Path(folder), venue=venue, epoch=epoch))
    recorder.start()
    return recorder
