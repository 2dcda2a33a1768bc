"""The limit price that stands in for a market order, which the venue doesn't have.

A market order is sent as immediate-or-cancel with a limit ``slippage`` beyond the best known
opposite price, on the step and inside of the price range: what can be had there is had, the rest
is cancelled, and an empty or mad book costs no more than the slippage.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchanges.model.instrument import PriceStep
from exchanges.model.order import Side

_ZERO = Decimal(0)


def market_limit(side: Side, best: Decimal, slippage: Decimal, steps: Sequence[PriceStep], value: Decimal) -> Decimal:
    """The worst price a market order of ``side`` may trade at, given the ``best`` opposite one.

    Rounded towards ``best``, so that the slippage is never exceeded, and never past ``best`` itself.
    """
    lowest, highest = _step_at(_ZERO, steps), value - _step_at(value, steps)
    if side is Side.BUY:
        aimed = min(best + slippage, highest)
        return max(_rounded(aimed, steps, ROUND_FLOOR), best)
    aimed = max(best - slippage, lowest)
    return min(_rounded(aimed, steps, ROUND_CEILING), best)


def _step_at(price: Decimal, steps: Sequence[PriceStep]) -> Decimal:
    found = steps[0].step
    for step in steps:
        if price >= step.start:
            found = step.step
    return found


def _rounded(price: Decimal, steps: Sequence[PriceStep], rounding: str) -> Decimal:
    step = _step_at(price, steps)
    return (price / step).to_integral_value(rounding) * step
