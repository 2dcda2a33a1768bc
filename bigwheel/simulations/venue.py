"""A venue for the trading simulation: the real matching engine behind a bad connection.

It outlives every host, and what a host sent before it died still arrives. A command of an older
incarnation after one of a newer, or a panic that opens a position, fails the run at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import msgspec

from actors.exchange.outbox import signal_of
from actors.exchange.state import PANIC_PREFIX
from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes
from exchanges.matching.rejection import OrderRejectedError
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Bar, Trade
from exchanges.model.order import Fill, Side
from exchanges.model.position import Balance
from exchanges.model.trigger import StopOrders
from exchanges.model.venue import (
    AmendOrder,
    BalanceReport,
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    FetchHistory,
    FetchState,
    FillReport,
    HistoryReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
    VenuePosition,
    VenueState,
)
from runtime.message import Message
from runtime.simulation.faults import MILLISECOND, SECOND, Span
from runtime.simulation.port import Line
from runtime.simulation.world import World

ACCOUNT = "main"
BTC, ETH, OTHER = "bybit:BTCUSDT", "bybit:ETHUSDT", "hyperliquid:ETH"
SYMBOLS = (BTC, ETH)
"""The symbols of a run with one venue."""
PRICES = {BTC: 50_000.0, ETH: 2_500.0, OTHER: 2_500.0}

KINDS: dict[str, str] = {
    "venue_lost": "a command never arrives, and its outcome is unknown",
    "venue_mute": "a command is carried out; its answer is lost, and its outcome is unknown",
    "venue_unsent": "a command does not leave, and that is known",
    "venue_rejected": "the venue refuses an order for reasons of its own",
    "venue_partial": "a fetched state lacks a part, and says so",
    "venue_shuffled": "what one event led to is reported in another order",
    "venue_late": "a report is late, others overtake it",
    "venue_doubled": "a report comes twice",
    "venue_private": "the stream of one's own orders and fills is down for a while",
    "venue_public": "the stream of market data is down for a while",
}
"""What goes wrong at a venue."""


class VenueFaults(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue misbehaves: probabilities for each command or report, times in ns."""

    delay_ns: Span = (MILLISECOND, 20 * MILLISECOND)
    timeout_ns: int = SECOND
    tick_ns: int = 40 * MILLISECOND
    lost: float = 0.0
    """The command never arrives; its outcome is unknown."""
    mute: float = 0.0
    """It arrives and is carried out; the answer is lost, and its outcome is unknown."""
    unsent: float = 0.0
    rejected: float = 0.0
    late: float = 0.0
    """A report overtakes or is overtaken by others."""
    doubled: float = 0.0
    partial: float = 0.0
    """A fetched state lacks a part, and says so."""
    stream_every_ns: int = 0
    """Mean time between outages of the private stream."""
    public_every_ns: int = 0
    spell_ns: int = 0
    """How long a symbol ticks, on average, before it is quiet; 0 for one that never is."""
    lull_ns: Span = (0, 0)
    """How long it is quiet."""

    @classmethod
    def from_seed(cls, seed: int, name: str = "bybit") -> VenueFaults:
        """Some kinds of trouble at random strength; each is absent half of the time."""
        rng = random.Random(f"venue {seed}" if name == "bybit" else f"{name} {seed}")

        def chance(most: float) -> float:
            return most * rng.random() if rng.random() < 0.5 else 0.0

        return cls(
            delay_ns=(MILLISECOND, int(MILLISECOND * 10 ** rng.uniform(0.5, 2.3))),
            timeout_ns=int(rng.uniform(0.3, 3.0) * SECOND),
            lost=chance(0.2),
            mute=chance(0.2),
            unsent=chance(0.1),
            rejected=chance(0.1),
            late=chance(0.3),
            doubled=chance(0.3),
            partial=chance(0.3),
            stream_every_ns=int(rng.uniform(0.5, 5.0) * SECOND) if rng.random() < 0.5 else 0,
            public_every_ns=int(rng.uniform(0.5, 5.0) * SECOND) if rng.random() < 0.3 else 0,
        )

    def slower(self, times: int) -> VenueFaults:
        """The same with ``times`` as long between two ticks, and between two outages."""
        return msgspec.structs.replace(
            self,
            tick_ns=self.tick_ns * times,
            stream_every_ns=self.stream_every_ns * times,
            public_every_ns=self.public_every_ns * times,
        )

    def healed(self) -> VenueFaults:
        return VenueFaults(delay_ns=self.delay_ns, timeout_ns=self.timeout_ns, tick_ns=self.tick_ns)


