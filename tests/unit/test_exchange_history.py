"""A strategy's question about the past: through the exchange connection to the venue's adapter and back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actors.messages.history import AskHistory, HistoryTold
from actors.messages.orders import Watch
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.history import HistoryDesk
from exchanges.model.market import Bar, Trade
from exchanges.model.venue import VENUE_PORT, FetchHistory, HistoryReport, Outcome
from runtime.message import Message
from tests.unit.brain_context import SECOND, START_NS
from tests.unit.brain_samples import BTC, ETH
from tests.unit.exchange_bench import live

MINUTE = 60 * SECOND
ASKER = "strategy/mine/bybit:BTCUSDT"
NOW = START_NS // MINUTE * MINUTE


def bar(at_ns: int) -> Bar:
    return Bar(BTC, 0, 0, at_ns, at_ns + MINUTE, 1.0, 2.0, 0.5, 1.5, 3.0, MINUTE, True)


# -- the connection ----------------------------------------------------------------


def test_a_question_goes_to_the_venue_with_who_asked_and_where_the_data_stood() -> None:
    brain, ctx = live()
    for number in (1, 2):
        ctx.deliver(brain, Trade(BTC, 0, 0, ctx.now, ctx.now, 100.0 + number, 1.0, "buy"), VENUE_PORT)
    ctx.deliver(brain, AskHistory(BTC, MINUTE, 200), ASKER)
    assert ctx.sent(FetchHistory, VENUE_PORT) == [FetchHistory(ASKER, BTC, MINUTE, 200, ctx.now, (ctx.epoch, 2))]


def test_a_question_under_way_is_not_asked_twice_and_one_answered_may_be_asked_again() -> None:
    brain, ctx = live()
    for asker in (ASKER, ASKER, "strategy/other/bybit:BTCUSDT"):
        ctx.deliver(brain, AskHistory(BTC, MINUTE, 200), asker)
    assert [command.asker for command in ctx.sent(FetchHistory)] == [ASKER, "strategy/other/bybit:BTCUSDT"]
    ctx.deliver(brain, HistoryReport(ASKER, BTC, MINUTE, ()), VENUE_PORT)
    ctx.deliver(brain, AskHistory(BTC, MINUTE, 200), ASKER)
    assert len(ctx.sent(FetchHistory)) == 3


def test_the_answer_goes_to_who_asked_also_after_a_restart_of_the_connection() -> None:
    brain, ctx = live()
    report = HistoryReport(ASKER, BTC, MINUTE, (bar(NOW),), "", (3, 7))
    ctx.deliver(brain, report, VENUE_PORT)
    ctx.deliver(brain, HistoryReport(ASKER, ETH, MINUTE, (), "no such symbol"), VENUE_PORT)
    assert ctx.sent(HistoryTold, ASKER) == [
        HistoryTold(BTC, MINUTE, (bar(NOW),), "", (3, 7)),
        HistoryTold(ETH, MINUTE, (), "no such symbol"),
    ]
    assert (ctx.counters["exchange.history_told"], ctx.counters["exchange.history_failed"]) == (1, 1)


def test_what_several_symbols_missed_is_sent_again_in_the_order_in_which_it_came() -> None:
    brain, ctx = live()
    for number, symbol in enumerate((BTC, ETH, ETH, BTC, ETH)):
        at = START_NS + number
        ctx.deliver(brain, Trade(symbol, 0, 0, at, at, 100.0, 1.0, "buy"), VENUE_PORT)
    ctx.clear()
    ctx.deliver(brain, Watch((BTC, ETH), ("Trade",), after={BTC: (1, 1), ETH: (0, 0)}), ASKER)
    assert [(data.symbol, data.seq) for data in ctx.sent(Trade, ASKER)] == [(ETH, 1), (ETH, 2), (BTC, 2), (ETH, 3)]


# -- the adapter -------------------------------------------------------------------


class Past:
    """A venue whose bars are known, or whose calls fail."""

    def __init__(self, bars: Sequence[Bar] = (), error: Exception | None = None) -> None:
        self.kept, self.error = bars, error
        self.calls: list[tuple[int, int]] = []
        self.at_once = self.most = 0

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        self.calls.append((start_ns, end_ns))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        return [bar for bar in self.kept if start_ns <= bar.ts_ns < end_ns]


def asked(source: Past, *commands: FetchHistory) -> list[Message]:
    got: list[Message] = []

    async def ask() -> None:
        desk = HistoryDesk(source, got.append)
        for command in commands:
            desk.submit(command)
        while len(got) < len(commands):
            await asyncio.sleep(0)
        await desk.close()

    asyncio.run(ask())
    return got


def question(count: int, number: int = 0) -> FetchHistory:
    return FetchHistory(f"{ASKER}{number}", BTC, MINUTE, count, NOW, (1, 5))


def test_the_last_bars_before_now_are_told() -> None:
    source = Past([bar(NOW - number * MINUTE) for number in range(50, -5, -1)])
    (report,) = asked(source, question(20))
    assert isinstance(report, HistoryReport)
    assert [piece.ts_ns for piece in report.bars] == [NOW - number * MINUTE for number in range(20, 0, -1)]
    assert (report.asker, report.mark, report.reason) == (f"{ASKER}0", (1, 5), "")
    assert source.calls == [(NOW - 20 * MINUTE, NOW)]


def test_bars_before_a_night_are_found_and_what_does_not_exist_is_not_looked_for_without_end() -> None:
    night = 600 * MINUTE
    source = Past([bar(NOW - night - number * MINUTE) for number in range(30, 0, -1)])
    (report,) = asked(source, question(20))
    assert isinstance(report, HistoryReport)
    assert [piece.ts_ns for piece in report.bars] == [NOW - night - number * MINUTE for number in range(20, 0, -1)]
    empty = Past()
    (report,) = asked(empty, question(20))
    assert isinstance(report, HistoryReport) and report.bars == () and not report.reason
    assert len(empty.calls) == 4
    assert all(older[1] == newer[0] for newer, older in zip(empty.calls, empty.calls[1:], strict=False))


def test_whatever_goes_wrong_ends_in_an_answer_that_says_so() -> None:
    refused = VenueError(Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "503", "maintenance"))
    for error, expected in ((refused, "503 maintenance"), (ValueError("no such length"), "ValueError: no such length")):
        (report,) = asked(Past(error=error), question(20))
        assert isinstance(report, HistoryReport)
        assert (report.reason, report.bars) == (expected, ())


def test_many_questions_are_answered_a_few_at_a_time() -> None:
    source = Past([bar(NOW - number * MINUTE) for number in range(30, 0, -1)])
    reports = asked(source, *(question(5, number) for number in range(12)))
    assert len({report.asker for report in reports if isinstance(report, HistoryReport)}) == 12
    assert source.most <= 4
