"""The look before a session begins: whether a venue takes the key and lists the symbols."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from exchanges.credentials import CredentialError, refused
from exchanges.interface import Exchange
from exchanges.modes import Mode
from exchanges.streams import AccessError

log = logging.getLogger(__name__)

CHECK_S = 30.0
"""How long a venue has for the questions before the start."""


async def ensure_access(exchange: Exchange, symbols: Sequence[str], mode: Mode, source: str) -> None:
    """Look, before the streams are opened, whether the venue takes the key and lists the symbols.

    Args:
        source: where the key was found, as ``Credentials.source`` says it.

    Raises:
        SetupError: it doesn't: what was expected, what was found, what to do.
    """
    try:
        async with asyncio.timeout(CHECK_S):
            await exchange.check(symbols)
    except TimeoutError:
        log.warning("%s did not answer within %g s; the session begins without its word", exchange.venue, CHECK_S)
    except AccessError as error:
        if error.failure is None:
            raise
        raise CredentialError(refused(exchange.venue, mode, source, error.failure)) from error
