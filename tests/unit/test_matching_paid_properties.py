"""What holds for spot pairs, shares and event contracts whatever is done to them."""

from __future__ import annotations

import random
from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes, Execution
from exchanges.matching.rejection import OrderRejectedError
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from tests.unit.matching_bench import COIN, EVENT, SHARE

ACCOUNTS = ("a", "b", "c")
CENTS = msgspec.structs.replace(EVENT, fee_step=D("0.01"), maker_fee=D("0.0175"), lot=D("0.01"), min_quantity=D("0.01"))
PENNY = msgspec.structs.replace(COIN, min_notional=D(0), fee_step=D("0.01"))
TAKING = msgspec.structs.replace(COIN, min_notional=D(0), maker_fee=D("0.003"), fee_in_base=True)
LONG_ONLY = msgspec.structs.replace(SHARE, short=False, min_notional=D(0))
KINDS = {
    "coin": PENNY,
    "coin that takes fees in the coin": TAKING,
    "share": LONG_ONLY,
    "event": EVENT,
    "event with rounded fees": CENTS,
}
seeds = st.integers(0, 2**32)


class Run:
    """Draws steps from a seed, plays them, and checks the books after each."""

    def __init__(self, instrument: Instrument, seed: int, depth: SyntheticDepth | None = None) -> None:
        self.draw = random.Random(seed)
        self.instrument, self.symbol = instrument, instrument.symbol
        self.event = instrument.kind is ContractKind.BINARY_EVENT
        self.engine = MatchingEngine(depth=depth)
        self.engine.list_instrument(instrument)
        for name in ACCOUNTS:
            self.engine.open_account(name, self.draw.choice([D("1.03"), D("7.7"), D(60)]), "USD")
        self.executions: list[Execution] = []
        self.names: list[tuple[str, str]] = []
        self.now = 0

    def play(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            kind = self.draw.choices(["place", "amend", "cancel", "trade", "book"], [10, 2, 1, 3, 2])[0]
            try:
                changes = getattr(self, f"_{kind}")()
            except OrderRejectedError:
                changes = None
            self.executions.extend(changes.executions if changes else [])
            self.check()

    def price(self) -> D:
        return D(self.draw.choice([1, 2, 97, 99, *range(40, 61)] if self.event else range(90, 110))) / 100

    def size(self) -> D:
        lots = self.draw.choice([1, 2, 7, 10, 30, 100])
        return self.instrument.lot * lots * (10 if self.instrument.lot < 1 and self.draw.random() < 0.7 else 1)

    def _place(self) -> Changes:
        account, name = self.draw.choice(ACCOUNTS), f"n{len(self.names)}"
        self.names.append((account, name))
        market = self.draw.random() < 0.2
        times = [TimeInForce.GTC] * 6 + list(TimeInForce)
        time_in_force = TimeInForce.GTC if market else self.draw.choice(times)
        kind, price = (OrderType.MARKET, None) if market else (OrderType.LIMIT, self.price())
        reduce = self.draw.random() < 0.15
        side = self.draw.choice(list(Side))
        command = PlaceOrder(name, self.symbol, side, kind, self.size(), price, time_in_force, reduce)
        return self.engine.place(account, command, self.now)

    def _named(self) -> tuple[str, str]:
        return self.draw.choice(self.names) if self.names else ("a", "none")

    def _amend(self) -> Changes:
        account, name = self._named()
        return self.engine.amend(account, AmendOrder(name, self.symbol, self.size(), self.price()), self.now)

    def _cancel(self) -> Changes:
        account, name = self._named()
        return self.engine.cancel(account, CancelOrder(name, self.symbol), self.now)

    def _trade(self) -> Changes:
        side = self.draw.choice(list(Side))
        return self.engine.on_trade(self.symbol, float(self.price()), float(self.size()), side, self.now)

    def _book(self) -> None:
        middle, tick = self.price(), D("0.01")
        bids = [(middle - tick * (i + 1), self.size()) for i in range(3)]
        asks = [(middle + tick * (i + 1), self.size()) for i in range(3)]
        self.engine.on_book(self.symbol, bids, asks)

    def check(self) -> None:
        market = self.engine.markets[self.symbol]
        accounts = self.engine.accounts.values()
        fills = [done.fill for done in self.executions]
        coins = sum((fill.fee for fill in fills if fill.fee_in_base), D(0))
        assert sum((a.position(self.symbol).quantity for a in accounts), market.external_quantity) == -coins
        paid = sum((fill.fee for fill in fills if not fill.fee_in_base), D(0))
        cash = sum((a.wallet + sum(a.locked.values()) for a in accounts), market.external_cash) + paid
        assert cash == sum(a.deposited for a in accounts)
        for account in accounts:
            held = account.position(self.symbol).quantity
            working = self.engine.working(account.name)
            assert account.wallet >= 0
            assert account.available(self.engine.mark) >= 0
            assert account.reserved == sum((r.margin for r in working), D(0))
            assert account.locked.get(self.symbol, D(0)) == (max(-held, D(0)) if self.event else D(0))
            if not self.instrument.short:
                selling = sum((r.open for r in working if r.side is Side.SELL), D(0))
                assert 0 <= selling <= held
            own = [e.fill for e in self.executions if e.account == account.name]
            assert account.fees == sum((f.quote_fee for f in own), D(0)) == account.position(self.symbol).fees
            assert all(f.fee >= 0 for f in own)


@pytest.mark.parametrize("instrument", KINDS.values(), ids=KINDS)
@settings(max_examples=120, deadline=None)
@given(seeds)
def test_cash_is_conserved_and_never_negative_and_every_worst_case_is_covered(
    instrument: Instrument, seed: int
) -> None:
    Run(instrument, seed).play(60)


@pytest.mark.parametrize("instrument", KINDS.values(), ids=KINDS)
@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_same_holds_with_synthetic_depth(instrument: Instrument, seed: int) -> None:
    Run(instrument, seed, SyntheticDepth(5, top_notional=D(30))).play(60)


@pytest.mark.parametrize("instrument", [EVENT, CENTS], ids=["exact fees", "rounded fees"])
@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from([D(0), D(1), D("0.4")]))
def test_settlement_pays_each_position_exactly_and_leaves_nothing_open(
    instrument: Instrument, seed: int, value: D
) -> None:
    run = Run(instrument, seed)
    run.play(60)
    accounts = run.engine.accounts
    held = {name: accounts[name].position(run.symbol).quantity for name in ACCOUNTS}
    cash = {name: accounts[name].wallet for name in ACCOUNTS}
    run.executions.extend(run.engine.settle(run.symbol, value, 10_000).executions)
    for name in ACCOUNTS:
        pays = held[name] * value if held[name] > 0 else -held[name] * (1 - value)
        assert accounts[name].wallet == cash[name] + pays
        assert not run.engine.working(name)
        assert not accounts[name].position(run.symbol).quantity
        assert accounts[name].reserved == accounts[name].locked.get(run.symbol, D(0)) == 0
    run.check()


@pytest.mark.parametrize("instrument", [PENNY, CENTS], ids=["coin", "event"])
@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_restored_engine_has_the_same_money_set_aside(instrument: Instrument, seed: int) -> None:
    run = Run(instrument, seed)
    run.play(40)
    old, run.engine = run.engine, MatchingEngine()
    run.engine.list_instrument(instrument)
    pack, market = msgspec.msgpack, old.markets[run.symbol]
    orders = [pack.decode(pack.encode(r), type=type(r)) for name in ACCOUNTS for r in old.orders(name)]
    accounts = [pack.decode(pack.encode(a), type=type(a)) for a in old.accounts.values()]
    run.engine.restore(old.counters(), accounts, orders)
    run.engine.markets[run.symbol].external_quantity = market.external_quantity
    run.engine.markets[run.symbol].external_cash = market.external_cash
    run.check()
    for name in ACCOUNTS:
        assert run.engine.accounts[name].reserved == old.accounts[name].reserved
    run.play(40)
