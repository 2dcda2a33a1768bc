"""A loopback server that speaks Alpaca's trading and market data protocol over the shared matching engine."""

from exchanges.simulators.alpaca.simulator import AlpacaSimulator
from exchanges.simulators.settings import SimulatorSettings

__all__ = ["AlpacaSimulator", "SimulatorSettings"]
