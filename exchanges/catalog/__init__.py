"""Market data on the disk: a catalog of Parquet files, what is read into it, and what streams out of it."""

from exchanges.catalog.catalog import Catalog
from exchanges.catalog.clock import Clock
from exchanges.catalog.errors import DataError
from exchanges.catalog.series import Series
from exchanges.catalog.stream import MarketStream

__all__ = ["Catalog", "Clock", "DataError", "MarketStream", "Series"]
