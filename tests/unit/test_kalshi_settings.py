"""Kalshi's settings, key and clock: the right hosts, signatures that verify, and no secret in any text."""

from __future__ import annotations

import base64
import io
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import pytest
import rich.console
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from exchanges.kalshi.pricing import market_limit
from exchanges.kalshi.settings import KalshiSettings
from exchanges.kalshi.signer import KeyFormatError, Signer, VenueClock
from exchanges.model.instrument import PriceStep
from exchanges.model.order import Side
from exchanges.modes import Mode
from tests.unit.kalshi_samples import settings

SECOND = 1_000_000_000
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


# -- hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "host"),
    [
        (Mode.LIVE, "external-api.kalshi.com"),
        (Mode.PAPER, "external-api.kalshi.com"),
        (Mode.DEMO, "external-api.demo.kalshi.co"),
    ],
)
def test_every_mode_has_addresses_of_its_own(mode: Mode, host: str) -> None:
    assert KalshiSettings(mode=mode, key_id="id").endpoints.rest == f"https://{host}"


@pytest.mark.parametrize(
    ("mode", "address"),
    [
        (Mode.LIVE, {"rest_url": "https://demo-api.kalshi.co"}),
        (Mode.LIVE, {"socket_url": "wss://external-api-ws.demo.kalshi.co"}),
        (Mode.LIVE, {"rest_url": "http://127.0.0.1:8000"}),
        (Mode.LIVE, {"rest_url": "https://api.elections.kalshi.com.example.org"}),
        (Mode.LIVE, {"rest_url": "http://api.elections.kalshi.com"}),
        (Mode.DEMO, {"rest_url": "https://api.elections.kalshi.com"}),
        (Mode.DEMO, {"socket_url": "wss://external-api-ws.kalshi.com"}),
        (Mode.PAPER, {"rest_url": "https://demo-api.kalshi.co"}),
        (Mode.SIM, {"rest_url": "https://api.elections.kalshi.com", "socket_url": "ws://127.0.0.1:1"}),
        (Mode.SIM, {"rest_url": "http://127.0.0.1:1"}),
    ],
)
def test_addresses_of_another_mode_are_a_start_up_error(mode: Mode, address: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        KalshiSettings(mode=mode, key_id="id", **address)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.DEMO, Mode.LIVE])
def test_a_mode_that_needs_a_key_says_so(mode: Mode) -> None:
    with pytest.raises(ValueError, match="expected a key"):
        KalshiSettings(mode=mode)


def test_the_venues_other_hosts_are_allowed_and_paths_left_to_us() -> None:
    told = KalshiSettings(
        mode=Mode.LIVE,
        key_id="id",
        rest_url="https://api.elections.kalshi.com/trade-api/v2/",
        socket_url="wss://api.elections.kalshi.com/trade-api/ws/v2",
    )
    assert told.endpoints == ("https://api.elections.kalshi.com", "wss://api.elections.kalshi.com")


