"""What one strategy cell is built from."""

from __future__ import annotations

import msgspec


class StrategyPlan(msgspec.Struct, frozen=True):
    """A strategy on a symbol.

    ``name`` is resolved by ``strategies.registry`` unless ``pickled`` holds the class itself
    (cloudpickle), as it does for one that lives in a script or a notebook.
    """

    label: str
    symbol: str
    name: str
    params: dict[str, str | int | float | bool | None] = {}
    dry_run: bool = False
    pickled: bytes = b""
