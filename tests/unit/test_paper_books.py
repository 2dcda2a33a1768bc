"""Books on paper: what a restart finds, what the venue does to positions by itself, and that it all adds up."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.model.order import Fill, Side
from exchanges.model.venue import (
    BalanceReport,
    FillReport,
    InstrumentsReport,
    Outcome,
    PaymentReport,
)
from exchanges.paper import PaperSettings
from exchanges.simulators.errors import SimulatorError
from tests.unit.paper_bench import (
    BTC,
    Paper,
    Source,
    event,
    limit,
    market,
    perpetual,
    play,
    quote,
    trade,
)

# -- a restart -------------------------------------------------------------------------------


def test_a_restart_goes_on_with_position_cash_orders_and_executions(tmp_path: Path) -> None:
    told: list[object] = []

    async def before(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(market("bw-a-0-0"))
        await p.ask(limit("bw-b-0-0", "99.5"))
        told.append(await p.state())

    async def after(p: Paper) -> None:
        state, earlier = await p.state(), told[0]
        for part in ("orders", "fills", "balances"):
            assert getattr(state, part) == getattr(earlier, part)
        assert [(h.symbol, h.quantity, h.mark_price > 0) for h in state.positions] == [(BTC, D("0.1"), True)]
        p.source.say(quote(100.0, 100.1))
        assert (await p.ask(market("bw-a-0-0"))).code == "DUPLICATE_CLIENT_ID"
        p.source.say(trade(99.4, size=9.0, side="sell"))
        assert p.of(FillReport)[-1].fill.client_id == "bw-b-0-0"
        ids = [fill.execution_id for fill in (await p.state()).fills]
        assert len(ids) == len(set(ids)) == 2

    play(before, folder=tmp_path / "books")
    play(after, folder=tmp_path / "books", balance=D(7))


def test_books_that_another_account_has_open_are_refused(tmp_path: Path) -> None:
    async def scenario(p: Paper) -> None:
        with pytest.raises(SimulatorError, match="whether this process has it open already"):
            Paper(Source(), folder=tmp_path)

    play(scenario, folder=tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"balance": D(0)}, "expected a balance above 0"), ({"latency_s": -1.0}, "expected a latency_s of at least 0")],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PaperSettings(**({"balance": D(1)} | changes))  # type: ignore[arg-type]


# -- funding and settlement --------------------------------------------------------------------


class Funding(Source):
    """A venue that tells a funding rate of a moment right after each question."""

    def __init__(self, rate: float, moment_ns: int, interval_ns: int) -> None:
        super().__init__(perpetual(funding_interval_ns=interval_ns))
        self.rate, self.moment_ns = rate, moment_ns
        self.asked = 0

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionError("not now")
        now = time.time_ns()
        return [(at, self.rate) for at in (self.moment_ns, now) if start_ns <= at < end_ns + 10**9]


def test_funding_is_paid_once_for_what_was_held_at_its_moment() -> None:
    source = Funding(0.0001, time.time_ns() - 3_600 * 10**9, 100 * 10**6)

    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.0))
        await p.ask(market("bw-a-0-0", quantity="1"))
        cash = p.of(BalanceReport)[-1].balances[0].total
        await p.until(lambda: p.exchange.stats().get("paper_fundings"), "a funding")
        assert p.of(BalanceReport)[-1].balances[0].total == cash - D(100) * D("0.0001") * D(
            int(p.exchange.stats()["paper_fundings"])
        )
        assert p.exchange.stats()["paper_accruals_failed"] == 1.0
        before = len(p.of(PaymentReport))
        await p.state()
        assert len(p.of(PaymentReport)) >= 2 * before, "the venue's state holds the payments as well"
        told = {paid.payment_id: paid.amount for paid in p.of(PaymentReport)}
        assert sum(told.values()) == p.of(BalanceReport)[-1].balances[0].total - cash

    play(scenario, source)


class Ending(Source):
    """A venue of events whose outcome is known after some questions."""

    venue = "kalshi"

    def __init__(self, value: D) -> None:
        super().__init__(event())
        self.value, self.asked = value, 0

    async def settlement(self, symbol: str) -> D | None:
        self.asked += 1
        return self.value if self.asked > 2 else None


@pytest.mark.parametrize(
    ("value", "side", "gain"), [(D(1), Side.BUY, "6"), (D(0), Side.BUY, "-4"), (D(0), Side.SELL, "4")]
)
def test_an_event_pays_out_what_it_is_worth_once_its_outcome_is_final(value: D, side: Side, gain: str) -> None:
    symbol = event().symbol

    async def scenario(p: Paper) -> None:
        p.source.say(quote(0.4, 0.4, size=100.0, symbol=symbol))
        await p.ask(market("bw-a-0-0", side, "10", symbol=symbol))
        fee = p.of(FillReport)[0].fill.fee
        await p.until(lambda: len(p.of(FillReport)) == 2, "the settlement")
        paid = p.of(FillReport)[1].fill
        assert (paid.settles, paid.price, paid.quantity, paid.client_id) == (True, value, D(10), "")
        state = await p.state()
        assert state.positions == ()
        assert state.balances[0].total == D(100_000) + D(gain) - fee
        p.source.say(InstrumentsReport((event(),)))
        assert (await p.ask(market("bw-b-0-0", symbol=symbol, quantity="10"))).outcome is Outcome.REJECTED

    play(scenario, Ending(value))


# -- an invariant ------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("market"), st.sampled_from(list(Side)), st.integers(1, 50)),
        st.tuples(st.just("limit"), st.sampled_from(list(Side)), st.integers(950, 1050)),
        st.tuples(st.just("trade"), st.sampled_from(list(Side)), st.integers(950, 1050)),
        st.tuples(st.just("quote"), st.just(Side.BUY), st.integers(950, 1050)),
        st.tuples(st.just("restart"), st.just(Side.BUY), st.just(1)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_reported_fills_explain_position_and_cash_whatever_happens(steps: list[tuple[str, Side, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_explained(steps, Path(folder)))


async def _explained(steps: list[tuple[str, Side, int]], folder: Path) -> None:
    fills: dict[str, Fill] = {}
    paper = Paper(Source(), folder=folder)
    await paper.exchange.connect([BTC], paper.got.append)
    paper.source.say(quote(100.0, 100.1))
    for number, (kind, side, value) in enumerate(steps):
        if kind == "market":
            await paper.ask(market(f"bw-{number}-0-0", side, f"{value / 1000:.3f}"))
        elif kind == "limit":
            await paper.ask(limit(f"bw-{number}-0-0", f"{value / 10:.1f}", side))
        elif kind == "trade":
            paper.source.say(trade(value / 10, 0.05, side.value))
        elif kind == "quote":
            paper.source.say(quote(value / 10, value / 10 + 0.1))
        else:
            await paper.exchange.close()
            _merge(fills, paper)
            paper = Paper(Source(), folder=folder)
            await paper.exchange.connect([BTC], paper.got.append)
            paper.source.say(quote(100.0, 100.1))
    state = await paper.state()
    await paper.exchange.close()
    _merge(fills, paper)
    assert {fill.execution_id for fill in state.fills} == set(fills)
    assert sum((f.quantity * f.side.sign for f in fills.values()), D(0)) == sum(
        (held.quantity for held in state.positions), D(0)
    )
    cash = sum((-f.fee - f.quantity * f.side.sign * f.price for f in fills.values()), D(100_000))
    entry = sum((held.quantity * held.average_price for held in state.positions), D(0))
    assert abs(state.balances[0].total - cash - entry) < D("0.0000001")


def _merge(fills: dict[str, Fill], paper: Paper) -> None:
    for report in paper.of(FillReport):
        assert report.fill.execution_id not in fills, "an execution was reported twice"
        fills[report.fill.execution_id] = report.fill
