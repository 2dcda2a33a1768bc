"""The gates, each a pure function of the case: its step says what it looked at.

A denial is a code with the values that led to it. An order that only lowers a position passes
the gates that guard new exposure, and is not held back by missing data where the last known
will do.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from actors.messages.control import TradingState
from actors.messages.signals import Step
from actors.risk.book import Bounds
from actors.risk.case import Case
from actors.risk.ensemble import combine
from actors.risk.sizing import Room, plan
from exchanges.model.order import OrderStatus, Side

Gate = Callable[[Case], Step]

_SECOND = 1_000_000_000
_ZERO = Decimal(0)


def trading_state(case: Case) -> Step:
    """HALTED stops everything, REDUCING all that is not sure to lower a position."""
    seen = {"state": case.trading.value, "reason": case.trading_reason or "none"}
    if case.trading is TradingState.HALTED:
        return _deny("trading_state", "TRADING_HALTED", seen)
    if case.trading is TradingState.REDUCING and not case.lowers:
        return _deny("trading_state", "TRADING_REDUCING", seen)
    return _pass("trading_state", seen)


def symbol_halt(case: Case) -> Step:
    """No new exposure in a symbol with an unexplained difference or an order of unknown outcome."""
    symbol = case.signal.symbol
    unknown = _unknown_orders(case)
    seen = {"symbol": symbol, "halted": case.halt_reason or "no", "unknown": " ".join(unknown) or "none"}
    if case.lowers:
        return _pass("symbol_halt", seen)
    if case.halt_reason:
        return _deny("symbol_halt", "SYMBOL_HALTED", {"symbol": symbol, "reason": case.halt_reason})
    if unknown:
        return _deny("symbol_halt", "ORDER_UNKNOWN", {"symbol": symbol, "orders": " ".join(unknown)})
    return _pass("symbol_halt", seen)


def exchange(case: Case) -> Step:
    """The exchange connection has to be heard of lately, with its private stream up and reconciled."""
    view, venue = case.view, case.signal.symbol.partition(":")[0]
    if view is None:
        return _deny("exchange", "NO_EXCHANGE_STATE", {"venue": venue})
    if case.instrument is None:
        return _deny("exchange", "NO_INSTRUMENT", {"symbol": case.signal.symbol})
    state, age, most = view.state, case.now - view.heard_ns, case.settings.max_state_age_ns
    seen = {
        "venue": venue,
        "age_ns": str(age),
        "limit_ns": str(most),
        "linked": _yes(view.linked),
        "private_up": _yes(state.private_up),
        "reconciled": _yes(state.reconciled),
    }
    if case.lowers:
        return _pass("exchange", seen)
    if not view.linked:
        return _deny("exchange", "EXCHANGE_DOWN", seen)
    if age > most:
        return _deny("exchange", "EXCHANGE_STALE", seen)
    if not state.private_up:
        return _deny("exchange", "PRIVATE_STREAM_DOWN", seen)
    if not state.reconciled:
        return _deny("exchange", "NOT_RECONCILED", seen)
    return _pass("exchange", seen)


def market_data(case: Case) -> Step:
    """There is a price, and our receiver got it lately."""
    mark, symbol = case.mark, case.signal.symbol
    if mark is None or case.reference <= 0:
        return _deny("market_data", "NO_MARKET_DATA", {"symbol": symbol})
    seen = {
        "symbol": symbol,
        "age_ns": str(case.now - mark.recv_ns) if mark.recv_ns else "none received",
        "limit_ns": str(case.settings.max_data_age_ns),
        "price": str(case.reference),
    }
    if case.lowers:
        return _pass("market_data", seen)
    if not mark.recv_ns:
        return _deny("market_data", "NO_MARKET_DATA", seen)
    if case.now - mark.recv_ns > case.settings.max_data_age_ns:
        return _deny("market_data", "MARKET_DATA_STALE", seen)
    return _pass("market_data", seen)


def cooldown(case: Case) -> Step:
    """One entry of a strategy in a symbol at a time, and not too soon after the last."""
    signal = case.signal
    since = case.now - case.last_entry_ns
    same = [
        client_id
        for client_id, order in case.book.outstanding(signal.symbol)
        if (order.strategy, order.side) == (signal.strategy, signal.side) and not order.reduce_only
    ]
    seen = {"since_ns": str(since) if case.last_entry_ns else "never", "limit_ns": str(case.settings.cooldown_ns)}
    if case.lowers:
        return _pass("cooldown", seen)
    if same:
        return _deny("cooldown", "DUPLICATE_INTENT", {"order": same[0], "side": signal.side.value})
    if case.last_entry_ns and since < case.settings.cooldown_ns:
        return _deny("cooldown", "COOLDOWN", seen)
    return _pass("cooldown", seen)


def ensemble(case: Case) -> Step:
    """Set the strength: what all live opinions on the symbol come to, each with its learned weight."""
    signal = case.signal
    chorus = combine(signal, case.voices if case.settings.ensemble else {}, case.terms)
    combined = chorus.combined
    seen = {
        opinion.source if opinion.strategy == signal.strategy else f"{opinion.source}@{opinion.strategy}": (
            f"{opinion.value:.4g} weight={opinion.weight:.4g} age_ns={opinion.age_ns}"
        )
        for opinion in chorus.opinions
    }
    seen = {**seen, "combined": "none" if combined is None else f"{combined:.4g}", "side": signal.side.value}
    if case.lowers:
        case.strength = signal.conviction
        return _pass("ensemble", seen)
    if combined is None:
        return _deny("ensemble", "ENSEMBLE_SILENT", seen)
    if combined * signal.side.sign < 0:
        return _deny("ensemble", "ENSEMBLE_DISAGREES", seen)
    case.strength = abs(combined)
    return _pass("ensemble", seen)


def conviction(case: Case) -> Step:
    """The combined conviction against the learner's threshold, or the base one before it has spoken."""
    threshold, source = case.threshold
    seen = {
        "conviction": f"{case.strength:.6g}",
        "threshold": f"{threshold:.6g}",
        "by": source,
        "policy": str(case.terms.version),
        "arm": case.terms.arm or "none",
        "regime": case.terms.regime or "unknown",
    }
    if case.strength < threshold and not case.lowers:
        return _deny("conviction", "CONVICTION_LOW", seen)
    return _pass("conviction", seen)


