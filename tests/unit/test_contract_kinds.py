"""What is special about contracts that pay all or nothing, and about what can't be sold short."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.learner.outcomes import by_last_price
from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState
from actors.messages.orders import ExchangeState, Filled, Repaired
from actors.risk.book import Bounds
from exchanges.model.instrument import ContractKind, FeeModel, Instrument, PriceStep
from exchanges.model.order import Fill, Liquidity, Side
from exchanges.model.position import Balance, Position
from exchanges.model.venue import FillReport, InstrumentsReport, VenueState
from runtime.message import Message
from tests.unit.brain_samples import BTC, ETH, make_exchange_state, make_instrument, make_trade
from tests.unit.exchange_bench import live, tell
from tests.unit.risk_desk import Desk, code

D = Decimal
CENTS = st.integers(1, 99).map(lambda cents: D(cents) / 100)
AMOUNTS = st.integers(0, 500).map(D)


def event(symbol: str = BTC, **changes: object) -> Instrument:
    base = {
        "kind": ContractKind.BINARY_EVENT,
        "tick": D("0.01"),
        "lot": D(1),
        "min_quantity": D(1),
        "min_notional": D(0),
        "max_quantity": D(100_000),
    }
    return msgspec.structs.replace(make_instrument(symbol), **{**base, **changes})


class EventDesk(Desk):
    """A risk brain whose first symbol is a binary event at 45 cents."""

    traded = event()

    def refresh(self, price: float = 0.45) -> None:
        for symbol in (BTC, ETH):
            self.ctx.deliver(self.brain, make_trade(price, symbol=symbol, ts=self.ctx.now), "exchange/bybit")
        state = make_exchange_state(instruments=(self.traded, make_instrument(ETH)))
        self.ctx.deliver(self.brain, state, "exchange/bybit")


def test_a_sold_event_contract_is_sized_on_what_it_can_lose() -> None:
    desk = EventDesk(equity_fraction=D("0.01"), order_notional=D(1_000))
    bought = desk.ask(desk.signal(1, side=Side.BUY)).order
    sold = desk.ask(desk.signal(2, side=Side.SELL)).order
    assert bought is not None and sold is not None
    assert (bought.quantity, sold.quantity) == (D(222), D(182))  # 100 / 0.45 and 100 / 0.55


def test_the_symbol_limit_counts_the_stake_of_a_sold_event_contract_not_its_price() -> None:
    desk = EventDesk(symbol_notional=D(60), order_notional=D(1_000))
    desk.refresh(0.05)
    verdict = desk.ask(desk.signal(1, side=Side.SELL, quantity=D(100)))
    assert code(verdict) == "EXPOSURE_LIMIT_SYMBOL"
    assert desk.ask(desk.signal(2, side=Side.BUY, quantity=D(100))).order is not None


def test_a_price_of_an_event_contract_stays_between_nothing_and_its_value() -> None:
    desk = EventDesk()
    desk.refresh(0.99)
    order = desk.ask(desk.signal(1, side=Side.BUY)).order
    assert order is not None and order.price is not None and order.price <= D("0.99")


def test_what_can_not_be_sold_short_is_sold_only_as_far_as_it_is_held() -> None:
    class StockDesk(EventDesk):
        traded = msgspec.structs.replace(make_instrument(BTC), kind=ContractKind.EQUITY, short=False)

    desk = StockDesk()
    desk.refresh(100.0)
    assert code(desk.ask(desk.signal(1, side=Side.SELL))) == "SHORT_NOT_ALLOWED"
    desk.hold("3")
    order = desk.ask(desk.signal(2, side=Side.SELL, quantity=D(5))).order
    assert order is not None and (order.quantity, order.reduce_only) == (D(3), True)


@given(AMOUNTS, AMOUNTS, CENTS, CENTS)
def test_the_stake_of_a_binary_position_covers_every_outcome(
    short: Decimal, long: Decimal, a: Decimal, b: Decimal
) -> None:
    stake = Bounds(-short, long).stake(max(a, b), min(a, b), D(1))
    for price in (a, b):
        for held in (-short, long):
            for outcome in (D(0), D(1)):
                assert held * (outcome - price) >= -stake


def settle(price: str) -> Fill:
    return Fill("settlement-X", "", "", BTC, Side.SELL, D(price), D(10), D(0), "USD", Liquidity.TAKER, 10**19)


@pytest.mark.parametrize("pushed", [True, False])
def test_a_settlement_is_booked_as_a_fill_of_nobodys_order_once(pushed: bool) -> None:
    brain, ctx = live()
    brain.state.positions[BTC] = Position(BTC, D(10), D("4.5"))
    brain.state.baselines[BTC] = 1
    fill = settle("1")
    report: Message = FillReport(fill) if pushed else VenueState(True, ctx.now, fills=(fill,))
    tell(brain, ctx, report, FillReport(fill))
    told = ctx.sent(Filled, "bus")
    assert [(each.signal_id, each.strategy, each.position.quantity) for each in told] == [("", "", D(0))]
    assert told[0].position.realized == D("5.5")
    assert not [each for each in ctx.sent(Repaired, "bus") if each.symbol == BTC]


def test_the_equity_of_an_event_position_is_what_it_would_bring_now() -> None:
    brain, ctx = live()
    tell(brain, ctx, InstrumentsReport((event(), make_instrument(ETH))))
    brain.state.balances["USDT"] = Balance("USDT", D(1_000), D(1_000))
    brain.state.positions[BTC] = Position(BTC, D(-10), D("-4.5"))
    tell(brain, ctx, make_trade(0.4))
    ctx.clear()
    brain.state.told_ns = 0
    ctx.advance(brain, 2_000_000_000)
    assert ctx.sent(ExchangeState, "risk")[-1].equity == 1_006


def test_the_fee_of_an_event_contract_is_greatest_in_the_middle_and_rounded_up() -> None:
    traded = event(fee_model=FeeModel.QUADRATIC, taker_fee=D("0.07"), maker_fee=D(0), fee_step=D("0.01"))
    assert traded.fee(D("0.50"), D(100), Liquidity.TAKER) == D("1.75")
    assert traded.fee(D("0.05"), D(1), Liquidity.TAKER) == D("0.01")
    assert traded.fee(D("0.50"), D(100), Liquidity.MAKER) == 0


def test_a_price_is_rounded_on_the_step_in_force_at_it() -> None:
    traded = event(
        price_steps=(PriceStep(D(0), D("0.001")), PriceStep(D("0.1"), D("0.01")), PriceStep(D("0.9"), D("0.001")))
    )
    assert traded.round_price(D("0.0456"), Side.BUY) == D("0.045")
    assert traded.round_price(D("0.4567"), Side.SELL) == D("0.46")
    assert traded.fault(D(1), D("0.455")).startswith("PRICE_STEP")
    assert traded.fault(D(1), D("0.955")) == ""


@pytest.mark.parametrize(("side", "stake"), [(Side.BUY, 0.2), (Side.SELL, 0.8)])
def test_a_lesson_of_an_event_contract_is_reckoned_on_what_was_at_stake(side: Side, stake: float) -> None:
    state = LearnerState(fees={BTC: 0.07}, contracts={BTC: 1.0})
    followed = Followed("trend", BTC, side, 0, 0.2, "EXECUTED")
    lesson = by_last_price(state, LearnerSettings(symbols=(BTC,)), "x", followed, "")
    assert lesson.value == pytest.approx(-2 * 0.07 * 0.2 * 0.8 / stake)
