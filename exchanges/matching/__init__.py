"""Order matching without a clock: one engine for the simulators, paper trading and backtests."""
