"""How much of its capital a signal is worth: three methods, each a fraction of the equity it may draw on."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.risk.case import Case
from actors.risk.market import volatility
from actors.risk.settings import Method, Track
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side


class Fraction(msgspec.Struct, frozen=True):
    """The share of the equity to put at stake, and the figures it came from; a ``code`` denies."""

    value: Decimal
    seen: dict[str, str]
    code: str = ""


def fraction(case: Case, track: Track, instrument: Instrument) -> Fraction:
    """The fraction by the track's method."""
    if track.method is Method.VOLATILITY:
        return _volatility(case)
    if track.method is Method.KELLY:
        return _kelly(case, track, instrument)
    return _fixed(track)


def _fixed(track: Track, **seen: str) -> Fraction:
    return Fraction(track.equity_fraction, {"method": "fixed", **seen, "fraction": str(track.equity_fraction)})


def _volatility(case: Case) -> Fraction:
    """``target / measured``: so large that a day's usual move of the price moves the equity by the target."""
    target, market = case.settings.target_volatility, case.market
    measured = volatility(market.closes, case.settings.grid) if market else None
    if measured is None:
        return Fraction(
            Decimal(0), {"method": "volatility", "target": f"{target:.6g}", "measured": "none"}, "NO_VOLATILITY"
        )
    value = target / measured
    seen = {"target": f"{target:.6g}", "measured": f"{measured:.6g}", "fraction": f"{value:.6g}"}
    return Fraction(_exact(value), {"method": "volatility", **seen})


def _kelly(case: Case, track: Track, instrument: Instrument) -> Fraction:
    """``kelly_fraction * (p - (1 - p) / b)``, with ``p`` calibrated by the learner.

    The fraction that makes capital grow fastest for a bet that wins ``b`` for each 1 at stake with
    probability ``p`` (Kelly, A New Interpretation of Information Rate, 1956; Thorp, The Kelly
    Criterion in Blackjack, Sports Betting and the Stock Market, 2006), taken in part as ``p`` is an
    estimate. Without a calibration it is the fixed fraction, and says so.
    """
    p = case.terms.probability(case.pair, case.strength)
    if p is None:
        return _fixed(track, wanted_method="kelly", calibration="none")
    b = _payoff(case, instrument)
    if b <= 0:
        return Fraction(Decimal(0), {"method": "kelly", "payoff": f"{b:.6g}"}, "NO_PAYOFF")
    value = case.settings.kelly_fraction * (p - (1 - p) / b)
    seen = {"method": "kelly", "probability": f"{p:.6g}", "payoff": f"{b:.6g}", "fraction": f"{value:.6g}"}
    return Fraction(_exact(max(value, 0.0)), seen, "" if value > 0 else "NO_EDGE")


def _payoff(case: Case, instrument: Instrument) -> float:
    """What a win brings for each dollar at stake: of an event contract, by its price."""
    if instrument.kind is not ContractKind.BINARY_EVENT:
        return case.settings.kelly_payoff
    price, value = float(case.reference), float(instrument.contract_value)
    won, lost = (value - price, price) if case.signal.side is Side.BUY else (price, value - price)
    return won / lost if lost > 0 else 0.0


def _exact(value: float) -> Decimal:
    return Decimal(f"{value:.10g}")
