"""Gates on what is known: without it there is no new exposure."""

from __future__ import annotations

from decimal import Decimal

from actors.messages.signals import Step
from actors.risk.case import Case
from actors.risk.gates.steps import denied, passed, short, yes
from actors.risk.market import Touch, Traded
from actors.risk.sizing import Plan
from exchanges.model.order import Side


def exchange(case: Case) -> Step:
    """The exchange connection has to be heard of lately, with its private stream up and reconciled."""
    view = case.view
    if view is None:
        return denied("exchange", "NO_EXCHANGE_STATE", {"venue": case.venue})
    if case.instrument is None:
        return denied("exchange", "NO_INSTRUMENT", {"symbol": case.signal.symbol})
    state, age, most = view.state, case.now - view.heard_ns, case.settings.max_state_age_ns
    seen = {
        "venue": case.venue,
        "age_ns": str(age),
        "limit_ns": str(most),
        "linked": yes(view.linked),
        "private_up": yes(state.private_up),
        "reconciled": yes(state.reconciled),
    }
    if case.lowers:
        return passed("exchange", seen)
    if not view.linked:
        return denied("exchange", "EXCHANGE_DOWN", seen)
    if age > most:
        return denied("exchange", "EXCHANGE_STALE", seen)
    if not state.private_up:
        return denied("exchange", "PRIVATE_STREAM_DOWN", seen)
    if not state.reconciled:
        return denied("exchange", "NOT_RECONCILED", seen)
    return passed("exchange", seen)


def market_data(case: Case) -> Step:
    """There is a price, and our receiver got it lately."""
    mark, symbol = case.mark, case.signal.symbol
    if mark is None or case.reference <= 0:
        return denied("market_data", "NO_MARKET_DATA", {"symbol": symbol})
    seen = {
        "symbol": symbol,
        "age_ns": str(case.now - mark.recv_ns) if mark.recv_ns else "none received",
        "limit_ns": str(case.settings.max_data_age_ns),
        "price": str(case.reference),
    }
    if case.lowers:
        return passed("market_data", seen)
    if not mark.recv_ns:
        return denied("market_data", "NO_MARKET_DATA", seen)
    if case.now - mark.recv_ns > case.settings.max_data_age_ns:
        return denied("market_data", "MARKET_DATA_STALE", seen)
    return passed("market_data", seen)


def currency(case: Case) -> Step:
    """What the symbol, and all that is held, is quoted in has a worth in dollars; else no sum means anything."""
    rates = case.settings.currencies
    held = [symbol for symbol, position in case.book.positions.items() if position.quantity]
    known = {
        symbol: case.instruments[symbol].quote for symbol in (case.signal.symbol, *held) if symbol in case.instruments
    }
    strange = next((symbol for symbol, quote in known.items() if quote not in rates), "")
    if strange and not case.lowers:
        return denied("currency", "UNKNOWN_CURRENCY", {"symbol": strange, "currency": known[strange]})
    quote = known.get(case.signal.symbol, "none")
    return passed("currency", {"currency": quote, "rate": str(rates.get(quote, "none"))})


def liquidity(case: Case) -> Step:
    """The market is liquid enough for the planned order, as far as the settings ask for it.

    The spread, the order's share of the size it meets, and its share of the last bar's volume.
    """
    asked, market, drawn = case.settings.liquidity, case.market, case.plan
    if drawn is None:
        return denied("liquidity", "NO_PLAN", {"symbol": case.signal.symbol})
    if (asked.max_spread_bps, asked.touch_share, asked.volume_share) == (None, None, None):
        return passed("liquidity", {"asked": "nothing"})
    touch = market.touch if market else None
    traded = market.traded if market else None
    spread, first = _spread(case, touch)
    size, second = _touch(case, touch, drawn)
    volume, third = _volume(case, traded, drawn)
    code, seen = spread or size or volume, {**first, **second, **third}
    return denied("liquidity", code, seen) if code and not case.exits else passed("liquidity", seen)


def _spread(case: Case, touch: Touch | None) -> tuple[str, dict[str, str]]:
    most = case.settings.liquidity.max_spread_bps
    if most is None:
        return "", {}
    if touch is None or case.now - touch.recv_ns > case.settings.max_data_age_ns:
        return "NO_QUOTE", {"spread_bps": "none", "limit_bps": f"{most:g}"}
    seen = {"spread_bps": f"{touch.spread_bps:.4g}", "limit_bps": f"{most:g}"}
    return ("" if 0 <= touch.spread_bps <= most else "SPREAD_WIDE"), seen


def _touch(case: Case, touch: Touch | None, drawn: Plan) -> tuple[str, dict[str, str]]:
    share = case.settings.liquidity.touch_share
    if share is None:
        return "", {}
    if touch is None or case.now - touch.recv_ns > case.settings.max_data_age_ns:
        return "NO_QUOTE", {"touch": "none", "share": f"{share:g}"}
    size = touch.ask_size if case.signal.side is Side.BUY else touch.bid_size
    return _part(drawn.quantity, size, share, "touch", "TOUCH_THIN")


def _volume(case: Case, traded: Traded | None, drawn: Plan) -> tuple[str, dict[str, str]]:
    share = case.settings.liquidity.volume_share
    if share is None:
        return "", {}
    if traded is None or case.now - traded.recv_ns > 2 * traded.interval_ns + case.settings.max_data_age_ns:
        return "NO_VOLUME", {"volume": "none", "share": f"{share:g}"}
    return _part(drawn.quantity, traded.volume, share, "volume", "VOLUME_THIN")


def _part(quantity: Decimal, size: float, share: float, name: str, code: str) -> tuple[str, dict[str, str]]:
    seen = {"quantity": short(quantity), name: f"{size:.6g}", f"{name}_share": f"{share:g}"}
    return ("" if float(quantity) <= size * share else code), seen
