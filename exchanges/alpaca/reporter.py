"""The private stream's messages as reports: what is certain at once, what is not after a look over REST.

Not certain is an execution that does not go on where the last one ended (a message was lost, or shows
the order after the next execution too), and an order that takes the place of one we don't know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.alpaca import wire
from exchanges.alpaca.lineage import Lineage, Node
from exchanges.alpaca.values import WireError, fields_of
from exchanges.model.venue import VENUE_PORT, FillReport, OrderReport
from runtime.lifecycle import DeadLetter
from runtime.message import Message

_KEPT = 2_000


class Reporter:
    """Turns trade updates into order and fill reports.

    Args:
        lineage: What is known of the venue's orders.
        crypto_rate: The fee assumed of crypto executions, as a fraction of the notional.
        resolve: Told the id of an order that has to be looked up before it can be reported rightly.
        counters: Gets ``unknown_statuses``, ``unknown_events``, ``executions_undone``,
            ``executions_deferred`` and ``updates_deferred``.
    """

    def __init__(
        self, lineage: Lineage, crypto_rate: Decimal, resolve: Callable[[str], None], counters: Counter[str]
    ) -> None:
        self._lineage = lineage
        self._crypto_rate = crypto_rate
        self._resolve = resolve
        self._counters = counters
        self._strange: set[str] = set()

    def take(self, data: object) -> Sequence[Message]:
        """The reports of one trade update; the execution first, so that the order's end finds it counted.

        Raises:
            WireError: it can't be read. If at least its order can be told, that is looked up.
        """
        try:
            update = wire.update(data)
        except WireError:
            self._look_up_order_of(data)
            raise
        order, execution = update.order, update.execution
        node = self._lineage.add(order, fresh=execution is not None)
        made: list[Message] = self._strangers(update, data)
        if execution is not None:
            made.extend(self._fill(node, execution))
        if update.event in wire.UNDONE:
            self._counters["executions_undone"] += 1
            made.append(_letter("undone", f"{update.event} of order {order.id}: positions will differ", data))
        report = self._lineage.view(node.root) if node.root is not None else None
        if report is not None:
            made.append(OrderReport(report))
        else:
            self._counters["updates_deferred"] += 1
        if report is None or node.told < node.order.filled:
            self._resolve(order.id)
        return made

    def _fill(self, node: Node, execution: wire.Execution) -> Sequence[Message]:
        if node.root is None or not self._lineage.accept(node, execution):
            self._counters["executions_deferred"] += 1
            return ()
        return (FillReport(wire.fill(execution, client_of(self._lineage, node), node.order.symbol, self._crypto_rate)),)

    def _strangers(self, update: wire.TradeUpdate, data: object) -> list[Message]:
        """Report a status or event that nobody knows: each time counted, and told the first time."""
        made: list[Message] = []
        found = (("status", update.order.status, wire.STATUSES), ("event", update.event, wire.EVENTS))
        for what, name, known in found:
            if name in known:
                continue
            self._counters["unknown_statuses" if what == "status" else "unknown_events"] += 1
            if f"{what} {name}" not in self._strange and len(self._strange) < _KEPT:
                self._strange.add(f"{what} {name}")
                reason = f"expected a known {what} of order {update.order.id}, found {name!r}; the order counts as open"
                made.append(_letter("unknown", reason, data))
        return made

    def _look_up_order_of(self, data: object) -> None:
        """An update that can't be read may hold an execution."""
        order: Any = data.get("order") if isinstance(data, dict) else None
        order_id = order.get("id") if isinstance(order, dict) else None
        if isinstance(order_id, str) and self._lineage.get(order_id) is not None:
            self._resolve(order_id)


def client_of(lineage: Lineage, node: Node) -> str:
    """The client order id that the executions of ``node`` belong to; empty for an order that has none."""
    chain = lineage.chain(node.root or "")
    return node.root or "" if chain and chain[0].order.client_id else ""


def message(frame: str | bytes) -> dict[str, Any]:
    """A frame of the private stream, numbers as they are written.

    Raises:
        WireError: it is no JSON object.
    """
    try:
        return fields_of(_decode(frame), "a message")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"expected a message in JSON: {error}") from error


def _letter(kind: str, reason: str, data: object) -> DeadLetter:
    return DeadLetter(VENUE_PORT, "", kind, reason, msgspec.json.encode(data)[:_KEPT])


_decode = msgspec.json.Decoder(float_hook=str).decode
