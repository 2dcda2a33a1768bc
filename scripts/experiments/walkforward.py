"""The built-in strategies on recorded bars, in the order of time, each decision on what was known before.

A strategy sees a bar when it is over. What it wants is judged, and filled if it is approved, at the
opening price of the next bar, half a spread away. The learner hears of an outcome when its horizon
is over. So nothing that is decided rests on what came later, and there is nothing to fit: what is
learned on the first half decides on the second as it did on the way. Each strategy has an account
of its own: in one account a strategy's exit is no exit where another holds the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from heapq import merge
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from actors.learner.configuration import terms as configured_terms
from actors.learner.settings import LearnerSettings
from actors.messages.learning import FeedbackIssued
from actors.risk import configuration
from actors.risk.settings import GridSettings, RegimeSettings, RiskSettings
from conf import load as load_settings
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Bar, Quote
from exchanges.model.order import Fill
from scripts.experiments.wheel import VENUE, Wheel, without_learning
from strategies.registry import resolve
from strategies.signal import Signal
from strategies.strategy import Strategy

MINUTE_NS = 60 * 1_000_000_000

Row = tuple[int, float, float, float, float, float]
"""Opening time (ns), open, high, low, close, volume."""


class Market(msgspec.Struct, frozen=True):
    """A folder of recorded bars, and what trading there is taken to cost: fractions of the price."""

    name: str
    folder: str
    interval_ns: int
    kind: ContractKind
    fee: float
    spread: float
    short: bool = True
    leave_out: tuple[str, ...] = ()


MARKETS = (
    Market("perpetuals, 1 minute", "bars/binance_usdm_1m", MINUTE_NS, ContractKind.LINEAR_PERPETUAL, 0.0005, 0.0001),
    Market("US equities, 1 minute", "bars/us_equities_1m", MINUTE_NS, ContractKind.EQUITY, 0.0, 0.0002, True, ("VIX",)),
    Market(
        "US equities, 15 minutes",
        "bars/us_equities_15m",
        15 * MINUTE_NS,
        ContractKind.EQUITY,
        0.0,
        0.0002,
        True,
        ("VIX",),
    ),
)
"""VIX is an index, which nobody can buy."""

STRATEGIES = ("alpha", "trend", "reversion")
HORIZON = 15
"""Bars."""


class Trader:
    """Runs one strategy on one symbol; what it wants waits in ``wanted``."""

    def __init__(self, name: str, symbol: str) -> None:
        self.strategy: Strategy = resolve(name).create(symbol, {"source": "bars"}, label=name)
        self.now = 0
        self.wanted: list[Signal] = []
        self.strategy.desk.driver = self
        self.strategy.desk.ttl_ns = MINUTE_NS
        self.strategy.on_start()

    def emit(self, signal: Signal) -> bool:
        """Withheld, as in a session, where the conviction is below what feedback asks for."""
        if signal.conviction < self.strategy.desk.thresholds[signal.symbol] and not signal.reduce_only:
            return False
        self.wanted.append(signal)
        return True

    def withdraw(self, signal: str, reason: str) -> None:
        """Nothing waits here that could be taken back."""

    def arm(self, name: str, delay_ns: int) -> None:
        """The built-in strategies for bars set no timers."""
        raise RuntimeError(f"expected no timers, found {name}")

    def note(self, text: str) -> None:
        """Notes are for people."""

    def bar(self, bar: Bar) -> None:
        desk, self.now = self.strategy.desk, bar.recv_ns
        desk.data, desk.ordinal, desk.trigger, desk.kind = bar, 0, "", ""
        desk.latest[bar.symbol] = bar
        self.strategy.on_bar(bar)

    def fill(self, fill: Fill) -> None:
        desk = self.strategy.desk
        desk.positions[fill.symbol] = desk.positions[fill.symbol].apply(fill)
        self.strategy.on_fill(fill, desk.positions[fill.symbol])

    def feedback(self, feedback: FeedbackIssued) -> None:
        self.strategy.desk.thresholds[feedback.symbol] = feedback.conviction_threshold
        self.strategy.on_feedback(feedback)


class Walk(msgspec.Struct):
    """What came of one market. ``days`` is profit by UTC day, ``halves`` in the first and the second half of the time.

    ``gates`` are the learner's own figures, ``policies`` how many versions took each stage.
    """

    market: str
    strategy: str
    learning: bool
    profit: float
    halves: tuple[float, float]
    days: list[float]
    fees: float
    executed: int
    blocked: dict[str, int]
    gates: dict[str, dict[str, float]]
    tables: dict[str, dict[str, dict[str, float]]]
    policies: dict[str, int]
    symbols: int
    bars: int


def load(data: Path, market: Market, most: int = 0) -> dict[str, list[Row]]:
    """The rows by symbol; of the first ``most`` moments (0: all)."""
    found = {}
    for file in sorted((data / market.folder).glob("*.parquet")):
        if file.stem in market.leave_out:
            continue
        table = pq.read_table(file, columns=["ts_ns", "open", "high", "low", "close", "volume"])
        found[f"{VENUE}:{file.stem}"] = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    if not most:
        return found
    times = sorted({row[0] for rows in found.values() for row in rows})[:most]
    return {symbol: [row for row in rows if row[0] <= times[-1]] for symbol, rows in found.items()}


def limits(symbols: tuple[str, ...], market: Market) -> RiskSettings:
    """A session's defaults, with times that suit bars."""
    step = market.interval_ns
    return msgspec.structs.replace(
        configuration.limits(load_settings("sim", environ={})),
        symbols=symbols,
        max_data_age_ns=2 * step,
        max_state_age_ns=2 * step,
        cooldown_ns=step,
        loss_pause_ns=HORIZON * step,
        regime=RegimeSettings(grid_ns=step),
        grid=GridSettings(step_ns=step),
    )


