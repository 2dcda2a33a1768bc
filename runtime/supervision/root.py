"""Starting and stopping the supervisor that nobody supervises but Ray."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from runtime.supervision.calls import cause
from runtime.supervision.incarnation import load_class
from runtime.supervision.spec import SupervisorSpec, encode_spec

log = logging.getLogger(__name__)

SUPERVISOR = "runtime.supervision.supervisor:Supervisor"


def start_root(spec: SupervisorSpec, namespace: str, *, actor_class: str = SUPERVISOR, deadline_s: float = 60.0) -> Any:
    """The handle of the root supervisor, created on this node if there is none.

    It is detached, outlives the caller, and is restarted by Ray without limit. One that
    exists is returned as it is, whatever ``spec`` says: stop it first to change it.

    Raises:
        ray.exceptions.RayError: it could not be created, or did not answer in ``deadline_s``.
    """
    full = msgspec.structs.replace(spec, namespace=namespace, parent="")
    node = ray.get_runtime_context().get_node_id()
    handle = (
        ray.remote(load_class(actor_class))
        .options(
            name=spec.name,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            enable_task_events=False,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        .remote(encode_spec(full))
    )
    ray.get(handle.ping.remote(), timeout=deadline_s)
    return handle


def stop_root(handle: Any, reason: str, deadline_s: float) -> None:
    """Stop the whole tree and the root; whatever still lives at the deadline is killed."""
    limit = time.monotonic() + deadline_s
    try:
        ray.get(handle.stop.remote(reason, deadline_s), timeout=deadline_s)
        ray.get(handle.__ray_terminate__.remote(), timeout=max(0.1, limit - time.monotonic()))
    except (RayActorError, GetTimeoutError) as error:
        log.info("the root is killed: %s", cause(error))
    ray.kill(handle, no_restart=True)
