"""The strategy's brain with timeframes and with a past to begin from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from actors.messages.history import AskHistory, HistoryTold
from actors.messages.orders import Watch
from actors.strategy.brain import StrategyBrain
from actors.strategy.settings import BrainSettings
from actors.strategy.state import WarmUpOver
from exchanges.model.market import Bar, Trade
from runtime.lifecycle import CaughtUp, PeerUp, Started
from strategies.errors import HookError, StrategyError
from strategies.strategy import Strategy, StrategyParams
from tests.unit.brain_context import START_NS, FakeContext
from tests.unit.strategy_session import SYMBOL, answered, context, emitted, feed, make, pump, started

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR_NS = START_NS // (60 * MINUTE) * 60 * MINUTE
"""The last full hour before the start."""


class Framed(Strategy):
    """Writes down its bars, and buys at each."""

    timeframes: Sequence[str] = ("1m", "3m")

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, float, bool]] = []

    def on_bar(self, bar: Bar) -> None:
        if bar.close == 13.0:
            raise ValueError("unlucky")
        minute = (bar.ts_ns - HOUR_NS) // MINUTE
        self.seen.append((bar.interval_ns // MINUTE, minute, bar.close, self.warming))
        self.buy(1.0, "a bar")


class Warmed(Framed):
    """The same with a past."""

    history: Mapping[str, int] = {"1m": 4, "3m": 2}


class Told(Strategy):
    """Its bars and its past are parameters."""

    class Params(StrategyParams):
        frame: str = "1m"
        bars: int = 10

    @property
    def timeframes(self) -> Sequence[str]:
        return (self.params.frame,)

    @property
    def history(self) -> Mapping[str, int]:
        return {self.params.frame: self.params.bars}

    def on_bar(self, bar: Bar) -> None: ...


def bar(seq: int, minute: int, close: float = 100.0, *, epoch: int = 1, length: int = 1) -> Bar:
    at = HOUR_NS + minute * MINUTE
    end = at + length * MINUTE
    return Bar(SYMBOL, epoch, seq, at, end, close, close, close, close, 1.0, length * MINUTE, True)


def past(minute: int, length: int = 1, close: float = 100.0) -> Bar:
    return bar(0, minute, close, epoch=0, length=length)


def seen(brain: StrategyBrain) -> list[tuple[int, int, float, bool]]:
    found: list[tuple[int, int, float, bool]] = brain.strategy.seen  # type: ignore[attr-defined]
    return found


def begun(owner: type[Strategy], **options: Any) -> tuple[StrategyBrain, FakeContext]:
    return started(owner, **{"steps": {SYMBOL: MINUTE}, **options})


def tell(brain: StrategyBrain, ctx: FakeContext, length: int, bars: Sequence[Bar], **more: Any) -> None:
    ctx.deliver(brain, HistoryTold(SYMBOL, length * MINUTE, tuple(bars), **more), "exchange/bybit")


# -- timeframes --------------------------------------------------------------------


def test_a_strategy_gets_bars_of_every_length_it_asks_for() -> None:
    brain, ctx = begun(Framed)
    feed(brain, ctx, [bar(seq, seq) for seq in range(1, 8)])
    assert [(length, minute) for length, minute, _, _ in seen(brain)] == [
        (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (3, 3), (1, 6), (1, 7),
    ]  # fmt: skip
    assert brain.watched == ("Bar",)
    assert brain.status()["counts"]["bars_incomplete"] == 1  # type: ignore[index]


def test_where_the_venue_streams_no_bars_they_are_made_of_trades() -> None:
    brain, ctx = begun(Framed, steps={})
    assert brain.watched == ("Trade",)
    trades = [
        Trade(SYMBOL, 1, seq, HOUR_NS + seq * 20 * SECOND, HOUR_NS + seq * 20 * SECOND, 100.0 + seq, 1.0, "buy")
        for seq in range(1, 12)
    ]
    feed(brain, ctx, trades)
    assert [(length, minute, close) for length, minute, close, _ in seen(brain)] == [(1, 1, 105.0), (1, 2, 108.0)]


def test_a_signal_made_of_a_bar_has_the_data_that_ended_it_as_its_cause() -> None:
    brain, ctx = begun(Framed)
    feed(brain, ctx, [bar(seq, seq) for seq in range(3, 6)])
    ids = [signal.cause.tick_id for signal in emitted(ctx)]
    assert ids == [f"{SYMBOL}@1.3", f"{SYMBOL}@1.4", f"{SYMBOL}@1.5", f"{SYMBOL}@1.5"]
    assert len({signal.id for signal in emitted(ctx)}) == 4


def test_bars_go_on_over_a_restart_and_repeated_ones_are_ignored() -> None:
    one, ctx = begun(Framed)
    data = [bar(seq, seq) for seq in range(1, 20)]
    feed(one, ctx, data)
    brain, ctx = begun(Framed)
    feed(brain, ctx, data[:8])
    successor = make(Framed, None, brain.settings)
    successor.restore(brain.snapshot())
    ctx = context(2)
    ctx.start(successor, restored=True, caught_up=0)
    feed(successor, ctx, data[5:])
    assert seen(successor) == seen(one)
    assert successor.counts["duplicates"] == 3


def test_a_new_epoch_of_the_connection_costs_the_bar_under_way() -> None:
    brain, ctx = begun(Framed)
    feed(brain, ctx, [bar(seq, seq) for seq in range(3, 8)])
    feed(brain, ctx, [bar(seq, seq + 7, epoch=2) for seq in range(1, 6)])
    assert [minute for length, minute, _, _ in seen(brain) if length == 3] == [3, 9]


def test_a_strategy_without_timeframes_gets_the_venues_own_bars() -> None:
    class Plain(Framed):
        timeframes: Sequence[str] = ()

    brain, ctx = begun(Plain)
    feed(brain, ctx, [bar(seq, seq, length=7) for seq in range(1, 4)])
    assert [length for length, _, _, _ in seen(brain)] == [7, 7, 7]


def test_timeframes_may_depend_on_parameters() -> None:
    assert make(Told, {"frame": "15m", "bars": 3}).frames.frames == (15 * MINUTE,)
    with pytest.raises(StrategyError, match="timeframe such as"):
        make(Told, {"frame": "often"})
    with pytest.raises(StrategyError, match="history of 1 to 5000 bars"):
        make(Told, {"bars": 5_001})


# -- the past ----------------------------------------------------------------------


def test_the_past_is_asked_for_before_any_live_data() -> None:
    _, ctx = begun(Warmed)
    asked = ctx.sent(AskHistory, "exchange/bybit")
    assert asked == [AskHistory(SYMBOL, MINUTE, 4), AskHistory(SYMBOL, 3 * MINUTE, 2)]
    assert ctx.sent(Watch) == []


def test_past_bars_are_shown_in_the_order_in_which_they_ended_and_signals_withheld() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 1, [past(minute) for minute in range(3, 8)])
    pump(brain, ctx)
    assert seen(brain) == []
    tell(brain, ctx, 3, [past(0, 3), past(3, 3)])
    pump(brain, ctx)
    assert [row[:2] for row in seen(brain)] == [(3, 0), (1, 4), (1, 5), (3, 3), (1, 6), (1, 7)]
    assert all(row[3] for row in seen(brain))
    assert emitted(ctx) == []
    assert brain.counts["withheld_warming"] == 6
    assert [watch.symbols for watch in ctx.sent(Watch)] == [(SYMBOL,)]


def test_the_present_goes_on_where_the_past_ended_without_a_hole() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3), past(3, 3)], mark=(1, 70))
    tell(brain, ctx, 1, [past(minute) for minute in range(4, 8)], mark=(1, 73))
    pump(brain, ctx)
    assert ctx.sent(Watch)[-1].after == {SYMBOL: (1, 70)}
    feed(brain, ctx, [bar(71, 7), bar(72, 8), bar(73, 9)])
    live = [(length, minute) for length, minute, _, warming in seen(brain) if not warming]
    assert live == [(1, 8), (3, 6), (1, 9)]
    assert [signal.cause.tick_id for signal in emitted(ctx)] == [f"{SYMBOL}@1.{seq}" for seq in (72, 72, 73)]


def test_longer_bars_than_the_venue_has_are_made_of_its_shorter_ones() -> None:
    class Only(Framed):
        timeframes: Sequence[str] = ("3m",)
        history: Mapping[str, int] = {"3m": 2}

    brain, ctx = begun(Only)
    assert ctx.sent(AskHistory) == [AskHistory(SYMBOL, 3 * MINUTE, 2), AskHistory(SYMBOL, MINUTE, 3)]
    tell(brain, ctx, 1, [past(minute) for minute in range(2, 8)])
    tell(brain, ctx, 3, [], reason="no such bars")
    pump(brain, ctx)
    assert [row[:2] for row in seen(brain)] == [(3, 3)]
    assert brain.counts["history_missing"] == 1
    assert any("no such bars" in line for line in brain.lines)


def test_a_past_that_does_not_come_is_not_waited_for_without_end() -> None:
    brain, ctx = begun(Warmed, history_wait_ns=20 * SECOND)
    tell(brain, ctx, 3, [past(0, 3)])
    ctx.advance(brain, 19 * SECOND)
    assert ctx.sent(Watch) == []
    ctx.advance(brain, 2 * SECOND)
    pump(brain, ctx)
    assert [row[:2] for row in seen(brain)] == [(3, 0)]
    assert len(ctx.sent(Watch)) == 1
    assert brain.counts["history_missing"] == ctx.counters["strategy.history_missing"] == 1
    tell(brain, ctx, 1, [past(5)])
    assert brain.counts["history_late"] == 1


def test_in_a_replay_there_is_no_past_and_it_begins_at_once() -> None:
    brain, ctx = begun(Warmed, history=False)
    pump(brain, ctx)
    assert ctx.sent(AskHistory) == []
    assert len(ctx.sent(Watch)) == 1
    assert brain.counts["history_unavailable"] == 1


def test_a_connection_that_comes_back_is_asked_for_what_it_had_not_answered() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3)])
    ctx.clear()
    ctx.deliver(brain, PeerUp("exchange/bybit", 5), "exchange/bybit")
    assert ctx.sent(AskHistory) == [AskHistory(SYMBOL, MINUTE, 4)]


def test_a_past_bar_that_the_strategy_fails_on_costs_that_bar_alone() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3)])
    tell(brain, ctx, 1, [past(4), past(5, close=13.0), past(6)])
    own = [sent.message for sent in ctx.sends if sent.to == ctx.name]
    failed = 0
    for message in own:
        kept = brain.snapshot()
        try:
            ctx.deliver(brain, message)
        except HookError:
            failed += 1
            brain = make(Warmed, None, brain.settings)
            brain.restore(kept)
            brain.ctx = ctx
    assert failed == 1
    assert [row[:2] for row in seen(brain)] == [(3, 0), (1, 4), (1, 6)]
    assert len(ctx.sent(Watch)) == 1


def restarted(brain: StrategyBrain) -> tuple[StrategyBrain, FakeContext]:
    successor, ctx = make(type(brain.strategy), None, brain.settings), context(2)
    successor.restore(brain.snapshot())
    ctx.start(successor, restored=True, caught_up=0)
    return successor, ctx


def test_a_restart_while_waiting_asks_for_the_rest_and_one_afterwards_for_nothing() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3)])
    brain, ctx = restarted(brain)
    assert ctx.sent(AskHistory) == [AskHistory(SYMBOL, MINUTE, 4)]
    tell(brain, ctx, 1, [past(4)])
    pump(brain, ctx)
    assert [row[:2] for row in seen(brain)] == [(3, 0), (1, 4)]
    brain, ctx = restarted(brain)
    assert ctx.sent(AskHistory) == []
    assert len(ctx.sent(Watch)) == 1


def test_a_restart_while_bars_are_shown_shows_each_once() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3)])
    tell(brain, ctx, 1, [past(minute) for minute in range(4, 7)])
    first = next(sent.message for sent in ctx.sends if sent.to == ctx.name)
    ctx.deliver(brain, first)
    brain, ctx = restarted(brain)
    assert emitted(ctx) == [] and ctx.sent(Watch) == []
    pump(brain, ctx)
    assert [row[:2] for row in seen(brain)] == [(3, 0), (1, 4), (1, 5), (1, 6)]
    assert len(ctx.sent(Watch)) == 1


def test_a_restart_after_the_last_bar_was_shown_shows_none_again() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3)])
    tell(brain, ctx, 1, [past(4), past(5)])
    for sent in [sent.message for sent in ctx.sends if sent.to == ctx.name][:-1]:
        ctx.deliver(brain, sent)
    assert len(seen(brain)) == 3
    brain, ctx = restarted(brain)
    ctx.advance(brain, 60 * SECOND)
    pump(brain, ctx)
    assert len(seen(brain)) == 3
    assert len(ctx.sent(Watch)) == 1


def test_the_end_of_the_wait_does_not_cut_short_what_is_being_shown() -> None:
    brain, ctx = begun(Warmed)
    tell(brain, ctx, 3, [past(0, 3)])
    tell(brain, ctx, 1, [past(4), past(5)])
    ctx.deliver(brain, WarmUpOver(False))
    pump(brain, ctx)
    assert len(seen(brain)) == 3
    assert len(ctx.sent(Watch)) == 1


def test_a_state_from_before_there_was_a_past_is_not_warmed_up_again() -> None:
    brain, ctx = begun(Framed)
    feed(brain, ctx, [bar(5, 5)])
    old = {
        name: value
        for name, value in msgspec.msgpack.decode(brain.snapshot()).items()
        if name not in ("positions", "feedbacks", "marks", "gates", "latest", "issued", "series", "warm", "performance")
    }
    old["made_for"] = make(Warmed).made_for
    successor, ctx = make(Warmed, None, brain.settings), context(2)
    successor.restore(msgspec.msgpack.encode(old))
    ctx.deliver(successor, Started(2, True))
    ctx.deliver(successor, CaughtUp(0))
    assert ctx.sent(AskHistory) == []
    assert ctx.sent(Watch)[0].after == {SYMBOL: (1, 5)}
    answered(successor, ctx)
    assert BrainSettings().history
