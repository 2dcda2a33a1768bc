"""REST calls of the official SDK through the resilience stack, one session for each thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from exchanges.failures import FailureKind, VenueError
from exchanges.hyperliquid.endpoints import ACCOUNT, OPENING, ROLE, stack_settings
from exchanges.hyperliquid.failures import classify
from exchanges.hyperliquid.names import VENUE
from exchanges.hyperliquid.session import Nonces, Reads, Session, checked, make_session, wallet_of
from exchanges.hyperliquid.settings import HyperliquidSettings
from exchanges.modes import OrderGate
from exchanges.resilience import Endpoint, Stack

Question = Callable[[Reads], Any]
"""A question of the SDK's, such as ``lambda info: info.meta()``."""


class Rest:
    """The venue's REST interface of one connection; belongs to one event loop, raises ``VenueError`` alone.

    Raises:
        KeyFormatError: the private key can't be read.
    """

    def __init__(self, settings: HyperliquidSettings) -> None:
        self.settings = settings
        self.gate = OrderGate(VENUE, settings.mode, settings.live_account.lower())
        self.stack = Stack(VENUE, stack_settings(settings), classify)
        self._wallet = wallet_of(settings.private_key)
        self._nonces = Nonces()
        self._own = settings.endpoints.rest
        self._life_ms = int(settings.order_life_s * 1_000)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[Session] = []

    @property
    def signer(self) -> str:
        """The address actions are signed by, in small letters; empty without a private key."""
        return str(self._wallet.address).lower() if self._wallet is not None else ""

    async def ask(self, endpoint: Endpoint, question: Question, *, key: Hashable = None) -> Any:
        """The answer to a question. Equal ones of a cached endpoint share it, so it must not be changed.

        Raises:
            VenueError: it failed, or it is about the account and the mode allows no such call.
        """
        if endpoint in ACCOUNT:
            self.gate.ensure("rest_url", self._address, opens=False)
        return await self.stack.call(endpoint, lambda: checked(question(self._session().info)), key=key)

    async def act(self, endpoint: Endpoint, action: dict[str, Any], *, key: Hashable = None) -> list[Any]:
        """Send an action, once; the statuses of its answer.

        Raises:
            VenueError: it failed; its failure says whether it may have been carried out. So it does where
                the mode allows no orders, or the account isn't the one that was typed out.
        """
        self.gate.ensure("rest_url", self._address, opens=endpoint in OPENING)
        try:
            return await self.stack.call(endpoint, lambda: self._session().act(action, self._life_ms), key=key)
        except VenueError as error:
            if error.failure.kind is FailureKind.UNAUTHORISED:
                self.stack.forget(ROLE)
            raise

    async def close(self) -> None:
        """Take no further call, wait for those under way, and close the connections."""
        await self.stack.close()
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    @property
    def _address(self) -> str:
        """Where the sessions really send to."""
        with self._lock:
            others = {str(session.base_url) for session in self._sessions} - {self._own}
        return others.pop() if others else self._own

    def _session(self) -> Session:
        """This thread's own session."""
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = make_session(self.settings, self._wallet, self._nonces)
            with self._lock:
                self._sessions.append(session)
        return session
