"""Counters, latency histograms and structured logs."""
