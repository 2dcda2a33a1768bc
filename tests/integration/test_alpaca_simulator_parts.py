"""Invariants of the Alpaca simulator's parts, without sockets."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.hours import AlwaysOpen, NyseHours, Phase
from exchanges.model.order import Side
from exchanges.simulators.alpaca import AlpacaSimulator, SimulatorSettings, wire
from exchanges.simulators.alpaca.auth import Keys
from exchanges.simulators.alpaca.errors import ApiError
from exchanges.simulators.alpaca.funds import funds
from exchanges.simulators.alpaca.request import nanoseconds
from exchanges.simulators.faults import FaultPlan

START = int(dt.datetime(2015, 1, 1, tzinfo=dt.UTC).timestamp()) * 10**9
END = int(dt.datetime(2031, 1, 1, tzinfo=dt.UTC).timestamp()) * 10**9
moments = st.integers(START, END)


@given(moments)
def test_a_time_survives_being_written_and_read(ns: int) -> None:
    assert nanoseconds(wire.time(ns)) == ns


@given(st.text(max_size=30))
def test_a_text_that_is_no_time_is_told_from_one_that_is(text: str) -> None:
    found = nanoseconds(text)
    assert found is None or isinstance(found, int)


@settings(deadline=None)
@given(moments)
def test_the_market_opens_when_it_is_told_to_and_closes_when_it_is_told_to(now: int) -> None:
    hours = NyseHours()
    opens, closes = hours.next_open(now), hours.next_close(now)
    assert now < opens
    assert now < closes
    assert (hours.phase(now) is Phase.REGULAR) is (closes < opens)
    assert hours.phase(opens) is hours.phase(closes - 1_000_000_000) is Phase.REGULAR
    assert hours.phase(closes) is not Phase.REGULAR
    assert now < hours.day_end(now, extended=False) <= max(opens, closes)
    assert hours.day_end(now, extended=False) == closes
    assert now < hours.day_end(now, extended=True)


def test_keys_do_not_show_their_secrets() -> None:
    keys = Keys({"key": ("main", "hidden")}, FaultPlan())
    assert "hidden" not in repr(keys)
    assert "hidden" not in str(vars(SimulatorSettings(api_secret="hidden")))


class Shutters(AlwaysOpen):
    """A market that is open when the test says so."""

    now = Phase.REGULAR

    def phase(self, now_ns: int) -> Phase:
        return self.now


SYMBOLS = ("AAPL", "SEB", "BTC/USD")
prices = st.integers(9_800, 10_200).map(lambda cents: cents / 100)
quantities = st.sampled_from(["1", "2.5", "7", "40", "0.333333333"])
actions = st.one_of(
    st.tuples(st.just("trade"), st.sampled_from(SYMBOLS), prices, st.sampled_from([Side.BUY, Side.SELL])),
    st.tuples(st.just("limit"), st.sampled_from(SYMBOLS), quantities, st.sampled_from(["buy", "sell"]), prices),
    st.tuples(st.just("market"), st.sampled_from(SYMBOLS), quantities, st.sampled_from(["buy", "sell"])),
    st.tuples(st.just("money"), st.sampled_from(SYMBOLS), st.integers(1, 5_000)),
    st.tuples(st.just("replace"), st.integers(0, 5), st.sampled_from(["1", "5", "80"]), prices),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("phase"), st.sampled_from(list(Phase))),
)


class Floor:
    """A venue without sockets, and what may be done on it."""

    def __init__(self) -> None:
        self.hours = Shutters()
        given = SimulatorSettings(feed="none", symbols=SYMBOLS, query_limit=0)
        self.simulator = AlpacaSimulator(given, hours=self.hours)
        catalogue = self.simulator.catalogue()
        self.simulator._assemble(catalogue, [catalogue.listed(key) for key in SYMBOLS])
        self.venue, self.desk = self.simulator.venue, self.simulator._opened()
        self.engine = self.desk.engine
        for key in SYMBOLS:
            self.venue.trade((0, key, 100.0, 5.0, Side.BUY, "start"))

    def do(self, action: tuple[Any, ...]) -> None:
        """Carry out an action; one that the venue refuses changes nothing."""
        name, *rest = action
        before = self.facts()
        try:
            getattr(self, name)(*rest)
        except ApiError:
            assert self.facts() == before

    def facts(self) -> tuple[Any, ...]:
        orders = [(t.id, t.replaced_by, t.limit) for t in self.desk.tickets.of_account("main")]
        return orders, len(self.venue.executions), funds(self.engine, "main")

    def trade(self, key: str, price: float, side: Side) -> None:
        self.venue.trade((0, key, price, 5.0, side, "t"))

    def limit(self, key: str, quantity: str, side: str, price: float) -> None:
        self.placed(key, {"type": "limit", "qty": quantity, "side": side, "limit_price": str(price)})

    def market(self, key: str, quantity: str, side: str) -> None:
        self.placed(key, {"type": "market", "qty": quantity, "side": side})

    def money(self, key: str, dollars: int) -> None:
        self.placed(key, {"type": "market", "notional": str(dollars), "side": "buy"})

    def placed(self, key: str, body: dict[str, str]) -> None:
        self.desk.place("main", {"symbol": key, "time_in_force": "gtc" if "/" in key else "day", **body})

    def alive(self, index: int) -> str:
        """One of the newest orders, dead ones among them."""
        tickets = self.desk.tickets.of_account("main")
        return tickets[-1 - index % len(tickets)].id if tickets else "none"

    def replace(self, index: int, quantity: str, price: float) -> None:
        self.desk.replace("main", self.alive(index), {"qty": quantity, "limit_price": str(price)})

    def cancel(self, index: int) -> None:
        self.desk.cancel("main", self.alive(index))

    def phase(self, phase: Phase) -> None:
        self.hours.now = phase
        self.desk.turn()


@settings(deadline=None, max_examples=150)
@given(st.lists(actions, max_size=40))
def test_orders_fills_positions_and_cash_always_agree(script: list[tuple[Any, ...]]) -> None:
    floor = Floor()
    for action in script:
        executed = len(floor.venue.executions)
        floor.do(action)
        new = floor.venue.executions[executed:]
        if floor.hours.now is not Phase.REGULAR:
            assert {done.fill.symbol for done in new} <= {"alpaca:BTC/USD"}
        agree(floor)


def agree(floor: Floor) -> None:
    """What must hold at any time."""
    account, cash, held = floor.engine.accounts["main"], D(100_000), dict.fromkeys(SYMBOLS, D(0))
    by_ticket: dict[str, D] = {}
    for done in floor.venue.executions:
        fill, owner = done.fill, floor.desk.tickets.at(done.fill.venue_id, done.sequence)
        assert owner is not None
        by_ticket[owner.id] = by_ticket.get(owner.id, D(0)) + fill.quantity
        held[owner.key] += fill.delta
        cash -= fill.quantity * fill.price * fill.side.sign + (0 if fill.fee_in_base else fill.fee)
    assert cash == account.wallet
    for key, quantity in held.items():
        assert account.position(f"alpaca:{key}").quantity == quantity
    assert held["BTC/USD"] >= 0
    assert funds(floor.engine, "main").equity > 0
    alive = set()
    for ticket in floor.desk.tickets.of_account("main"):
        record = floor.engine.find("main", order_id=ticket.engine_id)
        assert record is not None
        assert ticket.filled(record) == by_ticket.get(ticket.id, D(0))
        if ticket.quantity is not None:
            assert ticket.filled(record) <= ticket.quantity
        if ticket.status(record) in ("new", "accepted", "partially_filled"):
            alive.add(record.id)
    assert alive == {record.id for record in floor.engine.working("main")}
