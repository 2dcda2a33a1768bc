"""Who signed an action: the signer is recovered from the same hash the SDK signs, nonce and expiry are checked."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import Any

from eth_keys.exceptions import BadSignature
from hyperliquid.utils.signing import recover_agent_or_user_from_l1_action

from exchanges.simulators.faults import FaultPlan, KeyState
from exchanges.simulators.hyperliquid.errors import ActionError, UnreadableError
from exchanges.simulators.hyperliquid.wallets import account_of, address_of, private_key_of

DAY_MS = 86_400_000
NONCES = 100
"""How many of a signer's nonces are remembered, the highest."""

_BAD = (BadSignature, ValueError, TypeError, KeyError, AttributeError, OverflowError)


class Wallets:
    """The accounts by address, the API wallets that may sign for them, and the nonces those have used.

    Args:
        credentials: Key to account name and secret: the key is, or makes, the account's address, the
            secret the private key of its API wallet.
    """

    def __init__(self, credentials: Mapping[str, tuple[str, str]], faults: FaultPlan) -> None:
        self._faults = faults
        self._accounts = {account_of(key): name for key, (name, _) in credentials.items()}
        self._agents = {address_of(private_key_of(secret)): key for key, (_, secret) in credentials.items()}
        self._nonces: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        return f"Wallets({len(self._accounts)})"

    def account(self, user: object) -> str:
        """The name of the account with an address; empty for one nobody has."""
        return self._accounts.get(str(user).lower(), "")

    def address(self, name: str) -> str:
        """The address of an account."""
        return next(address for address, found in self._accounts.items() if found == name)

    def role(self, user: object) -> dict[str, Any]:
        """What an address is here, as ``userRole`` tells it."""
        address = str(user).lower()
        if address in self._accounts:
            return {"role": "user"}
        key = self._agents.get(address)
        if key is None or self._faults.key(key) is KeyState.REVOKED:
            return {"role": "missing"}
        return {"role": "agent", "data": {"user": account_of(key)}}

    def signer(self, body: Mapping[str, Any], now_ms: int) -> str:
        """The account an action is signed for.

        Raises:
            UnreadableError: the body lacks a part.
            ActionError: nobody approved the signer, the nonce was used or is off, or the action is too old.
        """
        action, nonce, signature = body.get("action"), body.get("nonce"), body.get("signature")
        expires = body.get("expiresAfter")
        if not isinstance(action, dict) or not isinstance(nonce, int) or not isinstance(signature, dict):
            raise UnreadableError
        try:
            # The simulator is no mainnet: what was signed for that is of an unknown signer here.
            address = str(
                recover_agent_or_user_from_l1_action(action, signature, body.get("vaultAddress"), nonce, expires, False)
            ).lower()
        except _BAD as error:
            raise ActionError("Unable to recover signer.") from error
        key = self._agents.get(address)
        if key is None or self._faults.key(key) is not KeyState.VALID:
            raise ActionError(f"User or API Wallet {address} does not exist.")
        self._use(address, nonce, now_ms)
        if isinstance(expires, int) and now_ms > expires:
            raise ActionError(f"Action expired: expected it before {expires}, found {now_ms}")
        return self._accounts[account_of(key)]

    def _use(self, address: str, nonce: int, now_ms: int) -> None:
        """The venue's rule: never used, above the lowest remembered, and near the venue's time."""
        used = self._nonces.setdefault(address, [])
        if nonce in used:
            raise ActionError(f"Invalid nonce: duplicate nonce {nonce}")
        if len(used) >= NONCES and nonce < used[0]:
            raise ActionError(f"Invalid nonce: nonce too low {nonce} < {used[0]}")
        if not now_ms - 2 * DAY_MS < nonce < now_ms + DAY_MS:
            raise ActionError(f"Invalid nonce: {nonce} is too far from the time of the block, {now_ms}")
        insort(used, nonce)
        del used[:-NONCES]
