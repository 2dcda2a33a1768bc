"""The risk supervisor's whole state, and its snapshot."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors import snapshots
from actors.messages.control import TradingState, TradingStateChanged
from actors.messages.signals import Evaluate
from actors.risk.account import Account
from actors.risk.book import Book
from actors.risk.case import Feedback, View
from actors.risk.ensemble import Voice
from actors.risk.market import Market
from actors.risk.policy import Policies
from actors.window import open_windows
from exchanges.model.instrument import Instrument

VERSION = 1
DRAWDOWN = "DRAWDOWN"
"""How the reason of a state begins that the fall of equity has led to: who resumes from it accepts the loss."""


class RiskState(msgspec.Struct):
    """Everything the brain holds.

    ``pending`` are trading states not yet seen in the journal. ``verdicts`` are by signal, encoded, as
    a snapshot copies them. ``settled`` are the signals whose outcome the journal has, ``own`` those this
    incarnation decided and the journal has not. ``approvals`` are times by signal for the order rate,
    ``entries`` by strategy and symbol for the cooldown. ``waiting`` are questions that can't be
    answered yet. ``voices`` are by symbol and strategy, ``spoken`` the signals the journal has and no
    verdict on.
    """

    version: int = VERSION
    caught_up: bool = False
    bus_epoch: int = 0
    bus_returned: bool = False
    seq: int = 0
    last_approved: str = ""
    book: Book = msgspec.field(default_factory=Book)
    trading: TradingStateChanged | None = None
    pending: list[TradingStateChanged] = []
    controls: dict[str, int] = {}
    verdicts: dict[str, bytes] = {}
    settled: dict[str, int] = {}
    own: dict[str, int] = {}
    approvals: dict[str, int] = {}
    entries: dict[str, int] = {}
    views: dict[str, View] = {}
    instruments: dict[str, Instrument] = {}
    halts: dict[str, str] = {}
    feedback: dict[str, Feedback] = {}
    waiting: dict[str, Evaluate] = {}
    denials: dict[str, int] = {}
    policies: Policies = msgspec.field(default_factory=Policies)
    markets: dict[str, Market] = {}
    account: Account = msgspec.field(default_factory=Account)
    voices: dict[str, dict[str, Voice]] = {}
    spoken: dict[str, Voice] = {}

    def __post_init__(self) -> None:
        open_windows(self, "approvals", "controls", "settled", "spoken", "verdicts", "voices")

    @property
    def latest(self) -> TradingStateChanged:
        """What is allowed now: the newest change, journaled or not."""
        if self.pending:
            return self.pending[-1]
        return self.trading or TradingStateChanged(TradingState.ACTIVE, "", "start")

    @property
    def equity(self) -> Decimal:
        """Of all venues, in dollars."""
        return sum((view.state.equity for view in self.views.values()), Decimal(0))


def encode(state: RiskState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> RiskState:
    """The state in a snapshot; raises ``SnapshotError`` if the bytes are none."""
    return snapshots.decode(data, RiskState, VERSION, "the risk supervisor")
