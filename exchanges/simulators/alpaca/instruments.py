"""The stocks and crypto pairs the simulator knows, and how it makes up for those it doesn't."""

from __future__ import annotations

import difflib
import re
import uuid
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from exchanges.model.instrument import ContractKind, Instrument, PriceStep
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.steps import decimals, on_step

VENUE = "alpaca"
SHARE = Decimal(1)
FRACTION = Decimal("0.000000001")
"""The quantity step of what can be traded in fractions: nine decimals."""
CENT = Decimal("0.01")
EQUITY_STEPS = (PriceStep(Decimal(0), Decimal("0.0001")), PriceStep(Decimal(1), CENT))
"""Rule 612 of Regulation NMS: cents from one dollar on, hundredths of a cent below."""
LEAST_CRYPTO_COST = Decimal(10)
CRYPTO_FEE = Decimal("0.0025")
"""The lowest tier's rate for takers. Makers pay it here too: nothing the venue tells of a fill says who took."""
_IDS = uuid.UUID("5c2f1e0a-8f64-4f0e-9f5b-3d8a5b1c7e20")


class Stock(NamedTuple):
    """A listed stock and a starting price for the generator."""

    name: str
    exchange: str
    price: float
    fractionable: bool = True
    shortable: bool = True


class Pair(NamedTuple):
    """A crypto pair: its smallest order and steps, and a starting price for the generator."""

    name: str
    min_order: str
    lot: str
    tick: str
    price: float


STOCKS: dict[str, Stock] = {
    "AAPL": Stock("Apple Inc. Common Stock", "NASDAQ", 229.40),
    "MSFT": Stock("Microsoft Corporation Common Stock", "NASDAQ", 428.15),
    "SPY": Stock("SPDR S&P 500 ETF Trust", "ARCA", 597.20),
    "MULN": Stock("Mullen Automotive Inc. Common Stock", "NASDAQ", 0.4212),
    "SEB": Stock("Seaboard Corporation Common Stock", "AMEX", 2_790.0, fractionable=False),
    "HKD": Stock("AMTD Digital Inc. American Depositary Shares", "NYSE", 3.05, shortable=False),
    "QQQ": Stock("Invesco QQQ Trust, Series 1", "NASDAQ", 505.80),
    "NVDA": Stock("NVIDIA Corporation Common Stock", "NASDAQ", 141.95),
    "TSLA": Stock("Tesla, Inc. Common Stock", "NASDAQ", 352.55),
    "AMZN": Stock("Amazon.com, Inc. Common Stock", "NASDAQ", 197.10),
    "JPM": Stock("JPMorgan Chase & Co.", "NYSE", 248.50),
    "GLD": Stock("SPDR Gold Trust, SPDR Gold Shares", "ARCA", 250.60),
}
PAIRS: dict[str, Pair] = {
    "BTC/USD": Pair("Bitcoin / US Dollar", "0.000010000", "0.000000001", "0.01", 61_800.0),
    "ETH/USD": Pair("Ethereum / US Dollar", "0.000400000", "0.000000001", "0.01", 2_680.0),
    "SOL/USD": Pair("Solana / US Dollar", "0.006500000", "0.000000001", "0.01", 155.0),
    "DOGE/USD": Pair("Dogecoin / US Dollar", "9.500000000", "0.000000001", "0.00001", 0.105),
}
DEFAULT_SYMBOLS = ("AAPL", "MSFT", "SPY", "MULN", "SEB", "HKD", "BTC/USD", "ETH/USD")
MADE_UP = re.compile(r"S[0-9]+")
"""Names of stocks that no venue has, of which a load test may ask for as many as it wants."""


