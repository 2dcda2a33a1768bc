"""Checks of signatures, for requests and for the WebSocket's handshake."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from exchanges.simulators.faults import FaultPlan, KeyState
from exchanges.simulators.kalshi.errors import ApiError

KEY, STAMP, SIGNATURE = "KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"
SKEW_MS = 10_000
"""How far a request's time may be from the server's. The venue documents no bound."""
_PADDING = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


class Keys:
    """The accepted keys: id to account and public key."""

    def __init__(self, keys: Mapping[str, tuple[str, RSAPublicKey]], faults: FaultPlan) -> None:
        self._keys = dict(keys)
        self._faults = faults

    def __repr__(self) -> str:
        return f"Keys({len(self._keys)})"

    def owner(self, headers: Mapping[str, str]) -> str:
        """The account whose key a request names, without a check; empty if there is none."""
        return self._keys.get(headers.get(KEY, ""), ("", None))[0]

    def account(self, headers: Mapping[str, str], method: str, path: str, now_ms: int, *, write: bool = False) -> str:
        """The account of a signed request; ``path`` begins with ``/trade-api`` and has no query.

        Raises:
            ApiError: 401, unsigned, unknown or revoked key, time or signature; 403, a key that may only read.
        """
        key, stamp, signature = headers.get(KEY, ""), headers.get(STAMP, ""), headers.get(SIGNATURE, "")
        if not key or not stamp or not signature:
            raise _refused(f"expected headers {KEY}, {STAMP} and {SIGNATURE}, found one missing")
        state = self._faults.key(key)
        account, public = self._keys.get(key, ("", None))
        if public is None or state is KeyState.REVOKED:
            raise _refused("NOT_FOUND")
        if not stamp.isdecimal() or abs(int(stamp) - now_ms) > SKEW_MS:
            raise _refused(f"INVALID_TIMESTAMP: expected ms within {SKEW_MS} of {now_ms}, found {stamp!r}")
        if not _signed(public, f"{stamp}{method}{path}", signature):
            raise _refused("INCORRECT_API_KEY_SIGNATURE")
        if write and state is KeyState.READ_ONLY:
            raise ApiError(403, "permission_denied", details="the key has the scope read alone")
        return account


def _refused(details: str) -> ApiError:
    return ApiError(401, "authentication_error", details=details)


def _signed(public: RSAPublicKey, text: str, signature: str) -> bool:
    try:
        public.verify(base64.b64decode(signature, validate=True), text.encode(), _PADDING, hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
