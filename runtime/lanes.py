"""The lanes of a mailbox and of a link, in order of precedence."""

from __future__ import annotations

import enum


class Lane(enum.IntEnum):
    """Which queue a message waits in; a lower value is served first.

    ``CONTROL`` and ``ORDER`` are never dropped: a full lane pushes back on the sender.
    ``DATA`` follows the delivery its sender names.
    """

    CONTROL = 0
    ORDER = 1
    DATA = 2


class Delivery(enum.IntEnum):
    """What happens on the ``DATA`` lane when the receiver is slower than the sender."""

    ALL = 0
    """Nothing is lost: the sender is held back (replays, backtests)."""
    LATEST = 1
    """A newer message of the same conflation key takes the older one's place."""
    OLDEST = 2
    """The oldest waiting message is dropped, and counted."""
