"""Backtest engines beside one another: one module for each, and what starts, asks and compares them.

``by_NAME`` modules run in a process and an environment of their own, which has that engine and neither Bigwheel nor the
others; so they, ``task`` and ``child`` import nothing of ours but each other. The rest runs in Bigwheel's environment.
"""
