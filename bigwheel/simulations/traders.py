"""Who emits signals in the trading simulation, besides the built-in strategies."""

from __future__ import annotations

import hashlib
import random
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from actors.messages.control import Control
from actors.messages.signals import Emit, Generated
from actors.names import BUS
from bigwheel.simulations.venue import BTC, ETH
from exchanges.model.flow import (
    Bracket,
    Chase,
    Conditional,
    Direction,
    Flow,
    Iceberg,
    Oco,
    Rest,
    TrailingStop,
    Trigger,
    Twap,
)
from exchanges.model.market import Bar, Trade
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position
from runtime import codec
from runtime.behavior import Context
from runtime.lanes import Lane
from runtime.lifecycle import CaughtUp, DeadLetter, Entry, PeerUp, Started
from runtime.message import Message
from runtime.simulation.faults import MILLISECOND, SECOND
from strategies.signal import Cause, Signal, signal_id
from strategies.strategy import Strategy

ROGUE = "strategy/rogue/bybit:BTCUSDT"
OPERATOR = "operator"


class Gambler(Strategy):
    """Buys, sells and exits by the hash of what it sees: any side, any size, any limit."""

    def on_trade(self, trade: Trade) -> None:
        rng = _rng(self.symbol, trade.tick_id)
        roll = rng.random()
        if roll < 0.25:
            price = Decimal(str(trade.price)) * Decimal(str(rng.choice((0.9, 0.999, 1, 1.001, 1.1))))
            self.signal(
                rng.choice(("buy", "sell")),
                rng.random(),
                quantity=rng.choice((None, None, "0.01", "0.02", "0.03", "0.0005", "7", "0.123456789", "1e9")),
                limit_price=rng.choice((None, None, None, price)),
                ttl=rng.choice((None, 0.05, 1.0, 20.0)),
                reduce_only=rng.random() < 0.1,
            )
        elif roll < 0.3:
            self.exit("enough")

    def on_fill(self, fill: Fill, position: Position) -> None:
        if abs(position.quantity) > 1:
            self.exit("too much")


class Planner(Strategy):
    """Trades through flows of every kind, by the hash of what it sees, and takes some of them back."""

    def on_start(self) -> None:
        self.given: list[str] = []

    def on_trade(self, trade: Trade) -> None:
        rng = _rng(self.symbol, trade.tick_id, "flows")
        roll, price = rng.random(), Decimal(str(trade.price))
        if roll < 0.02 and self.given:
            self.cancel(self.given.pop(), "changed my mind")
        elif roll < 0.04:
            self.exit("enough")
        elif roll < 0.14:
            side = rng.choice((Side.BUY, Side.SELL))
            held = self.position.quantity
            if held and rng.random() < 0.4:
                self._protect(rng, price, held)
            else:
                kind = rng.choice(("twap", "twap", "iceberg", "chase", "rest", "conditional", "bracket", "bracket"))
                near = price * (1 - side.sign * Decimal("0.0002"))
                limit = near if kind in ("iceberg", "rest") else None
                quantity = (Decimal(rng.choice((150, 400, 1_000))) / price).quantize(Decimal("0.01")) or Decimal("0.01")
                self._keep(self.signal(side, 1.0, kind, quantity, 5.0, False, limit, _entry(kind, rng, price, side)))

    def _protect(self, rng: random.Random, price: Decimal, held: Decimal) -> None:
        side = Side.SELL if held > 0 else Side.BUY
        away = price * Decimal(str(rng.choice((0.0001, 0.0005, 0.002)))) * -side.sign
        lifetime = int(rng.uniform(0.5, 6) * SECOND)
        flow = rng.choice((Oco(price + away, price - away, lifetime), TrailingStop(abs(away), lifetime)))
        self._keep(self.signal(side, 1.0, "protect", abs(held), 5.0, True, None, flow))

    def _keep(self, signal: str) -> None:
        self.given = [*self.given[-3:], signal] if signal else self.given


