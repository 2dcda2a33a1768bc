"""What a simulator's settings accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exchanges.simulators.settings import SimulatorSettings


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTCUSDT.SPOT", "BTC/USD", "BRK.B", "KXHIGHNY-24AUG08-T85"])
def test_every_venues_symbols_are_accepted(symbol: str) -> None:
    assert SimulatorSettings(symbols=(symbol,)).symbols == (symbol,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"symbols": ("bybit:BTCUSDT",)}, "without a venue, such as BTCUSDT or BTC/USD"),
        ({"symbols": ("btcusdt",)}, "in capitals"),
        ({"feed": "replay"}, "expected replay_path with feed 'replay'"),
        ({"replay_path": Path("x")}, "expected feed 'replay' with replay_path"),
        ({"speed": 0}, "expected a speed above 0 or 'max'"),
        ({"start_ns": 1}, "expected a replay at a finite speed with start_ns"),
        ({"start_ns": 1, "feed": "replay", "replay_path": Path("x"), "speed": "max"}, "finite speed"),
        ({"epoch_ns": 1}, "expected start_ns with epoch_ns"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_its_reason(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SimulatorSettings(**wrong)


def test_each_key_has_an_account_of_its_own_and_no_secret_is_shown() -> None:
    settings = SimulatorSettings(api_secret="hidden-one", more_keys={"second": "hidden-two"})
    assert settings.credentials() == {"simulator-key": ("main", "hidden-one"), "second": ("account-2", "hidden-two")}
    assert settings.accounts() == ["main", "account-2"]
    assert "hidden" not in repr(settings)
