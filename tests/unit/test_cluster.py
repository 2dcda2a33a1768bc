"""Where the Ray that is started or joined listens."""

from __future__ import annotations

from typing import Any

import pytest
import ray
from ray._private import ray_constants
from ray._private.authentication import authentication_token_setup

from bigwheel.cluster import start_ray
from bigwheel.errors import SessionError
from conf import load


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What ``ray.init`` is told, and whether Ray takes part in networks then."""
    found: list[dict[str, Any]] = []

    def init(**told: Any) -> None:
        found.append({**told, "networked": ray_constants.ENABLE_RAY_CLUSTER})

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    monkeypatch.setattr(authentication_token_setup, "maybe_enable_token_auth_if_token_available", lambda **told: False)
    return found


@pytest.mark.parametrize(
    ("told", "address", "networked"),
    [
        ({}, "local", False),
        ({"loopback": False}, "local", True),
        ({"address": "127.0.0.1:6379"}, "127.0.0.1:6379", False),
        ({"address": "[::1]:6379"}, "[::1]:6379", False),
        ({"address": "192.0.2.7:6379"}, "192.0.2.7:6379", True),
        ({"address": "ray://127.0.0.1:10001"}, "ray://127.0.0.1:10001", True),
    ],
)
def test_a_ray_of_ones_own_is_this_machines_alone_unless_told_otherwise_and_others_are_met_where_they_are(
    started: list[dict[str, Any]], told: dict[str, object], address: str, networked: bool
) -> None:
    start_ray(load("test", {"ray": told}, {}))
    (once,) = started
    assert (once["address"], once["networked"]) == (address, networked)
    assert ray_constants.ENABLE_RAY_CLUSTER is True, "it is put back"


def test_what_keeps_ray_from_starting_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**told: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(SessionError, match="expected a Ray cluster on this machine, found: no room; check --address"):
        start_ray(load("test", {}, {}))
