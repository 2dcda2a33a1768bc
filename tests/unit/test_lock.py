"""One process at a time holds a file or a folder, and the others learn who it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runtime.lock import Lock, holder

HOLD = """
import sys
from pathlib import Path
from runtime.lock import Lock
print(Lock(Path(sys.argv[1])).take() or "mine", flush=True)
sys.stdin.read()
"""


def test_another_process_is_named_and_its_lock_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    told = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        assert Lock(path).take() == holder(path) == str(other.pid)
        other.kill()
    assert holder(path) == ""
    lock = Lock(path)
    assert lock.take() == ""
    assert path.read_text() == str(os.getpid())
    lock.free()


def test_a_folder_is_held_without_a_file_of_its_own(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    assert first.take() == ""
    assert second.take() == "unknown"
    first.free()
    assert second.take() == ""
    second.free()
    assert list(tmp_path.iterdir()) == []


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") == ""
