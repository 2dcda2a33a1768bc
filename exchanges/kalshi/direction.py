"""The four ways to trade a binary contract, and the one YES book they all meet in.

Our model knows a side and a price of YES alone. Whoever buys NO at ``q`` sells YES at ``1 - q``:

========  ====  ==================
action    leg   order in YES terms
========  ====  ==================
buy       yes   bid at p
sell      yes   ask at p
buy       no    ask at 1 - q
sell      no    bid at 1 - q
========  ====  ==================
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from exchanges.model.order import Side

ONE = Decimal(1)
_ACTIONS = {"buy": 1, "sell": -1}
_LEGS = {"yes": 1, "no": -1}
_BOOK_SIDES = {Side.BUY: "bid", Side.SELL: "ask"}
_SIDES = {"bid": Side.BUY, "ask": Side.SELL, "yes": Side.BUY, "no": Side.SELL}
"""``book_side`` and ``outcome_side`` say the same in two vocabularies."""


class YesOrder(NamedTuple):
    """A side and a price of the YES contract."""

    side: Side
    price: Decimal


def to_yes(action: str, leg: str, price: Decimal) -> YesOrder:
    """What ``buy`` or ``sell`` of the ``yes`` or ``no`` leg at ``price`` (of that leg) is in YES terms.

    Raises:
        ValueError: the action or the leg is unknown.
    """
    if action not in _ACTIONS or leg not in _LEGS:
        raise ValueError(f"expected buy or sell of yes or no, found {action!r} of {leg!r}")
    side = Side.BUY if _ACTIONS[action] * _LEGS[leg] > 0 else Side.SELL
    return YesOrder(side, price if leg == "yes" else complement(price))


def from_yes(side: Side, price: Decimal, leg: str) -> tuple[str, Decimal]:
    """The action, and its price in the terms of ``leg``, that amounts to ``side`` of YES at ``price``.

    Raises:
        ValueError: the leg is unknown.
    """
    if leg not in _LEGS:
        raise ValueError(f"expected the leg yes or no, found {leg!r}")
    if leg == "yes":
        return side.value, price
    return side.opposite.value, complement(price)


def complement(price: Decimal) -> Decimal:
    """The price of the other leg."""
    return ONE - price


def book_side(side: Side) -> str:
    """``bid`` for who buys YES, ``ask`` for who sells it."""
    return _BOOK_SIDES[side]


def side_of(word: str) -> Side:
    """The YES side that a ``book_side`` or an ``outcome_side`` names.

    Raises:
        ValueError: the word is neither.
    """
    side = _SIDES.get(word)
    if side is None:
        raise ValueError(f"expected bid, ask, yes or no, found {word!r}")
    return side
