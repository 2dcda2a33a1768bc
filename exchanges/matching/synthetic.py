"""A synthetic spread and depth around the last trade, the same for the same seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from exchanges.matching.liquidity import Ladder, Level
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side

_MASK = (1 << 64) - 1


def mix(*parts: int) -> int:
    """A 64-bit hash of integers, equal on every machine (the finalizer of SplitMix64)."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = (state + part * 0xBF58476D1CE4E5B9 + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


class SyntheticDepth:
    """A ladder of one level a tick on each side.

    The last trade's price is the touch of the side it took from; the other touch is a
    spread away. The spread is ``spread_bps`` basis points of the price, at least one tick,
    and now and then (one time in eight) twice that. The touch holds about ``top_notional``
    of the quote currency; deeper levels hold more, each varied by the seed.
    """

    def __init__(
        self, seed: int = 0, *, spread_bps: float = 0.05, top_notional: Decimal = Decimal(20_000), depth: int = 60
    ) -> None:
        self._seed = seed
        self._spread = Decimal(repr(spread_bps)) / 10_000
        self._notional = top_notional
        self._depth = depth

    def ladders(self, instrument: Instrument, last: Decimal, taker: Side, generation: int) -> tuple[Ladder, Ladder]:
        key = mix(self._seed, zlib.crc32(instrument.symbol.encode()), generation)
        tick = instrument.tick_at(last)
        ticks = max(1, int(last * self._spread / tick))
        spread = tick * (ticks * 2 if key % 8 == 0 else ticks)
        bid = last - spread if taker is Side.BUY else last
        ask = last if taker is Side.BUY else last + spread
        sizes = self._sizes(instrument, last, key)
        bids, asks = _steps(bid, -tick, sizes, 0), _steps(ask, tick, sizes, 1)
        above = self._depth
        if instrument.kind is ContractKind.BINARY_EVENT:
            above = int(((instrument.contract_value - ask) / tick).to_integral_value(ROUND_UP))
        below = min(self._depth, max(0, int(bid / tick)))
        return Ladder(bids, below), Ladder(asks, min(self._depth, max(0, above)))

    def _sizes(self, instrument: Instrument, last: Decimal, key: int) -> Callable[[int, int], Decimal]:
        typical = self._notional / last

        def size(index: int, side: int) -> Decimal:
            factor = Decimal(50 + 12 * index + mix(key, index, side) % 100) / 100
            lots = (typical * factor / instrument.lot).to_integral_value(ROUND_DOWN)
            return max(lots * instrument.lot, instrument.min_quantity)

        return size


def _steps(touch: Decimal, step: Decimal, sizes: Callable[[int, int], Decimal], side: int) -> Callable[[int], Level]:
    def level(index: int) -> Level:
        return touch + step * index, sizes(index, side)

    return level
