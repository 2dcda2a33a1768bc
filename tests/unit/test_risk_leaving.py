"""A strategy leaves its own position although others hold the other side of the account's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.messages.control import Control, TradingStateChanged
from actors.messages.orders import FlowEnded, OrderChanged, Repaired
from actors.messages.signals import Approved, ApprovedOrder, Expired, Verdict
from actors.risk.settings import Liquidity
from exchanges.model.flow import TrailingStop
from exchanges.model.instrument import ContractKind
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Position
from runtime import codec
from runtime.lifecycle import CaughtUp
from tests.unit.brain_samples import BTC, EXCHANGE, make_exchange_state, make_filled, make_instrument, make_order
from tests.unit.risk_desk import Desk, code

D = Decimal


class Shared(Desk):
    """Strategies that trade one symbol; the account's position is the sum of theirs."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.net = Position(BTC)
        self.count = 100

    def fills(self, strategy: str, quantity: str) -> None:
        """A fill of a strategy's own order, or with an empty name of nobody's."""
        self.count += 1
        side = Side.BUY if D(quantity) > 0 else Side.SELL
        signal = self.signal(self.count, side=side, strategy=strategy or "nobody")
        event = make_filled(signal, f"e{self.count}", str(abs(D(quantity))), position=self.net)
        self.net = event.position
        self.entry(msgspec.structs.replace(event, strategy=strategy))

    def leaves(self, strategy: str = "long", side: Side = Side.SELL, **changes: Any) -> Verdict:
        """The word on an exit of a strategy."""
        self.count += 1
        return self.ask(self.signal(self.count, side=side, strategy=strategy, reduce_only=True, **changes))

    def takes(self, verdict: Verdict) -> ApprovedOrder:
        """The approval, journaled."""
        order = verdict.order
        assert order is not None, verdict.code
        self.entry(Approved(order.signal_id, order.strategy, order.symbol, order, verdict.steps))
        return order

    def executes(self, order: ApprovedOrder) -> None:
        """All of an order fills."""
        signal = msgspec.structs.replace(
            self.signal(0, side=order.side, strategy=order.strategy), id=order.signal_id, symbol=order.symbol
        )
        self.count += 1
        event = make_filled(signal, f"e{self.count}", str(order.quantity), position=self.net)
        self.net = event.position
        self.entry(event)

    def switch(self, action: str) -> None:
        self.ctx.deliver(self.brain, Control(f"{action}-{self.count}", action, "ops"), "gateway")
        for change in self.ctx.sent(TradingStateChanged):
            self.entry(change)


def opposed(long: str = "1", short: str = "-2", **changes: Any) -> Shared:
    """One strategy is long, another short of more."""
    desk = Shared(**changes)
    desk.fills("long", long)
    desk.fills("short", short)
    return desk


def test_an_exit_passes_as_a_plain_order_where_the_accounts_position_is_on_the_other_side() -> None:
    desk = opposed()
    order = desk.leaves(quantity=D(1)).order
    assert order is not None
    assert (order.quantity, order.reduce_only, order.closes) == (D(1), False, True)
    assert order.time_in_force is TimeInForce.IOC and order.flow is None
    assert codec.decode(codec.encode(order)) == order


def test_what_it_closes_is_never_more_than_its_own() -> None:
    order = opposed().leaves(quantity=D(5)).order
    assert order is not None and order.quantity == D(1)
    order = opposed().leaves().order
    assert order is not None and (order.quantity, order.closes) == (D(1), True)


def test_an_exit_that_is_out_leaves_nothing_for_another_one() -> None:
    desk = opposed()
    order = desk.takes(desk.leaves())
    assert code(desk.leaves()) == "NOTHING_TO_REDUCE"
    desk.executes(order)
    assert desk.net.quantity == D(-2) and code(desk.leaves()) == "NOTHING_TO_REDUCE"
    # Who is left closes the account's position with an order that can only reduce it.
    last = desk.leaves("short", Side.BUY).order
    assert last is not None and (last.quantity, last.reduce_only, last.closes) == (D(2), True, False)


def test_an_exit_granted_and_not_yet_journaled_counts_as_out() -> None:
    desk = opposed()
    assert desk.leaves().order is not None
    assert code(desk.leaves()) == "NOTHING_TO_REDUCE"


