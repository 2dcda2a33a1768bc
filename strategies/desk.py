"""Where a strategy sits while it runs: what it may look at, and the way out for its signals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from exchanges.model.flow import Flow, fault
from exchanges.model.market import MarketData, last_price
from exchanges.model.order import Side
from exchanges.model.position import Position
from strategies.errors import StrategyError
from strategies.signal import Cause, Signal, signal_id

SECOND = 1_000_000_000

Quantity = Decimal | int | float | str


class Driver(Protocol):
    """Whoever runs the strategy."""

    @property
    def now(self) -> int:
        """Nanoseconds since the Unix epoch."""

    def emit(self, signal: Signal) -> bool:
        """Send a signal on its way; ``False`` when it was withheld."""

    def withdraw(self, signal: str, reason: str) -> None:
        """Ask that what the signal led to be cancelled, as far as it has not happened."""

    def arm(self, name: str, delay_ns: int) -> None:
        """Call ``on_timer(name)`` after ``delay_ns``."""

    def note(self, text: str) -> None:
        """Keep a line of the strategy's log."""


class Detached:
    """The driver of a strategy nobody runs: it can be made and looked at, not asked to act."""

    @property
    def now(self) -> int:
        raise StrategyError(_NOBODY)

    def emit(self, signal: Signal) -> bool:
        raise StrategyError(_NOBODY)

    def withdraw(self, signal: str, reason: str) -> None:
        raise StrategyError(_NOBODY)

    def arm(self, name: str, delay_ns: int) -> None:
        raise StrategyError(_NOBODY)

    def note(self, text: str) -> None:
        raise StrategyError(_NOBODY)


_NOBODY = (
    "expected a strategy that something runs, found one made by hand; run it in a session or a backtest, "
    "or give its `desk.driver` a driver of your own"
)


