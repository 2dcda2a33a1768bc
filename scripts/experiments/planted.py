"""A market with planted truth: what each source is worth is known, and when that changes.

At every step sources say from -1 to 1 which way the price will go until the next one. The return is
``deviation * (edge * (a * [volatile] + c * [before the decay]) + noise)``: ``a`` tells the truth in the
volatile regime alone and is noise in the quiet one, ``b`` is noise always, ``c`` tells it in both until
it decays. Positions are held for one step; every trade pays the spread and the taker's fee, both ways.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from actors.learner.settings import LearnerSettings
from actors.risk.settings import RegimeSettings, RiskSettings
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Quote
from exchanges.model.order import OrderType, Side
from scripts.experiments.wheel import VENUE, Wheel
from strategies.signal import Cause, Signal, signal_id

SYMBOL = f"{VENUE}:PLANTED"
STRATEGY = "planted"
SOURCES = ("a", "b", "c")
STEP_NS = 60 * 1_000_000_000
START_NS = 1_700_006_400 * 1_000_000_000


class World(msgspec.Struct, frozen=True):
    """Lengths in steps; deviations and costs as fractions of the price."""

    steps: int = 3_000
    decay: int = 1_500
    block: int = 250
    """How long a regime lasts."""
    quiet: float = 0.002
    volatile: float = 0.0045
    edge: float = 0.4
    """Of an opinion of 1, in deviations of the return."""
    spread: float = 0.0002
    fee: float = 0.0003
    """Of one way; the spread is paid by half each way."""
    least: float = 0.3
    """Opinions are of this strength or more."""


class Moment(msgspec.Struct, frozen=True):
    """One step: the price, what the sources say of the next one, and the true regime."""

    ns: int
    price: float
    opinions: dict[str, float]
    volatile: bool


class Outcome(msgspec.Struct):
    """One run. ``profit`` and ``lost_to_costs`` in the quote currency; ``weights`` by step and ``source|regime``.

    ``profit_after`` is what of it came after the decay. ``noticed`` are steps from the decay to the first
    alarm on ``c``, ``halved`` to the policy in force giving it half of the weight it had; -1: never.
    ``false_alarms`` on it came before.
    """

    seed: int
    profit: float
    profit_after: float
    fees: float
    executed: int
    blocked: dict[str, int]
    full: int
    withdrawn: int
    weights: list[tuple[int, dict[str, float]]]
    noticed: int = -1
    false_alarms: int = 0
    halved: int = -1


def instrument(world: World) -> Instrument:
    return Instrument(
        symbol=SYMBOL,
        venue=VENUE,
        native="PLANTED",
        kind=ContractKind.LINEAR_PERPETUAL,
        base="PLT",
        quote="USDT",
        tick=Decimal("0.0001"),
        lot=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        max_quantity=Decimal(1_000_000),
        min_notional=Decimal(1),
        maker_fee=Decimal(0),
        taker_fee=Decimal(str(world.fee)),
    )


def limits() -> RiskSettings:
    """Limits that are not met: the experiment is about what is learned, and each is tested elsewhere."""
    return RiskSettings(
        symbols=(SYMBOL,),
        order_notional=Decimal(10_000),
        symbol_notional=Decimal(50_000),
        total_notional=Decimal(50_000),
        daily_loss=Decimal(1_000_000),
        max_drawdown=Decimal("0.99"),
        loss_streak=0,
        cooldown_ns=0,
        base_threshold=0.1,
        threshold_min=0.05,
        threshold_max=0.8,
        multiplier_min=0.25,
        equity_fraction=Decimal("0.02"),
        order_type=OrderType.MARKET,
        regime=RegimeSettings(grid_ns=STEP_NS, window=30, long=600),
    )


def terms(**changes: object) -> LearnerSettings:
    """The defaults, but for the horizon: one step."""
    plain = LearnerSettings(symbols=(SYMBOL,), horizon_ns=STEP_NS, stake_limit=2_000.0, stake_fraction=0.02)
    return msgspec.structs.replace(plain, **changes)


def moments(world: World, seed: int) -> Iterator[Moment]:
    """The history of a seed."""
    rng = random.Random(f"planted {seed}")
    price = 100.0
    for step in range(world.steps):
        volatile = (step // world.block) % 2 == 1
        opinions = {source: _opinion(rng, world) for source in SOURCES}
        yield Moment(START_NS + step * STEP_NS, price, opinions, volatile)
        told = opinions["a"] * volatile + opinions["c"] * (step < world.decay)
        scale = world.volatile if volatile else world.quiet
        price *= 1 + scale * (world.edge * told + rng.gauss(0.0, 1.0))


def run(world: World, seed: int, told: LearnerSettings, *, every: int = 50) -> Outcome:
    """Trade through the history of a seed."""
    wheel = Wheel((instrument(world),), limits(), told)
    wheel.open(START_NS - 1)
    weights: list[tuple[int, dict[str, float]]] = []
    halfway, noticed, early = 0.0, -1, 0
    for number, moment in enumerate(moments(world, seed)):
        half = moment.price * world.spread / 2
        bid, ask = round(moment.price - half, 4), round(moment.price + half, 4)
        wheel.market(Quote(SYMBOL, 1, number + 1, moment.ns, moment.ns, bid, 1e6, ask, 1e6))
        if number == world.decay:
            halfway = float(wheel.profit)
        close(wheel, moment, number)
        for ordinal, side in enumerate(sides(moment.opinions)):
            wheel.emit(signal(moment, number, ordinal + 1, side, moment.opinions))
        if number == world.decay:
            early = wheel.learner.known.experts["c|"].cuts
        if noticed < 0 and number > world.decay and alarmed(wheel, world):
            noticed = number - world.decay
        if number % every == 0:
            weights.append((number, in_force(wheel)))
    return _outcome(world, seed, wheel, halfway, weights, (noticed, early))


def close(wheel: Wheel, moment: Moment, number: int) -> None:
    """Leave what the last step entered."""
    held = wheel.position(SYMBOL).quantity
    if held:
        side = Side.SELL if held > 0 else Side.BUY
        wheel.emit(signal(moment, number, 0, side, {}, quantity=abs(held)))


def sides(opinions: dict[str, float]) -> list[Side]:
    """The directions that somebody is for; risk's ensemble has the word which of them it is to be."""
    found = []
    if any(value > 0 for value in opinions.values()):
        found.append(Side.BUY)
    if any(value < 0 for value in opinions.values()):
        found.append(Side.SELL)
    return found


