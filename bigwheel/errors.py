"""Errors of the front door: what a user can mend."""

from __future__ import annotations

from runtime.errors import BigwheelError


class UsageError(BigwheelError):
    """An argument that can't be used."""


class SessionError(BigwheelError):
    """No session can be started or found."""


class Interruption(KeyboardInterrupt):
    """Ctrl-C, where there is something to say of what was done until then."""
