"""Client order ids as cloids and back: the same id always, and nobody else's."""

from __future__ import annotations

import base64

import pytest
from hyperliquid.utils.types import Cloid
from hypothesis import given
from hypothesis import strategies as st

from actors.exchange.panic import panic_order_id
from exchanges.hyperliquid.cloids import Cloids, client_id_in, cloid_of
from strategies.signal import client_order_id, signal_id

signals = st.binary(min_size=12, max_size=12).map(lambda raw: base64.b32encode(raw).decode().rstrip("="))
texts = st.text("ABCXYZabcxyz0189_-", max_size=40)


@given(signals, st.integers(0, 1023), st.integers(0, 63))
def test_an_id_of_a_signal_is_in_its_cloid_whole(signal: str, leg: int, attempt: int) -> None:
    client_id = client_order_id(signal, leg, attempt)
    assert client_id_in(cloid_of(client_id)) == client_id
    assert Cloid.from_str(cloid_of(client_id)).to_raw() == cloid_of(client_id)


@given(texts)
def test_every_id_has_a_cloid_the_venue_takes_and_never_stands_for_another(text: str) -> None:
    cloid = cloid_of(f"bw-{text}")
    assert Cloid.from_str(cloid).to_raw() == cloid == cloid_of(f"bw-{text}")
    assert client_id_in(cloid) in (f"bw-{text}", "")


@given(st.integers(0, (1 << 128) - 1))
def test_bits_of_another_program_are_read_as_ours_only_if_we_would_have_made_them(value: int) -> None:
    cloid = f"{value:#034x}"
    found = client_id_in(cloid)
    assert not found or cloid_of(found) == cloid


def test_the_closing_orders_of_a_panic_are_told_again_after_a_restart() -> None:
    client_id = panic_order_id("control-1", "hyperliquid:BTC", 0, "1")
    assert Cloids().client_id(cloid_of(client_id)) == client_id


def test_a_signals_own_id_has_the_form_that_fits() -> None:
    signal = signal_id("trend", "hyperliquid:BTC", "hyperliquid:BTC@1.7", 0)
    assert client_id_in(cloid_of(client_order_id(signal))) == client_order_id(signal)


@pytest.mark.parametrize(
    "client_id",
    [
        "bw-ABCDEFGHIJKLMNOPQRSQ-1024-0",
        "bw-ABCDEFGHIJKLMNOPQRSQ-0-64",
        "bw-ABCDEFGHIJKLMNOPQRST-0-0",
        "another-program's",
    ],
)
def test_what_does_not_fit_is_known_again_by_who_has_asked_about_it(client_id: str) -> None:
    cloids = Cloids(kept=2)
    cloid = cloids.of(client_id)
    assert client_id_in(cloid) == ""
    assert cloids.client_id(cloid.upper().replace("0X", "0x")) == client_id
    for number in range(2):
        cloids.of(f"{client_id}{number}")
    assert cloids.client_id(cloid) == ""


@pytest.mark.parametrize("cloid", ["", "0x", "0x" + "0" * 32, "0x" + "g" * 32, "b16a" + "0" * 30, "0xb16b" + "f" * 28])
def test_what_is_no_cloid_of_ours_is_nobodys(cloid: str) -> None:
    assert Cloids().client_id(cloid) == ""
