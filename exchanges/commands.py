"""Commands carried out, for every venue: one call each, never repeated, an outcome whatever happens."""

from __future__ import annotations

import abc
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from exchanges.failures import Failure, VenueError
from exchanges.interface import Sink
from exchanges.model.order import Fill, Order
from exchanges.model.position import Balance
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    FetchState,
    Outcome,
    PlaceOrder,
    QueryOrder,
    VenuePosition,
    VenueState,
)

T = TypeVar("T")


def result(
    command: Command,
    outcome: Outcome,
    code: str = "",
    reason: str = "",
    *,
    venue_id: str = "",
    order: Order | None = None,
    retry_after_ns: int = 0,
) -> CommandResult:
    """The ``CommandResult`` of ``command``, named and addressed by its fields."""
    client_id, symbol = getattr(command, "client_id", ""), getattr(command, "symbol", "")
    name = type(command).__name__
    return CommandResult(name, client_id, symbol, outcome, code, reason, venue_id, order, retry_after_ns)


class CommandRunner(abc.ABC):
    """Runs commands against one venue and reports to the sink.

    A venue implements the five commands and the four parts of its state; each may raise anything.
    ``VenueError`` says itself what it means for the command, everything else is asked of ``classify``.

    Args:
        sink: Takes the ``CommandResult`` or the ``VenueState``, one for each command.
        counters: Gets ``outcome_<outcome>`` for what did not end well, and ``states_incomplete``.
        classify: What an error raised outside the resilience stack means.
    """

    stops: ClassVar[bool] = False
    """Whether orders may wait at the venue for a price."""

    def __init__(self, sink: Sink, counters: Counter[str], classify: Callable[[BaseException], Failure]) -> None:
        self.sink = sink
        self.counters = counters
        self.fetch = 0
        """The number of the newest ``FetchState``: answers asked for under it are no older than it."""
        self._classify = classify
        self._work: dict[type[Command], Callable[[Any], Awaitable[CommandResult]]] = {
            PlaceOrder: self.place,
            AmendOrder: self.amend,
            CancelOrder: self.cancel,
            CancelAll: self.cancel_all,
            QueryOrder: self.query,
        }

    async def run(self, command: Command) -> None:
        """Carry out ``command``; the sink gets exactly one answer to it."""
        if isinstance(command, FetchState):
            self.sink(await self.state(command.since_ns))
            return
        handler = self._work.get(type(command))
        waits = isinstance(command, PlaceOrder) and command.trigger is not None
        if handler is None or (waits and not self.stops):
            what = "stop order" if waits else type(command).__name__
            self.sink(result(command, Outcome.NOT_SENT, "UNSUPPORTED", f"no {what} here"))
            return
        try:
            answer = await handler(command)
        except Exception as error:
            # A command always ends in an outcome: what the error means for it is decided in one place.
            failure = self.failure(error)
            self.counters[f"outcome_{failure.outcome.value}"] += 1
            answer = result(
                command, failure.outcome, failure.code, failure.reason, retry_after_ns=failure.retry_after_ns
            )
        self.sink(answer)

    def failure(self, error: BaseException) -> Failure:
        """What ``error`` means for the command it ended."""
        return error.failure if isinstance(error, VenueError) else self._classify(error)

    async def state(self, since_ns: int) -> VenueState:
        """Fetch everything at once; what fails makes the answer incomplete, and is named."""
        self.fetch += 1
        started_ns = time.time_ns()
        problems: list[str] = []
        orders, fills, positions, balances = await asyncio.gather(
            self._part("orders", self.orders(), problems),
            self._part("fills", self.fills(since_ns, started_ns), problems),
            self._part("positions", self.positions(), problems),
            self._part("balances", self.balances(), problems),
        )
        if problems:
            self.counters["states_incomplete"] += 1
        return VenueState(not problems, started_ns, orders, fills, positions, balances, "; ".join(problems))

    async def _part(self, name: str, work: Awaitable[tuple[T, ...]], problems: list[str]) -> tuple[T, ...]:
        """One part of the state; a failure goes to ``problems``."""
        try:
            return await work
        except Exception as error:
            failure = self.failure(error)
            problems.append(f"{name}: {failure.code} {failure.reason}".strip())
            return ()

    # -- what a venue implements -----------------------------------------------------------

    @abc.abstractmethod
    async def place(self, command: PlaceOrder) -> CommandResult:
        """Send a new order under its client order id."""

    @abc.abstractmethod
    async def amend(self, command: AmendOrder) -> CommandResult:
        """Change price or quantity of a working order."""

    @abc.abstractmethod
    async def cancel(self, command: CancelOrder) -> CommandResult:
        """Cancel one order by client order id."""

    @abc.abstractmethod
    async def cancel_all(self, command: CancelAll) -> CommandResult:
        """Cancel every working order, of one symbol or of all."""

    @abc.abstractmethod
    async def query(self, command: QueryOrder) -> CommandResult:
        """Find one order by client order id: ``ACCEPTED`` with the order, or ``NOT_FOUND``."""

    @abc.abstractmethod
    async def orders(self) -> tuple[Order, ...]:
        """The working orders."""

    @abc.abstractmethod
    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        """The executions from ``since_ns`` to at least ``until_ns``, each once."""

    @abc.abstractmethod
    async def positions(self) -> tuple[VenuePosition, ...]:
        """What is held."""

    @abc.abstractmethod
    async def balances(self) -> tuple[Balance, ...]:
        """The account's currencies."""
