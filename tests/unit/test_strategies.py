"""What a user's strategy can rely on: parameters, finding its class, and the built-in ones."""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from actors.messages.learning import FeedbackIssued
from actors.strategy.factory import build
from actors.strategy.plan import StrategyPlan
from bigwheel.shadow import ShadowedError, ensure_not_shadowed
from conf import Settings, load
from exchanges.model.market import Bar, Book, Trade
from exchanges.model.order import Side
from exchanges.model.position import Position
from strategies import state
from strategies.errors import StrategyError
from strategies.registry import BUILT_IN, resolve
from strategies.strategy import Strategy, StrategyParams
from strategies.trend import Trend, spread_deviation
from tests.unit.brain_context import START_NS
from tests.unit.strategy_session import LABEL, SYMBOL, Session, answered, emitted, feed, market, started, trade

PRICED = ("alpha", "reversion", "trend")
"""The built-in strategies that look at prices alone."""


class Typed(Strategy):
    """With typed parameters."""

    class Params(StrategyParams):
        fast: int = 10
        share: Decimal = Decimal("0.5")
        kind: Literal["a", "b"] = "a"


class Untyped(Strategy):
    """With plain attributes as defaults."""

    fast = 10
    word = "x"


# -- parameters --------------------------------------------------------------------


def test_typed_parameters_are_there_when_init_runs() -> None:
    class Early(Strategy):
        class Params(StrategyParams):
            fast: int = 10

        def __init__(self) -> None:
            self.doubled = self.params.fast * 2

    assert Early.create(SYMBOL, {"fast": 4}).doubled == 8
    assert Early().doubled == 20


def test_typed_parameters_are_read_as_their_types() -> None:
    params = Typed.create(SYMBOL, {"fast": 3, "share": 0.1, "kind": "b"}).params
    assert (params.fast, params.share, params.kind) == (3, Decimal("0.1"), "b")


def test_every_parameter_that_does_not_fit_is_told() -> None:
    with pytest.raises(StrategyError) as caught:
        Typed.create(SYMBOL, {"fsat": 3, "share": "lots", "kind": "c"})
    text = str(caught.value)
    assert "unknown parameter 'fsat', did you mean 'fast'?" in text
    assert "share: expected" in text
    assert "kind: expected 'a' or 'b', found 'c'" in text


def test_without_params_the_class_attributes_are_the_defaults() -> None:
    params = Untyped.create(SYMBOL, {"fast": 3, "more": True}).params
    assert (params.fast, params.word, params.more) == (3, "x", True)


def test_params_of_the_wrong_kind_are_refused() -> None:
    class Odd(Strategy):
        Params = dict  # type: ignore[assignment]

    with pytest.raises(StrategyError, match="derived from StrategyParams"):
        Odd.create(SYMBOL)


def test_a_strategy_whose_init_wants_arguments_is_told_to_use_parameters() -> None:
    class Wanting(Strategy):
        def __init__(self, fast: int) -> None:
            self.fast = fast

    with pytest.raises(StrategyError, match="take them as parameters"):
        Wanting.create(SYMBOL)


def test_slots_are_refused_because_they_would_not_survive() -> None:
    with pytest.raises(StrategyError, match="remove __slots__"):
        type("Slotted", (Strategy,), {"__slots__": ("a",)})


def test_a_strategy_made_by_hand_says_that_nothing_runs_it() -> None:
    mine = Untyped()
    with pytest.raises(StrategyError, match="something runs"):
        _ = mine.now
    assert (mine.position, mine.symbol) == (Position(""), "")


def test_it_watches_the_kinds_whose_hooks_it_has() -> None:
    class Two(Strategy):
        def on_bar(self, bar: Bar) -> None: ...

        def on_book(self, book: Book) -> None: ...

    class Every(Two):
        def on_tick(self, data: Any) -> None: ...

    assert (Two().watches(), Every().watches(), Untyped().watches()) == (("Bar", "Book"), (), ("Trade",))


def test_exit_closes_what_is_held_and_nothing_else() -> None:
    class Leaver(Strategy):
        def on_trade(self, trade: Trade) -> None:
            self.exit("enough")

    brain, ctx = started(Leaver)
    feed(brain, ctx, [trade(1)])
    assert emitted(ctx) == []
    brain.desk.positions[SYMBOL] = Position(SYMBOL, Decimal("-0.3"), Decimal("-30"))
    feed(brain, ctx, [trade(2)])
    (signal,) = emitted(ctx)
    assert (signal.side, signal.quantity, signal.reduce_only) == (Side.BUY, Decimal("0.3"), True)


def test_a_bound_method_kept_as_an_attribute_is_bound_to_the_restored_strategy() -> None:
    class Keeper(Strategy):
        def __init__(self) -> None:
            self.call = self.hello
            self.me = self

        def hello(self) -> str:
            return self.symbol

    one = Keeper.create(SYMBOL)
    two = Keeper.create("bybit:ETHUSDT")
    state.load(two, state.save(one))
    assert two.me is two
    assert two.call() == "bybit:ETHUSDT"


