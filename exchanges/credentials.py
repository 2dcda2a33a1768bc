"""API keys: found inside the exchange connection's process, shown nowhere, passed on to nobody.

A source that holds nothing is passed over for the next; one that holds something that can't be
used is an error, so that a damaged file never leads to another key than the one that was meant.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from conf.modes import KeyNames, Mode, access, check_key, key_names, where_keys_go
from conf.venues import CredentialSettings
from exchanges.failures import Failure
from exchanges.keyfile import CredentialError, KeyEntry, is_private, read_entry, read_secret
from exchanges.keystores import from_keyring, from_pass

logger = logging.getLogger(__name__)

__all__ = ["CredentialError", "Credentials", "Secret", "ensure_findable", "refused", "resolve"]

PEM_VENUES = ("kalshi",)
"""The venues whose secret is a private key."""

_PEM_BEGINS = "-----BEGIN "


class Secret:
    """A text that no repr, log, pickle or encoder shows; ``reveal`` is the one way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the call that signs with it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({'set' if self._value else 'empty'})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __rich_repr__(self) -> list[str]:
        return ["set" if self._value else "empty"]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "expected no secret among what is pickled or copied, found one; resolve credentials in the process that "
            "uses them instead of sending them there"
        )


class Credentials(NamedTuple):
    """A key, its secret, and in words where they were found."""

    key: Secret
    secret: Secret
    source: str


class Search(NamedTuple):
    """What is looked for, and under which names."""

    venue: str
    mode: Mode
    names: KeyNames
    told: CredentialSettings
    environ: Mapping[str, str]


def resolve(
    venue: str, mode: Mode, told: CredentialSettings, environ: Mapping[str, str] | None = None
) -> Credentials | None:
    """The key of ``venue`` for ``mode``, from the first source that has one. May block for ``told.timeout_s``.

    Returns:
        ``None`` where there is no key and none is needed.

    Raises:
        CredentialError: a source can't be used, or none has a key that is needed.
        ModeError: the key belongs to another mode.
    """
    search = _search(venue, mode, told, environ)
    for source in told.sources:
        entry, place = _SOURCES[source](search)
        if entry is not None:
            return _checked(search, entry, place)
    _missing(search)
    return None


def ensure_findable(venue: str, mode: Mode, told: CredentialSettings, environ: Mapping[str, str] | None = None) -> None:
    """Look, without reading any key, whether ``resolve`` will find one; ``pass`` and the keyring aren't asked.

    Raises:
        CredentialError: no source can have a key that is needed, or others may read the key file.
    """
    search = _search(venue, mode, told, environ)
    for source in told.sources:
        if source == "env" and {search.names.key_env, search.names.secret_env} & set(search.environ):
            return
        if source == "file" and is_private(search.names.file):
            return
        if source in ("pass", "keyring"):
            return
    _missing(search)


def _search(venue: str, mode: Mode, told: CredentialSettings, environ: Mapping[str, str] | None) -> Search:
    given = {name: value for name, value in told.names.items() if value}
    names = key_names(venue, mode)._replace(**given)
    return Search(venue, mode, names, told, os.environ if environ is None else environ)


def _missing(search: Search) -> None:
    """No source has a key: an error where one is needed."""
    venue, mode = search.venue, search.mode
    if not access(venue, mode).needs_key:
        return
    places = "; ".join(_looked(search, source) for source in search.told.sources)
    raise CredentialError(
        f"expected a key of {venue} for mode {mode.value}, found none in: {places}; {where_keys_go(venue, mode)}"
    )


def _checked(search: Search, entry: KeyEntry, place: str) -> Credentials:
    """The entry as credentials, once nothing in it contradicts the mode."""
    venue, mode = search.venue, search.mode
    for name, found, expected in (("venue", entry.venue, venue), ("mode", entry.mode, mode.value)):
        if found and found != expected:
            raise CredentialError(
                f"expected a key for {name} {expected} in {place}, found one for {name} {found}; use the key of "
                f"{expected}, or change the {name}"
            )
    secret = entry.secret
    if search.told.secret_file:
        secret, place = read_secret(search.told.secret_file), f"{place} and {search.told.secret_file}"
    if not entry.key or not secret:
        missing = "secret" if entry.key else "key"
        raise CredentialError(f"expected a key and a secret of {venue} in {place}, found no {missing}; add it")
    check_key(venue, mode, entry.key)
    _check_secret(venue, secret, place)
    logger.info("the key of %s comes from %s", venue, place)
    return Credentials(Secret(entry.key), Secret(secret), place)


