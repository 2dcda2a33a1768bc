"""Settings of one Alpaca connection. The key and the secret show up in no text made of them."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, NamedTuple

from exchanges.alpaca.values import VENUE
from exchanges.modes import check_key
from exchanges.settings import AdapterSettings

INTERVALS: dict[int, str] = {
    **{minutes * 60: f"{minutes}Min" for minutes in (1, 2, 3, 5, 10, 15, 20, 30)},
    **{hours * 3600: f"{hours}Hour" for hours in (1, 2, 4, 6, 12)},
    86_400: "1Day",
    604_800: "1Week",
}
"""Seconds to the venue's names of candle lengths."""

STREAMED_INTERVAL_S = 60
"""The only candles the stream has; others are history."""


class Endpoints(NamedTuple):
    """Base addresses, without the path: trading, its stream, market data, its stream."""

    rest: str
    stream: str
    data: str
    data_stream: str


class AlpacaSettings(AdapterSettings, frozen=True, kw_only=True):
    """Where to connect, as whom, and how patiently. Times in seconds.

    ``feed`` is ``iex`` (one exchange, free), ``sip`` (all of them) or ``delayed_sip``. ``streams``
    may name ``trade``, ``quote`` and ``bar``. An empty address is the venue's own for the mode;
    ``sim`` has none. With ``extended_hours`` equities trade from 04:00 to 20:00 New York time, in
    limit orders alone outside 09:30 to 16:00. Crypto fees are fractions of the notional, by the
    account's tier; the venue's executions don't tell them. The limits are the venue's calls a
    minute, one for trading and one for market data. In mode ``live`` the key must belong to ``live_account``;
    in mode ``paper`` the venue's paper host tells market hours and assets, and no order goes there.
    """

    venue: ClassVar[str] = VENUE

    key: str = ""
    secret: str = ""
    rest_url: str = ""
    stream_url: str = ""
    data_url: str = ""
    data_stream_url: str = ""
    feed: str = "iex"
    extended_hours: bool = False
    crypto_maker_fee: Decimal = Decimal("0.0015")
    crypto_taker_fee: Decimal = Decimal("0.0025")
    hours_refresh_s: float = 60.0
    calls_per_minute: int = 200
    data_calls_per_minute: int = 200
    order_threads: int = 4
    cancel_threads: int = 2
    query_threads: int = 4

    def __post_init__(self) -> None:
        self._check_streams()
        self.addresses()
        check_key(VENUE, self.mode, self.key)
        if self.secret != self.secret.strip() or not (self.secret.isprintable() and self.secret.isascii()):
            raise ValueError("expected a secret of printable characters without spaces around it; copy it anew")
        if not 0 <= self.crypto_maker_fee < 1 or not 0 <= self.crypto_taker_fee < 1:
            raise ValueError(
                f"expected crypto fees as fractions from 0 to below 1, found {self.crypto_maker_fee} and "
                f"{self.crypto_taker_fee}; 0.0025 is 25 basis points"
            )
        if min(self.calls_per_minute, self.data_calls_per_minute) < 20:
            raise ValueError(
                f"expected at least 20 calls a minute, found {self.calls_per_minute} and {self.data_calls_per_minute}"
            )

    def _check_streams(self) -> None:
        self.ensure_streams("trade", "quote", "bar")
        if "bar" in self.streams and self.bar_interval_s != STREAMED_INTERVAL_S:
            raise ValueError(
                f"expected a bar_interval_s of {STREAMED_INTERVAL_S}, the only candles the venue streams, "
                f"found {self.bar_interval_s}; build longer ones of trades"
            )
        if self.feed not in ("iex", "sip", "delayed_sip"):
            raise ValueError(f"expected the feed iex, sip or delayed_sip, found {self.feed!r}")

    @property
    def endpoints(self) -> Endpoints:
        """The addresses in force."""
        found = self.addresses()
        return Endpoints(found["rest_url"], found["stream_url"], found["data_url"], found["data_stream_url"])
