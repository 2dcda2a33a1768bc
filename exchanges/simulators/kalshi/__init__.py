"""A loopback server that speaks Kalshi's trade API, version 2, over the shared matching engine."""

from exchanges.simulators.kalshi.simulator import KalshiSimulator
from exchanges.simulators.settings import SimulatorSettings

__all__ = ["KalshiSimulator", "SimulatorSettings"]
