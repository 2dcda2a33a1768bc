"""What can be known to be wrong before anything is started, said at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from actors.strategy import factory
from actors.tree import Planner
from actors.venue.market import ensure_known
from bigwheel.errors import SessionError, UsageError
from conf import Settings
from conf.modes import missing_account
from exchanges.credentials import ensure_findable
from exchanges.modes import Mode
from exchanges.simulators.base.simulator import HOST
from runtime.errors import BigwheelError
from runtime.journal import environment
from runtime.journal.environment import DamagedError

MODE_FILE = "mode"
"""In a store: the mode it was first used in."""


def check(settings: Settings, planner: Planner, *, strategies: bool) -> None:
    """Look over mode, strategies, symbols, recording, stored files and ports of the session to come.

    Raises:
        BigwheelError: the first thing that is wrong: what was expected, what was found, what to do.
    """
    if strategies:
        _strategies(settings, planner)
    simulated = Mode(settings.mode) is Mode.SIM
    if not simulated:
        _accounts(settings)
    embedded = simulated and planner.embedded()
    if embedded:
        ensure_known(settings)
    _stores(settings.store)
    _owner(settings.store, settings.mode)
    if settings.ray.address:
        # The actors of an earlier start may still live on the cluster, and hold their ports.
        return
    _free(settings.gateway.host, settings.gateway.port, "the gateway", "gateway.port")
    if embedded:
        _free(HOST, settings.simulator.port, "the embedded venue", "simulator.port")


def _accounts(settings: Settings) -> None:
    """Whether each venue's account was typed out where that is asked for, and a key can be found."""
    mode = Mode(settings.mode)
    for venue in settings.venues:
        section = settings.exchange[venue]
        if mode is Mode.LIVE and not section.live_account:
            raise UsageError(missing_account(venue))
        if not settings.ray.address:
            # On a cluster the connection may run on another machine, where the key then is.
            ensure_findable(venue, mode, section.credentials)


def live_accounts(typed: Sequence[str], venues: Sequence[str]) -> dict[str, dict[str, str]]:
    """What ``--live-account`` says, as overrides of the section ``exchange``.

    Args:
        typed: ``VENUE:ID``, or an id alone where a single venue is traded.
        venues: the venues that are traded.

    Raises:
        UsageError: a venue isn't traded, or it isn't said whose account it is.
    """
    found: dict[str, dict[str, str]] = {}
    for text in typed:
        venue, colon, account = text.strip().partition(":")
        if not colon and len(venues) == 1:
            venue, account = venues[0], venue
        if venue not in venues or not account:
            raise UsageError(
                f"expected --live-account VENUE:ID with a venue that is traded ({', '.join(venues)}), found {text!r}"
            )
        if venue in found:
            raise UsageError(f"expected one --live-account of {venue}, found two; remove one of them")
        found[venue] = {"live_account": account}
    return found


def _owner(store: Path, mode: str) -> bool:
    """Whether a store has a mode already, which then must be ``mode``: positions of one are none of another's."""
    try:
        owner = (store / MODE_FILE).read_text(encoding="utf-8").strip() if (store / MODE_FILE).exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SessionError(f"expected a readable file at {store / MODE_FILE}, found {error}; restore it") from error
    # Before there was this file there was no other mode.
    owner = owner or (Mode.SIM.value if (store / "journal").exists() else "")
    if owner and owner != mode:
        raise SessionError(
            f"expected a store of mode {mode} at {store}, found that it holds a session of mode {owner}; give another "
            "folder: --store, or store in the configuration"
        )
    return bool(owner)


def claim(store: Path, mode: str) -> None:
    """Give a new store its mode for ever; to be called when a session starts, before anything is written to it.

    Raises:
        SessionError: it belongs to another mode, or can't be written.
    """
    if _owner(store, mode):
        return
    try:
        store.mkdir(parents=True, exist_ok=True)
        (store / MODE_FILE).write_text(f"{mode}\n", encoding="utf-8")
    except OSError as error:
        raise SessionError(
            f"expected a store that can be written at {store}, found {error.strerror or error}; give another: --store"
        ) from error


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
