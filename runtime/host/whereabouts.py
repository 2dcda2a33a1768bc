"""Where the cells of other nodes are: what the root said last, asked again when a name is missing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import ray

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
ANSWER_WITHIN_S = 5.0


class Whereabouts:
    """A resolver of logical names to actors on other nodes.

    ``resolve`` answers from memory, as links need it; ``keep`` looks up what was missed.
    Actors of this node are left out: their sockets are nearer.

    Args:
        namespace: Ray namespace of the session.
        root: Ray name of the root supervisor, whose ``locate(cell)`` gives a Ray name.
        node: This node's id.
    """

    def __init__(self, namespace: str, root: str, node: str) -> None:
        self._namespace, self._root, self._node = namespace, root, node
        self._known: dict[str, tuple[str, Any]] = {}
        self._missed: set[str] = set()

    def resolve(self, cell: str) -> tuple[str, Any] | None:
        """The host's name and handle; ``None`` where none is known on another node."""
        self._missed.add(cell)
        return self._known.get(cell)

    async def keep(self) -> None:
        """Look up what was asked for, for as long as the task runs."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            missed, self._missed = sorted(self._missed), set()
            for cell in missed:
                try:
                    await self._look_up(cell)
                except (ValueError, TimeoutError, ray.exceptions.RayError) as error:
                    # The root or the host may be restarting: the next miss asks again.
                    self._known.pop(cell, None)
                    log.warning("no word of where %s is: %s", cell, error)

    async def _look_up(self, cell: str) -> None:
        root = ray.get_actor(self._root, namespace=self._namespace)
        ray_name = await self._answer(root.locate.remote(cell))
        if not ray_name:
            self._known.pop(cell, None)
            return
        handle = ray.get_actor(ray_name, namespace=self._namespace)
        host, node = await self._answer(handle.where.remote())
        if node != self._node:
            self._known[cell] = (host, handle)

    async def _answer(self, ref: Any) -> Any:
        return await asyncio.wait_for(asyncio.wrap_future(ref.future()), ANSWER_WITHIN_S)
