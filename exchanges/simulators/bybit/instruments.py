"""The perpetuals and spot pairs the simulator knows, and how it makes up for those it doesn't."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from exchanges.model.instrument import ContractKind, Instrument, lowest_maintenance
from exchanges.model.trigger import Source, StopOrders
from exchanges.simulators.bybit.topics import SPOT_SUFFIX
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.steps import decimals, on_step

VENUE = "bybit"
MIN_NOTIONAL = Decimal(5)
MAKER_FEE, TAKER_FEE = Decimal("0.0002"), Decimal("0.00055")
SPOT_FEE = Decimal("0.001")
MAX_LEVERAGE = Decimal(100)
MAINTENANCE_RATE = lowest_maintenance(MAX_LEVERAGE)
FUNDING_NS = 8 * 3_600 * 1_000_000_000
DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Listing(NamedTuple):
    """Tick, lot, largest order and a starting price for the generator."""

    tick: str
    lot: str
    largest: str
    price: float


LISTINGS: dict[str, Listing] = {
    "BTCUSDT": Listing("0.10", "0.001", "1190.000", 61_800.0),
    "ETHUSDT": Listing("0.01", "0.01", "7240.00", 2_680.0),
    "SOLUSDT": Listing("0.010", "0.1", "79770.0", 155.0),
    "XRPUSDT": Listing("0.0001", "0.1", "2300000.0", 0.6),
    "BNBUSDT": Listing("0.10", "0.01", "3500.00", 520.0),
    "DOGEUSDT": Listing("0.00001", "1", "14000000", 0.105),
    "ADAUSDT": Listing("0.0001", "1", "3500000", 0.34),
    "AVAXUSDT": Listing("0.001", "0.1", "48000.0", 23.0),
    "LINKUSDT": Listing("0.001", "0.1", "90000.0", 10.5),
    "DOTUSDT": Listing("0.0001", "0.1", "400000.0", 4.6),
    "LTCUSDT": Listing("0.01", "0.1", "25000.0", 60.0),
    "BCHUSDT": Listing("0.10", "0.01", "3000.00", 340.0),
    "TRXUSDT": Listing("0.00001", "1", "9000000", 0.127),
    "MATICUSDT": Listing("0.0001", "1", "2500000", 0.42),
    "UNIUSDT": Listing("0.001", "0.1", "150000.0", 6.1),
    "ATOMUSDT": Listing("0.001", "0.1", "180000.0", 4.7),
    "ETCUSDT": Listing("0.001", "0.1", "60000.0", 19.0),
    "XLMUSDT": Listing("0.00001", "1", "9000000", 0.1),
    "NEARUSDT": Listing("0.001", "0.1", "250000.0", 4.2),
    "APTUSDT": Listing("0.001", "0.01", "130000.00", 6.0),
    "ARBUSDT": Listing("0.0001", "0.1", "1500000.0", 0.55),
    "OPUSDT": Listing("0.0001", "0.1", "700000.0", 1.4),
    "SUIUSDT": Listing("0.00010", "10", "1500000", 0.85),
    "FILUSDT": Listing("0.001", "0.1", "300000.0", 3.7),
    "AAVEUSDT": Listing("0.01", "0.01", "12000.00", 100.0),
    "XMRUSDT": Listing("0.01", "0.01", "6000.00", 155.0),
    "1000PEPEUSDT": Listing("0.0000001", "100", "250000000", 0.0082),
}

MADE_UP = re.compile(r"S[0-9]+(USDT)?")
"""Names of markets that no venue has, of which a load test may ask for as many as it wants."""

SPOT_FINER = 1_000
"""How much finer spot quantities are than those of the perpetual of the same name."""
_QUOTES = ("USDT", "USDC", "USD", "BTC", "ETH", "EUR")


def full(native: str) -> str:
    """``BTCUSDT`` as ``bybit:BTCUSDT``."""
    return f"{VENUE}:{native}"


def ensure_listed(natives: Sequence[str]) -> None:
    """Check that the simulated venue lists each of ``natives``.

    Raises:
        SimulatorError: it lists no such symbol; the text names the nearest.
    """
    for key in natives:
        native = key.removesuffix(SPOT_SUFFIX)
        if native in LISTINGS or MADE_UP.fullmatch(native):
            continue
        near = [found + key[len(native) :] for found in difflib.get_close_matches(native, LISTINGS, 1, 0.6)]
        hint = f"did you mean {full(near[0])}?" if near else f"it lists {', '.join(LISTINGS)}"
        raise SimulatorError(
            f"expected symbols that the embedded venue lists, found {full(key)}; {hint} "
            "(other symbols can be played from a recording: --replay)"
        )


def quote_of(native: str) -> str:
    """``USDT`` of ``BTCUSDT``."""
    return next((q for q in _QUOTES if native.endswith(q) and native != q), "USDT")


def base_of(native: str) -> str:
    """``BTC`` of ``BTCUSDT``."""
    return native.removesuffix(quote_of(native))


def start_price(native: str) -> float:
    """Where the generator starts: the table's price, or one made from the name."""
    known = LISTINGS.get(native.removesuffix(SPOT_SUFFIX))
    return known.price if known else 1.0 + zlib.crc32(native.encode()) % 9_900 / 100


