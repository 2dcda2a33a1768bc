"""Hyperliquid's settings, key and prices: the right hosts, exact numbers, and no secret in any text."""

from __future__ import annotations

import io
import threading
from decimal import Decimal
from typing import Any

import pytest
import rich.console
from hypothesis import given
from hypothesis import strategies as st

from exchanges.fields import WireError
from exchanges.hyperliquid import HyperliquidSettings, market
from exchanges.hyperliquid.failures import ActionRefused, Garbage
from exchanges.hyperliquid.names import native
from exchanges.hyperliquid.pricing import market_limit
from exchanges.hyperliquid.session import KeyFormatError, Nonces, checked, exactly, statuses, wallet_of
from exchanges.model.order import Side
from exchanges.modes import Mode, ModeError
from tests.unit.hyperliquid_samples import ACCOUNT, META, PRIVATE_KEY, D, settings

RULES = market.instrument(META["universe"][0], market.STANDARD)


# -- hosts and keys --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "host"),
    [
        (Mode.LIVE, "api.hyperliquid.xyz"),
        (Mode.PAPER, "api.hyperliquid.xyz"),
        (Mode.DEMO, "api.hyperliquid-testnet.xyz"),
    ],
)
def test_every_mode_has_addresses_of_its_own(mode: Mode, host: str) -> None:
    made = HyperliquidSettings(mode=mode, account=ACCOUNT)
    assert made.endpoints == (f"https://{host}", f"wss://{host}")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mode": Mode.LIVE, "rest_url": "https://api.hyperliquid-testnet.xyz"}, "that of mode demo"),
        ({"mode": Mode.DEMO, "socket_url": "wss://api.hyperliquid.xyz"}, "that of mode paper and live"),
        ({"account": "main"}, "expected the key of hyperliquid to be the account's address"),
        ({"account": "0x" + "ab" * 32}, "66 characters that are none"),
        ({"streams": ("trades",)}, "expected streams among"),
        ({"bar_interval_s": 61}, "expected a bar_interval_s among"),
        ({"market_slippage": D(1)}, "expected a market_slippage"),
        ({"leverage": 0}, "expected a leverage from 1 to 100"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], text: str) -> None:
    base = {} if "mode" in changes else {"rest_url": "http://127.0.0.1:1", "socket_url": "ws://127.0.0.1:1"}
    with pytest.raises((ModeError, ValueError), match=text):
        HyperliquidSettings(**{"mode": Mode.SIM, "account": ACCOUNT, **base, **changes})


def test_no_text_of_the_settings_shows_the_private_key() -> None:
    made = settings()
    console = rich.console.Console(file=io.StringIO(), width=400)
    console.print(made)
    console.print([made])
    assert isinstance(console.file, io.StringIO)
    for text in (repr(made), str(made), f"{made}", console.file.getvalue()):
        assert PRIVATE_KEY[2:] not in text


def test_a_private_key_that_can_not_be_read_is_refused_without_showing_it() -> None:
    assert wallet_of("") is None
    wallet = wallet_of(PRIVATE_KEY)
    assert wallet is not None
    assert PRIVATE_KEY[2:] not in repr(wallet)
    for key in ("0x1234", PRIVATE_KEY + "ff", "not-a-key-" + PRIVATE_KEY[2:40]):
        with pytest.raises(KeyFormatError, match="expected a private key of 64 hexadecimal digits") as told:
            wallet_of(key)
        assert key not in str(told.value)
        assert told.value.__cause__ is None


@pytest.mark.parametrize("symbol", ["bybit:BTC", "hyperliquid:", "hyperliquid:xyz:TSLA", "hyperliquid:@107", "BTC"])
def test_a_symbol_of_another_market_is_refused(symbol: str) -> None:
    with pytest.raises(WireError, match="expected a perpetual such as hyperliquid:BTC"):
        native(symbol)


# -- nonces and numbers ----------------------------------------------------------------------


