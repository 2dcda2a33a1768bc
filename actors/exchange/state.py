"""Everything an exchange connection's brain remembers, in the form it is snapshotted."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors import snapshots
from actors.exchange.flows.state import FlowState
from actors.messages.control import TradingState
from actors.messages.orders import Watch
from actors.window import open_windows
from exchanges.model.instrument import Instrument
from exchanges.model.order import Order, OrderStatus
from exchanges.model.position import Balance, Position

VERSION = 1
OUR_PREFIX = "bw-"
PANIC_PREFIX = "bw-P"
ADOPTED_PREFIX = "adopted-"
"""Begins the name of an adopted order that has no client order id; the venue's id follows."""

_ZERO = Decimal(0)


class TrackedOrder(msgspec.Struct):
    """One order of ours, with what is known and what is still to be done about it.

    ``claimed`` and ``claimed_filled`` are what the venue says; ``executed`` and ``value`` (quote
    amount) are the sums of its fills, the only truth about the filled quantity. ``..._due_ns`` are
    moments something is to be done at, 0 for nothing.
    """

    order: Order
    signal_id: str = ""
    strategy: str = ""
    reference_price: Decimal = _ZERO
    approved_ns: int = 0
    expires_ns: int = 0
    tick_recv_ns: int = 0
    signal_ns: int = 0
    attempted_ns: int = 0
    attempts: int = 0
    maybe_sent: bool = False
    """An attempt was made that is not known to have failed before it left."""
    told: Order | None = None
    claimed: OrderStatus | None = None
    claimed_filled: Decimal = _ZERO
    claimed_price: Decimal = _ZERO
    executed: Decimal = _ZERO
    value: Decimal = _ZERO
    inferred: bool = False
    """It ended by our conclusion, not by the venue's word; the venue's word may undo that."""
    outstanding: bool = False
    """It came out of a replay and the venue hasn't been asked about it yet."""
    touched_ns: int = 0
    asking: bool = False
    asked_ns: int = 0
    asks: int = 0
    absent_ns: int = 0
    """When the venue first said it knows no such order."""
    query_due_ns: int = 0
    resend_due_ns: int = 0
    cancel_reason: str = ""
    cancel_due_ns: int = 0
    fills_due_ns: int = 0
    fills_tries: int = 0
    adopted: bool = False
    """It was placed elsewhere: the venue knows it by its own id."""
    role: str = ""
    """What it is for in its signal's flow; empty for an order that is a signal's only one."""
    amending: Decimal | None = None
    """The price asked for by an amendment whose outcome is open."""
    amended_ns: int = 0
    closes: bool = False
    """It ends what its strategy holds, and leaves only while that covers it."""
    amend_refused: bool = False
    reshaping: tuple[Decimal | None, Decimal | None] | None = None
    """The quantity and the trigger price asked for by an amendment whose outcome is open."""

    @property
    def client_id(self) -> str:
        return self.order.client_id

    @property
    def symbol(self) -> str:
        return self.order.symbol

    @property
    def status(self) -> OrderStatus:
        return self.order.status

    @property
    def called(self) -> str:
        """The venue's id, where the order has to be named by it."""
        return self.order.venue_id if self.adopted else ""

    @property
    def protects(self) -> bool:
        """It is a flow's stop at the venue, which can only reduce: neither a halt nor a session's end takes it."""
        return bool(self.role) and self.order.trigger is not None and self.order.reduce_only

    @property
    def amended(self) -> bool:
        """Whether the outcome of an amendment is open."""
        return self.amending is not None or self.reshaping is not None

    @property
    def closes_in_panic(self) -> bool:
        """It closes a position on behalf of a panic: no signal asked for it."""
        return not self.signal_id and self.client_id.startswith(PANIC_PREFIX)

    @property
    def waits_for_fills(self) -> bool:
        """The venue says that it has ended, with more filled than we have seen."""
        return self.claimed is not None and self.claimed.final and self.executed < self.claimed_filled


class PanicState(msgspec.Struct):
    """A panic under way: every position is closed, again and again, until the venue has none."""

    control_id: str
    by: str
    began_ns: int
    due_ns: int = 0
    attempts: int = 0
    cancelled: bool = False
    placed: dict[str, int] = {}
    """When the last closing order of a symbol was sent."""


