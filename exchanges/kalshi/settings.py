"""Settings of one Kalshi connection. Key id and private key show up in no text made of them."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, NamedTuple

from exchanges.modes import check_key
from exchanges.settings import AdapterSettings

VENUE = "kalshi"
API_PATH = "/trade-api/v2"
SOCKET_PATH = "/trade-api/ws/v2"
STREAMS = ("trade", "quote", "bar", "book", "ticker")
SELF_TRADE = ("taker_at_cross", "maker")
PERIODS_S = (60, 3_600, 86_400)
"""The candle lengths the venue keeps."""


class Endpoints(NamedTuple):
    """Base addresses, without the paths."""

    rest: str
    socket: str


class KalshiSettings(AdapterSettings, frozen=True, kw_only=True):
    """Where to connect, as whom, and how patiently. Times in seconds.

    ``private_key`` is the PEM text of the RSA key that belongs to ``key_id``. An empty address is the
    venue's own for the mode; ``sim`` has none. In mode ``live`` ``live_account`` must be the key's id, typed
    out once more: the venue gives accounts no other name that every key may ask for. ``streams`` may
    name ``trade``, ``quote``, ``bar``, ``book`` and ``ticker``. ``market_slippage`` is how far (in dollars)
    a market order may go through the best known price. ``direct_member`` says whether fees are rounded to
    $0.0001 rather than $0.01.
    """

    venue: ClassVar[str] = VENUE
    proof: ClassVar[str] = "private_key"

    key_id: str = ""
    private_key: str = ""
    rest_url: str = ""
    socket_url: str = ""
    book_levels: int = 10
    lifecycle: bool = True
    """Whether the venue's lifecycle channel is listened to besides the polling."""
    market_poll_s: float = 30.0
    market_slippage: Decimal = Decimal("0.05")
    max_quantity: Decimal = Decimal(1_000_000)
    self_trade_prevention: str = "taker_at_cross"
    direct_member: bool = False
    snapshot_timeout_s: float = 5.0
    read_tokens_s: float = 200.0
    write_tokens_s: float = 100.0
    backfill_markets: int = 20
    """Markets whose missed trades are fetched after a gap, at most."""

    def __post_init__(self) -> None:
        self._check_streams()
        self.addresses()
        check_key(VENUE, self.mode, self.key_id)
        if self.self_trade_prevention not in SELF_TRADE:
            raise ValueError(
                f"expected self_trade_prevention to be one of {', '.join(SELF_TRADE)}, "
                f"found {self.self_trade_prevention!r}"
            )
        if not 0 <= self.market_slippage < 1:
            raise ValueError(f"expected a market_slippage from 0 to below 1 dollar, found {self.market_slippage}")

    def _check_streams(self) -> None:
        self.ensure_streams(*STREAMS)
        if self.bar_interval_s <= 0:
            raise ValueError(f"expected a bar_interval_s above 0, found {self.bar_interval_s}")

    @property
    def endpoints(self) -> Endpoints:
        """The addresses in force, without the paths."""
        found = self.addresses()
        return Endpoints(_base(found["rest_url"], API_PATH), _base(found["socket_url"], SOCKET_PATH))

    @property
    def fee_step(self) -> Decimal:
        """What the account's fees are rounded up to, in dollars."""
        return Decimal("0.0001") if self.direct_member else Decimal("0.01")


def _base(url: str, path: str) -> str:
    """``url`` without a trailing slash, and without ``path``, which callers add."""
    return url.rstrip("/").removesuffix(path)
