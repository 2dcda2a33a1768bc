"""The venues under test: how each one's simulator and adapter are made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from exchanges.alpaca import AlpacaExchange, AlpacaSettings
from exchanges.bybit import BybitExchange, BybitSettings
from exchanges.hyperliquid import HyperliquidExchange, HyperliquidSettings
from exchanges.kalshi import KalshiExchange, KalshiSettings
from exchanges.modes import Mode
from exchanges.simulators.alpaca import AlpacaSimulator
from exchanges.simulators.base.simulator import Simulator
from exchanges.simulators.bybit import BybitSimulator
from exchanges.simulators.hyperliquid import HyperliquidSimulator
from exchanges.simulators.kalshi import KalshiSimulator
from exchanges.simulators.settings import SimulatorSettings
from tests.conformance.desk import Stand

D = Decimal
QUICK: dict[str, Any] = {
    "request_timeout_s": 1.0,
    "stale_after_s": 4.0,
    "backoff_base_s": 0.05,
    "backoff_cap_s": 0.2,
}
"""Patience for faults that are made on purpose."""


def simulator_settings(symbol: str, **changes: Any) -> SimulatorSettings:
    base = {"symbols": (symbol,), "rate": 30.0, "order_limit": 0, "query_limit": 0}
    return SimulatorSettings(**{**base, **changes})


def bybit_exchange(simulator: Simulator, **changes: Any) -> BybitExchange:
    settings = BybitSettings(
        mode=Mode.SIM,
        key="simulator-key",
        secret="simulator-secret",
        rest_url=simulator.url,
        public_url=simulator.ws_url,
        private_url=simulator.ws_url,
        **QUICK,
    )
    return BybitExchange(msgspec.structs.replace(settings, **changes))


BYBIT_SPOT = Stand(
    venue="bybit",
    symbol="bybit:BTCUSDT.SPOT",
    quantity=D("0.012345"),
    low=D(30_000),
    amended=D(31_000),
    odd_quantity=D("0.0000001"),
    simulator=lambda **changes: BybitSimulator(simulator_settings("BTCUSDT.SPOT", **changes)),
    exchange=bybit_exchange,
    wrong_key={"secret": "another"},
)
BYBIT = BYBIT_SPOT._replace(
    symbol="bybit:BTCUSDT",
    quantity=D("0.01"),
    odd_quantity=D("0.0105"),
    simulator=lambda **changes: BybitSimulator(simulator_settings("BTCUSDT", **changes)),
    coin=BYBIT_SPOT,
)


def alpaca_exchange(simulator: Simulator, **changes: Any) -> AlpacaExchange:
    settings = AlpacaSettings(
        mode=Mode.SIM,
        key="simulator-key",
        secret="simulator-secret",
        rest_url=simulator.url,
        stream_url=simulator.ws_url,
        data_url=simulator.url,
        data_stream_url=simulator.ws_url,
        **QUICK,
    )
    return AlpacaExchange(msgspec.structs.replace(settings, **changes))


ALPACA_PAIR = Stand(
    venue="alpaca",
    symbol="alpaca:BTC/USD",
    quantity=D("0.0123"),
    low=D(30_000),
    amended=D(31_000),
    odd_quantity=D("0.00000000005"),
    simulator=lambda **changes: AlpacaSimulator(simulator_settings("BTC/USD", **changes)),
    exchange=alpaca_exchange,
    wrong_key={"secret": "another"},
)
ALPACA = ALPACA_PAIR._replace(
    symbol="alpaca:AAPL",
    quantity=D(2),
    low=D(20),
    amended=D(21),
    simulator=lambda **changes: AlpacaSimulator(simulator_settings("AAPL", **changes)),
    coin=ALPACA_PAIR,
)


def kalshi_exchange(simulator: Simulator, **changes: Any) -> KalshiExchange:
    assert isinstance(simulator, KalshiSimulator)
    settings = KalshiSettings(
        mode=Mode.SIM,
        key_id="simulator-key",
        private_key=simulator.private_key,
        rest_url=simulator.url,
        socket_url=simulator.ws_url,
        **QUICK,
    )
    return KalshiExchange(msgspec.structs.replace(settings, **changes))


KALSHI = Stand(
    venue="kalshi",
    symbol="kalshi:KXHIGHNY-24AUG08-T85",
    quantity=D(10),
    low=D("0.02"),
    amended=D("0.03"),
    odd_quantity=D("10.005"),
    simulator=lambda **changes: KalshiSimulator(simulator_settings("KXHIGHNY-24AUG08-T85", **changes)),
    exchange=kalshi_exchange,
    wrong_key={"key_id": "another"},
)


def hyperliquid_exchange(simulator: Simulator, **changes: Any) -> HyperliquidExchange:
    assert isinstance(simulator, HyperliquidSimulator)
    settings = HyperliquidSettings(
        mode=Mode.SIM,
        account=simulator.account,
        private_key=simulator.private_key,
        rest_url=simulator.url,
        socket_url=simulator.ws_url,
        weight_per_minute=60_000.0,
        **QUICK,
    )
    return HyperliquidExchange(msgspec.structs.replace(settings, **changes))


HYPERLIQUID = Stand(
    venue="hyperliquid",
    symbol="hyperliquid:BTC",
    quantity=D("0.01"),
    low=D(30_000),
    amended=D(31_000),
    odd_quantity=D("0.010005"),
    simulator=lambda **changes: HyperliquidSimulator(simulator_settings("BTC", **changes)),
    exchange=hyperliquid_exchange,
    wrong_key={"private_key": "0x" + "17" * 32},
)

STANDS: tuple[Stand, ...] = (BYBIT, ALPACA, KALSHI, HYPERLIQUID)
