"""One signal under judgement, with everything a gate may look at."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.control import TradingState
from actors.messages.orders import ExchangeState
from actors.risk.book import Book, Mark
from actors.risk.ensemble import Voice
from actors.risk.policy import Terms
from actors.risk.settings import RiskSettings
from actors.risk.sizing import Plan, multiplier
from exchanges.model.instrument import Instrument
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


class Case(msgspec.Struct):
    """What is judged. ``entries_ns`` are past approvals, ``voices`` what other strategies said of the symbol.

    ``strength`` is the conviction that is judged, set by the ensemble; ``plan`` is set by the sizing gate.
    """

    signal: Signal
    settings: RiskSettings
    now: int
    trading: TradingState
    trading_reason: str
    halt_reason: str
    view: View | None
    instrument: Instrument | None
    feedback: Feedback | None
    book: Book
    last_entry_ns: int
    entries_ns: list[int]
    terms: Terms
    voices: dict[str, Voice]
    strength: float = 0.0
    plan: Plan | None = None

    @property
    def mark(self) -> Mark | None:
        return self.book.marks.get(self.signal.symbol)

    @property
    def reference(self) -> Decimal:
        """The side of the quote the order would meet, or the last price; 0 if there is none."""
        mark = self.mark
        if mark is None:
            return Decimal(0)
        return mark.ask if self.signal.side is Side.BUY else mark.bid

    @property
    def pair(self) -> str:
        """The key of what is kept by strategy and symbol."""
        return f"{self.signal.strategy}|{self.signal.symbol}"

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

    @property
    def closable(self) -> Decimal:
        return self.book.closable(self.signal.symbol, self.signal.side)

    @property
    def lowers(self) -> bool:
        """Whether the order is going to lower the position and can do nothing else."""
        signal, closable = self.signal, self.closable
        if self.plan is not None:
            return self.plan.reduce_only
        if signal.reduce_only:
            return True
        if self.trading is TradingState.REDUCING and signal.quantity is None:
            return closable > 0
        return signal.quantity is not None and signal.quantity <= closable