def make_instrument(symbol: str) -> Instrument:
    venue, _, native = symbol.partition(":")
    fine = symbol == BTC
    return Instrument(
        symbol=symbol,
        venue=venue,
        native=native,
        kind=ContractKind.LINEAR_PERPETUAL,
        base=native[:3],
        quote="USDT",
        tick=Decimal("0.1") if fine else Decimal("0.01"),
        lot=Decimal("0.001") if fine else Decimal("0.01"),
        min_quantity=Decimal("0.001") if fine else Decimal("0.01"),
        max_quantity=Decimal(100),
        min_notional=Decimal(5),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.00055"),
        stops=StopOrders(),
    )


def is_panic(client_id: str) -> bool:
    """Whether an order closes a position in a panic: the only kind that needs no approval."""
    return client_id.startswith(PANIC_PREFIX) and not signal_of(client_id)


class SimulatedVenue:
    """The port ``@venue``; see ``runtime.simulation.port.Port``.

    Args:
        world: Where its time and its seed come from.
        faults: How it misbehaves.
        symbols: What is traded there; all of one venue.
        silent: Those of them that nobody trades in this run: they have no market data.
    """

    def __init__(
        self,
        world: World,
        faults: VenueFaults,
        symbols: tuple[str, ...] = SYMBOLS,
        silent: Collection[str] = (),
    ) -> None:
        self.world, self.faults, self.symbols = world, faults, symbols
        self.name = symbols[0].partition(":")[0]
        self.rng = random.Random(f"venue of {world.seed}" if BTC in symbols else f"{self.name} of {world.seed}")
        self.engine = MatchingEngine(depth=SyntheticDepth(world.seed, top_notional=Decimal(3_000)))
        for symbol in symbols:
            self.engine.list_instrument(make_instrument(symbol))
        self.account = self.engine.open_account(ACCOUNT, Decimal(100_000))
        self.fills: list[Fill] = []
        self.accepted: Counter[str] = Counter()
        self.taken: list[str] = []
        """Client order ids in the order in which their orders were taken."""
        self.refused: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.prices = {symbol: PRICES[symbol] for symbol in symbols}
        self.line: Line | None = None
        self.epoch = 0
        self.private = self.public = False
        self.connected = 0
        self._bars: dict[str, list[float]] = {symbol: [] for symbol in symbols}
        for symbol in symbols:
            if symbol not in silent:
                world.scheduler.after(self._delay(), self._tick, symbol)

    # -- coming and going ------------------------------------------------------------

    def opened(self, line: Line) -> None:
        self.line, self.epoch = line, max(self.epoch, line.epoch)
        self.connected += 1
        self._later(self._delay(), self._connect, line)

    def closed(self, line: Line) -> None:
        if self.line is line:
            self.line, self.private, self.public = None, False, False

    def _connect(self, line: Line) -> None:
        if line is not self.line:
            return
        line.answer(InstrumentsReport(tuple(make_instrument(symbol) for symbol in self.symbols)))
        self._stream(line, "public", True)
        self._stream(line, "private", True)
        self._outages(line)

    def _outages(self, line: Line) -> None:
        for stream, mean in (("private", self.faults.stream_every_ns), ("public", self.faults.public_every_ns)):
            if mean:
                self._later(int(self.rng.expovariate(1.0) * mean), self._outage, line, stream)

    def _outage(self, line: Line, stream: str) -> None:
        if line is not self.line or not self.faults.stream_every_ns + self.faults.public_every_ns:
            return
        back = self.rng.randint(10 * MILLISECOND, SECOND)
        if self._strikes(f"venue_{stream}"):
            self._stream(line, stream, False)
            self._later(back, self._stream, line, stream, True)
        mean = self.faults.stream_every_ns if stream == "private" else self.faults.public_every_ns
        if mean:
            self._later(int(self.rng.expovariate(1.0) * mean), self._outage, line, stream)

    def _stream(self, line: Line, stream: str, up: bool) -> None:
        if line is not self.line:
            return
        if stream == "private":
            self.private = up
        else:
            self.public = up
        line.answer(StreamStatus(stream, up))

    # -- market data -----------------------------------------------------------------

    def _tick(self, symbol: str) -> None:
        self._later(int(self.rng.uniform(0.5, 1.5) * self.faults.tick_ns) + self._lull(), self._tick, symbol)
        tick = float(make_instrument(symbol).tick)
        moved = self.prices[symbol] * (1 + self.rng.gauss(0, 0.0002))
        price = self.prices[symbol] = round(round(moved / tick) * tick, 2)
        taker = Side.BUY if self.rng.random() < 0.5 else Side.SELL
        size = round(self.rng.uniform(0.001, 0.2), 3)
        now = self.world.scheduler.now
        self._publish(self.engine.on_trade(symbol, price, size, taker, now))
        self._data(Trade(symbol, 0, 0, now, now, price, size, taker.value))
        bars = self._bars[symbol]
        bars.append(price)
        if len(bars) >= 10:
            self._data(
                Bar(symbol, 0, 0, now, now, bars[0], max(bars), min(bars), bars[-1], size * 10, 400 * MILLISECOND)
            )
            bars.clear()

    def _lull(self) -> int:
        """How long nobody trades now, besides the time between two ticks."""
        faults = self.faults
        if not faults.spell_ns or self.rng.random() * faults.spell_ns >= faults.tick_ns:
            return 0
        return self.rng.randint(*faults.lull_ns)

    def jump(self, symbol: str, price: float) -> None:
        """The market trades at that price, and goes on from there."""
        tick = float(make_instrument(symbol).tick)
        self.prices[symbol] = round(round(price / tick) * tick, 2)
        now = self.world.scheduler.now
        self._publish(self.engine.on_trade(symbol, self.prices[symbol], 1.0, Side.SELL, now))
        self._data(Trade(symbol, 0, 0, now, now, self.prices[symbol], 1.0, Side.SELL.value))

    def _data(self, data: Trade | Bar) -> None:
        if self.line is not None and self.public:
            self.line.answer(msgspec.structs.replace(data, recv_ns=self.world.scheduler.now))

    # -- commands --------------------------------------------------------------------

    def received(self, line: Line, message: Message) -> None:
        """The adapter has taken a command: its request leaves now, whatever becomes of the host."""
        if line.epoch < self.epoch:
            text = f"incarnation {line.epoch} sent {message} to the venue after incarnation {self.epoch}"
            self.world.fail("no-command-of-a-predecessor", text)
        assert isinstance(message, Command), message
        self.commands[type(message).__name__] += 1
        fate, faults, what = self.rng.random(), self.faults, type(message).__name__
        if isinstance(message, FetchHistory):
            self._past(line, message, lost=fate < faults.lost + faults.unsent and self._strikes("venue_lost", what))
        elif fate < faults.lost and self._strikes("venue_lost", what):
            self._answer(line, faults.timeout_ns, message, Outcome.UNKNOWN, "TIMEOUT")
        elif faults.lost <= fate < faults.lost + faults.unsent and self._strikes("venue_unsent", what):
            self._answer(line, self._delay(), message, Outcome.NOT_SENT, "NO_CONNECTION")
        else:
            mute = fate > 1 - faults.mute and self._strikes("venue_mute", what)
            self._later(self._delay(), self._arrived, line, message, mute)

    def _arrived(self, line: Line, command: Command, mute: bool) -> None:
        if isinstance(command, FetchState):
            self._fetch(line, command, mute)
            return
        result = self._carry_out(command)
        if mute:
            result = self._result(command, Outcome.UNKNOWN, "TIMEOUT")
            self._later(self.faults.timeout_ns, self._tell, line, result)
        else:
            self._later(self._delay(), self._tell, line, result)

    def _carry_out(self, command: Command) -> CommandResult:
        now = self.world.scheduler.now
        try:
            if isinstance(command, PlaceOrder):
                return self._place(command, now)
            if isinstance(command, CancelOrder):
                self._publish(self.engine.cancel(ACCOUNT, command, now))
            elif isinstance(command, CancelAll):
                self._publish(self.engine.cancel_all(ACCOUNT, now, symbol=command.symbol))
            elif isinstance(command, AmendOrder):
                self._publish(self.engine.amend(ACCOUNT, command, now))
            elif isinstance(command, QueryOrder):
                found = self.engine.find(ACCOUNT, client_id=command.client_id)
                if found is None:
                    return self._result(command, Outcome.NOT_FOUND)
                return self._result(command, Outcome.ACCEPTED, order=found.order(), venue_id=found.id)
        except OrderRejectedError as error:
            return self._result(command, Outcome.REJECTED, error.code.name, reason=str(error))
        return self._result(command, Outcome.ACCEPTED)

    def _place(self, command: PlaceOrder, now: int) -> CommandResult:
        if self.rng.random() < self.faults.rejected and self._strikes("venue_rejected", "PlaceOrder"):
            self.refused[command.client_id] += 1
            return self._result(command, Outcome.REJECTED, "RISK_LIMIT", reason="the venue is in a bad mood")
        if is_panic(command.client_id) and not command.reduce_only:
            self.world.fail("panic-only-reduces", f"a panic must not open anything: {command}")
        try:
            changes = self.engine.place(ACCOUNT, command, now)
        except OrderRejectedError:
            self.refused[command.client_id] += 1
            raise
        self.accepted[command.client_id] += 1
        self.taken.append(command.client_id)
        self.world.touched = True
        self._publish(changes)
        venue_id = changes.subject.id if changes.subject is not None else ""
        return self._result(command, Outcome.ACCEPTED, venue_id=venue_id)

    def _result(self, command: Command, outcome: Outcome, code: str = "", **more: Any) -> CommandResult:
        client_id, symbol = getattr(command, "client_id", ""), getattr(command, "symbol", "")
        return CommandResult(type(command).__name__, client_id, symbol, outcome, code, **more)

    def _answer(self, line: Line, delay: int, command: Command, outcome: Outcome, code: str) -> None:
        answer: Message = self._result(command, outcome, code)
        if isinstance(command, FetchState):
            answer = VenueState(complete=False, started_ns=self.world.scheduler.now, reason=code)
        self._later(delay, self._tell, line, answer)

    def _past(self, line: Line, command: FetchHistory, *, lost: bool) -> None:
        """Flat bars up to now, or the word that there are none to be had."""
        length, price = command.interval_ns, self.prices[command.symbol]
        last = command.until_ns // length * length
        bars = tuple(
            Bar(command.symbol, 0, 0, last - number * length, last, price, price, price, price, 1.0, length)
            for number in range(command.count, 0, -1)
        )
        delay = self.faults.timeout_ns if lost else self._delay()
        told = ((), "TIMEOUT") if lost else (bars, "")
        report = HistoryReport(command.asker, command.symbol, length, *told, command.mark)
        self._later(delay, self._tell, line, report)

    # -- fetching --------------------------------------------------------------------

    def _fetch(self, line: Line, command: FetchState, mute: bool) -> None:
        """The parts are asked for one after the other, in no particular order, as an adapter may."""
        parts: dict[str, Any] = {"started_ns": self.world.scheduler.now, "complete": True}
        if mute or (self.rng.random() < self.faults.partial and self._strikes("venue_partial")):
            parts["complete"] = False
        names = ["orders", "fills", "positions", "balances"]
        self.rng.shuffle(names)
        delay = 0
        for name in names:
            delay += self._delay()
            self._later(delay, self._part, parts, name, command.since_ns)
        self._later(delay + self._delay(), self._fetched, line, parts)

    def _part(self, parts: dict[str, Any], name: str, since_ns: int) -> None:
        if name == "orders":
            parts[name] = tuple(record.order() for record in self.engine.working(ACCOUNT))
        elif name == "fills":
            parts[name] = tuple(fill for fill in self.fills if fill.ts_ns >= since_ns)
        elif name == "positions":
            parts[name] = tuple(
                VenuePosition(held.symbol, held.quantity, held.average_price, self.engine.mark(held.symbol))
                for held in self.account.positions.values()
                if held.quantity
            )
        else:
            total = self.account.wallet
            parts[name] = (Balance("USDT", total, self.engine.available(ACCOUNT)),)

    def _fetched(self, line: Line, parts: dict[str, Any]) -> None:
        if not parts["complete"]:
            parts.pop("fills")
        self._tell(line, VenueState(**parts))

    # -- reports ---------------------------------------------------------------------

    def _publish(self, changes: Changes) -> None:
        """Push what changed; the stream may be late with some of it, or say it twice."""
        if changes.executions:
            self.fills.extend(execution.fill for execution in changes.executions)
            self.world.touched = True
        reports: list[Message] = [FillReport(execution.fill) for execution in changes.executions]
        reports += [OrderReport(record.order()) for record in changes.orders]
        if changes.executions:
            reports.append(BalanceReport((Balance("USDT", self.account.wallet, self.engine.available(ACCOUNT)),)))
        if self.rng.random() < self.faults.late and self._strikes("venue_shuffled"):
            self.rng.shuffle(reports)
        line, delay = self.line, self.faults.delay_ns[0]
        for report in reports:
            delay += self.rng.randint(0, self.faults.delay_ns[1] // 4)
            what, late = type(report).__name__, 0
            if self.rng.random() < self.faults.late:
                late = self.rng.randint(0, SECOND) if self._strikes("venue_late", what) else 0
            self._later(delay + late, self._push, line, report)
            if self.rng.random() < self.faults.doubled and self._strikes("venue_doubled", what):
                self._later(delay + self.rng.randint(0, 2 * SECOND), self._push, line, report)

    def _push(self, line: Line | None, report: Message) -> None:
        if line is not None and line is self.line and self.private:
            line.answer(report)

    # -- inside ----------------------------------------------------------------------

    def position(self, symbol: str) -> Decimal:
        return self.account.position(symbol).quantity

    def _tell(self, line: Line, message: Message) -> None:
        line.answer(message)

    def _strikes(self, kind: str, what: str = "") -> bool:
        return self.world.occurrences.strike(kind, f"{self.name}/{what}" if what else self.name)

    def _delay(self) -> int:
        return self.rng.randint(*self.faults.delay_ns)

    def _later(self, delay: int, call: Any, *arguments: Any) -> None:
        self.world.scheduler.after(delay, call, *arguments)
