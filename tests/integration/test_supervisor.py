"""The supervisor against real processes, real kills and a real store."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import ray

from runtime.errors import FencedError
from runtime.snapshots import SnapshotStore
from runtime.supervision.assignment import CellAssignment
from runtime.supervision.policy import Intensity
from runtime.supervision.root import SUPERVISOR, start_root, stop_root
from runtime.supervision.spec import ChildSpec, Strategy, SupervisorSpec, encode_spec
from tests.integration.stage import PATIENCE

pytestmark = pytest.mark.ray

CHILDREN = "tests.integration.children"
Row = dict[str, Any]


class Tree:
    """A root supervisor of the test's own, and what a test asks of it."""

    def __init__(self, spec: SupervisorSpec, namespace: str) -> None:
        self.namespace = namespace
        self.store = f"{spec.run_dir}/supervisors/{spec.name}"
        self.root = start_root(spec, namespace)

    def row(self, name: str) -> Row:
        return next(row for row in self.rows() if row["name"] == name)

    def rows(self) -> list[Row]:
        return list(ray.get(self.root.status.remote(), timeout=20)["children"])

    def spares(self) -> int:
        return int(sum(ray.get(self.root.status.remote(), timeout=20)["spares"].values()))

    def actor(self, name: str) -> Any:
        return ray.get_actor(self.row(name)["ray_name"], namespace=self.namespace)

    def call(self, name: str, method: str, *arguments: Any) -> Any:
        return ray.get(getattr(self.actor(name), method).remote(*arguments), timeout=20)

    def until(self, what: Callable[[], bool], within_s: float = 30) -> None:
        limit = time.monotonic() + within_s * PATIENCE
        while not what():
            assert time.monotonic() < limit, f"still waiting after {within_s * PATIENCE} s"
            time.sleep(0.02)

    def running(self, *names: str) -> None:
        self.until(lambda: all(self.row(name)["state"] == "running" for name in names))

    def successor(self, name: str, epoch: int) -> Row:
        self.until(lambda: self.row(name)["epoch"] > epoch and self.row(name)["state"] == "running")
        return self.row(name)


Grow = Callable[..., Tree]


@pytest.fixture
def grow(ray_session: str, tmp_path: Path) -> Iterator[Grow]:
    trees: list[Tree] = []

    def make(*children: ChildSpec, **options: Any) -> Tree:
        spec = SupervisorSpec(
            name=f"root-{uuid.uuid4().hex[:8]}", children=children, run_dir=str(tmp_path / "run"), **options
        )
        trees.append(Tree(spec, ray_session))
        return trees[-1]

    yield make
    for tree in trees:
        stop_root(tree.root, "the test is over", 5)


def child(name: str, cls: str = "Counter", **options: Any) -> ChildSpec:
    cells = (CellAssignment(name),)
    return ChildSpec(name, "counter", f"{CHILDREN}:{cls}", cells=cells, **options)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_killed_child_comes_back_with_a_higher_epoch_and_its_last_snapshot(grow: Grow) -> None:
    tree = grow(child("a"))
    tree.running("a")
    before = tree.row("a")
    assert [tree.call("a", "bump") for _ in range(3)] == [1, 2, 3]
    os.kill(before["pid"], signal.SIGKILL)
    after = tree.successor("a", before["epoch"])
    assert after["detail"]["value"] == 3
    assert after["restarts"] == 1
    assert after["pid"] != before["pid"]
    assert "died" in after["last_exit"]
    assert after["last_recovery_ms"] > 0


def test_a_superseded_incarnation_can_not_save(grow: Grow) -> None:
    tree = grow(child("a"))
    tree.running("a")
    epoch = tree.row("a")["epoch"]
    os.kill(tree.row("a")["pid"], signal.SIGKILL)
    tree.successor("a", epoch)
    with pytest.raises(FencedError, match="it has a successor"):
        tree.call("a", "save_as", epoch, b"99")
    with pytest.raises(FencedError, match="expected a child"):
        ray.get(tree.root.save.remote("nobody", "a", epoch + 9, b"99"))