def terms(symbols: tuple[str, ...], market: Market) -> LearnerSettings:
    """A session's defaults, but for the horizon."""
    horizon = HORIZON * market.interval_ns
    plain = configured_terms(load_settings("sim", environ={}))
    return msgspec.structs.replace(
        plain, symbols=symbols, horizon_ns=horizon, silence_ns=20 * horizon, taker_fee=market.fee
    )


def instrument(symbol: str, market: Market) -> Instrument:
    return Instrument(
        symbol=symbol,
        venue=VENUE,
        native=symbol.partition(":")[2],
        kind=market.kind,
        base=symbol.partition(":")[2],
        quote="USD",
        tick=Decimal("0.00000001"),
        lot=Decimal("0.0001"),
        min_quantity=Decimal("0.0001"),
        max_quantity=Decimal(10_000_000),
        min_notional=Decimal(1),
        maker_fee=Decimal(0),
        taker_fee=Decimal(str(market.fee)),
        short=market.short,
    )


def run(data: Path, market: Market, strategy: str, *, learning: bool, most: int = 0) -> Walk:
    """Walk one strategy through all symbols of a market; raises ``FileNotFoundError`` where its bars are not there."""
    rows = load(data, market, most)
    if not rows:
        raise FileNotFoundError(f"expected recorded bars in {data / market.folder}, found none; set BIGWHEEL_DATA")
    symbols = tuple(rows)
    told = terms(symbols, market)
    told = told if learning else without_learning(told)
    wheel = Wheel(tuple(instrument(symbol, market) for symbol in symbols), limits(symbols, market), told)
    return Walker(wheel, market, strategy, rows).walk(learning=learning)


