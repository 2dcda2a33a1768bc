"""Reports of backtests: statistics, attribution, and a page that shows them.

Nothing here runs a backtest or knows the engine: a report is made of a result's tables.
"""

from bigwheel.reports.result import BacktestResult
from bigwheel.reports.writer import write_report

__all__ = ["BacktestResult", "write_report"]