def _entry(kind: str, rng: random.Random, price: Decimal, side: Side) -> Flow:
    """A flow that opens a position and has ended some seconds later."""
    lifetime, step = int(rng.uniform(0.3, 5) * SECOND), price * Decimal("0.0004") * side.sign
    above, below = Trigger(Direction.ABOVE, price + abs(step)), Trigger(Direction.BELOW, price - abs(step))
    made: dict[str, Flow] = {
        "twap": Twap(lifetime, rng.randint(2, 6)),
        "iceberg": Iceberg(Decimal(rng.choice(("0.03", "0.1"))), lifetime),
        "chase": Chase(rng.choice((0, 3, 40)), SECOND // 5, 4, lifetime, rng.random() < 0.5),
        "rest": Rest(lifetime, rng.random() < 0.5),
        "conditional": Conditional(rng.choice(((above,), (below,), (above, below))), rng.random() < 0.3, lifetime),
        "bracket": Bracket(
            price + step if rng.random() < 0.8 else None,
            price - step,
            abs(step) / 2 if rng.random() < 0.5 else None,
            lifetime,
        ),
    }
    return made[kind]


class Protector(Strategy):
    """Opens brackets of every shape, one after the other, whose exits are too far away to be met by chance."""

    def on_trade(self, trade: Trade) -> None:
        rng, price = _rng(self.symbol, trade.tick_id, "protector"), Decimal(str(trade.price))
        if self.position.quantity or rng.random() > 0.2:
            return
        side = rng.choice((Side.BUY, Side.SELL))
        far = price * Decimal("0.02") * side.sign
        flow = Bracket(
            price + far if rng.random() < 0.5 else None,
            price - far if rng.random() < 0.7 else None,
            abs(far) * rng.choice((1, 2)),
            int(rng.uniform(30, 40) * SECOND),
        )
        quantity = (Decimal(rng.choice((400, 1_000))) / price).quantize(Decimal("0.01")) or Decimal("0.01")
        self.signal(side, 1.0, "bracket", quantity, 5.0, False, None, flow)


class Pair(Strategy):
    """Listens to all symbols, wants a past, and trades one by what another does and by bars of its own length."""

    together = True
    timeframes = ("1s",)
    history = {"1m": 5}

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, int]] = []

    def on_bar(self, bar: Bar) -> None:
        which = (bar.symbol, bar.interval_ns, bar.ts_ns)
        if which in self.bars:
            raise AssertionError(f"expected each bar once, found {bar} again")
        self.bars.append(which)
        if bar.interval_ns == SECOND:
            held = self.positions[bar.symbol].quantity
            self.signal("sell" if held > 0 else "buy", 1.0, "a bar", quantity="0.01", symbol=bar.symbol)

    def on_trade(self, trade: Trade) -> None:
        rng = _rng("pair", trade.tick_id)
        if rng.random() < 0.05:
            symbol = rng.choice(self.symbols)
            if symbol in self.desk.latest:
                self.exit("enough", symbol=symbol)
                self.buy(rng.random(), symbol=symbol)


class RogueTick(Message, array_like=True):
    """The rogue's timer."""

    lane: ClassVar[Lane] = Lane.DATA