class Walker:
    """Takes the bars of all symbols through a wheel, moment by moment."""

    def __init__(self, wheel: Wheel, market: Market, strategy: str, rows: dict[str, list[Row]]) -> None:
        self.wheel, self.market, self.strategy, self.rows = wheel, market, strategy, rows
        self.traders = {symbol: Trader(strategy, symbol) for symbol in rows}
        self.seq = dict.fromkeys(rows, 0)

    def walk(self, *, learning: bool) -> Walk:
        wheel, bars = self.wheel, 0
        moments = list(self._moments())
        wheel.open(moments[0][0] - 1)
        middle, halfway, day, days, before = moments[len(moments) // 2][0], 0.0, -1, [], 0.0
        for opening, found in moments:
            profit = float(wheel.profit)
            if opening <= middle:
                halfway = profit
            if opening // (1_440 * MINUTE_NS) != day:
                day = opening // (1_440 * MINUTE_NS)
                days.append(profit - before)
                before = profit
            self._open(opening, found)
            self._close(opening, found)
            bars += len(found)
        return self._found(learning, halfway, [*days[1:], float(wheel.profit) - before], bars)

    def _moments(self) -> Iterator[tuple[int, list[tuple[str, Row]]]]:
        """Each opening time with the bars that begin then, by symbol."""
        streams = [[(row[0], symbol, row) for row in rows] for symbol, rows in self.rows.items()]
        current = -1
        found: list[tuple[str, Row]] = []
        for at, symbol, row in merge(*streams):
            if at != current and found:
                yield current, found
                found = []
            current = at
            found.append((symbol, row))
        yield current, found

    def _open(self, opening: int, found: list[tuple[str, Row]]) -> None:
        """The opening prices; what was wanted at the end of the bar before is judged at them."""
        self.wheel.market(*(self._quote(symbol, opening, row[1]) for symbol, row in found))
        there = {symbol for symbol, _ in found}
        for symbol, trader in self.traders.items():
            wanted, trader.wanted = trader.wanted, []
            for signal in wanted if symbol in there else ():
                self.wheel.emit(signal)
        self._tell()

    def _close(self, opening: int, found: list[tuple[str, Row]]) -> None:
        """The bars are over: everyone sees them."""
        end = opening + self.market.interval_ns
        closed = [self._bar(symbol, end, row) for symbol, row in found]
        self.wheel.market(*closed)
        self._tell()
        for bar in closed:
            self.traders[bar.symbol].bar(bar)

    def _tell(self) -> None:
        filled, self.wheel.filled = self.wheel.filled, []
        for each in filled:
            self.traders[each.fill.symbol].fill(each.fill)
        told, self.wheel.told = self.wheel.told, []
        for feedback in told:
            self.traders[feedback.symbol].feedback(feedback)

    def _quote(self, symbol: str, at: int, price: float) -> Quote:
        half = price * self.market.spread / 2
        self.seq[symbol] += 1
        bid, ask = round(price - half, 8), round(price + half, 8)
        return Quote(symbol, 1, self.seq[symbol], at, at, bid, 1e9, ask, 1e9)

    def _bar(self, symbol: str, end: int, row: Row) -> Bar:
        at, first, high, low, last, volume = row
        self.seq[symbol] += 1
        return Bar(symbol, 1, self.seq[symbol], at, end, first, high, low, last, volume, self.market.interval_ns, True)

    def _found(self, learning: bool, halfway: float, days: list[float], bars: int) -> Walk:
        wheel, state = self.wheel, self.wheel.learner.known
        stages: dict[str, int] = {}
        for issued in wheel.policies:
            stages[issued.stage.value] = stages.get(issued.stage.value, 0) + 1
        profit = float(wheel.profit)
        return Walk(
            market=self.market.name,
            strategy=self.strategy,
            learning=learning,
            profit=profit,
            halves=(halfway, profit - halfway),
            days=days,
            fees=float(sum((held.fees for held in wheel.positions.values()), Decimal(0))),
            executed=wheel.executed,
            blocked=dict(wheel.blocked),
            gates={gate: tally.as_json() for gate, tally in sorted(state.gates.items()) if ":" not in gate},
            tables={
                name: {key: tally.as_json() for key, tally in sorted(table.items())}
                for name, table in sorted(state.tables.items())
            },
            policies=stages,
            symbols=len(self.rows),
            bars=bars,
        )
