"""REST calls of the official SDK through the resilience stack, one session for each thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from pybit.unified_trading import HTTP

from exchanges.bybit.endpoints import TIME, stack_settings
from exchanges.bybit.failures import BANNED, STALE, classify
from exchanges.bybit.settings import BybitSettings
from exchanges.bybit.symbols import VENUE
from exchanges.bybit.wire import MS, WireError
from exchanges.failures import Failure, VenueError
from exchanges.modes import Mode, OrderGate
from exchanges.resilience import Endpoint, Stack, StackSettings
from exchanges.resilience.skew import Skew
from exchanges.tasks import end

logger = logging.getLogger(__name__)

Call = Callable[[Any], Any]
"""A call of the SDK's session, such as ``lambda session: session.get_server_time()``."""


Read = Callable[[Any], Any]
"""What is made of an answer's ``result``, on the thread that fetched it."""


def _whole(result: Any) -> Any:
    return result


class Session(HTTP):  # type: ignore[misc]
    """The SDK's session, stamping its requests with the venue's time instead of this machine's."""

    venue_ns: Callable[[], int] = staticmethod(time.time_ns)

    def _prepare_headers(
        self, payload: str | bytes, recv_window: int, content_type: str = "application/json"
    ) -> dict[str, str]:
        stamp = self.venue_ns() // MS
        return {
            "Content-Type": content_type,
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-SIGN": self._auth(payload=payload, recv_window=recv_window, timestamp=stamp),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": str(stamp),
            "X-BAPI-RECV-WINDOW": str(recv_window),
        }


class Rest:
    """The venue's REST interface. All methods belong to one event loop and raise ``VenueError`` alone.

    Args:
        settings: Where, as whom, how patiently.
        clock: Monotonic seconds; the event loop's own time in a simulation.
        wall: This machine's nanoseconds since 1970.
        sessions: Makes the SDK's session of a thread.
        patience: In place of what follows from the settings.
    """

    def __init__(
        self,
        settings: BybitSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
        sessions: Callable[[BybitSettings, Skew], Any] | None = None,
        patience: StackSettings | None = None,
    ) -> None:
        self.settings = settings
        self._clock, self._wall = clock, wall
        self.skew = Skew(wall=wall)
        self.gate = OrderGate(VENUE, settings.mode, settings.live_account)
        self.stack = Stack(
            VENUE, patience or stack_settings(settings), self._classify, clock=clock, wall=self.skew.now_ns
        )
        self._make_session = sessions or make_session
        self._own = settings.endpoints.rest
        self._local = threading.local()
        self._sessions: list[Any] = []
        self._lock = threading.Lock()
        self._synced_s = -1e9
        self._syncing = asyncio.Lock()
        self._resync: asyncio.Task[None] | None = None

    async def ask(self, endpoint: Endpoint, call: Call, *, key: Hashable = None, read: Read = _whole) -> Any:
        """What ``read`` makes of the ``result`` of a public read.

        Equal calls of a cached endpoint share one answer, which must not be changed.
        """
        return await self._ask(endpoint, call, key, read)

    async def ask_account(self, endpoint: Endpoint, call: Call, *, key: Hashable = None, read: Read = _whole) -> Any:
        """The same for a signed call that opens nothing: account reads and cancels.

        Raises:
            VenueError: also if the mode allows no such call.
        """
        self.gate.ensure("rest_url", self._address, opens=False)
        return await self._ask(endpoint, call, key, read)

    async def order(self, endpoint: Endpoint, call: Call, *, key: Hashable = None) -> Any:
        """The ``result`` of a signed call that may open something, or change how it is opened.

        Raises:
            VenueError: also if the mode allows no orders, or the account isn't the one that was typed out.
        """
        self.gate.ensure("rest_url", self._address)
        return await self._ask(endpoint, call, key, _whole)

    async def sync(self, *, older_than_s: float = 0.0) -> None:
        """Measure the venue's clock against ours, unless that was done less than ``older_than_s`` ago."""
        async with self._syncing:
            if self._clock() - self._synced_s < older_than_s:
                return
            await self._measure()
            self._synced_s = self._clock()

    async def _measure_again(self) -> None:
        try:
            await self.sync(older_than_s=1.0)
        except VenueError as error:
            logger.warning("bybit: the clock could not be measured: %s", error)

    async def _measure(self) -> None:
        times: list[int] = []

        def call(session: Any) -> Any:
            times.append(self._wall())
            try:
                return session.get_server_time()
            finally:
                times.append(self._wall())

        result = await self._ask(TIME, call, None, _whole)
        try:
            venue_ns = int(result["timeNano"])
        except (KeyError, ValueError, TypeError) as error:
            raise VenueError(classify(WireError(f"expected timeNano as a number, found {result!r}"))) from error
        self.skew.measured(times[-2], venue_ns, times[-1])

    async def close(self) -> None:
        """Wait for the calls under way, then close the sessions."""
        if self._resync is not None:
            await end([self._resync])
        await self.stack.close()
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.client.close()

    # -- parts -----------------------------------------------------------------------------

    @property
    def _address(self) -> str:
        """Where the sessions really send to."""
        with self._lock:
            others = {str(session.endpoint) for session in self._sessions} - {self._own}
        return others.pop() if others else self._own

    async def _ask(self, endpoint: Endpoint, call: Call, key: Hashable, read: Read) -> Any:
        loop = asyncio.get_running_loop()

        def work() -> Any:
            envelope, _, headers = call(self._session())
            _on_loop(loop, self._observe, endpoint, headers)
            return read(envelope["result"])

        try:
            return await self.stack.call(endpoint, work, key=key)
        except VenueError as error:
            self._learn(error.failure)
            raise

    def _learn(self, failure: Failure) -> None:
        if failure.code in STALE:
            # One of the clocks was set: what was measured before is worth nothing.
            self._synced_s = -1e9
            if self._resync is None or self._resync.done():
                self._resync = asyncio.get_running_loop().create_task(self._measure_again(), name="bybit clock")
        if failure.code == BANNED:
            self.stack.hold("ip", failure.retry_after_ns / 1e9)

    def _classify(self, error: BaseException) -> Failure:
        return classify(error, self.skew.now_ns())

    def _observe(self, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        """Correct the limiter by what the venue says of its own count."""
        remaining, limit, reset = (
            str(headers.get(f"X-Bapi-Limit{part}", "")) for part in ("-Status", "", "-Reset-Timestamp")
        )
        if endpoint.bucket == "ip" or not remaining.isdigit():
            return
        self.stack.observed(
            endpoint.bucket,
            remaining=float(remaining),
            limit=float(limit) if limit.isdigit() else None,
            reset_ns=int(reset) * MS if reset.isdigit() else None,
        )

    def _session(self) -> Any:
        """This thread's own session."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._make_session(self.settings, self.skew)
            with self._lock:
                self._sessions.append(session)
        return session


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        logger.debug("an answer of bybit came after the end of the event loop")


def make_session(settings: BybitSettings, skew: Skew) -> Any:
    """An SDK session that retries nothing, waits for nothing and surfaces the venue's own codes."""
    session = Session(
        testnet=False,
        demo=settings.mode is Mode.DEMO,
        api_key=settings.key or None,
        api_secret=settings.secret or None,
        recv_window=settings.recv_window_ms,
        timeout=(settings.connect_timeout_s, settings.request_timeout_s),
        retry_codes={-1},
        force_retry=False,
        max_retries=1,
        log_requests=False,
        return_response_headers=True,
    )
    session.endpoint = settings.endpoints.rest
    session.venue_ns = skew.now_ns
    return session
