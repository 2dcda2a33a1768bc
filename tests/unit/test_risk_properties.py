"""Whatever strategies emit, in whatever order, through crashes: what is granted stays within every limit."""

from __future__ import annotations

import math
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.risk.settings import HighTrack, Method, RiskSettings
from exchanges.model.order import Side
from tests.unit.brain_samples import BTC, ETH
from tests.unit.risk_world import LIMITS, STOCK, SYMBOLS, World

D = Decimal
VARIANTS: tuple[RiskSettings, ...] = (
    LIMITS,
    msgspec.structs.replace(LIMITS, ensemble=False, daily_loss=D(8), loss_streak=0),
    msgspec.structs.replace(LIMITS, ensemble=False, max_drawdown=D("0.0005"), equity_fraction=D("0.05")),
    msgspec.structs.replace(
        LIMITS, ensemble=False, method=Method.KELLY, high=HighTrack(0.6, D("0.09"), D(900), cooldown_ns=0)
    ),
)
"""The same limits: as they are, with a day's loss, with a drawdown that is soon reached, and with two tracks."""

_quantities = st.sampled_from([None, None, "0.0005", "0.5", "1", "2", "3", "4", "6", "7.123456789", "1E+9"])
_prices = st.sampled_from([None, None, None, "0.01", "50", "99.95", "100.1", "5000"])
_opinions = st.sampled_from([1.0, 0.5, 0.0, -0.5, -1.0, math.nan, math.inf, 1e300])
_anything = st.fixed_dictionaries(
    {
        "conviction": st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]),
        "quantity": _quantities.map(lambda text: None if text is None else D(text)),
        "limit_price": _prices.map(lambda text: None if text is None else D(text)),
        "reduce_only": st.sampled_from([False, False, False, True]),
        "dry_run": st.sampled_from([False] * 9 + [True]),
        "sources": st.one_of(st.just({}), st.dictionaries(st.sampled_from("abc"), _opinions, max_size=3)),
    },
    optional={"strategy": st.sampled_from(["one", "two"])},
)
_emit = st.tuples(
    st.just("emit"),
    st.sampled_from([*SYMBOLS, *SYMBOLS, "bybit:NONE", "nowhere:X"]),
    st.sampled_from(list(Side)),
    _anything,
)
_plain = st.tuples(
    st.just("emit"), st.sampled_from(SYMBOLS), st.sampled_from(list(Side)),
    st.integers(1, 6).map(lambda lots: {"quantity": D(lots), "conviction": 1.0}),
)  # fmt: skip
_steps = st.lists(
    st.one_of(
        _emit,
        _plain,
        _plain,
        st.tuples(st.just("decide"), st.integers(0, 5)),
        st.tuples(st.just("decide"), st.integers(0, 5)),
        st.tuples(st.just("fill"), st.integers(0, 5), st.booleans(), st.integers(-3, 3)),
        st.tuples(st.just("fill"), st.integers(0, 5), st.booleans(), st.integers(-3, 3)),
        st.tuples(st.just("unknown"), st.integers(0, 5)),
        st.tuples(st.just("forget"), st.integers(0, 5)),
        st.tuples(st.just("flush"), st.integers(1, 8)),
        st.tuples(st.just("wait"), st.sampled_from([1, 1, 20, 3 * 3600])),
        st.tuples(st.just("control"), st.sampled_from(["resume", "reduce", "halt", "resume"])),
        st.tuples(st.just("store")),
        st.tuples(st.just("crash"), st.integers(0, 3), st.sampled_from([False, False, True])),
    ),
    min_size=25,
    max_size=60,
)


def play(world: World, steps: list[tuple[Any, ...]]) -> None:
    for name, *arguments in steps:
        if name == "emit":
            symbol, side, changes = arguments
            world.emit(symbol, side, **changes)
        else:
            getattr(world, name)(*arguments)
        world.check()


@settings(max_examples=80, deadline=None)
@given(_steps, st.sampled_from(VARIANTS))
def test_no_limit_is_ever_exceeded(steps: list[tuple[Any, ...]], limits: RiskSettings) -> None:
    play(World(limits), steps)


@settings(max_examples=10, deadline=None)
@given(_steps, st.sampled_from(VARIANTS))
def test_a_restored_risk_supervisor_is_equal_to_the_one_that_was_captured(
    steps: list[tuple[Any, ...]], limits: RiskSettings
) -> None:
    world = World(limits)
    play(world, steps)
    world.same_after_restore()


def test_strategies_that_are_of_two_minds_leave_no_more_than_they_hold() -> None:
    """Two trade against each other and leave again and again; ``World.check_grant`` holds each exit to its share."""
    left: Counter[str] = Counter()
    for seed in range(25):
        world = World(msgspec.structs.replace(OPEN, symbol_notional=D(1_000), equity_fraction=D("0.04")))
        rng = random.Random(seed)
        for _ in range(250):
            _opposed(world, rng)
            world.check()
        left.update(world.approved)
    assert left["leaving"] > 50 and left["entry"] > 50, left


