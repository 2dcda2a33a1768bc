"""An attack on the limits: strategies that emit anything at any rate, with every fault, checked after every event.

A history is short, so that thousands of them take minutes.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import msgspec

from actors import names
from actors.bus.brain import BusBrain
from actors.bus.settings import BusSettings
from actors.exchange.brain import KINDS as EXCHANGE_KINDS
from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.messages.orders import Filled
from actors.messages.signals import Approved, ApprovedOrder, Emit, Generated
from actors.risk.brain import KINDS as RISK_KINDS
from actors.risk.brain import RiskBrain
from actors.risk.fold import recall
from actors.risk.settings import HighTrack, RiskSettings
from actors.risk.state import RiskState
from bigwheel.simulations.audit import Audit
from bigwheel.simulations.script import Script
from bigwheel.simulations.simulation import Simulation
from bigwheel.simulations.traders import RogueBrain
from bigwheel.simulations.venue import BTC, ETH, PRICES, SYMBOLS, SimulatedVenue, VenueFaults
from exchanges.model.flow import Bracket, Chase, Flow, Twap
from exchanges.model.order import OrderType, Side
from exchanges.model.position import Position
from exchanges.model.venue import VENUE_PORT
from runtime import codec
from runtime.behavior import Behavior, Context
from runtime.lifecycle import DeadLetter, Subscribe
from runtime.message import Message
from runtime.simulation.faults import MILLISECOND, SECOND, FaultPlan
from runtime.simulation.process import CellSpec, Process
from runtime.simulation.world import World
from strategies.signal import Cause, Signal, signal_id

EXCHANGE = names.exchange("bybit")
ATTACKERS = ("strategy/one/bybit:BTCUSDT", "strategy/two/bybit:ETHUSDT")
PERIODS_NS = (4 * MILLISECOND, 10 * MILLISECOND, 20 * MILLISECOND)
_ZERO = Decimal(0)
_DRIFT = Decimal("1.02")
"""Marks move between a judgement and what comes of it."""
_PASS = Decimal(10)
"""What one pass of a host can bring to light after its decision: some fills, with fees and slippage."""


class AttackerBrain(RogueBrain):
    """Signals of every size, side and price, exits, and some that make no sense, under many strategies' names."""

    def __init__(self, name: str, period_ns: int) -> None:
        super().__init__(period_ns)
        self.prefix = f"{name.split('/')[1]}-"

    def _entry(self, event: Message) -> None:
        if isinstance(event, DeadLetter) and event.kind == "Emit" and event.body:
            event = codec.decode(event.body)
        if isinstance(event, Generated | Emit) and event.signal.strategy.startswith(self.prefix):
            number = int(event.signal.reason)
            self.open.pop(number, None)
            self.number = max(self.number, number + 1)

    def _signal(self, number: int, epoch: int, now: int) -> Signal:
        digest = hashlib.blake2b(f"{self.prefix}{number}|{epoch}".encode(), digest_size=8).digest()
        rng = random.Random(digest)
        symbol = rng.choice((*[BTC, ETH] * 6, "bybit:NONE"))
        strategy, cause = f"{self.prefix}{rng.randint(0, 9)}", f"{symbol}@{epoch}.{number}"
        price = PRICES.get(symbol, 1.0)
        notional = rng.choice((None, 0.01, 200, 500, 900, 1_400, 1_900, 1_990, 2_500, 20_000, 1e9))
        limit = rng.choice((None, None, None, 0.5, 0.999, 1.001, 2.0))
        side, reduce_only = rng.choice((Side.BUY, Side.SELL)), rng.random() < 0.15
        return Signal(
            id=signal_id(strategy, symbol, cause, 0),
            strategy=strategy,
            symbol=symbol,
            side=side,
            conviction=rng.choice((1.0, 0.9, 0.5, 0.0)),
            created_ns=now,
            ttl_ns=rng.choice((SECOND, SECOND, 20 * MILLISECOND, 60 * SECOND)),
            cause=Cause(cause, "Trade", now, now, price),
            reason=str(number),
            quantity=None if notional is None else Decimal(f"{notional / price:.3f}"),
            limit_price=None if limit is None else Decimal(f"{price * limit:.1f}"),
            reduce_only=reduce_only,
            flow=None if reduce_only or rng.random() < 0.7 else _flow(rng, price, side),
        )


def _flow(rng: random.Random, price: float, side: Side) -> Flow:
    """A way of several orders, soon over, whose exits are near enough to be met."""
    above, below = (Decimal(f"{price * (1 + way * rng.choice((0.0002, 0.002))):.1f}") for way in (1, -1))
    take, stop = (above, below) if side is Side.BUY else (below, above)
    lasting = 400 * MILLISECOND
    return rng.choice(
        (
            Twap(200 * MILLISECOND, 3),
            Chase(interval_ns=20 * MILLISECOND, moves=3, patience_ns=100 * MILLISECOND),
            Bracket(take, stop, lifetime_ns=lasting),
            Bracket(take, stop, lifetime_ns=lasting),
        )
    )


