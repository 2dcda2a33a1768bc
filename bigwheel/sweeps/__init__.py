"""Sweeps: many backtests on Ray, walk-forward and Monte Carlo on top of them."""
