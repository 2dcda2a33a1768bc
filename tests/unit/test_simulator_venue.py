"""The venue behind a simulator's sockets: its books, and what is there again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, Side
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.settings import SimulatorSettings
from exchanges.simulators.store import VenueStore
from tests.unit.matching_bench import BTC, EVENT, SHARE

Opened = Callable[[], Venue]


class Listed:
    """A catalogue of what it is given."""

    default = ("BTCUSDT", "SHARE", "EVENT")

    def listed(self, key: str) -> Instrument:
        return {"BTCUSDT": BTC, "SHARE": SHARE, "EVENT": EVENT}[key]

    def observed(self, key: str, prices: Sequence[float], sizes: Sequence[float]) -> Instrument:
        return self.listed(key)

    def start_price(self, key: str) -> float:
        return 50.0


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens the venue in one folder, as a restarted process would."""
    stores: list[VenueStore] = []

    def open_venue() -> Venue:
        for store in stores:
            store.close()
        stores[:] = [VenueStore(tmp_path)]
        settings = SimulatorSettings(more_keys={"other": "secret"}, balance=D(1_000))
        listed = Listed()
        return Venue(settings, listed, [listed.listed(key) for key in listed.default], stores[0], "USD")

    yield open_venue
    for store in stores:
        store.close()


def order(symbol: str, side: Side, quantity: str, price: str, name: str) -> PlaceOrder:
    return PlaceOrder(name, symbol, side, OrderType.LIMIT, D(quantity), D(price))


def test_a_settled_contract_stays_settled_after_a_restart(opened: Opened) -> None:
    venue = opened()
    venue.place("main", order(EVENT.symbol, Side.BUY, "100", "0.30", "yes"))
    venue.place("account-2", order(EVENT.symbol, Side.SELL, "100", "0.30", "no"))
    venue.settle("EVENT", D(1))
    cash = {name: account.wallet for name, account in venue.engine.accounts.items()}
    assert cash["main"] == D(1_070)
    venue = opened()
    assert venue.settled == {EVENT.symbol: D(1)}
    assert {name: account.wallet for name, account in venue.engine.accounts.items()} == cash
    assert venue.markets["EVENT"].instrument.trading is False
    assert [done.fill.execution_id for done in venue.executions][2:] == ["settlement-EVENT"] * 2
    with pytest.raises(OrderRejectedError) as caught:
        venue.place("main", order(EVENT.symbol, Side.BUY, "1", "0.30", "late"))
    assert caught.value.code is Reject.NOT_TRADING


def test_funding_payments_are_there_again_after_a_restart(opened: Opened) -> None:
    venue = opened()
    venue.place("main", order(BTC.symbol, Side.BUY, "1", "100.0", "long"))
    venue.place("account-2", order(BTC.symbol, Side.SELL, "1", "100.0", "short"))
    venue.engine.on_mark(BTC.symbol, D(100))
    venue.apply(venue.engine.fund(BTC.symbol, D("0.001"), venue.now_ns()))
    assert [(paid.account, paid.amount) for paid in venue.fundings] == [("main", D("0.1")), ("account-2", D("-0.1"))]
    fundings, funding = venue.fundings, venue.engine.accounts["main"].funding
    venue = opened()
    assert venue.fundings == fundings
    assert venue.engine.accounts["main"].funding == funding == D("0.1")


def test_orders_are_found_amended_cancelled_and_reserve_the_same_after_a_restart(opened: Opened) -> None:
    venue = opened()
    venue.place("main", order(SHARE.symbol, Side.BUY, "5", "100.00", "one"))
    venue.place("main", order(SHARE.symbol, Side.BUY, "1", "90.00", "two"))
    amended = venue.amend("main", AmendOrder("one", SHARE.symbol, quantity=D(4)))
    assert (amended.quantity, venue.engine.available("main")) == (D(4), D(510))
    venue = opened()
    assert venue.engine.available("main") == D(510)
    assert venue.cancel("main", CancelOrder("one", SHARE.symbol)).reason == "BY_USER"
    assert [record.client_id for record in venue.cancel_all("main")] == ["two"]
    assert [record.client_id for record in venue.ended("main")] == ["two", "one"]
    assert list(venue.ended("main", start_ms=1 << 42)) == []
    assert venue.engine.available("main") == D(1_000)


def test_a_relisted_instrument_has_its_new_terms_everywhere(opened: Opened) -> None:
    venue = opened()
    venue.relist(msgspec.structs.replace(SHARE, trading=False, closes_ns=7))
    assert venue.markets["SHARE"].instrument.closes_ns == 7
    assert venue.engine.markets[SHARE.symbol].instrument.trading is False
    with pytest.raises(OrderRejectedError):
        venue.engine.relist(msgspec.structs.replace(SHARE, symbol="test:NONE"))


def test_what_is_not_listed_is_refused_and_the_text_names_what_is(opened: Opened) -> None:
    with pytest.raises(OrderRejectedError, match=r"expected one of .*BTCUSDT.*, found 'NONE'") as caught:
        opened().market("NONE")
    assert caught.value.code is Reject.UNKNOWN_INSTRUMENT


def test_generated_prices_go_on_from_the_last_one_and_start_where_the_catalogue_says(opened: Opened) -> None:
    venue = opened()
    venue.markets["SHARE"].note((1, "SHARE", 61.0, 1.0, Side.BUY, "t"))
    venue.save_market()
    assert opened().starting_prices() == {"BTCUSDT": 50.0, "SHARE": 61.0, "EVENT": 50.0}


def test_each_change_is_told_to_the_listeners_after_it_was_stored(opened: Opened) -> None:
    venue = opened()
    told: list[Changes] = []

    def listener(changes: Changes) -> None:
        assert venue.store is not None
        assert [record.client_id for record in venue.store.load().orders] == ["one"]
        told.append(changes)

    venue.listeners.append(listener)
    venue.place("main", order(SHARE.symbol, Side.BUY, "1", "90.00", "one"))
    assert len(told) == 1


def test_a_venue_can_have_an_engine_and_a_multiplier_of_its_own() -> None:
    class Special(MatchingEngine):
        """Nothing but a name."""

    listed = Listed()
    venue = Venue(SimulatorSettings(), listed, [SHARE], None, "USD", multiplier=D(4), make=Special)
    assert isinstance(venue.engine, Special)
    assert venue.engine.accounts["main"].multiplier == 4
