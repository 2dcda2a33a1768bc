"""The token of those who may act: made once, kept in a file that its owner alone can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from runtime.errors import SetupError


class TokenError(SetupError):
    """The token file can't be used."""


def token_path(store: Path, configured: str) -> Path:
    """Where the token is: the configured file, or ``token`` in the store."""
    return Path(configured).expanduser() if configured else store / "token"


def read_token(path: Path) -> str:
    """The token in ``path``.

    Raises:
        TokenError: no such file, it is empty, or others may read it.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except OSError as error:
        raise TokenError(
            f"expected the token of a session in {path}, found {error.strerror}; is the session's store another one?"
        ) from error
    except UnicodeDecodeError as error:
        raise TokenError(
            f"expected a token in {path}, found bytes that are no text; remove it and start the session again"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokenError(
            f"expected {path} to be readable by its owner alone (mode 600), found {mode & 0o777:o}; `chmod 600 {path}` "
            "if nobody else has read it, else remove it and start the session again"
        )
    if not text:
        raise TokenError(f"expected a token in {path}, found an empty file; remove it and start the session again")
    return text


def ensure_token(path: Path) -> str:
    """The token in ``path``, which is made if it isn't there.

    Raises:
        TokenError: it can't be made, or what is there can't be used.
    """
    if not os.path.lexists(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise TokenError(
                f"expected to make a token in {path}, found {error.strerror}; check it, or set gateway.token_file"
            ) from error
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return read_token(path)
