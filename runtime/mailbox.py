"""Bounded queues in lanes: where messages wait for a behavior, or for a link."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

from runtime.lanes import Delivery, Lane

T = TypeVar("T")

CAPACITIES: dict[Lane, int] = {Lane.CONTROL: 1024, Lane.ORDER: 8192, Lane.DATA: 8192}
_COMPACT_ABOVE = 64
_ALL, _LATEST, _OLDEST = (int(delivery) for delivery in (Delivery.ALL, Delivery.LATEST, Delivery.OLDEST))
_DATA = int(Lane.DATA)


class _Slot:
    """A waiting item that may still be replaced (``key`` set) or dropped (``key`` None)."""

    __slots__ = ("gone", "item", "key")

    def __init__(self, item: Any, key: Hashable) -> None:
        self.item = item
        self.key = key
        self.gone = False


class LaneQueue(Generic[T]):
    """One lane: first in, first out, with conflation and dropping as the items ask for.

    Items of ``Delivery.ALL`` are stored as they are; only the others cost a small wrapper.
    Every operation takes amortized constant time. Items must not be ``None``.
    """

    __slots__ = ("_droppable", "_gone", "_items", "_keyed", "capacity", "conflated", "dropped")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"expected a lane capacity of at least 1, found {capacity}; raise it")
        self.capacity = capacity
        self.dropped = 0
        self.conflated = 0
        self._items: deque[Any] = deque()
        self._keyed: dict[Hashable, _Slot] = {}
        self._droppable: deque[_Slot] = deque()
        self._gone = 0

    def __len__(self) -> int:
        return len(self._items) - self._gone

    @property
    def solid(self) -> int:
        """Waiting items that nothing may drop."""
        return len(self._items) - self._gone - len(self._droppable)

    def put(self, item: T, key: Hashable = "", delivery: int = _ALL, *, force: bool = False) -> bool:
        """Store ``item``, or say ``False`` when the lane is full and nothing may give way.

        A full lane first gives up its oldest droppable item. An ``OLDEST`` item that finds
        no room is itself dropped and counted (``True``: the sender need not hold back).
        ``force`` stores ``ALL`` and ``LATEST`` items above the capacity.
        """
        if delivery == _LATEST:
            waiting = self._keyed.get(key)
            if waiting is not None:
                waiting.item = item
                self.conflated += 1
                return True
        if len(self._items) - self._gone >= self.capacity and not self._drop_oldest():
            if delivery == _OLDEST:
                self.dropped += 1
                return True
            if not force:
                return False
        if delivery == _ALL:
            self._items.append(item)
        elif delivery == _LATEST:
            self._keyed[key] = slot = _Slot(item, key)
            self._items.append(slot)
        else:
            slot = _Slot(item, None)
            self._droppable.append(slot)
            self._items.append(slot)
        return True

    def take(self) -> T | None:
        """The oldest waiting item, removed; ``None`` when there is none."""
        items = self._items
        while items:
            entry = items.popleft()
            if type(entry) is not _Slot:
                item: T = entry
                return item
            if entry.gone:
                self._gone -= 1
                continue
            if entry.key is None:
                # Droppable slots wait in the same order in both deques, so this one is its head.
                self._droppable.popleft()
            else:
                del self._keyed[entry.key]
            latest: T = entry.item
            return latest
        return None

    def _drop_oldest(self) -> bool:
        if not self._droppable:
            return False
        slot = self._droppable.popleft()
        slot.gone = True
        slot.item = None
        self._gone += 1
        self.dropped += 1
        items = self._items
        while items and type(items[0]) is _Slot and items[0].gone:
            items.popleft()
            self._gone -= 1
        if self._gone > _COMPACT_ABOVE and self._gone * 2 > len(items):
            self._items = deque(entry for entry in items if type(entry) is not _Slot or not entry.gone)
            self._gone = 0
        return True


class Mailbox(Generic[T]):
    """What waits for one behavior: served control first, then orders, then data.

    Args:
        capacities: Items each lane holds; a lane not named keeps its default of ``CAPACITIES``.
    """

    __slots__ = ("_lanes", "_upto")

    def __init__(self, capacities: Mapping[Lane, int] | None = None) -> None:
        sizes = {**CAPACITIES, **(capacities or {})}
        self._lanes: tuple[LaneQueue[T], ...] = tuple(LaneQueue(sizes[lane]) for lane in Lane)
        self._upto = tuple(self._lanes[: lane + 1] for lane in Lane)

    def offer(
        self,
        lane: Lane,
        item: T,
        *,
        key: str = "",
        delivery: Delivery = Delivery.ALL,
        force: bool = False,
    ) -> bool:
        """Store ``item`` in ``lane``.

        ``delivery`` counts on the ``DATA`` lane alone. ``LATEST`` takes the place of the
        waiting item with the same ``key``; ``OLDEST`` makes room by dropping the oldest
        such item.

        Returns:
            ``False`` when the lane is full: nothing was stored and the caller must hold back.
            ``force`` stores even then, for what has already been accepted elsewhere.
        """
        return self._lanes[lane].put(item, key, delivery if lane == _DATA else _ALL, force=force)

    def take(self, max_lane: Lane = Lane.DATA) -> T | None:
        """The next item in order of lanes, not looking below ``max_lane``; ``None`` if there is none."""
        for lane in self._upto[max_lane]:
            item = lane.take()
            if item is not None:
                return item
        return None

    @property
    def depth(self) -> int:
        """Items waiting in all lanes."""
        return sum(len(lane) for lane in self._lanes)

    def depths(self) -> dict[Lane, int]:
        """Items waiting, by lane."""
        return {lane: len(self._lanes[lane]) for lane in Lane}

    @property
    def dropped(self) -> int:
        """Items lost to ``OLDEST`` so far."""
        return sum(lane.dropped for lane in self._lanes)

    @property
    def conflated(self) -> int:
        """Items replaced by a newer one of the same key so far."""
        return sum(lane.conflated for lane in self._lanes)
