"""Messages the kernel itself sends to a behavior, and the log's own messages."""

from __future__ import annotations

from typing import ClassVar

from runtime import codec
from runtime.lanes import Lane
from runtime.message import Message


class Started(Message, array_like=True):
    """First message of an incarnation, after ``restore`` where there was a snapshot."""

    lane: ClassVar[Lane] = Lane.CONTROL
    epoch: int
    restored: bool


class Stopping(Message, array_like=True):
    """Last message: finish quickly, no new work; the snapshot is taken after it."""

    lane: ClassVar[Lane] = Lane.CONTROL
    reason: str


class PeerUp(Message, array_like=True):
    """A link to or from ``name`` stands; ``epoch`` is the peer's incarnation."""

    lane: ClassVar[Lane] = Lane.CONTROL
    name: str
    epoch: int


class PeerDown(Message, array_like=True):
    """The link from ``name`` broke."""

    lane: ClassVar[Lane] = Lane.CONTROL
    name: str


class Subscribe(Message, array_like=True):
    """Asks the journal's host for every record after ``cursor`` that fits, now and from now on.

    ``kinds`` are event type names (empty: all). ``index`` and ``value`` narrow it to the
    records with that key. The answer is a run of ``Entry`` messages, one ``CaughtUp`` where
    the journal ended when the request came, then live entries. A new request replaces the
    subscriber's earlier one: with a ``ticket``, the answer begins with a ``Serving`` of the
    same ticket, and whatever comes before that belongs to an earlier request.
    """

    lane: ClassVar[Lane] = Lane.CONTROL
    cursor: int
    kinds: tuple[str, ...] = ()
    index: str = ""
    value: str = ""
    ticket: int = 0


class Serving(Message, array_like=True):
    """What follows answers the request with this ticket; taken by the kernel, no behavior sees it."""

    ticket: int


class Entry(Message, array_like=True):
    """One committed journal record on its way to a subscriber."""

    seq: int
    ts: int
    source: str
    epoch: int
    correlation: str
    causation: int
    body: bytes

    @property
    def event(self) -> Message:
        """The journaled event. The last one that was decoded is kept, for whoever asks for the same body again."""
        global _decoded
        body, known = self.body, _decoded
        if known[0] is not body:
            known = _decoded = (body, codec.decode(body))
        return known[1]


_decoded: tuple[bytes | None, Message] = (None, Stopping(""))


class CaughtUp(Message, array_like=True):
    """All records up to ``seq`` have been delivered: act on what is outstanding now."""

    seq: int


class DeadLetter(Message):
    """A message that reached no one, or that its receiver could not handle."""

    sender: str
    to: str
    kind: str
    reason: str
    body: bytes = b""
