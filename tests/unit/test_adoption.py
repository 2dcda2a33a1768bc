"""Orders that were placed elsewhere: known while they work, and managed as ours once they are adopted."""

from __future__ import annotations

import json
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Adopted, Filled, OrderChanged, Repaired
from actors.risk.book import Book, order_changed
from actors.risk.book import filled as fold_fill
from bigwheel.books import Books
from bigwheel.client import GatewayClient
from bigwheel.errors import UsageError
from bigwheel.orders import named, working
from bigwheel.reconciliation import VenueBooks, compare
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side
from exchanges.model.venue import CancelOrder, FillReport, OrderReport, QueryOrder
from runtime.lifecycle import Stopping
from runtime.message import Message
from tests.unit.brain_context import SECOND, START_NS, FakeContext, entry_of
from tests.unit.brain_samples import BTC, EXCHANGE
from tests.unit.bus_desk import restarted, started
from tests.unit.exchange_bench import connect, live, make_brain, reconcile, tell
from tests.unit.front_door import bigwheel, refused

HAND = Order(
    "", BTC, Side.BUY, OrderType.LIMIT, D(10), D(90), status=OrderStatus.OPEN, venue_id="v7", updated_ns=START_NS
)  # fmt: skip
NAME = "adopted-v7"


def view(filled: str = "0", status: OrderStatus = OrderStatus.OPEN, **changes: Any) -> Order:
    price = D(90) if D(filled) else D(0)
    return msgspec.structs.replace(HAND, filled=D(filled), average_price=price, status=status, **changes)


def execution(number: int, quantity: str) -> FillReport:
    at = START_NS + number
    return FillReport(
        Fill(f"e{number}", "", "v7", BTC, Side.BUY, D(90), D(quantity), D(0), "USDT", Liquidity.MAKER, at)
    )


def adopt(brain: ExchangeBrain, ctx: FakeContext, target: str = "v7", number: int = 1) -> None:
    ctx.deliver(brain, Control(f"c{number}", "adopt", "me", "mine", target))


def seen(*orders: Order, **changes: Any) -> tuple[ExchangeBrain, FakeContext]:
    """A connection whose account has orders that are not ours."""
    brain, ctx = live(**changes)
    reconcile(brain, ctx, orders=orders or (HAND,))
    ctx.clear()
    return brain, ctx


def foreign(brain: ExchangeBrain) -> list[str]:
    rows: Any = brain.status()["foreign"]
    return [row["venue_id"] for row in rows]


# -- the exchange connection -----------------------------------------------------------------


def test_a_foreign_order_is_known_while_it_works() -> None:
    brain, ctx = live()
    tell(brain, ctx, OrderReport(HAND))
    assert foreign(brain) == ["v7"]
    tell(brain, ctx, OrderReport(view(status=OrderStatus.CANCELLED)))
    assert foreign(brain) == []
    reconcile(brain, ctx, orders=(HAND, view(venue_id="v8")))
    assert foreign(brain) == ["v7", "v8"]
    reconcile(brain, ctx)
    assert foreign(brain) == []


def test_an_adopted_order_is_journaled_and_tracked_without_a_signal() -> None:
    brain, ctx = seen()
    adopt(brain, ctx)
    (adopted,) = ctx.sent(Adopted, "bus")
    assert (adopted.by, adopted.order.client_id, adopted.order.venue_id) == ("me", NAME, "v7")
    (told,) = ctx.sent(OrderChanged, "bus")
    assert (told.signal_id, told.strategy, told.order.client_id) == ("", "", NAME)
    assert ctx.sent(ControlTaken)[-1].detail == "adopted=1 not_traded_here=0"
    assert foreign(brain) == []
    reconcile(brain, ctx, orders=(HAND,))
    assert foreign(brain) == []
    assert not ctx.sent(QueryOrder)


