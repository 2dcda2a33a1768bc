"""Mutated messages: only ``WireError`` comes out, and never a price or a size that can't be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.fields import WireError
from exchanges.hyperliquid import market, wire
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.parser import PrivateParser, PublicParser, decode
from exchanges.identities import Identities
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, Book, Quote, Ticker, Trade
from exchanges.model.order import Fill, Order
from exchanges.model.position import Balance
from exchanges.model.venue import FillReport, OrderReport, PaymentReport, VenuePosition
from tests.unit import hyperliquid_samples as samples
from tests.unit.hyperliquid_samples import COIN, NOW_NS, settings
from tests.unit.mutations import mutated

MUTATIONS = 30_000
SEED = 20_260_731

Case = tuple[str, Any, Callable[[bytes], list[Any]]]


class Readers:
    """Every decoder, from bytes to what would be passed on."""

    def __init__(self) -> None:
        counters: Counter[str] = Counter()
        told = settings(streams=("trade", "quote", "bar", "book", "ticker"))
        self.public = PublicParser(told, [COIN], counters)
        self.public.reset()
        self.cloids = Cloids()
        self.private = PrivateParser(counters, self.cloids, Identities(), lambda row: None)

    def market(self, raw: bytes) -> list[Any]:
        return list(self.public.take(decode(raw), NOW_NS))

    def account(self, raw: bytes) -> list[Any]:
        return list(self.private.take(decode(raw), lambda text, problem: None))

    def rules(self, raw: bytes) -> list[Any]:
        return [market.instrument(row, market.STANDARD) for row in market.universe(_json(raw))]

    def state(self, raw: bytes) -> list[Any]:
        told = wire.inner({"state": _json(raw)}, "state")
        return [*wire.positions(told), wire.balance(told)]

    def orders(self, raw: bytes) -> list[Any]:
        return [wire.working(row, self.cloids) for row in wire.listed(_json(raw), "orders")]

    def book(self, raw: bytes) -> list[Any]:
        return list(market.best(_json(raw)))

    def fees(self, raw: bytes) -> list[Any]:
        return list(market.fees(_json(raw)))


def _json(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(str(error)) from error


def cases(readers: Readers) -> list[Case]:
    told = {"user": "0x1", "fills": [{**samples.FILL, "cloid": samples.CLOID}]}
    return [
        ("trades", {"channel": "trades", "data": [samples.TRADE]}, readers.market),
        ("bbo", {"channel": "bbo", "data": samples.BBO}, readers.market),
        ("book", {"channel": "l2Book", "data": samples.BOOK}, readers.market),
        ("candle", {"channel": "candle", "data": samples.CANDLE}, readers.market),
        ("context", {"channel": "activeAssetCtx", "data": samples.CONTEXT}, readers.market),
        ("orders", {"channel": "orderUpdates", "data": [samples.REPORT]}, readers.account),
        ("fills", {"channel": "userFills", "data": told}, readers.account),
        ("fundings", {"channel": "userFundings", "data": {"fundings": [samples.FUNDING]}}, readers.account),
        ("meta", samples.META, readers.rules),
        ("state", samples.STATE, readers.state),
        ("open orders", [samples.OPEN_ORDER], readers.orders),
        ("a fetched book", samples.BOOK, readers.book),
        ("fees", samples.FEES, readers.fees),
    ]


def wrong(found: Any) -> str:
    """What is impossible about something that would be passed on; empty if nothing is."""
    if isinstance(found, FillReport | OrderReport):
        found = found.fill if isinstance(found, FillReport) else found.order
    return "" if _FINE[type(found)](found) else repr(found)


_FINE: dict[type, Callable[[Any], bool]] = {
    Trade: lambda one: one.price > 0 and one.size > 0 and one.side in ("buy", "sell"),
    Quote: lambda one: 0 < one.bid < one.ask and min(one.bid_size, one.ask_size) > 0,
    Book: lambda one: 0 < one.bids[-1][0] <= one.bids[0][0] < one.asks[0][0] <= one.asks[-1][0],
    Bar: lambda one: (
        0 < one.low <= min(one.open, one.close) <= max(one.open, one.close) <= one.high and one.volume >= 0
    ),
    Ticker: lambda one: one.mark > 0 and one.index > 0 and abs(one.funding_rate) <= 0.04,
    Order: lambda one: one.quantity > 0 and 0 <= one.filled <= one.quantity and one.price > 0,
    Fill: lambda one: one.quantity > 0 and one.price > 0 and one.fee.is_finite(),
    PaymentReport: lambda one: one.amount.is_finite(),
    VenuePosition: lambda one: one.quantity != 0 and one.average_price > 0 and one.mark_price >= 0,
    Balance: lambda one: one.total.is_finite() and one.available.is_finite(),
    Instrument: lambda one: one.tick > 0 and one.lot > 0 and one.max_leverage >= 1,
    Decimal: lambda one: one.is_finite(),
}


def test_mutated_messages_raise_only_wire_errors_and_pass_on_nothing_impossible() -> None:
    readers, chance = Readers(), random.Random(SEED)
    known = cases(readers)
    outcomes: Counter[str] = Counter()
    for number in range(MUTATIONS):
        name, body, reader = known[number % len(known)]
        raw = mutated(body, chance)
        try:
            found = reader(raw)
        except WireError:
            outcomes["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"{name}: {raw!r} raised {error!r}") from error
        outcomes["passed"] += 1
        for one in found:
            assert not wrong(one), f"{name}: {raw!r} was passed on as {wrong(one)}"
    assert outcomes["refused"] > MUTATIONS // 4, outcomes
    assert outcomes["passed"] > MUTATIONS // 20, outcomes


def test_unmutated_messages_are_passed_on() -> None:
    readers = Readers()
    for name, body, reader in cases(readers):
        found = reader(msgspec.json.encode(body))
        assert found, name
        assert not any(wrong(one) for one in found), name
