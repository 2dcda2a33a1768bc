"""Runs ``bigwheel`` in this process, as the shell would."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from bigwheel.cli import main


class Answer(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def bigwheel(*arguments: str | Path, columns: int | None = 200) -> Answer:
    """What ``bigwheel ARGUMENTS`` leaves behind, in a terminal of ``columns``; ``None``: in a file."""
    out, err = io.StringIO(), io.StringIO()
    told = {} if columns is None else {"COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)}
    given = ["bigwheel", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", given),
        mock.patch.dict("os.environ", told),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Answer(status, out.getvalue(), err.getvalue())


def refused(*arguments: str | Path) -> str:
    """The one line by which a command is refused: exit status 2, no traceback."""
    answer = bigwheel(*arguments)
    assert answer.status == 2, answer
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("bigwheel: "), lines
    return lines[0].removeprefix("bigwheel: ")
