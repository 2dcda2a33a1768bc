"""The kernel's errors. Each text says what was expected, what was found and what to do."""

from __future__ import annotations


class BigwheelError(Exception):
    """Base of every error the product raises on purpose."""


class SetupError(BigwheelError):
    """What an actor was given can't work: a person must mend it, and starting again won't."""


class DecodeError(BigwheelError):
    """Bytes that are no message of a known type."""


class JournalError(BigwheelError):
    """The journal can't be opened, read or written."""


class JournalCorruptError(JournalError, SetupError):
    """A stored record does not match its checksum, or the file is cut short."""


class TapeError(BigwheelError):
    """A tape can't be read by this program, or not be run again."""


class FencedError(BigwheelError):
    """A newer incarnation exists: this one may neither write nor act."""


class SnapshotError(BigwheelError):
    """No stored snapshot could be restored."""


class LinkError(BigwheelError):
    """A link can't be opened, or its peer broke the protocol."""


class SupervisionError(BigwheelError):
    """A child can't be started or stopped."""
