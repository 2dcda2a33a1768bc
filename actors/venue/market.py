"""Whether an embedded venue can offer what a session wants to trade."""

from __future__ import annotations

from pathlib import Path

from conf import Settings
from exchanges.simulators.bybit.instruments import ensure_listed
from exchanges.simulators.feeds.replay import Replay
from runtime.errors import SetupError

EMBEDDED = ("bybit",)


def natives(settings: Settings, venue: str) -> tuple[str, ...]:
    """The venue's own names of the session's symbols."""
    prefix = f"{venue}:"
    return tuple(symbol.removeprefix(prefix) for symbol in settings.symbols if symbol.startswith(prefix))


def ensure_known(settings: Settings) -> None:
    """Check that the embedded venues have all symbols of the session, in the recording or by themselves.

    Raises:
        SetupError: a venue has no simulator yet, or a symbol is not known to it.
        FeedError: the recording can't be played, or lacks a symbol.
    """
    for symbol in settings.symbols:
        venue = symbol.partition(":")[0]
        if venue not in EMBEDDED:
            raise SetupError(
                f"expected symbols of {', '.join(EMBEDDED)}, the only venue with a simulator so far, found {symbol!r}; "
                "take it out of `symbols`"
            )
    for venue in EMBEDDED:
        wanted = natives(settings, venue)
        if settings.simulator.replay:
            Replay(Path(settings.simulator.replay), wanted)
        else:
            ensure_listed(wanted)
