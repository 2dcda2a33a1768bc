"""Which of the venue's orders are one order of ours, and what is known of it in sum.

Amending makes a new order at the venue (``replaces`` and ``replaced_by``) with an id and a client
order id of its own. Ours is named after its root: ``bw-X.r2`` is the second successor of ``bw-X``,
so that even a process that remembers nothing sees whose it is. Where the venue gave it another
name, ``replaces`` leads back.

What becomes of the executions of the old order is documented nowhere: the new one may begin with
nothing filled, or carry them over. Its own executions tell: what was filled before the first of
them was carried over (``carried``).
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

from exchanges.alpaca.wire import Execution, VenueOrder
from exchanges.model.order import Order, OrderStatus

SUCCESSOR = ".r"
_SUCCESSOR = re.compile(r"(.+)\.r([1-9][0-9]*)", re.ASCII | re.DOTALL)
_REPLACED = "replaced"
_NOT_THERE_YET = ("pending_new", "accepted", "pending_review", "rejected")
"""A successor in these states has not taken its predecessor's place, unless that one says so."""

_ZERO = Decimal(0)


def root_of(client_id: str) -> str:
    """The client order id that an order, or its first ancestor, was placed with."""
    found = _SUCCESSOR.fullmatch(client_id)
    return found[1] if found is not None else client_id


def successor_of(client_id: str) -> str:
    """The client order id of the order that replaces this one."""
    found = _SUCCESSOR.fullmatch(client_id)
    generation = int(found[2]) + 1 if found is not None else 1
    return f"{root_of(client_id)}{SUCCESSOR}{generation}"


class Node:
    """One of the venue's orders, with the executions of it that were reported."""

    __slots__ = ("carried", "executions", "order", "root", "told")

    def __init__(self, order: VenueOrder) -> None:
        self.order = order
        self.root: str | None = None
        self.told = order.filled
        """How much of it is filled by executions that were reported, or were there when it was first seen."""
        self.carried: Decimal | None = None if order.filled and order.replaces else _ZERO
        """How much of ``filled`` are executions of its predecessors; ``None`` while that is not known."""
        self.executions: dict[Decimal, Decimal] = {}
        """Quantity by cumulative quantity."""


