"""Looks up what the private stream left uncertain, and reports it as if it had been pushed."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

from exchanges.alpaca import wire
from exchanges.alpaca.lineage import Lineage
from exchanges.alpaca.lookup import Lookup
from exchanges.alpaca.reporter import client_of
from exchanges.alpaca.values import VENUE, WireError
from exchanges.failures import VenueError
from exchanges.interface import Sink
from exchanges.model.order import Fill
from exchanges.model.venue import FillReport, OrderReport
from exchanges.tasks import end

logger = logging.getLogger(__name__)

TRIES = 6
_FIRST_WAIT_S = 0.2


class Resolver:
    """One look at a time for each order; what is asked for meanwhile is another look afterwards.

    Executions are in the account's activities a moment after the stream has told them: a look that
    doesn't explain the order is repeated a few times. What remains then, the next comparison with the
    venue's whole state finds. Counters: ``resolved``, ``resolved_not``.
    """

    def __init__(
        self, lookup: Lookup, crypto_rate: Decimal, sink: Sink, counters: Counter[str], *, wait_s: float = _FIRST_WAIT_S
    ) -> None:
        self._lookup = lookup
        self._crypto_rate = crypto_rate
        self._sink = sink
        self._counters = counters
        self._wait_s = wait_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    def resolve(self, order_id: str) -> None:
        """Look an order up, if possible soon; called on the event loop."""
        if order_id in self._tasks:
            self._again.add(order_id)
            return
        self._start(order_id)

    async def close(self) -> None:
        """End the looks under way."""
        tasks = list(self._tasks.values())
        await end(tasks)

    def _start(self, order_id: str) -> None:
        work: Coroutine[Any, Any, None] = self._work(order_id)
        task = asyncio.get_running_loop().create_task(work, name=f"{VENUE} resolve {order_id}")
        self._tasks[order_id] = task
        task.add_done_callback(lambda _done: self._ended(order_id))

    def _ended(self, order_id: str) -> None:
        task = self._tasks.pop(order_id)
        if order_id in self._again:
            self._again.discard(order_id)
            if not task.cancelled():
                self._start(order_id)

    async def _work(self, order_id: str) -> None:
        problem = ""
        for attempt in range(TRIES):
            try:
                if await self._look(order_id):
                    self._counters["resolved"] += 1
                    return
                problem = "its executions are not among the account's activities yet"
            except (VenueError, WireError) as error:
                problem = str(error)
            await asyncio.sleep(self._wait_s * (1 << attempt))
        self._counters["resolved_not"] += 1
        logger.warning("order %s of %s stays uncertain after %d looks: %s", order_id, VENUE, TRIES, problem)

    async def _look(self, order_id: str) -> bool:
        """Report the order's chain and its executions; whether that explains all that is filled."""
        node = await self._lookup.by_id(order_id)
        if node is None or node.root is None:
            return False
        lineage, root = self._lookup.lineage, node.root
        chain = {member.order.id for member in lineage.chain(root)}
        since_ns = min(member.order.submitted_ns for member in lineage.chain(root))
        if any(member.order.filled for member in lineage.chain(root)):
            for execution in await self._lookup.executions(since_ns):
                if execution.order_id in chain:
                    self._sink(FillReport(fill_of(lineage, execution, self._crypto_rate)))
        settled = lineage.settle(root)
        view = lineage.view(root)
        if view is not None and settled:
            self._sink(OrderReport(view))
        return settled and view is not None


def fill_of(lineage: Lineage, execution: wire.Execution, crypto_rate: Decimal) -> Fill:
    """An execution of an order that is known by now, as ours.

    Raises:
        WireError: its order is not known.
    """
    node = lineage.get(execution.order_id)
    if node is None:
        raise WireError(f"expected order {execution.order_id} of execution {execution.id} to be known, found no trace")
    return wire.fill(execution, client_of(lineage, node), node.order.symbol, crypto_rate)