def listed(native: str, maker_fee: Decimal, taker_fee: Decimal) -> Instrument:
    """The instrument from the table, or one with common steps."""
    known = LISTINGS.get(native.removesuffix(SPOT_SUFFIX)) or Listing("0.001", "0.1", "1000000.0", 0.0)
    lot = Decimal(known.lot) / (SPOT_FINER if native.endswith(SPOT_SUFFIX) else 1)
    return _instrument(native, Decimal(known.tick), lot, Decimal(known.largest), maker_fee, taker_fee)


def observed(
    native: str, prices: Sequence[float], sizes: Sequence[float], maker_fee: Decimal, taker_fee: Decimal
) -> Instrument:
    """The instrument that fits recorded data.

    The table's, if all prices lie on its tick; otherwise one whose tick has as many
    decimals as the prices, and whose lot has as many as the sizes.
    """
    known = LISTINGS.get(native.removesuffix(SPOT_SUFFIX))
    if known and on_step(prices, Decimal(known.tick)):
        return listed(native, maker_fee, taker_fee)
    tick = Decimal(1).scaleb(-decimals(prices))
    lot = Decimal(1).scaleb(-decimals(sizes, most=6 if native.endswith(SPOT_SUFFIX) else 4))
    middle = Decimal(repr(sorted(prices)[len(prices) // 2])) if prices else Decimal(1)
    largest = (Decimal(50_000_000) / middle / lot).to_integral_value() * lot
    return _instrument(native, tick, lot, max(largest, lot * 1_000), maker_fee, taker_fee)


def _instrument(
    key: str, tick: Decimal, lot: Decimal, largest: Decimal, maker_fee: Decimal, taker_fee: Decimal
) -> Instrument:
    native = key.removesuffix(SPOT_SUFFIX)
    spot = native != key
    quote = quote_of(native)
    return Instrument(
        symbol=full(key),
        venue=VENUE,
        native=native,
        kind=ContractKind.SPOT if spot else ContractKind.LINEAR_PERPETUAL,
        base=base_of(native),
        quote=quote,
        tick=tick,
        lot=lot,
        min_quantity=lot,
        max_quantity=largest,
        min_notional=MIN_NOTIONAL,
        maker_fee=maker_fee,
        taker_fee=taker_fee,
        short=not spot,
        max_leverage=Decimal(1) if spot else MAX_LEVERAGE,
        maintenance_rate=Decimal(0) if spot else MAINTENANCE_RATE,
        funding_interval_ns=0 if spot else FUNDING_NS,
        fee_in_base=spot,
        stops=None if spot else StopOrders(sources=(Source.LAST, Source.MARK)),
    )


class Listings:
    """The venue's catalogue, at the given fees or its own."""

    def __init__(
        self, maker_fee: Decimal | None = None, taker_fee: Decimal | None = None, funding_ns: int = FUNDING_NS
    ) -> None:
        self._asked = (maker_fee, taker_fee)
        self._funding_ns = funding_ns

    def _funded(self, instrument: Instrument) -> Instrument:
        if not instrument.funding_interval_ns:
            return instrument
        return msgspec.structs.replace(instrument, funding_interval_ns=self._funding_ns)

    def _fees(self, key: str) -> tuple[Decimal, Decimal]:
        own = (SPOT_FEE, SPOT_FEE) if key.endswith(SPOT_SUFFIX) else (MAKER_FEE, TAKER_FEE)
        maker, taker = (fee if asked is None else asked for asked, fee in zip(self._asked, own, strict=True))
        return maker, taker

    @property
    def default(self) -> tuple[str, ...]:
        return DEFAULT_SYMBOLS

    def listed(self, key: str) -> Instrument:
        ensure_listed((key,))
        return self._funded(listed(key, *self._fees(key)))

    def observed(self, key: str, prices: Sequence[float], sizes: Sequence[float]) -> Instrument:
        return self._funded(observed(key, prices, sizes, *self._fees(key)))

    def start_price(self, key: str) -> float:
        return start_price(key)
