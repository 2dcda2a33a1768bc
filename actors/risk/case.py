"""One signal under judgement, with everything a gate may look at."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from actors import names
from actors.messages.control import TradingState
from actors.messages.orders import ExchangeState
from actors.risk.account import Account
from actors.risk.book import Book, Mark
from actors.risk.ensemble import Voice
from actors.risk.exposure import Line, Sheet, Worths
from actors.risk.market import Correlations, Market
from actors.risk.policy import Terms
from actors.risk.settings import RiskSettings, Track
from actors.risk.sizing import Plan, multiplier
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side
from strategies.signal import Signal


class View(msgspec.Struct):
    """An exchange connection as last heard of at ``heard_ns``; ``linked`` while its link stands."""

    state: ExchangeState
    heard_ns: int
    linked: bool = True


class Feedback(msgspec.Struct, frozen=True):
    """The learner's word on one strategy and symbol."""

    version: int
    size_multiplier: float
    conviction_threshold: float


class Pace(msgspec.Struct, frozen=True):
    """Approvals in the last second and minute, and when this strategy last entered this symbol (0: never)."""

    second: int
    minute: int
    last_entry_ns: int


class Sums(msgspec.Struct, frozen=True):
    """Exposure in dollars: of all, of the signal's venue, of its category; and what the venue's binds as margin."""

    total: Decimal
    venue: Decimal
    category: Decimal
    bound: Decimal


