"""The symbol strategy's brain: market data in, signals out."""

from __future__ import annotations

from decimal import Decimal

from actors.messages.orders import Watch, Watching
from actors.messages.signals import Approved, ApprovedOrder, Blocked, Expired, Generated
from actors.strategy.brain import KINDS, StrategyBrain
from exchanges.model.market import Bar, Book, Quote, Trade
from exchanges.model.order import OrderType, Side, TimeInForce
from runtime.behavior import Behavior
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, PeerUp, Started
from strategies.signal import signal_id
from strategies.strategy import Strategy
from tests.unit.brain_context import START_NS, FakeContext, entry_of
from tests.unit.strategy_session import (
    LABEL,
    SYMBOL,
    Buyer,
    Diary,
    answered,
    context,
    emitted,
    feed,
    make,
    pages,
    started,
    trade,
)

SECOND = 1_000_000_000


# -- market data and signals -------------------------------------------------------


def test_the_brain_is_a_behavior() -> None:
    assert isinstance(make(Buyer), Behavior)


def test_a_signal_says_what_it_came_from() -> None:
    brain, ctx = started(Buyer)
    feed(brain, ctx, [trade(7, 101.5)])
    (signal,) = emitted(ctx)
    assert signal.id == signal_id(LABEL, SYMBOL, f"{SYMBOL}@1.7", 0)
    assert (signal.strategy, signal.symbol, signal.side, signal.reason) == (LABEL, SYMBOL, Side.BUY, "because")
    assert (signal.cause.tick_id, signal.cause.kind, signal.cause.price) == (f"{SYMBOL}@1.7", "Trade", 101.5)
    assert signal.cause.recv_ns == signal.created_ns == START_NS + 7_000_000
    assert signal.features == {"price": 101.5}


def test_signals_of_one_tick_have_ids_of_their_own() -> None:
    brain, ctx = started(Buyer, {"times": 3})
    feed(brain, ctx, [trade(1), trade(2)])
    ids = [signal.id for signal in emitted(ctx)]
    assert ids == [signal_id(LABEL, SYMBOL, f"{SYMBOL}@1.{seq}", ordinal) for seq in (1, 2) for ordinal in (0, 1, 2)]


def test_data_seen_before_is_ignored_and_counted_and_a_gap_is_counted_as_lost() -> None:
    brain, ctx = started(Diary)
    feed(brain, ctx, [trade(1), trade(2), trade(2), trade(1), trade(6), trade(1, epoch=2), trade(7)])
    assert [page[2] for page in pages(brain) if page[0] == "tick"] == [1, 2, 6, 1]
    assert brain.counts["duplicates"] == ctx.counters["strategy.duplicates"] == 3
    assert brain.counts["lost"] == 3


def test_a_strategy_that_asked_for_some_kinds_alone_does_not_take_the_others_for_lost() -> None:
    brain, ctx = started(Buyer)
    feed(brain, ctx, [trade(1), trade(9)])
    assert brain.watched == ("Trade",)
    assert brain.counts["lost"] == 0


def test_data_of_another_symbol_never_reaches_the_strategy() -> None:
    brain, ctx = started(Diary)
    feed(brain, ctx, [trade(1, symbol="bybit:ETHUSDT")])
    assert pages(brain) == ["start"]
    assert brain.counts["foreign"] == 1


def test_each_kind_of_data_reaches_its_hooks_and_an_open_bar_only_the_general_one() -> None:
    brain, ctx = started(Diary)
    head = (SYMBOL, 1)
    feed(
        brain,
        ctx,
        [
            Trade(*head, 1, 1, 1, 100.0, 1.0, "buy"),
            Quote(*head, 2, 1, 1, 99.0, 1.0, 101.0, 1.0),
            Book(*head, 3, 1, 1, ((99.0, 1.0),), ((101.0, 1.0),)),
            Bar(*head, 4, 1, 1, 1.0, 2.0, 0.5, 1.5, 9.0, SECOND, False),
            Bar(*head, 5, 1, 1, 1.0, 2.0, 0.5, 1.5, 9.0, SECOND, True),
        ],
    )
    assert [page for page in pages(brain)[1:] if page[0] != "tick"] == [
        ("trade", 1),
        ("quote", 2),
        ("book", 3),
        ("bar", 5),
    ]
    assert [page[1] for page in pages(brain)[1:] if page[0] == "tick"] == ["Trade", "Quote", "Book", "Bar", "Bar"]


