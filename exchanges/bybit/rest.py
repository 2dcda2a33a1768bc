"""REST calls of the official SDK, on bounded threads, each with an end in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pybit.unified_trading import HTTP

from exchanges.bybit.settings import BybitMode, BybitSettings

Call = Callable[[Any], Any]
"""A call of the SDK's session, such as ``lambda session: session.get_server_time()``."""


class TooBusyError(Exception):
    """Our own limiter let no further call through: nothing was sent."""

    def __init__(self, lane: str, wait_s: float) -> None:
        super().__init__(f"more {lane} calls than allowed a second; the next is free in {wait_s:.2f} s")
        self.wait_ns = int(wait_s * 1e9)


class Lane:
    """Some threads, each with its own session, and a limit of calls a second."""

    def __init__(self, name: str, settings: BybitSettings, threads: int, per_second: int, patience_s: float) -> None:
        self.name = name
        self._settings = settings
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"bybit-{name}")
        self._free = asyncio.Semaphore(threads)
        self._local = threading.local()
        self._gap_s = 1.0 / per_second
        self._burst_s = 1.0
        self._patience_s = patience_s
        self._next_s = 0.0

    async def run(self, call: Call, *, limited: bool = True) -> Any:
        """Run ``call`` with a session; raises what it raises.

        Raises:
            TooBusyError: the limiter would make it wait too long; nothing was sent.
            TimeoutError: there was no answer in time; what was sent may still be carried out.
        """
        if limited:
            await self._admit()
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, self._work, call)
        future.add_done_callback(self._ended)
        limit = self._settings.connect_timeout_s + 2 * self._settings.request_timeout_s
        return await asyncio.wait_for(asyncio.shield(future), limit)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        """A thread is free again; an error nobody waits for any more has been answered by the timeout."""
        self._free.release()
        if not future.cancelled():
            future.exception()

    async def _admit(self) -> None:
        """Let calls through at the allowed rate, with up to a second's worth at once."""
        now = time.monotonic()
        self._next_s = max(self._next_s, now - self._burst_s) + self._gap_s
        wait = self._next_s - now
        if wait > self._patience_s:
            self._next_s -= self._gap_s
            raise TooBusyError(self.name, wait)
        if wait > 0:
            await asyncio.sleep(wait)

    def _work(self, call: Call) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = make_session(self._settings)
        return call(session)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class RestClient:
    """Three lanes, so that a crowd of questions holds up no order, and hanging orders no cancel."""

    def __init__(self, settings: BybitSettings, counters: Counter[str]) -> None:
        self._counters = counters
        self.orders = Lane("order", settings, settings.order_threads, settings.orders_per_second, 1.0)
        self.cancels = Lane("cancel", settings, settings.cancel_threads, settings.orders_per_second, 1.0)
        self.queries = Lane("query", settings, settings.query_threads, settings.queries_per_second, 10.0)

    async def order(self, call: Call) -> Any:
        """Run an order call; returns the envelope's ``result``."""
        return await self._run(self.orders, call, True)

    async def cancel(self, call: Call) -> Any:
        """Run a cancel, past our own limiter: if it is one too many, the venue will say so."""
        return await self._run(self.cancels, call, False)

    async def query(self, call: Call) -> Any:
        """Run a read; returns the envelope's ``result``."""
        return await self._run(self.queries, call, True)

    async def _run(self, lane: Lane, call: Call, limited: bool) -> Any:
        self._counters[f"calls_{lane.name}"] += 1
        try:
            envelope = await lane.run(call, limited=limited)
            return envelope["result"]
        except Exception:
            self._counters[f"failures_{lane.name}"] += 1
            raise

    def close(self) -> None:
        self.orders.close()
        self.cancels.close()
        self.queries.close()


def make_session(settings: BybitSettings) -> Any:
    """An SDK session that retries nothing, waits for nothing and surfaces the venue's own codes."""
    session = HTTP(
        testnet=False,
        demo=settings.mode is BybitMode.DEMO,
        api_key=settings.key or None,
        api_secret=settings.secret or None,
        recv_window=settings.recv_window_ms,
        timeout=(settings.connect_timeout_s, settings.request_timeout_s),
        retry_codes={-1},
        force_retry=False,
        max_retries=1,
        log_requests=False,
    )
    session.endpoint = settings.endpoints.rest
    return session
