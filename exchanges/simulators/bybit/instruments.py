"""The linear perpetuals the simulator knows, and how it makes up for those it doesn't."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from exchanges.model.instrument import ContractKind, Instrument
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.steps import decimals, on_step

VENUE = "bybit"
MIN_NOTIONAL = Decimal(5)


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

_QUOTES = ("USDT", "USDC", "USD", "BTC", "ETH", "EUR")


def full(native: str) -> str:
    """``BTCUSDT`` as ``bybit:BTCUSDT``."""
    return f"{VENUE}:{native}"


def ensure_listed(natives: Sequence[str]) -> None:
    """Check that the simulated venue lists each of ``natives``.

    Raises:
        SimulatorError: it lists no such symbol; the text names the nearest.
    """
    for native in natives:
        if native in LISTINGS or MADE_UP.fullmatch(native):
            continue
        near = difflib.get_close_matches(native, LISTINGS, 1, 0.6)
        hint = f"did you mean {full(near[0])}?" if near else f"it lists {', '.join(LISTINGS)}"
        raise SimulatorError(
            f"expected symbols that the embedded venue lists, found {full(native)}; {hint} "
            "(other symbols can be played from a recording: --replay)"
        )


def start_price(native: str) -> float:
    """Where the generator starts: the table's price, or one made from the name."""
    known = LISTINGS.get(native)
    return known.price if known else 1.0 + zlib.crc32(native.encode()) % 9_900 / 100


def listed(native: str, maker_fee: Decimal, taker_fee: Decimal) -> Instrument:
    """The instrument from the table, or one with common steps."""
    known = LISTINGS.get(native) or Listing("0.001", "0.1", "1000000.0", 0.0)
    return _instrument(native, Decimal(known.tick), Decimal(known.lot), Decimal(known.largest), maker_fee, taker_fee)


def observed(
    native: str, prices: Sequence[float], sizes: Sequence[float], maker_fee: Decimal, taker_fee: Decimal
) -> Instrument:
    """The instrument that fits recorded data.

    The table's, if all prices lie on its tick; otherwise one whose tick has as many
    decimals as the prices, and whose lot has as many as the sizes.
    """
    known = LISTINGS.get(native)
    if known and on_step(prices, Decimal(known.tick)):
        return listed(native, maker_fee, taker_fee)
    tick = Decimal(1).scaleb(-decimals(prices))
    lot = Decimal(1).scaleb(-decimals(sizes, most=4))
    middle = Decimal(repr(sorted(prices)[len(prices) // 2])) if prices else Decimal(1)
    largest = (Decimal(50_000_000) / middle / lot).to_integral_value() * lot
    return _instrument(native, tick, lot, max(largest, lot * 1_000), maker_fee, taker_fee)


def _instrument(
    native: str, tick: Decimal, lot: Decimal, largest: Decimal, maker_fee: Decimal, taker_fee: Decimal
) -> Instrument:
    quote = next((q for q in _QUOTES if native.endswith(q) and native != q), "USDT")
    return Instrument(
        symbol=full(native),
        venue=VENUE,
        native=native,
        kind=ContractKind.LINEAR_PERPETUAL,
        base=native.removesuffix(quote),
        quote=quote,
        tick=tick,
        lot=lot,
        min_quantity=lot,
        max_quantity=largest,
        min_notional=MIN_NOTIONAL,
        maker_fee=maker_fee,
        taker_fee=taker_fee,
    )
