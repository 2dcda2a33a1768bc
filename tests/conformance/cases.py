"""The cases, numbered for good: a new one gets the next number, none is ever used again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from exchanges.failures import FailureKind
from exchanges.history import HistoryDesk
from exchanges.interface import Capabilities
from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    FetchHistory,
    FillReport,
    HistoryReport,
    InstrumentsReport,
    Outcome,
    QueryOrder,
    StreamStatus,
)
from exchanges.modes import Mode, access
from exchanges.simulators.faults import KeyState, RequestFault, StreamFault
from exchanges.streams import AccessError
from runtime.errors import SetupError
from tests.conformance.desk import Desk

MINUTE_NS = 60 * 1_000_000_000


class Case(NamedTuple):
    """``connected`` cases get a desk whose streams are up. ``simulator`` and ``adapter`` change settings.

    ``coin`` cases run on a pair of coins where the venue has one.
    """

    number: int
    title: str
    run: Callable[[Desk], Awaitable[None]]
    connected: bool = True
    simulator: dict[str, Any] = {}
    adapter: dict[str, Any] = {}
    wrong_key: bool = False
    coin: bool = False


CASES: list[Case] = []


def case(number: int, title: str, **more: Any) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    """Enter a case into the table."""

    def enter(run: Callable[[Desk], Awaitable[None]]) -> None:
        CASES.append(Case(number, title, run, **more))

    return enter


# -- connecting and market data ------------------------------------------------------------


@case(1, "connecting reports the instrument, both streams and prices that make sense")
async def _(d: Desk) -> None:
    await d.until(lambda: d.of(Trade) and d.of(Quote), "trades and quotes")
    instrument = d.of(InstrumentsReport)[0].instruments[0]
    assert (instrument.symbol, instrument.venue, instrument.trading) == (d.stand.symbol, d.stand.venue, True)
    assert min(instrument.tick, instrument.lot) > 0
    for trade in d.of(Trade):
        assert trade.symbol == d.stand.symbol
        assert trade.price > 0
        assert trade.size > 0
        assert trade.recv_ns > 0
        assert trade.side in ("buy", "sell", "")
    assert all(0 < quote.bid < quote.ask for quote in d.of(Quote))


@case(2, "capabilities are declared")
async def _(d: Desk) -> None:
    assert isinstance(d.exchange.capabilities, Capabilities)
    assert d.exchange.venue == d.stand.venue


@case(3, "what the venue lacks the symbol for is said, and no stream claims to be up", connected=False)
async def _(d: Desk) -> None:
    await d.exchange.connect([f"{d.stand.venue}:NOSUCHTHING"], d.sink)
    await d.until(lambda: any("NOSUCHTHING" in s.reason for s in d.of(StreamStatus)), "the reason")
    assert True not in d.streams("public")


@case(4, "paused public data waits, private data goes on, and nothing is lost in between")
async def _(d: Desk) -> None:
    await d.until(lambda: len(d.of(Trade)) > 2, "trades")
    d.exchange.pause(True)
    await asyncio.sleep(0.2)
    before = len(d.of(Trade))
    order = await d.bought()
    assert len(d.of(Trade)) == before
    assert d.filled(order.client_id) == order.quantity
    d.exchange.pause(False)
    await d.until(lambda: len(d.of(Trade)) > before, "what had waited")


@case(5, "history comes oldest first and within its bounds")
async def _(d: Desk) -> None:
    await d.until(lambda: len(d.of(Trade)) > 5, "trades")
    end = time.time_ns()
    bars = await d.exchange.bars(d.stand.symbol, MINUTE_NS, end - 120 * MINUTE_NS, end)
    assert all(isinstance(bar, Bar) and bar.low <= bar.open <= bar.high for bar in bars)
    assert [bar.ts_ns for bar in bars] == sorted({bar.ts_ns for bar in bars})
    trades = await d.exchange.trades(d.stand.symbol, 5)
    assert trades
    assert [trade.ts_ns for trade in trades] == sorted(trade.ts_ns for trade in trades)


@case(6, "a question about the past gets one answer: bars that are over, or the reason why there are none")
async def _(d: Desk) -> None:
    past = HistoryDesk(d.exchange, d.sink)
    minute = FetchHistory("strategy/x", d.stand.symbol, MINUTE_NS, 20, time.time_ns(), (1, 5))
    past.submit(minute)
    past.submit(FetchHistory("strategy/x", d.stand.symbol, 7, 20, time.time_ns()))
    await d.until(lambda: len(d.of(HistoryReport)) == 2, "the answers")
    told = {report.interval_ns: report for report in d.of(HistoryReport)}
    assert (told[MINUTE_NS].reason, told[MINUTE_NS].mark, told[MINUTE_NS].asker) == ("", (1, 5), "strategy/x")
    assert all(bar.closed and bar.ts_ns + MINUTE_NS <= time.time_ns() for bar in told[MINUTE_NS].bars)
    assert told[7].bars == () and "7 ns" in told[7].reason
    await past.close()


# -- the life of an order -------------------------------------------------------------------


@case(10, "a market order is accepted, filled, reported, and the same in the venue's state")
async def _(d: Desk) -> None:
    order = d.market()
    answer = await d.ask(order)
    assert (answer.outcome, bool(answer.venue_id)) == (Outcome.ACCEPTED, True), answer
    await d.until(lambda: OrderStatus.FILLED in d.statuses(order.client_id), "the report of its end")
    await d.until(lambda: d.filled(order.client_id) == order.quantity, "the fills")
    state = await d.state()
    assert state.complete, state.reason
    assert [(p.symbol, p.quantity) for p in state.positions if p.quantity] == [(d.stand.symbol, order.quantity)]
    fetched = {fill.execution_id for fill in state.fills if fill.client_id == order.client_id}
    assert fetched == {fill.execution_id for fill in d.fills(order.client_id)}
    assert state.balances
    assert not state.orders


@case(11, "a position is sold again and is gone")
async def _(d: Desk) -> None:
    await d.bought()
    sale = d.market(Side.SELL)
    assert (await d.ask(sale)).outcome is Outcome.ACCEPTED
    await d.until(lambda: d.filled(sale.client_id) == sale.quantity, "the fills")
    assert {fill.side for fill in d.fills(sale.client_id)} == {Side.SELL}
    assert not [p for p in (await d.state()).positions if p.quantity]
    assert not d.books()["positions"]


@case(12, "a resting order is listed, found, cancelled, and its second cancel refused")
async def _(d: Desk) -> None:
    order = d.resting()
    assert (await d.ask(order)).outcome is Outcome.ACCEPTED
    await d.until(lambda: OrderStatus.OPEN in d.statuses(order.client_id), "its report")
    listed = (await d.state()).orders
    assert [(o.client_id, o.price, o.quantity) for o in listed] == [(order.client_id, order.price, order.quantity)]
    found = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert found is not None and found.status is OrderStatus.OPEN
    assert (await d.ask(CancelOrder(order.client_id, d.stand.symbol))).outcome is Outcome.ACCEPTED
    await d.until(lambda: OrderStatus.CANCELLED in d.statuses(order.client_id), "the report of its end")
    again = await d.ask(CancelOrder(order.client_id, d.stand.symbol))
    assert again.outcome in (Outcome.NOT_FOUND, Outcome.REJECTED)
    gone = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert gone is not None and gone.status is OrderStatus.CANCELLED


@case(13, "an amended order keeps its client order id and has the new price")
async def _(d: Desk) -> None:
    order = d.resting()
    await d.ask(order)
    answer = await d.ask(AmendOrder(order.client_id, d.stand.symbol, price=d.stand.amended))
    if not d.exchange.capabilities.amend:
        assert answer.outcome is Outcome.NOT_SENT
        return
    assert answer.outcome is Outcome.ACCEPTED, answer
    found = (await d.ask(QueryOrder(order.client_id, d.stand.symbol))).order
    assert found is not None
    assert (found.price, found.status) == (d.stand.amended, OrderStatus.OPEN)
    assert (await d.ask(CancelOrder(order.client_id, d.stand.symbol))).outcome is Outcome.ACCEPTED
    assert not (await d.state()).orders


@case(14, "cancelling all leaves no working order")
async def _(d: Desk) -> None:
    for _ in range(3):
        await d.ask(d.resting())
    assert (await d.ask(CancelAll())).outcome is Outcome.ACCEPTED
    await d.until(lambda: all(o["status"] == "cancelled" for o in d.books()["orders"]), "their end at the venue")
    assert (await d.state()).orders == ()


@case(15, "an order nobody sent is not found")
async def _(d: Desk) -> None:
    assert (await d.ask(QueryOrder(d.client_id(), d.stand.symbol))).outcome is Outcome.NOT_FOUND


@case(16, "the same client order id twice is refused with the venue's code, and there is one order")
async def _(d: Desk) -> None:
    order = d.resting()
    await d.ask(order)
    answer = await d.ask(order)
    assert (answer.outcome, bool(answer.code)) == (Outcome.REJECTED, True), answer
    assert len(d.orders(order.client_id)) == 1


@case(17, "more than the account can pay is refused with the venue's code")
async def _(d: Desk) -> None:
    instrument = d.of(InstrumentsReport)[0].instruments[0]
    answer = await d.ask(d.market(quantity=instrument.round_quantity(d.stand.quantity * 20_000_000)))
    assert (answer.outcome, bool(answer.code)) == (Outcome.REJECTED, True), answer
    assert not d.books()["positions"]


@case(18, "a quantity off the step is refused before or by the venue, with a code")
async def _(d: Desk) -> None:
    answer = await d.ask(d.market(quantity=d.stand.odd_quantity))
    assert answer.outcome in (Outcome.REJECTED, Outcome.NOT_SENT), answer
    assert answer.code
    assert not d.books()["positions"]


@case(19, "a part of the fills after another adds up to the order")
async def _(d: Desk) -> None:
    orders = [await d.bought() for _ in range(3)]
    fills = {f.execution_id: f for o in orders for f in d.fills(o.client_id)}
    assert sum((f.quantity for f in fills.values()), Decimal(0)) == d.stand.quantity * 3
    assert all(f.fee >= 0 and f.price > 0 for f in fills.values())


@case(20, "a fee taken from the coin bought is off the position, to the last digit", coin=True)
async def _(d: Desk) -> None:
    instrument = d.of(InstrumentsReport)[0].instruments[0]
    order = await d.bought()
    state = await d.state()
    fills = [fill for fill in state.fills if fill.client_id == order.client_id]
    pushed = {fill.execution_id: fill for fill in d.fills(order.client_id)}
    assert {fill.execution_id: fill for fill in fills} == pushed
    held = sum((fill.delta for fill in fills), Decimal(0))
    assert [(p.symbol, p.quantity) for p in state.positions if p.quantity] == [(d.stand.symbol, held)]
    assert Decimal(d.books()["positions"][d.stand.symbol]) == held
    assert {fill.fee_in_base for fill in fills} == {instrument.fee_in_base}
    assert {fill.fee_currency for fill in fills} == {instrument.base if instrument.fee_in_base else instrument.quote}
    taken = order.quantity * instrument.taker_fee if instrument.fee_in_base else Decimal(0)
    assert held == order.quantity - taken
    assert instrument.fee_in_base == (taken > 0)


# -- writes whose outcome is in doubt ---------------------------------------------------------


def _doubtful(kind: RequestFault) -> Callable[[Desk], Awaitable[None]]:
    async def run(d: Desk) -> None:
        d.fault(kind)
        order = d.market()
        assert (await d.ask(order)).outcome is Outcome.UNKNOWN
        taken = len(d.orders(order.client_id))
        assert taken == (1 if kind.after else 0)
        answer = await d.ask(QueryOrder(order.client_id, d.stand.symbol))
        assert answer.outcome is (Outcome.ACCEPTED if taken else Outcome.NOT_FOUND)
        if taken:
            await d.until(lambda: d.filled(order.client_id) == order.quantity, "the fills all the same")
        await asyncio.sleep(0.3)
        assert len(d.orders(order.client_id)) == taken

    return run


for _number, _kind in enumerate(
    (
        RequestFault.TIMEOUT_AFTER,
        RequestFault.HTML_AFTER,
        RequestFault.RESET_AFTER,
        RequestFault.STATUS_AFTER,
        RequestFault.TIMEOUT_BEFORE,
        RequestFault.RESET_BEFORE,
        RequestFault.HTML,
        RequestFault.HTTP_STATUS,
    ),
    30,
):
    case(_number, f"an order whose call ended in {_kind.value} is of unknown outcome, never repeated")(_doubtful(_kind))


@case(40, "a rate-limited order was not sent, with and without the headers that say how long")
async def _(d: Desk) -> None:
    for kind in (RequestFault.RATE_LIMIT, RequestFault.RATE_LIMIT_BARE):
        d.fault(kind)
        order = d.market()
        answer = await d.ask(order)
        assert answer.outcome is Outcome.NOT_SENT, answer
        assert not d.orders(order.client_id)


@case(41, "a rate-limited read is repeated and answered")
async def _(d: Desk) -> None:
    d.fault(RequestFault.RATE_LIMIT_BARE, ("query",))
    state = await d.state()
    assert state.complete, state.reason


@case(42, "a part of the state that can't be had makes it incomplete, and is named")
async def _(d: Desk) -> None:
    d.fault(RequestFault.HTTP_STATUS, ("query",), count=500)
    state = await d.state()
    assert not state.complete
    assert state.reason


# -- streams ------------------------------------------------------------------------------------


def _comes_back(stream: str, kind: StreamFault) -> Callable[[Desk], Awaitable[None]]:
    async def run(d: Desk) -> None:
        d.stream_fault(stream, kind, 60.0)
        await d.until(lambda: d.streams(stream)[-2:] == [False, True], f"{stream} down and up again")
        # A venue with one socket for everything loses both streams at once.
        await d.until(lambda: all(d.streams(name)[-1] for name in ("public", "private")), "both streams")
        d.got[:] = [message for message in d.got if not isinstance(message, Trade | FillReport)]
        await d.bought()
        await d.until(lambda: d.of(Trade), "market data again")

    return run


for _number, (_stream, _fault) in enumerate(
    (
        ("public", StreamFault.DROP),
        ("private", StreamFault.DROP),
        ("public", StreamFault.CLOSE),
        ("private", StreamFault.CLOSE),
        ("public", StreamFault.MUTE),
        ("private", StreamFault.MUTE),
    ),
    50,
):
    case(_number, f"a {_stream} stream that meets {_fault.value} is reported down and comes back")(
        _comes_back(_stream, _fault)
    )


@case(60, "garbage and messages of unknown types are survived")
async def _(d: Desk) -> None:
    for kind in (StreamFault.GARBAGE, StreamFault.UNKNOWN_TYPE):
        d.stream_fault("all", kind)
    await d.until(lambda: d.of(Trade), "trades")
    d.got[:] = [message for message in d.got if not isinstance(message, Trade)]
    await d.until(lambda: d.of(Trade), "trades after it")
    await d.until(lambda: all(d.streams(name)[-1] for name in ("public", "private")), "both streams")
    await d.bought()


@case(61, "an execution told twice has one id")
async def _(d: Desk) -> None:
    d.execution_fault(duplicate=1)
    order = await d.bought()
    assert d.filled(order.client_id) == order.quantity


@case(62, "an execution told late comes all the same")
async def _(d: Desk) -> None:
    d.execution_fault(delay=1, seconds=0.5)
    order = await d.bought()
    assert d.filled(order.client_id) == order.quantity


@case(63, "an execution never told is in the venue's state, with its client order id")
async def _(d: Desk) -> None:
    d.execution_fault(lose=10)
    order = d.market()
    await d.ask(order)
    found = [f for f in (await d.state()).fills if f.client_id == order.client_id]
    assert sum((f.quantity for f in found), Decimal(0)) == order.quantity


@case(64, "a status nobody knows neither ends an order nor the stream")
async def _(d: Desk) -> None:
    d.execution_fault(unknown=1)
    order = d.resting()
    await d.ask(order)
    await asyncio.sleep(0.3)
    assert not any(status.final for status in d.statuses(order.client_id))
    assert (await d.ask(CancelOrder(order.client_id, d.stand.symbol))).outcome is Outcome.ACCEPTED
    await d.until(lambda: OrderStatus.CANCELLED in d.statuses(order.client_id), "the report of its end")


# -- keys and endings -----------------------------------------------------------------------------


@case(70, "a wrong key keeps the private stream down and says why", connected=False, wrong_key=True)
async def _(d: Desk) -> None:
    await d.exchange.connect([d.stand.symbol], d.sink)
    await d.until(lambda: any(not s.up and s.reason for s in d.of(StreamStatus) if s.stream == "private"), "the reason")
    assert True not in d.streams("private")
    answer = await d.ask(d.market())
    assert answer.outcome in (Outcome.REJECTED, Outcome.NOT_SENT), answer
    assert not d.books()["orders"]


@case(71, "closing ends every task the adapter began")
async def _(d: Desk) -> None:
    mine = {task for task in asyncio.all_tasks() if task.get_name().startswith(d.stand.venue)}
    running = {task for task in mine if "simulator" not in task.get_name()}
    assert running
    await d.exchange.close()
    await d.until(lambda: all(task.done() for task in running), "the end of its tasks")
    assert all(isinstance(value, float | int) for value in d.exchange.stats().values())


# -- what has to be mended ends the start -----------------------------------------------------------


@case(72, "what is right passes the look before the start, of which nothing is reported", connected=False)
async def _(d: Desk) -> None:
    await d.exchange.check([d.stand.symbol])
    assert d.got == []


async def _refused_key(d: Desk) -> None:
    with pytest.raises(AccessError) as caught:
        await d.exchange.check([d.stand.symbol])
    failure = caught.value.failure
    assert failure is not None
    assert failure.kind is FailureKind.UNAUTHORISED
    assert "simulator-secret" not in str(caught.value)


@case(73, "a wrong key, as one of another mode is, ends the start", connected=False, wrong_key=True)
async def _(d: Desk) -> None:
    await _refused_key(d)


@case(74, "a revoked key ends the start with the venue's answer", connected=False)
async def _(d: Desk) -> None:
    d.key_fault(KeyState.REVOKED)
    await _refused_key(d)


@case(75, "a symbol the venue does not list ends the start and is named", connected=False)
async def _(d: Desk) -> None:
    with pytest.raises(SetupError, match=r"NOSUCHTHING.*found no such"):
        await d.exchange.check([d.stand.symbol, f"{d.stand.venue}:NOSUCHTHING"])


@case(76, "on paper the key is looked at, too, where prices need one", connected=False, adapter={"mode": Mode.PAPER})
async def _(d: Desk) -> None:
    d.key_fault(KeyState.REVOKED)
    if access(d.stand.venue, Mode.PAPER).needs_key:
        with pytest.raises(AccessError):
            await d.exchange.check([d.stand.symbol])
    else:
        await d.exchange.check([d.stand.symbol])


@case(77, "an order in a market that is closed is refused with a code and never reaches the book")
async def _(d: Desk) -> None:
    engine = d.simulator.venue.engine
    engine.relist(msgspec.structs.replace(engine.markets[d.stand.symbol].instrument, trading=False))
    answer = await d.ask(d.market())
    assert answer.outcome in (Outcome.REJECTED, Outcome.NOT_SENT), answer
    assert answer.code
    assert not d.books()["orders"]


@case(78, "an order with a key that may only look is refused with the venue's code")
async def _(d: Desk) -> None:
    d.key_fault(KeyState.READ_ONLY)
    answer = await d.ask(d.market())
    assert (answer.outcome, bool(answer.code)) == (Outcome.REJECTED, True), answer
    assert not d.books()["orders"]
