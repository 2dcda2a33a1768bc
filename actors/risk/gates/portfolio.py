"""Gates on the exposure of all symbols with the planned order: worst cases, orders in flight and UNKNOWN counted."""

from __future__ import annotations

from decimal import Decimal

from actors.messages.signals import Step
from actors.risk.case import Case
from actors.risk.gates.steps import denied, limited, passed, short
from exchanges.model.order import Side


def symbol_notional(case: Case) -> Step:
    """The symbol's worst-case exposure with this order."""
    return limited(case, "symbol_notional", "EXPOSURE_LIMIT_SYMBOL", case.line.stake, case.settings.symbol_notional)


def strategy_notional(case: Case) -> Step:
    """What the strategy's own holdings and orders can come to, against its share of the total limit."""
    signal, drawn = case.signal, case.plan
    limit = case.settings.total_notional * case.settings.share(signal.strategy)
    total = case.sheet.strategy(signal.strategy, case.account.holdings)
    if drawn is not None and not drawn.reduce_only and not drawn.closes:
        before, after = case.sheet.line(signal.symbol), case.line
        total += max(after.long - before.long, after.short - before.short)
    name = signal.strategy
    return limited(case, "strategy_notional", "EXPOSURE_LIMIT_STRATEGY", total, limit, spared=case.exits, strategy=name)


def venue_notional(case: Case) -> Step:
    """The worst-case exposure of all symbols of the venue."""
    settings, own = case.settings, case.settings.at(case.venue).venue_notional
    limit = own or settings.venue_notional or settings.total_notional
    return limited(case, "venue_notional", "EXPOSURE_LIMIT_VENUE", case.sums.venue, limit, venue=case.venue)


def total_notional(case: Case) -> Step:
    """The worst-case exposure of all symbols with this order."""
    return limited(case, "total_notional", "EXPOSURE_LIMIT_TOTAL", case.sums.total, case.settings.total_notional)


def category_share(case: Case) -> Step:
    """The share of the total limit that the symbol's category takes; what is of no known category counts with each."""
    category = case.category(case.signal.symbol)
    limit = case.settings.total_notional * case.settings.category_share
    alike = case.sums.category
    return limited(case, "category_share", "EXPOSURE_LIMIT_CATEGORY", alike, limit, category=category)


def correlated_exposure(case: Case) -> Step:
    """What can move together with the order, against its share of the total limit.

    ``own + sum over the other symbols s of max(0, rho_s) * same_s + max(0, -rho_s) * other_s``: ``own`` is
    the symbol's exposure with the order in the order's direction; ``same_s`` and ``other_s`` are the worst-case
    exposures of ``s`` in that direction and against it, in dollars; ``rho_s`` is the correlation of the log
    returns on the grid of ``risk.correlation`` (``actors.risk.market.correlation``). A correlation that isn't
    known is 1. A position that offsets another is no relief: it may be closed first.
    """
    symbol, buys = case.signal.symbol, case.signal.side is Side.BUY
    limit = case.settings.total_notional * case.settings.correlated_share
    own = case.line.long if buys else case.line.short
    total, unknown, most, closest = own, 0, Decimal(0), "none"
    for name, line in case.lines.items():
        if name == symbol:
            continue
        rho = case.correlations.between(case.markets, symbol, name, case.settings.grid)
        same, other = (line.long, line.short) if buys else (line.short, line.long)
        if rho is None:
            unknown, total = unknown + 1, total + same
            continue
        total += rho * same if rho >= 0 else -rho * other
        if abs(rho) > abs(most):
            most, closest = rho, f"{name} {rho:.2f}"
    more = {"own": short(own), "strongest": closest, "unknown": str(unknown)}
    return limited(case, "correlated_exposure", "EXPOSURE_LIMIT_CORRELATED", total, limit, spared=False, **more)


def open_positions(case: Case) -> Step:
    """How many symbols are held or about to be."""
    count, limit = len(case.lines), case.settings.max_open_positions
    seen = {"positions": str(count), "limit": str(limit)}
    if count > limit and not case.lowers:
        return denied("open_positions", "OPEN_POSITIONS", seen)
    return passed("open_positions", seen)
