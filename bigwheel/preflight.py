"""What can be known to be wrong before anything is started, said at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from actors.strategy import factory
from actors.tree import Planner
from actors.venue.market import ensure_known
from bigwheel.errors import SessionError, UsageError
from conf import Settings
from runtime.errors import BigwheelError
from runtime.journal import environment
from runtime.journal.environment import DamagedError


def check(settings: Settings, planner: Planner, *, strategies: bool) -> None:
    """Look over strategies, symbols, recording, stored files and ports of the session to come.

    Raises:
        BigwheelError: the first thing that is wrong: what was expected, what was found, what to do.
    """
    if strategies:
        _strategies(settings, planner)
    embedded = planner.embedded()
    if embedded:
        ensure_known(settings)
    _stores(settings.store)
    if settings.ray.address:
        # The actors of an earlier start may still live on the cluster, and hold their ports.
        return
    _free(settings.gateway.host, settings.gateway.port, "the gateway", "gateway.port")
    if embedded:
        _free(settings.simulator.host, settings.simulator.port, "the embedded venue", "simulator.port")


def _strategies(settings: Settings, planner: Planner) -> None:
    """Build each strategy once for each venue it trades: what its actors would fail on shows here."""
    seen: set[tuple[str, str]] = set()
    for plan in planner.configured():
        place = plan.label, plan.symbol.partition(":")[0]
        if place not in seen:
            seen.add(place)
            try:
                factory.build(settings, plan)
            except BigwheelError:
                raise
            except Exception as error:
                # Its constructor is the user's own code.
                raise UsageError(
                    f"expected {plan.name} to be made for {plan.symbol}, found {type(error).__name__}: {error}; "
                    "correct its __init__"
                ) from error


def _stores(store: Path) -> None:
    for folder, advice in _lmdb(store):
        try:
            environment.check(folder / environment.FILE)
        except DamagedError as error:
            raise SessionError(f"{error}; {advice}") from error


def _lmdb(store: Path) -> Iterator[tuple[Path, str]]:
    """The LMDB stores of a session that exist, and what to do where one is damaged."""
    found = [
        (store / "journal", "put a backup in its place with `bigwheel journal restore BACKUP --overwrite`"),
        *(
            (folder, f"move {folder} away to begin without these snapshots: the journal rebuilds what it holds")
            for folder in sorted((store / "supervisors").glob("*"))
        ),
        *(
            (folder, f"move {folder.parent} away to begin with new books at the embedded venue")
            for folder in sorted((store / "venues").glob("*/venue.lmdb"))
        ),
    ]
    return ((folder, advice) for folder, advice in found if (folder / environment.FILE).exists())


def _free(host: str, port: int, whose: str, setting: str) -> None:
    """Try the port out; whoever takes it between now and the start is reported by the actor itself."""
    if not port:
        return
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise SessionError(
            f"expected port {port} on {host} to be free for {whose}, found: {error.strerror or error}; "
            f"stop what uses it, or set {setting} (0 takes a free one)"
        ) from error
