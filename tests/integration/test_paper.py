"""Trading on paper over the real Bybit adapter: public streams over real sockets, and untouched books at the venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from exchanges.bybit import BybitExchange, BybitSettings
from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.order import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import (
    CancelAll,
    CancelOrder,
    CommandResult,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
)
from exchanges.modes import Mode
from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from exchanges.simulators.faults import FaultOrder, StreamFault, StreamRule
from runtime.message import Message
from tests.unit.paper_bench import Paper

BTC, SPOT = "bybit:BTCUSDT", "bybit:BTCUSDT.SPOT"


class Listening:
    """The adapter, with a note of each command that is passed on to it."""

    def __init__(self, adapter: BybitExchange) -> None:
        self.adapter = adapter
        self.submitted: list[object] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.adapter, name)

    def submit(self, command: object) -> None:
        self.submitted.append(command)


@asynccontextmanager
async def desk(symbols: tuple[str, ...] = (BTC,), **changes: Any) -> AsyncIterator[tuple[Paper, BybitSimulator]]:
    listed = tuple(symbol.partition(":")[2] for symbol in symbols)
    simulator = BybitSimulator(SimulatorSettings(symbols=listed, rate=100.0, order_limit=0, query_limit=0))
    await simulator.start()
    try:
        async with on_paper(simulator, symbols, **changes) as paper:
            yield paper, simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def on_paper(simulator: BybitSimulator, symbols: tuple[str, ...], **changes: Any) -> AsyncIterator[Paper]:
    """An adapter without keys, connected to the simulator as if that were the real venue."""
    settings = BybitSettings(
        mode=Mode.PAPER,
        rest_url=simulator.url,
        public_url=simulator.ws_url,
        private_url=simulator.ws_url,
        backoff_base_s=0.05,
        backoff_cap_s=0.2,
    )
    source = Listening(BybitExchange(settings))
    paper = Paper(source, **changes)
    try:
        await paper.exchange.connect(symbols, paper.got.append)
        await paper.until(
            lambda: {s.stream for s in paper.of(StreamStatus) if s.up} == {"public", "private"}, "streams"
        )
        await paper.until(lambda: {q.symbol for q in paper.of(Quote)} == set(symbols), "quotes of all symbols")
        yield paper
    finally:
        await paper.exchange.close()
    assert source.submitted == []


def play(scenario: Callable[[Paper, BybitSimulator], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        async with desk(**changes) as (paper, simulator):
            await scenario(paper, simulator)
            untouched(simulator)

    asyncio.run(run())


def untouched(simulator: BybitSimulator) -> None:
    """The venue's own books hold nothing, and it was never asked about an account."""
    state = simulator.control.state()
    for name in state["books"]:
        books = state["books"][name]
        assert (books["orders"], books["fills"], books["positions"], D(books["cash"])) == ([], [], {}, D(100_000))
    assert all(client.stream != "private" for client in simulator.streams.clients)


def market(client_id: str, side: Side = Side.BUY, symbol: str = BTC, quantity: str = "0.01") -> PlaceOrder:
    return PlaceOrder(client_id, symbol, side, OrderType.MARKET, D(quantity))


def test_an_order_on_paper_is_filled_at_the_venues_prices_and_never_appears_at_the_venue() -> None:
    async def scenario(p: Paper, simulator: BybitSimulator) -> None:
        instrument = p.of(InstrumentsReport)[0].instruments[0]
        assert (instrument.symbol, instrument.taker_fee) == (BTC, D("0.00055"))
        answer = await p.ask(market("bw-a-0-0"))
        assert answer.outcome is Outcome.ACCEPTED, answer.reason
        fills = [report.fill for report in p.of(FillReport)]
        assert sum(fill.quantity for fill in fills) == D("0.01")
        assert {float(fill.price) for fill in fills} <= {quote.ask for quote in p.of(Quote)}
        assert {fill.liquidity for fill in fills} == {Liquidity.TAKER}
        assert all(fill.fee == fill.price * fill.quantity * D("0.00055") for fill in fills)
        assert p.of(OrderReport)[-1].order.status is OrderStatus.FILLED
        await p.ask(market("bw-b-0-0", Side.SELL))
        state = await p.state()
        assert (state.complete, state.positions, len(state.fills)) == (True, (), len(p.of(FillReport)))

    play(scenario)


