"""Market hours and history of the Alpaca adapter, against the simulator over real sockets."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from exchanges.model.instrument import Instrument
from exchanges.model.market import Trade
from exchanges.model.venue import (
    InstrumentsReport,
    Outcome,
)
from exchanges.simulators.faults import RequestFault
from tests.conformance.desk import Desk
from tests.integration.alpaca_desk import (
    AAPL,
    BTC,
    NEW_YORK,
    SECOND,
    at,
    limit,
    market,
    play,
    taken,
)

# -- hours -------------------------------------------------------------------------------------

SUNDAY = dt.datetime(2026, 7, 5, 12, 0)
MONDAY = dt.datetime(2026, 7, 6, 11, 0)
EVENING = dt.datetime(2026, 7, 6, 17, 0)


def _stock(d: Desk) -> Instrument:
    return d.of(InstrumentsReport)[-1].instruments[0]


def test_a_closed_market_is_known_refused_and_reported_again_when_it_opens() -> None:
    async def scenario(d: Desk) -> None:
        at(d.simulator, SUNDAY)
        opening = MONDAY.replace(hour=9, minute=30, tzinfo=NEW_YORK)
        await d.until(lambda: _stock(d).opens_ns == int(opening.timestamp()) * SECOND, "Monday's opening")
        assert not _stock(d).trading
        for order in (market("bw-a-0-0", "1"), limit("bw-b-0-0", "1", "100")):
            answer = await d.ask(order)
            assert (answer.outcome, answer.code) == (Outcome.REJECTED, "MARKET_CLOSED")
        await taken(d, limit("bw-c-0-0", "0.01", "30000", symbol=BTC))
        at(d.simulator, MONDAY)
        await d.until(lambda: _stock(d).trading, "the open market")
        await taken(d, limit("bw-d-0-0", "1", "100"))

    play(scenario, {"hours": "nyse"}, prices=False)


def test_extended_hours_take_plain_limit_orders_and_nothing_else() -> None:
    async def scenario(d: Desk) -> None:
        at(d.simulator, EVENING)
        closing = EVENING.replace(hour=20, tzinfo=NEW_YORK)
        await d.until(lambda: _stock(d).closes_ns == int(closing.timestamp()) * SECOND, "the extended session")
        assert _stock(d).trading
        answer = await d.ask(market("bw-a-0-0", "1"))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "MARKET_CLOSED")
        await taken(d, limit("bw-b-0-0", "1.5", "100"))
        rows = d.simulator.control.state()["accounts"]["main"]["orders"]
        assert [(row["extended_hours"], row["time_in_force"]) for row in rows] == [(True, "day")]

    play(scenario, {"hours": "nyse"}, {"extended_hours": True}, prices=False)


def test_the_last_word_on_the_hours_counts_while_the_clock_cannot_be_had() -> None:
    async def scenario(d: Desk) -> None:
        at(d.simulator, MONDAY)
        await d.until(lambda: _stock(d).trading, "the open market")
        d.fault(RequestFault.HTTP_STATUS, ("market",), count=100_000)
        await d.until(lambda: d.exchange.stats().get("hours_failures", 0) > 0, "a clock that fails")
        assert _stock(d).trading
        await taken(d, limit("bw-a-0-0", "1", "100"))

    play(scenario, {"hours": "nyse"}, prices=False)


# -- history -----------------------------------------------------------------------------------


def test_history_comes_page_by_page_oldest_first() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: len([t for t in d.of(Trade) if t.symbol == BTC]) > 20, "trades")
        trades = await d.exchange.trades(BTC, 10)
        assert len(trades) == 10
        assert [trade.ts_ns for trade in trades] == sorted(trade.ts_ns for trade in trades)
        now = time.time_ns()
        bars = await d.exchange.bars(AAPL, 60 * SECOND, now - 3600 * SECOND, now)
        assert all(bar.ts_ns + 60 * SECOND <= now for bar in bars)
        with pytest.raises(ValueError, match="expected an interval"):
            await d.exchange.bars(AAPL, 61 * SECOND, 0, now)

    play(scenario)
