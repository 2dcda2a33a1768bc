"""Awaiting Ray calls with a deadline, and saying in a line how an actor ended."""

from __future__ import annotations

import asyncio
from typing import Any

from ray.exceptions import ActorDiedError, RayActorError, RayTaskError


def watched(ref: Any) -> asyncio.Future[Any]:
    """The call's result as a future of the running loop, whose failure may go unread."""
    future: asyncio.Future[Any] = asyncio.wrap_future(ref.future())
    future.add_done_callback(_read)
    return future


async def answer(ref: Any, within_s: float) -> Any:
    """The result of a Ray call.

    Raises:
        TimeoutError: no answer after ``within_s`` seconds. The call itself is not cancelled.
    """
    future = watched(ref)
    done, _ = await asyncio.wait({future}, timeout=max(0.0, within_s))
    if not done:
        raise TimeoutError(f"no answer within {within_s:g} s")
    return future.result()


def cause(error: BaseException) -> str:
    """One line that says why: the last line of Ray's many."""
    if isinstance(error, RayTaskError):
        inner = error.cause
        return f"{type(inner).__name__}: {inner}" if inner is not None else _last_line(str(error))
    if isinstance(error, ActorDiedError) and "__init__" in str(error):
        return f"its constructor failed: {_last_line(str(error))}"
    if isinstance(error, RayActorError):
        return _sentence(str(error))
    return f"{type(error).__name__}: {error}"


def _read(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _sentence(text: str) -> str:
    """The line that begins like a reason, without Ray's advice after it."""
    for line in reversed(text.splitlines()):
        if line.startswith("The actor"):
            return line.split(" Some common causes")[0].strip()
    return _last_line(text)