def test_a_resting_order_waits_for_the_venues_market_and_is_cancelled_on_this_side() -> None:
    async def scenario(p: Paper, simulator: BybitSimulator) -> None:
        def resting(name: str, price: D) -> PlaceOrder:
            return PlaceOrder(name, BTC, Side.BUY, OrderType.LIMIT, D("0.01"), price, TimeInForce.POST_ONLY)

        await p.ask(resting("bw-low-0-0", D(10_000)))
        for number in range(200):
            best = D(repr(p.of(Quote)[-1].bid))
            await p.ask(resting(f"bw-near-{number}-0", best))
            if p.of(FillReport):
                break
            await asyncio.sleep(0.05)
        await p.until(lambda: p.of(FillReport), "a fill of an order at the best price")
        assert p.of(FillReport)[0].fill.liquidity is Liquidity.MAKER
        found = await p.ask(QueryOrder("bw-low-0-0", BTC))
        assert found.order is not None
        assert found.order.status is OrderStatus.OPEN
        assert (await p.ask(CancelOrder("bw-low-0-0", BTC))).outcome is Outcome.ACCEPTED
        assert (await p.ask(CancelAll())).outcome is Outcome.ACCEPTED
        assert (await p.state()).orders == ()

    play(scenario)


def test_a_lost_public_stream_stops_new_orders_until_it_is_back() -> None:
    async def scenario(p: Paper, simulator: BybitSimulator) -> None:
        def at_the_loss(message: Message) -> None:
            p.got.append(message)
            if isinstance(message, StreamStatus) and not message.up and not p.of(CommandResult):
                p.exchange.submit(market("bw-a-0-0"))

        p.exchange._sink = at_the_loss
        simulator.inject(FaultOrder(streams=[StreamRule("public", StreamFault.DROP)]))
        await p.until(lambda: p.of(CommandResult), "the loss and the answer")
        assert (p.of(CommandResult)[0].outcome, p.of(CommandResult)[0].code) == (Outcome.NOT_SENT, "NO_MARKET_DATA")
        await p.until(lambda: p.of(StreamStatus)[-1].up, "the return")
        quotes = len(p.of(Quote))
        await p.until(lambda: len(p.of(Quote)) > quotes, "fresh prices")
        assert (await p.ask(market("bw-a-0-0"))).outcome is Outcome.ACCEPTED

    play(scenario)


def test_perpetual_and_spot_are_one_account_on_paper() -> None:
    async def scenario(p: Paper, simulator: BybitSimulator) -> None:
        assert (await p.ask(market("bw-a-0-0", Side.SELL))).outcome is Outcome.ACCEPTED
        assert (await p.ask(market("bw-b-0-0", symbol=SPOT))).outcome is Outcome.ACCEPTED
        short = await p.ask(market("bw-c-0-0", Side.SELL, SPOT, "0.00999"))
        assert short.outcome is Outcome.ACCEPTED, short.reason
        again = await p.ask(market("bw-d-0-0", Side.SELL, SPOT))
        assert again.outcome is Outcome.REJECTED, "what isn't held can't be sold on a spot market"
        state = await p.state()
        assert [(held.symbol, held.quantity) for held in state.positions] == [(BTC, D("-0.01"))]

    play(scenario, symbols=(BTC, SPOT))


def test_a_restart_goes_on_with_the_books_and_history_comes_from_the_venue(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(folder=tmp_path) as (first, simulator):
            await first.ask(market("bw-a-0-0"))
            before = await first.state()
            await first.exchange.close()
            async with on_paper(simulator, (BTC,), folder=tmp_path) as second:
                after = await second.state()
                assert after.fills == before.fills
                assert [(h.symbol, h.quantity) for h in after.positions] == [(BTC, D("0.01"))]
                assert after.balances[0].total == before.balances[0].total
                await second.until(lambda: second.of(Trade) and second.of(Bar), "market data")
                assert await second.exchange.trades(BTC, 5)
                assert second.of(CommandResult) == []
            untouched(simulator)

    asyncio.run(run())
