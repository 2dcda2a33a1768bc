"""The simulated accounts' addresses and their API wallets' keys, made of the settings' keys and secrets."""

from __future__ import annotations

import re

from eth_account import Account
from eth_utils.crypto import keccak

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def private_key_of(secret: str) -> str:
    """The private key that ``secret`` is, or else the one made of it: the same for the same text."""
    return secret if _KEY.fullmatch(secret) else "0x" + keccak(text=secret).hex()


def address_of(private_key: str) -> str:
    """The address of a private key, in small letters."""
    return str(Account.from_key(private_key).address).lower()


def account_of(key: str) -> str:
    """The account's address that ``key`` is, or else one made of it."""
    return key.lower() if _ADDRESS.fullmatch(key) else address_of(private_key_of(key))
