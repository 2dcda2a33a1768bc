"""Market data on the disk: a catalog of Parquet files, what is read into it, and what streams out of it."""

from exchanges.catalog.catalog import Catalog
from exchanges.catalog.errors import DataError
from exchanges.catalog.series import Series

__all__ = ["Catalog", "DataError", "Series"]
