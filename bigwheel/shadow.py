"""Notices when a folder of the user's is imported in place of a package of ours.

It lives here because it must be found even when ``strategies`` is someone else's.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("runtime", "conf", "exchanges", "strategies", "actors")


class ShadowedError(ImportError):
    """A package of ours is hidden by one of the same name."""


def ensure_not_shadowed(root: Path | None = None) -> None:
    """Check that each flat package of ours is the one that an import finds.

    Args:
        root: the folder ours lie in; the one above this package if not given.

    Raises:
        ShadowedError: another package or module of that name comes first; the text says where.
    """
    ours = (root or Path(__file__).parent.parent).resolve()
    for name in PACKAGES:
        found = _found(name)
        if not any(place == ours / name for place in found):
            where = found[0] if found else "nothing"
            raise ShadowedError(
                f"expected the package {name!r} in {ours}, found {where}, which hides it: rename that folder or file, "
                f"or keep it off sys.path (your own strategies may live in a package of any other name)"
            )


def _found(name: str) -> list[Path]:
    """The folders, or the file, that an import of ``name`` leads to."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return []
    places = list(spec.submodule_search_locations or ()) or [spec.origin or "a built-in"]
    return [Path(place).resolve() for place in places]
