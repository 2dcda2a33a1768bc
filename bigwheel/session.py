"""One running session on this machine: Ray, the store's lock, and the root supervisor."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from actors.gateway.overview import overview
from actors.names import SESSION_NOTE
from actors.tree import SUPERVISOR, Planner
from bigwheel.cluster import start_ray
from bigwheel.errors import SessionError
from bigwheel.preflight import check, claim
from conf import Settings
from runtime.host.host import links_folder
from runtime.lock import Lock
from runtime.supervision.calls import cause
from runtime.supervision.root import start_root, stop_root
from runtime.supervision.spec import SupervisorSpec

log = logging.getLogger(__name__)

START_DEADLINE_S = 120.0
LOCK = "run.lock"
"""In a store: held by the session that uses it."""


class StoreLock:
    """Keeps two sessions from using one store; freed by the operating system when we end."""

    def __init__(self, store: Path) -> None:
        self._lock = Lock(store / LOCK)

    def take(self) -> None:
        """Raises ``SessionError`` while another process holds it."""
        store = self._lock.path.parent
        try:
            store.mkdir(parents=True, exist_ok=True)
            other = self._lock.take()
        except OSError as error:
            raise SessionError(
                f"expected a folder for the session that can be written at {store}, found: {error.strerror}; choose "
                "another one with --store"
            ) from error
        if other:
            raise SessionError(
                f"expected the store {store} to be free, found it in use by process {other}; stop that session "
                "(`bigwheel stop`) or choose another folder with --store"
            )

    def free(self) -> None:
        self._lock.free()


class Session:
    """Starts, watches and stops the tree of actors. Use as ``Session.start(settings)``."""

    def __init__(self, settings: Settings, root: Any, lock: StoreLock, *, owns_ray: bool) -> None:
        self.settings, self.root = settings, root
        self.started_ns = time.time_ns()
        self.dashboard = ""
        self._lock, self._owns_ray = lock, owns_ray

    @classmethod
    def start(cls, settings: Settings, *, strategies: bool = True, planner: type[Planner] = Planner) -> Session:
        """Bring the whole tree up and wait until it stands; ``planner`` says what it is made of.

        Raises:
            SessionError: the store is in use, Ray can't be reached, or an actor doesn't start.
        """
        lock = StoreLock(settings.store)
        lock.take()
        try:
            plan = planner(settings)
            check(settings, plan, strategies=strategies)
            claim(settings.store, settings.mode)
            return cls._bring_up(settings, plan.root(strategies=strategies), lock)
        except BaseException:
            lock.free()
            raise

    @classmethod
    def _bring_up(cls, settings: Settings, spec: SupervisorSpec, lock: StoreLock) -> Session:
        import ray

        owns_ray = not ray.is_initialized()
        session: Session | None = None
        try:
            start_ray(settings)
            _forget_sockets(settings)
            (settings.store / SESSION_NOTE).unlink(missing_ok=True)
            root = start_root(spec, settings.ray.namespace, actor_class=SUPERVISOR)
            session = cls(settings, root, lock, owns_ray=owns_ray)
            session.dashboard = _dashboard()
            session.await_up()
            session.write_note()
        except BaseException as error:
            if session is not None:
                session.stop("it did not start")
            elif owns_ray:
                ray.shutdown()
            if isinstance(error, ray.exceptions.RayError):
                raise SessionError(
                    f"expected the root supervisor to start and answer, found {cause(error)}; "
                    f"the logs are in {settings.store / 'logs'}"
                ) from error
            raise
        return session

    def await_up(self) -> None:
        """Wait until every actor of the tree runs.

        An actor that ended because something has to be mended is not waited for: its restarts
        would only repeat what it said.

        Raises:
            SessionError: with what does not run, and why.
        """
        limit = time.monotonic() + START_DEADLINE_S
        missing: list[str] = ["root"]
        stood: set[str] = set()
        while time.monotonic() < limit:
            tree = self.tree()
            children = _leaves(tree)
            failed = [child for child in children if _lost(child, child["name"] in stood)]
            if failed:
                raise SessionError(f"expected every actor to start, found {'; '.join(map(_reason, failed))}")
            stood.update(str(child["name"]) for child in children if _stands(child))
            missing = [str(child["name"]) for child in children if child["name"] not in stood and not _contained(child)]
            if not missing and tree.get("children"):
                return
            time.sleep(0.1)
        raise SessionError(
            f"expected every actor to run within {START_DEADLINE_S:g} s, still waiting for {', '.join(missing)}; "
            f"their logs are in {self.settings.store / 'logs'}"
        )

    def tree(self) -> dict[str, Any]:
        """The supervisors' view of all actors."""
        import ray

        status: dict[str, Any] = ray.get(self.root.status.remote(), timeout=30)
        return status

    def overview(self) -> dict[str, Any]:
        """The whole system in one object; empty while the root does not answer."""
        import ray

        try:
            return overview(self.tree(), self.settings)
        except (ray.exceptions.RayError, TimeoutError) as error:
            log.warning("the root does not answer: %s", error)
            return {}

    def write_note(self) -> None:
        """Leave word of this session for other processes (``Runtime.connect``)."""
        import ray

        note = {
            "pid": os.getpid(),
            "namespace": self.settings.ray.namespace,
            "address": ray.get_runtime_context().gcs_address,
            "dashboard": self.dashboard,
            "started_ns": self.started_ns,
            "settings": self.settings.model_dump(mode="json"),
        }
        (self.settings.store / SESSION_NOTE).write_text(json.dumps(note))

    def stop(self, reason: str) -> None:
        """Stop orderly: no new orders, working ones cancelled, state saved, everything closed."""
        import ray

        stop_root(self.root, reason, self.settings.supervision.stop_timeout_s * 5)
        (self.settings.store / SESSION_NOTE).unlink(missing_ok=True)
        if self._owns_ray:
            ray.shutdown()
        self._lock.free()


def _forget_sockets(settings: Settings) -> None:
    """Remove the sockets of an earlier session unless its actors still live."""
    import ray

    names = ray.util.list_named_actors(all_namespaces=True)
    if not any(entry["namespace"] == settings.ray.namespace for entry in names):
        shutil.rmtree(links_folder(str(settings.store)), ignore_errors=True)


def _dashboard() -> str:
    from ray._private.worker import get_dashboard_url

    url = get_dashboard_url()
    return f"http://{url}" if url else ""


def _leaves(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Every child of the tree, the supervisors among them."""
    found = []
    for child in tree.get("children", []):
        found.append(child)
        found.extend(_leaves(child.get("detail") or {}))
    return found


def _reason(child: dict[str, Any]) -> str:
    advice = ""
    if child["kind"] == "bus":
        advice = " (look with `bigwheel journal verify`, put a backup in its place with `bigwheel journal restore`)"
    return f"{child['name']}: {child.get('last_exit') or 'no reason given'}{advice}"


def _stands(child: dict[str, Any]) -> bool:
    detail = child.get("detail") or {}
    return bool(child["state"] == "running" and detail.get("state") == "running")


def _lost(child: dict[str, Any], stood: bool) -> bool:
    """Whether there is no session without it: a strategy that began and then failed is a matter of its own."""
    if child["kind"] == "strategy" and (stood or child.get("hung")):
        return False
    return bool(child["state"] == "failed" or child.get("setup_failed"))


def _contained(child: dict[str, Any]) -> bool:
    """Whether it is a strategy whose own code never came back, and which was given up for it."""
    return bool(child["kind"] == "strategy" and child["state"] == "failed" and child.get("hung"))
