"""Gates on the account: what was lost, what was spent, what is left to buy with."""

from __future__ import annotations

from decimal import Decimal

from actors.messages.signals import Step
from actors.risk.account import drawdown_share, notional
from actors.risk.case import Case
from actors.risk.gates.steps import denied, passed, short
from exchanges.model.instrument import ContractKind

_ZERO = Decimal(0)


def daily_loss(case: Case) -> Step:
    """Realised and unrealised loss since the UTC day began."""
    loss, limit = case.book.day_start - case.sheet.profit, case.settings.daily_loss
    seen = {"loss": short(loss), "limit": str(limit)}
    if loss >= limit and not case.lowers:
        return denied("daily_loss", "DAILY_LOSS", seen)
    return passed("daily_loss", seen)


def drawdown(case: Case) -> Step:
    """How far equity is below its highest, over all time, as a share of that."""
    fallen, limit = case.account.drawdown(case.sheet.profit), case.settings.max_drawdown
    share = drawdown_share(fallen, case.equity)
    seen = {"drawdown": short(share), "fallen": short(fallen), "equity": short(case.equity), "limit": str(limit)}
    if share >= limit and not case.lowers:
        return denied("drawdown", "DRAWDOWN", seen)
    return passed("drawdown", seen)


def daily_budget(case: Case) -> Step:
    """Notional of the entries approved since the UTC day began, with this one."""
    limit, drawn, signal = case.settings.daily_budget, case.plan, case.signal
    if drawn is None:
        return denied("daily_budget", "NO_PLAN", {"symbol": signal.symbol})
    spent = case.account.spent_on(case.now, case.book)
    own = notional(case.book, signal.symbol, signal.side, drawn.quantity, drawn.worst, drawn.price)
    seen = {"spent": short(spent), "order": short(own), "limit": "none" if limit is None else short(limit)}
    if limit is not None and spent + own > limit and not case.exits:
        return denied("daily_budget", "DAILY_BUDGET", seen)
    return passed("daily_budget", seen)


def buying_power(case: Case) -> Step:
    """What the venue's exposure binds, against the equity there: margin for perpetuals, the whole for all else."""
    bound, equity, known = case.sums.bound, _equity(case), case.instrument
    margined = known is not None and known.kind is ContractKind.LINEAR_PERPETUAL
    seen = {"bound": short(bound), "equity": short(equity), "leverage": str(case.settings.leverage)}
    if bound > equity and not case.lowers:
        return denied("buying_power", "MARGIN" if margined else "BUYING_POWER", seen)
    return passed("buying_power", seen)


def cash_reserve(case: Case) -> Step:
    """The share of the venue's equity that has to stay free."""
    bound, equity = case.sums.bound, _equity(case)
    reserve = equity * case.settings.cash_reserve
    seen = {"free": short(equity - bound), "reserve": short(reserve)}
    if equity - bound < reserve and not case.lowers:
        return denied("cash_reserve", "CASH_RESERVE", seen)
    return passed("cash_reserve", seen)


def _equity(case: Case) -> Decimal:
    return case.view.state.equity if case.view else _ZERO
