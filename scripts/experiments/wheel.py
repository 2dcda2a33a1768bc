"""Risk and learner as they are, with a bus and an exchange that do the same work in memory.

Every record goes through the codec to every brain that subscribes to its kind, in one order, as
from the journal. Nothing is random here and no clock is read, so a run is its input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from actors import names
from actors.learner.brain import KINDS as LEARNER_KINDS
from actors.learner.brain import LearnerBrain
from actors.learner.settings import LearnerSettings
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued, Stage
from actors.messages.orders import ExchangeState, Filled
from actors.messages.signals import Approved, ApprovedOrder, Blocked, Evaluate, Executed, Generated, Learned, Verdict
from actors.risk.brain import KINDS as RISK_KINDS
from actors.risk.brain import RiskBrain
from actors.risk.settings import RiskSettings
from exchanges.model.instrument import Instrument
from exchanges.model.market import MarketData, Quote
from exchanges.model.order import Fill, Liquidity, Side
from exchanges.model.position import Position
from runtime import codec
from runtime.behavior import Behavior
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, Started
from runtime.message import Message
from strategies.signal import Signal

VENUE = "bybit"


class Door:
    """A brain's context: what it sends waits in ``sent``."""

    epoch = 1

    def __init__(self, name: str) -> None:
        self.name, self.sender, self.now = name, name, 0
        self.sent: list[Message] = []
        self.timers: dict[str, tuple[int, Message]] = {}
        self.counters: Counter[str] = Counter()

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        if to == names.BUS:
            self.sent.append(message)

    def record(
        self, event: Message, *, keys: Mapping[str, str], correlation: str = "", causation: int = 0, urgent: bool = True
    ) -> int:
        raise RuntimeError(f"expected the bus to record, found {self.name} doing it")

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        self.timers[key] = (self.now + delay_ns, message)

    def cancel(self, key: str) -> None:
        self.timers.pop(key, None)

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] += amount

    def observe(self, name: str, nanoseconds: int) -> None:
        self.counters[name] += 1

    def taken(self) -> list[Message]:
        """What was sent to the bus since the last call."""
        sent, self.sent = self.sent, []
        return sent


