"""Margin on paper: the venue's mark, the leverage that is set, and a liquidation that the brain is told of."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest

import conf
from actors.exchange.connect import make_exchange
from actors.messages.orders import Filled, Repaired
from exchanges.model.market import Ticker
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import BalanceReport, FillReport, OrderReport, Outcome
from exchanges.paper import PaperExchange
from tests.unit.exchange_bench import approve, approved, live, tell, venue_fill
from tests.unit.paper_bench import BTC, Paper, Source, limit, market, perpetual, play, quote, trade

MARGINED = perpetual(maintenance_rate=D("0.005"), max_leverage=D(50))


def ticker(mark: float) -> Ticker:
    return Ticker(BTC, 0, 0, 1, 1, mark)


def test_a_liquidation_is_reported_and_survives_a_restart(tmp_path: Path) -> None:
    cash: list[D] = []

    async def before(p: Paper) -> None:
        p.source.say(quote(100.0, 100.0, size=10_000.0))
        await p.ask(market("bw-a-0-0", quantity="90"))
        await p.ask(limit("bw-b-0-0", "80", quantity="10"))
        p.source.say(ticker(95.0))
        assert len(p.of(FillReport)) == 1
        p.source.say(quote(90.0, 90.0, size=10_000.0))
        p.source.say(ticker(88.9))
        closed = p.of(FillReport)[-1].fill
        assert (closed.forced, closed.side, closed.quantity, closed.price) == (True, Side.SELL, D(90), D(90))
        assert {r.order.client_id: r.order.status for r in p.of(OrderReport)}["bw-b-0-0"] is OrderStatus.CANCELLED
        # 1,000 - 900 with the fees of 9,000 and 8,100 at 0.00055.
        cash.append(D(100) - D(17_100) * D("0.00055"))
        assert p.of(BalanceReport)[-1].balances[0].total == cash[0]

    async def after(p: Paper) -> None:
        state = await p.state()
        assert state.positions == () and state.balances[0].total == cash[0]
        assert [fill.forced for fill in state.fills] == [False, True]

    told = {"folder": tmp_path / "books", "balance": D(1_000), "leverage": D(20)}
    play(before, Source(MARGINED), **told)
    play(after, Source(MARGINED), **told)


@pytest.mark.parametrize(("leverage", "most"), [(None, "99"), (D(2), "19"), (D(100), "480")])
def test_the_leverage_that_is_set_holds_as_far_as_the_instrument_allows(leverage: D | None, most: str) -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.0, size=10_000.0))
        assert (await p.ask(market("bw-a-0-0", quantity=str(D(most) * D("1.06") // 1)))).outcome is Outcome.REJECTED
        assert (await p.ask(market("bw-b-0-0", quantity=most))).outcome is Outcome.ACCEPTED

    listed = msgspec.structs.replace(MARGINED, max_quantity=D(1_000))
    play(scenario, Source(listed), balance=D(1_000), leverage=leverage)


def test_without_a_rate_of_the_venue_nothing_is_liquidated() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.0, size=10_000.0))
        await p.ask(market("bw-a-0-0", quantity="90"))
        p.source.say(trade(50.0))
        assert len(p.of(FillReport)) == 1

    play(scenario, balance=D(1_000))


def test_mode_paper_takes_over_the_leverage_of_the_configuration(tmp_path: Path) -> None:
    told = {"store": str(tmp_path), "exchange.bybit.leverage": 25}
    exchange = make_exchange(conf.load("paper", told, {}), "bybit", {}, None)
    assert isinstance(exchange, PaperExchange) and exchange.settings.leverage == 25


def test_the_connection_books_a_liquidation_as_the_venues_doing_and_no_repair() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, FillReport(venue_fill(order, "e1", "2")))
    ctx.clear()
    forced = msgspec.structs.replace(
        venue_fill(order, "liquidation-e2", "2", "90"), client_id="", venue_id="v-9", side=order.side.opposite
    )
    tell(brain, ctx, FillReport(forced), FillReport(forced))
    (told,) = ctx.sent(Filled, "bus")
    assert (told.strategy, told.fill, told.position.quantity) == ("", forced, 0)
    assert not ctx.sent(Repaired)