class RogueBrain:
    """Emits signals no strategy could make: wrong symbols, no size, no number, twice, from the past.

    It keeps to one rule: the same id is always the same signal, and what has not been journaled
    is emitted again when the bus comes back.
    """

    def __init__(self, period_ns: int) -> None:
        self.period_ns = period_ns
        self.number = 0
        self.open: dict[int, Signal] = {}
        self.stopped = self.ready = False

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Started):
            ctx.timer("tick", self.period_ns, RogueTick())
        elif isinstance(message, RogueTick):
            ctx.timer("tick", self.period_ns, RogueTick())
            if self.ready and not self.stopped:
                self._emit(ctx)
        elif isinstance(message, CaughtUp):
            self.ready = True
            self._again(ctx)
        elif isinstance(message, PeerUp):
            self._again(ctx)
        elif isinstance(message, Entry):
            self._entry(message.event)

    def _entry(self, event: Message) -> None:
        """A signal was journaled, or refused for good."""
        if isinstance(event, DeadLetter) and event.kind == "Emit" and event.body:
            event = codec.decode(event.body)
        if isinstance(event, Generated | Emit) and event.signal.strategy == "rogue":
            number = int(event.signal.reason)
            self.open.pop(number, None)
            self.number = max(self.number, number + 1)

    def _emit(self, ctx: Context) -> None:
        number, self.number = self.number, self.number + 1
        self.open[number] = self._signal(number, ctx.epoch, ctx.now)
        ctx.send(BUS, Emit(self.open[number]))
        if number % 7 == 0:
            ctx.send(BUS, Emit(self.open[number]))

    def _again(self, ctx: Context) -> None:
        for signal in self.open.values():
            ctx.send(BUS, Emit(signal))

    def _signal(self, number: int, epoch: int, now: int) -> Signal:
        rng = _rng("rogue", str(number), str(epoch))
        symbol = rng.choice((BTC, BTC, ETH, "bybit:NONE", "nowhere:BTC", ""))
        cause = f"{symbol}@{epoch}.{number}"
        price = rng.choice((50_000.0, 2_500.0, 0.0, -1.0))
        quantity: Any = rng.choice((None, "0", "-1", "0.01", "1E+9", "0.0000001", "Infinity"))
        return Signal(
            id=signal_id("rogue", symbol, cause, 0),
            strategy="rogue",
            symbol=symbol,
            side=rng.choice((Side.BUY, Side.SELL)),
            conviction=rng.choice((0.5, 1.0, 1.5, -0.5, 0.0)),
            created_ns=now - rng.choice((0, 0, 0, SECOND, 60 * SECOND)),
            ttl_ns=rng.choice((10 * SECOND, SECOND, 1, 0, -5)),
            cause=Cause(cause, "Trade", now, now, price),
            reason=str(number),
            quantity=None if quantity is None else Decimal(quantity),
            limit_price=rng.choice((None, None, Decimal(1), Decimal(-1), Decimal(100_000))),
            reduce_only=rng.random() < 0.2,
        )

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.number, list(self.open.values())))

    def restore(self, data: bytes) -> None:
        self.number, signals = msgspec.msgpack.decode(data, type=tuple[int, list[Signal]])
        self.open = {int(signal.reason): signal for signal in signals}

    def status(self) -> dict[str, object]:
        return {}


class OperatorTick(Message, array_like=True):
    """The operator's timer."""

    lane: ClassVar[Lane] = Lane.DATA


class OperatorBrain:
    """A nervous person at the controls: halts, reduces, panics, and lets it go on soon after."""

    def __init__(self, period_ns: int, actions: tuple[str, ...], targets: tuple[str, ...]) -> None:
        self.period_ns, self.actions, self.targets = period_ns, actions, targets
        self.number = 0
        self.stopped = False

    def receive(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Started):
            ctx.timer("tick", self.period_ns, OperatorTick())
        elif isinstance(message, OperatorTick) and not (self.stopped and self.number % 2 == 0):
            self.number += 1
            rng = _rng("operator", str(ctx.epoch), str(self.number))
            action = rng.choice(self.actions) if self.number % 2 else "resume"
            for target in self.targets:
                ctx.send(target, Control(f"{action}-{ctx.epoch}-{self.number}", action, "operator"))
            ctx.timer("tick", self.period_ns if self.number % 2 == 0 else SECOND // 2, OperatorTick())

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.number)

    def restore(self, data: bytes) -> None:
        self.number = msgspec.msgpack.decode(data, type=int)

    def status(self) -> dict[str, object]:
        return {}


def _rng(*parts: str) -> random.Random:
    return random.Random(hashlib.blake2b("|".join(parts).encode(), digest_size=8).digest())


PERIODS_NS = (40 * MILLISECOND, 150 * MILLISECOND, 600 * MILLISECOND)
