"""Key stores of the system: ``pass`` and the keyring. Neither may keep a start waiting for ever."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading

from exchanges.keyfile import CredentialError, KeyEntry

_ENTRY = re.compile(r"[A-Za-z0-9_.@][A-Za-z0-9_.@/ -]*")
_FIELD = re.compile(r"(key|login|user|username|venue|mode)\s*:\s*(\S*)\s*", re.IGNORECASE)
_UNKNOWN = "is not in the password store"
_PEM = re.compile(r"-----BEGIN [^\n]+-----\n.*?-----END [^\n]+-----", re.DOTALL)
_MEND = "take it out of the credentials' sources"


def from_pass(entry: str, timeout_s: float) -> KeyEntry | None:
    """An entry of the password store: the secret in its first line (or a PEM), and a line ``key: ...``.

    Raises:
        CredentialError: ``pass`` isn't installed, doesn't answer in time or can't decrypt the entry.
    """
    if not _ENTRY.fullmatch(entry) or ".." in entry:
        raise CredentialError(
            "expected the name of a pass entry such as bigwheel/bybit-live, found another; correct it"
        )
    program = shutil.which("pass")
    if program is None:
        raise CredentialError(f"expected the program pass to ask for {entry}, found none; install it, or {_MEND}")
    status, out, err = _ask([program, "show", entry], timeout_s)
    if status is None:
        raise CredentialError(
            f"expected pass to show {entry} within {timeout_s:g} s, found no answer; unlock its GPG key first "
            f"(pass show {entry})"
        )
    if status:
        said = err.decode(errors="replace").strip()
        if _UNKNOWN in said:
            return None
        last = said.splitlines()[-1][:200] if said else "no reason given"
        raise CredentialError(f"expected pass to show {entry}, found that it failed with {status}: {last}; mend that")
    return _entry_of(out.decode(errors="replace"))


def _ask(command: list[str], timeout_s: float) -> tuple[int | None, bytes, bytes]:
    """Status, output and errors of a program; no status if it didn't end in time."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        # What it started holds its pipes too, so all of them are ended.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, b"", b""


def _entry_of(text: str) -> KeyEntry:
    """The parts of an entry."""
    lines = text.splitlines()
    fields = {found[1].lower(): found[2] for found in map(_FIELD.fullmatch, lines) if found is not None}
    pem = _PEM.search(text)
    first = lines[0] if lines and not _FIELD.fullmatch(lines[0]) else ""
    secret = first if pem is None else pem[0]
    key = next((fields[name] for name in ("key", "login", "user", "username") if fields.get(name)), "")
    return KeyEntry(key, secret, fields.get("venue", ""), fields.get("mode", ""))


def from_keyring(service: str, timeout_s: float) -> KeyEntry | None:
    """The entries ``key`` and ``secret`` of a service in the system's keyring; ``None`` if it has neither.

    Raises:
        CredentialError: there is no keyring (as on a machine without a desktop), it is locked or doesn't answer.
    """
    answer: dict[str, str | None] = {}
    faults: list[str] = []

    def ask() -> None:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError

        try:
            answer.update({name: keyring.get_password(service, name) for name in ("key", "secret")})
        except NoKeyringError:
            faults.append("no keyring on this machine")
        except KeyringError as error:
            faults.append(f"{type(error).__name__}: {str(error)[:200]}")
        except Exception as error:
            # A backend is foreign code: what it raises is told, not passed on.
            faults.append(type(error).__name__)

    thread = threading.Thread(target=ask, name="keyring", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        faults.append(f"no answer within {timeout_s:g} s")
    if faults:
        raise CredentialError(
            f"expected the system's keyring to answer for {service}, found {faults[0]}; unlock it, use a key file of "
            f"mode 600 instead, or {_MEND}"
        )
    if not any(answer.values()):
        return None
    return KeyEntry(answer.get("key") or "", answer.get("secret") or "")
