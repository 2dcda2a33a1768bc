"""Where settings come from: YAML files that extend each other, the environment, the caller."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from conf.errors import ConfigError

PREFIX = "BIGWHEEL_"
OF_TESTS = frozenset(f"{PREFIX}{name}" for name in ("DATA", "EXPLORE", "FUZZ", "MATRIX", "SEEDS"))
"""Variables with our prefix that are no settings: they tell the tests where data lies and how much to run."""
FOLDER = Path(__file__).parent
Location = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML without its habit of letting the second of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice; keep one of them", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Tree:
    """Nested settings, together with the source that each of them came from."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._origins: dict[Location, str] = {}

    def merge(self, values: Mapping[str, Any], source: str) -> None:
        """Lay ``values`` over what is there: mappings key by key, everything else whole."""
        self._merge(self.values, values, source, ())

    def _merge(self, into: dict[str, Any], values: Mapping[str, Any], source: str, path: Location) -> None:
        for key, value in values.items():
            here = (*path, key)
            if isinstance(value, Mapping) and isinstance(into.get(key), dict):
                self._merge(into[key], value, source, here)
            else:
                into[key] = dict(value) if isinstance(value, Mapping) else value
                self._claim(here, source)

    def put(self, path: Location, value: Any, source: str) -> None:
        """Set one value; a number in ``path`` is the place in a list."""
        spot: Any = self.values
        for key in path[:-1]:
            spot = _descend(spot, key, path, source)
        last = path[-1]
        if isinstance(spot, list):
            spot[_index(spot, last, path, source)] = value
        elif isinstance(spot, dict):
            spot[last] = value
        else:
            raise ConfigError([f"{source}: {dotted(path)}: expected a section to set {last!r} in, found {spot!r}"])
        self._claim(path, source)

    def _claim(self, path: Location, source: str) -> None:
        for known in [known for known in self._origins if known[: len(path)] == path]:
            del self._origins[known]
        self._origins[path] = source

    def origin(self, path: Location) -> str:
        """Which sources ``path`` came from: the nearest part around it, and what was set inside it."""
        around = [self._origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._origins][:1]
        inside = [source for known, source in self._origins.items() if known[: len(path)] == path]
        return " and ".join(dict.fromkeys(around + inside)) or "the defaults"


def _descend(spot: Any, key: str | int, path: Location, source: str) -> Any:
    if isinstance(spot, list):
        return spot[_index(spot, key, path, source)]
    if isinstance(spot, dict):
        return spot.setdefault(key, {})
    raise ConfigError([f"{source}: {dotted(path)}: expected a section around {key!r}, found {spot!r}; remove one part"])


def _index(spot: list[Any], key: str | int, path: Location, source: str) -> int:
    if str(key).isdigit() and int(key) < len(spot):
        return int(key)
    raise ConfigError(
        [f"{source}: {dotted(path)}: expected a place 0 to {len(spot) - 1} in a list, found {key!r}; count from 0"]
    )


def dotted(path: Location) -> str:
    """``("strategies", 0, "name")`` as ``strategies.0.name``."""
    return ".".join(str(part) for part in path)


def locate(name_or_path: str, beside: Path | None = None) -> Path:
    """The file of an environment's name (``sim``) or of a path, looked for next to ``beside`` first."""
    bare = "/" not in name_or_path and not name_or_path.endswith((".yaml", ".yml"))
    if bare:
        candidates = [folder / f"{name_or_path}.yaml" for folder in ((beside, FOLDER) if beside else (FOLDER,))]
    else:
        path = Path(name_or_path).expanduser()
        candidates = [(beside / path) if beside else path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
    raise ConfigError(
        [
            f"expected a settings file, found nothing at {candidates[-1]}; give one of the environments "
            f"({known}) or the path of a YAML file"
        ]
    )


def read(path: Path) -> dict[str, Any]:
    """The mapping in one YAML file."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        text = f"{path}: expected a readable file, found {error.strerror}; check its permissions"
        raise ConfigError([text]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: expected UTF-8 text, found {error.reason} at byte {error.start}"]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: expected YAML, found {_yaml_fault(error)}"]) from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError([f"{path}: expected `key: value` lines, found {type(values).__name__}; see sim.yaml"])
    return values


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or error}{where}; correct it there"


def chain(name_or_path: str) -> list[tuple[Path, dict[str, Any]]]:
    """The named file and those it extends, the one at the bottom first, without ``extends``."""
    files: list[tuple[Path, dict[str, Any]]] = []
    wanted: str | None = name_or_path
    beside: Path | None = None
    while wanted:
        path = locate(wanted, beside).absolute()
        if path in [known for known, _ in files]:
            circle = " -> ".join(str(known) for known, _ in files)
            raise ConfigError([f"{path}: expected `extends` to end, found a circle: {circle}; remove one of them"])
        values = read(path)
        wanted = values.pop("extends", None)
        if wanted is not None and not isinstance(wanted, str):
            raise ConfigError([f"{path}: extends: expected one name or path, found {wanted!r}"])
        files.append((path, values))
        beside = path.parent
    return files[::-1]


def from_environment(environ: Mapping[str, str], model: type[BaseModel]) -> Iterator[tuple[Location, Any, str]]:
    """What ``BIGWHEEL_A__B=value`` sets: path, value, and the source to name in an error."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in OF_TESTS:
            path = tuple(name[len(PREFIX) :].lower().split("__"))
            yield path, _typed(environ[name], field_at(model, path)), f"environment variable {name}"


def _typed(text: str, field: FieldInfo | None) -> Any:
    """``text`` as YAML reads it, except where the field holds text or a number YAML 1.1 misreads."""
    if field is not None and (field.annotation in (str, Path) or get_origin(field.annotation) is Literal):
        return text
    try:
        value = yaml.load(text, Loader=_Loader)
        if isinstance(value, str) and value:
            return json.loads(value)
        return value
    except (yaml.YAMLError, ValueError):
        return text


def field_at(model: type[BaseModel], path: Location) -> FieldInfo | None:
    """The declared field that ``path`` leads to, if there is one."""
    field = None
    spot: Any = model
    for key in path:
        if isinstance(spot, type) and issubclass(spot, BaseModel):
            field = spot.model_fields.get(str(key))
            if field is None:
                return None
            spot = field.annotation
        else:
            inside = [part for part in get_args(spot) if part is not Ellipsis and part is not str]
            if not inside:
                return None
            spot = inside[-1]
    return field


def model_at(model: type[BaseModel], path: Location) -> type[BaseModel] | None:
    """The section that ``path`` leads to, if it is one."""
    spot: Any = model
    for key in path:
        if isinstance(spot, type) and issubclass(spot, BaseModel):
            field = spot.model_fields.get(str(key))
            spot = field.annotation if field else None
        else:
            inside = [part for part in get_args(spot) if part is not Ellipsis and part is not str]
            spot = inside[-1] if inside else None
    return spot if isinstance(spot, type) and issubclass(spot, BaseModel) else None