def test_what_fills_after_the_adoption_is_ours_and_what_filled_before_is_not_booked_again() -> None:
    brain, ctx = seen()
    tell(brain, ctx, execution(1, "4"), OrderReport(view("4", OrderStatus.PARTIALLY_FILLED)))
    assert [repaired.what for repaired in ctx.sent(Repaired)] == ["foreign order"]
    adopt(brain, ctx)
    tell(brain, ctx, execution(2, "6"), OrderReport(view("10", OrderStatus.FILLED)))
    (filled,) = ctx.sent(Filled, "bus")
    assert (filled.fill.client_id, filled.fill.quantity, filled.position.quantity) == (NAME, D(6), D(10))
    assert not brain.state.active
    assert brain.state.closed[NAME].status is OrderStatus.FILLED
    assert len(ctx.sent(Repaired)) == 1


def test_a_stop_cancels_an_adopted_order_by_the_venues_id() -> None:
    brain, ctx = seen()
    adopt(brain, ctx)
    ctx.deliver(brain, Stopping("test"))
    assert ctx.sent(CancelOrder) == [CancelOrder(NAME, BTC, "v7")]


def test_a_halt_cancels_an_adopted_order_and_leaves_a_foreign_one() -> None:
    brain, ctx = seen(HAND, view(venue_id="v8"))
    adopt(brain, ctx)
    ctx.deliver(brain, Control("h1", "halt", "me"))
    assert [command.venue_id for command in ctx.sent(CancelOrder)] == ["v7"]


def test_all_are_adopted_that_are_traded_here() -> None:
    elsewhere = view(venue_id="v9", symbol="bybit:XRPUSDT")
    brain, ctx = seen(HAND, view(venue_id="v8", client_id="web-1"), elsewhere)
    adopt(brain, ctx, "*")
    assert [adopted.order.client_id for adopted in ctx.sent(Adopted)] == [NAME, "web-1"]
    assert ctx.sent(ControlTaken)[-1].detail == "adopted=2 not_traded_here=1"
    assert foreign(brain) == ["v9"]


def test_the_same_control_again_and_an_unknown_order_change_nothing() -> None:
    brain, ctx = seen()
    adopt(brain, ctx)
    adopt(brain, ctx)
    adopt(brain, ctx, "v404", 2)
    assert len(ctx.sent(Adopted)) == 1
    assert [taken.detail[:9] for taken in ctx.sent(ControlTaken)] == ["adopted=1", "adopted=0"]


def test_an_adopted_order_is_managed_again_after_a_crash_without_a_snapshot() -> None:
    brain, ctx = seen(view("4", OrderStatus.PARTIALLY_FILLED))
    adopt(brain, ctx)
    events: list[Message] = [*ctx.sent(Adopted), *ctx.sent(OrderChanged), *ctx.sent(ControlTaken)]
    successor = make_brain()
    ctx.epoch += 1
    ctx.clear()
    ctx.start(successor)
    for seq, event in enumerate(events, 1):
        ctx.deliver(successor, entry_of(event, seq), "bus")
    connect(successor, ctx)
    ctx.start(successor, caught_up=len(events))
    tracked = successor.state.active[NAME]
    assert (tracked.executed, tracked.adopted, tracked.called) == (D(4), True, "v7")
    adopt(successor, ctx)
    assert not ctx.sent(Adopted)
    reconcile(successor, ctx)
    assert ctx.sent(QueryOrder)[-1] == QueryOrder(NAME, BTC, "v7")
    tell(successor, ctx, execution(2, "6"), OrderReport(view("10", OrderStatus.FILLED)))
    assert not successor.state.active
    assert ctx.sent(Filled, "bus")[-1].fill.client_id == NAME


# -- those who follow ------------------------------------------------------------------------


def test_the_bus_journals_an_adoption_once_also_after_a_restart() -> None:
    event = Adopted("bybit", msgspec.structs.replace(HAND, client_id=NAME), "me", "c1")
    brain, ctx = started()
    for _ in range(2):
        ctx.deliver(brain, event, EXCHANGE)
    assert ctx.records[0].keys == {"symbol": BTC, "order": NAME}
    again = restarted(brain, ctx)
    ctx.deliver(again, event, EXCHANGE)
    assert len(ctx.events(Adopted)) == 1


