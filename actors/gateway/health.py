"""Is everything that should be up, up? Pure: an overview in, a verdict out."""

from __future__ import annotations

from typing import Any


def judge(overview: dict[str, Any]) -> dict[str, Any]:
    """``healthy``, and for each component its state and, where it is down, why.

    A component is an actor, a venue's stream, or the whole when there is no overview at all.
    """
    if overview.get("error"):
        return {"healthy": False, "components": {"root": {"state": "unreachable", "why": overview["error"]}}}
    components: dict[str, dict[str, Any]] = {}
    for actor in overview["actors"]:
        up = actor["state"] == "running"
        components[actor["name"]] = {"state": actor["state"], "epoch": actor["epoch"], "restarts": actor["restarts"]}
        if not up:
            components[actor["name"]]["why"] = actor.get("reason") or "it is not running"
    for venue, state in overview["venues"].items():
        for stream in ("public", "private"):
            up = bool(state.get(f"{stream}_up"))
            components[f"{venue} {stream} stream"] = {"state": "running" if up else "down"}
        if not state.get("reconciled"):
            components[f"{venue} books"] = {"state": "unreconciled", "why": "not yet compared with the venue's"}
    healthy = bool(overview["actors"]) and all(part["state"] == "running" for part in components.values())
    return {"healthy": healthy, "trading_state": overview["trading_state"], "components": components}