def _check_secret(venue: str, secret: str, place: str) -> None:
    if venue in PEM_VENUES:
        lines = secret.strip().splitlines()
        if not lines or not lines[0].startswith(_PEM_BEGINS) or "PRIVATE KEY" not in lines[0]:
            raise CredentialError(
                f"expected the private key of {venue} in {place} to be a PEM (its first line is '-----BEGIN PRIVATE "
                f"KEY-----' or '-----BEGIN RSA PRIVATE KEY-----'), found {len(lines)} lines of something else; use "
                "the file that the venue gave you, unchanged"
            )
        if not lines[-1].startswith("-----END "):
            raise CredentialError(
                f"expected the private key of {venue} in {place} to end with its END line, found that it is cut short; "
                "copy it anew"
            )
        return
    if secret != secret.strip() or not secret.isascii() or not secret.isprintable():
        raise CredentialError(
            f"expected a secret of {venue} in {place} of printable characters without spaces around it, found others; "
            "copy it anew"
        )


# -- sources ---------------------------------------------------------------------------------


def _from_env(search: Search) -> tuple[KeyEntry | None, str]:
    names = search.names
    key, secret = search.environ.get(names.key_env, ""), search.environ.get(names.secret_env, "")
    if not key and not secret:
        return None, ""
    if key and not secret and not search.told.secret_file:
        raise CredentialError(
            f"expected {names.secret_env} beside {names.key_env} in the environment, found none; set it, or unset both"
        )
    if secret and not key:
        raise CredentialError(
            f"expected {names.key_env} beside {names.secret_env} in the environment, found none; set it, or unset both"
        )
    # A PEM in one line, as files of environment variables need it.
    if search.venue in PEM_VENUES and "\n" not in secret:
        secret = secret.replace("\\n", "\n")
    return KeyEntry(key, secret), f"{names.key_env} and {names.secret_env} in the environment"


def _from_file(search: Search) -> tuple[KeyEntry | None, str]:
    return read_entry(search.names.file, search.venue), search.names.file


def _from_pass(search: Search) -> tuple[KeyEntry | None, str]:
    entry = search.names.pass_entry
    return from_pass(entry, search.told.timeout_s), f"{entry} in the password store"


def _from_keyring(search: Search) -> tuple[KeyEntry | None, str]:
    service = search.names.keyring_service
    return from_keyring(service, search.told.timeout_s), f"{service} in the keyring"


_SOURCES: dict[str, Callable[[Search], tuple[KeyEntry | None, str]]] = {
    "env": _from_env,
    "file": _from_file,
    "pass": _from_pass,
    "keyring": _from_keyring,
}


def _looked(search: Search, source: str) -> str:
    """Where a source was looked at."""
    names = search.names
    return {
        "env": f"environment variables {names.key_env} and {names.secret_env}",
        "file": f"the file {names.file}",
        "pass": f"pass show {names.pass_entry}",
        "keyring": f"the keyring's service {names.keyring_service}",
    }[source]


# -- refused by the venue --------------------------------------------------------------------


def refused(venue: str, mode: Mode, source: str, failure: Failure) -> str:
    """What to tell when the venue does not take the key (``FailureKind.UNAUTHORISED``).

    Args:
        venue: whose.
        mode: the session's.
        source: where the key was found, as ``Credentials.source`` says it.
        failure: the venue's answer.
    """
    said = f"{failure.code} {failure.reason}".strip()
    return (
        f"expected {venue} to take the key from {source} in mode {mode.value}, found that it was refused ({said}): it "
        "was revoked, has expired, may not be used from this address, or belongs to another mode; make a new one for "
        f"mode {mode.value} at the venue and put it in its place"
    )
