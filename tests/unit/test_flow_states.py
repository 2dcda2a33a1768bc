"""Every pair of a flow's kind with the state of its last order, and what can happen: the next move, as a table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.exchange.flows import exits
from actors.exchange.flows.entries import next_entry
from actors.exchange.flows.moves import Cancel, End, LegView, Move, Send, StopTerms, View
from actors.exchange.flows.prices import Prices
from actors.exchange.flows.rules import next_move
from actors.exchange.flows.state import FlowState, Stop
from actors.exchange.orders import NEVER_REACHED, UNSENT
from actors.messages.control import TradingState
from actors.messages.signals import ApprovedOrder
from exchanges.model.flow import (
    Bracket,
    Chase,
    Conditional,
    Direction,
    Flow,
    Iceberg,
    Oco,
    Rest,
    Role,
    TrailingStop,
    Trigger,
    Twap,
    lifetime_ns,
    protects,
)
from exchanges.model.order import Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import StopOrders
from tests.unit.brain_context import SECOND, START_NS
from tests.unit.brain_samples import BTC, make_instrument, make_trade

D = Decimal
FLOWS: dict[str, Flow] = {
    "twap": Twap(40 * SECOND, 4),
    "iceberg": Iceberg(D("0.5"), 40 * SECOND),
    "rest": Rest(40 * SECOND),
    "chase": Chase(interval_ns=SECOND, patience_ns=30 * SECOND),
    "conditional": Conditional((Trigger(Direction.ABOVE, D(200)),), lifetime_ns=40 * SECOND),
    "bracket": Bracket(D(120), D(80), lifetime_ns=40 * SECOND),
    "exits": Bracket(D(120), D(80), lifetime_ns=40 * SECOND),
    "oco": Oco(D(120), D(80), lifetime_ns=40 * SECOND),
    "trailing": TrailingStop(D(5), lifetime_ns=40 * SECOND),
}
TABLE = """
               twap    iceberg  rest    chase   conditional  bracket  exits   oco     trailing
