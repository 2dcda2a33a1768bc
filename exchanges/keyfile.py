"""Key files: of mode 600, in TOML or JSON. Errors name the line and never what is on it."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from runtime.errors import SetupError

LARGEST = 64 * 1024
"""Bytes; a key file that is larger is something else."""

_FIELDS = ("key", "secret", "secret_file", "venue", "mode")
_AT = re.compile(r"at line (\d+), column (\d+)")


class CredentialError(SetupError):
    """A key can't be used or isn't there. The text holds nothing of what was found."""


class KeyEntry(NamedTuple):
    """What one source holds; ``venue`` and ``mode`` where it says whom the key is for."""

    key: str = ""
    secret: str = ""
    venue: str = ""
    mode: str = ""

    def __repr__(self) -> str:
        return "KeyEntry(...)"


def read_entry(name: str, venue: str) -> KeyEntry | None:
    """The entry in a key file, ``None`` if there is no such file.

    The file holds ``key`` and ``secret`` (or ``secret_file``, a path next to it), and may say ``venue`` and ``mode``:
    at its top, or in a table named as the venue.

    Raises:
        CredentialError: others may read it, or it isn't what it should be.
    """
    path = Path(name).expanduser()
    text = read_private(path)
    if text is None:
        return None
    values, fault = _parse(path, text)
    # Raised here and not where it was caught: the parser's own error holds the file.
    if fault:
        raise CredentialError(fault)
    if isinstance(values.get(venue), dict):
        values = values[venue]
    for field, value in values.items():
        where = f"{path}: line {_line_of(text, field)}"
        if field not in _FIELDS:
            raise CredentialError(f"{where}: expected one of {', '.join(_FIELDS)}, found another name; remove it")
        if not isinstance(value, str):
            raise CredentialError(f"{where}: expected text for {field}, found {type(value).__name__}; put it in quotes")
    secret = values.get("secret", "")
    if "secret_file" in values:
        if secret:
            where = f"{path}: line {_line_of(text, 'secret_file')}"
            raise CredentialError(f"{where}: expected secret or secret_file, found both; remove one of them")
        secret = read_secret(str(path.parent / Path(values["secret_file"]).expanduser()))
    return KeyEntry(values.get("key", ""), secret, values.get("venue", ""), values.get("mode", ""))


def read_secret(name: str) -> str:
    """The whole of a file that holds a secret alone, without a line break at its end.

    Raises:
        CredentialError: there is no such file, or others may read it.
    """
    path = Path(name).expanduser()
    text = read_private(path)
    if text is None:
        raise CredentialError(f"expected a file with the secret at {path}, found none; correct secret_file")
    return text.rstrip("\r\n")


def read_private(path: Path) -> str | None:
    """The text of a file that only its owner may read; ``None`` if it isn't there.

    Raises:
        CredentialError: anybody else may read or change it, or it can't be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CredentialError(
            f"expected a readable key file at {path}, found {error.strerror}; chmod 600 {path}"
        ) from error
    try:
        # Asked of the open file, so that it can't be exchanged between the question and the reading.
        fault = permission_fault(path, os.fstat(handle))
        content = b"" if fault else _all_of(handle)
    finally:
        os.close(handle)
    if fault:
        raise CredentialError(fault)
    if len(content) > LARGEST:
        raise CredentialError(f"expected a key file of at most {LARGEST} bytes at {path}, found a larger one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
    raise CredentialError(f"{path}: line {line}: expected UTF-8 text, found other bytes; write the file anew")


def _all_of(handle: int) -> bytes:
    """The content of an open file, and no more of it than tells that it is too large."""
    content = b""
    while len(content) <= LARGEST:
        part = os.read(handle, LARGEST)
        if not part:
            break
        content += part
    return content


def is_private(name: str) -> bool:
    """Whether there is a key file of this name; it is not read.

    Raises:
        CredentialError: there is one, and others may read or change it.
    """
    path = Path(name).expanduser()
    try:
        status = path.stat()
    except OSError:
        return False
    fault = permission_fault(path, status)
    if fault:
        raise CredentialError(fault)
    return True


def permission_fault(path: Path, status: os.stat_result) -> str:
    """Why a key file may not be used, with the command that mends it; empty if it may."""
    if not stat.S_ISREG(status.st_mode):
        return f"expected a regular file at {path}, found {_kind(status.st_mode)}; give the path of a key file"
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o177 or not mode & 0o400:
        return f"expected {path} to be of mode 600, for its owner alone, found {mode:03o}; run: chmod 600 {path}"
    if status.st_uid not in (os.geteuid(), 0):
        return (
            f"expected {path} to belong to the user who runs this ({os.geteuid()}), found {status.st_uid}; "
            f"run: chown {os.geteuid()} {path}"
        )
    return ""


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe, socket or device"


def _parse(path: Path, text: str) -> tuple[dict[str, Any], str]:
    """The values of a key file, or what is wrong with it."""
    if path.suffix == ".json":
        kind, (values, line, column) = "JSON", _json(text)
    else:
        kind, (values, line, column) = "TOML", _toml(text)
    if line:
        where = f"line {line}, column {column}"
        return {}, f"{path}: {where}: expected {kind}, found what can't be read as such; correct that line"
    if not isinstance(values, dict):
        return {}, f"{path}: line 1: expected key and secret in braces, found {type(values).__name__}; add them"
    return values, ""


def _toml(text: str) -> tuple[Any, int, int]:
    """The values, or the place (from 1) of what is wrong."""
    try:
        return tomllib.loads(text), 0, 0
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
    if found is not None:
        return None, int(found[1]), int(found[2])
    lines = text.splitlines() or [""]
    return None, len(lines), len(lines[-1]) + 1


def _json(text: str) -> tuple[Any, int, int]:
    """The values, or the place (from 1) of what is wrong."""
    try:
        return json.loads(text), 0, 0
    except json.JSONDecodeError as error:
        return None, error.lineno, error.colno
    except RecursionError:
        return None, 1, 1


def _line_of(text: str, field: str) -> int:
    """The line (from 1) on which a field is set."""
    named = re.compile(rf"[{{,\s]*[\"']?{re.escape(field)}[\"']?\s*[=:\]]")
    for number, line in enumerate(text.splitlines(), start=1):
        if named.match(line.lstrip("[ ")):
            return number
    return 1