def sizing(case: Case) -> Step:
    """Set the plan: size, price and whether it can only reduce."""
    view, instrument, settings = case.view, case.instrument, case.settings
    if view is None or instrument is None:
        return _deny("sizing", "NO_INSTRUMENT", {"symbol": case.signal.symbol})
    scale, source = case.multiplier
    long_only = case.signal.side is Side.SELL and not instrument.short
    closable, must_reduce = case.closable, case.lowers or long_only
    if must_reduce and closable <= 0:
        code = "NOTHING_TO_REDUCE" if case.lowers else "SHORT_NOT_ALLOWED"
        held = str(case.book.position(case.signal.symbol).quantity)
        return _deny("sizing", code, {"position": held, "side": case.signal.side.value})
    room = Room(view.state.equity, scale, closable, must_reduce)
    drawn = plan(case.signal, instrument, case.reference, room, settings)
    seen = {
        "wanted": _short(drawn.wanted),
        "quantity": str(drawn.quantity),
        "lot": str(instrument.lot),
        "equity": str(room.equity),
        "multiplier": f"{scale:.6g}",
        "by": source,
        "price": str(drawn.price),
    }
    if drawn.quantity <= 0 or drawn.price <= 0:
        return _deny("sizing", "SIZE_ZERO", seen)
    lost = 1 - drawn.quantity / drawn.wanted
    if lost > settings.rounding_tolerance and not drawn.reduce_only:
        seen = {**seen, "lost": _short(lost), "limit": str(settings.rounding_tolerance)}
        return _deny("sizing", "SIZE_ROUNDING", seen)
    case.plan = drawn
    return _pass("sizing", {**seen, "reduce_only": _yes(drawn.reduce_only)})


def instrument(case: Case) -> Step:
    """The instrument's own rules."""
    if case.plan is None or case.instrument is None:
        return _deny("instrument", "NO_PLAN", {"symbol": case.signal.symbol})
    drawn = case.plan
    seen = {"quantity": str(drawn.quantity), "price": str(drawn.price)}
    fault = case.instrument.fault(drawn.quantity, drawn.price, reduce_only=drawn.reduce_only)
    if not fault:
        return _pass("instrument", seen)
    code, _, values = fault.partition(": ")
    pairs = (value.partition("=") for value in values.split())
    return _deny("instrument", code, {name: value for name, _, value in pairs})


def order_notional(case: Case) -> Step:
    """The largest single order."""
    notional = _notional(case)
    return _limit(case, "order_notional", "ORDER_NOTIONAL", "notional", notional, case.settings.order_notional)


def symbol_notional(case: Case) -> Step:
    """The symbol's worst-case exposure with this order."""
    exposure = _symbol_exposure(case)
    return _limit(case, "symbol_notional", "EXPOSURE_LIMIT_SYMBOL", "exposure", exposure, case.settings.symbol_notional)


def total_notional(case: Case) -> Step:
    """The worst-case exposure of all symbols with this order."""
    others = sum((case.book.exposure(s) for s in case.book.symbols() if s != case.signal.symbol), _ZERO)
    total = others + _symbol_exposure(case)
    return _limit(case, "total_notional", "EXPOSURE_LIMIT_TOTAL", "exposure", total, case.settings.total_notional)


