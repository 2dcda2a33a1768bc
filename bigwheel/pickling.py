"""A user's strategy on its way to another process."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType

from ray import cloudpickle

from bigwheel.errors import UsageError
from strategies.strategy import Strategy

OUR_PACKAGES = frozenset({"runtime", "conf", "exchanges", "strategies", "actors", "bigwheel"})


def pickled_class(owner: type[Strategy]) -> bytes:
    """The class as bytes that load in another process, even where its module can't be imported there.

    Raises:
        UsageError: what it refers to can't be pickled.
    """
    module = inspect.getmodule(owner)
    by_value = module is not None and _travels(module)
    if by_value and module is not None:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(owner))
    except Exception as error:
        # What a user's class refers to decides what goes wrong here.
        raise UsageError(
            f"expected {owner.__qualname__} to be picklable, found {type(error).__name__}: {error}; "
            "keep connections, locks and open files out of the class and its module's globals"
        ) from error
    finally:
        if by_value and module is not None:
            cloudpickle.unregister_pickle_by_value(module)


def _travels(module: ModuleType) -> bool:
    """Whether a module has to travel by value: it is the user's own, and not installed."""
    name = module.__name__
    file = getattr(module, "__file__", None) or ""
    if name == "__main__" or name.partition(".")[0] in OUR_PACKAGES:
        return False
    return "site-packages" not in file and name in sys.modules