class Lineage:
    """The venue's orders by id, and their chains by root. Forgets the oldest that have ended."""

    def __init__(self, counters: Counter[str], capacity: int = 20_000) -> None:
        self._counters = counters
        self._capacity = capacity
        self._nodes: dict[str, Node] = {}
        self._chains: dict[str, list[Node]] = {}
        self._orphans: dict[str, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, order_id: str) -> Node | None:
        return self._nodes.get(order_id)

    def chain(self, root: str) -> list[Node]:
        """The known orders of one of ours, oldest first."""
        return self._chains.get(root, [])

    def head(self, root: str) -> Node | None:
        """The order that stands at the venue for it now."""
        standing = _standing(self.chain(root))
        return standing[-1] if standing else None

    def add(self, order: VenueOrder, *, fresh: bool = False) -> Node:
        """Take in a view of an order; an older one than is known changes nothing.

        ``fresh`` is for one whose execution is just being reported: nothing of it was told before.
        """
        node = self._nodes.get(order.id)
        if node is None:
            self._make_room()
            node = self._nodes[order.id] = Node(order)
            node.told = _ZERO if fresh else order.filled
        elif _progress(order) >= _progress(node.order) or (order.final and not node.order.final):
            node.order = order
        if node.root is None:
            self._place(node)
        return node

    def accept(self, node: Node, execution: Execution) -> bool:
        """Whether an execution from the stream follows what was told; if so, it is told.

        The stream shows the order as it is when the message is made, which may be after the next
        execution. Only one that goes on where the last ended is surely named rightly.
        """
        if node.executions.get(execution.cumulative) == execution.quantity:
            self._counters["executions_again"] += 1
            return True
        if execution.cumulative != node.told + execution.quantity:
            return False
        self._tell(node, execution)
        return True

    def fetched(self, execution: Execution) -> None:
        """Take in an execution from the account's activities."""
        node = self._nodes.get(execution.order_id)
        if node is not None:
            self._tell(node, execution)

    def settle(self, root: str) -> bool:
        """Whether the chain's executions, all of which were fetched, explain what is filled."""
        settled, earlier = True, _ZERO
        for node in self.chain(root):
            known, filled = node.executions, node.order.filled
            if known:
                first = min(known)
                node.carried = first - known[first]
            elif filled and filled == earlier:
                node.carried = filled
            own = sum(known.values(), _ZERO)
            settled = settled and node.carried is not None and node.carried + own >= filled
            earlier += own
        return settled

    def view(self, root: str) -> Order | None:
        """The order as we count it; ``None`` while too little is known of its chain."""
        standing = _standing(self.chain(root))
        if not standing or standing[-1].order.status == _REPLACED or standing[0].order.replaces:
            return None
        head = standing[-1]
        earlier = sum((node.order.filled - (node.carried or _ZERO) for node in standing[:-1]), _ZERO)
        if not earlier:
            return _order(root, head.order, _ZERO, self.chain(root))
        return None if head.carried is None else _order(root, head.order, earlier - head.carried, self.chain(root))

    def alone(self, node: Node) -> Order:
        """An order whose ancestors can't be found, as if it had none."""
        return _order(node.root or node.order.client_id, node.order, _ZERO, [node])

    def _tell(self, node: Node, execution: Execution) -> None:
        node.executions[execution.cumulative] = execution.quantity
        node.told = max(node.told, execution.cumulative)

    def _place(self, node: Node) -> None:
        """Find out whose it is; with it, whose those are that waited for it."""
        root = node.root = self._root(node.order)
        if root is None:
            self._orphans[node.order.replaces] = node
            return
        chain = self._chains.setdefault(root, [])
        chain.append(node)
        chain.sort(key=_generation)
        waiting = self._orphans.pop(node.order.id, None)
        if waiting is not None:
            self._place(waiting)

    def _root(self, order: VenueOrder) -> str | None:
        named = root_of(order.client_id)
        if not order.replaces or named != order.client_id:
            return named or order.id
        before = self._nodes.get(order.replaces)
        return before.root if before is not None else None

    def _make_room(self) -> None:
        """Forget whole chains that have ended, the oldest first."""
        if len(self._nodes) < self._capacity:
            return
        for root, chain in list(self._chains.items()):
            head = self.head(root)
            if head is None or head.order.final:
                del self._chains[root]
                for node in chain:
                    self._nodes.pop(node.order.id, None)
            if len(self._nodes) <= self._capacity * 3 // 4:
                return


def _progress(order: VenueOrder) -> tuple[int, Decimal, int]:
    """How far a view of an order is: several may bear the same time."""
    ended = order.final or order.status == _REPLACED
    return order.updated_ns, order.filled, 2 if ended else int(order.status not in _NOT_THERE_YET)


def _standing(chain: list[Node]) -> list[Node]:
    """Those that have stood at the venue, one after the other; a replacement that was refused never did."""
    standing = chain[:1]
    for node in chain[1:]:
        status = node.order.status
        taken_over = standing[-1].order.status == _REPLACED and status != "rejected"
        if taken_over or status not in _NOT_THERE_YET:
            standing.append(node)
    return standing


def _generation(node: Node) -> tuple[int, int, str]:
    found = _SUCCESSOR.fullmatch(node.order.client_id)
    return node.order.submitted_ns, int(found[2]) if found is not None else 0, node.order.id


def _order(root: str, head: VenueOrder, more: Decimal, chain: list[Node]) -> Order:
    """``head`` as the order it stands for; ``more`` was filled before it."""
    filled, status = head.filled + more, head.state
    if status is OrderStatus.OPEN and filled:
        status = OrderStatus.PARTIALLY_FILLED
    return Order(
        client_id=root if chain[0].order.client_id else "",
        symbol=head.symbol,
        side=head.side,
        type=head.type,
        quantity=head.quantity + more,
        price=head.price,
        time_in_force=head.time_in_force,
        status=status,
        venue_id=head.id,
        filled=filled,
        average_price=head.average_price,
        reason=head.reason or ("" if head.known else f"UNKNOWN_STATUS: {head.status}"),
        updated_ns=max(node.order.updated_ns for node in chain),
    )
