"""Who may act through the API, and how a request is refused."""

from __future__ import annotations

import hmac

from aiohttp import web


def refuse(status: int, text: str) -> web.Response:
    """A refusal that says what was expected."""
    return web.json_response({"error": text}, status=status)


def stranger(request: web.Request, token: str) -> web.Response | None:
    """The refusal of whoever does not hold the session's token."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer" and hmac.compare_digest(
        given.strip().encode(errors="surrogateescape"), token.encode(errors="surrogateescape")
    ):
        return None
    return refuse(401, "expected the token of this session in 'Authorization: Bearer ...', found another or none")
