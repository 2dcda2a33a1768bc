"""What a user writes: a class derived from ``Strategy``, for one symbol or for several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Protocol, Self

from exchanges.model.flow import Flow
from exchanges.model.market import Bar, Book, MarketData, Quote, Trade
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position
from strategies.desk import SECOND, Desk, Quantity
from strategies.errors import StrategyError
from strategies.params import StrategyParams, parameters

__all__ = ["Feedback", "Strategy", "StrategyParams"]

_DATA_HOOKS = {"on_trade": "Trade", "on_quote": "Quote", "on_bar": "Bar", "on_book": "Book"}


class Feedback(Protocol):
    """What was learned from earlier signals; see ``actors.messages.learning.FeedbackIssued``."""

    @property
    def symbol(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def size_multiplier(self) -> float: ...
    @property
    def conviction_threshold(self) -> float: ...
    @property
    def wins(self) -> int: ...
    @property
    def losses(self) -> int: ...
    @property
    def mean_return(self) -> float: ...
    @property
    def reason(self) -> str: ...


class Strategy:
    """Base of every strategy. Override the hooks you need; call ``buy``, ``sell`` and ``exit``.

    ``Params``, if declared, types the parameters: ``class Params(StrategyParams): fast: int = 10``
    makes ``self.params.fast``. Without it any parameter becomes an attribute of ``self.params``,
    and the class's own plain values are the defaults.

    Whatever you set on ``self`` is kept over a crash without code of yours, as long as it can
    be pickled. When the parameters change, it starts anew; the position stays.

    With ``together = True`` one instance gets the data of all its symbols (``data.symbol`` tells which)
    and names the symbol of a signal; otherwise each symbol has an instance of its own.
    """

    Params: ClassVar[type[StrategyParams] | None] = None
    together: ClassVar[bool] = False

    desk: Desk

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__dict__.get("__slots__"):
            raise StrategyError(
                f"expected {cls.__name__} to keep its attributes in __dict__, found __slots__ "
                f"{cls.__dict__['__slots__']!r}: they would not survive a restart; remove __slots__"
            )

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        self = super().__new__(cls)
        self.desk = Desk(cls.__name__, "", {}, parameters(cls, {}))
        return self

    @classmethod
    def create(
        cls, symbol: str, params: Mapping[str, Any] | None = None, label: str = "", symbols: tuple[str, ...] = ()
    ) -> Self:
        """An instance for ``symbol``, or for all of ``symbols``; the parameters are there before ``__init__`` runs.

        Raises:
            StrategyError: the parameters don't fit, or ``__init__`` wants arguments.
        """
        given = dict(params or {})
        self = object.__new__(cls)
        self.desk = Desk(label or cls.__name__, symbol, given, parameters(cls, given), symbols)
        try:
            self.__init__()  # type: ignore[misc]
        except TypeError as error:
            if "required" in str(error) and "__init__" in str(error):
                raise StrategyError(
                    f"expected {cls.__name__}.__init__ to take no arguments, found that it wants some ({error}); "
                    "take them as parameters: self.params"
                ) from error
            raise
        return self

    # -- hooks: override what you need ---------------------------------------------

    def on_start(self) -> None:
        """Called at each start, the first and those after a crash, before saved attributes are put back."""

    def on_tick(self, data: MarketData) -> None:
        """Called for every piece of market data, before the hook of its kind."""

    def on_trade(self, trade: Trade) -> None:
        """Called for each public trade."""

    def on_quote(self, quote: Quote) -> None:
        """Called for each best bid and ask."""

    def on_book(self, book: Book) -> None:
        """Called for each state of the order book."""

    def on_bar(self, bar: Bar) -> None:
        """Called for each closed bar; a bar still forming comes to ``on_tick`` alone.

        With ``timeframes`` it is called for bars of those lengths alone, ``bar.interval_ns`` tells which.
        """

    def on_fill(self, fill: Fill, position: Position) -> None:
        """Called once for each fill of this strategy's own orders; ``position`` is what it made of it."""

    def on_feedback(self, feedback: Feedback) -> None:
        """Called when something was learned. Its threshold and size are applied without your doing."""

    def on_timer(self, name: str) -> None:
        """Called when a timer of yours is due."""

    def watches(self) -> tuple[str, ...]:
        """The kinds of market data it is sent (``Trade``, ``Quote``, ``Bar``, ``Book``); empty is all of them.

        The kinds whose hooks are overridden; all of them when ``on_tick`` is.
        """
        if self.overrides("on_tick"):
            return ()
        return tuple(kind for hook, kind in _DATA_HOOKS.items() if self.overrides(hook)) or ("Trade",)

    def overrides(self, hook: str) -> bool:
        """Whether this class has a ``hook`` of its own."""
        return getattr(type(self), hook) is not getattr(Strategy, hook)

    @property
    def timeframes(self) -> Sequence[str]:
        """The lengths of bars ``on_bar`` is called for, such as ``("1m", "5m")``; empty: the venue's own.

        They are put together from the venue's shorter bars, or from trades where it has none that
        fit. A plain class attribute will do; a property may look at ``self.params``.
        """
        return ()

    @property
    def history(self) -> Mapping[str, int]:
        """How many past bars of which length ``on_bar`` is shown before live data begins: ``{"1m": 200}``.

        Meanwhile ``self.warming`` is true and signals are withheld. There may be fewer, or none in a replay.
        """
        return {}

    # -- what it knows -------------------------------------------------------------

    @property
    def symbol(self) -> str:
        """The symbol it trades, such as ``bybit:BTCUSDT``; the first one of several."""
        return self.desk.symbol

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol it trades."""
        return self.desk.symbols

    @property
    def warming(self) -> bool:
        """Whether the bar in hand is one of the past, shown to warm it up."""
        return self.desk.warming

    @property
    def params(self) -> Any:
        """Its parameters: an instance of ``Params``, or a namespace."""
        return self.desk.params

    @property
    def position(self) -> Position:
        """What its own fills add up to, in whole lots; other strategies' fills on the symbol are not in it."""
        return self.desk.held(self.desk.symbol)

    @property
    def positions(self) -> Mapping[str, Position]:
        """``position`` by symbol."""
        return {symbol: self.desk.held(symbol) for symbol in self.desk.symbols}

    @property
    def now(self) -> int:
        """Nanoseconds since the Unix epoch, on the clock of whoever runs it."""
        return self.desk.driver.now

    @property
    def threshold(self) -> float:
        """The conviction below which an entry is withheld at present, 0 to 1."""
        return self.desk.threshold

    # -- what it does --------------------------------------------------------------

    def signal(
        self,
        side: Side | str,
        conviction: float,
        reason: str = "",
        quantity: Quantity | None = None,
        ttl: float | None = None,
        reduce_only: bool = False,
        limit_price: Quantity | None = None,
        flow: Flow | None = None,
        sources: Mapping[str, float] | None = None,
        symbol: str = "",
        **features: float,
    ) -> str:
        """Say that you want to trade.

        Args:
            side: ``buy`` or ``sell``.
            conviction: 0 to 1; below ``threshold`` an entry is withheld.
            reason: shown by ``bigwheel why``.
            quantity: base units; left out, the risk supervisor sizes it.
            ttl: seconds until it is worthless.
            reduce_only: it may only make the position smaller.
            limit_price: the worst price you accept.
            flow: how it is to be carried out (``Twap``, ``Bracket``, ...); left out, as one order that takes at once.
            sources: the opinions it was made of, by name, from -1 (sell) to 1 (buy); each is judged by itself.
            symbol: which of its symbols; left out, the first.
            features: the numbers behind it, by name.

        Returns:
            The signal's id, or an empty string when it was withheld (paused, conviction too low).
        """
        return self.desk.signal(
            side,
            conviction,
            reason,
            quantity=quantity,
            limit_price=limit_price,
            ttl=ttl,
            reduce_only=reduce_only,
            features=features,
            sources=sources,
            flow=flow,
            symbol=symbol,
        )

    def cancel(self, signal: str, reason: str = "") -> None:
        """Cancel what a signal of yours led to, as far as it has not happened; ``signal`` is its id."""
        self.desk.driver.withdraw(signal, reason)

    def buy(self, conviction: float = 1.0, reason: str = "", **options: Any) -> str:
        """``signal`` to buy."""
        return self.signal(Side.BUY, conviction, reason, **options)

    def sell(self, conviction: float = 1.0, reason: str = "", **options: Any) -> str:
        """``signal`` to sell."""
        return self.signal(Side.SELL, conviction, reason, **options)

    def exit(self, reason: str = "", conviction: float = 1.0, symbol: str = "", **options: Any) -> str:
        """Close the whole position with a reduce-only signal; an empty string when there is none."""
        symbol = self.desk.listed(symbol)
        held: Decimal = self.desk.held(symbol).quantity
        if not held:
            return ""
        side = Side.SELL if held > 0 else Side.BUY
        return self.signal(side, conviction, reason, quantity=abs(held), reduce_only=True, symbol=symbol, **options)

    def timer(self, name: str, seconds: float) -> None:
        """Call ``on_timer(name)`` after ``seconds``; replaces a timer of that name. Survives a restart."""
        if not 0 <= seconds < 1e9:
            raise StrategyError(f"expected a timer's delay in seconds, 0 or more, found {seconds!r}; correct the call")
        self.desk.driver.arm(name, int(seconds * SECOND))

    def log(self, text: str, **values: object) -> None:
        """Write a line to the strategy's log; the last ones are in its status."""
        tail = " ".join(f"{name}={value}" for name, value in values.items())
        self.desk.driver.note(f"{text} {tail}" if tail else text)