def test_a_warm_spare_takes_over_and_is_replaced(grow: Grow) -> None:
    tree = grow(child("a", spares=1))
    tree.running("a")
    tree.call("a", "bump")

    tree.until(lambda: tree.spares() == 1)
    before = tree.row("a")
    os.kill(before["pid"], signal.SIGKILL)
    warm = tree.successor("a", before["epoch"])
    assert warm["detail"] == {"value": 1, "epoch": warm["epoch"], "from_spare": True}
    tree.until(lambda: tree.spares() == 1)
    tree.call("a", "bump")
    os.kill(warm["pid"], signal.SIGKILL)
    again = tree.successor("a", warm["epoch"])
    assert again["detail"]["from_spare"]
    assert again["detail"]["value"] == 2
    assert ray.get(tree.root.locate.remote("a")) == again["ray_name"]


def test_a_killed_spare_is_replaced_and_a_stopped_one_does_not_hold_up_its_child(grow: Grow) -> None:
    tree = grow(child("a", spares=1))
    tree.until(lambda: tree.spares() == 1)
    first = _waiting_spare(tree)
    assert first not in (0, os.getpid())
    os.kill(first, signal.SIGKILL)
    tree.until(lambda: tree.spares() == 1 and _waiting_spare(tree) not in (0, first))
    second = _waiting_spare(tree)
    os.kill(second, signal.SIGSTOP)
    before = tree.row("a")
    os.kill(before["pid"], signal.SIGKILL)
    after = tree.successor("a", before["epoch"])
    assert after["pid"] != second
    assert not after["detail"]["from_spare"]


def test_a_child_that_keeps_failing_is_given_up_and_its_siblings_live(grow: Grow) -> None:
    bad = child("bad", "Failing", intensity=Intensity(restarts=1, base_s=0.01))
    broken = child("broken", "Unstartable", intensity=Intensity(restarts=0))
    tree = grow(child("good"), bad, broken)
    tree.running("good")
    good = tree.row("good")
    tree.until(lambda: tree.row("bad")["state"] == "failed" and tree.row("broken")["state"] == "failed")
    assert "a tick without a price" in tree.row("bad")["last_exit"]
    assert "no such device" in tree.row("broken")["last_exit"]
    assert tree.row("good")["pid"] == good["pid"]
    assert tree.call("good", "bump") == 1


def test_a_child_whose_loop_is_blocked_is_replaced(grow: Grow) -> None:
    tree = grow(child("a", hang_after_s=1.5, heartbeat_s=0.2))
    tree.running("a")
    before = tree.row("a")
    tree.actor("a").block.remote(60)
    after = tree.successor("a", before["epoch"])
    assert "hung" in after["last_exit"]
    assert not alive(before["pid"])


def test_a_stopped_process_is_replaced_and_gone_before_its_successor_starts(grow: Grow) -> None:
    tree = grow(child("a", hang_after_s=1.5, heartbeat_s=0.2))
    tree.running("a")
    before = tree.row("a")
    os.kill(before["pid"], signal.SIGSTOP)
    tree.until(lambda: tree.row("a")["epoch"] > before["epoch"])
    assert not alive(before["pid"])
    tree.running("a")


def test_a_killed_supervisor_takes_its_living_children_over(grow: Grow) -> None:
    inner = SupervisorSpec("inner", children=(child("a"), child("b")))
    tree = grow(ChildSpec("inner", "supervisor", SUPERVISOR, settings=encode_spec(inner)))
    tree.until(lambda: _states(tree) == {"a": "running", "b": "running"})
    inner_before, before = tree.row("inner"), _below(tree)
    a = ray.get_actor(before["a"]["ray_name"], namespace=tree.namespace)
    assert ray.get(a.bump.remote()) == 1
    os.kill(inner_before["pid"], signal.SIGKILL)
    tree.successor("inner", inner_before["epoch"])
    tree.until(lambda: _states(tree) == {"a": "running", "b": "running"})
    after = _below(tree)
    assert [after[name]["pid"] for name in "ab"] == [before[name]["pid"] for name in "ab"]
    assert [after[name]["epoch"] for name in "ab"] == [before[name]["epoch"] for name in "ab"]
    assert ray.get(a.bump.remote()) == 2
    os.kill(after["a"]["pid"], signal.SIGKILL)
    tree.until(lambda: _below(tree)["a"]["epoch"] > after["a"]["epoch"] and _states(tree)["a"] == "running")
    assert _below(tree)["a"]["detail"]["value"] == 2
    assert ray.get(tree.root.locate.remote("b")) == after["b"]["ray_name"]


