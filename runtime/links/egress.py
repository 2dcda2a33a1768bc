"""The sending side of a host: which link leads to which logical name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from runtime.lanes import Delivery, Lane
from runtime.links.directory import Address, Directory, slug
from runtime.links.frames import MAX_BODY, Hello, Item
from runtime.links.outbound import Outbound, Surroundings
from runtime.links.receiver import Receiver
from runtime.links.window import Limits

log = logging.getLogger(__name__)


class Egress:
    """All links from one host.

    Args:
        identity: The host's name, epoch and cells at this moment.
        undeliverable_s: After this long without a connection, what waits for a peer
            becomes dead letters.
        waiting: Called when items wait to be flushed.
        keepalive_s: How often a link by calls asks whether its peer is still there.
    """

    def __init__(
        self,
        identity: Callable[[], tuple[str, int, tuple[str, ...]]],
        directory: Directory,
        receiver: Receiver,
        limits: Mapping[Lane, Limits] | None,
        undeliverable_s: float,
        waiting: Callable[[], None],
        keepalive_s: float,
    ) -> None:
        self._directory = directory
        self._receiver = receiver
        self._undeliverable_s = undeliverable_s
        self._waiting = waiting
        self._routes: dict[str, Outbound] = {}
        self._hosts: dict[str, Outbound] = {}
        self._links: dict[Outbound, None] = {}
        self._dirty: dict[Outbound, None] = {}
        self._congested: dict[Outbound, None] = {}
        calls = (self._find, self._relieved, self._overdue)
        self.around = Surroundings(identity, directory, receiver, limits, *calls, keepalive_s)
        self.counters = {"sent": 0, "dead_letters": 0, "undeliverable_data": 0, "lookups_failed": 0}

    def send(self, to: str, item: Item, lane: Lane) -> bool:
        """Put ``item`` on the link to ``to``; ``False`` while that link is congested."""
        if len(item.body) > MAX_BODY:
            self._bury(item, f"expected a body of at most {MAX_BODY} bytes, found {len(item.body)}")
            return True
        link = self._routes.get(to) or self._route(to)
        self.counters["sent"] += 1
        fed = link.window.push(lane, item)
        if not fed:
            self._congested[link] = None
        if link not in self._dirty:
            self._dirty[link] = None
            self._waiting()
        return fed

    def connect(self, cell: str) -> None:
        """Open the link to ``cell`` now."""
        if cell not in self._routes:
            self._route(cell)

    def flush(self) -> None:
        """Send what waits on links that stand."""
        dirty, self._dirty = self._dirty, {}
        for link in dirty:
            link.pump()

    def noticed(self, hello: Hello) -> None:
        """A peer has just connected to us: what we know of it may be out of date."""
        for cell in (hello.host, *hello.cells):
            link = self._routes.get(cell)
            if link is not None and not link.host:
                link.reopen()
        link = self._hosts.get(slug(hello.host)) or self._hosts.get(hello.host)
        if link is None:
            return
        newer = link.window.peer_epoch < hello.epoch
        link.window.peer_epoch = max(link.window.peer_epoch, hello.epoch)
        if link.wire is None or (newer and (link.up or link.address is None or link.address.epoch < hello.epoch)):
            link.reopen()

    def sweep(self) -> None:
        """Leave peers that have been replaced; give up what waits for one that does not answer."""
        for link in list(self._links):
            if link.wire is not None:
                address = self._find(link)
                if address is not None and address != link.address:
                    link.reopen()
            if link.wire is not None and not link.up:
                self._overdue(link)

    def close(self) -> None:
        """Close all links; what is still unacknowledged becomes dead letters."""
        for link in list(self._links):
            link.close()
            self._give_up(link, "its sender closed before it was acknowledged")

    @property
    def pending(self) -> int:
        """Items not acknowledged yet."""
        return sum(link.window.waiting + link.window.unacked for link in self._links)

    @property
    def congested(self) -> bool:
        """Whether any link asks its host to hold back."""
        return bool(self._congested)

    def links(self) -> list[dict[str, object]]:
        """A few facts on each link, for status."""
        return [
            {
                "host": link.host,
                "kind": link.address.kind if link.address else "",
                "up": link.up,
                "epoch": link.window.peer_epoch,
                "cells": list(link.cells),
                "waiting": link.window.waiting,
                "unacked": link.window.unacked,
                "dropped": link.window.dropped,
                "conflated": link.window.conflated,
            }
            for link in self._links
        ]

    def _route(self, cell: str) -> Outbound:
        address = self._locate(cell)
        host = "" if address is None else address.host
        link = self._hosts.get(host)
        if link is None:
            link = Outbound(self.around, host)
            self._links[link] = None
            if host:
                self._hosts[host] = link
            self._adopt(link, cell)
            link.open()
        else:
            self._adopt(link, cell)
        return link

    def _adopt(self, link: Outbound, cell: str) -> None:
        link.cells[cell] = None
        self._routes[cell] = link
        if link.up and cell not in link.peer_cells:
            link.peer_cells = (*link.peer_cells, cell)
            asyncio.get_running_loop().call_soon(self._receiver.peer_up, (cell,), link.window.peer_epoch)

    def _locate(self, cell: str) -> Address | None:
        try:
            return self._directory.locate(cell)
        except Exception:
            # Whatever the lookup fails on, the link must live to ask again.
            log.exception("looking up %s failed", cell)
            self.counters["lookups_failed"] += 1
            return None

    def _find(self, link: Outbound) -> Address | None:
        found: Address | None = None
        for cell in list(link.cells):
            address = self._locate(cell)
            if address is None:
                continue
            if not link.host:
                return self._resolved(link, cell, address)
            if address.host == link.host:
                found = address
            else:
                self._move(link, cell)
        return found

    def _resolved(self, link: Outbound, cell: str, address: Address) -> Address | None:
        known = self._hosts.get(address.host)
        if known is None:
            link.host = address.host
            self._hosts[address.host] = link
            return address
        # Two links to one host would number the same lanes twice: the older one takes over.
        self._forget(link)
        self._adopt(known, cell)
        self._transfer(link.window.drain(), known)
        return None

    def _move(self, link: Outbound, cell: str) -> None:
        """``cell`` lives on another host now; what was already sent stays with the old one."""
        items = link.window.withdraw(cell)
        del link.cells[cell]
        self._transfer(items, self._route(cell))
        self._relieved(link)

    def _transfer(self, items: list[tuple[Lane, Item]], link: Outbound) -> None:
        for lane, item in items:
            if not link.window.push(lane, item):
                self._congested[link] = None
        self._dirty[link] = None
        self._waiting()

    def _forget(self, link: Outbound) -> None:
        link.close()
        self._links.pop(link, None)
        self._dirty.pop(link, None)
        self._relieved(link, gone=True)

    def _overdue(self, link: Outbound) -> None:
        since = link.down_since
        if since is not None and asyncio.get_running_loop().time() - since >= self._undeliverable_s:
            self._give_up(link, f"no connection to its host for {self._undeliverable_s:g} s")

    def _give_up(self, link: Outbound, reason: str) -> None:
        for lane, item in link.window.drain():
            if lane == Lane.DATA and item.delivery != Delivery.ALL:
                self.counters["undeliverable_data"] += 1
            else:
                self._bury(item, reason)
        self._relieved(link)

    def _bury(self, item: Item, reason: str) -> None:
        self.counters["dead_letters"] += 1
        self._receiver.dead_letter(item, reason)

    def _relieved(self, link: Outbound, *, gone: bool = False) -> None:
        if link in self._congested and (gone or not link.window.congested):
            del self._congested[link]
            if not self._congested:
                asyncio.get_running_loop().call_soon(self._drained)

    def _drained(self) -> None:
        if not self._congested:
            self._receiver.drained()