class Desk:
    """One strategy on its symbols: identity, parameters, positions, the data in hand.

    ``symbol`` is the first of ``symbols``. ``trigger`` and ``kind`` say what the next signal comes
    from when it is not the market data in hand (a fill, feedback, a timer); ``ordinal`` counts the
    signals of one trigger. ``latest`` is the newest data of each symbol that had a price, ``lots``
    the quantity steps as last heard of.
    """

    __slots__ = (
        "data", "driver", "dry_run", "given", "kind", "label", "latest", "lots", "ordinal", "params", "positions",
        "symbol", "symbols", "thresholds", "trigger", "ttl_ns", "warming",
    )  # fmt: skip

    def __init__(
        self, label: str, symbol: str, given: Mapping[str, Any], params: Any, symbols: tuple[str, ...] = ()
    ) -> None:
        self.label, self.symbol = label, symbol
        self.symbols = symbols or (symbol,)
        self.given, self.params = dict(given), params
        self.positions = {each: Position(each) for each in self.symbols}
        self.lots: dict[str, Decimal] = {}
        self.thresholds = dict.fromkeys(self.symbols, 0.0)
        self.ttl_ns = 10 * SECOND
        self.dry_run = self.warming = False
        self.data: MarketData | None = None
        self.latest: dict[str, MarketData] = {}
        self.trigger, self.kind, self.ordinal = "", "", 0
        self.driver: Driver = Detached()

    @property
    def position(self) -> Position:
        """The position in the first symbol."""
        return self.positions[self.symbol]

    def held(self, symbol: str) -> Position:
        """What the strategy may trade of a position: whole lots."""
        lot = self.lots.get(symbol)
        return self.positions[symbol].tradable(lot) if lot else self.positions[symbol]

    @property
    def threshold(self) -> float:
        """The threshold of the first symbol."""
        return self.thresholds[self.symbol]

    def listed(self, symbol: str) -> str:
        """``symbol``, or the first one where it is empty.

        Raises:
            StrategyError: the strategy does not trade it.
        """
        if symbol and symbol not in self.positions:
            raise StrategyError(
                f"expected a symbol {self.label} trades ({', '.join(self.symbols)}), found {symbol!r}; add it to its "
                "symbols, with symbols_together"
            )
        return symbol or self.symbol

    def signal(
        self,
        side: Side | str,
        conviction: float,
        reason: str,
        *,
        quantity: Quantity | None,
        limit_price: Quantity | None,
        ttl: float | None,
        reduce_only: bool,
        features: Mapping[str, float],
        sources: Mapping[str, float] | None = None,
        flow: Flow | None = None,
        symbol: str = "",
    ) -> str:
        """Make and emit a signal; its id, or an empty string when it was withheld."""
        symbol = self.listed(symbol)
        hand = self.data
        # The price is that of the signal's own symbol, whatever it was another symbol's data that led to it.
        priced = hand if hand is not None and hand.symbol == symbol else self.latest.get(symbol)
        if hand is None or priced is None:
            raise StrategyError(
                f"expected market data of {symbol} before the first signal, found none yet; "
                "signal from on_tick, on_trade, on_quote, on_book or on_bar"
            )
        cause_id = self.trigger or hand.tick_id
        cause = Cause(cause_id, self.kind or type(hand).__name__, hand.ts_ns, hand.recv_ns, last_price(priced))
        ordinal, self.ordinal = self.ordinal, self.ordinal + 1
        signal = Signal(
            id=signal_id(self.label, symbol, cause_id, ordinal),
            strategy=self.label,
            symbol=symbol,
            side=_side(side),
            conviction=_share(conviction),
            created_ns=self.driver.now,
            ttl_ns=self.ttl_ns if ttl is None else _span(ttl),
            cause=cause,
            reason=reason,
            features={name: float(value) for name, value in features.items()},
            quantity=None if quantity is None else _exact("quantity", quantity),
            limit_price=None if limit_price is None else _exact("limit_price", limit_price),
            reduce_only=reduce_only,
            dry_run=self.dry_run,
            sources={name: _opinion(name, value) for name, value in (sources or {}).items()},
            flow=_carried(flow),
        )
        wrong = "" if flow is None else _wrong(flow, signal)
        if wrong:
            raise StrategyError(f"{wrong}; correct the call")
        return signal.id if self.driver.emit(signal) else ""


def _wrong(flow: Flow, signal: Signal) -> str:
    return fault(flow, signal.symbol, signal.side, reduce_only=signal.reduce_only, limit_price=signal.limit_price)


def _side(side: Side | str) -> Side:
    try:
        return Side(side)
    except ValueError as error:
        raise StrategyError(f"expected side to be buy or sell, found {side!r}; correct the call") from error


def _share(conviction: float) -> float:
    if not 0.0 <= conviction <= 1.0:
        raise StrategyError(f"expected conviction from 0 to 1, found {conviction!r}; scale it, min(x, 1.0) cuts it off")
    return float(conviction)


def _opinion(source: str, value: float) -> float:
    if not -1.0 <= value <= 1.0:
        raise StrategyError(f"expected the opinion of {source} from -1 (sell) to 1 (buy), found {value!r}; scale it")
    return float(value)


def _carried(flow: Flow | None) -> Flow | None:
    if flow is not None and not isinstance(flow, Flow):
        raise StrategyError(
            f"expected flow to be a way to carry out, such as Rest() or Twap(...), found {flow!r}; a feature needs "
            "another name"
        )
    return flow


def _span(seconds: float) -> int:
    if not 0 < seconds < 1e9:
        raise StrategyError(f"expected ttl in seconds, above 0, found {seconds!r}; leave it out for the default")
    return int(seconds * SECOND)


def _exact(name: str, amount: Quantity) -> Decimal:
    try:
        exact = Decimal(str(amount))
    except InvalidOperation as error:
        raise StrategyError(f"expected {name} to be a number, found {amount!r}; correct the call") from error
    if not exact.is_finite() or exact <= 0:
        raise StrategyError(f"expected {name} above 0, found {amount!r}; the direction is the signal's side")
    return exact
