"""The backtest driver: the brains of a session on the timestamps of recorded data."""
