"""A strategy's parameters: typed where it declares them, checked before anything starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from strategies.errors import StrategyError


class StrategyParams(BaseModel):
    """Base of a strategy's ``Params``: strict, frozen, and no name beyond those declared."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


def parameters(owner: type, given: Mapping[str, Any]) -> Any:
    """``given`` as ``owner.Params``, or as plain attributes where it declares none.

    Raises:
        StrategyError: with every parameter that is unknown or of the wrong type.
    """
    model = getattr(owner, "Params", None)
    if model is None:
        return SimpleNamespace(**{**_declared(owner), **given})
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise StrategyError(
            f"expected {owner.__name__}.Params to be a class derived from StrategyParams, found {model!r}; "
            "write `class Params(StrategyParams):`"
        )
    try:
        # JSON is what YAML and the command line can say, so a list fits a tuple and "0.1" a Decimal.
        return model.model_validate_json(json.dumps(dict(given), default=str))
    except ValidationError as error:
        known = list(model.model_fields)
        faults = [_fault(".".join(map(str, item["loc"])), item, known) for item in error.errors(include_url=False)]
        raise StrategyError(f"the parameters of {owner.__name__} don't fit: " + "; ".join(faults)) from error


def _declared(owner: type) -> dict[str, Any]:
    """The plain values among the class attributes below ``Strategy``: defaults of untyped parameters."""
    ours = [base for base in owner.__mro__ if base.__module__ == "strategies.strategy"]
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if base not in ours:
            found |= {
                name: value
                for name, value in vars(base).items()
                if not name.startswith("_")
                and isinstance(value, bool | int | float | str)
                and not any(name in vars(known) for known in ours)
            }
    return found


def _fault(name: str, item: Mapping[str, Any], known: Iterable[str]) -> str:
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, list(known), 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
        return f"unknown parameter {name!r}, {hint}"
    if item["type"] == "value_error":
        return f"{name or 'together'}: {item['msg'].removeprefix('Value error, ')}"
    expected = item["msg"].replace("Input should be ", "")
    return f"{name}: expected {expected}, found {item['input']!r}"
