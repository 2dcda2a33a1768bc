"""An event loop whose time jumps: hours of waiting in the blink of an eye, in tests and benchmarks."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """Does not wait for its timeout, but says that it has passed."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("expected something to be due in simulated time, found that everybody waits for ever")
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now_s += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """asyncio as it is, on simulated time; calls for threads run at once, and take ``call_s`` of it."""

    def __init__(self, call_s: float = 0.0) -> None:
        self._call_s = call_s
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            self._ends(future.set_result, func(*args))
        except Exception as error:
            self._ends(future.set_exception, error)
        return future

    def _ends(self, end: Callable[..., None], value: object) -> None:
        if self._call_s:
            self.call_later(self._call_s, end, value)
        else:
            end(value)


def simulate(work: Coroutine[Any, Any, T], *, call_s: float = 0.0) -> T:
    """Run ``work`` to its end on simulated time, which begins at 0; a blocking call takes ``call_s`` of it."""
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(call_s)) as runner:
        return runner.run(work)


def loop_time() -> float:
    """The running loop's time: the clock to give to what is simulated."""
    return asyncio.get_running_loop().time()
