"""What has to be right about key and account before the private stream may open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.hyperliquid import endpoints
from exchanges.hyperliquid.catalogue import Catalogue
from exchanges.hyperliquid.rest import Rest
from exchanges.model.venue import Outcome
from exchanges.modes import ModeError
from exchanges.streams import AccessError, StreamError, refusal

AGENT, USER = "agent", "user"


class Account:
    """The account, the wallet that signs for it, and how it has to be set up for us."""

    def __init__(self, rest: Rest, catalogue: Catalogue, coins: Sequence[str], counters: Counter[str]) -> None:
        self._rest = rest
        self._catalogue = catalogue
        self._coins = coins
        self._counters = counters
        self._leveraged: set[str] = set()

    async def ready(self) -> None:
        """Check that the wallet may sign for the account, and set the leverage; again with each connection.

        Raises:
            StreamError: something isn't as it has to be; the text says what to do.
        """
        await self.fit()
        await self._set_leverage()

    async def fit(self) -> None:
        """Check that the wallet may sign for the account, and that it is the account of the mode.

        Raises:
            StreamError: the venue can't be asked; an ``AccessError`` where something has to be mended.
        """
        try:
            self._rest.gate.confirm(await self._owner())
        except ModeError as error:
            raise AccessError(str(error)) from error

    async def _owner(self) -> str:
        """The account the wallet signs for, by the venue's word."""
        signer, user = self._rest.signer, self._rest.settings.user
        if not signer:
            raise AccessError("expected a private key to sign with, found none; set it beside the account")
        try:
            told = await self._rest.ask(endpoints.ROLE, lambda info: info.user_role(signer))
        except VenueError as error:
            raise refusal("key check", error) from error
        role, owner = _role(told)
        if role == USER and signer == user:
            return user
        if role == AGENT and owner == user:
            return user
        found = {AGENT: "an API wallet of another account", USER: "another account's own key"}.get(role, role or "none")
        text = (
            f"expected an API wallet that account ...{user[-4:]} has approved, or its own key, found {found}; approve "
            "the wallet at the venue, or correct the account's address"
        )
        raise AccessError(f"key check: {text}", Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, "WALLET", text))

    async def _set_leverage(self) -> None:
        leverage = self._rest.settings.leverage
        if leverage is None:
            return
        for coin in self._coins:
            if coin in self._leveraged:
                continue
            try:
                action = {
                    "type": "updateLeverage",
                    "asset": await self._catalogue.asset(coin),
                    "isCross": True,
                    "leverage": leverage,
                }
                await self._rest.act(endpoints.LEVERAGE, action, key=coin)
            except VenueError as error:
                raise StreamError(f"leverage {leverage} of {coin}: {_said(error)}") from error
            self._leveraged.add(coin)
            self._counters["leverage_set"] += 1


def _role(told: Any) -> tuple[str, str]:
    """The role in ``userRole``, and whose agent it is, as far as it can be read."""
    if not isinstance(told, dict):
        return "", ""
    data = told.get("data")
    owner = data.get("user") if isinstance(data, dict) else None
    return str(told.get("role") or ""), str(owner or "").lower()


def _said(error: VenueError) -> str:
    return f"{error.failure.code} {error.failure.reason}".strip()
