"""What a sweep's results depend on, in words that can be compared and hashed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from bigwheel.backtests.intake import playable
from conf import Settings
from exchanges.catalog import Catalog
from strategies.strategy import Strategy

Json = dict[str, Any]

_ELSEWHERE = frozenset(
    {"store", "ray", "gateway", "supervision", "logging", "audit", "mode", "symbols", "strategies"},
)
"""Sections that no backtest reads, or that the run itself fills in."""
_SIZE = 12
_NOTHING = "(none)"


def digest(told: Any) -> str:
    """A short hash of plain values; the order of keys doesn't matter."""
    return blake2b(msgspec.json.encode(told, order="deterministic"), digest_size=_SIZE).hexdigest()


def program() -> str:
    """The version of the program."""
    return version("bigwheel")


def strategy_identity(name: str, owner: type[Strategy]) -> Json:
    """The class and a hash of the source of it and of those it derives from.

    Of a module the whole file counts, of what was written in a script or a notebook the class alone. What a strategy
    imports from elsewhere does not.
    """
    bases = [base for base in owner.__mro__ if issubclass(base, Strategy) and base is not Strategy]
    return {"name": name, "class": owner.__qualname__, "source": digest([_source(base) for base in bases])}


def _source(owner: type) -> str:
    file = getattr(sys.modules.get(owner.__module__), "__file__", None)
    try:
        if file and owner.__module__ != "__main__":
            return blake2b(Path(file).read_bytes(), digest_size=_SIZE).hexdigest()
        return inspect.getsource(owner)
    except (OSError, TypeError):
        return ""  # typed into an interpreter: nobody has its source


def data_identity(path: Path, symbols: Sequence[str], start_ns: int, end_ns: int) -> Json:
    """Where the data are, and a hash of the names, sizes and times of change of the files that hold them.

    Raises:
        BacktestError: there is nothing at ``path``.
        RecordingError: a file can't be read.
    """
    if playable(path):
        catalog = Catalog(path)
        held = (file.path for series in catalog.series(symbols) for file in catalog.files(series, start_ns, end_ns))
        files = sorted(held)
    else:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    facts = [(str(file.relative_to(path.parent)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    size = sum(size for _, size, _ in facts)
    return {"path": str(path.resolve()), "files": len(facts), "bytes": size, "digest": digest(facts)}


def settings_identity(settings: Settings) -> Json:
    """The part of a configuration that a backtest depends on."""
    told = settings.model_dump(mode="json")
    return {name: section for name, section in told.items() if name not in _ELSEWHERE}


def differences(known: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    """Where two nested mappings differ: ``grid.slow: [20, 30] there, [20] here``."""
    here, there = dict(_flat(told)), dict(_flat(known))
    return [
        f"{name}: {_word(there.get(name))} there, {_word(here.get(name))} here"
        for name in dict.fromkeys((*there, *here))
        if there.get(name) != here.get(name)
    ]


def _word(value: Any) -> str:
    return _NOTHING if value is None else str(msgspec.json.encode(value).decode())


def _flat(told: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in told.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def listed(texts: Iterable[str], most: int = 4) -> str:
    """The first of some texts in one line."""
    each = list(texts)
    more = f"; and {len(each) - most} more" if len(each) > most else ""
    return "; ".join(each[:most]) + more
