"""Gates on what is allowed at all: halts, quarantine, dry runs."""

from __future__ import annotations

from actors.messages.control import TradingState
from actors.messages.signals import Step
from actors.risk.case import Case
from actors.risk.gates.steps import denied, passed
from exchanges.model.order import OrderStatus


def trading_state(case: Case) -> Step:
    """HALTED stops everything, REDUCING all that is not sure to lower a position."""
    seen = {"state": case.trading.value, "reason": case.trading_reason or "none"}
    if case.trading is TradingState.HALTED:
        return denied("trading_state", "TRADING_HALTED", seen)
    if case.trading is TradingState.REDUCING and not case.lowers:
        return denied("trading_state", "TRADING_REDUCING", seen)
    return passed("trading_state", seen)


def symbol_halt(case: Case) -> Step:
    """Quarantine: no new exposure in a symbol with an unexplained difference or an order of unknown outcome."""
    symbol = case.signal.symbol
    unknown = _unknown_orders(case)
    seen = {"symbol": symbol, "halted": case.halt_reason or "no", "unknown": " ".join(unknown) or "none"}
    if case.lowers:
        return passed("symbol_halt", seen)
    if case.halt_reason:
        return denied("symbol_halt", "SYMBOL_HALTED", {"symbol": symbol, "reason": case.halt_reason})
    if unknown:
        return denied("symbol_halt", "ORDER_UNKNOWN", {"symbol": symbol, "orders": " ".join(unknown)})
    return passed("symbol_halt", seen)


def dry_run(case: Case) -> Step:
    """The last gate: a strategy on a dry run goes through all of it and orders nothing."""
    seen = {"strategy": case.signal.strategy, "quantity": str(case.plan.quantity) if case.plan else "none"}
    return denied("dry_run", "DRY_RUN", seen) if case.signal.dry_run else passed("dry_run", seen)


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
