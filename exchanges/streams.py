"""Supervised streams, for every venue: connect, watch, report, and begin again with backoff."""

from __future__ import annotations

import abc
import asyncio
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.interface import Sink
from exchanges.model.venue import VENUE_PORT, StreamStatus
from exchanges.tasks import end
from runtime.errors import SetupError
from runtime.lifecycle import DeadLetter
from runtime.message import Message

logger = logging.getLogger(__name__)

_KEPT = 2_000
"""Characters of a message that can't be read that are reported."""

_LEAVE_S = 4.0


def _now() -> float:
    """Seconds by the event loop's clock, so that simulated time works here too."""
    return asyncio.get_running_loop().time()


class StreamError(Exception):
    """Why a connection of a stream has ended; the text is the reason its ``StreamStatus`` gives."""


class AccessError(StreamError, SetupError):
    """A connection can't come about before somebody mends something: the key, the account, the symbols.

    ``failure`` is the venue's answer where it does not take the key.
    """

    def __init__(self, text: str, failure: Failure | None = None) -> None:
        super().__init__(text)
        self.failure = failure


class UnansweredError(StreamError):
    """What has to be known before a connection can't be had now; nothing was found to be wrong."""


def refusal(what: str, error: VenueError) -> StreamError:
    """What a failed call before a connection means for it: one that refuses the key has to be mended."""
    failure = error.failure
    text = f"{what}: {failure.code} {failure.reason}".strip()
    if failure.kind is FailureKind.UNAUTHORISED:
        return AccessError(text, failure)
    return UnansweredError(text) if failure.repeatable else StreamError(text)


@contextmanager
def before_the_start(venue: str) -> Iterator[None]:
    """What is found wrong before a session begins: an ``AccessError`` ends it, what only fails now is told.

    Raises:
        SetupError: somebody has to mend something.
    """
    try:
        yield
    except SetupError:
        raise
    except (StreamError, VenueError) as error:
        logger.warning("%s could not be asked before the start: %s", venue, error)
    except ValueError as error:
        raise AccessError(str(error)) from error


class StreamPace(msgspec.Struct, frozen=True, kw_only=True):
    """How patiently a stream is kept, in seconds.

    ``stale_after_s`` of silence ends a connection. The wait before the next doubles from
    ``backoff_base_s`` up to ``backoff_cap_s`` and is then drawn between half of itself and all
    of it; a connection that lasted ``steady_s`` starts it anew. ``look_s`` is how often a
    connection is looked at.
    """

    stale_after_s: float
    connect_timeout_s: float
    backoff_base_s: float
    backoff_cap_s: float
    look_s: float = 0.1
    steady_s: float = 30.0


