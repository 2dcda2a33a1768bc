"""Settings of one Bybit connection. The key and the secret show up in no text made of them."""

from __future__ import annotations

import enum
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

VENUE = "bybit"


class BybitMode(enum.StrEnum):
    """Which Bybit: the embedded simulator, live prices alone, the demo account, or real money."""

    SIM = "sim"
    PAPER = "paper"
    DEMO = "demo"
    LIVE = "live"


class Endpoints(NamedTuple):
    """Base addresses; the streams' without the path."""

    rest: str
    public: str
    private: str


_LIVE = Endpoints("https://api.bybit.com", "wss://stream.bybit.com", "wss://stream.bybit.com")
_DEMO = Endpoints("https://api-demo.bybit.com", "wss://stream.bybit.com", "wss://stream-demo.bybit.com")
_DEFAULTS = {BybitMode.PAPER: _LIVE, BybitMode.LIVE: _LIVE, BybitMode.DEMO: _DEMO}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class BybitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect, as whom, and how patiently. Times in seconds.

    ``streams`` may name ``trade``, ``quote``, ``bar``, ``book`` and ``ticker``. An empty address is the
    venue's own for the mode; ``sim`` has none.
    """

    mode: BybitMode
    key: str = ""
    secret: str = ""
    rest_url: str = ""
    public_url: str = ""
    private_url: str = ""
    category: str = "linear"
    settle_coin: str = "USDT"
    streams: tuple[str, ...] = ("trade", "quote", "bar")
    bar_interval_s: int = 60
    book_depth: int = 50
    book_levels: int = 10
    request_timeout_s: float = 5.0
    connect_timeout_s: float = 10.0
    stale_after_s: float = 15.0
    backoff_base_s: float = 0.25
    backoff_cap_s: float = 15.0
    orders_per_second: int = 10
    queries_per_second: int = 20
    order_threads: int = 4
    cancel_threads: int = 2
    query_threads: int = 4
    recv_window_ms: int = 5000
    auth_expire_s: int = 10
    buffer_messages: int = 10_000
    """Raw messages of one stream kept before its socket is no longer read."""

    def __post_init__(self) -> None:
        self._check_streams()
        endpoints = self.endpoints
        hosts = {urlsplit(url).hostname or "" for url in endpoints}
        if self.mode is BybitMode.SIM and not hosts <= set(_LOOPBACK):
            raise ValueError(f"expected addresses on this machine in mode sim, found {sorted(hosts)}")
        private = {urlsplit(endpoints.rest).hostname or "", urlsplit(endpoints.private).hostname or ""}
        demo = {host for host in private if "demo" in host}
        if self.mode is BybitMode.DEMO and private - demo - set(_LOOPBACK):
            raise ValueError(
                f"expected the demo account's addresses in mode demo, found {sorted(private - demo)}; "
                f"leave rest_url and private_url empty, or change the mode"
            )
        if self.mode is BybitMode.LIVE and demo:
            raise ValueError(f"expected the live addresses in mode live, found {sorted(demo)}; change the mode to demo")

    def _check_streams(self) -> None:
        unknown = sorted(set(self.streams) - {"trade", "quote", "bar", "book", "ticker"})
        if unknown:
            raise ValueError(f"expected streams among trade, quote, bar, book, ticker, found {unknown}")
        if "bar" in self.streams and self.bar_interval_s not in INTERVALS:
            raise ValueError(f"expected a bar_interval_s among {sorted(INTERVALS)}, found {self.bar_interval_s}")
        if "book" in self.streams and self.book_depth not in (50, 200, 1000):
            raise ValueError(f"expected a book_depth of 50, 200 or 1000, found {self.book_depth}")

    @property
    def endpoints(self) -> Endpoints:
        """The addresses in force."""
        if self.mode is BybitMode.SIM and not (self.rest_url and self.public_url and self.private_url):
            raise ValueError("expected rest_url, public_url and private_url in mode sim, found at least one empty")
        default = _DEFAULTS.get(self.mode, Endpoints("", "", ""))
        return Endpoints(
            (self.rest_url or default.rest).rstrip("/"),
            (self.public_url or default.public).rstrip("/"),
            (self.private_url or default.private).rstrip("/"),
        )

    def __repr__(self) -> str:
        key = "set" if self.key else "none"
        return f"BybitSettings(mode={self.mode.value!r}, rest={self.endpoints.rest!r}, key={key})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """What rich prints: no more than ``repr`` says."""
        return [("mode", self.mode.value), ("rest", self.endpoints.rest)]


INTERVALS: dict[int, str] = {
    **{minutes * 60: str(minutes) for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    86_400: "D",
    604_800: "W",
}
"""Seconds to the venue's names of candle lengths."""
