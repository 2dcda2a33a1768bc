"""One REST request, its parameters, and the answer to it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from exchanges.hours import NEW_YORK
from exchanges.simulators.alpaca.desk import Desk
from exchanges.simulators.alpaca.errors import UNPROCESSABLE, ApiError
from exchanges.simulators.alpaca.publisher import AlpacaPublisher
from exchanges.simulators.alpaca.wire import Json

_SECOND_NS = 1_000_000_000
_FRACTION = re.compile(r"\.(\d+)")


class Reply(NamedTuple):
    """An answer; ``body`` is ``None`` where there is none."""

    body: Any
    status: int = 200


class Asked(NamedTuple):
    """A request of an account: query, parts of the path, JSON body."""

    publisher: AlpacaPublisher
    account: str
    query: dict[str, str]
    path: Mapping[str, str]
    body: Json

    @property
    def desk(self) -> Desk:
        return self.publisher.desk

    def names(self, name: str) -> list[str]:
        """A list separated by commas."""
        return [part for part in self.query.get(name, "").split(",") if part]

    def number(self, name: str, default: int, most: int) -> int:
        """A number from 1 on, never more than ``most``.

        Raises:
            ApiError: 422, it isn't one.
        """
        value = self.query.get(name, str(default))
        if not value.isdigit() or int(value) < 1:
            raise ApiError(UNPROCESSABLE, f"{name} must be a positive number, found {value!r}")
        return min(int(value), most)

    def time(self, name: str, default: int = 0, *, end_of_day: bool = False) -> int:
        """A date (its start in New York, or its end) or an RFC 3339 time, in nanoseconds.

        Raises:
            ApiError: 422, it is neither.
        """
        value = self.query.get(name)
        if not value:
            return default
        found = nanoseconds(value.replace(" ", "+"))
        if found is None:
            raise ApiError(UNPROCESSABLE, f"{name} must be a date or an RFC 3339 time, found {value!r}")
        return found + 86_400 * _SECOND_NS if end_of_day and len(value) == 10 else found

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of ``choices``, the first if none is given.

        Raises:
            ApiError: 422, it is something else.
        """
        value = self.query.get(name) or choices[0]
        if value.lower() not in choices:
            raise ApiError(UNPROCESSABLE, f"{name} must be one of {', '.join(choices)}, found {value!r}")
        return value.lower()


Call = Callable[[Asked], Reply]


def nanoseconds(value: str) -> int | None:
    """A date or an RFC 3339 time with up to nine decimals; ``None`` if it is neither."""
    match = _FRACTION.search(value)
    whole = _FRACTION.sub("", value, count=1)
    try:
        moment = dt.datetime.fromisoformat(whole)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=NEW_YORK if len(value) == 10 else dt.UTC)
    return int(moment.timestamp()) * _SECOND_NS + (int(match[1][:9].ljust(9, "0")) if match else 0)
