"""What holds of the Kalshi simulator whatever is done to it, and how its messages compare to recorded ones."""

from __future__ import annotations

import json
import os
from decimal import ROUND_UP
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchanges.matching.demand import exact_fee
from exchanges.matching.rejection import OrderRejectedError
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.feeds.generator import Generator
from exchanges.simulators.kalshi import form, orders, page, portfolio, public, wire
from exchanges.simulators.kalshi.annex import Annex
from exchanges.simulators.kalshi.engine import EventEngine
from exchanges.simulators.kalshi.errors import ApiError
from exchanges.simulators.kalshi.floor import Floor
from exchanges.simulators.kalshi.instruments import Listings
from exchanges.simulators.kalshi.lifecycle import Lifecycle, Step
from exchanges.simulators.kalshi.limits import Limits
from exchanges.simulators.kalshi.listing import Result
from exchanges.simulators.kalshi.streams import ERRORS
from tests.integration.kalshi_bench import FINE, T85, Json, order
from tests.integration.venue_bench import quiet

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
WIRE = DATA / "wire" / "kalshi"
RECORDED = pytest.mark.skipif(not WIRE.is_dir(), reason="recorded messages are not here; set BIGWHEEL_DATA")
ACCOUNTS = ("main", "account-2")
BALANCE = D(40)


def floor_of(**changes: Any) -> Floor:
    """The exchange without its sockets: two accounts with little money."""
    given_settings = quiet(balance=BALANCE, more_keys={"second": "unused"}, **changes)
    listings = Listings(given_settings)
    instruments = [listings.listed(ticker) for ticker in (T85, FINE)]
    venue = Venue(given_settings, listings, instruments, None, "USD", make=EventEngine)
    annex = Annex(None)
    lifecycle = Lifecycle(venue, annex)
    lifecycle.admit(listings.listing(ticker) for ticker in (T85, FINE))
    return Floor(venue, listings, annex, lifecycle, Limits.of(given_settings))