class AttackAudit(Audit):
    """Checks every limit on what is committed, on what the venue holds, and on what risk knew when it granted."""

    def __init__(self, world: World, venues: Sequence[SimulatedVenue], limits: RiskSettings) -> None:
        super().__init__(world, venues, limits)
        (self.venue,) = self.venues
        self.budget = _ZERO
        self.entries = 0
        self.held = {symbol: Position(symbol) for symbol in SYMBOLS}
        self.numbers: list[int] = []
        self.books: list[tuple[Position, ...]] = []
        self.grants: set[tuple[int, str]] = set()
        self.filled_count = 0
        self.judged: Process | None = None
        """The risk supervisor's incarnation whose grants have all been looked at; ``None`` after it did something."""
        world.observers.append(self._risk_acts)

    def _risk_acts(self, process: Process, ctx: Context, message: Message) -> None:
        if process.name == names.RISK:
            self.judged, self.world.touched = None, True

    def overlooked(self) -> str:
        """What came to the journal, to the venue or to what risk has decided since the last look."""
        if len(self.venue.fills) > self.filled_count:
            return f"fills at {self.venue.name}"
        return "grants" if any(True for _ in self._new_grants()) else super().overlooked()

    def look(self) -> None:
        """After every event."""
        super().look()
        if self.judged is not self.world.processes[names.RISK]:
            self._grants()
        if len(self.venue.fills) > self.filled_count:
            self.filled_count = len(self.venue.fills)
            self._truth()

    def _approval(self, event: Approved) -> None:
        super()._approval(event)
        order, limits = event.order, self.limits
        if order.reduce_only:
            return
        if not order.closes:
            self._entry(order)
        exposure = {symbol: self._exposure(symbol) for symbol in SYMBOLS}
        self._limit("venue_notional", sum(exposure.values(), _ZERO), (limits.venue_notional or _ZERO) * _DRIFT)
        self._limit("category_share", exposure[ETH], limits.category_share * limits.total_notional * _DRIFT)
        named = sum(1 for value in exposure.values() if value)
        self._limit("max_open_positions", Decimal(named), Decimal(limits.max_open_positions))

    def _entry(self, order: ApprovedOrder) -> None:
        limits = self.limits
        self.entries += 1
        most = max(limits.order_notional, limits.high.order_notional or _ZERO)
        notional = order.quantity * max(order.price or _ZERO, order.reference_price)
        self._limit("order_notional", notional, most)
        self.budget += order.quantity * (order.price or order.reference_price)
        self._limit("daily_budget", self.budget, limits.daily_budget or _ZERO)

    def _fill(self, event: Filled, ts: int) -> None:
        super()._fill(event, ts)
        self.held[event.fill.symbol] = event.position
        self.numbers.append(self.read)
        self.books.append(tuple(self.held.values()))

    def _truth(self) -> None:
        """What the venue itself holds, whatever any of us knows of it."""
        worth = {
            symbol: abs(self.venue.position(symbol)) * Decimal(str(self.venue.prices[symbol])) for symbol in SYMBOLS
        }
        self._limit("symbol_notional at the venue", max(worth.values()), self.limits.symbol_notional * _DRIFT)
        self._limit("total_notional at the venue", sum(worth.values(), _ZERO), self.limits.total_notional * _DRIFT)

    def _grants(self) -> None:
        """No entry is granted by one who knows of a loss, or a fall from the peak, that is too large."""
        process = self.world.processes[names.RISK]
        for state, found in self._new_grants():
            self.grants.add((process.epoch, found))
            verdict = recall(state, found)
            if verdict is not None and verdict.order is not None and not verdict.order.reduce_only:
                self._losses(state.seq)
        self.judged = process

    def _new_grants(self) -> Iterator[tuple[RiskState, str]]:
        """What the present risk supervisor has decided, and nobody has looked at."""
        process = self.world.processes[names.RISK]
        if process.alive:
            state: RiskState = self.state(names.RISK)
            for found in state.own:
                if (process.epoch, found) not in self.grants:
                    yield state, found

    def _losses(self, seq: int) -> None:
        known = bisect_right(self.numbers, seq)
        if not known:
            return
        profits = [self._profit(book) for book in self.books[max(known - 40, 0) : known]]
        self._limit("daily_loss", -profits[-1], self.limits.daily_loss + _PASS)
        equity = Decimal(100_000)
        fallen = max(profits) - profits[-1]
        self._limit("max_drawdown", fallen, self.limits.max_drawdown * equity + _PASS)

    def _profit(self, book: tuple[Position, ...]) -> Decimal:
        prices = {symbol: Decimal(str(price)) for symbol, price in self.venue.prices.items()}
        return sum((held.realized - held.fees + held.unrealized(prices[held.symbol]) for held in book), _ZERO)

    def _limit(self, name: str, value: Decimal, limit: Decimal) -> None:
        if value > limit:
            invariant = "limit-" + name.replace("_", "-").replace(" ", "-")
            self.world.fail(invariant, f"{name} is exceeded: {value} of {limit}")


