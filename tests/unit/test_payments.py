"""Funding: journaled once whatever crashes, in the books, in risk, in a strategy's share, and told by ``why``."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.orders import Paid
from bigwheel import why
from bigwheel.books import Books
from bigwheel.reconciliation import VenueBooks, compare
from exchanges.model.order import Side
from exchanges.model.position import Position
from exchanges.model.venue import VENUE_PORT, FillReport, PaymentReport, VenuePosition
from runtime.journal.store import LmdbJournal
from runtime.message import Message
from tests.unit.brain_context import SECOND, START_NS, entry_of
from tests.unit.brain_samples import BTC, EXCHANGE, make_filled, make_signal
from tests.unit.bus_desk import restarted, started
from tests.unit.exchange_bench import approve, approved, live, make_brain, reconcile, tell, venue_fill
from tests.unit.risk_desk import Desk
from tests.unit.strategy_session import Buyer, filled
from tests.unit.strategy_session import started as strategy

HELD = Position(BTC, D(2), D(200))


def report(number: int = 1, amount: str = "-0.75", **changes: object) -> PaymentReport:
    made = PaymentReport(f"p{number}", "funding", BTC, D(amount), "USDT", START_NS + number)
    return msgspec.structs.replace(made, **changes)


def paid(number: int = 1, amount: str = "-0.75", position: Position = HELD) -> Paid:
    return Paid("bybit", BTC, "funding", D(amount), "USDT", f"p{number}", START_NS + number, position.pay(D(amount)))


# -- the exchange connection -----------------------------------------------------------------


def test_a_payment_is_reported_once_with_the_position_after_it() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, FillReport(venue_fill(order, "e1", "1")))
    for number in (1, 1, 2, 1):
        tell(brain, ctx, report(number))
    told = ctx.sent(Paid, "bus")
    assert [each.payment_id for each in told] == ["p1", "p2"]
    assert [each.position.payments for each in told] == [D("-0.75"), D("-1.50")]
    assert told[-1].position.net == D("-0.01") - D("1.50")
    assert brain.status()["positions"][BTC]["payments"] == "-1.50"  # type: ignore[index]


def test_what_was_paid_before_the_books_were_opened_is_no_payment_of_ours() -> None:
    brain, ctx = make_brain(), live()[1]
    ctx.start(brain, caught_up=0)
    tell(brain, ctx, report(1))
    reconcile(brain, ctx)
    tell(brain, ctx, report(1), report(2))
    assert [each.payment_id for each in ctx.sent(Paid, "bus")] == ["p2"]


def test_a_payment_on_a_symbol_that_is_not_traded_here_is_counted_only() -> None:
    brain, ctx = live()
    tell(brain, ctx, report(symbol="bybit:XRPUSDT"))
    assert not ctx.sent(Paid)
    assert ctx.counters["exchange.payments_elsewhere"] == 1


def test_a_payment_the_bus_has_not_journaled_is_told_again_by_a_successor() -> None:
    brain, ctx = live()
    tell(brain, ctx, report(1))
    successor = make_brain()
    successor.restore(brain.snapshot())
    ctx.epoch += 1
    ctx.clear()
    ctx.start(successor, restored=True, caught_up=0)
    assert [each.payment_id for each in ctx.sent(Paid, "bus")] == ["p1"]
    ctx.deliver(successor, entry_of(paid(1), 1))
    tell(successor, ctx, report(1))
    assert len(ctx.sent(Paid, "bus")) == 1
    assert not successor.state.unconfirmed


def test_a_repair_of_the_position_keeps_what_was_paid_for_it() -> None:
    brain, ctx = live()
    tell(brain, ctx, report(1))
    for _ in range(2):
        ctx.advance(brain, 40 * SECOND)
        reconcile(brain, ctx, positions=(VenuePosition(BTC, D(1), D(100)),))
    assert (brain.state.positions[BTC].quantity, brain.state.positions[BTC].payments) == (D(1), D("-0.75"))


# -- the bus ---------------------------------------------------------------------------------


def test_the_bus_journals_a_payment_once_also_after_a_restart() -> None:
    brain, ctx = started()
    for message in (paid(1), paid(1), paid(2)):
        ctx.deliver(brain, message, EXCHANGE)
    assert [event.payment_id for event in ctx.events(Paid)] == ["p1", "p2"]
    assert ctx.records[0].keys["symbol"] == BTC
    again = restarted(brain, ctx)
    ctx.deliver(again, paid(2), EXCHANGE)
    ctx.deliver(again, paid(3), "exchange/kalshi")
    assert len(ctx.events(Paid)) == 2
    assert again.status()["violations"] == 1


# -- risk and strategies ---------------------------------------------------------------------


def test_funding_counts_for_the_loss_of_the_day() -> None:
    desk = Desk()
    desk.hold("2")
    before = desk.brain._state.book.loss()
    desk.entry(paid(1, "-7", desk.brain._state.book.position(BTC)))
    assert desk.brain._state.book.loss() - before == 7


@given(parts=st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=4), amount=st.integers(-100, 100))
def test_the_shares_of_all_strategies_add_up_to_what_was_paid(parts: list[int], amount: int) -> None:
    whole = Position(BTC, D(sum(parts)), D(sum(parts)) * 100)
    shares = D(0)
    for number, part in enumerate(parts):
        brain, ctx = strategy(Buyer)
        ctx.deliver(brain, filled(1 + number, Side.BUY if part > 0 else Side.SELL, str(abs(part))))
        ctx.deliver(brain, entry_of(paid(1, str(amount), whole), 100))
        shares += brain.desk.position.payments
    assert abs(shares - (amount if whole.quantity else 0)) < D("1e-20")


# -- the front door --------------------------------------------------------------------------


def books_of(*events: Message) -> Books:
    books = Books()
    for seq, event in enumerate(events, 1):
        books.apply(entry_of(event, seq))  # type: ignore[arg-type]
    return books


def test_cash_is_the_deposit_with_realised_profit_less_fees_and_with_payments() -> None:
    buy, sell = make_signal(1), make_signal(2, side=Side.SELL)
    bought = make_filled(buy, "e1", "2", "100", fee="0.11")
    sold = make_filled(sell, "e2", "1", "103", position=bought.position, fee="0.06")
    books = books_of(bought, paid(1, "-0.75"), sold, paid(2, "0.25"), paid(2, "0.25"))
    assert books.realized == D("3") - D("0.17") - D("0.5")
    assert books.positions[BTC].payments == D("-0.5")
    fills, held = (bought.fill, sold.fill), {BTC: D(1)}
    theirs = VenueBooks((), fills, held, D("1002.33"), D(1000))
    assert compare(books, "bybit", theirs).differences == ()
    wrong = compare(books, "bybit", msgspec.structs.replace(theirs, cash=D("1002.83")))
    assert wrong.differences == ("cash: the journal makes 1002.33 of the deposit, the venue has 1002.83",)
    assert not wrong.reconciled


def test_what_is_paid_for_is_off_the_cash_with_its_cost() -> None:
    bought = make_filled(make_signal(1), "e1", "2", "100", fee="0.2")
    theirs = VenueBooks((), (bought.fill,), {BTC: D(2)}, D("799.8"), D(1000), frozenset({BTC}))
    assert compare(books_of(bought), "bybit", theirs).reconciled


@pytest.fixture
def journal(tmp_path: Path) -> LmdbJournal:
    journal = LmdbJournal(str(tmp_path / "journal"), epoch=1)
    signal, other = make_signal(1), make_signal(2, side=Side.SELL)
    bought = make_filled(signal, "e1", "2")
    sold = make_filled(other, "e2", "2", position=bought.position)
    events = (bought, paid(1), paid(2, "0.25"), sold, paid(3, "9"))
    for seq, event in enumerate(events, 1):
        keys = {"symbol": BTC}
        if event in (bought, sold):
            keys["signal"] = event.signal_id  # type: ignore[union-attr]
        journal.append(event, ts=START_NS + seq, source=EXCHANGE, epoch=1, keys=keys, correlation="", causation=0)
    journal.commit()
    return journal


def test_why_tells_what_was_paid_for_the_position_while_it_was_held(journal: LmdbJournal) -> None:
    told = "\n".join(why.explain(journal, make_signal(1).id))
    assert "funding paid, 0.75 USDT on a position of 2" in told
    assert "funding received, 0.25 USDT on a position of 2" in told
    assert "9 USDT" not in told
    assert "funding" not in "\n".join(why.explain(journal, make_signal(2).id))
    journal.close()


def test_an_exchange_connection_passes_over_payments_that_come_before_it_has_caught_up() -> None:
    brain, ctx = make_brain(), live()[1]
    ctx.start(brain)
    ctx.deliver(brain, report(), VENUE_PORT)
    assert ctx.counters["exchange.reports_early"] == 1
    assert not brain.state.payments