def test_a_killed_root_is_restarted_by_ray_and_takes_its_children_over(grow: Grow) -> None:
    tree = grow(child("a"))
    tree.running("a")
    before = tree.row("a")
    pid = ray.get(tree.root.status.remote())["pid"]
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        try:
            return bool(ray.get(tree.root.status.remote(), timeout=5)["pid"] != pid)
        except ray.exceptions.RayActorError:
            return False

    tree.until(back)
    tree.running("a")
    assert tree.row("a")["pid"] == before["pid"]
    assert tree.call("a", "bump") == 1


def test_stopping_leaves_no_process(grow: Grow) -> None:
    inner = SupervisorSpec("inner", children=(child("a", spares=1), child("b")))
    tree = grow(ChildSpec("inner", "supervisor", SUPERVISOR, settings=encode_spec(inner)), child("c"))
    tree.until(lambda: _states(tree) == {"a": "running", "b": "running"})
    tree.until(lambda: sum(tree.row("inner")["detail"]["spares"].values()) == 1)
    tree.running("c")
    pids = [row["pid"] for row in (*tree.rows(), *_below(tree).values())]
    pids.append(ray.get(tree.root.status.remote())["pid"])
    assert len(pids) == 5
    stop_root(tree.root, "enough", 10)
    limit = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.05)
    assert [pid for pid in pids if alive(pid)] == []
    names = [entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True)]
    assert [name for name in names if name.partition("#")[0] in ("a", "b", "c", "inner") or "/spare" in name] == []


def test_rest_for_one_restarts_the_later_siblings_in_order(grow: Grow) -> None:
    tree = grow(*(child(name) for name in "abc"), strategy=Strategy.REST_FOR_ONE)
    tree.running(*"abc")
    before = {name: tree.row(name) for name in "abc"}
    assert before["a"]["epoch"] < before["b"]["epoch"] < before["c"]["epoch"]
    tree.call("c", "bump")
    os.kill(before["b"]["pid"], signal.SIGKILL)
    tree.successor("c", before["c"]["epoch"])
    after = {name: tree.row(name) for name in "abc"}
    assert after["a"]["pid"] == before["a"]["pid"]
    assert before["c"]["epoch"] < after["b"]["epoch"] < after["c"]["epoch"]
    assert not alive(before["c"]["pid"])
    assert after["c"]["detail"]["value"] == 1


def test_children_are_added_removed_and_restarted_on_request(grow: Grow) -> None:
    tree = grow(child("a"))
    added = encode_spec(child("b"))
    ray.get(tree.root.add.remote(added))
    ray.get(tree.root.add.remote(added))
    tree.running("a", "b")
    first = tree.row("b")
    ray.get(tree.root.restart.remote("b", "a new setting"))
    second = tree.successor("b", first["epoch"])
    assert second["last_exit"] == "a new setting"
    ray.get(tree.root.remove.remote("b"))
    assert [row["name"] for row in tree.rows()] == ["a"]
    assert not alive(second["pid"])


def test_a_critical_child_that_keeps_failing_takes_its_supervisor_down(grow: Grow) -> None:
    bad = child("bad", "Failing", critical=True, intensity=Intensity(restarts=0))
    inner = SupervisorSpec("inner", children=(child("a"), bad))
    tree = grow(
        ChildSpec("inner", "supervisor", SUPERVISOR, settings=encode_spec(inner), intensity=Intensity(restarts=0))
    )
    tree.until(lambda: tree.row("inner")["state"] == "failed")
    assert "bad can't be kept alive" in tree.row("inner")["last_exit"]
    names = [entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True)]
    assert [name for name in names if name.partition("#")[0] == "a"] == []


def _waiting_spare(tree: Tree) -> int:
    """The process id of the tree's one spare, learned from the socket it waits on; 0 while there is none."""
    with contextlib.closing(SnapshotStore(tree.store)) as store:
        folder = Path(msgspec.msgpack.decode(store.get("supervision") or b"")["folders"][0])
    for path in folder.iterdir():
        with socket.socket(socket.AF_UNIX) as peer, contextlib.suppress(ConnectionRefusedError):
            peer.connect(str(path))
            pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return int(pid)
    return 0


def _below(tree: Tree) -> dict[str, Row]:
    return {row["name"]: row for row in tree.row("inner")["detail"].get("children", [])}


def _states(tree: Tree) -> dict[str, str]:
    return {name: row["state"] for name, row in _below(tree).items()}