# -- finding a class ---------------------------------------------------------------


def test_every_built_in_name_leads_to_a_strategy() -> None:
    assert {name: resolve(name).__name__ for name in BUILT_IN} == {
        "alpha": "Alpha",
        "arbitrage": "Arbitrage",
        "fair_value": "FairValue",
        "flow": "OrderFlow",
        "maker": "Maker",
        "reversion": "Reversion",
        "trend": "Trend",
    }


def test_every_parameter_of_a_built_in_strategy_is_described() -> None:
    for name in BUILT_IN:
        fields = resolve(name).Params.model_fields  # type: ignore[union-attr]
        assert fields and all(field.description for field in fields.values()), name


def test_a_class_is_found_in_a_module() -> None:
    assert resolve("strategies.trend:Trend") is Trend


def test_a_class_is_found_in_a_file_under_the_same_module_each_time(tmp_path: Path) -> None:
    file = tmp_path / "my_idea.py"
    file.write_text("from strategies.strategy import Strategy\nclass Mine(Strategy):\n    word = 'x'\n")
    first = resolve(f"{file}:Mine")
    assert first is resolve(f"{file}:Mine")
    assert sys.modules[first.__module__].__file__ == str(file)
    file.with_name("other.py").write_text("class Nothing: ...\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trned", "did you mean 'trend'? built in are alpha, arbitrage, fair_value, flow, maker, reversion, trend"),
        ("zzzz", "expected a strategy, found 'zzzz'"),
        ("nowhere.at.all:Mine", "expected a module 'nowhere.at.all', found none"),
        ("strategies.trend:Trnd", "did you mean 'Trend'?"),
        ("strategies.errors:Mine", "its strategies are none"),
        ("strategies.errors:StrategyError", "a class derived from bigwheel's Strategy"),
        ("nowhere.py:Mine", "expected a file"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_would(name: str, expected: str) -> None:
    with pytest.raises(StrategyError) as caught:
        resolve(name)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_run_says_why_and_leaves_nothing_behind(
    tmp_path: Path, source: str, expected: str
) -> None:
    file = tmp_path / "broken.py"
    file.write_text(source)
    before = set(sys.modules)
    with pytest.raises(StrategyError, match=expected):
        resolve(f"{file}:Mine")
    assert {name for name in set(sys.modules) - before if "broken" in name} == set()


# -- shadowing ---------------------------------------------------------------------


def test_our_own_packages_are_not_taken_for_shadows() -> None:
    ensure_not_shadowed()


def test_a_package_in_the_place_of_ours_is_named_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShadowedError, match=r"expected the package 'runtime' in .*, found .*runtime, which hides it"):
        ensure_not_shadowed(tmp_path)


