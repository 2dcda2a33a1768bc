"""The venue's price rule, and the limit price that stands in for a market order, which it doesn't have.

A price has at most five significant figures and at most ``6 - szDecimals`` decimals; whole numbers are always
allowed (documented). A market order goes as immediate-or-cancel with a limit ``slippage`` beyond the best
known opposite price, as the SDK's own ``market_open`` does around the middle: an empty or mad book costs no more.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchanges.model.instrument import Instrument, PriceStep
from exchanges.model.order import Side

DECIMALS = 6
FIGURES = 5
_ONE = Decimal(1)


def price_steps(sz_decimals: int) -> tuple[PriceStep, ...]:
    """The steps of a perpetual's price, ascending: a new one at each power of ten until they are 1."""
    finest = _ONE.scaleb(sz_decimals - DECIMALS)
    made = [PriceStep(Decimal(0), min(finest, _ONE))]
    power = FIGURES - DECIMALS + sz_decimals
    while made[-1].step < _ONE:
        # From 10 to the power of this on, five figures reach a decimal less.
        made.append(PriceStep(_ONE.scaleb(power), _ONE.scaleb(power + 1 - FIGURES)))
        power += 1
    return tuple(made)


def market_limit(side: Side, best: Decimal, slippage: Decimal, rules: Instrument) -> Decimal:
    """The worst price a market order of ``side`` may trade at, given the ``best`` opposite one.

    Rounded towards ``best``, so that the slippage is never exceeded, and never past ``best`` itself.
    """
    aimed = best * (_ONE + slippage * side.sign)
    step = rules.tick_at(aimed)
    rounded = (aimed / step).to_integral_value(ROUND_FLOOR if side is Side.BUY else ROUND_CEILING) * step
    if side is Side.BUY:
        return max(rounded, best)
    return min(max(rounded, step), best)