def test_holdings_that_offset_each_other_are_remembered() -> None:
    desk = opposed("1", "-1")
    assert not desk.net.quantity
    desk.executes(desk.takes(desk.leaves()))
    assert desk.net.quantity == D(-1)
    order = desk.leaves("short", Side.BUY).order
    assert order is not None and (order.quantity, order.reduce_only) == (D(1), True)


def test_an_exit_takes_the_accounts_position_through_zero_in_one_order() -> None:
    order = opposed("3", "-2").leaves().order
    assert order is not None and (order.quantity, order.reduce_only, order.closes) == (D(3), False, True)


def test_an_exit_that_lowers_the_accounts_position_is_reduce_only_as_ever() -> None:
    desk = Shared()
    desk.fills("long", "3")
    desk.fills("short", "-1")
    order = desk.leaves(quantity=D(2)).order
    assert order is not None and (order.quantity, order.reduce_only, order.closes) == (D(2), True, False)


@pytest.mark.parametrize(("action", "denied"), [("reduce", "NOTHING_TO_REDUCE"), ("halt", "TRADING_HALTED")])
def test_nothing_passes_that_would_add_to_the_account_unless_trading_is_active(action: str, denied: str) -> None:
    desk = opposed()
    desk.switch(action)
    assert code(desk.leaves()) == denied
    if action == "reduce":
        # What lowers the account's position passes, whosoever it is.
        order = desk.leaves("short", Side.BUY).order
        assert order is not None and (order.quantity, order.reduce_only) == (D(1), True)