def open_positions(case: Case) -> Step:
    """How many symbols are held or about to be."""
    named = Decimal(len({*case.book.symbols(), case.signal.symbol}))
    return _limit(
        case, "open_positions", "OPEN_POSITIONS", "positions", named, Decimal(case.settings.max_open_positions)
    )


def daily_loss(case: Case) -> Step:
    """Realised and unrealised loss since the UTC day began."""
    loss, limit = case.book.loss(), case.settings.daily_loss
    seen = {"loss": _short(loss), "limit": str(limit)}
    if loss >= limit and not case.lowers:
        return _deny("daily_loss", "DAILY_LOSS", seen)
    return _pass("daily_loss", seen)


def order_rate(case: Case) -> Step:
    """Approvals in the last second and the last minute; a loop gone wild meets it closing or opening."""
    second = sum(1 for at in case.entries_ns if case.now - at < _SECOND)
    minute = sum(1 for at in case.entries_ns if case.now - at < 60 * _SECOND)
    settings = case.settings
    seen = {
        "second": str(second),
        "limit_second": str(settings.orders_per_second),
        "minute": str(minute),
        "limit_minute": str(settings.orders_per_minute),
    }
    if second >= settings.orders_per_second or minute >= settings.orders_per_minute:
        return _deny("order_rate", "ORDER_RATE", seen)
    return _pass("order_rate", seen)


def buying_power(case: Case) -> Step:
    """The venue's worst-case exposure against its equity times the leverage allowed."""
    symbol = case.signal.symbol
    prefix = symbol.partition(":")[0] + ":"
    others = [s for s in case.book.symbols() if s.startswith(prefix) and s != symbol]
    used = sum((case.book.exposure(s) for s in others), _ZERO) + _symbol_exposure(case)
    equity = case.view.state.equity if case.view else _ZERO
    return _limit(case, "buying_power", "BUYING_POWER", "exposure", used, equity * case.settings.leverage)


def dry_run(case: Case) -> Step:
    """The last gate: a strategy on a dry run goes through all of it and orders nothing."""
    seen = {"strategy": case.signal.strategy, "quantity": str(case.plan.quantity) if case.plan else "none"}
    return _deny("dry_run", "DRY_RUN", seen) if case.signal.dry_run else _pass("dry_run", seen)


GATES: tuple[Gate, ...] = (
    ensemble,
    conviction,
    trading_state,
    symbol_halt,
    exchange,
    market_data,
    cooldown,
    sizing,
    instrument,
    order_notional,
    symbol_notional,
    total_notional,
    open_positions,
    daily_loss,
    order_rate,
    buying_power,
    dry_run,
)


def _notional(case: Case) -> Decimal:
    drawn = case.plan
    if drawn is None:
        return _ZERO
    low, high = (_ZERO, drawn.quantity) if case.signal.side is Side.BUY else (-drawn.quantity, _ZERO)
    return Bounds(low, high).stake(drawn.worst, drawn.price, case.book.contracts.get(case.signal.symbol))


def _symbol_exposure(case: Case) -> Decimal:
    symbol, drawn = case.signal.symbol, case.plan
    if drawn is None or drawn.reduce_only:
        return case.book.exposure(symbol)
    bounds = case.book.bounds(symbol)
    if case.signal.side is Side.BUY:
        reached = Bounds(bounds.low, bounds.high + drawn.quantity)
    else:
        reached = Bounds(bounds.low - drawn.quantity, bounds.high)
    return case.book.stake(symbol, reached, drawn.worst, min(drawn.price, drawn.worst))


def _unknown_orders(case: Case) -> list[str]:
    """Orders of unknown outcome in this symbol; one nobody can place counts for every symbol."""
    book, symbol = case.book, case.signal.symbol
    found = [key for key, order in book.outstanding(symbol) if order.status is OrderStatus.UNKNOWN]
    if case.view is not None:
        for client_id in case.view.state.unknown_orders:
            order = book.commitments.get(client_id)
            if client_id not in found and (order is None or order.symbol == symbol):
                found.append(client_id)
    return found


def _limit(case: Case, name: str, code: str, what: str, value: Decimal, limit: Decimal) -> Step:
    seen = {what: _short(value), "limit": _short(limit)}
    if value > limit and not case.lowers:
        return _deny(name, code, seen)
    return _pass(name, seen)


def _short(value: Decimal) -> str:
    """At most ten significant digits, plainly written: for reading, not for reckoning."""
    return format(Decimal(f"{value:.10g}").normalize(), "f")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _pass(name: str, seen: dict[str, str]) -> Step:
    return Step(name, True, "", seen)


def _deny(name: str, code: str, seen: dict[str, str]) -> Step:
    return Step(name, False, code, seen)
