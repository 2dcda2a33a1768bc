"""What has to be right about key, clock and account before the private stream may open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from exchanges.bybit import endpoints, wire
from exchanges.bybit.rest import Rest
from exchanges.bybit.symbols import LINEAR, by_category
from exchanges.failures import VenueError
from exchanges.model.position import Balance
from exchanges.modes import ModeError
from exchanges.streams import AccessError, StreamError, refusal

_UNCHANGED = "110043"
_WALLET = "UNIFIED"


class Account:
    """The account behind the key, and how it has to be set up for us."""

    def __init__(self, rest: Rest, symbols: Iterable[str], counters: Counter[str]) -> None:
        self._rest = rest
        self._perpetuals = by_category(symbols).get(LINEAR, [])
        self._counters = counters
        self._leveraged: set[str] = set()

    async def ready(self) -> None:
        """Check clock, key and position mode, and set the leverage; again with each private connection.

        Raises:
            StreamError: something isn't as it has to be; the text says what to do.
        """
        await self.fit()
        await self._set_leverage()

    async def fit(self) -> None:
        """Check clock, key and position mode.

        Raises:
            StreamError: as ``ready``; an ``AccessError`` where only a person can mend it.
        """
        await self.check_clock()
        await self._check_key()
        await self._check_position_mode()

    async def check_clock(self) -> None:
        """Measure the clock, and refuse one that is too far off to be trusted, or was never measured."""
        try:
            await self._rest.sync(older_than_s=self._rest.settings.sync_every_s / 2)
        except VenueError as error:
            self._counters["clock_unmeasured"] += 1
            if not self._rest.skew.known:
                raise StreamError(f"clock: {_said(error)}") from error
        fault = self._rest.skew.fault(self._rest.settings.max_skew_s)
        if fault:
            self._counters["clock_refused"] += 1
            raise StreamError(fault)

    async def balances(self) -> tuple[Balance, ...]:
        """The coins of the account, a few seconds old at most: for sizes and displays.

        Raises:
            VenueError: they could not be had.
        """
        found: tuple[Balance, ...] = await self._rest.ask_account(
            endpoints.BALANCES,
            lambda session: session.get_wallet_balance(accountType=_WALLET),
            read=lambda result: tuple(coin for account in result["list"] for coin in wire.balances(account)),
        )
        return found

    def changed(self) -> None:
        """The venue says that balances have changed: what is kept of them is old."""
        self._rest.stack.forget(endpoints.BALANCES)

    # -- parts -----------------------------------------------------------------------------

    async def _check_key(self) -> None:
        facts = await self._attempt(
            "key check",
            self._rest.ask_account(endpoints.KEY, lambda session: session.get_api_key_information()),
        )
        if int(facts.get("readOnly") or 0):
            raise AccessError("expected a key that may trade, found a read-only one: make a new key")
        try:
            self._rest.gate.confirm(str(facts.get("userID") or ""))
        except ModeError as error:
            raise AccessError(str(error)) from error

    async def _check_position_mode(self) -> None:
        """One net position for each symbol: an account in hedge mode would hold two."""
        for name in self._perpetuals:
            result = await self._attempt("position mode", self._position_rows(name))
            hedged = [row for row in result["list"] if row.get("positionIdx") not in (None, "", 0, "0")]
            if hedged:
                raise AccessError(
                    f"expected the account in one-way mode, found {name} in hedge mode; switch {name} to one-way mode "
                    "at the venue (close its positions and orders first)"
                )

    async def _position_rows(self, name: str) -> Any:
        return await self._rest.ask_account(
            endpoints.POSITION_MODE, lambda session: session.get_positions(category=LINEAR, symbol=name), key=name
        )

    async def _set_leverage(self) -> None:
        leverage = self._rest.settings.leverage
        if leverage is None:
            return
        for name in self._perpetuals:
            if name not in self._leveraged:
                await self._leverage(name, wire.plain(leverage))
                self._leveraged.add(name)

    async def _leverage(self, name: str, value: str) -> None:
        try:
            await self._rest.order(
                endpoints.LEVERAGE,
                lambda session: session.set_leverage(
                    category=LINEAR, symbol=name, buyLeverage=value, sellLeverage=value
                ),
                key=name,
            )
        except VenueError as error:
            if error.failure.code != _UNCHANGED:
                raise StreamError(f"leverage {value} of {name}: {_said(error)}") from error
        self._counters["leverage_set"] += 1

    @staticmethod
    async def _attempt(what: str, work: Any) -> Any:
        try:
            return await work
        except VenueError as error:
            raise refusal(what, error) from error


def _said(error: VenueError) -> str:
    return f"{error.failure.code} {error.failure.reason}".strip()
