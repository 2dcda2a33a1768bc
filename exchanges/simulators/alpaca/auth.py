"""Checks of the key pair, for requests and for sockets."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from exchanges.simulators.alpaca.errors import FORBIDDEN, UNAUTHORIZED, ApiError
from exchanges.simulators.faults import FaultPlan, KeyState

KEY_HEADER = "APCA-API-KEY-ID"
SECRET_HEADER = "APCA-API-SECRET-KEY"


class Keys:
    """The accepted key pairs; secrets stay in this object."""

    def __init__(self, credentials: Mapping[str, tuple[str, str]], faults: FaultPlan) -> None:
        """``credentials``: key to account name and secret."""
        self._credentials = dict(credentials)
        self._faults = faults

    def __repr__(self) -> str:
        return f"Keys({len(self._credentials)})"

    def account(self, key: str, secret: str) -> str:
        """The account of a key pair, empty if it isn't one or has been revoked."""
        account, expected = self._credentials.get(key, ("", ""))
        matches = hmac.compare_digest(expected.encode(), secret.encode())
        return account if matches and self._faults.key(key) is not KeyState.REVOKED else ""

    def request(self, headers: Mapping[str, str], *, changing: bool) -> str:
        """The account a request comes from; ``changing`` if it does more than look.

        Raises:
            ApiError: 401, a header is missing or the pair is unknown; 403, the key may only look.
        """
        key = headers.get(KEY_HEADER, "")
        account = self.account(key, headers.get(SECRET_HEADER, ""))
        if not account:
            raise ApiError(UNAUTHORIZED, "request is not authorized")
        if changing and self._faults.key(key) is KeyState.READ_ONLY:
            raise ApiError(FORBIDDEN, "access key may not trade")
        return account
