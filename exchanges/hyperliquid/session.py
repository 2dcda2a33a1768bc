"""The official SDK's session of one thread, with what has to be right before money moves.

What hyperliquid-python-sdk 0.24 does, by its source and against a local server:

- Importing it takes 0.9 s and 40 MB (seen). One ``requests`` session each of ``Exchange`` and ``Info``; no timeout
  unless one is given, no retries (source, seen).
- The constructors of ``Info`` and ``Exchange`` ask the venue for ``spotMeta`` and ``meta``, outside of every limit;
  given both, they ask nothing (seen). ``Info`` also starts two threads for its WebSocket unless ``skip_ws`` (source).
- The nonce of an action is the millisecond of its signing: four threads that signed 20 actions used 18 nonces, and
  the venue refuses the second of two (seen). Here one counter serves all threads of a signer.
- Whether an action is signed for mainnet goes by ``base_url == MAINNET_API_URL`` (source): any other spelling of the
  address signs for the testnet, and the venue finds an unknown wallet. Here the mode decides.
- ``float_to_wire`` takes floats alone: a ``Decimal`` is a ``TypeError``, more than eight decimals a ``ValueError``,
  and a number with too many digits is changed without a word (seen). Here what it wrote is compared.
- A redirect is followed with the signed body, 30 times (seen). Here it is an error.
- Its WebSocket thread ends with the connection and nobody is told; ``ws_ready`` stays true, and the ping thread
  keeps the process alive for up to 50 s (seen). A callback that raises ends nothing (seen). Not used here.
- Signing takes 5 to 8 ms in pure Python (seen), so it belongs to the threads that call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.signing import float_to_wire, sign_l1_action

from exchanges.fields import WireError
from exchanges.hyperliquid.failures import ActionRefused, Garbage, HttpRefusal
from exchanges.hyperliquid.settings import HyperliquidSettings
from exchanges.modes import Mode

_MS = 1_000_000
_NO_PERPETUALS: Any = {"universe": []}
_NO_SPOT: Any = {"universe": [], "tokens": []}
_UNPARSED = "Could not parse JSON"


class KeyFormatError(ValueError):
    """The private key can't be read. The text never holds any of it."""


class Nonces:
    """Numbers that only go up, in step with the clock's milliseconds; shared by all threads of a signer."""

    def __init__(self, wall: Callable[[], int] = time.time_ns) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """A nonce that was never given before."""
        with self._lock:
            self._last = max(self._last + 1, self._wall() // _MS)
            return self._last


class _Names(dict[str, str]):
    """The SDK's table of names to coins: a perpetual is called by its coin."""

    def __missing__(self, name: str) -> str:
        return name


class _Plain:
    """Refusals as they came."""

    def _handle_exception(self, response: requests.Response) -> None:
        if response.status_code >= 400:
            raise HttpRefusal(response.status_code, response.text, response.headers.get("Retry-After", ""))


class Reads(_Plain, Info):  # type: ignore[misc]
    """The SDK's questions, without its WebSocket and its own table of names."""

    def __init__(self, base_url: str, timeout: tuple[float, float]) -> None:
        super().__init__(base_url, skip_ws=True, meta=_NO_PERPETUALS, spot_meta=_NO_SPOT, timeout=timeout)
        self.name_to_coin = _Names()
        self.session.max_redirects = 0

    def recent_trades(self, coin: str) -> Any:
        """The newest public trades of a coin, for which the SDK has no method."""
        return self.post("/info", {"type": "recentTrades", "coin": coin})


class Session(_Plain, Exchange):  # type: ignore[misc]
    """The SDK's session that signs; ``info`` asks.

    Args:
        wallet: Signs; ``None`` for a session that only asks.
        nonces: Those of the signer.
        mainnet: Whether actions are signed for real money.
    """

    def __init__(
        self, wallet: LocalAccount | None, base_url: str, timeout: tuple[float, float], nonces: Nonces, *, mainnet: bool
    ) -> None:
        super().__init__(wallet, base_url, meta=_NO_PERPETUALS, spot_meta=_NO_SPOT, timeout=timeout)
        self.session.max_redirects = 0
        self.info = Reads(base_url, timeout)
        self._nonces = nonces
        self._mainnet = mainnet

    def act(self, action: dict[str, Any], life_ms: int) -> list[Any]:
        """Sign and send an action the venue may carry out within ``life_ms``; its statuses, if it has any.

        Raises:
            ActionRefused: the venue refused it as a whole.
            Garbage: nobody can tell what the answer says.
        """
        if self.wallet is None:
            raise PermissionError("expected a private key to sign with, found none; set it beside the account")
        nonce = self._nonces.next()
        self.set_expires_after(nonce + life_ms)
        signature = sign_l1_action(self.wallet, action, None, nonce, self.expires_after, self._mainnet)
        return statuses(self._post_action(action, signature, nonce))

    def close(self) -> None:
        """Close the connections."""
        self.session.close()
        self.info.session.close()


def statuses(answer: Any) -> list[Any]:
    """The statuses in the answer to an action; none for one that is only confirmed."""
    word = checked(answer).get("status") if isinstance(answer, dict) else None
    response = answer.get("response") if isinstance(answer, dict) else None
    if word == "err":
        raise ActionRefused(response if isinstance(response, str) else repr(response)[:300])
    if word != "ok" or not isinstance(response, dict):
        raise Garbage(f"expected an answer with status ok or err, found {repr(answer)[:200]}")
    data = response.get("data")
    if data is None:
        return []
    found = data.get("statuses") if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise Garbage(f"expected statuses in the answer, found {repr(response)[:200]}")
    return found


def checked(answer: Any) -> Any:
    """``answer``, unless it is what the SDK makes of one that is no JSON; raises ``Garbage`` then."""
    if isinstance(answer, dict) and str(answer.get("error", "")).startswith(_UNPARSED):
        raise Garbage(f"expected JSON, found something else ({len(str(answer['error']))} characters)")
    return answer


def exactly(value: Decimal, name: str) -> float:
    """``value`` as the number the SDK writes it from, once that has proved to be the same.

    Raises:
        WireError: it has more digits than the SDK can write.
    """
    number = float(value)
    try:
        written = Decimal(float_to_wire(number))
    except ValueError as error:
        raise WireError(f"expected a {name} of at most 8 decimals, found {value}") from error
    if written != value:
        raise WireError(f"expected a {name} that the SDK writes exactly, found {value}, of which it makes {written}")
    return number


def wallet_of(private_key: str) -> LocalAccount | None:
    """The wallet of a private key; ``None`` where there is none.

    Raises:
        KeyFormatError: the text is none.
    """
    if not private_key:
        return None
    try:
        wallet: LocalAccount = Account.from_key(private_key)
    except Exception:
        # The library's text may quote the key: it goes no further.
        raise KeyFormatError(
            f"expected a private key of 64 hexadecimal digits, found {len(private_key)} characters that are none; "
            "copy the key of the API wallet as the venue gave it out"
        ) from None
    return wallet


def make_session(settings: HyperliquidSettings, wallet: LocalAccount | None, nonces: Nonces) -> Session:
    """A session for one thread."""
    timeout = (settings.connect_timeout_s, settings.request_timeout_s)
    mainnet = settings.mode is Mode.LIVE
    return Session(wallet, settings.endpoints.rest, timeout, nonces, mainnet=mainnet)
