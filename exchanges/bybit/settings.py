"""Settings of one Bybit connection. The key and the secret show up in no text made of them."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, NamedTuple

from exchanges.bybit.symbols import VENUE
from exchanges.modes import Mode, check_key
from exchanges.settings import AdapterSettings

BybitMode = Mode


class Endpoints(NamedTuple):
    """Base addresses; the streams' without the path."""

    rest: str
    public: str
    private: str


class BybitSettings(AdapterSettings, frozen=True, kw_only=True):
    """Where to connect, as whom, and how patiently. Times in seconds.

    ``streams`` may name ``trade``, ``quote``, ``bar``, ``book`` and ``ticker``. An empty address is the
    venue's own for the mode; ``sim`` has none. In mode ``live`` the key must belong to ``live_account``.
    ``leverage`` is set for every perpetual before the first private connection; without it the account's
    own stays. The limits may be lower than the venue's, never higher. ``max_skew_s`` is how far this
    machine's clock may be off the venue's.
    """

    venue: ClassVar[str] = VENUE

    key: str = ""
    secret: str = ""
    rest_url: str = ""
    public_url: str = ""
    private_url: str = ""
    settle_coin: str = "USDT"
    book_depth: int = 50
    book_levels: int = 10
    orders_per_second: int = 10
    queries_per_second: int = 20
    order_threads: int = 4
    cancel_threads: int = 2
    query_threads: int = 4
    read_tries: int = 4
    retry_base_s: float = 1.0
    retry_cap_s: float = 60.0
    leverage: Decimal | None = None
    max_skew_s: float = 5.0
    sync_every_s: float = 60.0
    recv_window_ms: int = 5000
    auth_expire_s: int = 10
    buffer_messages: int = 10_000
    """Raw messages of one stream kept before its socket is no longer read."""

    def __post_init__(self) -> None:
        self._check_streams()
        self.addresses()
        check_key(VENUE, self.mode, self.key)
        if self.leverage is not None and not 1 <= self.leverage <= 200:
            raise ValueError(f"expected a leverage from 1 to 200, or none, found {self.leverage}")

    def _check_streams(self) -> None:
        self.ensure_streams("trade", "quote", "bar", "book", "ticker")
        if "bar" in self.streams and self.bar_interval_s not in INTERVALS:
            raise ValueError(f"expected a bar_interval_s among {sorted(INTERVALS)}, found {self.bar_interval_s}")
        if "book" in self.streams and self.book_depth not in (50, 200, 1000):
            raise ValueError(f"expected a book_depth of 50, 200 or 1000, found {self.book_depth}")

    @property
    def endpoints(self) -> Endpoints:
        """The addresses in force."""
        found = self.addresses()
        return Endpoints(found["rest_url"], found["public_url"], found["private_url"])


INTERVALS: dict[int, str] = {
    **{minutes * 60: str(minutes) for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    86_400: "D",
    604_800: "W",
}
"""Seconds to the venue's names of candle lengths."""
