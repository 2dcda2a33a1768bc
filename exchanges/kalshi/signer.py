"""Signatures of requests, on the venue's clock as its ``Date`` headers show it."""

from __future__ import annotations

import base64
import threading
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from runtime.errors import SetupError

_SECOND = 1_000_000_000
_PADDING = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


class KeyFormatError(SetupError, ValueError):
    """The private key can't be read, or is of the wrong kind. The text never holds any of it."""


class VenueClock:
    """How far the venue's clock is from ours, bounded by each answer's ``Date`` header.

    A header of second ``d`` in an answer between ``sent`` and ``received`` (ours) says that the
    skew lies between ``d - received`` and ``d + 1 s - sent``. While 0 is possible, it is 0.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._low: int | None = None
        self._high: int | None = None

    def observe(self, date: str, sent_ns: int, received_ns: int) -> None:
        """Take in a ``Date`` header; one that can't be read is passed over."""
        stamp = _date_ns(date)
        if stamp is None:
            return
        low, high = stamp - received_ns, stamp + _SECOND - sent_ns
        with self._lock:
            if self._low is None or self._high is None or low > self._high or high < self._low:
                # The first header, or one of the clocks was set: what was known no longer holds.
                self._low, self._high = low, high
            else:
                self._low, self._high = max(self._low, low), min(self._high, high)

    @property
    def skew_ns(self) -> int:
        """What to add to our clock to get the venue's."""
        with self._lock:
            low, high = self._low, self._high
        if low is None or high is None or low <= 0 <= high:
            return 0
        return (low + high) // 2

    def now_ns(self) -> int:
        """The venue's time."""
        return time.time_ns() + self.skew_ns


class Signer:
    """Signs with one key, parsed once. The SDK's client takes it as its ``kalshi_auth``.

    The SDK's own signer wants the key as a file's path and signs with our clock; this one takes
    the text, so that the key never touches a disk, and the venue's clock.

    Raises:
        KeyFormatError: the text is no unencrypted PEM of an RSA private key.
    """

    def __init__(self, key_id: str, private_key: str, clock: VenueClock) -> None:
        if not key_id:
            raise KeyFormatError("expected a key id, found none; set it beside the private key")
        self.clock = clock
        self._key_id = key_id
        self._key = _parse(private_key)

    def create_auth_headers(self, method: str, url: str) -> dict[str, str]:
        """The three headers of a request; ``url`` may be a path, its query is not signed."""
        stamp = str(self.clock.now_ns() // 1_000_000)
        path = urlsplit(url).path
        signature = self._key.sign(f"{stamp}{method.upper()}{path}".encode(), _PADDING, hashes.SHA256())
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
            "KALSHI-ACCESS-TIMESTAMP": stamp,
        }

    def __repr__(self) -> str:
        return "Signer()"


def _parse(private_key: str) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's text may quote the key: it goes no further.
        raise KeyFormatError(
            "expected the private key as an unencrypted PEM (-----BEGIN ... PRIVATE KEY-----), found "
            f"{len(private_key)} characters that are none; copy the whole file the venue gave out"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyFormatError(f"expected an RSA private key, found {type(key).__name__}; make a new key at the venue")
    return key


def _date_ns(text: str) -> int | None:
    try:
        stamp = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    return int(stamp.timestamp()) * _SECOND
