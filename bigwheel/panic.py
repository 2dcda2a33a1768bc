"""A panic without a runtime: from the keys alone, every order cancelled and every position closed at every venue."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence

import msgspec

from actors.exchange.connect import make_adapter, simulated_addresses, simulated_keys
from actors.exchange.panic import panic_order_id, pieces
from actors.venue.note import read_note
from bigwheel.errors import SessionError, UsageError
from conf import Settings
from exchanges.credentials import resolve
from exchanges.interface import Exchange
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import (
    CancelAll,
    Command,
    CommandResult,
    FetchState,
    InstrumentsReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
    VenuePosition,
    VenueState,
)
from exchanges.modes import Mode
from runtime.errors import BigwheelError
from runtime.message import Message

Say = Callable[[str], None]
ANSWER_S = 30.0
PASS_S = 1.0
READY_S = 10.0
_HOUR_NS = 3_600 * 1_000_000_000


class Left(msgspec.Struct, frozen=True):
    """What a venue still had at the end. ``fault`` is why it could not even be looked at."""

    venue: str
    orders: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    fault: str = ""

    @property
    def clear(self) -> bool:
        return not (self.orders or self.positions or self.fault)


class DirectPanic:
    """Empties one venue.

    Args:
        exchange: Its adapter, not connected.
        symbols: The session's symbols there; positions in others are closed as well.
        say: Takes one line for each thing done.
    """

    def __init__(self, exchange: Exchange, symbols: Sequence[str], say: Say) -> None:
        self._exchange, self._symbols, self._say = exchange, tuple(symbols), say
        self._id = f"direct-{uuid.uuid4().hex}"
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._instruments: dict[str, Instrument] = {}
        self._ready = asyncio.Event()
        self._pending: dict[str, PlaceOrder] = {}
        self._passes = 0

    async def run(self, limit_s: float) -> Left:
        """Pass after pass until the venue lists nothing, for ``limit_s`` seconds at most."""
        end = time.monotonic() + limit_s
        await self._exchange.connect(self._symbols, self._take)
        try:
            await self._connected()
            left = Left(self._exchange.venue, fault="the venue did not tell its state")
            while time.monotonic() < end:
                self._passes += 1
                left = await self._pass() or left
                if left.clear:
                    break
                await asyncio.sleep(PASS_S)
            return left
        finally:
            await self._exchange.close()

    async def _connected(self) -> None:
        """Give the instruments a moment: their limits say how much one order may close."""
        try:
            await asyncio.wait_for(self._ready.wait(), READY_S)
        except TimeoutError:
            self._say(f"{self._exchange.venue}: no instruments within {READY_S:g} s; going on without")

    def _take(self, message: Message) -> None:
        if isinstance(message, InstrumentsReport):
            self._instruments.update({instrument.symbol: instrument for instrument in message.instruments})
            self._ready.set()
        elif isinstance(message, CommandResult | VenueState):
            self._answers.put_nowait(message)
        elif isinstance(message, StreamStatus) and not message.up and message.reason:
            self._say(f"{self._exchange.venue}: {message.stream} stream is down: {message.reason}")

    async def _ask(self, command: Command) -> Message | None:
        """The answer to a command; ``None`` if none comes."""
        self._exchange.submit(command)
        wanted = VenueState if isinstance(command, FetchState) else CommandResult
        end = time.monotonic() + ANSWER_S
        while (rest := end - time.monotonic()) > 0:
            try:
                answer = await asyncio.wait_for(self._answers.get(), rest)
            except TimeoutError:
                break
            ours = isinstance(answer, VenueState) or (
                isinstance(answer, CommandResult)
                and answer.command == type(command).__name__
                and answer.client_id == getattr(command, "client_id", "")
            )
            if isinstance(answer, wanted) and ours:
                return answer
        self._say(f"{self._exchange.venue}: no answer to {type(command).__name__}")
        return None

    # -- one pass --------------------------------------------------------------------------

    async def _pass(self) -> Left | None:
        """Cancel, look, close; what was found, or ``None`` if the venue did not say."""
        venue = self._exchange.venue
        cancelled = await self._ask(CancelAll())
        if isinstance(cancelled, CommandResult) and cancelled.outcome is not Outcome.ACCEPTED:
            self._say(f"{venue}: cancelling all orders was answered {cancelled.outcome.value} {cancelled.reason}")
        for order in list(self._pending.values()):
            await self._resolve(order)
        state = await self._ask(FetchState(time.time_ns() - _HOUR_NS))
        if not isinstance(state, VenueState):
            return None
        if not state.complete:
            self._say(f"{venue}: its state is incomplete: {state.reason}")
        held = [position for position in state.positions if position.quantity]
        for position in held:
            await self._close(position)
        orders = tuple(order.client_id or order.venue_id for order in state.orders)
        positions = tuple(f"{position.symbol} {position.quantity}" for position in held)
        self._say(f"{venue}: pass {self._passes}: {len(orders)} orders, {len(positions)} positions")
        return Left(venue, orders, positions, "" if state.complete else f"incomplete state: {state.reason}")

    async def _close(self, position: VenuePosition) -> None:
        """Close a position with market orders that can only reduce it, unless one is still on its way."""
        symbol = position.symbol
        if any(order.symbol == symbol for order in self._pending.values()):
            return
        side = Side.SELL if position.quantity > 0 else Side.BUY
        for leg, quantity in enumerate(pieces(self._instruments.get(symbol), abs(position.quantity))):
            client_id = panic_order_id(self._id, symbol, leg, str(self._passes))
            order = PlaceOrder(
                client_id, symbol, side, OrderType.MARKET, quantity, None, TimeInForce.IOC, reduce_only=True
            )
            answer = await self._ask(order)
            outcome = answer.outcome if isinstance(answer, CommandResult) else Outcome.UNKNOWN
            why = f" {answer.code} {answer.reason}".rstrip() if isinstance(answer, CommandResult) else ""
            self._say(f"{self._exchange.venue}: {side.value} {quantity} {symbol} as {client_id}: {outcome.value}{why}")
            if outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                self._pending[client_id] = order

    async def _resolve(self, order: PlaceOrder) -> None:
        """Ask what became of a closing order: another one follows only when it has ended or never was."""
        answer = await self._ask(QueryOrder(order.client_id, order.symbol))
        if not isinstance(answer, CommandResult):
            return
        ended = answer.order is not None and answer.order.status.final
        if ended or answer.outcome is Outcome.NOT_FOUND:
            del self._pending[order.client_id]


# -- all venues ------------------------------------------------------------------------------


def direct_panic(settings: Settings, limit_s: float, say: Say) -> list[Left]:
    """Empty every venue of the configuration at once; one that fails keeps none of the others from it.

    Raises:
        UsageError: in mode ``paper`` there is nothing at a venue.
    """
    if Mode(settings.mode) is Mode.PAPER:
        raise UsageError(
            "expected a mode with orders at a venue, found paper, whose books are the session's own; "
            "start it and use `bigwheel panic`"
        )
    return asyncio.run(_all(settings, limit_s, say))


async def _all(settings: Settings, limit_s: float, say: Say) -> list[Left]:
    return list(await asyncio.gather(*(_one(settings, venue, limit_s, say) for venue in settings.venues)))


async def _one(settings: Settings, venue: str, limit_s: float, say: Say) -> Left:
    symbols = [symbol for symbol in settings.symbols if symbol.startswith(f"{venue}:")]
    try:
        exchange = await asyncio.to_thread(adapter_of, settings, venue)
        return await DirectPanic(exchange, symbols, say).run(limit_s)
    except (BigwheelError, OSError, TimeoutError) as error:
        say(f"{venue}: {error}")
        return Left(venue, fault=str(error))


def adapter_of(settings: Settings, venue: str) -> Exchange:
    """The venue's adapter with the session's keys, not connected."""
    mode, told = Mode(settings.mode), settings.exchange[venue]
    if mode is not Mode.SIM:
        return make_adapter(settings, venue, {}, resolve(venue, mode, told.credentials))
    folder, note = settings.store / "venues" / venue, read_note(settings.store, venue)
    if note is None and not told.rest_url:
        raise SessionError(f"expected the embedded venue {venue} to have run in {settings.store}, found no note of it")
    addresses = simulated_addresses(told, note) if note is not None and not told.rest_url else {}
    return make_adapter(settings, venue, addresses, simulated_keys(venue, folder))