none           send    send     send    send    wait         send     send    send    wait
pending        wait    wait     wait    wait    wait         wait     wait    wait    wait
sent           wait    wait     wait    wait    wait         wait     wait    wait    wait
unknown        wait    wait     wait    wait    wait         wait     wait    wait    wait
open           wait    wait     wait    wait    wait         wait     wait    wait    wait
partial        wait    wait     wait    wait    wait         wait     wait    wait    wait
filled         wait    send     end     end     end          end      end     end     end
cancelled      wait    end      end     send    end          end      send    send    wait
part_cancelled wait    end      end     send    end          end      send    send    wait
rejected       wait    end      end     end     end          end      send    send    wait
expired        wait    end      end     send    end          end      send    send    wait
never_reached  wait    send     send    send    send         send     send    send    wait
unsent         wait    send     send    send    send         send     send    send    wait
"""
"""The last order of a flow two seconds after it: what is next."""

ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(row[0], kind, row[1 + place]) for row in ROWS[1:] for place, kind in enumerate(ROWS[0])]
OPEN = ("pending", "sent", "unknown", "open", "partial")
STATUS = {
    "part_cancelled": OrderStatus.CANCELLED,
    "never_reached": OrderStatus.REJECTED,
    "unsent": OrderStatus.REJECTED,
    "partial": OrderStatus.PARTIALLY_FILLED,
}
REASON = {"never_reached": f"{NEVER_REACHED}: asked twice", "unsent": f"{UNSENT} BUS_DOWN: no link"}


def frame_of(flow: Flow) -> ApprovedOrder:
    closes = protects(flow)
    return ApprovedOrder(
        "SIG", "bw-SIG-0-0", "trend", BTC, Side.SELL if closes else Side.BUY, OrderType.LIMIT, D(1),
        None if closes else D(101), TimeInForce.IOC, closes, D(100), START_NS, START_NS + 5 * SECOND, 0, 0, flow,
        START_NS + lifetime_ns(flow),
    )  # fmt: skip


def leg(frame: ApprovedOrder, name: str, role: Role, quantity: Decimal, **changes: Any) -> LegView:
    status = STATUS.get(name) or OrderStatus(name)
    filled = {"filled": quantity, "partial": quantity / 2, "part_cancelled": quantity / 2}.get(name, D(0))
    side = frame.side if role is Role.ENTRY or protects(frame.flow) else frame.side.opposite
    number = {Role.ENTRY: 1, Role.TAKE: 2, Role.STOP: 3}[role]
    order = Order(
        f"bw-SIG-{number}-0", BTC, side, OrderType.LIMIT, quantity, D(100), status=status, filled=filled,
        reason=REASON.get(name, ""),
    )  # fmt: skip
    view = LegView(role, number, 0, order, filled, filled * 100, status.final, "", False, False, START_NS)
    return view._replace(**changes)


def view_of(kind: str, last: str, *, after: int = 2 * SECOND, **changes: Any) -> View:
    flow = FLOWS[kind]
    frame, state = frame_of(flow), FlowState(frame_of(flow), best=D(100))
    prices, legs = Prices(10 * SECOND), []
    prices.take(make_trade(100.0), START_NS + after)
    if kind == "exits":
        state.entered_ns = START_NS
        legs.append(leg(frame, "filled", Role.ENTRY, D(1)))
    if last != "none":
        role = {"exits": Role.TAKE, "oco": Role.TAKE, "trailing": Role.STOP}.get(kind, Role.ENTRY)
        legs.append(leg(frame, last, role, {"twap": D("0.25"), "iceberg": D("0.5")}.get(kind, D(1))))
    view = View(
        state, legs, START_NS + after, prices, make_instrument(), D(1), D(1), TradingState.ACTIVE, SECOND, 20
    )  # fmt: skip
    return view._replace(**changes)


def name_of(move: Move) -> str:
    return type(move).__name__.lower()


def test_the_table_has_every_kind_of_flow_and_every_state_of_an_order() -> None:
    assert set(ROWS[0]) == set(FLOWS)
    assert {STATUS.get(row[0]) or OrderStatus(row[0]) for row in ROWS[2:]} == set(OrderStatus)


@pytest.mark.parametrize(("last", "kind", "expected"), CELLS)
def test_what_follows_the_last_order(last: str, kind: str, expected: str) -> None:
    view = view_of(kind, last)
    assert name_of(next_move(view)) == expected


@pytest.mark.parametrize("why", ["over", "stopped"])
@pytest.mark.parametrize(("last", "kind", "_expected"), CELLS)
def test_a_flow_that_is_over_or_stopped_cancels_what_works_waits_for_it_and_ends(
    last: str, kind: str, _expected: str, why: str
) -> None:
    view = view_of(kind, last, after=41 * SECOND if why == "over" else 2 * SECOND)
    if why == "stopped":
        view.flow.stop = Stop("flow", "WITHDRAWN", "by=test")
    move = next_move(view)
    assert name_of(move) == ("cancel" if last in OPEN else "end")
    if isinstance(move, Cancel):
        legs = [each._replace(cancelling="asked") if not each.final else each for each in view.legs]
        assert name_of(next_move(view._replace(legs=legs))) == "wait"
    if isinstance(move, End) and last != "filled":
        assert move.stop.code in ("WITHDRAWN", "LIFETIME_OVER", "CHASE_OVER")


@pytest.mark.parametrize("kind", ["exits", "oco", "trailing"])
@pytest.mark.parametrize("last", ["none", *[row[0] for row in ROWS[2:]]])
def test_a_stop_that_is_met_first_takes_the_other_exit_away(last: str, kind: str) -> None:
    view = view_of(kind, last)
    exits.watch(view.flow, view.prices, view.now)
    assert not view.flow.fired
    view.prices.take(make_trade(79.0), view.now)
    exits.watch(view.flow, view.prices, view.now)
    assert view.flow.fired
    move = next_move(view)
    if last in OPEN:
        assert name_of(move) == ("wait" if kind == "trailing" else "cancel")
    elif last == "filled":
        assert name_of(move) == "end"
    else:
        assert isinstance(move, Send)
        left = D("0.5") if last == "part_cancelled" else D(1)
        assert (move.role, move.type, move.quantity) == (Role.STOP, OrderType.MARKET, left)


GUARDED = """
                none    open    filled  cancelled