class Attack(Simulation):
    """One seeded attack: ``run`` it, and no limit was exceeded at any moment.

    Args:
        script: Which seed, and how much of it.
        plan, venue: What goes wrong; by default drawn from the seed.
        kept: The limits the audit holds everybody to; by default drawn from the seed.
        risk: Makes the brain that has to keep them.
        trace: Lines of history to keep.
    """

    SECONDS = 0.9

    def __init__(
        self,
        script: Script,
        *,
        plan: FaultPlan | None = None,
        venue: VenueFaults | None = None,
        kept: RiskSettings | None = None,
        risk: Callable[[RiskSettings], Behavior] = RiskBrain,
        trace: int = 4_000,
    ) -> None:
        seed = script.seed
        rng = random.Random(f"attack {seed}")
        self.world = self._world(script, plan or brisk(seed), rng, trace)
        self.venues = self._market(SYMBOLS, lambda name: venue or near(seed))
        self.limits = kept or limits(rng)
        self.audit = AttackAudit(self.world, self.venues, self.limits)
        self._tree(rng, risk)

    def _tree(self, rng: random.Random, risk: Callable[[RiskSettings], Behavior]) -> None:
        told = ExchangeSettings("bybit", SYMBOLS, reconcile_ns=2 * SECOND, answer_ns=SECOND, query_max_ns=SECOND // 2)
        core = (
            (names.BUS, lambda: BusBrain(BusSettings()), (), (names.RISK,)),
            (names.RISK, lambda: risk(self.limits), RISK_KINDS, (names.BUS, EXCHANGE)),
            (EXCHANGE, lambda: ExchangeBrain(told), EXCHANGE_KINDS, (names.BUS, names.RISK)),
        )
        for name, build, kinds, peers in core:
            cell = CellSpec(name, build, Subscribe(0, kinds) if kinds else None, peers)
            ports = {VENUE_PORT: self.venues[0]} if name == EXCHANGE else {}
            self._host(name, (cell,), journal=name == names.BUS, ports=ports)
        cells = tuple(
            CellSpec(
                name,
                self._attacker(name, rng.choice(PERIODS_NS)),
                Subscribe(0, ("Generated", "DeadLetter")),
                (names.BUS,),
            )
            for name in ATTACKERS
        )
        self._host(ATTACKERS[0], cells)

    def _attacker(self, name: str, period_ns: int) -> Callable[[], Behavior]:
        return lambda: AttackerBrain(name, period_ns)

    @property
    def parts(self) -> tuple[str, ...]:
        return (*(name for name in ATTACKERS if name in self.world.hosts_by_cell), *SYMBOLS)

    def play(self, seconds: float) -> None:
        self.world.start()
        self.world.run(int(seconds * SECOND))
        self.heal()
        self.world.run(int((seconds + 0.2) * SECOND))


def brisk(seed: int) -> FaultPlan:
    """The seed's faults, with successors that start soon: what is down can't be attacked."""
    plan = FaultPlan.from_seed(seed)
    least, most = plan.restart_ns
    calm = max(plan.crash_every_ns, SECOND) if plan.crash_every_ns else 0
    return msgspec.structs.replace(plan, restart_ns=(least, min(most, 200 * MILLISECOND)), crash_every_ns=calm)


def near(seed: int) -> VenueFaults:
    """The seed's venue, close by: what is under way comes to something before the run ends."""
    faults = VenueFaults.from_seed(seed)
    least, most = faults.delay_ns
    delay, timeout = (least, min(most, 25 * MILLISECOND)), min(faults.timeout_ns, 300 * MILLISECOND)
    return msgspec.structs.replace(faults, delay_ns=delay, timeout_ns=timeout, partial=0.0)


def limits(rng: random.Random) -> RiskSettings:
    """Limits that an attack soon reaches; which of them first differs from seed to seed."""
    return RiskSettings(
        symbols=SYMBOLS,
        order_type=rng.choice((OrderType.LIMIT, OrderType.MARKET)),
        symbol_notional=Decimal(rng.choice((2_500, 5_000))),
        venue_notional=Decimal(rng.choice((4_000, 6_000))),
        total_notional=Decimal(6_000),
        correlated_share=Decimal(1),
        categories={ETH: "other"},
        category_share=Decimal(rng.choice(("0.4", "1"))),
        max_open_positions=rng.choice((1, 2, 2)),
        daily_budget=Decimal(rng.choice((20_000, 1_000_000))),
        daily_loss=Decimal(rng.choice((20, 1_000))),
        max_drawdown=Decimal(rng.choice(("0.0003", "0.2"))),
        loss_streak=rng.choice((0, 3)),
        loss_pause_ns=SECOND,
        ensemble=rng.random() < 0.3,
        high=rng.choice((HighTrack(), HighTrack(0.9, Decimal("0.03"), Decimal(2_400), cooldown_ns=0))),
        cooldown_ns=0,
        orders_per_second=rng.choice((20, 1_000, 1_000, 1_000)),
        orders_per_minute=100_000,
        equity_fraction=Decimal("0.015"),
        rounding_tolerance=Decimal("0.1"),
    )