def test_risk_counts_an_adopted_order_until_it_has_ended() -> None:
    brain, ctx = seen(view("4", OrderStatus.PARTIALLY_FILLED))
    adopt(brain, ctx)
    book = Book()
    order_changed(book, ctx.sent(OrderChanged)[-1])
    assert book.bounds(BTC).high == 6
    tell(brain, ctx, execution(2, "6"), OrderReport(view("10", OrderStatus.FILLED)))
    fold_fill(book, ctx.sent(Filled)[-1])
    order_changed(book, ctx.sent(OrderChanged)[-1])
    assert book.commitments == {}


def test_the_venues_books_agree_with_a_journal_that_has_an_adopted_order() -> None:
    brain, ctx = seen()
    adopt(brain, ctx)
    tell(brain, ctx, execution(2, "10"), OrderReport(view("10", OrderStatus.FILLED)))
    books = Books()
    for event in (*ctx.sent(OrderChanged), *ctx.sent(Filled)):
        books.apply(entry_of(event, 1))  # type: ignore[arg-type]
    theirs = VenueBooks((view("10", OrderStatus.FILLED),), (execution(2, "10").fill,), {BTC: D(10)}, D(0))
    assert compare(books, "bybit", theirs).differences == ()


# -- the front door --------------------------------------------------------------------------


def overview() -> dict[str, Any]:
    brain, ctx = seen(HAND, view(venue_id="v8", client_id="web-1"))
    adopt(brain, ctx, "v8")
    said = brain.status()
    return {"venues": {"bybit": {"working": said["working"], "foreign": said["foreign"]}}}


def test_working_orders_are_listed_and_those_from_elsewhere_apart() -> None:
    ours, (theirs,) = working(overview()), working(overview(), foreign=True)
    assert [(row.client_id, row.adopted, row.foreign) for row in ours] == [("web-1", True, False)]
    assert (theirs.venue_id, theirs.symbol, theirs.price, theirs.since_ns) == ("v7", BTC, "90", START_NS)


def test_only_a_foreign_order_can_be_named() -> None:
    assert named(overview(), "v7") == "v7"
    assert named(overview(), "*") == "*"
    with pytest.raises(UsageError, match="expected the venue's id of an order that was placed elsewhere, found 'v8'"):
        named(overview(), "v8")
    with pytest.raises(UsageError, match="found none"):
        named({"venues": {"bybit": {"foreign": None}}}, "*")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[tuple[str, ...]]]:
    """A session's folder, and what it is asked to do."""
    asked: list[tuple[str, ...]] = []

    def control(self: GatewayClient, action: str, target: str = "", reason: str = "") -> str:
        asked.append((action, target, reason))
        return "id"

    monkeypatch.setattr(GatewayClient, "status", lambda self: overview())
    monkeypatch.setattr(GatewayClient, "control", control)
    return tmp_path, asked


def test_the_command_line_lists_and_adopts(session: tuple[Path, list[tuple[str, ...]]]) -> None:
    store, asked = session
    (row,) = json.loads(bigwheel("orders", "--foreign", "--json", "--store", store).out)
    assert (row["venue_id"], row["quantity"]) == ("v7", "10")
    table = bigwheel("orders", "--store", store).out
    assert "web-1" in table
    assert "open (adopted)" in table
    assert bigwheel("adopt", "v7", "--reason", "mine", "--store", store).status == 0
    assert bigwheel("adopt", "--all", "--store", store).status == 0
    assert asked == [("adopt", "v7", "mine"), ("adopt", "*", "")]
    assert "found neither" in refused("adopt", "--store", store)
    assert "found both" in refused("adopt", "v7", "--all", "--store", store)
    assert "found 'nothing'" in refused("adopt", "nothing", "--store", store)
    assert len(asked) == 2


def test_a_restored_connection_knows_the_foreign_orders_of_its_own_time_alone() -> None:
    brain, ctx = seen()
    successor = make_brain()
    successor.restore(brain.snapshot())
    ctx.epoch += 1
    ctx.start(successor, restored=True, caught_up=0)
    assert foreign(successor) == []
    connect(successor, ctx)
    ctx.advance(successor, 2 * SECOND)
    reconcile(successor, ctx, orders=(HAND,))
    assert foreign(successor) == ["v7"]
