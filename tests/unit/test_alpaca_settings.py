"""Settings: the right host for the mode, keys of the right account, and no secret in any text."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from exchanges.alpaca import AlpacaSettings
from exchanges.alpaca.rest import CRYPTO, PLACE, STOCKS, TRADING, Rest, make_client, stack_settings
from exchanges.failures import VenueError
from exchanges.modes import Mode, ModeError
from exchanges.resilience import Endpoint

LOOPBACK: dict[str, Any] = {
    "rest_url": "http://127.0.0.1:1/",
    "stream_url": "ws://127.0.0.1:1",
    "data_url": "http://127.0.0.1:1",
    "data_stream_url": "ws://127.0.0.1:1",
}


@pytest.mark.parametrize(
    ("mode", "host"),
    [
        (Mode.LIVE, "api.alpaca.markets"),
        (Mode.DEMO, "paper-api.alpaca.markets"),
        (Mode.PAPER, "paper-api.alpaca.markets"),
    ],
)
def test_a_mode_has_its_own_host(mode: Mode, host: str) -> None:
    endpoints = AlpacaSettings(mode=mode, key="k").endpoints
    assert endpoints.rest == f"https://{host}"
    assert endpoints.stream == f"wss://{host}"
    assert endpoints.data == "https://data.alpaca.markets"
    assert endpoints.data_stream == "wss://stream.data.alpaca.markets"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"mode": Mode.SIM}, "give the simulator's"),
        ({"mode": Mode.SIM, **LOOPBACK, "rest_url": "https://api.alpaca.markets"}, "on this machine"),
        ({"mode": Mode.DEMO, "rest_url": "https://api.alpaca.markets"}, "api.alpaca.markets"),
        ({"mode": Mode.LIVE, "rest_url": "https://paper-api.alpaca.markets"}, "paper-api.alpaca.markets"),
        ({"mode": Mode.LIVE, **LOOPBACK}, "127.0.0.1"),
        ({"mode": Mode.LIVE, "stream_url": "wss://api.alpaca.markets.evil.example"}, "evil.example"),
        ({"mode": Mode.LIVE, "data_url": "https://example.org"}, "example.org"),
        ({"mode": Mode.LIVE, "key": "PKABC"}, "paper account"),
        ({"mode": Mode.DEMO, "key": "AKABC"}, "live account"),
        ({"mode": Mode.DEMO, "key": ""}, "a key of alpaca for mode demo"),
        ({"mode": Mode.DEMO, "key": "two lines\n"}, "copy it anew"),
        ({"mode": Mode.DEMO, "secret": " padded"}, "copy it anew"),
        ({"mode": Mode.DEMO, "streams": ("trade", "book")}, "book"),
        ({"mode": Mode.DEMO, "bar_interval_s": 300}, "300"),
        ({"mode": Mode.DEMO, "feed": "otc"}, "otc"),
        ({"mode": Mode.DEMO, "crypto_taker_fee": Decimal("25")}, "25 basis points"),
        ({"mode": Mode.DEMO, "calls_per_minute": 1}, "at least 20"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_the_start(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(ValueError, match=f"expected .*{found}"):
        AlpacaSettings(**{"key": "k", **changes})


def test_a_malformed_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="copy it anew") as caught:
        AlpacaSettings(mode=Mode.DEMO, key="k", secret="hidden-secret\n")
    assert "hidden-secret" not in str(caught.value)


def test_the_secret_shows_up_in_no_text_of_the_settings() -> None:
    settings = AlpacaSettings(mode=Mode.DEMO, key="hidden-key", secret="hidden-secret")
    texts = f"{settings!r} {settings} {settings.__rich_repr__()}"
    assert "hidden" not in texts


@pytest.mark.parametrize("name", [TRADING, STOCKS, CRYPTO])
def test_a_client_repeats_nothing_and_gives_up_in_time(name: str) -> None:
    client, transport = make_client(name, AlpacaSettings(mode=Mode.SIM, key="k", secret="s", **LOOPBACK))
    assert (client._retry, client._retry_codes, client._use_raw_data) == (0, [], True)
    assert client._session.get_adapter("http://127.0.0.1:1") is transport
    assert client._session.get_adapter("https://data.alpaca.markets") is transport


def test_no_client_is_made_without_a_secret() -> None:
    with pytest.raises(PermissionError, match="expected a key and a secret"):
        make_client(TRADING, AlpacaSettings(mode=Mode.DEMO, key="k"))


def private_call(settings: AlpacaSettings, endpoint: Endpoint) -> str:
    """How a call of an account's endpoint ends at an address nobody listens to."""

    async def ask() -> str:
        rest = Rest(settings)
        try:
            await rest.post(endpoint, "/orders", {})
        except VenueError as error:
            return error.failure.code
        finally:
            await rest.close()
        return ""

    return asyncio.run(ask())


def test_a_call_to_another_modes_host_never_leaves() -> None:
    settings = AlpacaSettings(mode=Mode.DEMO, key="k", secret="s", **LOOPBACK)
    assert private_call(settings, PLACE) == "NO_CONNECTION"
    assert private_call(AlpacaSettings(mode=Mode.PAPER, key="k", secret="s", **LOOPBACK), PLACE) == "WRONG_MODE"


def test_an_order_in_live_waits_for_the_account_that_was_typed_out() -> None:
    settings = AlpacaSettings(mode=Mode.LIVE, key="k", secret="s", live_account="123456789")
    assert private_call(settings, PLACE) == "ACCOUNT_NOT_CONFIRMED"
    rest = Rest(settings)
    with pytest.raises(ModeError):
        rest.gate.confirm("987654321")


def test_orders_draw_from_the_accounts_limit_and_leave_something_for_cancels() -> None:
    buckets = {bucket.name: bucket for bucket in stack_settings(AlpacaSettings(mode=Mode.DEMO, key="k")).buckets}
    assert buckets["order"].parent == "trading"
    assert (buckets["trading"].burst, buckets["trading"].window_s) == (200, 60)
    assert buckets["trading"].reserve > 0
