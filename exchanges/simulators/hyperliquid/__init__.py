"""A loopback server that speaks Hyperliquid's protocol over the shared matching engine."""

from exchanges.simulators.hyperliquid.simulator import HyperliquidSimulator
from exchanges.simulators.settings import SimulatorSettings

__all__ = ["HyperliquidSimulator", "SimulatorSettings"]
