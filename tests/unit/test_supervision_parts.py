"""What supervision is made of: specs, the spare's socket, the process descriptor, the registry."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import FencedError, SupervisionError
from runtime.supervision.assignment import Assignment, CellAssignment
from runtime.supervision.incarnation import load_class
from runtime.supervision.process import Process
from runtime.supervision.registry import ChildRecord, Registry, digest_of
from runtime.supervision.spares import await_assignment, hand_over
from runtime.supervision.spec import ChildSpec, SupervisorSpec, decode_child, decode_supervisor, encode_spec

SPEC = SupervisorSpec("root", children=(ChildSpec("a", "counter", "module:Class", settings=b"\x00x"),))


def until(path: Path) -> None:
    limit = time.monotonic() + 5
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.005)


@given(st.binary(max_size=200_000))
@settings(max_examples=20, deadline=None)
def test_a_spare_gets_exactly_what_was_handed_over(data: bytes) -> None:
    with SocketFolder() as folder, ThreadPoolExecutor(1) as thread:
        path = folder / "s"
        waiting = thread.submit(await_assignment, str(path))
        until(path)
        assert hand_over(str(path), data) > 0
        assert waiting.result(5) == data
        assert not path.exists()


def test_a_supervisor_that_dies_while_handing_over_leaves_the_spare_waiting() -> None:
    with SocketFolder() as folder, ThreadPoolExecutor(1) as thread:
        path = folder / "s"
        waiting = thread.submit(await_assignment, str(path))
        until(path)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            peer.sendall(b"\0\0\0\0\0\0\0\x09half")
        hand_over(str(path), b"whole")
        assert waiting.result(5) == b"whole"


def test_a_spare_whose_socket_was_removed_ends() -> None:
    with SocketFolder() as folder, ThreadPoolExecutor(1) as thread:
        path = folder / "s"
        waiting = thread.submit(await_assignment, str(path))
        until(path)
        path.unlink()
        with pytest.raises(SupervisionError, match="was removed"):
            waiting.result(5)


def test_a_spare_that_does_not_take_its_assignment_is_reported() -> None:
    with SocketFolder() as folder:
        with pytest.raises(SupervisionError, match="expected a warm spare at"):
            hand_over(str(folder / "nobody"), b"x")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "deaf"))
            listener.listen(1)
            with pytest.raises(SupervisionError, match="expected a warm spare at"):
                hand_over(str(folder / "deaf"), b"x", timeout_s=0.1)


def test_a_host_without_assignment_and_socket_says_what_it_expected() -> None:
    with pytest.raises(SupervisionError, match="found neither"):
        await_assignment("")


def test_an_assignment_and_the_specs_survive_encoding() -> None:
    plan = Assignment("h", "kind", 3, "root", "space", "run", (CellAssignment("c", snapshots=(b"1", b"0")),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=Assignment) == plan
    assert decode_supervisor(encode_spec(SPEC)) == SPEC
    assert decode_child(encode_spec(SPEC.children[0])) == SPEC.children[0]


def test_specs_that_can_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="without '#'"):
        ChildSpec("a#1", "k", "m:C")
    with pytest.raises(ValueError, match="module:Class"):
        ChildSpec("a", "k", "m.C")
    with pytest.raises(ValueError, match="positive heartbeat_s"):
        ChildSpec("a", "k", "m:C", hang_after_s=0)
    with pytest.raises(ValueError, match="rename them"):
        SupervisorSpec("root", children=(ChildSpec("a", "k", "m:C"), ChildSpec("a", "k", "m:C")))
    with pytest.raises(SupervisionError, match="encoded ChildSpec"):
        decode_child(b"\x80")
    with pytest.raises(SupervisionError, match="encoded SupervisorSpec"):
        decode_supervisor(b"junk")


def test_a_class_that_is_not_there_is_named() -> None:
    assert load_class("runtime.supervision.spec:ChildSpec") is ChildSpec
    for path in ("runtime.nowhere:Class", "runtime.errors:Nothing", "runtime.snapshots:KEPT"):
        with pytest.raises(SupervisionError, match=path):
            load_class(path)


def test_a_process_is_killed_and_its_end_is_proven() -> None:
    async def scenario(pid: int) -> None:
        process = Process(pid, local=True)
        assert not process.gone
        assert not await process.wait(0.01)
        assert await process.kill()
        process.close()
        assert process.gone

    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    reaper = threading.Thread(target=sleeper.wait)
    reaper.start()
    asyncio.run(scenario(sleeper.pid))
    reaper.join(5)
    assert Process(sleeper.pid, local=True).gone


def test_the_end_of_a_process_on_another_node_is_never_proven() -> None:
    process = Process(2**22 + 1, local=False)
    assert not asyncio.run(process.kill())
    assert not process.gone


def test_the_registry_remembers_incarnations_and_added_children(tmp_path: Path) -> None:
    added = ChildSpec("b", "counter", "module:Class")
    changed = msgspec.structs.replace(SPEC, children=(*SPEC.children, added))
    record = ChildRecord("a", "a#1", 1, digest_of(SPEC.children[0]), 42, "node")

    async def first() -> None:
        registry = Registry(tmp_path / "store", SPEC)
        assert registry.spec == SPEC
        assert await registry.next_epoch() == 1
        await registry.note_spare("spare#2")
        await registry.note_spare("spare#3")
        await registry.note(ChildRecord("b", "spare#3", 3, ""))
        await registry.note(record)
        await registry.forget("spare#3")
        await registry.change(changed)
        await registry.save("cell", 1, b"one")
        await registry.save("cell", 2, b"two")
        with pytest.raises(FencedError):
            await registry.save("cell", 1, b"late")
        await registry.close()

    async def second() -> None:
        registry = Registry(tmp_path / "store", SPEC)
        assert registry.spec == changed
        assert registry.living() == {"a": record}
        assert registry.leftovers() == (["spare#2"], [])
        assert await registry.next_epoch() == 2
        assert await registry.snapshots("cell") == (b"two", b"one")
        await registry.close()

    async def with_a_new_spec() -> None:
        other = msgspec.structs.replace(SPEC, seed=7)
        registry = Registry(tmp_path / "store", other)
        assert registry.spec == other
        assert registry.living() == {"a": record}
        await registry.close()

    asyncio.run(first())
    asyncio.run(second())
    asyncio.run(with_a_new_spec())


def test_a_changed_spec_has_another_digest_and_an_equal_one_the_same() -> None:
    child = ChildSpec("a", "k", "m:C", env={"A": "1", "B": "2"})
    assert digest_of(child) == digest_of(ChildSpec("a", "k", "m:C", env={"B": "2", "A": "1"}))
    assert digest_of(child) != digest_of(msgspec.structs.replace(child, settings=b"new"))


class SocketFolder:
    """A folder whose path is short enough for a socket's address."""

    def __enter__(self) -> Path:
        import tempfile

        self._folder = tempfile.TemporaryDirectory(prefix="bw-")
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
