"""How far a journaling host has handled its inputs, as the journal stores it and as links take it."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.lanes import Lane


def offset_key(host: str, lane: Lane) -> str:
    """The journal's name for the input offset of what ``host`` sends on ``lane``."""
    return f"{host}|{int(lane)}"


def input_cursors(offsets: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, dict[int, int]]]:
    """The journal's input offsets in the form the endpoint takes: by host, the newest epoch's."""
    result: dict[str, tuple[int, dict[int, int]]] = {}
    for key, (epoch, seq) in offsets.items():
        host, _, lane = key.rpartition("|")
        known_epoch, lanes = result.get(host, (0, {}))
        if epoch > known_epoch:
            known_epoch, lanes = epoch, {}
        if epoch == known_epoch:
            lanes[int(lane)] = seq
        result[host] = (known_epoch, lanes)
    return result