class AlpacaCatalogue:
    """What the simulated venue lists, with the given fees for crypto or its own; stocks are free of them."""

    def __init__(self, maker_fee: Decimal | None = None, taker_fee: Decimal | None = None) -> None:
        self._crypto_fees = (
            CRYPTO_FEE if maker_fee is None else maker_fee,
            CRYPTO_FEE if taker_fee is None else taker_fee,
        )

    @property
    def default(self) -> tuple[str, ...]:
        return DEFAULT_SYMBOLS

    def listed(self, key: str) -> Instrument:
        """The instrument from the table.

        Raises:
            SimulatorError: it isn't in the table; the text names the nearest.
        """
        if key in PAIRS:
            pair = PAIRS[key]
            return self._pair(key, Decimal(pair.tick), Decimal(pair.lot), Decimal(pair.min_order))
        stock = STOCKS.get(key)
        if stock is not None:
            tick = Decimal("0.0001") if stock.price < 1 else CENT
            return _stock(key, tick, FRACTION if stock.fractionable else SHARE, short=stock.shortable)
        if MADE_UP.fullmatch(key):
            return _stock(key, CENT, FRACTION, short=True)
        known = (*STOCKS, *PAIRS)
        near = difflib.get_close_matches(key, known, 1, 0.6)
        hint = f"did you mean {full(near[0])}?" if near else f"it lists {', '.join(known)}"
        raise SimulatorError(
            f"expected symbols that the embedded venue lists, found {full(key)}; {hint} "
            "(other symbols can be played from a recording: --replay)"
        )

    def observed(self, key: str, prices: Sequence[float], sizes: Sequence[float]) -> Instrument:
        """The table's instrument if all prices lie on its tick, otherwise one made from the recorded data.

        Orders for stocks stay on the steps that the rules allow, however fine the recorded prices are.
        """
        known = self.listed(key) if key in STOCKS or key in PAIRS else None
        if known is not None and on_step(prices, known.tick):
            return known
        tick = Decimal(1).scaleb(-decimals(prices, most=8))
        if "/" in key:
            lot = known.lot if known is not None else Decimal(1).scaleb(-max(decimals(sizes, most=9), 4))
            return self._pair(key, tick, lot, known.min_quantity if known is not None else lot)
        short, lot = (known.short, known.lot) if known is not None else (True, FRACTION)
        return _stock(key, min(max(tick, Decimal("0.0001")), CENT), lot, short=short)

    def start_price(self, key: str) -> float:
        """The table's price, or one made from the name."""
        known = STOCKS.get(key) or PAIRS.get(key)
        return known.price if known else 5.0 + zlib.crc32(key.encode()) % 49_500 / 100

    def _pair(self, key: str, tick: Decimal, lot: Decimal, least: Decimal) -> Instrument:
        base, _, quote = key.partition("/")
        maker, taker = self._crypto_fees
        return Instrument(
            symbol=full(key),
            venue=VENUE,
            native=key,
            kind=ContractKind.SPOT,
            base=base,
            quote=quote,
            tick=tick,
            lot=lot,
            min_quantity=least,
            max_quantity=Decimal(1_000_000),
            min_notional=LEAST_CRYPTO_COST,
            maker_fee=maker,
            taker_fee=taker,
            short=False,
            fee_in_base=True,
        )


def _stock(key: str, tick: Decimal, lot: Decimal, *, short: bool) -> Instrument:
    return Instrument(
        symbol=full(key),
        venue=VENUE,
        native=key,
        kind=ContractKind.EQUITY,
        base=key,
        quote="USD",
        tick=tick,
        lot=lot,
        min_quantity=lot,
        max_quantity=Decimal(10_000_000),
        min_notional=Decimal(0),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
        price_steps=EQUITY_STEPS,
        short=short,
    )


def full(key: str) -> str:
    """``AAPL`` as ``alpaca:AAPL``."""
    return f"{VENUE}:{key}"


def is_crypto(instrument: Instrument) -> bool:
    return instrument.kind is ContractKind.SPOT


def fractionable(instrument: Instrument) -> bool:
    return instrument.lot < SHARE


def asset_id(key: str) -> str:
    """The asset's identifier, the same in every run."""
    return str(uuid.uuid5(_IDS, f"asset/{key}"))


def execution_uuid(execution_id: str) -> str:
    """The identifier under which the venue tells of an execution of the engine."""
    return str(uuid.uuid5(_IDS, f"execution/{execution_id}"))


def account_uuid(account: str) -> str:
    return str(uuid.uuid5(_IDS, f"account/{account}"))