def _opposed(world: World, rng: random.Random) -> None:
    """One buys, the other sells, either leaves; the journal lags, and the supervisor dies now and then."""
    name, pick = rng.choice((*["emit", "decide", "fill"] * 6, *["flush"] * 4, "crash", "control")), rng.randint(0, 5)
    if name == "emit":
        strategy, side = rng.choice((("one", Side.BUY), ("two", Side.SELL)))
        leaves = rng.random() < 0.4
        quantity = rng.choice((D(1), D(2), D(3), None if leaves else D(2)))
        world.emit(
            rng.choice((BTC, BTC, ETH)),
            side.opposite if leaves else side,
            strategy=strategy,
            quantity=quantity,
            conviction=1.0,
            reduce_only=leaves,
        )
    elif name == "fill":
        world.fill(pick, rng.random() < 0.6, rng.randint(-2, 2))
    elif name == "crash":
        world.crash(rng.randint(0, 3), rng.random() < 0.3)
    elif name == "control":
        world.control(rng.choice(("reduce", "resume", "resume")))
    else:
        getattr(world, name)(pick + 1)


def test_long_attacks_keep_within_the_limits_and_do_reach_them() -> None:
    """What is never granted anything shows nothing: entries, reductions and many kinds of denial come about."""
    approved: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for seed in range(30):
        world = World(msgspec.structs.replace(OPEN, loss_streak=2, ensemble=seed % 2 == 0))
        _attack(world, random.Random(seed), 250)
        approved.update(world.approved)
        codes.update(verdict.code for verdict in world.verdicts.values())
    assert approved["entry"] > 20 and approved["reduction"] > 5
    assert {"EXPOSURE_LIMIT_SYMBOL", "EXPOSURE_LIMIT_VENUE", "OPEN_POSITIONS", "ORDER_UNKNOWN"} <= set(codes)
    assert len(codes) > 12, codes


def _attack(world: World, rng: random.Random, steps: int) -> None:
    moves = (*["emit", "decide", "fill"] * 6, *["flush"] * 3, "unknown", "forget", "crash")
    for step in range(steps):
        name = rng.choice(moves)
        pick = rng.randint(0, 5)
        if name == "emit":
            likely, other = (Side.BUY, Side.SELL) if step // 60 % 2 == 0 else (Side.SELL, Side.BUY)
            sizes = (*(D(lots) for lots in range(1, 8)), None, D("0.0001"), D("1E+9"))
            world.emit(
                rng.choice((*SYMBOLS, *SYMBOLS, "nowhere:X")),
                other if rng.random() < 0.2 else likely,
                quantity=rng.choice(sizes),
                conviction=rng.random(),
                reduce_only=rng.random() < 0.1,
            )
        elif name == "fill":
            world.fill(pick, rng.random() < 0.5, rng.randint(-2, 2))
        elif name == "crash":
            world.crash(rng.randint(0, 3), rng.random() < 0.3)
        else:
            getattr(world, name)(pick)
        world.check()


OPEN = msgspec.structs.replace(LIMITS, ensemble=False, loss_streak=0, daily_loss=D(10**6), daily_budget=D(10**6))


@pytest.mark.parametrize(
    ("kept", "told", "symbols"),
    [
        ({}, {"order_notional": D(10**6)}, (BTC,)),
        ({}, {"symbol_notional": D(10**6)}, (BTC,)),
        ({}, {"venue_notional": D(10**6)}, (BTC, ETH)),
        ({}, {"total_notional": D(2_500)}, (BTC, STOCK)),
        ({}, {"category_share": D(1)}, (ETH, STOCK)),
        ({"correlated_share": D("0.6")}, {"correlated_share": D(1)}, (BTC, ETH)),
        ({}, {"max_open_positions": 3}, SYMBOLS),
        ({"daily_budget": D(2_500)}, {"daily_budget": D(10**6)}, (BTC,)),
        ({"daily_loss": D(8)}, {"daily_loss": D(10**6)}, (BTC,)),
        ({"max_drawdown": D("0.0005")}, {"max_drawdown": D(1)}, (BTC,)),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) and given else "",
)
def test_the_checks_notice_a_limit_that_is_not_kept(
    kept: dict[str, Any], told: dict[str, Any], symbols: tuple[str, ...]
) -> None:
    limits = msgspec.structs.replace(OPEN, **kept)
    with pytest.raises(AssertionError):
        _provoke(World(limits, told=msgspec.structs.replace(limits, **told)), symbols)
    _provoke(World(limits), symbols)


def _provoke(world: World, symbols: tuple[str, ...]) -> None:
    """Orders of every size, for a while one way, then the other, that fill at a loss."""
    rng = random.Random(5)
    for step in range(160):
        side = Side.SELL if step // 40 % 2 else Side.BUY
        world.emit(rng.choice(symbols), side, quantity=D(rng.randint(1, 9)), conviction=1.0)
        world.decide(rng.randint(0, 5))
        world.fill(rng.randint(0, 5), rng.random() < 0.3, rng.choice((0, 3 * side.sign)))
        world.flush(8)
        world.check()


def test_a_crash_between_a_grant_and_its_record_grants_nothing_twice() -> None:
    world = World()
    for _ in range(3):
        world.emit(BTC, Side.BUY, quantity=D(5))
        world.decide(0)
        world.crash(1)
        world.check()
    world.emit(STOCK, Side.BUY, quantity=D(4))
    world.check()
    assert world.approved["entry"] <= 2
