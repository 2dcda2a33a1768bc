"""Depth as engines that know prices alone assume it: any quantity at the last trade's price."""

from __future__ import annotations

from decimal import Decimal

from exchanges.matching.liquidity import EMPTY, UNLIMITED, Ladder
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side


class ExactDepth:
    """No spread and no limit of size: what takes is filled at the last trade's price, both ways.

    Nothing stands away from it, so what rests has nobody before it in the queue. It is no model of a market; it is for
    comparison with other engines and with reckoning by hand.
    """

    def ladders(self, instrument: Instrument, last: Decimal, taker: Side, generation: int) -> tuple[Ladder, Ladder]:
        ended = instrument.kind is ContractKind.BINARY_EVENT and last >= instrument.contract_value
        if last <= 0 or ended:
            return EMPTY, EMPTY
        return _level(last), _level(last)


def _level(price: Decimal) -> Ladder:
    return Ladder(lambda index: (price, UNLIMITED), 1)
