"""Pages with opaque cursors that stay right while new rows come."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from exchanges.simulators.kalshi import form
from exchanges.simulators.kalshi.errors import invalid
from exchanges.simulators.kalshi.form import Params

T = TypeVar("T")
DEFAULT, MOST = 100, 1_000


def newest_first(rows: Sequence[T], params: Params, wanted: Callable[[T], bool]) -> tuple[list[T], str]:
    """The next page of ``rows`` (oldest first, only ever appended to) that are ``wanted``, newest first.

    Returns the page and the cursor that leads on, empty at the end.
    """
    limit, end = _limit(params), _cursor(params, len(rows))
    page: list[T] = []
    for index in range(min(end, len(rows)) - 1, -1, -1):
        if not wanted(rows[index]):
            continue
        if len(page) == limit:
            return page, _written(index + 1)
        page.append(rows[index])
    return page, ""


def in_order(rows: Sequence[T], params: Params, wanted: Callable[[T], bool]) -> tuple[list[T], str]:
    """The same for rows in their own order."""
    limit = _limit(params)
    page: list[T] = []
    for index in range(_cursor(params, 0), len(rows)):
        if not wanted(rows[index]):
            continue
        if len(page) == limit:
            return page, _written(index)
        page.append(rows[index])
    return page, ""


def _limit(params: Params) -> int:
    return form.integer(params, "limit", DEFAULT, 1, MOST)


def _written(index: int) -> str:
    return base64.urlsafe_b64encode(f"row {index}".encode()).decode().rstrip("=")


def _cursor(params: Params, start: int) -> int:
    cursor = form.text(params, "cursor", "")
    if not cursor:
        return start
    try:
        found = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid(f"expected a cursor of an earlier answer, found {cursor!r}") from error
    word, _, index = found.partition(" ")
    if word != "row" or not index.isdecimal():
        raise invalid(f"expected a cursor of an earlier answer, found {cursor!r}")
    return int(index)
