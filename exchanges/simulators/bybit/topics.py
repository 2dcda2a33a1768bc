"""What public topics are called among ourselves: the venue uses one name for spot and linear."""

from __future__ import annotations

from typing import NamedTuple

from exchanges.model.instrument import ContractKind, Instrument

LINEAR, SPOT = "linear", "spot"
SPOT_SUFFIX = ".SPOT"


class Topic(NamedTuple):
    """``orderbook.50`` of ``BTCUSDT.SPOT``."""

    name: str
    key: str

    @property
    def detail(self) -> str:
        """``50`` of ``orderbook.50``: depth or interval."""
        return self.name.partition(".")[2]

    @property
    def channel(self) -> str:
        """``orderbook`` of ``orderbook.50``."""
        return self.name.partition(".")[0]


def key_in(category: str, native: str) -> str:
    """``BTCUSDT`` of spot as ``BTCUSDT.SPOT``."""
    return native + SPOT_SUFFIX if category == SPOT else native


def category_of(instrument: Instrument) -> str:
    return SPOT if instrument.kind is ContractKind.SPOT else LINEAR


def category_of_symbol(symbol: str) -> str:
    return SPOT if symbol.endswith(SPOT_SUFFIX) else LINEAR


def parsed(topic: str) -> Topic:
    """One of our topics, taken apart."""
    bare = topic.removesuffix(SPOT_SUFFIX)
    name, _, native = bare.rpartition(".")
    return Topic(name, native + topic[len(bare) :])


def shown(topic: str) -> str:
    """The venue's name of one of our topics."""
    return topic.removesuffix(SPOT_SUFFIX)
