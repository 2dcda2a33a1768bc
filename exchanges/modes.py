"""The modes a venue can be traded in, and the check before each order that nothing was swapped since.

The table itself is ``conf.modes.TABLE``, which configurations are checked against as well.
"""

from __future__ import annotations

from functools import lru_cache

from conf.modes import (
    LOOPBACK,
    Access,
    Mode,
    ModeError,
    access,
    address_fault,
    check_account,
    check_addresses,
    check_key,
)
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.venue import Outcome

__all__ = [
    "LOOPBACK",
    "Access",
    "Mode",
    "ModeError",
    "OrderGate",
    "access",
    "check_account",
    "check_addresses",
    "check_key",
    "ensure_mode",
]

WRONG_MODE = "WRONG_MODE"
ACCOUNT_NOT_CONFIRMED = "ACCOUNT_NOT_CONFIRMED"

_fault = lru_cache(maxsize=512)(address_fault)


def ensure_mode(venue: str, mode: Mode, name: str, url: str) -> None:
    """Check that a private call may go to ``url``; cheap enough for every order.

    Args:
        venue: whose.
        mode: the session's.
        name: which address it is (``rest_url``, ``private_url``).
        url: the address the session really uses, asked of the session and not of the settings.

    Raises:
        VenueError: it may not (``WRONG_MODE``, and nothing was sent). In ``paper`` none may.
    """
    if mode is Mode.PAPER:
        raise _refused(f"expected no private call to {venue} in mode paper, found one; orders are matched on this side")
    fault = _fault(venue, mode, name, url) if url else f"expected {name} of {venue}, found none; give it"
    if fault:
        raise _refused(fault)


def _refused(reason: str, code: str = WRONG_MODE, kind: FailureKind = FailureKind.INVALID) -> VenueError:
    return VenueError(Failure(kind, Outcome.NOT_SENT, code, reason))


class OrderGate:
    """What an adapter's commands pass: the right host, and in ``live`` the right account.

    Args:
        venue: whose.
        mode: the session's.
        live_account: the account typed out by hand.
    """

    __slots__ = ("_confirmed", "_live_account", "mode", "venue")

    def __init__(self, venue: str, mode: Mode, live_account: str = "") -> None:
        self.venue = venue
        self.mode = mode
        self._live_account = live_account
        self._confirmed = mode is not Mode.LIVE

    @property
    def confirmed(self) -> bool:
        """Whether orders may leave as far as the account is concerned."""
        return self._confirmed

    def confirm(self, account: str) -> None:
        """Take the account that the venue reports for the key; to be called before each private stream is opened.

        Raises:
            ModeError: in ``live``, it isn't the one that was typed out.
        """
        self._confirmed = self.mode is not Mode.LIVE
        check_account(self.venue, self.mode, self._live_account, account)
        self._confirmed = True

    def ensure(self, name: str, url: str, *, opens: bool = True) -> None:
        """Check one private call, before it is made.

        Args:
            name: which address it goes to.
            url: the address the session really uses.
            opens: false for cancels and queries, which may leave before the account is known.

        Raises:
            VenueError: ``WRONG_MODE`` or ``ACCOUNT_NOT_CONFIRMED``; nothing was sent.
        """
        ensure_mode(self.venue, self.mode, name, url)
        if opens and not self._confirmed:
            reason = f"expected the account of {self.venue} to be confirmed before an order, found that it isn't yet"
            raise _refused(reason, ACCOUNT_NOT_CONFIRMED, FailureKind.UNAVAILABLE)