def test_data_that_waited_makes_its_signal_expire_the_sooner() -> None:
    brain, ctx = started(Buyer, ttl_ns=10 * SECOND)
    answered(brain, ctx)
    ctx.now = START_NS + 4 * SECOND + 1_000_000
    ctx.deliver(brain, trade(1))
    ctx.now = START_NS + 60 * SECOND
    ctx.deliver(brain, trade(2))
    assert [signal.ttl_ns for signal in emitted(ctx)] == [6 * SECOND, 1]


def test_no_signal_lives_longer_than_the_longest_life_allowed() -> None:
    brain, ctx = started(Buyer, ttl_ns=10 * SECOND, max_ttl_ns=4 * SECOND)
    feed(brain, ctx, [trade(1)])
    assert [signal.ttl_ns for signal in emitted(ctx)] == [4 * SECOND]
    assert brain.counts["ttl_capped"] == 1


# -- watching, starting ------------------------------------------------------------


def test_it_asks_for_market_data_when_it_starts_and_when_the_exchange_comes_back() -> None:
    brain, ctx = started(Buyer, delivery=Delivery.ALL)
    ctx.deliver(brain, PeerUp("exchange/bybit", 4), "exchange/bybit")
    feed(brain, ctx, [trade(3)])
    ctx.deliver(brain, PeerUp("exchange/bybit", 5), "exchange/bybit")
    first, second, third = ctx.sent(Watch, "exchange/bybit")
    assert first == Watch((SYMBOL,), ("Trade",), Delivery.ALL, {}, first.ticket)
    assert second == Watch((SYMBOL,), ("Trade",), Delivery.ALL, {}, first.ticket + 1)
    assert third.after == {SYMBOL: (1, 3)}


def test_a_strategy_with_a_general_hook_watches_everything() -> None:
    _, ctx = started(Diary)
    assert ctx.sent(Watch)[0].kinds == ()


def test_a_restarted_strategy_asks_for_what_it_missed() -> None:
    brain, ctx = started(Buyer)
    feed(brain, ctx, [trade(1), trade(2)])
    successor = make(Buyer)
    successor.restore(brain.snapshot())
    ctx = context(2)
    ctx.start(successor, restored=True, caught_up=0)
    assert ctx.sent(Watch)[0].after == {SYMBOL: (1, 2)}


def restarted(brain: StrategyBrain, owner: type[Strategy]) -> tuple[StrategyBrain, FakeContext]:
    successor, ctx = make(owner), context(2)
    successor.restore(brain.snapshot())
    ctx.start(successor, restored=True, caught_up=0)
    return successor, ctx


def ticks(brain: StrategyBrain) -> list[int]:
    return [page[2] for page in pages(brain) if page[0] == "tick"]


def test_nothing_is_decided_before_the_journal_has_been_replayed() -> None:
    brain, ctx = make(Buyer), context()
    ctx.deliver(brain, Started(1, False))
    ctx.deliver(brain, PeerUp("exchange/bybit", 1), "exchange/bybit")
    feed(brain, ctx, [trade(1), trade(2)])
    assert (emitted(ctx), ctx.sent(Watch), brain.counts["early"]) == ([], [], 2)
    ctx.deliver(brain, CaughtUp(0), "bus")
    feed(brain, ctx, [trade(3)])
    assert len(emitted(ctx)) == len(ctx.sent(Watch)) == 1


def test_after_a_restart_data_of_the_old_subscription_is_passed_over_until_the_answer_begins() -> None:
    brain, ctx = started(Diary)
    feed(brain, ctx, [trade(1), trade(2)])
    successor, ctx = restarted(brain, Diary)
    for late in (trade(8), trade(9)):
        ctx.deliver(successor, late, "exchange/bybit")
    assert ticks(successor) == [1, 2]
    feed(successor, ctx, [trade(seq) for seq in (3, 4, 8, 9, 10)])
    assert ticks(successor) == [1, 2, 3, 4, 8, 9, 10]


