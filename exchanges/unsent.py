"""Whether a request left at all, by the error of the HTTP library: the one thing that all of them tell for certain."""

from __future__ import annotations

import requests
import urllib3

_UNCONNECTED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


def never_left(error: BaseException) -> bool:
    """Whether no connection could be made at all, so that no byte of the request went out."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, *_UNCONNECTED)):
        return True
    if not isinstance(error, requests.exceptions.ConnectionError):
        return False
    return any(isinstance(getattr(cause, "reason", cause), _UNCONNECTED) for cause in error.args)