class Wheel:
    """A session of one venue. ``lessons`` and ``policies`` are all that there were, in order."""

    def __init__(
        self,
        instruments: tuple[Instrument, ...],
        limits: RiskSettings,
        terms: LearnerSettings,
        *,
        equity: Decimal = Decimal(100_000),
    ) -> None:
        self.instruments = {each.symbol: each for each in instruments}
        self.start = equity
        self.seq = 0
        self.now = 0
        self.last_approved = ""
        self.quotes: dict[str, Quote] = {}
        self.positions: dict[str, Position] = {}
        self.lessons: list[Lesson] = []
        self.policies: list[PolicyIssued] = []
        self.blocked: Counter[str] = Counter()
        self.executed = 0
        self.risk, self.learner = RiskBrain(limits), LearnerBrain(terms)
        self._doors: list[tuple[Behavior, Door, frozenset[str]]] = [
            (self.risk, Door(names.RISK), frozenset(RISK_KINDS)),
            (self.learner, Door(names.LEARNER), frozenset(LEARNER_KINDS)),
        ]
        self.told: list[FeedbackIssued] = []
        """Feedback since somebody took it."""
        self.filled: list[Filled] = []
        """Fills since somebody took them."""

    def open(self, now: int) -> None:
        """Start both brains at ``now``."""
        self._time(now)
        for brain, door, _ in self._doors:
            self._deliver(brain, door, Started(1, False))
            self._deliver(brain, door, CaughtUp(0))
        self._state()
        self.record(self._exchange())

    def market(self, *data: MarketData) -> None:
        """A moment of the market: quotes and whatever else there is, at one time of receipt."""
        self._time(data[0].recv_ns)
        self._state()
        for piece in data:
            if isinstance(piece, Quote):
                self.quotes[piece.symbol] = piece
            for brain, door, _ in self._doors:
                self._deliver(brain, door, piece, names.exchange(VENUE))
        for brain, door, _ in self._doors:
            due = [key for key, (at, _) in door.timers.items() if at <= self.now]
            for key in due:
                self._deliver(brain, door, door.timers.pop(key)[1])
        self._pump()

    def emit(self, signal: Signal) -> Verdict:
        """Take a signal through risk and, if it is approved, to its fill at the touch."""
        self.record(Generated(signal.id, signal.strategy, signal.symbol, signal))
        risk, door, _ = self._doors[0]
        self._deliver(risk, door, Evaluate(signal, 1, self.last_approved), names.BUS)
        verdict = next(said for said in door.taken() if isinstance(said, Verdict))
        of, learned = (signal.id, signal.strategy, signal.symbol), (verdict.regime, verdict.policy, verdict.arm)
        if verdict.order is None:
            self.blocked[verdict.gate] += 1
            self.record(Blocked(*of, verdict.gate, verdict.code, verdict.detail, verdict.steps, *learned))
        else:
            self.last_approved = signal.id
            self.record(Approved(*of, verdict.order, verdict.steps, *learned))
            self._execute(verdict.order)
        self._pump()
        return verdict

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol)

    @property
    def profit(self) -> Decimal:
        """Realised and, at the mid price, unrealised profit, net of fees."""
        total = Decimal(0)
        for symbol, held in self.positions.items():
            mid = Decimal(repr(self.quotes[symbol].mid))
            total += held.realized - held.fees + held.unrealized(mid)
        return total

    # -- what the bus and the exchange connection do ----------------------------------------

    def record(self, event: Message) -> None:
        """Journal an event: everyone who subscribed to its kind folds it."""
        self.seq += 1
        body, kind = codec.encode(event), type(event).__name__
        for brain, door, kinds in self._doors:
            if kind in kinds:
                self._deliver(brain, door, Entry(self.seq, self.now, names.BUS, 1, "", 0, body), names.BUS)

    def _execute(self, order: ApprovedOrder) -> None:
        quote = self.quotes[order.symbol]
        price = Decimal(repr(quote.ask if order.side is Side.BUY else quote.bid))
        instrument = self.instruments[order.symbol]
        fee = instrument.fee(price, order.quantity, Liquidity.TAKER)
        fill = Fill(
            execution_id=f"x-{order.client_id}",
            client_id=order.client_id,
            venue_id=order.client_id,
            symbol=order.symbol,
            side=order.side,
            price=price,
            quantity=order.quantity,
            fee=fee,
            fee_currency=instrument.quote,
            liquidity=Liquidity.TAKER,
            ts_ns=quote.ts_ns,
        )
        self.executed += 1
        self.positions[order.symbol] = self.position(order.symbol).apply(fill)
        self.filled.append(Filled(order.signal_id, order.strategy, fill, self.positions[order.symbol]))
        self.record(self.filled[-1])
        self.record(Executed(order.signal_id, order.strategy, order.symbol, order.client_id, order.quantity, price))

    def _pump(self) -> None:
        """Journal what the brains have said until they say no more."""
        while said := [message for _, door, _ in self._doors for message in door.taken()]:
            for message in said:
                if isinstance(message, Lesson):
                    self.lessons.append(message)
                    self.record(message)
                    of = (message.signal_id, message.strategy, message.symbol)
                    self.record(Learned(*of, 0, message.value))
                elif isinstance(message, PolicyIssued):
                    self.policies.append(message)
                    self.record(message)
                elif isinstance(message, FeedbackIssued):
                    self.told.append(message)
                    self.record(message)

    def _exchange(self) -> ExchangeState:
        equity = self.start + self.profit
        return ExchangeState(
            VENUE,
            public_up=True,
            private_up=True,
            reconciled=True,
            instruments=tuple(self.instruments.values()),
            cash=equity,
            equity=equity,
        )

    def _state(self) -> None:
        """The connection's word on itself, which risk wants to be fresh."""
        risk, door, _ = self._doors[0]
        self._deliver(risk, door, self._exchange(), names.exchange(VENUE))

    def _time(self, now: int) -> None:
        self.now = now
        for _, door, _ in self._doors:
            door.now = now

    def _deliver(self, brain: Behavior, door: Door, message: Message, sender: str = "") -> None:
        door.sender = sender or door.name
        brain.receive(message, door)
        door.sender = door.name


def without_learning(terms: LearnerSettings) -> LearnerSettings:
    """The same, but nothing that is learned decides."""
    return msgspec.structs.replace(terms, stage=Stage.WITHDRAWN)
