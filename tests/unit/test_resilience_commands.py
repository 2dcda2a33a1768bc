"""Whatever happens to a command, it ends in exactly one answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from exchanges.commands import CommandRunner, result
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.order import Fill, Order, OrderType, Side
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
from runtime.message import Message
from tests.unit.resilience_bench import classify

PLACE = PlaceOrder("bw-1", "v:X", Side.BUY, OrderType.MARKET, Decimal(1))
COMMANDS = [PLACE, AmendOrder("bw-1", "v:X"), CancelOrder("bw-1", "v:X"), CancelAll("v:X"), QueryOrder("bw-1", "v:X")]
COIN = Balance("USD", Decimal(1), Decimal(1))


class Strange(Command):
    symbol: str = "v:X"


class Runner(CommandRunner):
    """Answers ``ACCEPTED``, or raises what ``error`` is."""

    def __init__(self, error: Exception | None = None) -> None:
        self.said: list[Message] = []
        super().__init__(self.said.append, Counter(), classify)
        self.error = error

    async def any(self, command: Command) -> CommandResult:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return result(command, Outcome.ACCEPTED, venue_id="7")

    place = amend = cancel = cancel_all = query = any

    async def orders(self) -> tuple[Order, ...]:
        return ()

    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        if self.error is not None:
            raise self.error
        return ()

    async def positions(self) -> tuple[VenuePosition, ...]:
        return (VenuePosition("v:X", Decimal(since := self.fetch), Decimal(since)),)

    async def balances(self) -> tuple[Balance, ...]:
        if self.error is not None:
            raise VenueError(Failure(FailureKind.REJECTED, Outcome.REJECTED, "42", "not today"))
        return (COIN,)


def run(runner: Runner, *commands: Command) -> list[Message]:
    async def scenario() -> None:
        for command in commands:
            await runner.run(command)

    asyncio.run(scenario())
    return runner.said


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_that_succeeds_is_accepted_under_its_own_name(command: Command) -> None:
    (said,) = run(Runner(), command)
    assert isinstance(said, CommandResult)
    client_id = getattr(command, "client_id", "")
    assert (said.command, said.client_id, said.symbol) == (type(command).__name__, client_id, "v:X")
    assert (said.outcome, said.venue_id) == (Outcome.ACCEPTED, "7")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_an_error_is_what_it_says_it_is(command: Command) -> None:
    limited = VenueError(Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, "429", "slow down", 5))
    runner = Runner(limited)
    (said,) = run(runner, command)
    assert isinstance(said, CommandResult)
    assert (said.outcome, said.code, said.reason, said.retry_after_ns) == (Outcome.NOT_SENT, "429", "slow down", 5)
    assert runner.counters["outcome_not_sent"] == 1


def test_an_error_nobody_foresaw_leaves_the_outcome_unknown() -> None:
    (said,) = run(Runner(ZeroDivisionError("oops")), PLACE)
    assert isinstance(said, CommandResult)
    assert (said.outcome, said.code) == (Outcome.UNKNOWN, "ZeroDivisionError")


def test_a_command_nobody_knows_was_certainly_not_sent() -> None:
    (said,) = run(Runner(), Strange())
    assert isinstance(said, CommandResult)
    assert (said.outcome, said.code, said.reason) == (Outcome.NOT_SENT, "UNSUPPORTED", "no Strange here")


def test_the_state_is_complete_when_all_of_its_parts_are() -> None:
    first, second = run(Runner(), FetchState(0), FetchState(0))
    assert isinstance(first, VenueState)
    assert isinstance(second, VenueState)
    assert (first.complete, first.reason, first.balances) == (True, "", (COIN,))
    assert (first.positions[0].quantity, second.positions[0].quantity) == (1, 2), "each fetch has its number"
    assert 0 < first.started_ns <= second.started_ns


def test_parts_that_fail_are_named_and_the_others_are_there() -> None:
    runner = Runner(ZeroDivisionError("oops"))
    (said,) = run(runner, FetchState(0))
    assert isinstance(said, VenueState)
    assert not said.complete
    assert said.reason == "fills: ZeroDivisionError told so; balances: 42 not today"
    assert len(said.positions) == 1
    assert runner.counters["states_incomplete"] == 1
