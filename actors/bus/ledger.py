"""What the bus knows: open signals, the recent ones, orders, executions, halts, counts."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors import snapshots
from actors.bus.frame import Frame
from actors.bus.lifecycle import OPEN
from actors.messages.control import TradingStateChanged
from actors.messages.orders import ExchangeState, FlowEnded, SymbolHalted
from actors.messages.signals import ApprovedOrder
from actors.window import open_windows
from exchanges.model.order import Order
from strategies.signal import Signal, SignalState

VERSION = 1
_WINDOWS = (
    "adoptions",
    "closed",
    "controls",
    "executions",
    "orders",
    "payments",
    "policies",
    "repairs",
    "reports",
    "withdrawn",
)
"""What of a ledger is forgotten from its oldest entry on."""


class Live(msgspec.Struct):
    """One open signal. ``seq`` is its last record; ``asked_ns`` when risk was last asked.

    ``final_ns`` is when its order was first told to be final, or its flow's entry to have ended (``ended``).
    A verdict on an attempt below ``fence`` is void: who gave it, or who asked, is gone.
    """

    signal: Signal
    state: SignalState
    since_ns: int
    generated_ns: int
    seq: int
    attempts: int = 0
    asked_ns: int = 0
    fence: int = 0
    verdict: str = ""
    order: ApprovedOrder | None = None
    filled: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    final_ns: int = 0
    stuck: bool = False
    ended: FlowEnded | None = None


class Closed(msgspec.Struct):
    """What is kept of a signal that has ended, to recognise what comes late or twice.

    ``verdict`` and ``ending`` are fingerprints of what decided it; ``value`` is its lesson,
    ``flowed`` that a flow carried it out.
    """

    strategy: str
    symbol: str
    state: SignalState
    created_ns: int
    closed_ns: int
    seq: int
    verdict: str = ""
    ending: str = ""
    client_id: str = ""
    filled: Decimal = Decimal(0)
    value: float | None = None
    flowed: bool = False


class Ledger(msgspec.Struct):
    """The bus's whole state, in the order things happened.

    ``forgotten_ns`` is the creation time of the youngest signal no longer remembered. ``flows`` are those
    under way, by signal; ``withdrawn`` the signals taken back after their approval.
    """

    seq: int = 0
    last_approved: str = ""
    forgotten_ns: int = 0
    live: dict[str, Live] = {}
    closed: dict[str, Closed] = {}
    orders: dict[str, Order] = {}
    reports: dict[str, int] = {}
    executions: dict[str, int] = {}
    repairs: dict[str, int] = {}
    controls: dict[str, int] = {}
    feedback: dict[str, int] = {}
    policies: dict[str, int] = {}
    incarnations: dict[str, int] = {}
    halts: dict[str, SymbolHalted] = {}
    exchanges: dict[str, ExchangeState] = {}
    trading: TradingStateChanged | None = None
    totals: dict[str, int] = {}
    counters: dict[str, int] = {}
    payments: dict[str, int] = {}
    adoptions: dict[str, int] = {}
    flows: dict[str, Frame] = {}
    withdrawn: dict[str, int] = {}

    def __post_init__(self) -> None:
        open_windows(self, *_WINDOWS)

    def last_seq(self, signal_id: str) -> int:
        """The sequence number of the signal's previous record, 0 if there is none."""
        known = self.live.get(signal_id) or self.closed.get(signal_id)
        return known.seq if known is not None else 0

    def state_of(self, signal_id: str) -> SignalState | None:
        """The signal's state, or ``None`` if it is unknown or forgotten."""
        known = self.live.get(signal_id) or self.closed.get(signal_id)
        return known.state if known is not None else None

    def open_counts(self) -> dict[str, int]:
        """How many signals are open, by state."""
        counts = {state.value: 0 for state in OPEN}
        for live in self.live.values():
            counts[live.state.value] += 1
        return counts

    def add(self, counter: str) -> None:
        self.counters[counter] = self.counters.get(counter, 0) + 1


class BusState(msgspec.Struct):
    """Everything a bus brain holds. ``Started`` resets all but the ledger.

    ``waiting`` are (sender, encoded message) that came before the replay had ended.
    """

    version: int = VERSION
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    caught_up: bool = False
    waiting: list[tuple[str, bytes]] = []
    risk_epoch: int = 0


def encode(state: BusState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> BusState:
    """The state in a snapshot; raises ``SnapshotError`` if the bytes are none."""
    return snapshots.decode(data, BusState, VERSION, "the signal bus")