def test_the_answer_to_an_earlier_request_does_not_begin_the_data() -> None:
    brain, ctx = started(Diary)
    feed(brain, ctx, [trade(1)])
    ctx.deliver(brain, PeerUp("exchange/bybit", 2), "exchange/bybit")
    first, second = ctx.sent(Watch)[-2:]
    assert first.ticket < second.ticket
    ctx.deliver(brain, Watching(first.ticket), "exchange/bybit")
    ctx.deliver(brain, trade(1, epoch=2), "exchange/bybit")
    assert ticks(brain) == [1]
    feed(brain, ctx, [trade(1, epoch=2)])
    assert ticks(brain) == [1, 1]


# -- signals until they are journaled ----------------------------------------------


def test_a_signal_is_sent_again_to_a_new_bus_until_it_is_journaled() -> None:
    brain, ctx = started(Buyer)
    feed(brain, ctx, [trade(1), trade(2)])
    one, two = emitted(ctx)
    ctx.clear()
    ctx.deliver(brain, entry_of(Generated(one.id, LABEL, SYMBOL, one), 1), "bus")
    ctx.deliver(brain, PeerUp("bus", 2), "bus")
    assert emitted(ctx) == [two]
    ctx.clear()
    ctx.deliver(brain, entry_of(Expired(two.id, LABEL, SYMBOL, "TTL"), 2), "bus")
    ctx.deliver(brain, PeerUp("bus", 3), "bus")
    assert emitted(ctx) == []


def test_a_restarted_strategy_sends_again_only_what_the_journal_does_not_have() -> None:
    brain, ctx = started(Buyer)
    feed(brain, ctx, [trade(1), trade(2)])
    one, two = emitted(ctx)
    successor, ctx = make(Buyer), context(2)
    successor.restore(brain.snapshot())
    ctx.deliver(successor, Started(2, True))
    ctx.deliver(successor, PeerUp("bus", 1), "bus")
    ctx.deliver(successor, entry_of(Generated(one.id, LABEL, SYMBOL, one), 1), "bus")
    assert emitted(ctx) == []
    ctx.deliver(successor, CaughtUp(1), "bus")
    assert emitted(ctx) == [two]


def test_what_is_kept_is_bounded_and_what_is_dropped_is_counted() -> None:
    brain, ctx = started(Buyer, pending=3)
    feed(brain, ctx, [trade(seq) for seq in range(1, 6)])
    ctx.clear()
    ctx.deliver(brain, PeerUp("bus", 2), "bus")
    assert [signal.cause.tick_id for signal in emitted(ctx)] == [f"{SYMBOL}@1.{seq}" for seq in (3, 4, 5)]
    assert brain.counts["pending_dropped"] == 2


def test_the_fate_of_its_own_signals_is_counted_and_that_of_others_is_not() -> None:
    brain, ctx = started(Buyer)
    order = ApprovedOrder(
        signal_id="a",
        client_id="bw-a-0-0",
        strategy=LABEL,
        symbol=SYMBOL,
        side=Side.BUY,
        type=OrderType.MARKET,
        quantity=Decimal(1),
        price=None,
        time_in_force=TimeInForce.IOC,
        reduce_only=False,
        reference_price=Decimal(1),
        approved_ns=1,
        expires_ns=2,
        tick_recv_ns=3,
        signal_ns=4,
    )
    events = [
        Approved("a", LABEL, SYMBOL, order),
        Blocked("b", LABEL, SYMBOL, "gate", "CODE", "x"),
        Blocked("c", "other", SYMBOL, "gate", "CODE", "x"),
        Expired("d", LABEL, "bybit:ETHUSDT", "TTL"),
        Expired("e", LABEL, SYMBOL, "TTL"),
    ]
    for seq, event in enumerate(events, 1):
        ctx.deliver(brain, entry_of(event, seq), "bus")
    assert [brain.counts[step] for step in ("approved", "blocked", "expired")] == [1, 1, 1]


def test_it_subscribes_to_kinds_that_exist() -> None:
    from runtime.message import message_types

    assert set(KINDS) <= set(message_types())
