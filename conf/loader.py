"""Reads, merges and checks the configuration."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from conf.errors import ConfigError
from conf.settings import Settings
from conf.sources import Tree, chain, dotted, field_at, from_environment, model_at


def load(
    name_or_path: str = "sim",
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of an environment, with what overrides them.

    Later wins: the files from the bottom of ``extends`` up, the environment
    (``BIGWHEEL_RISK__DAILY_LOSS=500``), ``overrides``.

    Args:
        name_or_path: an environment that comes with the product (``sim``) or a YAML file.
        overrides: values by dotted path (``{"risk.daily_loss": 500}``) or as nested mappings.
        environ: the environment to read; the process's own when ``None``.

    Raises:
        ConfigError: with every problem found: source, path, what was expected, what was found.
    """
    tree = Tree()
    for path, values in chain(name_or_path):
        tree.merge(values, str(path))
    problems: list[str] = []
    for where, value, source in from_environment(os.environ if environ is None else environ, Settings):
        _put(tree, where, value, source, problems)
    for key, value in (overrides or {}).items():
        if isinstance(value, Mapping) and "." not in key:
            tree.merge({key: value}, "the overrides")
        else:
            _put(tree, tuple(key.split(".")), value, "the overrides", problems)
    return _checked(tree, problems)


def relaid(settings: Settings, overrides: Mapping[str, object]) -> Settings:
    """``settings`` with ``overrides`` laid over them and checked again; no file and no variable is read.

    Args:
        settings: read before.
        overrides: values by dotted path, as for ``load``; a mapping takes the whole place.

    Raises:
        ConfigError: as ``load``.
    """
    tree = Tree()
    tree.merge(settings.model_dump(mode="json"), "the settings")
    problems: list[str] = []
    for key, value in overrides.items():
        _put(tree, tuple(key.split(".")), value, "the overrides", problems)
    return _checked(tree, problems)


def _put(tree: Tree, path: tuple[str | int, ...], value: object, source: str, problems: list[str]) -> None:
    try:
        tree.put(path, value, source)
    except ConfigError as error:
        problems.extend(error.problems)


def _checked(tree: Tree, problems: list[str]) -> Settings:
    settings: Settings | None = None
    try:
        settings = Settings.model_validate_json(json.dumps(tree.values, default=str))
    except ValidationError as error:
        problems.extend(_problem(tree, detail) for detail in error.errors(include_url=False))
    if problems or settings is None:
        raise ConfigError(problems)
    return settings


def _problem(tree: Tree, detail: ErrorDetails) -> str:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    head = f"{tree.origin(loc)}: {dotted(loc) or 'the file'}: "
    if detail["type"] == "extra_forbidden":
        return head + _unknown(loc)
    if detail["type"] == "missing":
        return head + "expected a value, found none; add the key"
    if detail["type"] == "value_error":
        return head + detail["msg"].removeprefix("Value error, ")
    expected = detail["msg"].replace("Input should be ", "").strip()
    field = field_at(Settings, loc)
    about = f"; what it is: {field.description}" if field is not None and field.description else ""
    return f"{head}expected {expected}, found {_shown(detail['input'])}{_similar(detail)}{about}"


def _similar(detail: ErrorDetails) -> str:
    """A proposal where one of a few words was expected."""
    if detail["type"] != "literal_error":
        return ""
    words = re.findall(r"'([^']+)'", detail.get("ctx", {}).get("expected", ""))
    near = difflib.get_close_matches(str(detail["input"]), words, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _unknown(loc: tuple[int | str, ...]) -> str:
    section = model_at(Settings, loc[:-1])
    known = sorted(section.model_fields) if section else []
    near = difflib.get_close_matches(str(loc[-1]), known, 1, 0.5)
    if near:
        return f"unknown key; did you mean {near[0]!r}?"
    where = f"{dotted(loc[:-1])!r} knows" if len(loc) > 1 else "known here are"
    return f"unknown key; {where} {', '.join(known)}: use one of these or remove it"


def _shown(value: Any) -> str:
    """``value`` as the reader wrote it, short, with a hint where YAML surprises."""
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return text
        point = " and with a decimal point: 5.0e-4" if "e" in value.lower() else ""
        return f"the text {text} (write the number without quotes{point})"
    return text