def signal(
    moment: Moment, number: int, ordinal: int, side: Side, opinions: dict[str, float], quantity: Decimal | None = None
) -> Signal:
    tick = f"{SYMBOL}@1.{number + 1}"
    mean = abs(sum(opinions.values())) / len(opinions) if opinions else 1.0
    return Signal(
        id=signal_id(STRATEGY, SYMBOL, tick, ordinal),
        strategy=STRATEGY,
        symbol=SYMBOL,
        side=side,
        conviction=min(mean, 1.0),
        created_ns=moment.ns,
        ttl_ns=STEP_NS // 2,
        cause=Cause(tick, "Quote", moment.ns, moment.ns, moment.price),
        features=dict(opinions),
        sources=opinions,
        quantity=quantity,
        reduce_only=quantity is not None,
    )


def in_force(wheel: Wheel) -> dict[str, float]:
    """The weights of the policy that decides."""
    state = wheel.learner.known
    return dict(state.policy(state.full).weights)


def alarmed(wheel: Wheel, world: World) -> bool:
    """Whether the drift detector of the source that decays, over all regimes, has given an alarm since."""
    return wheel.learner.known.experts["c|"].cut_ns > START_NS + world.decay * STEP_NS


def _opinion(rng: random.Random, world: World) -> float:
    return rng.choice((-1.0, 1.0)) * rng.uniform(world.least, 1.0)


def _outcome(
    world: World,
    seed: int,
    wheel: Wheel,
    halfway: float,
    weights: list[tuple[int, dict[str, float]]],
    alarms: tuple[int, int],
) -> Outcome:
    before = [found.get("c|", 1.0) for step, found in weights if step <= world.decay]
    fallen = [step for step, found in weights if step > world.decay and found.get("c|", 1.0) <= before[-1] / 2]
    stages = [issued.stage.value for issued in wheel.policies]
    return Outcome(
        seed=seed,
        profit=float(wheel.profit),
        profit_after=float(wheel.profit) - halfway,
        fees=float(sum((held.fees for held in wheel.positions.values()), Decimal(0))),
        executed=wheel.executed,
        blocked=dict(wheel.blocked),
        full=stages.count("full"),
        withdrawn=stages.count("withdrawn"),
        weights=weights,
        noticed=alarms[0],
        false_alarms=alarms[1],
        halved=fallen[0] - world.decay if fallen else -1,
    )
