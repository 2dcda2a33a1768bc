"""An asyncio event loop on virtual time: the live engine and links run on it unchanged.

Each simulated process has a loop of its own, so that a crash ends exactly its callbacks. One
pass of the loop takes a random few microseconds of virtual time, in which mail gathers, as
it does in a real process.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from runtime.simulation.scheduler import Event, Scheduler

_set_running_loop: Callable[[Any], None] = asyncio._set_running_loop


class Handle:
    """A callback in the loop's queue or on its way there."""

    __slots__ = ("_arguments", "_call", "_context", "event", "when_s")

    def __init__(
        self, call: Callable[..., object], arguments: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self._call: Callable[..., object] | None = call
        self._arguments, self._context = arguments, context
        self.event: Event | None = None
        self.when_s = 0.0

    def cancel(self) -> None:
        self._call, self._arguments = None, ()
        Scheduler.cancel(self.event)

    def cancelled(self) -> bool:
        return self._call is None

    def when(self) -> float:
        return self.when_s

    def run(self) -> None:
        call, context = self._call, self._context
        if call is None:
            return
        if context is None:
            call(*self._arguments)
        else:
            context.run(call, *self._arguments)


class LoopOwner(Protocol):
    """The simulated process a loop belongs to."""

    name: str

    def turn_ns(self) -> int:
        """How long until the loop's next pass: its own time, and the time the process is blocked."""

    def failed(self, error: BaseException) -> None:
        """A callback raised."""

    async def connect(self, factory: Callable[[], Any], path: str) -> tuple[Any, Any]: ...

    def listen(self, factory: Callable[[], Any], path: str) -> Any: ...

    async def blocking(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Run a call as a thread would: later, and not stopping the loop."""


class SimulatedLoop:
    """The part of an event loop that the live code uses; for anything else it has no method."""

    def __init__(self, scheduler: Scheduler, owner: LoopOwner) -> None:
        self._scheduler, self._owner = scheduler, owner
        self._origin_ns = scheduler.now
        self._ready: deque[Handle] = deque()
        self._tasks: dict[asyncio.Task[Any], Any] = {}
        self._pending = False
        self._stopped = False
        self._paused = False
        self.ran = 0

    # -- time ----------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the process started: a monotonic clock."""
        return (self._scheduler.now - self._origin_ns) / 1e9

    def call_soon(self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None) -> Any:
        handle = Handle(callback, args, context)
        if not self._stopped:
            self._ready.append(handle)
            if not self._pending and not self._paused:
                self._pending = True
                self._scheduler.after(self._owner.turn_ns(), self._pass)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        handle = Handle(callback, args, context)
        handle.when_s = self.time() + delay
        if not self._stopped:
            handle.event = self._scheduler.after(max(0, round(delay * 1e9)), self._push, handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        return self.call_later(when - self.time(), callback, *args, context=context)

    # -- the passes ----------------------------------------------------------------

    def _push(self, handle: Handle) -> None:
        if self._stopped:
            return
        self._ready.append(handle)
        self._arm()

    def _arm(self) -> None:
        if not self._pending and not self._paused and self._ready:
            self._pending = True
            self._scheduler.after(self._owner.turn_ns(), self._pass)

    def _pass(self) -> None:
        """Run what is in the queue now; what that adds has to wait for the next pass."""
        self._pending = False
        if self._stopped or self._paused:
            return
        ready = self._ready
        _set_running_loop(self)
        try:
            for _ in range(len(ready)):
                if not ready:
                    # The process ended in the last one.
                    break
                self.ran += 1
                ready.popleft().run()
        except BaseException as error:
            self._owner.failed(error)
        finally:
            _set_running_loop(None)
        if ready:
            self._arm()

    def run_inside(self, call: Callable[[], None]) -> None:
        """Run ``call`` now, with this loop as the running one."""
        _set_running_loop(self)
        try:
            call()
        except BaseException as error:
            self._owner.failed(error)
        finally:
            _set_running_loop(None)

    def pause(self, paused: bool) -> None:
        """Stop (as by SIGSTOP) or go on; what falls due in between waits."""
        self._paused = paused
        self._arm()

    def stop(self) -> None:
        """The process has ended: nothing of it runs any more."""
        self._stopped = True
        self._ready.clear()
        self._scheduler.empty(self._push)
        tasks, self._tasks = self._tasks, {}
        for coro in tasks.values():
            if not coro.cr_running:
                coro.close()

    # -- tasks and futures ---------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=cast(Any, self))

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=cast(Any, self), **options)
        self._tasks[task] = coro
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        return self.create_task(self._owner.blocking(func, args))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._stopped

    def is_closed(self) -> bool:
        return self._stopped

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is a defect of the code under test, unless its process is dead."""
        error = context.get("exception")
        if isinstance(error, BaseException) and not self._stopped:
            self._owner.failed(error)

    # -- streams -------------------------------------------------------------------

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **options: Any) -> Any:
        return await self._owner.connect(protocol_factory, str(path))

    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **options: Any) -> Any:
        return self._owner.listen(protocol_factory, str(path))
