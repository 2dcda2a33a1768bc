"""Where a logical name leads, on one node and across nodes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runtime.errors import FencedError, LinkError
from runtime.links.directory import (
    Address,
    NearestDirectory,
    RayDirectory,
    UnixDirectory,
    open_directory,
    slug,
)

# -- the directory ---------------------------------------------------------------------


def test_a_later_incarnation_replaces_an_earlier_one_and_never_the_reverse(run_dir: Path) -> None:
    directory = UnixDirectory(run_dir)

    def found(cell: str) -> int | None:
        address = directory.locate(cell)
        return None if address is None else address.epoch

    def listen(epoch: int) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        path = directory.listen_path("host", epoch)
        assert path is not None
        server.bind(path)
        server.listen()
        return server

    with listen(1), listen(2):
        directory.publish("host", 1, ["cell/a"])
        directory.publish("host", 2, ["cell/a", "cell/b"])
        assert (found("host"), found("cell/a"), found("cell/b")) == (2, 2, 2)
        with pytest.raises(FencedError, match="expected to publish host 'host' with epoch 1, found epoch 2"):
            directory.publish("host", 1, ["cell/c"])
        assert found("cell/c") is None
        directory.retract("host", 1, ["cell/a"])
        assert found("cell/a") == 2, "an earlier incarnation can't retract a later one's names"
        with pytest.raises(LinkError, match="found a process listening as host 'host' epoch 2"):
            directory.listen_path("host", 2)
        directory.retract("host", 2, ["cell/a", "cell/b"])
        assert (found("host"), found("cell/a"), found("cell/b")) == (None, None, None)


def test_a_node_whose_socket_is_dead_is_looked_for_elsewhere(run_dir: Path) -> None:
    unix_side, handle = UnixDirectory(run_dir), object()
    directory = NearestDirectory([unix_side, RayDirectory(lambda cell: ("host", handle) if cell == "cell" else None)])
    path = directory.listen_path("host", 1)
    assert path is not None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        directory.publish("host", 1, ["cell"])
    near = directory.locate("cell")
    assert near == Address("unix", slug("host"), path, 1)
    directory.refused(near)
    assert directory.locate("cell") == Address("ray", slug("host"), handle)
    assert directory.locate("other") is None


def test_names_that_differ_get_different_short_slugs() -> None:
    names = ["strategy/trend/bybit:BTCUSDT", "strategy/trend/bybit/BTCUSDT", "ünïcode" * 30, "", "a" * 500, "a" * 501]
    slugs = {slug(name) for name in names}
    assert len(slugs) == len(names) and all(len(each.encode()) <= 29 and "/" not in each for each in slugs)


def test_settings_that_can_not_work_are_refused_at_once(run_dir: Path) -> None:
    with pytest.raises(LinkError, match="expected links to be auto, unix or ray, found 'tcp'"):
        open_directory("tcp", run_dir)
    with pytest.raises(LinkError, match="expected a resolver of actor handles"):
        open_directory("ray", run_dir)
    with pytest.raises(LinkError, match="expected a run folder whose socket paths stay within 107 bytes"):
        UnixDirectory(run_dir / ("x" * 60))
    assert isinstance(open_directory("auto", run_dir), UnixDirectory)
    assert isinstance(open_directory("auto", run_dir, lambda cell: None), NearestDirectory)
    assert isinstance(open_directory("ray", run_dir, lambda cell: None), RayDirectory)
