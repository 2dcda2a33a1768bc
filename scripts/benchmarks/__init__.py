"""Benchmarks: each module's ``run()`` gives rows of a figure with its baseline, measured side by side."""