def test_nonces_of_many_threads_in_one_millisecond_are_all_different() -> None:
    nonces, found = Nonces(wall=lambda: 5_000_000), list[int]()
    threads = [threading.Thread(target=lambda: found.extend(nonces.next() for _ in range(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(5, 805))


def test_nonces_follow_the_clock_and_never_go_back_with_it() -> None:
    times = iter((9_000_000, 12_000_000, 3_000_000))
    nonces = Nonces(wall=lambda: next(times))
    assert [nonces.next() for _ in range(3)] == [9, 12, 13]


@given(st.integers(1, 10**15), st.integers(0, 8))
def test_a_number_is_written_as_it_is_or_refused(digits: int, places: int) -> None:
    value = Decimal(digits).scaleb(-places)
    try:
        number = exactly(value, "price")
    except WireError:
        # Beyond that eight decimals are more than a float can tell apart.
        assert value > 2**53 // 10**8
        return
    assert Decimal(f"{number:.8f}") == value


@pytest.mark.parametrize("text", ["0.000000001", "123456789012345.6789"])
def test_a_number_with_too_many_digits_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="expected a price"):
        exactly(D(text), "price")


# -- answers ---------------------------------------------------------------------------------


def test_the_statuses_of_an_action_are_taken_out_of_its_answer() -> None:
    told = {"status": "ok", "response": {"type": "order", "data": {"statuses": ["success"]}}}
    assert statuses(told) == ["success"]
    assert statuses({"status": "ok", "response": {"type": "default"}}) == []
    with pytest.raises(ActionRefused, match="Must deposit"):
        statuses({"status": "err", "response": "Must deposit before performing actions."})


@pytest.mark.parametrize(
    "answer",
    [
        None, [], "ok", {}, {"status": "new", "response": {}}, {"status": "ok"},
        {"status": "ok", "response": {"data": 1}}, {"error": "Could not parse JSON: <html>"},
    ],
)  # fmt: skip
def test_an_answer_that_says_nothing_clear_leaves_the_outcome_unknown(answer: Any) -> None:
    with pytest.raises(Garbage):
        statuses(answer)


def test_what_the_sdk_makes_of_html_is_no_answer() -> None:
    assert checked([1]) == [1]
    with pytest.raises(Garbage, match="expected JSON"):
        checked({"error": "Could not parse JSON: <html>"})


# -- prices ----------------------------------------------------------------------------------


@given(st.integers(0, 6), st.decimals(D("0.000001"), D(900_000), places=6))
def test_a_rounded_price_keeps_the_venues_rule_of_figures_and_decimals(places: int, price: Decimal) -> None:
    rules = market.instrument({"name": "X", "szDecimals": places, "maxLeverage": 5}, market.STANDARD)
    rounded = rules.round_price(price, Side.BUY)
    if not rounded:
        return
    normal = rounded.normalize()
    exponent = int(normal.as_tuple().exponent)
    assert -exponent <= 6 - places
    assert exponent >= 0 or len(normal.as_tuple().digits) <= 5
    assert price - rounded < rules.tick_at(price)


@given(st.sampled_from(list(Side)), st.decimals(D("0.1"), D(200_000), places=1), st.decimals(0, D("0.5"), places=3))
def test_a_market_order_never_goes_further_than_its_slippage(side: Side, best: Decimal, slippage: Decimal) -> None:
    best = RULES.round_price(best, Side.BUY)
    limit = market_limit(side, best, slippage, RULES)
    assert limit % RULES.tick_at(limit) == 0
    assert 0 <= (limit - best) * side.sign <= best * slippage


def test_the_rules_of_a_perpetual() -> None:
    assert (RULES.symbol, RULES.lot, RULES.tick, RULES.min_notional) == (
        "hyperliquid:BTC",
        D("0.00001"),
        D("0.1"),
        D(10),
    )
    assert [RULES.tick_at(D(p)) for p in (9_999, 10_000, 100_000)] == [D("0.1"), D(1), D(1)]
    assert RULES.max_leverage == 40
    assert not market.instrument(META["universe"][2], market.STANDARD).trading
    with pytest.raises(WireError, match="szDecimals of at most 6"):
        market.instrument({"name": "X", "szDecimals": 7, "maxLeverage": 1}, market.STANDARD)
