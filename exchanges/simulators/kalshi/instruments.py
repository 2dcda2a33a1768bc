"""The markets the simulator knows, and how an instrument is made of one."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from exchanges.model.instrument import ContractKind, FeeModel, Instrument
from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.kalshi.listing import Listing, event_of, series_of
from exchanges.simulators.settings import SimulatorSettings

VENUE = "kalshi"
TAKER_FEE, MAKER_FEE = Decimal("0.07"), Decimal("0.0175")
"""Coefficients of C x P x (1 - P) in the exchange's fee schedule, before a series' multiplier."""
FEE_STEP = Decimal("0.01")
LOT = Decimal("0.01")
MOST = Decimal(1_000_000)
CENT, DECI_CENT = Decimal("0.01"), Decimal("0.001")
TICKER = re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-[A-Z0-9.]+)?")


class Series(NamedTuple):
    """What the markets of a series share. ``maker`` is whether resting orders pay a fee."""

    title: str
    category: str
    frequency: str
    tick: Decimal = CENT
    maker: bool = False


class Known(NamedTuple):
    """One market of the table; ``strikes`` are floor and cap."""

    subtitle: str
    strike_type: str
    strikes: tuple[float | None, float | None]
    price: float


SERIES = {
    "KXHIGHNY": Series("Highest temperature in NYC", "Climate and Weather", "daily"),
    "KXBTCD": Series("Bitcoin price at 5pm EDT", "Crypto", "daily", DECI_CENT, maker=True),
    "KXSIM": Series("Simulated question", "Simulation", "custom"),
}
"""Series of which any market can be listed, known or not."""

MARKETS = {
    "KXHIGHNY-24AUG08-T85": Known("86° or above", "greater", (85.0, None), 0.35),
    "KXHIGHNY-24AUG08-B84.5": Known("84° to 85°", "between", (84.0, 85.0), 0.40),
    "KXHIGHNY-24AUG08-T84": Known("83° or below", "less", (None, 84.0), 0.25),
    "KXBTCD-24AUG0817-T61999.99": Known("$62,000 or above", "greater", (61_999.99, None), 0.555),
    "KXBTCD-24AUG0817-T62999.99": Known("$63,000 or above", "greater", (62_999.99, None), 0.298),
}


class Listings:
    """The venue's catalogue, at the venue's fees or those of the settings.

    Args:
        settings: ``taker_fee`` and ``maker_fee`` are coefficients of the quadratic formula.
        fee_step: what an order's fee is rounded up to.
        recorded: markets of a recording.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        fee_step: Decimal = FEE_STEP,
        recorded: Mapping[str, Listing] | None = None,
    ) -> None:
        self._taker = TAKER_FEE if settings.taker_fee is None else settings.taker_fee
        self._maker = settings.maker_fee
        self._fee_step = fee_step
        self._recorded = dict(recorded or {})
        if self._maker not in (None, Decimal(0), self.multiplier * MAKER_FEE):
            raise SimulatorError(
                f"expected a maker_fee of 0 or a quarter of the taker_fee (all the exchange's fee types can say), "
                f"found {self._maker} with {self._taker}"
            )

    @property
    def multiplier(self) -> Decimal:
        """The series' ``fee_multiplier``."""
        return self._taker / TAKER_FEE

    @property
    def default(self) -> tuple[str, ...]:
        return tuple(MARKETS)

    def listed(self, key: str) -> Instrument:
        """The instrument of a known market, or of any other of a known series.

        Raises:
            SimulatorError: neither; the text names the nearest.
        """
        if key not in MARKETS and not (TICKER.fullmatch(key) and series_of(key) in SERIES):
            near = difflib.get_close_matches(key, MARKETS, 1, 0.6)
            hint = f"did you mean {VENUE}:{near[0]}?" if near else f"it lists markets of {', '.join(SERIES)}"
            raise SimulatorError(
                f"expected symbols that the embedded venue lists, found {VENUE}:{key}; {hint} "
                "(other symbols can be played from a recording: --replay)"
            )
        return self._instrument(key, SERIES[series_of(key)])

    def observed(self, key: str, prices: Sequence[float], sizes: Sequence[float]) -> Instrument:
        """The instrument of a recorded market: whole cents, unless a price lies between."""
        series = self.series(key)
        fine = any(abs(price * 100 - round(price * 100)) > 1e-6 for price in prices)
        return self._instrument(key, series._replace(tick=DECI_CENT if fine else series.tick))

    def start_price(self, key: str) -> float:
        """The table's, or one made from the name."""
        known = MARKETS.get(key)
        return known.price if known else 0.15 + zlib.crc32(key.encode()) % 71 / 100

    def series(self, key: str) -> Series:
        """The series of a ticker; a plain one for those that only a recording knows."""
        return SERIES.get(series_of(key)) or Series(series_of(key), "", "custom")

    def listing(self, key: str) -> Listing:
        """The market of ``key`` before it has times."""
        if key in self._recorded:
            return self._recorded[key]
        event, series, known = event_of(key), series_of(key), MARKETS.get(key)
        title = self.series(key).title
        made = Listing(key, event, series, title=f"{title} ({event.partition('-')[2] or event})?")
        if known is not None:
            made.subtitle, made.strike_type = known.subtitle, known.strike_type
            made.floor_strike, made.cap_strike = known.strikes
        return made

    def _instrument(self, key: str, series: Series) -> Instrument:
        maker = self.multiplier * MAKER_FEE if series.maker else Decimal(0)
        return Instrument(
            symbol=f"{VENUE}:{key}",
            venue=VENUE,
            native=key,
            kind=ContractKind.BINARY_EVENT,
            base=key,
            quote="USD",
            tick=series.tick,
            lot=LOT,
            min_quantity=LOT,
            max_quantity=MOST,
            min_notional=Decimal(0),
            maker_fee=maker if self._maker is None else self._maker,
            taker_fee=self._taker,
            fee_model=FeeModel.QUADRATIC,
            fee_step=self._fee_step,
        )
