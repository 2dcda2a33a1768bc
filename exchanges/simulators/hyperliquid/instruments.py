"""The perpetuals the simulator knows, and how it makes up for those it doesn't."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from exchanges.hyperliquid.market import FUNDING_NS, MIN_NOTIONAL, MOST, STANDARD, STOPS
from exchanges.hyperliquid.names import VENUE, full
from exchanges.hyperliquid.pricing import DECIMALS, price_steps
from exchanges.model.instrument import ContractKind, Instrument, lowest_maintenance
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.hyperliquid.wire import CURRENCY
from exchanges.simulators.steps import decimals

FEE_STEP = Decimal("0.000001")
"""The finest amount of the account's currency."""

DEFAULT_SYMBOLS = ("BTC", "ETH", "SOL")


class Listing(NamedTuple):
    """Decimals of sizes, the highest leverage, and a starting price for the generator."""

    places: int
    leverage: int
    price: float


LISTINGS: dict[str, Listing] = {
    "BTC": Listing(5, 40, 61_800.0),
    "ETH": Listing(4, 25, 2_680.0),
    "SOL": Listing(2, 20, 155.0),
    "XRP": Listing(0, 20, 0.6),
    "DOGE": Listing(0, 10, 0.105),
    "BNB": Listing(3, 10, 520.0),
    "AVAX": Listing(2, 10, 23.0),
    "LINK": Listing(1, 10, 10.5),
    "LTC": Listing(2, 10, 60.0),
    "SUI": Listing(1, 10, 0.85),
    "AAVE": Listing(2, 10, 100.0),
    "HYPE": Listing(2, 10, 6.3),
}
UNKNOWN = Listing(1, 3, 0.0)

MADE_UP = re.compile(r"S[0-9]+")
"""Names of markets that no venue has, of which a load test may ask for as many as it wants."""


def places_of(instrument: Instrument) -> int:
    """The decimals of a perpetual's sizes: ``szDecimals``."""
    return max(0, -int(instrument.lot.normalize().as_tuple().exponent))


class Listings:
    """The venue's catalogue, at the given fees or its own."""

    def __init__(
        self, maker_fee: Decimal | None = None, taker_fee: Decimal | None = None, funding_ns: int = FUNDING_NS
    ) -> None:
        self._maker = STANDARD.maker if maker_fee is None else maker_fee
        self._taker = STANDARD.taker if taker_fee is None else taker_fee
        self._funding_ns = funding_ns

    @property
    def default(self) -> tuple[str, ...]:
        return DEFAULT_SYMBOLS

    def listed(self, key: str) -> Instrument:
        """The instrument of the table, or one with common steps for a made-up name.

        Raises:
            SimulatorError: neither; the text names the nearest.
        """
        if key not in LISTINGS and not MADE_UP.fullmatch(key):
            near = difflib.get_close_matches(key, LISTINGS, 1, 0.6)
            hint = f"did you mean {full(near[0])}?" if near else f"it lists {', '.join(LISTINGS)}"
            raise SimulatorError(
                f"expected symbols that the embedded venue lists, found {full(key)}; {hint} "
                "(other symbols can be played from a recording: --replay)"
            )
        return self._instrument(key, LISTINGS.get(key, UNKNOWN))

    def observed(self, key: str, prices: Sequence[float], sizes: Sequence[float]) -> Instrument:
        """The instrument that fits recorded data: the table's, or one whose sizes have as many decimals."""
        known = LISTINGS.get(key) or UNKNOWN._replace(places=decimals(sizes, most=DECIMALS))
        return self._instrument(key, known)

    def start_price(self, key: str) -> float:
        """The table's, or one made from the name."""
        known = LISTINGS.get(key)
        return known.price if known else 1.0 + zlib.crc32(key.encode()) % 9_900 / 100

    def _instrument(self, key: str, listing: Listing) -> Instrument:
        steps, lot = price_steps(listing.places), Decimal(1).scaleb(-listing.places)
        return Instrument(
            symbol=full(key),
            venue=VENUE,
            native=key,
            kind=ContractKind.LINEAR_PERPETUAL,
            base=key,
            quote=CURRENCY,
            tick=steps[0].step,
            lot=lot,
            min_quantity=lot,
            max_quantity=MOST,
            min_notional=MIN_NOTIONAL,
            maker_fee=self._maker,
            taker_fee=self._taker,
            fee_step=FEE_STEP,
            price_steps=steps,
            max_leverage=Decimal(listing.leverage),
            maintenance_rate=lowest_maintenance(Decimal(listing.leverage)),
            funding_interval_ns=self._funding_ns,
            stops=STOPS,
        )
