"""The RSA key pair of a simulator: given, kept in its folder, or made anew."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from exchanges.simulators.errors import SimulatorError

BITS = 2048
FILE = "kalshi-key.pem"
_NEEDED = "give an RSA key as PEM, unencrypted"


def public_key(pem: str, whose: str) -> RSAPublicKey:
    """The public half of ``pem``, which may hold either half.

    Raises:
        SimulatorError: it isn't an RSA key; ``whose`` names it in the text.
    """
    try:
        if "PRIVATE KEY" in pem:
            key = serialization.load_pem_private_key(pem.encode(), password=None).public_key()
        else:
            key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SimulatorError(f"expected a PEM for {whose}, found text that isn't one; {_NEEDED}") from error
    if not isinstance(key, RSAPublicKey):
        raise SimulatorError(f"expected an RSA key for {whose}, found {type(key).__name__}; {_NEEDED}")
    return key


def private_pem(folder: Path | None) -> str:
    """The PEM of a private key: that in ``folder``, or a new one, which is then kept there with mode 600.

    Raises:
        SimulatorError: the folder can't be used.
    """
    if folder is None:
        return _made()
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _keep(path, _made())
        return path.read_text()
    except OSError as error:
        raise SimulatorError(
            f"expected to read or make the simulator's key at {path}, found {error}; check the permissions"
        ) from error


def _keep(path: Path, pem: str) -> None:
    """Written aside and renamed, so that a crash leaves no half of a key."""
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(pem)
    draft.replace(path)


def _made() -> str:
    key: RSAPrivateKey = generate_private_key(public_exponent=65537, key_size=BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