def test_a_users_strategies_folder_that_comes_first_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name == "strategies" or name.startswith("strategies.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ShadowedError, match="expected the package 'strategies'") as caught:
        ensure_not_shadowed()
    assert str(tmp_path / "strategies") in str(caught.value)


# -- built-in strategies -----------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("name", "pull"), [("trend", 0.0), ("reversion", 0.02)])
def test_a_built_in_strategy_enters_and_leaves_on_generated_trades(name: str, pull: float, seed: int) -> None:
    session = Session(resolve(name))
    session.run(market(seed, 2_500, pull=pull))
    signals = list(session.signals.values())
    entries = [signal for signal in signals if not signal.reduce_only]
    exits = [signal for signal in signals if signal.reduce_only]
    assert len(entries) >= 2
    assert len(exits) >= 2
    assert {signal.side for signal in entries} == {Side.BUY, Side.SELL}
    assert all(0 < signal.conviction <= 1 for signal in signals)
    assert abs(session.brain.strategy.position.quantity) <= 1
    assert all(signal.reason for signal in signals)


def test_reversion_earns_where_prices_return_to_their_mean() -> None:
    session = Session(resolve("reversion"))
    session.run(market(4, 4_000, pull=0.02))
    assert session.brain.strategy.position.realized > 0


def test_trend_earns_where_prices_go_one_way() -> None:
    source = random.Random(5)
    price, trades = 100.0, []
    for seq in range(1, 2_000):
        price *= 1 + 4e-4 * (1 if seq % 800 < 400 else -1) + source.gauss(0, 2e-4)
        trades.append(trade(seq, price))
    session = Session(resolve("trend"))
    session.run(trades)
    assert session.brain.strategy.position.realized > 0


@pytest.mark.parametrize("name", PRICED)
def test_a_built_in_strategy_decides_before_it_sees_what_comes_next(name: str) -> None:
    trades = market(6, 1_200, pull=0.01)
    cut = 700
    other = [*trades[:cut], *[trade(piece.seq, piece.price * 1.5) for piece in trades[cut:]]]
    one, two = Session(resolve(name)), Session(resolve(name))
    one.run(trades)
    two.run(other)
    limit = trades[cut - 1].recv_ns

    def early(session: Session) -> list[tuple[str, float]]:
        return [(s.id, s.conviction) for s in session.signals.values() if s.cause.recv_ns <= limit]

    assert early(one) == early(two) != []


@pytest.mark.parametrize("name", PRICED)
def test_on_bars_a_built_in_strategy_counts_closed_ones_alone(name: str) -> None:
    def bars(noise: bool) -> list[Bar]:
        made: list[Bar] = []
        for piece in market(7, 900, step=2e-3, pull=0.02 if name == "reversion" else 0.0):
            at, price = piece.ts_ns, piece.price
            if noise:
                made.append(Bar(SYMBOL, 1, len(made) + 1, at, at, price, price, price, price * 3, 1.0, 60, False))
            made.append(Bar(SYMBOL, 1, len(made) + 1, at, at, price, price, price, price, 1.0, 60, True))
        return made

    found = []
    for noise in (False, True):
        brain, ctx = started(resolve(name), {"source": "bars"})
        feed(brain, ctx, [*bars(noise), trade(10_000, 1.0)])
        found.append([(signal.side, signal.conviction, signal.cause.price) for signal in emitted(ctx)])
    assert found[0] == found[1] != []


@pytest.mark.parametrize("name", PRICED)
def test_a_price_that_never_moves_gives_no_signal(name: str) -> None:
    brain, ctx = started(resolve(name))
    feed(brain, ctx, [trade(seq, 0.1) for seq in range(1, 600)])
    assert emitted(ctx) == []


@pytest.mark.parametrize("name", PRICED)
def test_feedback_makes_a_built_in_strategy_choosier(name: str) -> None:
    counts = []
    for threshold in (0.0, 0.9):
        brain, ctx = started(resolve(name))
        issued = FeedbackIssued(LABEL, SYMBOL, 1, 1.0, threshold, 0, 5, -0.01)
        brain.strategy.on_feedback(issued)
        feed(brain, ctx, market(8, 2_500))
        counts.append(len(emitted(ctx)))
    assert counts[0] > counts[1]


@pytest.mark.parametrize("name", PRICED)
def test_where_short_is_off_every_entry_is_a_buy(name: str) -> None:
    session = Session(resolve(name), {"short": False})
    session.run(market(9, 2_000))
    entries = [signal.side for signal in session.signals.values() if not signal.reduce_only]
    assert set(entries) == {Side.BUY}


def test_the_trend_score_of_a_random_walk_has_deviation_one() -> None:
    source = random.Random(10)
    fast = slow = price = 0.0
    scale = spread_deviation(2 / 21, 2 / 61)
    scores = []
    for number in range(200_000):
        price += source.gauss(0, 1)
        fast += 2 / 21 * (price - fast)
        slow += 2 / 61 * (price - slow)
        if number > 1_000:
            scores.append((fast - slow) / scale)
    deviation = (sum(score * score for score in scores) / len(scores)) ** 0.5
    assert deviation == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("trend", {"fast": 60, "slow": 20}, "expected fast < slow, found 60 and 20"),
        ("trend", {"leave": 2.0}, "expected leave < enter"),
        ("reversion", {"enter": 9.0}, "expected leave < enter < stop"),
        ("reversion", {"windwo": 9}, "did you mean 'window'?"),
    ],
)
def test_parameters_of_a_built_in_that_contradict_each_other_are_refused(
    name: str, params: dict[str, Any], expected: str
) -> None:
    with pytest.raises(StrategyError) as caught:
        resolve(name).create(SYMBOL, params)
    assert expected in str(caught.value)


# -- from settings to brain --------------------------------------------------------


def test_a_brain_is_built_from_settings_and_plan() -> None:
    settings = load("sim", {"bus.ttl_s": 3.0, "learner.base_threshold": 0.25}, {})
    brain = build(settings, StrategyPlan("slow", SYMBOL, "trend", {"fast": 4}, dry_run=True))
    assert (brain.label, brain.symbol, brain.desk.threshold, brain.desk.ttl_ns) == ("slow", SYMBOL, 0.25, 3 * 10**9)
    assert (brain.desk.params.fast, brain.desk.dry_run) == (4, True)


def test_a_strategy_that_needs_data_nobody_subscribes_to_is_refused() -> None:
    settings = load("sim", {"exchange.bybit.streams": ["trade"]}, {})
    with pytest.raises(StrategyError, match=r"needs Bar.*add 'bar' to exchange\.bybit\.streams"):
        build(settings, StrategyPlan("trend", SYMBOL, "trend", {"source": "bars"}))


def test_a_class_that_travelled_with_its_plan_needs_no_name() -> None:
    brain = build(Settings(), StrategyPlan("mine", SYMBOL, "__main__:Untyped", {"fast": 2}), Untyped)
    assert (type(brain.strategy), brain.strategy.params.fast) == (Untyped, 2)


def test_the_clock_a_strategy_sees_is_the_drivers() -> None:
    class Clock(Strategy):
        def on_trade(self, trade: Trade) -> None:
            self.seen = self.now

    brain, ctx = started(Clock)
    answered(brain, ctx)
    ctx.now = START_NS + 77
    ctx.deliver(brain, trade(1))
    found: Any = brain.strategy
    assert found.seen == START_NS + 77
