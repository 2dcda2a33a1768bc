"""Structured logs: one JSON object a line, with the actor and the correlation id."""

from __future__ import annotations

import contextvars
import json
import logging
import logging.handlers
import sys
import time
import traceback
from pathlib import Path

import msgspec

actor: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default="")
correlation: contextvars.ContextVar[str] = contextvars.ContextVar("correlation", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LogRules(msgspec.Struct, frozen=True):
    """What is written, and how much of it is kept: ``keep`` rotated files of ``max_bytes`` each."""

    level: str = "INFO"
    max_bytes: int = 50 << 20
    keep: int = 5


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, logger, text, actor, correlation and extras."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
        }
        if actor.get():
            line["actor"] = actor.get()
        if correlation.get():
            line["correlation"] = correlation.get()
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


def configure(folder: str, name: str, rules: LogRules = LogRules()) -> None:  # noqa: B008 - frozen
    """Log to ``folder/name.jsonl``, and errors to standard error too."""
    JsonFormatter.converter = time.gmtime
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path / f"{name.replace('/', '-').replace(':', '-')}.jsonl", maxBytes=rules.max_bytes, backupCount=rules.keep
    )
    handler.setFormatter(JsonFormatter())
    warnings = logging.StreamHandler(sys.stderr)
    warnings.setLevel(logging.ERROR)
    warnings.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.addHandler(warnings)
    root.setLevel(rules.level)
