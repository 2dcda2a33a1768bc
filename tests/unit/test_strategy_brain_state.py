"""The symbol strategy's brain over a crash: nothing forgotten, nothing done twice."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages.orders import Watch
from actors.strategy.settings import BrainSettings
from exchanges.model.market import Trade
from exchanges.model.order import Side
from runtime import codec
from runtime.errors import SnapshotError
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, Started
from strategies.errors import HookError, StateError
from strategies.registry import resolve
from strategies.strategy import Strategy
from tests.unit.strategy_session import (
    LABEL,
    SYMBOL,
    Buyer,
    Diary,
    Fragile,
    Session,
    context,
    emitted,
    feed,
    filled,
    make,
    market,
    pages,
    pump,
    started,
    trade,
)

SECOND = 1_000_000_000


# -- snapshots ---------------------------------------------------------------------


def test_attributes_survive_without_code_and_new_ones_keep_what_on_start_gave_them() -> None:
    class Before(Strategy):
        def on_start(self) -> None:
            self.seen = 0

        def on_trade(self, trade: Trade) -> None:
            self.seen += 1
            self.last = trade.price

    class After(Strategy):
        def on_start(self) -> None:
            self.seen = 0
            self.extra = "new"

        def on_trade(self, trade: Trade) -> None:
            self.seen += 1

    After.__qualname__ = Before.__qualname__
    brain, ctx = started(Before)
    feed(brain, ctx, [trade(1, 7.0), trade(2, 8.0)])
    successor, ctx = make(After), context(2)
    successor.restore(brain.snapshot())
    ctx.start(successor, restored=True, caught_up=0)
    feed(successor, ctx, [trade(3)])
    found: Any = successor.strategy
    assert (found.seen, found.last, found.extra) == (3, 8.0, "new")


def test_an_attribute_that_cannot_be_saved_is_named() -> None:
    class Locked(Strategy):
        def __init__(self) -> None:
            self.fine = 1
            self.lock = threading.Lock()

    brain, _ = started(Locked)
    with pytest.raises(StateError, match=r"Locked\.lock of type lock"):
        brain.snapshot()


def test_with_other_parameters_the_attributes_start_anew_and_the_position_stays() -> None:
    brain, ctx = started(resolve("trend"), {"fast": 3, "slow": 9})
    feed(brain, ctx, market(1, 50))
    ctx.deliver(brain, filled(1, Side.BUY, "2"), "bus")
    successor = make(resolve("trend"), {"fast": 4, "slow": 9})
    successor.restore(brain.snapshot())
    found: Any = successor.strategy
    assert (found.fast.period, found.fast.count) == (4, 0)
    assert found.position.quantity == 2
    assert (successor.inlets.by_symbol[SYMBOL].seq, successor.counts["started_anew"]) == (50, 1)


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(SnapshotError, match="expected a snapshot of a strategy"):
        make(Buyer).restore(b"\x93\x01\x02\x03")


def test_a_snapshot_taken_right_after_a_restore_is_the_same_state() -> None:
    session = Session(resolve("trend"), {"fast": 3, "slow": 9})
    session.run(market(2, 300))
    first = session.brain.snapshot()
    other = make(resolve("trend"), {"fast": 3, "slow": 9})
    other.restore(first)
    assert other.status() == session.brain.status()
    again = make(resolve("trend"), {"fast": 3, "slow": 9})
    again.restore(other.snapshot())
    assert again.status() == session.brain.status()


def test_in_place_recovery_goes_on_without_a_second_start() -> None:
    brain, ctx = started(Fragile)
    feed(brain, ctx, [trade(1), trade(2)])
    data = brain.snapshot()
    with pytest.raises(HookError):
        feed(brain, ctx, [trade(3, 13.0)])
    successor = make(Fragile)
    successor.restore(data)
    feed(successor, ctx, [trade(4)])
    ctx.deliver(successor, filled(1, Side.BUY, "1"), "bus")
    pump(successor, ctx)
    found: Any = successor.strategy
    assert (found.seen, found.fills) == (3, 1)


def test_status_is_ready_for_json() -> None:
    session = Session(resolve("reversion"), {"window": 20})
    session.run(market(3, 200, pull=0.02))
    status = json.loads(json.dumps(session.brain.status()))
    assert status["ticks"] == 200
    assert status["last_price"] > 0
    assert status["signals"] == len(session.signals)
    assert (status["paused"], status["live"], status["feedback_version"]) == (False, True, 0)


def test_what_a_strategy_logs_is_kept_bounded_and_counted() -> None:
    class Chatty(Strategy):
        def on_trade(self, trade: Trade) -> None:
            self.log("saw", price=trade.price)

    brain, ctx = started(Chatty, lines=2)
    feed(brain, ctx, [trade(seq, float(seq)) for seq in range(1, 5)])
    assert brain.status()["log"] == ["saw price=3.0", "saw price=4.0"]
    assert ctx.counters["strategy.lines"] == 4


# -- the invariant -----------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    at=st.integers(10, 350),
    lost=st.integers(0, 40),
    name=st.sampled_from(["trend", "reversion"]),
)
def test_a_crash_at_any_point_changes_no_signal_and_no_id(seed: int, at: int, lost: int, name: str) -> None:
    params = {"fast": 4, "slow": 12, "patience": 5} if name == "trend" else {"window": 25, "patience": 5}
    trades = market(seed, 400, pull=0.02 if name == "reversion" else 0.0)
    unbroken = Session(resolve(name), params)
    unbroken.run(trades)

    broken = Session(resolve(name), params)
    broken.run(trades[:at])
    snapshot, cursor = broken.brain.snapshot(), len(broken.journal)
    waiting = list(broken.due)
    # Up to the first effect outside itself, work done after the snapshot is lost with the process.
    before = len(broken.signals) + len(broken.journal)
    done = at
    for piece in trades[at : at + lost]:
        if any(due <= piece.seq for due, _ in broken.due):
            break
        broken.run([piece])
        done += 1
        if len(broken.signals) + len(broken.journal) != before:
            break
    assert waiting == broken.due[: len(waiting)]
    broken.crash(snapshot, cursor)
    watch = broken.ctx.sent(Watch, "exchange/bybit")[0]
    assert watch.after == {SYMBOL: (1, at)}
    feed(broken.brain, broken.ctx, trades[max(0, at - 5) : done])
    resent = {signal.id for signal in emitted(broken.ctx)}
    assert resent <= set(broken.signals)
    broken.ctx.clear()
    broken.run(trades[done:])

    assert list(broken.signals) == list(unbroken.signals)
    assert [signal.cause for signal in broken.signals.values()] == [s.cause for s in unbroken.signals.values()]
    assert broken.brain.strategy.position == unbroken.brain.strategy.position


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 9), st.booleans()), max_size=15),
    st.integers(0, 15),
)
def test_however_the_journal_is_cut_the_position_is_the_sum_of_its_fills(
    deals: list[tuple[Side, int, bool]], cut: int
) -> None:
    entries: list[Entry] = [
        filled(seq, side, str(quantity), strategy=LABEL if own else "other")
        for seq, (side, quantity, own) in enumerate(deals, 1)
    ]
    brain, ctx = started(Diary)
    for entry in entries[:cut]:
        ctx.deliver(brain, entry, "bus")
    pump(brain, ctx)
    successor, ctx = make(Diary), context(2)
    successor.restore(brain.snapshot())
    ctx.deliver(successor, Started(2, True))
    for entry in entries[max(0, cut - 3) :]:
        ctx.deliver(successor, entry, "bus")
    ctx.deliver(successor, CaughtUp(len(entries)), "bus")
    pump(successor, ctx)
    total = sum(side.sign * quantity for side, quantity, own in deals if own)
    assert successor.strategy.position.quantity == total
    seen = [page[1] for page in pages(successor)[1:]]
    assert seen == [f"e{seq}" for seq, (_, _, own) in enumerate(deals, 1) if own]


def test_signals_and_entries_survive_the_codec() -> None:
    brain, ctx = started(Buyer)
    feed(brain, ctx, [trade(1)])
    (signal,) = emitted(ctx)
    assert codec.decode(codec.encode(signal)) == signal


def test_brain_settings_have_sane_defaults() -> None:
    assert BrainSettings().delivery is Delivery.OLDEST
