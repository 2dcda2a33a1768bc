"""Fixtures of the tests over real sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.links_bench import Net


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A short path: a Unix socket's has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bw") as folder:
        yield Path(folder)


@pytest.fixture(params=["unix", "ray"])
def net(request: pytest.FixtureRequest, run_dir: Path) -> Net:
    return Net(request.param, run_dir)
