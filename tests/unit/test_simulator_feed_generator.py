"""The seeded price process."""

from __future__ import annotations

import itertools
import statistics
from decimal import Decimal as D

import msgspec

from exchanges.model.instrument import PriceStep
from exchanges.simulators.bybit.instruments import listed, start_price
from exchanges.simulators.feeds.generator import Generator
from exchanges.simulators.feeds.row import PRICE, SIDE, SIZE, SYMBOL, TRADE_ID, TS, Row
from tests.unit.matching_bench import EVENT, SHARE

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def rows(symbols: tuple[str, ...], seed: int = 1, rate: float = 5.0, seconds: int = 60) -> list[Row]:
    instruments = [listed(symbol, D(0), D(0)) for symbol in symbols]
    prices = {symbol: start_price(symbol) for symbol in symbols}
    generator = Generator(instruments, prices, seed=seed, rate=rate, start_ns=START)
    return generator.due(START + seconds * SECOND)


def test_the_same_seed_gives_the_same_trades_and_another_seed_others() -> None:
    assert rows(("BTCUSDT", "ETHUSDT")) == rows(("BTCUSDT", "ETHUSDT")) != rows(("BTCUSDT", "ETHUSDT"), seed=2)


def test_a_symbols_trades_do_not_depend_on_which_other_symbols_are_generated() -> None:
    alone = rows(("ETHUSDT",))
    together = [row for row in rows(("BTCUSDT", "ETHUSDT")) if row[SYMBOL] == "ETHUSDT"]
    assert alone == together


def test_trades_come_at_the_configured_rate_in_time_order_with_their_own_ids() -> None:
    made = rows(("BTCUSDT",), rate=2_000.0, seconds=5)
    assert 9_000 < len(made) < 11_000
    times = [row[TS] for row in made]
    assert times == sorted(times)
    assert START < times[0] <= times[-1] <= START + 5 * SECOND
    assert len({row[TRADE_ID] for row in made}) == len(made)


def test_prices_and_sizes_lie_on_the_instruments_steps() -> None:
    for symbol in ("BTCUSDT", "1000PEPEUSDT", "NEWCOINUSDT"):
        instrument = listed(symbol, D(0), D(0))
        for row in rows((symbol,), seconds=30):
            assert D(repr(row[PRICE])) % instrument.tick == 0
            assert D(repr(row[SIZE])) % instrument.lot == 0
            assert row[SIZE] > 0


def test_the_price_moves_but_stays_in_reach_of_where_it_started() -> None:
    made = [row[PRICE] for row in rows(("BTCUSDT",), seconds=3_600)]
    assert len(set(made)) > 100
    assert 0.8 < min(made) / made[0] <= max(made) / made[0] < 1.25


def test_a_price_above_the_one_before_was_bought() -> None:
    made = rows(("BTCUSDT",), seconds=300)
    moved = [(a, b) for a, b in itertools.pairwise(made) if a[PRICE] != b[PRICE]]
    assert all((b[SIDE].value == "buy") == (b[PRICE] > a[PRICE]) for a, b in moved)


def test_there_are_trends_as_well_as_reversion() -> None:
    made = [row[PRICE] for row in rows(("BTCUSDT",), rate=1.0, seconds=40_000)]
    drifts = [made[i + 300] / made[i] - 1 for i in range(0, len(made) - 300, 300)]
    assert statistics.pstdev(drifts) > 0.003
    assert min(drifts) < -0.005 < 0.005 < max(drifts)


def test_an_event_contract_stays_between_nothing_and_its_full_value_and_trades_whole_contracts() -> None:
    steps = (PriceStep(D(0), D("0.001")), PriceStep(D("0.1"), D("0.01")))
    fine = msgspec.structs.replace(EVENT, lot=D("0.01"), price_steps=steps)
    for start in (0.005, 0.05, 0.5, 0.99):
        generator = Generator([fine], {"EVENT": start}, seed=3, rate=5.0, start_ns=START)
        made = generator.due(START + 3_600 * SECOND)
        prices = [row[PRICE] for row in made]
        assert 0.01 <= min(prices) < max(prices) <= 0.99
        assert all(D(repr(price)) % fine.tick_at(D(repr(price))) == 0 for price in prices)
        assert all(row[SIZE] == int(row[SIZE]) >= 1 for row in made)
        assert len(set(prices)) > (20 if start == 0.5 else 1)


def test_a_share_moves_less_than_a_coin_and_by_cents() -> None:
    generator = Generator([SHARE], {"SHARE": 200.0}, seed=3, rate=5.0, start_ns=START)
    made = [row[PRICE] for row in generator.due(START + 3_600 * SECOND)]
    coin = [row[PRICE] for row in rows(("BTCUSDT",), seconds=3_600)]
    assert all(D(repr(price)) % SHARE.tick == 0 for price in made)
    changes = [[b / a - 1 for a, b in itertools.pairwise(found[::50])] for found in (made, coin)]
    assert statistics.pstdev(changes[0]) < 0.7 * statistics.pstdev(changes[1])
