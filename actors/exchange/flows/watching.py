"""What flows wait for, told to who brings them prices: a backtest, which knows a bar's way only when it makes it up."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from actors.exchange.flows.guard import stop_level
from actors.exchange.flows.state import FlowState
from exchanges.model.flow import Bracket, Conditional, Oco, Source, protects


class Watched(NamedTuple):
    """One flow under way.

    ``levels`` are the prices at which it would act, ``stop`` and ``target`` where its exits would close what is held.
    """

    levels: tuple[Decimal, ...] = ()
    stop: Decimal | None = None
    target: Decimal | None = None


def concerns(flow: FlowState, symbol: str) -> bool:
    """Whether it trades the symbol or waits for its price."""
    kind = flow.frame.flow
    triggers = kind.triggers if isinstance(kind, Conditional) else ()
    return symbol == flow.frame.symbol or any(trigger.symbol == symbol for trigger in triggers)


def watched(flow: FlowState, symbol: str, *, exits_rest: bool) -> Watched:
    """What it waits for in the last price of the symbol.

    Args:
        exits_rest: whether an exit that takes profit stands in the venue's book; else its price is waited for.
    """
    kind, own = flow.frame.flow, flow.frame.symbol
    if flow.fired or flow.stop is not None:
        return Watched()
    if isinstance(kind, Conditional):
        looked = [each for each in kind.triggers if each.source is not Source.MARK]
        return Watched(tuple(each.price for each in looked if (each.symbol or own) == symbol))
    if not protects(kind) and not flow.entered_ns:
        return Watched()
    stop, target = stop_level(flow), kind.take_profit if isinstance(kind, Bracket | Oco) else None
    levels = (stop, None if exits_rest else target)
    return Watched(tuple(level for level in levels if level is not None), stop, target)
