"""An environment for each engine, made when it is first asked for, from a lock of its own.

Their dependencies need not go together with each other's, nor with Bigwheel's, and one that can't be had keeps none of
the others away.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOCKS = Path(__file__).parent / "locks"
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r")


class Absent(Exception):
    """An engine that is not to be had here; the text is the reason."""


def python_of(name: str) -> Path:
    """The interpreter that has this engine.

    Raises:
        Absent: its environment could not be made.
    """
    if name == "bigwheel":
        return Path(sys.executable)
    lock, place = LOCKS / f"{name}.lock", ROOT / f".venv-field-{name}"
    python, stamp, wanted = place / "bin" / "python", place / ".lock.sha", hashlib.sha256(lock.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"   setting up {place.name} (once, a minute or so)", file=sys.stderr)
    for command in ((sys.executable, "-m", "venv", "--clear", str(place)), (str(python), *_PIP, str(lock))):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"its environment could not be made: {last_line(done.stderr or done.stdout)}")
    stamp.write_text(wanted)
    return python


def last_line(text: str) -> str:
    """What a program said at the end, where errors stand."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