class Trader:
    """Does at random what an account can do; what the exchange refuses changes nothing."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.placed: list[tuple[str, str]] = []
        self.refused = 0

    def act(self, move: Json) -> None:
        account = ACCOUNTS[move["account"]]
        try:
            if move["kind"] == "create":
                body = order(**{key: move[key] for key in ("ticker", "side", "price", "count", "time_in_force")})
                body |= {"self_trade_prevention_type": move["self_trade"]}
                self.placed.append((account, orders.create(self.floor, account, body)["order_id"]))
            elif self.placed:
                owner, order_id = self.placed[move["pick"] % len(self.placed)]
                known = {"order_id": order_id}
                if move["kind"] == "cancel":
                    orders.cancel(self.floor, owner, known)
                elif move["kind"] == "amend":
                    orders.amend(self.floor, owner, known | {"price": move["price"], "count": move["count"]})
                else:
                    orders.decrease(self.floor, owner, known | {"reduce_to": move["count"]})
        except (ApiError, OrderRejectedError):
            self.refused += 1


MOVES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["create", "create", "create", "cancel", "amend", "decrease"]),
        "account": st.integers(0, 1),
        "ticker": st.sampled_from([T85, FINE]),
        "side": st.sampled_from(["bid", "ask"]),
        "price": st.one_of(st.integers(45, 55), st.integers(1, 99)).map(lambda cents: f"0.{cents:02d}"),
        "count": st.integers(1, 1_000).map(lambda hundredths: wire.count(D(hundredths) / 100)),
        "time_in_force": st.sampled_from(["good_till_canceled", *orders.TIMES]),
        "self_trade": st.sampled_from([orders.TAKER, orders.MAKER]),
        "pick": st.integers(0, 1_000),
    }
)

RESULTS = st.sampled_from([Result.YES, Result.NO])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moves=st.lists(MOVES, min_size=5, max_size=60), results=st.tuples(*[st.sampled_from([Result.YES, Result.NO])] * 2)
)
def test_no_money_is_made_or_lost_and_nobody_owes_any(moves: list[Json], results: tuple[Result, Result]) -> None:
    floor = floor_of()
    trader, engine = Trader(floor), floor.venue.engine
    for move in moves:
        trader.act(move)
        for account in ACCOUNTS:
            assert engine.available(account) >= 0
        for ticker in (T85, FINE):
            symbol = floor.symbol(ticker)
            assert sum(engine.accounts[account].position(symbol).quantity for account in ACCOUNTS) == 0
            bids, asks = floor.depth(ticker, 50)
            assert not bids or not asks or bids[0][0] < asks[0][0]
    for ticker, result in zip((T85, FINE), results, strict=True):
        for step, outcome in ((Step.CLOSE, Result.NONE), (Step.DETERMINE, result), (Step.SETTLE, Result.NONE)):
            floor.lifecycle.step(ticker, step, outcome)
    books = [engine.accounts[account] for account in ACCOUNTS]
    assert all(book.reserved == 0 and book.wallet >= 0 for book in books)
    assert not any(held.quantity for book in books for held in book.positions.values())
    assert sum(book.wallet + book.fees for book in books) == 2 * BALANCE


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=st.lists(MOVES, min_size=5, max_size=40))
def test_an_orders_rows_agree_with_its_fills_and_its_fee_is_rounded_once(moves: list[Json]) -> None:
    floor = floor_of()
    trader = Trader(floor)
    for move in moves:
        trader.act(move)
    for account in ACCOUNTS:
        fills = portfolio.fills(floor, account, {})["fills"]
        for row in portfolio.orders(floor, account, {})["orders"]:
            mine = [fill for fill in fills if fill["order_id"] == row["order_id"]]
            assert sum(D(fill["count_fp"]) for fill in mine) == D(row["fill_count_fp"])
            fees = sum((D(fill["fee_cost"]) for fill in mine), D(0))
            assert fees == D(row["taker_fees_dollars"]) + D(row["maker_fees_dollars"])
            due = sum((_due(floor, account, fill) for fill in mine), D(0))
            whole = (due * 100).to_integral_value(ROUND_UP) / 100
            # An account without another cent pays what it has left.
            assert fees == whole or (fees < whole and floor.venue.engine.available(account) == 0) or not mine
            assert row["status"] != "executed" or D(row["remaining_count_fp"]) == 0


def _due(floor: Floor, account: str, fill: Json) -> D:
    done = next(
        one.fill
        for one in floor.venue.executions
        if one.account == account and one.fill.execution_id == fill["fill_id"]
    )
    instrument = floor.venue.engine.markets[done.symbol].instrument
    return exact_fee(instrument, done.price, done.quantity, done.liquidity)


@given(micro=st.integers(-(10**12), 10**12))
def test_dollars_are_written_exactly_with_four_to_six_decimals(micro: int) -> None:
    amount = D(micro) / 1_000_000
    written = wire.dollars(amount)
    assert D(written) == amount
    assert 4 <= len(written.partition(".")[2]) <= 6


@given(limit=st.integers(1, 7), count=st.integers(0, 30), added=st.integers(0, 9), odd=st.booleans())
def test_pages_hold_every_wanted_row_once_while_rows_are_added(limit: int, count: int, added: int, odd: bool) -> None:
    rows = list(range(count))
    found: list[int] = []
    cursor = ""
    while True:
        part, cursor = page.newest_first(rows, {"limit": limit, "cursor": cursor}, lambda row: row % 2 or not odd)
        found += part
        rows += [1_000 + len(rows)] * added
        if not cursor:
            break
    assert found == [row for row in reversed(range(count)) if row % 2 or not odd]


@given(text=st.text(max_size=30))
def test_whatever_is_sent_as_a_number_is_a_number_or_is_refused(text: str) -> None:
    for read in (form.count, form.dollars):
        try:
            value = read({"x": text}, "x")
        except ApiError as error:
            assert error.status == 400
        else:
            assert value >= 0
            assert value.is_finite()


@pytest.mark.parametrize("seed", range(5))
def test_generated_prices_stay_tradable_for_a_day_and_move(seed: int) -> None:
    listings = Listings(quiet())
    instruments = [listings.listed(ticker) for ticker in (T85, FINE)]
    prices = {T85: 0.02, FINE: 0.97}
    generator, again = (Generator(instruments, prices, seed=seed, rate=0.2, start_ns=0) for _ in range(2))
    rows = generator.due(86_400 * 10**9)
    for one in instruments:
        mine = [D(repr(row[2])) for row in rows if row[1] == one.native]
        assert all(one.tick <= price <= 1 - one.tick and price % one.tick == 0 for price in mine)
        assert len(set(mine)) > 3
    assert all(row[3] >= 1 and row[3] == int(row[3]) for row in rows)
    assert rows == again.due(86_400 * 10**9)


def recorded(name: str) -> Any:
    return json.loads((WIRE / f"{name}.json").read_text())


CENTS_OF_BEFORE = {
    "count", "fees_paid", "fill_count", "initial_count", "last_price", "liquidity", "maker_fees", "maker_fill_cost",
    "market_exposure", "no_ask", "no_bid", "no_price", "no_price_fixed", "notional_value", "open_interest", "position",
    "previous_price", "previous_yes_ask", "previous_yes_bid", "price", "realized_pnl", "remaining_count",
    "response_price_units", "taker_fees", "taker_fill_cost", "taker_side", "tick_size", "total_cost",
    "total_cost_shares", "total_traded", "event_exposure", "volume", "volume_24h", "yes_ask", "yes_bid", "yes_price",
    "yes_price_fixed", "queue_position",
}  # fmt: skip
"""Fields of the recordings that the exchange has since replaced by strings with a suffix, or dropped."""
OF_OTHERS = {"custom_strike", "mve_collection_ticker", "mve_selected_legs", "contract_terms_url"}
"""Fields of kinds of markets that the simulator does not list."""


def trading() -> Floor:
    """An exchange on which something of everything has happened."""
    floor = floor_of()
    for account, side in ((ACCOUNTS[0], "bid"), (ACCOUNTS[1], "ask")):
        orders.create(floor, account, order(side=side))
    orders.create(floor, ACCOUNTS[0], order(price="0.1000"))
    return floor


@RECORDED
@pytest.mark.parametrize(
    ("sample", "path", "ours"),
    [
        ("rest_portfolio_fills", ("fills", 0), lambda f: portfolio.fills(f, "main", {})),
        ("rest_portfolio_orders", ("orders", 0), lambda f: portfolio.orders(f, "main", {})),
        ("rest_portfolio_positions", ("market_positions", 0), lambda f: portfolio.positions(f, "main", {})),
        ("rest_portfolio_positions", ("event_positions", 0), lambda f: portfolio.positions(f, "main", {})),
        ("rest_portfolio_balance", (), lambda f: portfolio.balance(f, "main", {})),
        ("rest_markets_list", ("markets", 0), lambda f: public.markets(f, "main", {})),
        ("rest_events_list", ("events", 0), lambda f: public.events(f, "main", {})),
        ("rest_series_single", ("series",), lambda f: public.series(f, "main", {"series": "KXHIGHNY"})),
        ("rest_exchange_status", (), lambda f: public.status(f, "main", {})),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_our_rows_have_the_fields_that_were_recorded(sample: str, path: tuple[Any, ...], ours: Any) -> None:
    theirs, made = recorded(sample), ours(trading())
    for step in path:
        theirs, made = theirs[step], made[step]
    missing = set(theirs) - set(made) - CENTS_OF_BEFORE - OF_OTHERS
    assert missing == set()
    for name in set(theirs) & set(made):
        if theirs[name] is not None and made[name] is not None and theirs[name] != "":
            assert isinstance(made[name], int | float) == isinstance(theirs[name], int | float), name


@RECORDED
def test_our_errors_of_streams_are_the_recorded_ones() -> None:
    for name in ("ws_error_params_required", "ws_error_unknown_channel"):
        told = recorded(name)["msg"]
        assert ERRORS[told["code"]] == told["msg"]


@RECORDED
def test_our_nested_error_is_the_recorded_one() -> None:
    assert ApiError(403, "permission_denied").body() == recorded("rest_portfolio_total_resting_order_value")
