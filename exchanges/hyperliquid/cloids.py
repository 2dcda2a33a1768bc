"""Our client order ids as the 128 bits the venue takes (``cloid``), and back.

A cloid is ``0x`` and 32 hexadecimal digits (source: the SDK's ``Cloid``, which refuses anything else). Its first
16 bits say which of three forms the rest has:

- *signal*: ``bw-SIGNAL-leg-attempt``, of which the signal is 96 bits in base 32: 96 bits, 10 of leg, 6 of attempt.
- *text*: any other id of at most 17 characters of ``[A-Za-z0-9_-]`` behind ``bw-``: 5 bits of length, 6 a character.
- *digest*: what fits neither: 112 bits of BLAKE2b. The way back is known of ids this process has asked about alone.

The same id always gives the same cloid. A cloid of another program is taken for ours once in 20,000 (its first
16 bits), and then as an order nobody approved.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import OrderedDict

_PREFIX = "bw-"
_SIGNAL, _TEXT, _DIGEST = 0xB16A, 0xB16B, 0xB16C
_TAG_AT = 112
_SIGNAL_ID = re.compile(r"bw-([A-Z2-7]{20})-(0|[1-9][0-9]*)-(0|[1-9][0-9]*)")
_LEGS, _ATTEMPTS = 1 << 10, 1 << 6
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_LONGEST = 17
_RAW = re.compile(r"0x[0-9a-fA-F]{32}")


def cloid_of(client_id: str) -> str:
    """The cloid of a client order id, as the venue writes it."""
    found = _of_signal(client_id)
    if found is None:
        found = _of_text(client_id)
    if found is None:
        digest = hashlib.blake2b(client_id.encode(), digest_size=14).digest()
        found = _DIGEST << _TAG_AT | int.from_bytes(digest, "big")
    return f"{found:#034x}"


def client_id_in(cloid: str) -> str:
    """The client order id that a cloid holds; empty for a digest, and for a cloid that isn't ours."""
    if not _RAW.fullmatch(cloid):
        return ""
    value = int(cloid, 16)
    tag, rest = value >> _TAG_AT, value & ((1 << _TAG_AT) - 1)
    made = _signal_in(rest) if tag == _SIGNAL else _text_in(rest) if tag == _TEXT else ""
    # What does not lead back to the same bits was made by somebody else.
    return made if made and cloid_of(made) == cloid.lower() else ""


def _of_signal(client_id: str) -> int | None:
    found = _SIGNAL_ID.fullmatch(client_id)
    if found is None:
        return None
    signal, leg, attempt = found[1], int(found[2]), int(found[3])
    digest = base64.b32decode(signal + "=" * 4)
    if leg >= _LEGS or attempt >= _ATTEMPTS or base64.b32encode(digest).decode().rstrip("=") != signal:
        return None
    return _SIGNAL << _TAG_AT | int.from_bytes(digest, "big") << 16 | leg << 6 | attempt


def _signal_in(rest: int) -> str:
    signal = base64.b32encode((rest >> 16).to_bytes(12, "big")).decode().rstrip("=")
    return f"{_PREFIX}{signal}-{rest >> 6 & _LEGS - 1}-{rest & _ATTEMPTS - 1}"


def _of_text(client_id: str) -> int | None:
    text = client_id.removeprefix(_PREFIX)
    if text == client_id or len(text) > _LONGEST or any(letter not in _ALPHABET for letter in text):
        return None
    value = len(text)
    for letter in text.ljust(_LONGEST, _ALPHABET[0]):
        value = value << 6 | _ALPHABET.index(letter)
    return _TEXT << _TAG_AT | value << 5


def _text_in(rest: int) -> str:
    value, letters = rest >> 5, []
    for _ in range(_LONGEST):
        letters.append(_ALPHABET[value & 63])
        value >>= 6
    return _PREFIX + "".join(reversed(letters))[:value] if value <= _LONGEST else ""


class Cloids:
    """Both directions, with a memory of the newest ``kept`` ids that a digest alone stands for."""

    def __init__(self, kept: int = 20_000) -> None:
        self._kept = kept
        self._digests: OrderedDict[str, str] = OrderedDict()

    def of(self, client_id: str) -> str:
        """The cloid of our order."""
        cloid = cloid_of(client_id)
        if int(cloid, 16) >> _TAG_AT == _DIGEST:
            self._digests[cloid] = client_id
            while len(self._digests) > self._kept:
                self._digests.popitem(last=False)
        return cloid

    def client_id(self, cloid: str) -> str:
        """Our id of the order with ``cloid``; empty for one that isn't ours, or can't be told."""
        return self._digests.get(cloid.lower()) or client_id_in(cloid)
