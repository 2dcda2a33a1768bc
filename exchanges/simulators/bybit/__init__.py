"""A loopback server that speaks Bybit's v5 protocol over the shared matching engine."""

from exchanges.simulators.bybit.simulator import BybitSimulator
from exchanges.simulators.settings import SimulatorSettings

__all__ = ["BybitSimulator", "SimulatorSettings"]
