"""What the brains of a re-run send one another, found again by what the recording says was received."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from runtime import codec
from runtime.message import Message

KEEP_NS = 120_000_000_000
"""How long after it was sent a message may still be asked for: market data that was conflated never is."""


def normal(message: Message) -> bytes:
    """The bytes of ``message`` as a receiver has it, who got it through the codec (an int for a float is one then)."""
    return codec.encode(codec.decode(codec.encode(message)))


class _Posted(NamedTuple):
    sent_ns: int
    key: bytes
    lasting: bool


class _Channel:
    """From one actor to another. Keys are the recorded bytes, values those of this run."""

    __slots__ = ("given", "order", "void", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[bytes, deque[bytes]] = {}
        self.given: dict[bytes, bytes] = {}
        self.order: deque[_Posted] = deque()
        self.void: set[bytes] = set()


class Mail:
    """Messages by sender and receiver, filed under the bytes that the recording has of each.

    The links of a session drop, conflate, reorder between lanes and deliver again to a successor. What arrived, and
    when, is the receiver's tape's to say: this only answers whether it was sent, and with what in it.
    """

    def __init__(self) -> None:
        self._channels: dict[tuple[str, str], _Channel] = {}

    def put(self, sender: str, to: str, key: bytes, body: bytes, sent_ns: int, *, lasting: bool) -> None:
        """File a message: ``key`` is what the recording has, ``body`` this run's; ``lasting`` is never dropped."""
        channel = self._channel(sender, to)
        channel.waiting.setdefault(key, deque()).append(body)
        channel.order.append(_Posted(sent_ns, key, lasting))

    def void(self, sender: str, to: str, key: bytes) -> None:
        """The recording has this message, and this run did not send it."""
        self._channel(sender, to).void.add(key)

    def take(self, sender: str, to: str, key: bytes) -> bytes | None:
        """What this run sent; ``None`` while it has not. What a dead incarnation had got is there for its successor."""
        channel = self._channels.get((sender, to))
        if channel is None:
            return None
        waiting = channel.waiting.get(key)
        if waiting is None:
            return channel.given.get(key)
        body = channel.given[key] = waiting.popleft()
        if not waiting:
            del channel.waiting[key]
        return body

    def voided(self, sender: str, to: str, key: bytes) -> bool:
        """Whether it is known that this run does not send it."""
        channel = self._channels.get((sender, to))
        return channel is not None and key in channel.void

    def instead(self, sender: str, to: str, kind: type[Message]) -> bytes | None:
        """The longest waiting message of ``kind``: it stands for one that this run did not send."""
        channel = self._channels.get((sender, to))
        for key in channel.waiting if channel is not None else ():
            if type(codec.decode(key)) is kind:
                return self.take(sender, to, key)
        return None

    def forget(self, before_ns: int) -> None:
        """Let go of what was sent before this and is not waited for any more."""
        for channel in self._channels.values():
            order = channel.order
            while order and order[0].sent_ns < before_ns:
                old = order.popleft()
                channel.given.pop(old.key, None)
                waiting = channel.waiting.get(old.key)
                if waiting is None or old.lasting:
                    continue
                waiting.popleft()
                if not waiting:
                    del channel.waiting[old.key]

    def _channel(self, sender: str, to: str) -> _Channel:
        key = (sender, to)
        found = self._channels.get(key)
        if found is None:
            found = self._channels[key] = _Channel()
        return found
