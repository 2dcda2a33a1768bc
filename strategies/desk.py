"""Where a strategy sits while it runs: what it may look at, and the way out for its signals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from exchanges.model.flow import Flow
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
    """One strategy on one symbol: identity, parameters, position, the data in hand.

    ``trigger`` and ``kind`` say what the next signal comes from when it is not the market data
    in hand (a fill, feedback, a timer); ``ordinal`` counts the signals of one trigger. ``lot`` is the
    symbol's quantity step as last heard of, 0 before the first fill.
    """

    __slots__ = (
        "data", "driver", "dry_run", "given", "kind", "label", "lot", "ordinal", "params", "position", "symbol",
        "threshold", "trigger", "ttl_ns",
    )  # fmt: skip

    def __init__(self, label: str, symbol: str, given: Mapping[str, Any], params: Any) -> None:
        self.label, self.symbol = label, symbol
        self.given, self.params = dict(given), params
        self.position = Position(symbol)
        self.lot = Decimal(0)
        self.threshold = 0.0
        self.ttl_ns = 10 * SECOND
        self.dry_run = False
        self.data: MarketData | None = None
        self.trigger, self.kind, self.ordinal = "", "", 0
        self.driver: Driver = Detached()

    @property
    def held(self) -> Position:
        """What the strategy may trade of its position: whole lots."""
        return self.position.tradable(self.lot)

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
    ) -> str:
        """Make and emit a signal; its id, or an empty string when it was withheld."""
        data = self.data
        if data is None:
            raise StrategyError(
                f"expected market data of {self.symbol} before the first signal, found none yet; "
                "signal from on_tick, on_trade, on_quote, on_book or on_bar"
            )
        cause_id = self.trigger or data.tick_id
        cause = Cause(cause_id, self.kind or type(data).__name__, data.ts_ns, data.recv_ns, last_price(data))
        ordinal, self.ordinal = self.ordinal, self.ordinal + 1
        signal = Signal(
            id=signal_id(self.label, self.symbol, cause_id, ordinal),
            strategy=self.label,
            symbol=self.symbol,
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
            flow=flow,
        )
        return signal.id if self.driver.emit(signal) else ""


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
