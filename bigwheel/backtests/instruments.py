"""What the symbols of a backtest are: the embedded venues' instruments, on steps that fit the data."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Feed
from conf import Settings
from exchanges.model.instrument import Instrument, MarginTier
from exchanges.simulators.base.catalogue import Catalogue

COSTS = ("maker", "taker")


def instruments(
    settings: Settings, feed: Feed, symbols: tuple[str, ...], costs: Mapping[str, object] | None
) -> dict[str, tuple[Instrument, ...]]:
    """The instruments by venue.

    Args:
        costs: fractions of notional, ``{"maker": 0.0002, "taker": 0.00055}``, in place of each venue's own.

    Raises:
        BacktestError: ``costs`` names something else.
    """
    fees = _fees(costs or {})
    found: dict[str, list[Instrument]] = {}
    for symbol in symbols:
        venue, _, key = symbol.partition(":")
        instrument = catalogue(settings, venue).observed(key, *feed.sample(symbol))
        found.setdefault(venue, []).append(_tiered(msgspec.structs.replace(instrument, **fees), settings))
    return {venue: tuple(listed) for venue, listed in found.items()}


def _tiered(instrument: Instrument, settings: Settings) -> Instrument:
    """With the table of maintenance margins that the configuration has for it."""
    told = settings.backtest.margin_tiers.get(instrument.symbol)
    if told is None or not instrument.maintenance_rate:
        return instrument
    lowest, *higher = told
    tiers = tuple(MarginTier(tier.above, tier.rate) for tier in higher)
    return msgspec.structs.replace(instrument, maintenance_rate=lowest.rate, maintenance_tiers=tiers)


def _fees(costs: Mapping[str, object]) -> dict[str, Decimal]:
    unknown = [name for name in costs if name not in COSTS]
    if unknown:
        raise BacktestError(f"expected costs of {' and '.join(COSTS)}, found {unknown[0]!r}; name one of these")
    return {f"{name}_fee": Decimal(str(rate)) for name, rate in costs.items()}


def catalogue(settings: Settings, venue: str) -> Catalogue:
    """What the venue lists; imported as it is asked for, since each brings its venue's simulator along."""
    if venue == "alpaca":
        from exchanges.simulators.alpaca.instruments import AlpacaCatalogue

        section = settings.exchange.alpaca
        return AlpacaCatalogue(section.crypto_maker_fee, section.crypto_taker_fee)
    if venue == "kalshi":
        from exchanges.simulators.kalshi.instruments import Listings as KalshiListings
        from exchanges.simulators.settings import SimulatorSettings

        return KalshiListings(SimulatorSettings())
    if venue == "hyperliquid":
        from exchanges.simulators.hyperliquid.instruments import Listings as HyperliquidListings

        return HyperliquidListings()
    from exchanges.simulators.bybit.instruments import Listings

    return Listings(settings.simulator.maker_fee, settings.simulator.taker_fee)
