"""The Ray that actors run on: one of our own on this machine, or one that runs already."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from bigwheel.errors import SessionError
from conf import Settings


def start_ray(settings: Settings) -> Any:
    """Start Ray on this machine, or join the cluster that ``settings`` name; returns its context.

    One that is started here listens on the loopback interface alone, unless ``ray.loopback`` is false.

    Raises:
        SessionError: there is no such cluster, or none starts.
    """
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return ray.get_runtime_context()
    options: dict[str, Any] = {
        "namespace": settings.ray.namespace,
        "log_to_driver": False,
        "logging_level": "ERROR",
        "ignore_reinit_error": True,
    }
    try:
        if settings.ray.address:
            _show_token()
            with alone() if _is_local(settings.ray.address) else nullcontext():
                return ray.init(address=settings.ray.address, **options)
        with alone() if settings.ray.loopback else nullcontext():
            return ray.init(
                # Without it, Ray would rather join one that someone has started here.
                address="local",
                num_cpus=settings.ray.num_cpus or None,
                object_store_memory=settings.ray.object_store_mb << 20,
                include_dashboard=settings.ray.dashboard,
                dashboard_host="127.0.0.1",
                **options,
            )
    except Exception as error:
        # Where one of its servers does not stand in time, Ray raises an error of no type of its own.
        where = settings.ray.address or "this machine"
        raise SessionError(
            f"expected a Ray cluster on {where}, found: {error}; check --address, or leave it out to start one here"
        ) from error


@contextmanager
def alone() -> Iterator[None]:
    """Let Ray's servers listen on the loopback interface, as they do on systems where it forms no clusters.

    Ray turns a loopback address that it is given back into the machine's own, so this switch is the only way:
    to start such a Ray, and to join it.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _show_token() -> None:
    """Have Ray show the token it keeps in the home folder, as it does by itself where the address is ``auto``.

    A Ray that is started here asks for it.
    """
    from ray._private.authentication import authentication_token_setup

    authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _is_local(address: str) -> bool:
    """Whether the Ray at ``address`` (``auto``, ``HOST:PORT``) listens on the loopback interface alone."""
    from ray._private.services import canonicalize_bootstrap_address

    if "://" in address:
        return False
    with alone():
        found = canonicalize_bootstrap_address(address)
    try:
        return found is not None and ipaddress.ip_address(found.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False
