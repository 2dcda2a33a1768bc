"""The engine as its endpoint sees it."""

from __future__ import annotations

from runtime.host.engine import Engine


class Receiver:
    """What the endpoint calls, passed on to the engine."""

    def __init__(self, engine: Engine) -> None:
        self.arrived = engine.arrived
        self.peer_up = engine.peer_up
        self.peer_down = engine.peer_down
        self.drained = engine.drained
        self.dead_letter = engine.undeliverable
