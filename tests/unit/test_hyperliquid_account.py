"""Who may sign for whom, by the venue's word, and in live for the account that was typed out."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from actors.exchange.connect import simulated_keys
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.hyperliquid import HyperliquidSettings
from exchanges.hyperliquid.account import Account
from exchanges.model.venue import Outcome
from exchanges.modes import Mode, OrderGate
from exchanges.simulators.hyperliquid import HyperliquidSimulator, SimulatorSettings
from exchanges.streams import StreamError
from tests.unit.hyperliquid_samples import ACCOUNT, settings

AGENT = "0x" + "cd" * 20


class Told:
    """REST that answers one thing."""

    def __init__(self, answer: Any, mode: Mode, typed: str, signer: str) -> None:
        self.settings, self.answer, self.signer = settings(), answer, signer
        self.gate = OrderGate("hyperliquid", mode, typed)

    async def ask(self, endpoint: Any, question: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ready(answer: Any, *, mode: Mode = Mode.LIVE, typed: str = ACCOUNT, signer: str = AGENT) -> OrderGate:
    rest: Any = Told(answer, mode, typed, signer)
    catalogue: Any = None
    asyncio.run(Account(rest, catalogue, ["BTC"], Counter()).ready())
    found: OrderGate = rest.gate
    return found


def test_a_session_signs_with_the_key_that_the_embedded_venue_takes(tmp_path: Path) -> None:
    keys, simulator = simulated_keys("hyperliquid", tmp_path), HyperliquidSimulator(SimulatorSettings())
    assert (keys.key.reveal(), keys.secret.reveal()) == (simulator.account, simulator.private_key)
    assert HyperliquidSettings(
        mode=Mode.SIM, account=keys.key.reveal(), rest_url="http://127.0.0.1:1", socket_url="ws://127.0.0.1:1"
    )


def test_an_api_wallet_of_the_account_that_was_typed_out_is_confirmed() -> None:
    assert ready({"role": "agent", "data": {"user": ACCOUNT.upper().replace("0X", "0x")}}).confirmed
    assert ready({"role": "user"}, signer=ACCOUNT).confirmed


@pytest.mark.parametrize(
    ("answer", "changes", "text"),
    [
        ({"role": "agent", "data": {"user": ACCOUNT}}, {"typed": AGENT}, "to belong to account"),
        ({"role": "agent", "data": {"user": ACCOUNT}}, {"typed": ""}, "typed out by hand"),
        ({"role": "agent", "data": {"user": AGENT}}, {}, "found an API wallet of another account"),
        ({"role": "user"}, {}, "found another account's own key"),
        ({"role": "missing"}, {}, "found missing"),
        ({"role": "vault"}, {"signer": ACCOUNT}, "found vault"),
        ([], {}, "found none"),
        (None, {"signer": ""}, "expected a private key to sign with"),
        (
            VenueError(Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "HTTP_500", "oops")), {},
            "key check: HTTP_500 oops",
        ),
    ],
)  # fmt: skip
def test_whoever_may_not_sign_is_told_what_to_do(answer: Any, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(StreamError, match=text):
        ready(answer, **changes)
