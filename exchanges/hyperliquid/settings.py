"""Settings of one Hyperliquid connection. The private key shows up in no text made of them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import ClassVar, NamedTuple

from exchanges.hyperliquid.names import VENUE
from exchanges.modes import ModeError, check_key
from exchanges.settings import AdapterSettings

SOCKET_PATH = "/ws"
STREAMS = ("trade", "quote", "bar", "book", "ticker")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

INTERVALS: dict[int, str] = {
    **{minutes * 60: f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
    **{hours * 3_600: f"{hours}h" for hours in (1, 2, 4, 8, 12)},
    86_400: "1d",
    3 * 86_400: "3d",
    7 * 86_400: "1w",
}
"""Seconds to the venue's names of candle lengths."""


class Endpoints(NamedTuple):
    """Base addresses, without the paths."""

    rest: str
    socket: str


class HyperliquidSettings(AdapterSettings, frozen=True, kw_only=True):
    """Where to connect, as whom, and how patiently. Times in seconds.

    ``account`` is the address whose positions and orders these are; ``private_key`` signs for it: its own
    key, or better that of an API wallet (agent) it has approved, which can trade but not withdraw. In mode
    ``live`` ``live_account`` must be that address, typed out once more. ``leverage`` (cross margin) is set for
    every perpetual before the first private connection; without it the account's own stays.
    ``market_slippage`` is how far, as a fraction, a market order may go through the best known price.
    ``order_life_s`` after it was signed the venue takes an order no more: then "no such order" is final.
    """

    venue: ClassVar[str] = VENUE
    proof: ClassVar[str] = "private_key"

    account: str = ""
    private_key: str = ""
    rest_url: str = ""
    socket_url: str = ""
    book_levels: int = 10
    leverage: int | None = None
    market_slippage: Decimal = Decimal("0.02")
    order_life_s: float = 7.0
    orders_per_second: float = 10.0
    weight_per_minute: float = 1200.0

    def __post_init__(self) -> None:
        self.ensure_streams(*STREAMS)
        if self.bar_interval_s not in INTERVALS:
            raise ValueError(f"expected a bar_interval_s among {sorted(INTERVALS)}, found {self.bar_interval_s}")
        if not 0 <= self.market_slippage < 1:
            raise ValueError(f"expected a market_slippage from 0 to below 1, found {self.market_slippage}")
        if self.leverage is not None and not 1 <= self.leverage <= 100:
            raise ValueError(f"expected a leverage from 1 to 100, or none, found {self.leverage}")
        self.addresses()
        check_key(VENUE, self.mode, self.account)
        if self.account and not _ADDRESS.fullmatch(self.account):
            raise ModeError(
                f"expected the key of {VENUE} to be the account's address (0x and 40 hexadecimal digits), found "
                f"{len(self.account)} characters that are none; the private key goes where the secret does"
            )

    @property
    def endpoints(self) -> Endpoints:
        """The addresses in force, without the paths."""
        found = self.addresses()
        return Endpoints(found["rest_url"], found["socket_url"].removesuffix(SOCKET_PATH))

    @property
    def user(self) -> str:
        """The account as the venue writes it: in small letters."""
        return self.account.lower()