@pytest.mark.parametrize(
    "change",
    [
        {"streams": ("trade", "gossip")},
        {"bar_interval_s": 0},
        {"self_trade_prevention": "never"},
        {"market_slippage": Decimal(1)},
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        settings(**change)


def test_the_key_shows_up_in_no_text() -> None:
    told = settings(private_key=PEM, key_id="secret-key-id")
    printed = io.StringIO()
    rich.console.Console(file=printed, width=400).print(told)
    for text in (
        repr(told),
        str(told),
        f"{told}",
        printed.getvalue(),
        repr(Signer("secret-key-id", PEM, VenueClock())),
    ):
        assert "PRIVATE" not in text
        assert "secret-key-id" not in text
        assert PEM[60:90] not in text


# -- the key ---------------------------------------------------------------------------------


def test_a_signature_verifies_over_time_method_and_path_without_the_query() -> None:
    headers = Signer("id", PEM, VenueClock()).create_auth_headers(
        "get", "http://127.0.0.1:1/trade-api/v2/portfolio/orders?limit=5"
    )
    signed = f"{headers['KALSHI-ACCESS-TIMESTAMP']}GET/trade-api/v2/portfolio/orders"
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    KEY.public_key().verify(base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"]), signed.encode(), pss, hashes.SHA256())
    assert headers["KALSHI-ACCESS-KEY"] == "id"


ELLIPTIC = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
LOCKED = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"password")
)


@pytest.mark.parametrize("pem", ["", "no key", PEM[:200], PEM.replace("A", "!"), ELLIPTIC.decode(), LOCKED.decode()])
def test_a_malformed_key_is_refused_without_showing_any_of_it(pem: str) -> None:
    with pytest.raises(KeyFormatError, match="expected") as caught:
        Signer("id", pem, VenueClock())
    assert caught.value.__cause__ is None
    assert not any(line in str(caught.value) for line in pem.splitlines()[1:-1] if line)


def test_a_missing_key_id_is_refused() -> None:
    with pytest.raises(KeyFormatError, match="key id"):
        Signer("", PEM, VenueClock())


# -- the venue's clock -----------------------------------------------------------------------


def date(second: int) -> str:
    return formatdate(second, usegmt=True)


def test_a_clock_that_may_be_right_is_left_alone() -> None:
    clock = VenueClock()
    clock.observe(date(1000), 1000 * SECOND, 1000 * SECOND + 5)
    clock.observe(date(1001), 1001 * SECOND + 999_000_000, 1002 * SECOND)
    assert clock.skew_ns == 0


def test_headers_narrow_the_skew_down() -> None:
    clock, skew = VenueClock(), 30 * SECOND + 400_000_000
    for at in range(0, 40 * SECOND, 730_000_000):
        ours = 5_000 * SECOND + at
        clock.observe(date((ours + skew) // SECOND), ours, ours + 1_000_000)
    assert abs(clock.skew_ns - skew) < 100_000_000


def test_a_clock_that_was_set_is_followed() -> None:
    clock = VenueClock()
    clock.observe(date(1000), 1000 * SECOND, 1000 * SECOND)
    clock.observe(date(1100), 1001 * SECOND, 1001 * SECOND)
    assert abs(clock.skew_ns - 99 * SECOND) <= SECOND


@pytest.mark.parametrize("header", ["", "soon", "Thu, 99 Foo 2024 99:99:99 GMT"])
def test_a_date_that_cannot_be_read_changes_nothing(header: str) -> None:
    clock = VenueClock()
    clock.observe(date(2000), 1000 * SECOND, 1000 * SECOND)
    before = clock.skew_ns
    clock.observe(header, 1, 2)
    assert clock.skew_ns == before != 0


# -- market orders ---------------------------------------------------------------------------

TAPERED = tuple(
    PriceStep(Decimal(start), Decimal(step)) for start, step in (("0", "0.001"), ("0.1", "0.01"), ("0.9", "0.001"))
)


@pytest.mark.parametrize(
    ("side", "best", "slippage", "limit"),
    [
        (Side.BUY, "0.47", "0.05", "0.52"), (Side.SELL, "0.45", "0.05", "0.40"), (Side.BUY, "0.97", "0.05", "0.999"),
        (Side.SELL, "0.02", "0.05", "0.001"), (Side.BUY, "0.47", "0.013", "0.48"), (Side.SELL, "0.45", "0.013", "0.44"),
        (Side.BUY, "0.47", "0", "0.47"), (Side.BUY, "0.097", "0.005", "0.10"), (Side.SELL, "0.105", "0.001", "0.105"),
    ],
)  # fmt: skip
def test_a_market_order_goes_no_further_than_its_slippage_on_the_step_in_the_range(
    side: Side, best: str, slippage: str, limit: str
) -> None:
    assert market_limit(side, Decimal(best), Decimal(slippage), TAPERED, Decimal(1)) == Decimal(limit)
