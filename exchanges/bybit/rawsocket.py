"""The SDK's WebSocket in raw mode, at an address of our choosing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import websocket
from pybit.unified_trading import WebSocket

from exchanges.bybit.settings import BybitSettings
from exchanges.modes import Mode

_VENUE = re.compile(r"^wss://\{SUBDOMAIN\}\.\{DOMAIN\}\.(?:\{TLD\}|com)")
TOPICS_A_REQUEST = 10


class RawSocket(WebSocket):  # type: ignore[misc]
    """Hands every text to ``on_text`` as it came; never reconnects by itself, and never lingers on close."""

    failure = ""

    def __init__(self, channel: str, base: str, on_text: Callable[[str], None], **options: Any) -> None:
        self._base = base
        self._on_text = on_text
        super().__init__(
            channel,
            testnet=False,
            callback_function=on_text,
            # With 1 the SDK gives even a connection that stands up for failed (pybit 5.17).
            retries=2,
            restart_on_error=False,
            ping_interval=0,
            **options,
        )

    def _connect(self, url: str) -> None:
        super()._connect(_VENUE.sub(self._base, url))

    def _on_message(self, message: str) -> None:
        # The SDK would decode the JSON here, once more than needed.
        self._on_text(message)

    def _on_error(self, error: BaseException) -> None:
        # The SDK raises into its thread here; the supervisor sees the dead socket instead.
        self.failure = f"{type(error).__name__}: {error}"
        self.exited = True

    @property
    def alive(self) -> bool:
        return not self.exited and self.wst.is_alive() and bool(self.is_connected())

    def subscribe_to(self, topics: list[str]) -> int:
        """Ask for topics; returns how many requests that took, each of which is answered."""
        groups = [topics[n : n + TOPICS_A_REQUEST] for n in range(0, len(topics), TOPICS_A_REQUEST)]
        for number, group in enumerate(groups):
            self.ws.send(json.dumps({"op": "subscribe", "req_id": f"sub-{number}", "args": group}))
        return len(groups)

    def ping(self) -> None:
        self.ws.send(self.custom_ping_message)


def open_socket(
    channel: str, base: str, on_text: Callable[[str], None], settings: BybitSettings, skew_s: float = 0.0
) -> RawSocket:
    """Connect, and send the authentication on the private channel. Blocks: call it on a thread.

    ``skew_s`` is by how much the venue's clock is ahead of ours: the authentication is valid for that much longer.

    Raises:
        Exception: whatever the SDK or the network raise when there is no connection.
    """
    websocket.setdefaulttimeout(settings.connect_timeout_s)
    private = channel == "private"
    return RawSocket(
        channel,
        base,
        on_text,
        demo=private and settings.mode is Mode.DEMO,
        api_key=settings.key if private else None,
        api_secret=settings.secret if private else None,
        private_auth_expire=settings.auth_expire_s + math.ceil(max(0.0, skew_s)),
    )
