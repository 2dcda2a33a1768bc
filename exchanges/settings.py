"""What the settings of every adapter have in common."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from exchanges.modes import Mode, access, check_addresses
from exchanges.streams import StreamPace


class AdapterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect, as whom, and how patiently. Times in seconds. No secret shows up in a text made of it.

    A venue's own settings add its addresses, under the names of the table of modes; an empty one is the venue's
    own for the mode, and ``sim`` has none. In mode ``live`` the key must belong to ``live_account``.
    """

    venue: ClassVar[str] = ""
    proof: ClassVar[str] = "key"
    """The setting without which there is no key."""

    mode: Mode
    live_account: str = ""
    streams: tuple[str, ...] = ("trade", "quote", "bar")
    bar_interval_s: int = 60
    request_timeout_s: float = 5.0
    connect_timeout_s: float = 10.0
    stale_after_s: float = 15.0
    backoff_base_s: float = 0.25
    backoff_cap_s: float = 15.0

    def pace(self, look_s: float = 0.1) -> StreamPace:
        """How patiently streams are kept, and looked at how often."""
        return StreamPace(
            stale_after_s=self.stale_after_s,
            connect_timeout_s=self.connect_timeout_s,
            backoff_base_s=self.backoff_base_s,
            backoff_cap_s=self.backoff_cap_s,
            look_s=look_s,
        )

    def addresses(self) -> dict[str, str]:
        """The addresses in force, by setting.

        Raises:
            ModeError: one of them is not of this mode.
        """
        given = {name: str(getattr(self, name)) for name in access(self.venue, self.mode).hosts}
        return check_addresses(self.venue, self.mode, given)

    def ensure_streams(self, *known: str) -> None:
        """Raises ``ValueError`` unless every stream is ``known``."""
        unknown = sorted(set(self.streams) - set(known))
        if unknown:
            raise ValueError(f"expected streams among {', '.join(known)}, found {', '.join(unknown)}")

    def __repr__(self) -> str:
        key, rest = "set" if getattr(self, self.proof) else "none", self.addresses()["rest_url"]
        return f"{type(self).__name__}(mode={self.mode.value!r}, rest={rest!r}, key={key})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """What rich prints: no more than ``repr`` says."""
        return [("mode", self.mode.value), ("rest", self.addresses()["rest_url"])]
