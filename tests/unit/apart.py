"""Runs a call in a forked process, which a damaged file may kill."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Callable
from typing import Any

import msgspec


def apart(call: Callable[..., Any], *arguments: Any) -> Any:
    """The JSON-ready result of the call; ``{"died": text}`` where it raised or was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        try:
            answer = msgspec.json.encode(call(*arguments))
        except BaseException as error:
            answer = msgspec.json.encode({"died": repr(error)})
        os.write(writing, answer)
        os._exit(0)
    os.close(writing)
    data = b""
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    return msgspec.json.decode(data) if data else {"died": f"status {status}"}
