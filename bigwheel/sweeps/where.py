"""Conditions on parameters, such as ``fast < slow``: read as Python's grammar, but never run as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from bigwheel.sweeps.errors import SweepError

_LONGEST = 500
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_RECKONED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.BinOp, ast.Compare),
    *(ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List),
    *_COMPARED,
    *_RECKONED,
    *_SIGNS,
)
_OFFER = "compare parameters and values with < <= > >= == != in, + - * / // %, and, or, not"


class _Dotted(ast.NodeTransformer):
    """Makes one name of ``label.name``, the parameter of one of several strategies."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        text = ast.unparse(node)
        return ast.Name(text, ast.Load()) if all(part.isidentifier() for part in text.split(".")) else node


class Where:
    """A condition over ``names``. It has comparisons, sums and products of numbers, ``and``, ``or``, ``not``; no calls.

    Raises:
        SweepError: it says something else, or names no parameter.
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text = text
        if len(text) > _LONGEST:
            raise SweepError(f"expected a condition of at most {_LONGEST} characters, found {len(text):,}")
        try:
            self._tree = _Dotted().visit(ast.parse(text.strip(), mode="eval")).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise SweepError(f"expected a condition such as fast < slow, found {text!r}; {_OFFER}") from None
        for node in ast.walk(self._tree):
            self._check(node, names)

    def _check(self, node: ast.AST, names: Collection[str]) -> None:
        if isinstance(node, ast.Name) and node.id not in names:
            known = ", ".join(sorted(names))
            raise SweepError(f"expected parameters of the sweep ({known}) in {self.text!r}, found {node.id!r}")
        plain = not isinstance(node, ast.Constant) or isinstance(node.value, bool | int | float | str | None)
        if not isinstance(node, _ALLOWED) or not plain:
            found = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise SweepError(f"expected a condition such as fast < slow, found {found!r} in {self.text!r}; {_OFFER}")

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether these parameters meet it.

        Raises:
            SweepError: it makes no sense for their values.
        """
        try:
            return bool(_value(self._tree, params))
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            raise SweepError(f"expected {self.text!r} to make sense for {dict(params)}, found: {error}") from None


def _value(node: ast.AST, params: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return params[node.id]
        case ast.Tuple() | ast.List():
            return [_value(each, params) for each in node.elts]
        case ast.BoolOp():
            held = (bool(_value(each, params)) for each in node.values)
            return any(held) if isinstance(node.op, ast.Or) else all(held)
        case ast.UnaryOp():
            return _SIGNS[type(node.op)](_value(node.operand, params))
        case ast.BinOp():
            left, right = _value(node.left, params), _value(node.right, params)
            if not isinstance(left, int | float) or not isinstance(right, int | float):
                raise TypeError(f"only numbers can be reckoned with, not {left!r} and {right!r}")
            return _RECKONED[type(node.op)](left, right)
        case ast.Compare():
            return _chain(node, params)
        case _:
            raise TypeError(f"{type(node).__name__} has no value")


def _chain(node: ast.Compare, params: Mapping[str, Any]) -> bool:
    """``a < b < c`` as Python reads it."""
    left = _value(node.left, params)
    for sign, each in zip(node.ops, node.comparators, strict=True):
        right = _value(each, params)
        if not _COMPARED[type(sign)](left, right):
            return False
        left = right
    return True
