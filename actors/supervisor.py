"""The tree's supervisors: what they do to their children is journaled through the bus."""

from __future__ import annotations

import asyncio

from actors.messages.control import ActorRestarted, ActorStopped
from actors.names import BUS
from runtime.host.engine import Engine
from runtime.host.host import links_folder
from runtime.host.receiver import Receiver
from runtime.links.directory import open_directory
from runtime.links.endpoint import Endpoint
from runtime.message import Message
from runtime.supervision.events import GaveUp, Restarted, Stopped, SupervisionEvent
from runtime.supervision.supervisor import Supervisor


class TradingSupervisor(Supervisor):
    """Reports restarts and losses of its children to the bus, over a link of its own."""

    def __init__(self, spec: bytes = b"", spare: str = "") -> None:
        super().__init__(spec, spare)
        self._engine: Engine | None = None
        self._endpoint: Endpoint | None = None
        self._stop_request: asyncio.Task[None] | None = None
        self._stopped = False
        self._epoch = 0
        self._early: list[Message] = []
        # An orderly stop forgets every child, so whoever finds some comes after a crash.
        self._outlived = bool(self._registry.living())

    async def run(self) -> str:
        """Supervise until stopped; the link to the bus opens with it."""
        if self._ended is None:
            self._spawn(self._open(), "open its link")
        return await super().run()

    async def request_stop(self, reason: str) -> None:
        """Stop everything from here down, after answering."""
        if self._stop_request is None:
            deadline_s = max((child.stop_deadline_s for child in self.spec.children), default=5.0) * 2
            self._stop_request = asyncio.ensure_future(self.stop(reason, deadline_s))

    async def stop(self, reason: str, deadline_s: float) -> None:
        await super().stop(reason, deadline_s)
        if self._endpoint is not None:
            await self._endpoint.close()
        self._stopped = True

    async def status(self) -> dict[str, object]:
        return {**await super().status(), "stopped": self._stopped, "epoch": self._epoch}

    def notify(self, event: SupervisionEvent) -> None:
        super().notify(event)
        message = self._told(event)
        if message is not None and not self._stopping:
            self._tell(message)

    def _tell(self, message: Message) -> None:
        """Post ``message`` to the bus, as soon as the link to it is there."""
        if self._engine is None:
            self._early.append(message)
        else:
            self._engine.post(self._host, BUS, message)

    @property
    def _host(self) -> str:
        return f"supervisor/{self.spec.name}"

    async def _open(self) -> None:
        engine = Engine(log=BUS)
        epoch = self._epoch = await self._registry.next_epoch()
        directory = open_directory("unix", links_folder(self.spec.run_dir))
        endpoint = Endpoint(self._host, epoch, [], Receiver(engine), directory)
        engine.endpoint = endpoint
        await endpoint.start()
        self._engine, self._endpoint = engine, endpoint
        if self._outlived and not self.spec.parent:
            # Nobody of ours restarts the root, so it reports its own restart.
            reason = "its predecessor ended without stopping its children"
            self._tell(ActorRestarted(self.spec.name, self.spec.kind, epoch, reason))
        early, self._early = self._early, []
        for message in early:
            self._tell(message)

    def _told(self, event: SupervisionEvent) -> Message | None:
        kind = self._named(event.child).spec.kind
        if isinstance(event, Restarted):
            return ActorRestarted(event.child, kind, event.epoch, event.reason, event.recovery_ns)
        if isinstance(event, GaveUp):
            return ActorStopped(event.child, kind, event.reason, failed=True)
        if isinstance(event, Stopped):
            return ActorStopped(event.child, kind, event.reason, failed=False)
        return None
