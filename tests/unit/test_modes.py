"""The table of modes: which hosts, keys and accounts go together, and what is said of those that don't."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.modes import LOOPBACK, TABLE, address_fault, key_names
from exchanges.failures import FailureKind, VenueError
from exchanges.model.venue import Outcome
from exchanges.modes import Mode, ModeError, OrderGate, access, check_account, check_addresses, check_key, ensure_mode
from runtime.errors import SetupError

VENUES = tuple(TABLE)
REAL = (Mode.PAPER, Mode.DEMO, Mode.LIVE)


def cells() -> Iterator[tuple[str, Mode, str, str]]:
    """Venue, mode, setting and host of all that the table allows."""
    for venue, mode in product(VENUES, REAL):
        for name, hosts in access(venue, mode).hosts.items():
            for host in hosts:
                yield venue, mode, name, host


def url(name: str, host: str) -> str:
    return f"{'https' if name in ('rest_url', 'data_url') else 'wss'}://{host}"


@pytest.mark.parametrize(("venue", "mode"), list(product(VENUES, REAL)))
def test_the_venues_own_addresses_fit_their_mode(venue: str, mode: Mode) -> None:
    found = check_addresses(venue, mode, {})
    assert set(found) == set(access(venue, mode).hosts)
    assert all(urlsplit(address).scheme in ("https", "wss") for address in found.values())
    assert check_addresses(venue, mode, found) == found


@pytest.mark.parametrize(("venue", "mode", "name", "host"), list(cells()))
def test_a_host_of_the_table_fits_exactly_the_modes_that_list_it(venue: str, mode: Mode, name: str, host: str) -> None:
    for other in Mode:
        fits = host in access(venue, other).hosts[name]
        assert (address_fault(venue, other, name, url(name, host)) == "") is fits
    assert address_fault(venue, mode, name, url(name, host)) == ""


def test_no_host_that_takes_private_calls_serves_both_demo_and_live() -> None:
    for venue in VENUES:
        for name in access(venue, Mode.LIVE).hosts:
            shared = set(access(venue, Mode.LIVE).hosts[name]) & set(access(venue, Mode.DEMO).hosts[name])
            assert not shared or name in ("public_url", "data_url", "data_stream_url")


@pytest.mark.parametrize(
    ("venue", "mode", "name", "found", "said"),
    [
        ("bybit", Mode.LIVE, "rest_url", "https://api-demo.bybit.com", "which is that of mode demo"),
        ("bybit", Mode.DEMO, "rest_url", "https://api.bybit.com", "which is that of mode paper and live"),
        ("bybit", Mode.DEMO, "private_url", "wss://stream.bybit.com", "expected private_url of bybit in mode demo at"),
        ("bybit", Mode.LIVE, "rest_url", "https://api-testnet.bybit.com", "which is none of its hosts"),
        ("bybit", Mode.LIVE, "rest_url", "https://api.bybit.com.evil.example", "which is none of its hosts"),
        ("bybit", Mode.LIVE, "rest_url", "https://user:word@api.bybit.com", "remove user name"),
        ("bybit", Mode.LIVE, "rest_url", "https://api.bybit.com@evil.example", "remove user name"),
        ("bybit", Mode.LIVE, "rest_url", "http://api.bybit.com", "expected rest_url of bybit in mode live to be https"),
        ("bybit", Mode.LIVE, "rest_url", "https://api.bybit.com:8443", "found another scheme or port"),
        ("bybit", Mode.LIVE, "rest_url", "https://127.0.0.1:8443", "found 127.0.0.1, this machine"),
        ("bybit", Mode.LIVE, "rest_url", "https://[::1", "can't be read"),
        ("bybit", Mode.LIVE, "rest_url", "https://api.by\nbit.com", "found spaces"),
        ("bybit", Mode.LIVE, "rest_url", "https://api.bybit.com\\x", "found spaces"),
        ("bybit", Mode.LIVE, "rest_url", "api.bybit.com", "found no host"),
        ("bybit", Mode.LIVE, "public_url", "ws://localhost:1", "this machine"),
        ("bybit", Mode.SIM, "rest_url", "https://api.bybit.com", "on this machine (127.0.0.1), found api.bybit.com"),
        ("bybit", Mode.SIM, "rest_url", "http://192.168.1.2:80", "on this machine"),
        ("bybit", Mode.SIM, "rest_url", "ws://127.0.0.1:80", "expected rest_url of bybit in mode sim to begin with"),
        ("alpaca", Mode.LIVE, "rest_url", "https://paper-api.alpaca.markets", "that of mode paper and demo"),
        ("alpaca", Mode.DEMO, "rest_url", "https://api.alpaca.markets", "that of mode live"),
        ("alpaca", Mode.DEMO, "stream_url", "wss://api.alpaca.markets", "that of mode live"),
        ("kalshi", Mode.LIVE, "rest_url", "https://demo-api.kalshi.co", "that of mode demo"),
        ("kalshi", Mode.DEMO, "socket_url", "wss://external-api-ws.kalshi.com", "that of mode paper and live"),
        ("kalshi", Mode.DEMO, "data_url", "https://x", "found 'data_url'; correct its name"),
    ],
)
def test_an_address_of_another_mode_is_named_with_the_mode_it_is_of(
    venue: str, mode: Mode, name: str, found: str, said: str
) -> None:
    own = {} if mode is not Mode.SIM else dict.fromkeys(access(venue, mode).hosts, "http://127.0.0.1:1")
    with pytest.raises(ModeError) as caught:
        check_addresses(venue, mode, {**own, name: found})
    assert said in str(caught.value)
    assert "word" not in str(caught.value)
    assert isinstance(caught.value, SetupError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("venue", VENUES)
def test_in_sim_every_address_must_be_given(venue: str) -> None:
    names = list(access(venue, Mode.SIM).hosts)
    with pytest.raises(ModeError, match=f"expected {' and '.join(names[1:])} of {venue} in mode sim, found none"):
        check_addresses(venue, Mode.SIM, {names[0]: "http://127.0.0.1:1/"})


def test_a_recorder_on_this_machine_may_stand_in_for_the_venue_but_not_for_real_money() -> None:
    local = {"rest_url": "http://127.0.0.1:9", "private_url": "ws://127.0.0.1:9"}
    assert check_addresses("bybit", Mode.DEMO, local)["public_url"] == "wss://stream.bybit.com"
    with pytest.raises(ModeError):
        check_addresses("bybit", Mode.LIVE, local)


HOSTS = st.sampled_from([host for *_, host in cells()] + ["evil.example", *LOOPBACK])
SHAPES = st.sampled_from(
    [
        "https://{0}",
        "https://{0}.evil.example",
        "https://{0}@evil.example",
        "https://evil.example/{0}",
        "https://evil.example#{0}",
        "https://evil.example?{0}",
        "https://{0}:444",
        "wss://{0}",
        "//{0}",
        "https:{0}",
        "https://{0}\\@evil.example",
        " https://{0}",
    ]
)


@given(st.sampled_from(VENUES), HOSTS, st.one_of(SHAPES, st.text(max_size=30).map(lambda text: "https://{0}" + text)))
def test_whatever_is_written_live_reaches_a_live_host_alone(venue: str, host: str, shape: str) -> None:
    address = shape.replace("{0}", host)
    for name, own in access(venue, Mode.LIVE).hosts.items():
        if address and not address_fault(venue, Mode.LIVE, name, address):
            parts = urlsplit(address)
            assert parts.hostname in own
            assert parts.scheme in ("https", "wss")
            assert parts.username is None


def test_an_unknown_venue_is_refused() -> None:
    with pytest.raises(
        ModeError, match="expected one of the venues bybit, alpaca, kalshi, hyperliquid, found 'kraken'"
    ):
        access("kraken", Mode.SIM)


# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "mode", "key", "said"),
    [
        ("alpaca", Mode.LIVE, "PKTHEKEY", "begins with PK as those of the paper account do"),
        ("alpaca", Mode.DEMO, "AKTHEKEY", "begins with AK as those of the live account do"),
        ("alpaca", Mode.PAPER, "AKTHEKEY", "begins with AK"),
        ("bybit", Mode.LIVE, "", "set BYBIT_LIVE_KEY and BYBIT_LIVE_SECRET"),
        ("kalshi", Mode.PAPER, "", "expected a key of kalshi for mode paper, found none"),
        ("bybit", Mode.DEMO, " THEKEY", "copy it anew"),
        ("bybit", Mode.DEMO, "THEKEY\n", "copy it anew"),
        ("bybit", Mode.DEMO, "THEKEYé", "copy it anew"),
    ],
)
def test_a_key_that_cannot_be_right_is_refused_and_not_shown(venue: str, mode: Mode, key: str, said: str) -> None:
    with pytest.raises(ModeError) as caught:
        check_key(venue, mode, key)
    assert said in str(caught.value)
    assert "THEKEY" not in str(caught.value)


def test_a_key_that_fits_its_mode_passes() -> None:
    check_key("alpaca", Mode.LIVE, "AKX")
    check_key("alpaca", Mode.DEMO, "PKX")
    check_key("bybit", Mode.PAPER, "")
    check_key("alpaca", Mode.SIM, "simulator-key")


def test_the_default_names_of_no_two_modes_are_the_same() -> None:
    names = [set(key_names(venue, mode)) - {""} for venue, mode in product(VENUES, Mode)]
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            assert not one & other


# -- the account -----------------------------------------------------------------------------


def test_live_takes_the_account_that_was_typed_and_no_other() -> None:
    check_account("bybit", Mode.LIVE, "24617703", "24617703")
    with pytest.raises(ModeError) as caught:
        check_account("bybit", Mode.LIVE, "24617703", "98765432")
    assert "expected the key of bybit to belong to account 24617703" in str(caught.value)
    assert "...432" in str(caught.value)
    assert "98765432" not in str(caught.value)


def test_live_without_a_typed_account_says_how_to_type_one_and_does_not_give_it_away() -> None:
    with pytest.raises(ModeError) as caught:
        check_account("bybit", Mode.LIVE, "", "98765432")
    assert "--live-account bybit:ID" in str(caught.value)
    assert "432" not in str(caught.value)


def test_live_refuses_a_venue_that_names_no_account() -> None:
    with pytest.raises(ModeError, match="expected bybit to name the account of the key, found none"):
        check_account("bybit", Mode.LIVE, "1", "")


@pytest.mark.parametrize("mode", [Mode.SIM, Mode.PAPER, Mode.DEMO])
def test_where_no_money_is_at_stake_no_account_is_asked_for(mode: Mode) -> None:
    check_account("bybit", mode, "", "98765432")


# -- before each order -----------------------------------------------------------------------


def refused(gate: OrderGate, name: str, address: str, *, opens: bool = True) -> tuple[str, Outcome, FailureKind]:
    with pytest.raises(VenueError) as caught:
        gate.ensure(name, address, opens=opens)
    failure = caught.value.failure
    return failure.code, failure.outcome, failure.kind


def test_an_order_to_a_host_that_was_swapped_after_the_start_is_not_sent() -> None:
    gate = OrderGate("bybit", Mode.DEMO)
    gate.ensure("rest_url", "https://api-demo.bybit.com")
    for swapped in ("https://api.bybit.com", "https://evil.example", ""):
        assert refused(gate, "rest_url", swapped) == ("WRONG_MODE", Outcome.NOT_SENT, FailureKind.INVALID)
    gate.ensure("rest_url", "https://api-demo.bybit.com")


def test_in_paper_no_private_call_leaves_whatever_its_host() -> None:
    gate = OrderGate("bybit", Mode.PAPER)
    for address in ("https://api.bybit.com", "http://127.0.0.1:1"):
        assert refused(gate, "rest_url", address, opens=False)[0] == "WRONG_MODE"


def test_in_live_no_order_leaves_before_the_account_is_confirmed_but_cancels_do() -> None:
    gate = OrderGate("bybit", Mode.LIVE, "24617703")
    live = "https://api.bybit.com"
    assert not gate.confirmed
    assert refused(gate, "rest_url", live) == ("ACCOUNT_NOT_CONFIRMED", Outcome.NOT_SENT, FailureKind.UNAVAILABLE)
    gate.ensure("rest_url", live, opens=False)
    gate.confirm("24617703")
    gate.ensure("rest_url", live)


def test_a_key_that_turns_out_to_be_another_accounts_closes_the_gate_again() -> None:
    gate = OrderGate("bybit", Mode.LIVE, "24617703")
    gate.confirm("24617703")
    with pytest.raises(ModeError):
        gate.confirm("98765432")
    assert refused(gate, "rest_url", "https://api.bybit.com")[0] == "ACCOUNT_NOT_CONFIRMED"


@pytest.mark.parametrize("mode", [Mode.SIM, Mode.DEMO])
def test_where_no_money_is_at_stake_the_gate_is_open(mode: Mode) -> None:
    gate = OrderGate("bybit", mode)
    assert gate.confirmed
    gate.ensure("rest_url", "http://127.0.0.1:1")


def test_the_check_before_an_order_says_what_was_expected_and_found() -> None:
    with pytest.raises(VenueError, match=re.escape("expected rest_url of alpaca in mode demo at paper-api")):
        ensure_mode("alpaca", Mode.DEMO, "rest_url", "https://api.alpaca.markets")
