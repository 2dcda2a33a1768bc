"""What all tests share: one Ray for the session, and the repository on every worker's path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = str(Path(__file__).resolve().parent.parent)
NAMESPACE = "bigwheel-tests"

# The same examples in every run: what fails in one place fails in all. BIGWHEEL_EXPLORE=1 draws new ones.
settings.register_profile("steady", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("explore" if os.environ.get("BIGWHEEL_EXPLORE") else "steady")

if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever needs the shared Ray: such tests run one after the other, the rest side by side."""
    for item in items:
        if "ray_session" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """A running Ray of two cores; yields the namespace. Takes some seconds, so it is shared."""
    import ray

    from bigwheel.cluster import alone

    if ray.is_initialized():
        yield str(ray.get_runtime_context().namespace)
        return
    # Read by the workers' parent when it starts: nice 0, and our modules on the path.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (ROOT, os.environ.get("PYTHONPATH", "")) if part)
    with alone():
        ray.init(num_cpus=2, include_dashboard=False, namespace=NAMESPACE, log_to_driver=False)
    yield NAMESPACE
    ray.shutdown()