none            send    send    end     send
pending         send    wait    cancel  send
sent            send    wait    cancel  send
unknown         send    wait    cancel  send
open            send    wait    cancel  send
partial         send    cancel  cancel  send
filled          end     cancel  end     end
cancelled       send    send    end     send
part_cancelled  send    cancel  end     send
rejected        send    send    end     send
expired         send    send    end     send
never_reached   send    send    end     send
unsent          send    send    end     send
"""
"""The stop at the venue (rows) and what takes profit beside it (columns), both two seconds old: what is next."""
GUARDED_ROWS = [line.split() for line in GUARDED.strip().splitlines()]
PAIRS = [(row[0], take, row[1 + place]) for row in GUARDED_ROWS[1:] for place, take in enumerate(GUARDED_ROWS[0])]
TERMS = StopTerms(StopOrders(), 2 * SECOND, SECOND, D("0.05"))


def guarded(stop: str, take: str, **changes: Any) -> View:
    """The exits of a bracket at a venue with stop orders."""
    view = view_of("exits", "none", stop_terms=TERMS, **changes)
    for name, role in ((stop, Role.STOP), (take, Role.TAKE)):
        if name != "none":
            made = leg(view.frame, name, role, D(1))
            trigger = Trigger(Direction.BELOW, D(80)) if role is Role.STOP else None
            view.legs.append(made._replace(order=msgspec.structs.replace(made.order, trigger=trigger)))  # type: ignore[attr-defined]
    left = max(D(1) - sum((each.executed for each in view.of(Role.STOP, Role.TAKE)), D(0)), D(0))
    return view._replace(closable=left, reducible=left)


def test_the_table_of_two_exits_has_every_state_of_a_stop() -> None:
    assert [row[0] for row in GUARDED_ROWS[1:]] == [row[0] for row in ROWS[1:]]


@pytest.mark.parametrize(("stop", "take", "expected"), PAIRS)
def test_what_follows_a_stop_at_the_venue_and_what_takes_profit_beside_it(stop: str, take: str, expected: str) -> None:
    move = next_move(guarded(stop, take))
    assert name_of(move) == expected
    if isinstance(move, Send) and stop in ("none", "cancelled", "rejected", "never_reached", "unsent"):
        assert (move.role, move.trigger) == (Role.STOP, Trigger(Direction.BELOW, D(80)))
    elif isinstance(move, Send):
        assert (move.role, move.trigger) == (
            (Role.STOP, Trigger(Direction.BELOW, D(80))) if stop not in OPEN else (Role.TAKE, None)
        )


@pytest.mark.parametrize(("stop", "take", "_expected"), PAIRS)
def test_a_stop_that_is_met_leaves_the_venue_its_time_and_then_goes_from_here(
    stop: str, take: str, _expected: str
) -> None:
    for waited, patient in ((SECOND, True), (3 * SECOND, False)):
        view = guarded(stop, take)
        exits.fire(view.flow, "met", view.now - waited)
        move = next_move(view)
        works = stop in OPEN
        if take == "filled" or stop == "filled":
            assert name_of(move) == ("cancel" if works or take == "open" else "end")
        elif take == "open":
            assert move == Cancel("bw-SIG-2-0", move.reason)  # type: ignore[union-attr]
        elif works:
            assert name_of(move) == ("wait" if patient else "cancel")
        else:
            assert isinstance(move, Send) and (move.type, move.trigger) == (OrderType.MARKET, None)


@pytest.mark.parametrize("stop", OPEN)
def test_a_stop_sent_from_here_keeps_the_other_exit_away_also_when_what_met_it_is_forgotten(stop: str) -> None:
    view = guarded("none", "none")
    view.legs.append(leg(view.frame, stop, Role.STOP, D(1)))  # type: ignore[attr-defined]
    assert name_of(next_move(view)) == "wait"


@pytest.mark.parametrize("stop", [row[0] for row in ROWS[1:]])
def test_while_trading_is_halted_nothing_is_sent_and_a_stop_at_the_venue_is_let_be(stop: str) -> None:
    view = guarded(stop, "none", trading=TradingState.HALTED)
    assert name_of(next_move(view)) == ("end" if stop == "filled" else "wait")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([kind for kind in FLOWS if kind not in ("exits", "oco", "trailing")]),
    st.lists(st.tuples(st.sampled_from([row[0] for row in ROWS[2:]]), st.integers(1, 700)), max_size=4),
    st.integers(0, 45),
)
def test_no_entry_is_ever_larger_than_what_is_left_of_its_approval(
    kind: str, past: list[tuple[str, int]], seconds: int
) -> None:
    frame = frame_of(FLOWS[kind])
    legs = [leg(frame, name, Role.ENTRY, D(lots) / 1000) for name, lots in past]
    view = view_of(kind, "none", after=seconds * SECOND)._replace(legs=legs)
    move = next_entry(view)
    if isinstance(move, Send):
        used = sum((each.executed if each.final else each.order.quantity for each in legs), D(0))
        assert D(0) < move.quantity <= frame.quantity - used
        assert move.quantity % make_instrument().lot == 0
        assert move.price is None or move.price <= D(101)


def test_profit_is_taken_at_its_price_where_no_exit_can_stand_in_the_book() -> None:
    view = view_of("exits", "none")._replace(exits_rest=False)
    assert name_of(next_move(view)) == "wait"
    view.prices.take(make_trade(120.5), view.now)
    move = next_move(view)
    assert isinstance(move, Send)
    assert (move.role, move.price, move.time_in_force) == (Role.TAKE, D(120), TimeInForce.IOC)


def test_an_exit_that_is_refused_again_and_again_is_tried_ever_more_slowly() -> None:
    waits = []
    for failures in range(1, 8):
        view = view_of("trailing", "none")
        view.flow.fired = "met"
        legs = [leg(view.frame, "rejected", Role.STOP, D(1), attempt=n, touched_ns=START_NS) for n in range(failures)]
        sends = [
            second
            for second in range(40)
            if isinstance(next_move(view._replace(legs=legs, now=START_NS + second * SECOND)), Send)
        ]
        waits.append(sends[0])
    assert waits == [1, 2, 4, 8, 16, 32, 32]


def test_an_exit_larger_than_the_venue_takes_goes_in_pieces_without_delay() -> None:
    rules = make_instrument(max_quantity=D("0.4"))
    view = view_of("trailing", "none")._replace(instrument=rules)
    view.flow.fired = "met"
    legs: list[LegView] = []
    for quantity in ("0.4", "0.4", "0.2"):
        move = next_move(view._replace(legs=list(legs)))
        assert isinstance(move, Send)
        assert move.quantity == D(quantity)
        legs.append(leg(view.frame, "filled", Role.STOP, move.quantity, touched_ns=view.now))