class ConnectionState(msgspec.Struct):
    """The snapshot of an exchange connection. Dicts keep insertion order, so that it is deterministic."""

    version: int = VERSION
    epoch: int = 0
    live: bool = False
    active: dict[str, TrackedOrder] = {}
    closed: dict[str, TrackedOrder] = {}
    positions: dict[str, Position] = {}
    baselines: dict[str, int] = {}
    """By symbol, the newest execution (venue time) that its opening position already held."""
    executions: dict[str, int] = {}
    executed_ns: int = 0
    floor_ns: int = 0
    """Executions up to here are no longer told apart: they count as known."""
    instruments: dict[str, Instrument] = {}
    rules: str = ""
    """A fingerprint of the instruments."""
    balances: dict[str, Balance] = {}
    marks: dict[str, Decimal] = {}
    halted: dict[str, str] = {}
    latch: TradingState = TradingState.ACTIVE
    latch_reason: str = ""
    allowed: TradingState = TradingState.ACTIVE
    """What the risk supervisor allows."""
    controls: list[str] = []
    panic: PanicState | None = None
    unconfirmed: dict[str, bytes] = {}
    repairs: int = 0
    repair_mark: tuple[int, int] = (0, 0)
    public_up: bool = False
    private_up: bool = False
    private_since_ns: int = 0
    matched: bool = False
    """The venue's orders and fills have been taken over since the private stream came up."""
    fetched_ns: int = 0
    """When the last complete answer was begun: it held every execution before."""
    fetch_sent_ns: int = 0
    fetch_due_ns: int = 0
    activity: dict[str, int] = {}
    suspects: dict[str, str] = {}
    foreign: dict[str, Order] = {}
    """Working orders that are not ours, by the venue's id."""
    peers: dict[str, int] = {}
    down: list[str] = []
    bus_epoch: int = 0
    told_ns: int = 0
    told_state: str = ""
    """What was last said of the connection, without its equity."""
    seqs: dict[str, int] = {}
    counted: dict[str, dict[str, int]] = {}
    """Market data so far by symbol and kind, over all epochs; a bar counts when it is closed."""
    watches: dict[str, Watch] = {}
    payments: dict[str, int] = {}
    """Payments booked or passed over, with the venue's time of each."""
    reckoned: dict[str, Decimal] = {}
    """By symbol, fees in the coin bought that the venue did not tell, since its position last agreed with ours."""
    flows: dict[str, FlowState] = {}
    """By signal, until the journal has their end."""
    ended_flows: list[str] = []
    shares: dict[str, Decimal] = {}
    """What a strategy holds of a symbol by its own fills, by ``strategy|symbol``; none is left out."""
    stopping: bool = False
    """Told to stop: nothing new leaves."""

    def __post_init__(self) -> None:
        open_windows(self, "executions", "payments", "unconfirmed")

    @property
    def outstanding(self) -> list[str]:
        """Client ids the venue has yet to be asked about."""
        return [client_id for client_id, tracked in self.active.items() if tracked.outstanding]

    @property
    def reconciled(self) -> bool:
        """Our books agree with the venue's, and nothing from before the restart is open."""
        return self.live and self.private_up and self.matched and not self.outstanding

    def find(self, client_id: str) -> TrackedOrder | None:
        return self.active.get(client_id) or self.closed.get(client_id)

    def match(self, client_id: str, venue_id: str) -> TrackedOrder | None:
        """The order that bears the client order id or, without one, the venue's id."""
        if client_id:
            return self.find(client_id)
        working = self.active.values()
        return next((tracked for tracked in working if venue_id and tracked.order.venue_id == venue_id), None)

    def ours(self, order: Order) -> bool:
        """Whether we placed the venue's ``order``, or have adopted it."""
        return order.client_id.startswith(OUR_PREFIX) or self.match(order.client_id, order.venue_id) is not None

    def unknown(self, symbol: str = "") -> list[str]:
        """Client ids with an unknown outcome (of ``symbol``, if given)."""
        return [
            client_id
            for client_id, tracked in self.active.items()
            if tracked.status is OrderStatus.UNKNOWN and symbol in ("", tracked.symbol)
        ]


def encode(state: ConnectionState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> ConnectionState:
    """The state in a snapshot; raises ``SnapshotError`` if the bytes are none."""
    return snapshots.decode(data, ConnectionState, VERSION, "an exchange connection")
