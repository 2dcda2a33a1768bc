"""The symbol strategy's brain: fills, feedback, control, timers, and the strategy's own errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Filled
from exchanges.model.market import Trade
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position
from runtime import codec
from runtime.errors import BigwheelError
from runtime.lifecycle import CaughtUp, Started
from strategies.errors import HookError, StrategyError
from strategies.signal import signal_id
from strategies.strategy import Strategy
from tests.unit.brain_context import entry_of
from tests.unit.strategy_session import (
    LABEL,
    NAME,
    SYMBOL,
    Buyer,
    Diary,
    Fragile,
    context,
    emitted,
    feed,
    feedback,
    filled,
    make,
    pages,
    pump,
    started,
    trade,
)

SECOND = 1_000_000_000


# -- fills and feedback ------------------------------------------------------------


def test_the_position_is_what_its_own_fills_add_up_to() -> None:
    brain, ctx = started(Diary)
    ctx.deliver(brain, filled(1, Side.BUY, "2", "100"), "bus")
    ctx.deliver(brain, filled(2, Side.SELL, "5", "100", strategy="other"), "bus")
    ctx.deliver(brain, filled(3, Side.SELL, "0.5", "110"), "bus")
    pump(brain, ctx)
    assert brain.strategy.position.quantity == Decimal("1.5")
    assert brain.strategy.position.realized == Decimal("5")
    assert pages(brain)[1:] == [("fill", "e1", "2"), ("fill", "e3", "1.5")]


def test_a_position_closed_from_outside_is_closed_here_too() -> None:
    brain, ctx = started(Diary)
    ctx.deliver(brain, filled(1, Side.BUY, "2", "100"), "bus")
    partly = filled(2, Side.SELL, "1", "110", strategy="")
    ctx.deliver(brain, partly, "bus")
    assert brain.strategy.position.quantity == 2
    event = codec.decode(partly.body)
    assert isinstance(event, Filled)
    flat = msgspec.structs.replace(event, position=Position(SYMBOL))
    ctx.deliver(brain, entry_of(flat, 3), "bus")
    pump(brain, ctx)
    assert (brain.strategy.position.quantity, brain.strategy.position.realized) == (0, 20)
    assert pages(brain)[1:] == [("fill", "e1", "2")]


def test_an_entry_delivered_twice_counts_once() -> None:
    brain, ctx = started(Diary)
    for _ in range(2):
        ctx.deliver(brain, filled(5, Side.BUY, "2"), "bus")
    pump(brain, ctx)
    assert brain.strategy.position.quantity == 2
    assert pages(brain)[1:] == [("fill", "e5", "2")]


def test_while_replaying_it_folds_and_the_strategy_sees_each_fill_once_afterwards() -> None:
    brain, ctx = make(Diary), context()
    ctx.deliver(brain, Started(1, False))
    ctx.deliver(brain, filled(1, Side.BUY, "2"), "bus")
    ctx.deliver(brain, entry_of(feedback(1, 0.4), 2), "bus")
    ctx.deliver(brain, filled(3, Side.SELL, "2"), "bus")
    pump(brain, ctx)
    assert pages(brain) == ["start"]
    assert (brain.strategy.position.quantity, brain.strategy.threshold) == (0, 0.4)
    ctx.deliver(brain, CaughtUp(3), "bus")
    pump(brain, ctx)
    ctx.deliver(brain, CaughtUp(3), "bus")
    pump(brain, ctx)
    assert pages(brain)[1:] == [("fill", "e1", "2"), ("feedback", 1), ("fill", "e3", "0")]


def test_a_fill_the_strategy_had_not_seen_before_the_crash_is_seen_after_it() -> None:
    brain, ctx = started(Diary)
    ctx.deliver(brain, filled(1, Side.BUY, "2"), "bus")
    successor, ctx = make(Diary), context(2)
    successor.restore(brain.snapshot())
    ctx.start(successor, restored=True, caught_up=1)
    pump(successor, ctx)
    assert pages(successor) == ["start", ("fill", "e1", "2")]


def test_a_fill_the_strategy_breaks_on_still_counts() -> None:
    brain, ctx = started(Fragile)
    ctx.deliver(brain, filled(1, Side.BUY, "13"), "bus")
    with pytest.raises(HookError, match=r"Fragile\.on_fill of mine on bybit:BTCUSDT raised ValueError: unlucky"):
        pump(brain, ctx)
    assert brain.strategy.position.quantity == 13


def test_feedback_raises_the_bar_for_entries_and_never_for_exits() -> None:
    class Both(Strategy):
        def on_trade(self, trade: Trade) -> None:
            self.told = (self.buy(0.3), self.sell(0.3, reduce_only=True))

    brain, ctx = started(Both, threshold=0.1)
    feed(brain, ctx, [trade(1)])
    assert len(emitted(ctx)) == 2
    ctx.deliver(brain, entry_of(feedback(2, 0.5), 1), "bus")
    ctx.deliver(brain, entry_of(feedback(1, 0.0), 2), "bus")
    ctx.deliver(brain, entry_of(feedback(9, 0.0, strategy="other"), 3), "bus")
    ctx.deliver(brain, entry_of(feedback(9, 0.0, symbol="bybit:ETHUSDT"), 4), "bus")
    ctx.clear()
    feed(brain, ctx, [trade(2)])
    (signal,) = emitted(ctx)
    assert signal.reduce_only
    assert signal.id == signal_id(LABEL, SYMBOL, f"{SYMBOL}@1.2", 1)
    assert brain.strategy.told == ("", signal.id)
    assert (brain.counts["withheld_conviction"], brain.status()["feedback_version"]) == (1, 2)


def test_feedback_scales_no_quantity_here_because_risk_does() -> None:
    class Sized(Strategy):
        def on_trade(self, trade: Trade) -> None:
            self.buy(0.9, quantity="0.5")

    brain, ctx = started(Sized)
    ctx.deliver(brain, entry_of(feedback(1, 0.2), 1), "bus")
    feed(brain, ctx, [trade(1)])
    assert emitted(ctx)[0].quantity == Decimal("0.5")


def test_signals_from_fills_and_timers_have_ids_that_do_not_depend_on_when_they_come() -> None:
    class Reactive(Strategy):
        def on_trade(self, trade: Trade) -> None:
            self.timer("later", 5)

        def on_fill(self, fill: Fill, position: Position) -> None:
            self.exit("take it off")

        def on_timer(self, name: str) -> None:
            self.buy(1.0, name)

    brain, ctx = started(Reactive)
    feed(brain, ctx, [trade(1)])
    ctx.deliver(brain, filled(1, Side.SELL, "2"), "bus")
    pump(brain, ctx)
    due = ctx.now + 5 * SECOND
    ctx.advance(brain, 6 * SECOND)
    fill, timer = emitted(ctx)
    assert fill.id == signal_id(LABEL, SYMBOL, "fill/e1", 0)
    assert (fill.side, fill.quantity, fill.reduce_only, fill.cause.kind) == (Side.BUY, Decimal(2), True, "Fill")
    assert timer.id == signal_id(LABEL, SYMBOL, f"timer/later/{due}", 0)
    feed(brain, ctx, [trade(2)])
    assert brain.desk.trigger == ""


# -- control -----------------------------------------------------------------------


def test_a_paused_strategy_goes_on_learning_prices_and_sends_no_signals() -> None:
    brain, ctx = started(Buyer)
    ctx.deliver(brain, Control("c1", "pause", "me"), "gateway")
    feed(brain, ctx, [trade(1)])
    assert (emitted(ctx), brain.ticks, brain.counts["withheld_paused"]) == ([], 1, 1)
    ctx.deliver(brain, Control("c2", "unpause", "me", target=LABEL), "gateway")
    feed(brain, ctx, [trade(2)])
    assert len(emitted(ctx)) == 1
    taken = ctx.sent(ControlTaken, "bus")
    assert [(each.control_id, each.action, each.actor) for each in taken] == [
        ("c1", "pause", NAME),
        ("c2", "unpause", NAME),
    ]


def test_a_control_repeated_or_meant_for_another_changes_nothing() -> None:
    brain, ctx = started(Buyer)
    for control in (
        Control("c1", "pause", "me"),
        Control("c2", "unpause", "me"),
        Control("c1", "pause", "me"),
        Control("c3", "pause", "me", target="other"),
        Control("c4", "halt", "me"),
    ):
        ctx.deliver(brain, control, "gateway")
    assert not brain.paused
    assert brain.counts["controls_repeated"] == 1


def test_a_pause_outlives_a_restart() -> None:
    brain, ctx = started(Buyer)
    ctx.deliver(brain, Control("c1", "pause", "me"), "gateway")
    successor, ctx = make(Buyer), context(2)
    successor.restore(brain.snapshot())
    ctx.start(successor, restored=True, caught_up=0)
    feed(successor, ctx, [trade(1)])
    assert emitted(ctx) == []


# -- timers ------------------------------------------------------------------------


def test_timers_are_armed_again_after_a_restart_for_what_is_left_of_them() -> None:
    class Patient(Diary):
        def on_trade(self, trade: Trade) -> None:
            self.timer("tea", 60)

    brain, ctx = started(Patient)
    feed(brain, ctx, [trade(1)])
    ctx.advance(brain, 20 * SECOND)
    successor, later = make(Patient), context(2)
    successor.restore(brain.snapshot())
    later.now = ctx.now
    later.start(successor, restored=True, caught_up=0)
    later.advance(successor, 39 * SECOND)
    assert ("timer", "tea") not in pages(successor)
    later.advance(successor, 2 * SECOND)
    later.advance(successor, 100 * SECOND)
    assert pages(successor).count(("timer", "tea")) == 1


def test_a_timer_set_anew_is_due_once_at_its_new_time() -> None:
    class Putting(Diary):
        def on_trade(self, trade: Trade) -> None:
            self.timer("tea", trade.price)

    brain, ctx = started(Putting)
    feed(brain, ctx, [trade(1, 10.0), trade(2, 30.0)])
    ctx.advance(brain, 20 * SECOND)
    assert ("timer", "tea") not in pages(brain)
    ctx.advance(brain, 20 * SECOND)
    assert pages(brain).count(("timer", "tea")) == 1


# -- errors ------------------------------------------------------------------------


def test_an_exception_of_the_strategy_names_hook_strategy_and_symbol() -> None:
    brain, ctx = started(Fragile)
    with pytest.raises(
        HookError, match=r"Fragile\.on_trade of mine on bybit:BTCUSDT raised ValueError: unlucky"
    ) as caught:
        feed(brain, ctx, [trade(1, 13.0)])
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value, BigwheelError)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda self: self.buy(1.5), "conviction from 0 to 1, found 1.5"),
        (lambda self: self.buy(float("nan")), "conviction from 0 to 1, found nan"),
        (lambda self: self.signal("long", 0.5), "side to be buy or sell, found 'long'"),
        (lambda self: self.buy(quantity=-1), "quantity above 0, found -1"),
        (lambda self: self.buy(quantity="lots"), "quantity to be a number, found 'lots'"),
        (lambda self: self.buy(ttl=0), "ttl in seconds"),
        (lambda self: self.timer("x", -1), "delay in seconds"),
    ],
)
def test_a_call_that_makes_no_sense_says_what_does(call: Any, expected: str) -> None:
    class Wrong(Strategy):
        def on_trade(self, trade: Trade) -> None:
            call(self)

    brain, ctx = started(Wrong)
    with pytest.raises(HookError) as caught:
        feed(brain, ctx, [trade(1)])
    assert expected in str(caught.value)
    assert isinstance(caught.value.__cause__, StrategyError)


def test_a_signal_before_the_first_data_is_an_error() -> None:
    class Hasty(Strategy):
        def on_start(self) -> None:
            self.buy()

    with pytest.raises(HookError, match="market data of bybit:BTCUSDT before the first signal"):
        started(Hasty)
