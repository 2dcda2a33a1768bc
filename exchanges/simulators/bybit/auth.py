"""Checks of signature and time, for requests and for sockets."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from exchanges.simulators.bybit.errors import API_KEY, PARAMETER, SIGNATURE, TIMESTAMP, ApiError
from exchanges.simulators.faults import FaultPlan, KeyState

LEAD_MS = 1_000
"""How far a request's time may be ahead of the server's."""
DEFAULT_WINDOW_MS = 5_000


class Keys:
    """The accepted keys; secrets stay in this object."""

    def __init__(self, credentials: Mapping[str, tuple[str, str]], faults: FaultPlan) -> None:
        self._credentials = dict(credentials)
        self._faults = faults

    def __repr__(self) -> str:
        return f"Keys({len(self._credentials)})"

    def request(self, headers: Mapping[str, str], payload: str, now_ms: int) -> str:
        """The account a signed request comes from; ``payload`` is the raw query or the body.

        Raises:
            ApiError: 10001 header missing, 10003 unknown key, 10002 time, 10004 signature.
        """
        key = headers.get("X-BAPI-API-KEY", "")
        stamp, signature = headers.get("X-BAPI-TIMESTAMP", ""), headers.get("X-BAPI-SIGN", "")
        window = headers.get("X-BAPI-RECV-WINDOW", str(DEFAULT_WINDOW_MS))
        if not key or not stamp or not signature:
            raise ApiError(PARAMETER, "empty value: apiTimestamp or apiKey or sign")
        account, secret = self._known(key)
        check_time(stamp, window, now_ms)
        if not _signed(secret, f"{stamp}{key}{window}{payload}", signature):
            raise ApiError(SIGNATURE, f"error sign! origin_string[{stamp}{key}{window}{payload}]")
        return account

    def socket(self, args: list[object], now_ms: int) -> str:
        """The account an ``auth`` operation opens: ``[key, expires, signature]``.

        Raises:
            ApiError: unknown key, expired, or a wrong signature.
        """
        if len(args) != 3 or not str(args[1]).isdigit():
            raise ApiError(PARAMETER, f"expected args [key, expires, signature], found {len(args)} values")
        key, expires, signature = str(args[0]), int(str(args[1])), str(args[2])
        account, secret = self._known(key)
        if expires <= now_ms:
            raise ApiError(API_KEY, f"expires {expires} is not after the server's time {now_ms}")
        if not _signed(secret, f"GET/realtime{expires}", signature):
            raise ApiError(SIGNATURE, "error sign!")
        return account

    def _known(self, key: str) -> tuple[str, str]:
        found = self._credentials.get(key)
        if found is None or self._faults.key(key) is KeyState.REVOKED:
            raise ApiError(API_KEY, "API key is invalid.")
        return found


def check_time(stamp: str, window: str, now_ms: int) -> None:
    """The venue's rule: ``now - window <= stamp < now + 1000``.

    Raises:
        ApiError: 10002, with both times.
    """
    if not stamp.isdigit() or not window.isdigit():
        raise ApiError(PARAMETER, f"expected timestamp and recv_window in ms, found {stamp!r} and {window!r}")
    if not now_ms - int(window) <= int(stamp) < now_ms + LEAD_MS:
        raise ApiError(
            TIMESTAMP,
            f"invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp}],server_timestamp[{now_ms}],recv_window[{window}]",
        )


def _signed(secret: str, text: str, signature: str) -> bool:
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)
