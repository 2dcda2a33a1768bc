"""Everything that can be made to go wrong at a simulated venue."""

from __future__ import annotations

import enum


class RequestFault(enum.StrEnum):
    """What happens to a request. ``AFTER`` means it has been carried out all the same."""

    RATE_LIMIT = "rate_limit"
    """Refused as one too many, with the headers that say how long to wait."""
    RATE_LIMIT_BARE = "rate_limit_bare"
    """Refused as one too many, without such headers."""
    RET_CODE = "ret_code"
    """The venue's own error with ``code``."""
    HTTP_STATUS = "http_status"
    HTML = "html"
    HTML_AFTER = "html_after"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    STATUS_AFTER = "status_after"
    UNKNOWN_VALUE_AFTER = "unknown_value_after"
    """The answer's statuses are words nobody knows."""

    @property
    def after(self) -> bool:
        return self.value.endswith("_after")


EVERY_STREAM = "all"


class StreamFault(enum.StrEnum):
    DROP = "drop"
    """The sockets are cut without a closing handshake."""
    MUTE = "mute"
    """Nothing more is sent for ``seconds``, no pong either; what was due is lost."""
    GARBAGE = "garbage"
    """A frame that can't be decoded is sent."""
    UNKNOWN_TYPE = "unknown_type"
    """A well-formed message is sent of a type nobody knows."""
    CLOSE = "close"
    """The sockets are closed properly."""


class ExecutionFault(enum.StrEnum):
    """What happens to the message that tells of a fill; over REST the fill is there as always."""

    DUPLICATE = "duplicate"
    """It is sent twice."""
    DELAY = "delay"
    """It comes ``seconds`` late."""
    REORDER = "reorder"
    """It comes after the next one, or ``seconds`` late if there is none by then."""
    LOSE = "lose"
    """It never comes."""
    UNKNOWN_STATUS = "unknown_status"
    """Of a message about an order instead: its status is a word nobody knows."""


class Condition(enum.StrEnum):
    """What the whole venue is in for some seconds."""

    CLOCK_SKEW = "clock_skew"
    """Its clock is ``skew_ms`` ahead (behind, if negative)."""
    THIN_LIQUIDITY = "thin_liquidity"
    """Its synthetic depth has only ``share`` of the usual sizes: orders fill in part, or in many parts."""


class KeyState(enum.StrEnum):
    VALID = "valid"
    READ_ONLY = "read_only"
    REVOKED = "revoked"
