"""Mutated messages: only ``WireError`` comes out, and never a price that can't be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exchanges.identities import Identities
from exchanges.kalshi import market, wire
from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.fees import rates
from exchanges.kalshi.market import MarketState
from exchanges.kalshi.parser import PrivateParser, PublicParser, decode
from exchanges.kalshi.rest import Answer, read
from exchanges.model.market import Bar, Book, Quote, Trade
from exchanges.model.order import Fill, Order
from exchanges.model.venue import FillReport, OrderReport, VenuePosition
from tests.unit import kalshi_samples as samples
from tests.unit.kalshi_samples import NOW_NS, TICKER, settings
from tests.unit.mutations import mutated

MUTATIONS = 60_000
SEED = 20_240_808
D = Decimal

Case = tuple[str, Any, Callable[[bytes], list[Any]]]


class Readers:
    """Every decoder, from bytes to what would be passed on."""

    def __init__(self) -> None:
        told = settings(streams=("trade", "quote", "bar", "book", "ticker"))
        self.counters: Counter[str] = Counter()
        self.public = PublicParser(told, (TICKER,), self.counters, lambda ticker, event: None)
        self.public.reset()
        self.public.release({})
        self.charges = Charges(told)
        self.private = PrivateParser(self.counters, Identities(), self.charges, lambda row: None)
        self.told = told

    def frame(self, raw: bytes) -> list[Any]:
        return list(self.public.take(decode(raw), NOW_NS))

    def account(self, raw: bytes) -> list[Any]:
        return list(self.private.take(decode(raw)))

    def order(self, raw: bytes) -> list[Any]:
        return [wire.order(read(Answer(200, raw)))]

    def fill(self, raw: bytes) -> list[Any]:
        return [wire.fill(read(Answer(200, raw)), "c", self.charges.fee)]

    def settlement(self, raw: bytes) -> list[Any]:
        return [wire.settlement(read(Answer(200, raw)))]

    def position(self, raw: bytes) -> list[Any]:
        return [wire.position(read(Answer(200, raw)))]

    def balance(self, raw: bytes) -> list[Any]:
        return [wire.balance(read(Answer(200, raw)))]

    def market(self, raw: bytes) -> list[Any]:
        row = market.market(read(Answer(200, raw)))
        return [market.instrument(row, rates("quadratic", D(1)), self.told)]

    def trade(self, raw: bytes) -> list[Any]:
        return [market.trade(read(Answer(200, raw)), NOW_NS)]

    def candle(self, raw: bytes) -> list[Any]:
        return [market.candle(read(Answer(200, raw)), TICKER, 60_000_000_000, NOW_NS)]

    def book(self, raw: bytes) -> list[Any]:
        return list(market.rest_book(read(Answer(200, raw))))


def cases(readers: Readers) -> list[Case]:
    """Samples of the documentation, and the recorded ones where they are here."""
    pushed = {**samples.FILL, "client_order_id": "c"}
    made: list[Case] = [
        (kind, {"type": kind, "sid": 1, "seq": 0, "msg": message}, reader)
        for kind, message, reader in (
            ("orderbook_snapshot", samples.SNAPSHOT, readers.frame), ("orderbook_delta", samples.DELTA, readers.frame),
            ("trade", samples.TRADE, readers.frame), ("ticker", samples.TICK, readers.frame),
            ("user_order", samples.ORDER, readers.account), ("fill", pushed, readers.account),
            ("market_position", samples.POSITION, readers.account),
        )
    ]  # fmt: skip
    made += [
        ("order", samples.ORDER, readers.order), ("a fill", samples.FILL, readers.fill),
        ("settlement", samples.SETTLEMENT, readers.settlement), ("position", samples.POSITION, readers.position),
        ("balance", {"balance": 1, "balance_dollars": "0.0100"}, readers.balance),
        ("market", samples.MARKET, readers.market),
        ("a trade", samples.TRADE, readers.trade), ("candle", samples.CANDLE, readers.candle),
        ("book", {"orderbook_fp": {"yes_dollars": [["0.4400", "1.00"]], "no_dollars": [["0.47", "2"]]}}, readers.book),
    ]  # fmt: skip
    if samples.WIRE.is_dir():
        made += list(recorded(readers))
    return made


def recorded(readers: Readers) -> Iterator[Case]:
    """Rows of recorded answers; recorded frames."""
    lists = {
        "rest_portfolio_orders": ("orders", readers.order),
        "rest_portfolio_fills": ("fills", readers.fill),
        "rest_portfolio_positions": ("market_positions", readers.position),
        "rest_markets_list": ("markets", readers.market),
        "rest_event_with_settled_markets": ("markets", readers.market),
        "rest_trades_list": ("trades", readers.trade),
        "rest_series_candlesticks": ("candlesticks", readers.candle),
    }
    for name, (key, reader) in lists.items():
        yield name, samples.sample(name)[key][0], reader
    yield "rest_orderbook", samples.sample("rest_orderbook"), readers.book
    for name in ("ws_orderbook_snapshot_example", "ws_orderbook_delta_example", "ws_error_unknown_channel"):
        yield name, samples.sample(name), readers.frame


def wrong(found: Any) -> str:
    """What is impossible about something that would be passed on; empty if nothing is."""
    prices: list[float | Decimal | None] = []
    inside = True
    if isinstance(found, FillReport | OrderReport):
        found = found.fill if isinstance(found, FillReport) else found.order
    if isinstance(found, Trade):
        prices, inside = [found.price], found.size > 0
    elif isinstance(found, Quote):
        prices, inside = [found.bid, found.ask], found.bid < found.ask
    elif isinstance(found, Bar):
        prices, inside = [found.open, found.high, found.low, found.close], found.low <= found.high
    elif isinstance(found, Book):
        prices = [price for levels in (found.bids, found.asks) for price, _ in levels]
        inside = not (found.bids and found.asks) or found.bids[0][0] < found.asks[0][0]
    elif isinstance(found, dict):
        prices, inside = list(found), all(size > 0 for size in found.values())
    elif isinstance(found, Order):
        prices, inside = [found.price], found.quantity > 0 <= found.filled and 0 <= found.average_price < 1
    elif isinstance(found, Fill) and found.execution_id.startswith(wire.SETTLEMENT):
        inside = 0 <= found.price <= 1 and found.quantity > 0
    elif isinstance(found, Fill):
        prices, inside = [found.price], found.quantity > 0
    elif isinstance(found, VenuePosition):
        inside = 0 <= found.average_price < 1
    fine = inside and all(price is None or 0 < price < 1 for price in prices)
    return "" if fine else repr(found)


@pytest.mark.timeout(600)
def test_mutated_messages_raise_only_wire_errors_and_pass_on_no_impossible_price() -> None:
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
            # ``read`` alone has an error of its own, for what is no JSON object.
            assert type(error).__name__ == "Garbage", f"{name}: {raw!r} raised {error!r}"
            outcomes["garbage"] += 1
            continue
        outcomes["passed"] += 1
        for one in found:
            assert not wrong(one), f"{name}: {raw!r} was passed on as {wrong(one)}"
    assert outcomes["refused"] > MUTATIONS // 4, outcomes
    assert outcomes["passed"] > MUTATIONS // 20, outcomes


def test_unmutated_messages_are_passed_on() -> None:
    readers = Readers()
    for name, body, reader in cases(readers):
        if name.startswith("ws_"):
            # Illustrations of other markets than ours.
            continue
        found = reader(msgspec.json.encode(body))
        assert not any(wrong(one) for one in found), name


def test_no_mutation_of_a_markets_state_opens_or_settles_it() -> None:
    chance = random.Random(SEED)
    for _ in range(2_000):
        word = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz_ ") for _ in range(chance.randint(1, 12)))
        row = market.market({**samples.MARKET, "status": word})
        assert row.state is MarketState.UNKNOWN or word == row.state.value
        assert not market.instrument(row, rates("quadratic", D(1)), settings()).trading or word == "active"
