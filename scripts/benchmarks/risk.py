"""Measures the risk supervisor: 1,000 signals a second through every gate, by one brain in one process.

A book of 50 symbols, most of them held, with two strategies on each; every signal names five sources that the
policy weighs. One in ten becomes an order; the others are dry runs, which the last gate stops. Market data of
every symbol, and the records of what became of each signal, come in between, and once a second the state is
captured. Arrivals are on the clock of the rate: what is not yet done delays what comes next. Seconds are
measured where the brain runs, without the wire and the journal.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from actors import names
from actors.messages.learning import Policy, PolicyIssued, Stage
from actors.messages.orders import ExchangeState, Filled
from actors.messages.signals import Approved, Blocked, Evaluate, Executed, Generated, Verdict
from actors.risk.brain import RiskBrain
from actors.risk.gates import GATES
from actors.risk.settings import GridSettings, RiskSettings
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Quote
from exchanges.model.order import Fill, Liquidity, Side
from exchanges.model.position import Position
from runtime import codec
from runtime.behavior import Behavior
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, Started
from runtime.message import Message
from strategies.signal import Cause, Signal, signal_id

RATE, AIM_MS = 1_000, 5.0
SYMBOLS = tuple(f"bybit:S{number}USDT" for number in range(50))
SOURCES = ("trend", "momentum", "flow", "reversion", "carry")
REAL = 10
MARKS = 20
"""Quotes of each symbol a second: the connection sends those who want the latest alone at most 100."""
WARM_S, START_NS, SECOND = 130, 1_700_000_000_000_000_000, 1_000_000_000
_PRICE = Decimal(100)


class _Context:
    """Takes what the brain sends; the clock is set by the run."""

    name, epoch = "risk", 1

    def __init__(self) -> None:
        self.now, self.sender = START_NS, "bus"
        self.verdict: Verdict | None = None

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        if isinstance(message, Verdict):
            self.verdict = message

    def record(self, event: Message, **more: Any) -> int:
        raise AssertionError(f"only the bus records, found {event}")

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        """None falls due in a run."""

    def cancel(self, key: str) -> None:
        """None is armed."""

    def count(self, name: str, amount: int = 1) -> None:
        """Counted by the host."""

    def observe(self, name: str, nanoseconds: int) -> None:
        """Measured by the host."""


class _Session:
    """A live brain, and the messages of its second after second."""

    def __init__(self) -> None:
        self.rng = random.Random(3)
        self.brain: Behavior = RiskBrain(_settings())
        self.ctx = _Context()
        self.seq = self.number = 0
        self.prices = dict.fromkeys(SYMBOLS, float(_PRICE))
        self.positions = {symbol: Position(symbol) for symbol in SYMBOLS}
        self.working: list[tuple[Signal, Verdict]] = []
        self._begin()

    def _begin(self) -> None:
        self.tell(Started(1, False))
        self.tell(CaughtUp(0))
        self._exchange()
        for _ in range(WARM_S):
            self.ctx.now += SECOND
            for symbol in SYMBOLS:
                self.tell(self.quote(symbol), "exchange/bybit")
        self._exchange()
        self._hold()
        pairs = [names.pair(strategy, symbol) for strategy in ("one", "two") for symbol in SYMBOLS]
        weights = {f"{source}|": 0.5 + 0.3 * number for number, source in enumerate(SOURCES)}
        policy = Policy(1, weights, thresholds=dict.fromkeys(pairs, 0.1), sizes=dict.fromkeys(pairs, 1.1))
        self.entry(PolicyIssued(policy, Stage.FULL))

    def _hold(self) -> None:
        """Each strategy holds something in four of five symbols."""
        for number, symbol in enumerate(SYMBOLS):
            for strategy in ("one", "two") if number % 5 else ():
                fill = Fill(
                    f"h{number}{strategy}", "", "v", symbol, Side.BUY, _PRICE, Decimal(number), Decimal("0.05"), "USDT",
                    Liquidity.TAKER, self.ctx.now,
                )  # fmt: skip
                held = self.positions[symbol] = self.positions[symbol].apply(fill)
                self.entry(Filled("", strategy, fill, held))

    def _exchange(self) -> None:
        state = ExchangeState(
            "bybit", True, True, True, tuple(map(_instrument, SYMBOLS)), Decimal(10**6), Decimal(10**6)
        )
        self.tell(state, "exchange/bybit")

    def tell(self, message: Message, sender: str = "bus") -> None:
        self.ctx.sender = sender
        self.brain.receive(message, self.ctx)

    def entry(self, event: Message) -> None:
        self.seq += 1
        self.tell(Entry(self.seq, self.ctx.now, "bus", 1, "", 0, codec.encode(event)))

    def quote(self, symbol: str) -> Quote:
        price = self.prices[symbol] = max(self.prices[symbol] * (1 + self.rng.gauss(0, 0.0001)), 1.0)
        return Quote(symbol, 1, 1, self.ctx.now, self.ctx.now, price, 50.0, price * 1.0001, 50.0)

    def signal(self) -> Signal:
        """The next of the round: each strategy on each symbol in turn, either way."""
        self.number += 1
        symbol, rng = SYMBOLS[self.number % len(SYMBOLS)], self.rng
        strategy = "one" if rng.random() < 0.5 else "two"
        cause = f"{symbol}@1.{self.number}"
        side = rng.choice((Side.BUY, Side.SELL))
        return Signal(
            id=signal_id(strategy, symbol, cause, 0),
            strategy=strategy,
            symbol=symbol,
            side=side,
            conviction=0.6,
            created_ns=self.ctx.now,
            ttl_ns=SECOND // 20,
            cause=Cause(cause, "Quote", self.ctx.now, self.ctx.now, self.prices[symbol]),
            dry_run=self.number % REAL > 0,
            sources={source: side.sign * rng.uniform(0.2, 1.0) for source in SOURCES},
        )

    def evaluate(self) -> Iterator[float]:
        """One signal: seconds that its record takes, then its evaluation, then what follows."""
        signal = self.signal()
        of = (signal.id, signal.strategy, signal.symbol)
        yield _timed(lambda: self.entry(Generated(*of, signal)))
        yield _timed(lambda: self.tell(Evaluate(signal)))
        yield _timed(lambda: self._settle(signal, of))

    def _settle(self, signal: Signal, of: tuple[str, str, str]) -> None:
        """Journal the verdict; what was approved fills a little later."""
        verdict = self.ctx.verdict
        assert verdict is not None and verdict.signal_id == signal.id
        if verdict.order is None:
            self.entry(Blocked(*of, verdict.gate, verdict.code, verdict.detail, verdict.steps))
            return
        self.entry(Approved(*of, verdict.order, verdict.steps))
        self.working.append((signal, verdict))
        if len(self.working) > 20:
            self._fill(*self.working.pop(0))

    def _fill(self, signal: Signal, verdict: Verdict) -> None:
        order = verdict.order
        assert order is not None
        fill = Fill(
            f"e{self.seq}", order.client_id, "v", order.symbol, order.side, order.reference_price, order.quantity,
            Decimal("0.05"), "USDT", Liquidity.TAKER, self.ctx.now,
        )  # fmt: skip
        held = self.positions[order.symbol] = self.positions[order.symbol].apply(fill)
        self.entry(Filled(signal.id, signal.strategy, fill, held))
        done = (order.client_id, order.quantity, order.reference_price)
        self.entry(Executed(signal.id, signal.strategy, signal.symbol, *done))


def _settings() -> RiskSettings:
    """Limits that most signals stay within, so that most go through every gate."""
    return RiskSettings(
        symbols=SYMBOLS,
        order_notional=Decimal(2_000),
        symbol_notional=Decimal(10**5),
        total_notional=Decimal(10**6),
        max_open_positions=100,
        daily_loss=Decimal(10**6),
        loss_streak=0,
        orders_per_second=10**6,
        orders_per_minute=10**7,
        leverage=Decimal(10),
        cooldown_ns=0,
        equity_fraction=Decimal("0.001"),
        grid=GridSettings(SECOND, 60),
        max_data_age_ns=10 * SECOND,
        max_state_age_ns=3_600 * SECOND,
    )


def _instrument(symbol: str) -> Instrument:
    native = symbol.partition(":")[2]
    small, least = Decimal("0.001"), Decimal(5)
    return Instrument(
        symbol, "bybit", native, ContractKind.LINEAR_PERPETUAL, native[:-4], "USDT", Decimal("0.01"), small, small,
        Decimal(10**6), least, Decimal("0.0002"), Decimal("0.00055"), max_leverage=Decimal(100),
    )  # fmt: skip


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def run(seconds: int = 20) -> list[dict[str, Any]]:
    """Rows: the evaluation alone, and from the signal's arrival to its verdict, at 1,000 signals a second."""
    session = _Session()
    session.ctx.now += SECOND
    alone: list[float] = []
    whole: list[float] = []
    gates = free = busy = 0.0
    begin = session.ctx.now
    each = len(SYMBOLS) * MARKS / RATE
    for number in range(seconds * RATE):
        arrival = number / RATE
        session.ctx.now = begin + number * SECOND // RATE
        costs = [_timed(lambda: session.tell(session.quote(session.rng.choice(SYMBOLS)), "exchange/bybit"))] * int(each)
        if number % RATE == 0:
            costs.append(_timed(session.brain.snapshot))
        recorded, judged, settled = session.evaluate()
        assert session.ctx.verdict is not None
        gates += len(session.ctx.verdict.steps)
        ready = max(free, arrival) + sum(costs) + recorded + judged
        free = ready + settled
        busy += sum(costs) + recorded + judged + settled
        alone.append(judged * 1e3)
        whole.append((ready - arrival) * 1e3)
    return [
        _row("risk: evaluation alone, median", _quantile(alone, 0.5), "ms"),
        _row("risk: evaluation alone, p99", _quantile(alone, 0.99), "ms"),
        _row(f"risk: arrival to verdict at {RATE:,} signals/s, p99", _quantile(whole, 0.99), "ms"),
        _row(f"risk: steps an evaluation of {len(GATES)} took", gates / len(alone), "steps"),
        _row(f"risk: share of the time at work at {RATE:,} signals/s", busy / seconds, ""),
    ]


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def _row(name: str, figure: float, unit: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "figure": figure, "unit": unit}
    if unit == "ms":
        row |= {"baseline": AIM_MS, "baseline_name": "the aim", "ratio": figure / AIM_MS}
    return row


if __name__ == "__main__":
    for line in run():
        print(f"{line['name']:60} {line['figure']:10.3f} {line['unit']}")
