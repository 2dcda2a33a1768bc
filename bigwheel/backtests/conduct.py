"""How the venues of a backtest conduct themselves, besides what the matching engine does with orders."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from bigwheel.backtests.accruals import Rate, Rates, rates
from bigwheel.backtests.feed import Feed
from bigwheel.backtests.latency import Latency, latency
from bigwheel.backtests.outcomes import Outcome, Settled, outcomes
from bigwheel.backtests.past import Past
from conf import Settings
from exchanges.catalog.catalog import FOR_EVER_NS
from exchanges.model.instrument import Instrument


class Conduct(NamedTuple):
    """By symbol what perpetuals pay and how event contracts end; by venue the leverage of perpetuals."""

    latency: Latency
    past: Past
    rates: Mapping[str, Rates] = {}
    outcomes: Mapping[str, Outcome] = {}
    leverage: Mapping[str, Decimal] = {}
    extended_hours: bool = False
    marked: bool = False
    """Whether the data have tickers."""
    start_ns: int = 0
    """The first moment of the run; brains are awake a little earlier."""
    end_ns: int = FOR_EVER_NS
    """The moment after the last."""


def conduct(
    settings: Settings,
    feed: Feed,
    data: Path,
    instruments: Mapping[str, tuple[Instrument, ...]],
    latency_ms: float | Mapping[str, float] | None,
    funding: Rate | str | Path | None,
    settlements: Mapping[str, Settled] | str | Path | None,
    seed: int,
) -> Conduct:
    """What was told, and for the rest what configuration and data say. See ``bigwheel.backtest`` for the arguments.

    Raises:
        BacktestError, DataError, FeedError: something that was told makes no sense, or can't be read.
    """
    listed = [each for own in instruments.values() for each in own]
    levers = {venue: getattr(settings.exchange[venue], "leverage", None) for venue in instruments}
    return Conduct(
        latency(settings, latency_ms, seed),
        Past(feed.catalog),
        rates(feed, listed, settings.backtest.funding_rate if funding is None else funding),
        outcomes(feed, data, listed, settlements),
        {venue: Decimal(leverage) for venue, leverage in levers.items() if leverage is not None},
        settings.exchange.alpaca.extended_hours,
        bool(feed.tickers),
        feed.start_ns,
        feed.end_ns,
    )
