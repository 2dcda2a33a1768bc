"""Market data through the exchange connection: numbered, kept, handed to whoever watches."""

from __future__ import annotations

from actors.messages.orders import Watch
from exchanges.model.market import Quote, Trade
from runtime.lanes import Delivery
from runtime.lifecycle import PeerDown, PeerUp
from tests.unit.brain_context import FakeContext
from tests.unit.brain_samples import BTC, ETH, make_trade
from tests.unit.exchange_bench import live, make_brain, tell


def seqs(ctx: FakeContext, to: str) -> list[int]:
    return [trade.seq for trade in ctx.sent(Trade, to)]


def test_data_is_numbered_from_one_in_each_epoch_for_each_symbol() -> None:
    brain, ctx = live()
    ctx.deliver(brain, Watch((BTC, ETH)), "s")
    tell(brain, ctx, make_trade(1.0), make_trade(2.0), make_trade(3.0, symbol=ETH))
    assert [t.tick_id for t in ctx.sent(Trade, "s")] == [f"{BTC}@1.1", f"{BTC}@1.2", f"{ETH}@1.1"]
    successor = make_brain()
    successor.restore(brain.snapshot())
    ctx.epoch = 2
    ctx.clear()
    ctx.start(successor, restored=True)
    tell(successor, ctx, make_trade(4.0))
    assert [t.tick_id for t in ctx.sent(Trade, "s")] == [f"{BTC}@2.1"]


def test_a_watcher_gets_the_kinds_and_the_delivery_it_asked_for() -> None:
    brain, ctx = live()
    ctx.deliver(brain, Watch((BTC,), ("Quote",), Delivery.LATEST), "quotes")
    ctx.deliver(brain, Watch((BTC,)), "all")
    tell(brain, ctx, make_trade(1.0), Quote(BTC, 0, 0, 1, 1, 1.0, 1.0, 2.0, 1.0), make_trade(1.0, symbol=ETH))
    assert [(s.to, type(s.message).__name__, s.delivery) for s in ctx.sends] == [
        ("all", "Trade", Delivery.ALL),
        ("quotes", "Quote", Delivery.LATEST),
        ("all", "Quote", Delivery.ALL),
    ]


def test_a_restarted_watcher_is_served_what_it_lacks_from_the_ring() -> None:
    brain, ctx = live(ring=3)
    tell(brain, ctx, *(make_trade(float(n)) for n in range(1, 6)))
    ctx.deliver(brain, Watch((BTC,), after={BTC: (1, 3)}), "s")
    assert seqs(ctx, "s") == [4, 5]
    ctx.clear()
    ctx.deliver(brain, Watch((BTC,), after={BTC: (0, 0)}), "s")
    assert seqs(ctx, "s") == [3, 4, 5]


def test_a_watcher_that_can_not_be_reached_is_spared_and_served_when_it_is_back() -> None:
    brain, ctx = live()
    ctx.deliver(brain, PeerUp("s", 1))
    ctx.deliver(brain, Watch((BTC,)), "s")
    tell(brain, ctx, make_trade(1.0))
    ctx.deliver(brain, PeerDown("s"))
    tell(brain, ctx, make_trade(2.0))
    assert seqs(ctx, "s") == [1]
    ctx.deliver(brain, PeerUp("s", 1))
    tell(brain, ctx, make_trade(3.0))
    assert seqs(ctx, "s") == [1, 2, 3]


def test_a_new_incarnation_of_a_watcher_gets_nothing_until_it_asks() -> None:
    brain, ctx = live()
    ctx.deliver(brain, PeerUp("s", 1))
    ctx.deliver(brain, Watch((BTC,)), "s")
    ctx.deliver(brain, PeerDown("s"))
    ctx.deliver(brain, PeerUp("s", 2))
    tell(brain, ctx, make_trade(1.0))
    assert seqs(ctx, "s") == []
    ctx.deliver(brain, Watch((BTC,), after={BTC: (0, 0)}), "s")
    assert seqs(ctx, "s") == [1]


def test_a_watch_of_nothing_ends_the_subscription() -> None:
    brain, ctx = live()
    ctx.deliver(brain, Watch((BTC,)), "s")
    ctx.deliver(brain, Watch(()), "s")
    tell(brain, ctx, make_trade(1.0))
    assert seqs(ctx, "s") == []
    assert brain.status()["watchers"] == 0


def test_who_wants_the_latest_alone_gets_the_first_piece_at_once_and_of_a_burst_the_last() -> None:
    brain, ctx = live(conflate_ns=10)
    ctx.deliver(brain, Watch((BTC, ETH), delivery=Delivery.LATEST), "risk")
    ctx.deliver(brain, Watch((BTC,)), "all")
    tell(brain, ctx, *(make_trade(float(n)) for n in range(1, 5)), make_trade(9.0, symbol=ETH))
    assert [(t.symbol, t.price) for t in ctx.sent(Trade, "risk")] == [(BTC, 1.0), (ETH, 9.0)]
    assert seqs(ctx, "all") == [1, 2, 3, 4]
    ctx.advance(brain, 10)
    assert [t.price for t in ctx.sent(Trade, "risk")] == [1.0, 9.0, 4.0]
    tell(brain, ctx, make_trade(5.0))
    ctx.advance(brain, 20)
    tell(brain, ctx, make_trade(6.0))
    assert [t.price for t in ctx.sent(Trade, "risk")] == [1.0, 9.0, 4.0, 5.0, 6.0]


def test_what_is_held_back_for_a_watcher_that_went_away_is_not_sent_to_its_successor() -> None:
    brain, ctx = live(conflate_ns=10)
    ctx.deliver(brain, PeerUp("risk", 1))
    ctx.deliver(brain, Watch((BTC,), delivery=Delivery.LATEST), "risk")
    tell(brain, ctx, make_trade(1.0), make_trade(2.0))
    ctx.deliver(brain, PeerDown("risk"))
    ctx.deliver(brain, PeerUp("risk", 2))
    ctx.advance(brain, 10)
    assert [t.price for t in ctx.sent(Trade, "risk")] == [1.0]
