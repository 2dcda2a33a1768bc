"""Talks to a running session's gateway."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from actors.gateway.token import read_token, token_path
from bigwheel.errors import SessionError

TIMEOUT_S = 10.0


class GatewayClient:
    """Reads status from, and gives orders to, the session that uses ``store``.

    Args:
        store: The session's store folder.
        token_file: Where its token is, if not in the store.
    """

    def __init__(self, store: Path, token_file: str = "") -> None:
        self.store, self._token_file = store, token_file

    def url(self) -> str:
        """The gateway's address; raises ``SessionError`` where no session left one."""
        note = self.store / "gateway.json"
        try:
            return str(json.loads(note.read_text())["url"])
        except (OSError, ValueError, KeyError) as error:
            raise SessionError(
                f"expected a session running in {self.store}, found no gateway there ({error}); "
                "start one with `bigwheel run`, or name its folder with --store"
            ) from error

    def status(self) -> dict[str, Any]:
        """The overview of the whole system."""
        found = self._call("GET", "/status", None)
        if found.get("error"):
            raise SessionError(str(found["error"]))
        return found

    def control(self, action: str, target: str = "", reason: str = "") -> str:
        """Give an order; returns the id it is journaled under."""
        answer = self.post("/control", json.dumps({"action": action, "target": target, "reason": reason}).encode())
        return str(answer["id"])

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Send JSON that acts; returns the answer."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        url = self.url() + path
        request = urllib.request.Request(url, method=method, data=body)
        if body is not None:
            request.add_header("Authorization", f"Bearer {read_token(token_path(self.store, self._token_file))}")
            request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise SessionError(f"the gateway at {url} refused: {error.code} {error.read().decode()[:300]}") from error
        except (OSError, ValueError) as error:
            raise SessionError(
                f"expected the gateway of {self.store} at {url}, found: {error}; if the session has ended, "
                "start one with `bigwheel run`"
            ) from error
