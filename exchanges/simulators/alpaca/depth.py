"""Depth in whole shares around the last trade."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchanges.matching.liquidity import DepthModel, Ladder
from exchanges.model.instrument import Instrument
from exchanges.model.order import Side
from exchanges.simulators.alpaca.instruments import SHARE, is_crypto


class WholeShares:
    """Another model's depth, as if stocks could not be traded in fractions.

    Fractions of a share are a service of the broker: nobody quotes them.
    """

    def __init__(self, inner: DepthModel) -> None:
        self._inner = inner
        self._shown: dict[str, Instrument] = {}

    def ladders(self, instrument: Instrument, last: Decimal, taker: Side, generation: int) -> tuple[Ladder, Ladder]:
        if is_crypto(instrument):
            return self._inner.ladders(instrument, last, taker, generation)
        shown = self._shown.get(instrument.symbol)
        if shown is None:
            shown = msgspec.structs.replace(instrument, lot=SHARE, min_quantity=SHARE)
            self._shown[instrument.symbol] = shown
        return self._inner.ladders(shown, last, taker, generation)
