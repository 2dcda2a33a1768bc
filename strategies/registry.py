"""Finds a strategy's class by name, by module or by file."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from strategies.errors import StrategyError
from strategies.strategy import Strategy

BUILT_IN = {
    "alpha": "strategies.alpha:Alpha",
    "arbitrage": "strategies.arbitrage:Arbitrage",
    "fair_value": "strategies.fair_value:FairValue",
    "flow": "strategies.orderflow:OrderFlow",
    "maker": "strategies.maker:Maker",
    "reversion": "strategies.reversion:Reversion",
    "trend": "strategies.trend:Trend",
}


def resolve(name: str) -> type[Strategy]:
    """The class behind ``trend``, ``package.module:Class`` or ``folder/file.py:Class``.

    Raises:
        StrategyError: there is no such name, module, file or class, or it is no strategy.
    """
    where, colon, attribute = BUILT_IN.get(name, name).rpartition(":")
    if not colon:
        raise StrategyError(_unknown(name))
    module = _from_file(where, name) if where.endswith(".py") else _from_module(where, name)
    found = getattr(module, attribute, None)
    if found is None:
        raise StrategyError(_missing(module, where, attribute))
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise StrategyError(
            f"expected {name} to be a class derived from bigwheel's Strategy, found {found!r}; "
            "write `from bigwheel import Strategy` and derive from it"
        )
    return found


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, BUILT_IN, 1, 0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    known = ", ".join(sorted(BUILT_IN))
    return f"expected a strategy, found {name!r}; {hint}built in are {known}; your own is module:Class or file.py:Class"


def _missing(module: ModuleType, where: str, attribute: str) -> str:
    there = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy
    ]
    near = difflib.get_close_matches(attribute, there, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"its strategies are {', '.join(there) or 'none'}"
    return f"expected a class {attribute!r} in {where}, found none; {hint}"


def _from_module(where: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not (where == error.name or where.startswith(error.name + ".")):
            raise StrategyError(f"{name} can't be imported: it wants {error.name!r}, which is not installed") from error
        raise StrategyError(
            f"expected a module {where!r}, found none; run from the folder it lies in, or give its file: path/to/it.py:"
            f"{name.rpartition(':')[2]}"
        ) from error
    except Exception as error:
        raise StrategyError(f"{name} can't be imported: {type(error).__name__}: {error}; correct the module") from error


def _from_file(where: str, name: str) -> ModuleType:
    path = Path(where).expanduser().resolve()
    if not path.is_file():
        raise StrategyError(f"expected a file {path}, found none; check the path of {name!r}")
    # Pickled attributes name their module, so the name must be the same in every process.
    digest = hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()
    module_name = f"bigwheel_file_{digest}_{path.stem}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"expected Python source in {path}, found something else; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise StrategyError(f"{path} can't be run: {type(error).__name__}: {error}; correct it") from error
    return module