# -- the limits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "denied"),
    [
        ({"symbol_notional": D(450)}, "EXPOSURE_LIMIT_SYMBOL"),
        ({"total_notional": D(450), "correlated_share": D(1)}, "EXPOSURE_LIMIT_TOTAL"),
        ({"venue_notional": D(450)}, "EXPOSURE_LIMIT_VENUE"),
        ({"correlated_share": D("0.03")}, "EXPOSURE_LIMIT_CORRELATED"),
        ({"category_share": D("0.03")}, "EXPOSURE_LIMIT_CATEGORY"),
        ({"leverage": D("0.045")}, "MARGIN"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_it_makes_of_the_account_is_within_every_limit_on_exposure(limits: dict[str, Any], denied: str) -> None:
    assert code(opposed("3", "-5", **limits).leaves()) == denied
    assert opposed("3", "-4", **limits).leaves().order is not None


def test_one_that_may_not_leave_with_all_leaves_with_what_lowers_the_account() -> None:
    desk = opposed("5", "-4", symbol_notional=D(350), order_notional=D(350))
    order = desk.leaves().order
    assert order is not None and (order.quantity, order.reduce_only, order.closes) == (D(1), True, False)
    assert code(desk.leaves(quantity=D(1))) == "", "a smaller part is within the limit"
    assert code(desk.leaves(quantity=D(5))) == "EXPOSURE_LIMIT_SYMBOL"


def test_what_guards_entries_does_not_hold_it_back() -> None:
    desk = opposed(
        order_notional=D(50), daily_budget=D(1), cooldown_ns=10**12, shares={"long": D("0.001")}, loss_streak=1,
        base_threshold=0.99, liquidity=Liquidity(max_spread_bps=1.0),
    )  # fmt: skip
    order = desk.leaves(conviction=0.01).order
    assert order is not None and order.closes


def test_it_is_no_entry_for_budget_and_cooldown() -> None:
    desk = opposed(cooldown_ns=10**12, daily_budget=D(1_000))
    before = desk.brain._state.account.spent
    desk.takes(desk.leaves())
    assert desk.brain._state.account.spent == before
    assert not desk.brain._state.entries


def test_no_loss_that_stops_new_exposure_is_added_to() -> None:
    desk = opposed(daily_loss=D(10))
    desk.refresh(111.0)
    assert code(desk.leaves()) == "DAILY_LOSS"
    assert desk.leaves("short", Side.BUY).order is not None


def test_an_order_of_unknown_outcome_holds_it_back() -> None:
    desk = opposed()
    other = desk.signal(7, strategy="third", quantity=D(1))
    desk.approve(other)
    desk.entry(OrderChanged(other.id, "third", make_order(other, OrderStatus.UNKNOWN, quantity="1")))
    assert code(desk.leaves()) == "ORDER_UNKNOWN"


def test_stale_data_hold_it_back() -> None:
    desk = opposed()
    desk.ctx.now += 6_000_000_000
    assert code(desk.leaves()) == "MARKET_DATA_STALE"


# -- whose it is -----------------------------------------------------------------------------


def test_what_somebody_else_has_taken_off_the_account_is_no_strategys_to_close() -> None:
    desk = opposed()
    desk.fills("", "-0.4")
    order = desk.leaves().order
    assert order is not None and order.quantity == D("0.6")
    desk.fills("", "-0.6")
    assert code(desk.leaves()) == "NOTHING_TO_REDUCE"


def test_a_position_that_nobody_ordered_on_its_own_side_is_not_for_it_to_sell() -> None:
    desk = opposed()
    desk.fills("", "0.5")
    order = desk.leaves(quantity=D(3)).order
    assert order is not None and order.quantity == D(1)


def test_when_the_account_was_made_flat_from_outside_nobody_holds_anything() -> None:
    desk = opposed()
    desk.fills("", "1")
    assert not desk.net.quantity
    assert code(desk.leaves()) == "NOTHING_TO_REDUCE" == code(desk.leaves("short", Side.BUY))


def test_a_repair_that_moves_no_position_leaves_holdings_that_offset_each_other() -> None:
    desk = opposed("1", "-1")
    desk.entry(Repaired("bybit", BTC, "order taken for dead", "", "", "none", "1.1"))
    assert desk.leaves().order is not None
    desk.entry(Repaired("bybit", BTC, "position", "0", "0", "the venue", "1.2", position=desk.net))
    assert code(desk.leaves("short", Side.BUY)) == "NOTHING_TO_REDUCE"


def test_a_holding_that_no_other_offsets_ends_when_the_account_is_flat() -> None:
    desk = Shared()
    desk.fills("long", "2")
    desk.fills("", "-1")
    desk.fills("other", "-1")
    desk.fills("other", "1")
    desk.fills("other", "-1")
    assert not desk.net.quantity and code(desk.leaves()) == "NOTHING_TO_REDUCE"


def test_who_holds_nothing_leaves_nothing() -> None:
    assert code(opposed().leaves("third")) == "NOTHING_TO_REDUCE"
    assert code(opposed().leaves("long", Side.BUY, quantity=D(2))) == ""  # as ever: it lowers the account's position


def test_with_a_flow_of_its_own_under_way_its_exits_are_the_flows() -> None:
    desk = Shared()
    desk.fills("long", "1")
    stop = desk.leaves(quantity=D(1), flow=TrailingStop(distance=D(5)))
    frame = desk.takes(stop)
    desk.fills("short", "-2")
    assert code(desk.leaves()) == "NOTHING_TO_REDUCE"
    desk.entry(FlowEnded(frame.signal_id, "long", BTC, D(0), D(0), "flow", "WITHDRAWN", "by=it", False))
    desk.entry(Expired(frame.signal_id, "long", BTC, "withdrawn"))
    assert desk.leaves().order is not None
    assert not desk.brain._state.book.owners


def test_an_exit_that_is_a_flow_waits_for_the_accounts_position() -> None:
    assert code(opposed().leaves(flow=TrailingStop(distance=D(5)), quantity=D(1))) == "NOTHING_TO_REDUCE"


def test_where_nothing_can_be_sold_short_nothing_is_sold_that_is_not_there() -> None:
    desk = opposed()
    spot = make_instrument(BTC, kind=ContractKind.EQUITY, short=False)
    desk.ctx.deliver(desk.brain, make_exchange_state(instruments=(spot,)), EXCHANGE)
    assert code(desk.leaves()) == "NOTHING_TO_REDUCE"


def test_a_restarted_supervisor_says_the_same() -> None:
    desk = opposed("1", "-1")
    desk.restart(desk.brain.snapshot())
    desk.ctx.deliver(desk.brain, CaughtUp(desk.seq))
    desk.refresh()
    order = desk.leaves().order
    assert order is not None and (order.quantity, order.closes) == (D(1), True)


def test_its_order_is_of_the_type_that_is_configured() -> None:
    order = opposed(order_type=OrderType.MARKET).leaves().order
    assert order is not None and (order.type, order.price) == (OrderType.MARKET, None)