@dataclass
class Case:
    """What is judged, and the book it is judged against, which does not change meanwhile.

    ``voices`` is what other strategies said of the symbol. The ensemble sets ``strength``, the
    conviction that is judged, and sizing the ``plan``.
    """

    signal: Signal
    settings: RiskSettings
    now: int
    trading: TradingState
    trading_reason: str
    halt_reason: str
    view: View | None
    instruments: dict[str, Instrument]
    feedback: Feedback | None
    book: Book
    account: Account
    pace: Pace
    terms: Terms
    voices: dict[str, Voice]
    markets: dict[str, Market]
    correlations: Correlations
    worths: Worths
    equity: Decimal
    """Of all venues together, in dollars."""
    strength: float = 0.0
    plan: Plan | None = None
    within: bool = False
    """Whether an exit may do no more than lower the account's position."""

    @property
    def pair(self) -> str:
        """The key of what is kept by strategy and symbol."""
        return names.pair(self.signal.strategy, self.signal.symbol)

    @property
    def venue(self) -> str:
        return self.signal.symbol.partition(":")[0]

    @property
    def instrument(self) -> Instrument | None:
        return self.instruments.get(self.signal.symbol)

    @property
    def market(self) -> Market | None:
        return self.markets.get(self.signal.symbol)

    @property
    def mark(self) -> Mark | None:
        return self.book.marks.get(self.signal.symbol)

    @property
    def track(self) -> Track:
        """The track of the combined conviction."""
        return self.settings.track(self.strength)

    @property
    def order_notional(self) -> Decimal:
        """The largest order: the track's, and no more than the venue's."""
        own = self.settings.at(self.venue).order_notional
        return self.track.order_notional if own is None else min(own, self.track.order_notional)

    @property
    def reference(self) -> Decimal:
        """The side of the quote the order would meet, or the last price; 0 if there is none."""
        mark = self.mark
        if mark is None:
            return Decimal(0)
        return mark.ask if self.signal.side is Side.BUY else mark.bid

    @property
    def threshold(self) -> tuple[float, str]:
        """The least conviction that passes, and whose word it is: the policy's, else the feedback's, else ours."""
        said = self.terms.threshold(self.pair)
        if said is not None:
            return said, f"policy {self.terms.version}"
        if self.feedback is not None:
            return self.feedback.conviction_threshold, f"feedback {self.feedback.version}"
        return self.settings.base_threshold, "settings"

    @property
    def multiplier(self) -> tuple[float, str]:
        """The size multiplier, within its bounds, and whose word it is."""
        said = self.terms.size(self.pair)
        if said is not None:
            return said, f"policy {self.terms.version}"
        if self.feedback is not None:
            return multiplier(self.feedback.size_multiplier, self.settings), f"feedback {self.feedback.version}"
        return 1.0, "settings"

    @functools.cached_property
    def sheet(self) -> Sheet:
        """The exposure as it is."""
        return Sheet(self.book, self.worths)

    @functools.cached_property
    def closable(self) -> Decimal:
        return self.book.closable(self.signal.symbol, self.signal.side)

    @functools.cached_property
    def line(self) -> Line:
        """The symbol's exposure with the planned order; not to be asked for before there is a plan."""
        drawn, signal = self.plan, self.signal
        if drawn is None or drawn.reduce_only:
            return self.sheet.line(signal.symbol)
        prices = (drawn.worst, min(drawn.price, drawn.worst))
        return self.sheet.after(signal.symbol, signal.side, drawn.quantity, prices)

    @functools.cached_property
    def lines(self) -> dict[str, Line]:
        """The exposure of every symbol with the planned order, likewise."""
        return {**self.sheet.lines, self.signal.symbol: self.line}

    @functools.cached_property
    def sums(self) -> Sums:
        """The exposure with the planned order, likewise, summed up as the limits ask for it."""
        venue, category = self.venue, self.category(self.signal.symbol)
        total = at_venue = alike = bound = Decimal(0)
        for symbol, line in self.lines.items():
            total += line.stake
            if self.category(symbol) in (category, ""):
                alike += line.stake
            if line.venue == venue:
                at_venue += line.stake
                leverage = self._leverage(symbol)
                bound += line.stake if leverage == 1 else line.stake / leverage
        return Sums(total, at_venue, alike, bound)

    def _leverage(self, symbol: str) -> Decimal:
        """Exposure for each dollar of margin; 1 for what is paid in full, and for what is not known."""
        known = self.instruments.get(symbol)
        if known is None or known.kind is not ContractKind.LINEAR_PERPETUAL:
            return Decimal(1)
        return min(self.settings.leverage, max(known.max_leverage, Decimal(1)))

    @property
    def lowers(self) -> bool:
        """Whether the order is going to lower the position and can do nothing else."""
        signal, closable = self.signal, self.closable
        if self.plan is not None:
            return self.plan.reduce_only
        if signal.reduce_only:
            return not self.leaves
        if self.trading is TradingState.REDUCING and signal.quantity is None:
            return closable > 0
        return signal.quantity is not None and signal.quantity <= closable

    @functools.cached_property
    def own(self) -> Decimal:
        """How much of what the strategy itself holds an order of the signal's side can end, in base units.

        Its orders that may do so already are taken off, and so is what nobody's fills explain of the account's
        position against it: somebody else may have closed it. Nothing while a flow of its own is under way in the
        symbol, whose exits would close it as well.
        """
        signal, book, account = self.signal, self.book, self.account
        if self.pair in book.owners.values():
            return Decimal(0)
        sign = -signal.side.sign
        held = account.share(signal.strategy, signal.symbol) * sign
        strange = (book.position(signal.symbol).quantity - account.booked(signal.symbol)) * sign
        out = book.leaving(signal.strategy, signal.symbol, signal.side)
        return max(held + min(strange, Decimal(0)) - out, Decimal(0))

    @functools.cached_property
    def leaves(self) -> bool:
        """Whether it ends more of the strategy's own holding than the account's position can be lowered by.

        Other strategies hold the other side then. As the account's position grows by it, what guards new exposure
        guards it, too; it is no entry all the same.
        """
        signal, known = self.signal, self.instrument
        if not signal.reduce_only or self.within or signal.flow is not None or self.trading is not TradingState.ACTIVE:
            return False
        if known is None or not known.short:
            return False
        wanted = self.own if signal.quantity is None else min(signal.quantity, self.own)
        return wanted > self.closable

    @property
    def exits(self) -> bool:
        """Whether it is no entry: it lowers the account's position, or ends what the strategy itself holds."""
        return self.lowers or self.leaves

    def category(self, symbol: str) -> str:
        """The configured category, else the kind of the contract; empty if neither is known."""
        named = self.settings.categories.get(symbol)
        if named:
            return named
        known = self.instruments.get(symbol)
        return known.kind.value if known else ""