class StreamKeeper(abc.ABC):
    """One stream for as long as the exchange connection lives; ``StreamStatus`` tells when it is up.

    A venue implements ``open``, ``close`` and ``idle_s``, and where it needs them ``prepare`` and
    ``look``. A connection ends when one of them raises, when ``end`` is called, or when nothing was
    heard for ``stale_after_s``. Counters: ``connects_<name>``, ``reconnects_<name>``,
    ``renewals_failed_<name>``, ``malformed``.

    The first connection waits for ``prepare``. The later ones do not: what it asks the venue for may be held
    up for a minute by rate limits or an open circuit breaker, and was answered before. It is asked again
    beside them, until it is answered; an answer that raises ``StreamError`` ends the connection, and the
    next one waits again.
    """

    def __init__(self, venue: str, name: str, pace: StreamPace, sink: Sink, counters: Counter[str]) -> None:
        self.venue = venue
        self.name = name
        self.pace = pace
        self.sink = sink
        self.counters = counters
        self.up = False
        self.paused = False
        self._prepared = False
        self._leaving: set[asyncio.Task[Any]] = set()
        self._ended: asyncio.Future[str] | None = None
        self._told_s = -1.0

    # -- what a venue implements -----------------------------------------------------------

    async def prepare(self) -> None:
        """What has to succeed once before a connection, and is made anew with each: instruments, a check of the key."""
        return

    @abc.abstractmethod
    async def open(self) -> None:
        """Connect, authenticate, subscribe; return once the venue has consented to all of it.

        Raises:
            StreamError: the venue refused, or did not answer within ``connect_timeout_s``.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Undo ``open``, however far it came. Must be quick: what lingers goes to ``leave``."""

    @property
    @abc.abstractmethod
    def idle_s(self) -> float:
        """Seconds since the venue was last heard; 0 while we are the ones who don't read."""

    async def look(self) -> None:
        """Called every ``look_s`` while the stream is up: heartbeats, and ``StreamError`` if it is dead."""
        return

    def on_pause(self) -> None:
        """``paused`` has changed."""
        return

    # -- its life --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        attempt = 0
        while True:
            began = _now()
            try:
                await self._session()
            except asyncio.CancelledError:
                self._status(False, "closed")
                raise
            except Exception as error:
                # Whatever ended it, the answer is the same: say so and connect again.
                reason = str(error) if isinstance(error, StreamError) else f"{type(error).__name__}: {error}"
                logger.warning("the %s stream of %s ended: %s", self.name, self.venue, reason)
                self._status(False, reason)
            self.counters[f"reconnects_{self.name}"] += 1
            attempt = 0 if _now() - began > self.pace.steady_s else attempt + 1
            await asyncio.sleep(self.backoff_s(attempt) * random.uniform(0.5, 1.0))

    def backoff_s(self, attempt: int) -> float:
        """The longest wait before the connection that follows ``attempt`` failures in a row."""
        return min(self.pace.backoff_cap_s, self.pace.backoff_base_s * (1 << min(max(attempt - 1, 0), 16)))

    def pause(self, paused: bool) -> None:
        """Stop or go on reading."""
        self.paused = paused
        self.on_pause()

    def end(self, reason: str, *, anew: bool = False) -> None:
        """End the present connection now: it is dead, or can no longer be trusted.

        With ``anew`` the next one waits for ``prepare``, as the first one did.
        """
        self._prepared = self._prepared and not anew
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    def leave(self, work: Coroutine[Any, Any, Any], name: str = "") -> None:
        """Let ``work`` (the rest of a close) go on beside the next connection; ``closed`` waits for it."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self.venue} {self.name} {name or 'leaving'}")
        self._leaving.add(task)
        task.add_done_callback(self._left)

    async def closed(self) -> None:
        """Wait for the connections on their way out."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_LEAVE_S)

    def _left(self, task: asyncio.Task[Any]) -> None:
        self._leaving.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.counters["close_failures"] += 1
            logger.warning("closing a connection of the %s stream of %s: %r", self.name, self.venue, task.exception())

    async def _session(self) -> None:
        """One connection from its beginning to its end, which is always an exception."""
        renewal: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        if not self._prepared:
            await self.prepare()
        self._ended = loop.create_future()
        if self._prepared:
            renewal.append(loop.create_task(self._renew(), name=f"{self.venue} {self.name} renewal"))
        self._prepared = True
        try:
            await self.open()
            self.counters[f"connects_{self.name}"] += 1
            self._status(True, "")
            await self._watch(self._ended)
        finally:
            self._ended = None
            await self.close()
            await end(renewal)

    async def _renew(self) -> None:
        """``prepare`` beside a connection, until it succeeds."""
        attempt = 0
        while True:
            try:
                await self.prepare()
                return
            except Exception as error:
                if isinstance(error, StreamError) and not isinstance(error, UnansweredError):
                    self.end(str(error), anew=True)
                    return
                # As in ``run``: whatever it was, the connection stands, and the answer is to ask again.
                self.counters[f"renewals_failed_{self.name}"] += 1
                logger.warning("beside the %s stream of %s: %s", self.name, self.venue, error)
            attempt += 1
            await asyncio.sleep(self.backoff_s(attempt) * random.uniform(0.5, 1.0))

    async def _watch(self, ended: asyncio.Future[str]) -> None:
        """Look after the connection until it dies or falls silent."""
        stale = self.pace.stale_after_s
        while True:
            done, _ = await asyncio.wait((ended,), timeout=self.pace.look_s)
            if done:
                raise StreamError(ended.result())
            await self.look()
            idle = self.idle_s
            if idle > stale:
                raise StreamError(f"silent for {idle:.1f} s, expected a sign of life every {stale:g} s")

    # -- what comes in ---------------------------------------------------------------------

    def malformed(self, text: str, problem: str) -> None:
        """Count what could not be read, and say it, once a second at most."""
        self.counters["malformed"] += 1
        now = _now()
        if self._told_s >= 0 and now - self._told_s < 1.0:
            return
        self._told_s = now
        logger.warning("%s's %s stream sent what can't be read: %s (%d characters)",
                       self.venue, self.name, problem, len(text))  # fmt: skip
        reason = f"the {self.name} stream sent what can't be read: {problem}"
        self.sink(DeadLetter(VENUE_PORT, "", "malformed", reason, text[:_KEPT].encode()))

    def _status(self, up: bool, reason: str) -> None:
        self.up = up
        self.sink(StreamStatus(self.name, up, reason))


class StatusGroup:
    """Several connections that are one stream to the outside: up when all are, down when one isn't.

    Give each of them ``sink(part)`` in place of the real sink; everything but their ``StreamStatus`` passes through.
    """

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self._sink = sink
        self._up: dict[str, bool] = {}

    @property
    def up(self) -> bool:
        """Whether the whole stream is up."""
        return bool(self._up) and all(self._up.values())

    def sink(self, part: str) -> Sink:
        """Where the connection called ``part`` sends to; to be asked for all before the first of them runs."""
        self._up[part] = False

        def take(message: Message) -> None:
            if isinstance(message, StreamStatus):
                self._status(part, message)
            else:
                self._sink(message)

        return take

    def _status(self, part: str, status: StreamStatus) -> None:
        self._up[part] = status.up
        if status.up:
            if self.up:
                self._sink(StreamStatus(self.name, True, ""))
            return
        reason = status.reason if len(self._up) == 1 else f"{part}: {status.reason}"
        self._sink(StreamStatus(self.name, False, reason))
