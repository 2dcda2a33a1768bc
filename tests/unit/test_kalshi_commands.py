"""Kalshi's commands, markets and history against answers written by hand, for what no simulator says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exchanges.failures import FailureKind, VenueError
from exchanges.identities import Identities
from exchanges.kalshi import KalshiExchange, rest
from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.commands import Commands
from exchanges.kalshi.market import Market, MarketState
from exchanges.kalshi.markets import Markets
from exchanges.kalshi.rest import Answer, RestClient
from exchanges.kalshi.settings import KalshiSettings
from exchanges.kalshi.signer import VenueClock
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CommandResult,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
)
from exchanges.modes import Mode
from runtime.message import Message
from tests.unit.kalshi_samples import CANDLE, FILL, MARKET, NOW_NS, ORDER, SETTLEMENT, SYMBOL, TICKER, settings

D = Decimal
API = "/portfolio/events/orders"
MINUTE_NS = 60_000_000_000
OURS = ORDER["client_order_id"]
ACK = {"order_id": "o-1", "client_order_id": OURS, "fill_count": "0.00", "remaining_count": "10.00", "ts_ms": 1}
MISSING = Answer(404, b'{"code":"not_found","message":"no"}')
BROKEN = Answer(500, b'{"code":"internal","message":"no"}')


def ok(body: object, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(body))


class Script(RestClient):
    """A client whose answers are given: by method and path, the last one again and again."""

    def __init__(self, told: KalshiSettings, **answers: Any) -> None:
        super().__init__(told, VenueClock(), None)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def give(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[f"{method} {path}"] = list(answers)

    def _request(self, method: str, path: str, query: dict[str, str | int], body: dict[str, Any] | None) -> Answer:
        self.asked.append((f"{method} {path}", {**query, **(body or {})}))
        given = self.answers.get(f"{method} {path}", [MISSING])
        return given.pop(0) if len(given) > 1 else given[0]


class Bench:
    """Commands and markets over a script."""

    def __init__(self, **changes: Any) -> None:
        self.settings = settings(**changes)
        self.rest = Script(self.settings)
        self.counters: Counter[str] = Counter()
        self.got: list[Message] = []
        self.ids, self.charges = Identities(), Charges(self.settings)
        self.row: Market | None = None
        self.quoted: Decimal | None = None
        self.followed: list[tuple[MarketState, MarketState]] = []
        self.commands = Commands(self.settings, self.rest, self, self.ids, self.charges, self.got.append, self.counters)
        self.markets = Markets(
            self.settings, self.rest, VenueClock(), self.charges, self.got.append, self.counters, self.follow
        )

    async def follow(self, row: Market, former: MarketState) -> bool:
        self.followed.append((former, row.state))
        return True

    def known(self, ticker: str) -> Market | None:
        return self.row

    def best(self, ticker: str, side: Side) -> Decimal | None:
        return self.quoted

    async def ask(self, command: Any) -> CommandResult:
        await self.commands.run(command)
        found = self.got[-1]
        assert isinstance(found, CommandResult)
        return found

    def reports(self) -> list[Any]:
        return [message.order for message in self.got if isinstance(message, OrderReport)]


def play(scenario: Callable[[Bench], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        bench = Bench(**changes)
        try:
            await scenario(bench)
        finally:
            await bench.rest.close()

    asyncio.run(run())


def limit(**more: Any) -> PlaceOrder:
    return PlaceOrder(OURS, SYMBOL, Side.BUY, OrderType.LIMIT, D(10), D("0.45"), **more)


# -- placing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"order_id": 7}, {**ACK, "order_id": ""}])
def test_an_order_taken_with_an_answer_that_names_nothing_is_taken_all_the_same(body: dict[str, Any]) -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("POST", API, ok(body, 201))
        answer = await b.ask(limit())
        assert (answer.outcome, answer.venue_id) == (Outcome.ACCEPTED, "")
        assert b.counters["answers_unreadable"] == 1

    play(scenario)


@pytest.mark.parametrize(
    ("filled", "remaining", "reported"),
    [
        ("10.00", "0.00", [(OrderStatus.FILLED, D(10))]),
        ("4.00", "0.00", [(OrderStatus.CANCELLED, D(4))]),
        ("4.00", "6.00", []),
        ("many", "0.00", []),
    ],
)
def test_an_answer_that_says_the_order_has_ended_is_reported(
    filled: str, remaining: str, reported: list[tuple[OrderStatus, Decimal]]
) -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("POST", API, ok({**ACK, "fill_count": filled, "remaining_count": remaining}, 201))
        assert (await b.ask(limit(time_in_force=TimeInForce.IOC))).outcome is Outcome.ACCEPTED
        assert [(order.status, order.filled) for order in b.reports()] == reported

    play(scenario)


def test_a_market_order_is_a_limit_through_the_book_in_hand() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("POST", API, ok(ACK, 201))
        b.rest.give("GET", "/markets", ok({"markets": [MARKET], "cursor": ""}))
        await b.markets.load([TICKER])
        b.row, b.quoted = b.markets.known(TICKER), D("0.47")
        order = PlaceOrder(OURS, SYMBOL, Side.BUY, OrderType.MARKET, D(10))
        assert (await b.ask(order)).outcome is Outcome.ACCEPTED
        (sent,) = [body for call, body in b.rest.asked if call == f"POST {API}"]
        assert (sent["price"], sent["time_in_force"], sent["side"]) == ("0.5200", "immediate_or_cancel", "bid")

    play(scenario)


def test_a_market_order_in_an_empty_book_is_not_sent() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", f"/markets/{TICKER}/orderbook", ok({"orderbook_fp": {"yes_dollars": [], "no_dollars": []}}))
        b.rest.give("GET", "/markets", ok({"markets": [MARKET], "cursor": ""}))
        await b.markets.load([TICKER])
        b.row = b.markets.known(TICKER)
        answer = await b.ask(PlaceOrder(OURS, SYMBOL, Side.BUY, OrderType.MARKET, D(10)))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "NO_LIQUIDITY")
        b.row = None
        answer = await b.ask(PlaceOrder(OURS, SYMBOL, Side.BUY, OrderType.MARKET, D(10)))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "INSTRUMENT_UNKNOWN")
        assert not [call for call, _ in b.rest.asked if call.startswith("POST")]

    play(scenario)


def test_a_limit_order_without_a_price_never_leaves() -> None:
    async def scenario(b: Bench) -> None:
        answer = await b.ask(PlaceOrder(OURS, SYMBOL, Side.BUY, OrderType.LIMIT, D(10)))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "MALFORMED")
        assert b.rest.asked == []

    play(scenario)


@pytest.mark.parametrize(("mode", "code"), [(Mode.PAPER, "WRONG_MODE"), (Mode.LIVE, "ACCOUNT_NOT_CONFIRMED")])
def test_no_order_leaves_in_a_mode_that_has_none_or_before_the_account_is_confirmed(mode: Mode, code: str) -> None:
    async def scenario(b: Bench) -> None:
        answer = await b.ask(limit())
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, code)
        assert b.rest.asked == []

    play(scenario, mode=mode, rest_url="", socket_url="", live_account="a-key-id")


# -- amending, cancelling, finding -----------------------------------------------------------


def listed(*rows: dict[str, Any]) -> Answer:
    return ok({"orders": list(rows), "cursor": ""})


def test_an_amendment_sends_all_that_the_venue_wants_to_know() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/portfolio/orders", listed(ORDER))
        b.rest.give("POST", f"{API}/o-1/amend", ok({"order_id": "o-1", "ts_ms": 1}))
        assert (await b.ask(AmendOrder(OURS, SYMBOL, quantity=D(12)))).outcome is Outcome.ACCEPTED
        assert b.rest.asked[-1][1] == {
            "ticker": TICKER, "side": "ask", "price": "0.4500", "count": "12.00", "client_order_id": OURS,
        }  # fmt: skip

    play(scenario)


def test_cancelling_one_of_many_that_is_gone_already_is_as_good() -> None:
    async def scenario(b: Bench) -> None:
        rows = [{**ORDER, "order_id": f"o-{number}", "client_order_id": f"c-{number}"} for number in range(3)]
        b.rest.give("GET", "/portfolio/orders", listed(*rows))
        b.rest.give("DELETE", f"{API}/o-0", ok(ACK))
        b.rest.give("DELETE", f"{API}/o-2", ok(ACK))
        assert (await b.ask(CancelAll(SYMBOL))).outcome is Outcome.ACCEPTED
        b.rest.give("DELETE", f"{API}/o-1", BROKEN)
        answer = await b.ask(CancelAll(SYMBOL))
        assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "internal")

    play(scenario)


def test_an_ended_order_that_was_forgotten_is_not_cancelled() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/portfolio/orders", listed(), listed({**ORDER, "status": "executed"}))
        answer = await b.ask(CancelOrder(OURS, SYMBOL))
        assert (answer.outcome, answer.code) == (Outcome.NOT_FOUND, "NOT_WORKING")
        assert not [call for call, _ in b.rest.asked if call.startswith("DELETE")]

    play(scenario)


def test_an_order_list_that_cannot_be_read_does_not_prove_an_order_absent() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/portfolio/orders", listed({**ORDER, "yes_price_dollars": "4.5"}))
        assert (await b.ask(QueryOrder(OURS, SYMBOL))).outcome is Outcome.NOT_SENT

    play(scenario)


def test_a_list_that_never_ends_is_given_up() -> None:
    async def scenario(b: Bench) -> None:
        endless = [ok({"orders": [ORDER], "cursor": f"c{number}"}) for number in range(rest._PAGES + 2)]
        b.rest.give("GET", "/portfolio/orders", *endless)
        with pytest.raises(WireError, match="to end within"):
            await b.rest.pages(rest.ORDERS, "/portfolio/orders", "orders")

    play(scenario, read_tokens_s=1e6)


# -- fills and settlements -------------------------------------------------------------------


def test_fills_of_orders_nobody_remembers_are_looked_up_by_their_market_and_then_one_by_one() -> None:
    async def scenario(b: Bench) -> None:
        rows = [
            {**FILL, "trade_id": "t-1", "order_id": "o-1"},
            {**FILL, "trade_id": "t-2", "order_id": "o-old"},
            {**FILL, "trade_id": "t-3", "order_id": "o-gone"},
        ]
        b.rest.give("GET", "/portfolio/fills", ok({"fills": rows, "cursor": ""}))
        b.rest.give("GET", "/portfolio/settlements", ok({"settlements": [], "cursor": ""}))
        b.rest.give("GET", "/portfolio/orders", listed(ORDER))
        old = {**ORDER, "order_id": "o-old", "client_order_id": "bw-old"}
        b.rest.give("GET", "/portfolio/orders/o-old", ok({"order": old}))
        fills = await b.commands.fills(0, NOW_NS)
        assert [(fill.execution_id, fill.client_id) for fill in fills] == [
            ("t-1", OURS),
            ("t-2", "bw-old"),
            ("t-3", ""),
        ]
        assert b.counters["orders_unidentified"] == 1

    play(scenario)


def test_a_settlement_that_cannot_be_read_hides_no_other() -> None:
    async def scenario(b: Bench) -> None:
        rows = [{**SETTLEMENT, "market_result": "maybe"}, {**SETTLEMENT, "ticker": "KXOTHER-1"}]
        b.rest.give("GET", "/portfolio/settlements", ok({"settlements": rows, "cursor": ""}))
        assert [fill.execution_id for fill in await b.commands.settled()] == ["settlement-KXOTHER-1"]
        assert b.counters["settlements_unreadable"] == 1

    play(scenario)


@pytest.mark.parametrize(
    ("answer", "reported", "counted"),
    [
        (ok({"order": ORDER}), [OURS], 0),
        (MISSING, [""], 0),
        (ok({"order": None}), [], 1),
    ],
    ids=["ours", "nobody's", "unreadable"],
)
def test_a_fill_whose_order_was_unknown_is_reported_once_that_is_found_out(
    answer: Answer, reported: list[str], counted: int
) -> None:
    async def run() -> None:
        exchange = KalshiExchange(settings())
        got: list[Message] = []
        bench = Bench()
        bench.rest.give("GET", "/portfolio/orders/o-1", answer)
        exchange._rest, exchange._sink = bench.rest, got.append
        exchange._commands, exchange._identities = bench.commands, bench.ids
        exchange._nameless(FILL)
        await exchange._tasks.settle(10)
        assert [message.fill.client_id for message in got if isinstance(message, FillReport)] == reported
        assert exchange.stats().get("fills_nameless", 0) == counted
        await exchange.close()

    asyncio.run(run())


# -- markets ---------------------------------------------------------------------------------


def series(fee_type: str = "quadratic_with_maker_fees", multiplier: object = 1) -> Answer:
    return ok({"series": {"ticker": "KXHIGHNY", "fee_type": fee_type, "fee_multiplier": multiplier}})


def test_a_market_missing_in_the_list_is_asked_for_by_itself() -> None:
    async def scenario(b: Bench) -> None:
        strange = [{"ticker": []}, {"ticker": "KXSOMETHINGELSE-1"}, {}]
        b.rest.give("GET", "/markets", ok({"markets": strange, "cursor": ""}))
        b.rest.give("GET", f"/markets/{TICKER}", ok({"market": MARKET}))
        b.rest.give("GET", "/series/KXHIGHNY", series(multiplier=0.5))
        assert await b.markets.load([TICKER, "KXNONE-1"]) == ["KXNONE-1"]
        (report,) = [message for message in b.got if isinstance(message, InstrumentsReport)]
        assert (report.instruments[0].taker_fee, report.instruments[0].maker_fee) == (D("0.035"), D("0.00875"))

    play(scenario)


def test_a_series_of_another_name_is_found_by_its_event() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/markets", ok({"markets": [MARKET], "cursor": ""}))
        b.rest.give("GET", "/events/KXHIGHNY-24AUG08", ok({"event": {"series_ticker": "HIGHNY"}}))
        b.rest.give("GET", "/series/HIGHNY", series("quadratic"))
        await b.markets.load([TICKER])
        assert await b.markets.series(TICKER) == "HIGHNY"
        assert b.charges.rates(TICKER).maker == 0

    play(scenario)


def test_fees_that_could_not_be_had_are_taken_for_dear_and_asked_for_again() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/markets", ok({"markets": [MARKET], "cursor": ""}))
        b.rest.give("GET", "/series/KXHIGHNY", Answer(403, b"{}"), series("quadratic"))
        await b.markets.load([TICKER])
        assert b.counters["fees_assumed"] == 1
        watching = asyncio.create_task(b.markets.watch([TICKER]))
        while len(b.got) < 2:
            await asyncio.sleep(0.005)
        watching.cancel()
        fees = [message.instruments[0].maker_fee for message in b.got if isinstance(message, InstrumentsReport)]
        assert fees == [D("0.0175"), D(0)]

    play(scenario, market_poll_s=0.01)


def test_changes_of_state_are_reported_followed_and_unknown_ones_counted() -> None:
    async def scenario(b: Bench) -> None:
        words = ["active", "active", "inactive", "levitating", "active", "closed", "finalized"]
        b.rest.give("GET", "/markets", *(ok({"markets": [{**MARKET, "status": word}], "cursor": ""}) for word in words))
        b.rest.give("GET", "/series/KXHIGHNY", series())
        await b.markets.load([TICKER])
        watching = asyncio.create_task(b.markets.watch([TICKER]))
        while len(b.followed) < 5:
            b.markets.poke(TICKER, "activated")
            await asyncio.sleep(0.005)
        watching.cancel()
        state = MarketState
        assert b.followed == [
            (state.ACTIVE, state.INACTIVE), (state.INACTIVE, state.UNKNOWN), (state.UNKNOWN, state.ACTIVE),
            (state.ACTIVE, state.CLOSED), (state.CLOSED, state.FINALIZED),
        ]  # fmt: skip
        trading = [m.instruments[0].trading for m in b.got if isinstance(m, InstrumentsReport)]
        assert trading[:2] == [True, False]
        assert trading[-1] is False
        assert b.counters["market_state_unknown"] == 1

    play(scenario)


def test_a_poll_that_fails_is_counted_and_tried_again() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/markets", Answer(403, b"{}"), ok({"markets": [MARKET], "cursor": ""}))
        watching = asyncio.create_task(b.markets.watch([TICKER]))
        while b.markets.known(TICKER) is None:
            await asyncio.sleep(0.005)
        watching.cancel()
        assert b.counters["market_polls_failed"] == 1

    play(scenario, market_poll_s=0.01)


# -- history ---------------------------------------------------------------------------------


def test_history_is_put_together_from_the_longest_candles_that_fit() -> None:
    async def run() -> None:
        exchange = KalshiExchange(settings())
        script = Script(settings())
        exchange._rest = script
        end = NOW_NS - NOW_NS % (5 * MINUTE_NS)
        rows = [{**CANDLE, "end_period_ts": (end - n * MINUTE_NS) // 10**9} for n in range(10)]
        script.give("GET", f"/markets/{TICKER}", ok({"market": MARKET}))
        script.give("GET", f"/series/KXHIGHNY/markets/{TICKER}/candlesticks", ok({"candlesticks": rows}))
        bars = await exchange.bars(SYMBOL, 5 * MINUTE_NS, end - 10 * MINUTE_NS, end)
        assert [(bar.ts_ns - end) // MINUTE_NS for bar in bars] == [-10, -5]
        assert [(bar.open, bar.close, bar.volume, bar.interval_ns) for bar in bars] == [
            (0.11, 0.09, 140.0, 5 * MINUTE_NS)
        ] * 2
        assert script.asked[-1][1]["period_interval"] == 1
        with pytest.raises(ValueError, match="multiple of 60"):
            await exchange.bars(SYMBOL, MINUTE_NS + 1, 0, end)
        await exchange.close()

    asyncio.run(run())


def test_submitting_before_connecting_is_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match="connect"):
        KalshiExchange(settings()).submit(QueryOrder(OURS, SYMBOL))


def test_a_venue_error_keeps_its_kind() -> None:
    async def scenario(b: Bench) -> None:
        b.rest.give("GET", "/portfolio/balance", Answer(401, b'{"error":{"code":"authentication_error"}}'))
        with pytest.raises(VenueError) as caught:
            await b.commands.balances()
        assert caught.value.failure.kind is FailureKind.UNAUTHORISED

    play(scenario)
