"""How the command line finds its commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bigwheel.cli.app import COMMANDS
from tests.unit.front_door import bigwheel, refused


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_help_of_its_own(name: str) -> None:
    answer = bigwheel(name, "--help")
    assert answer.status == 0
    usage = next(line for line in answer.out.splitlines() if "Usage:" in line)
    assert f" {name} " in usage


def test_the_help_lists_every_command() -> None:
    out = bigwheel("--help").out
    assert all(f" {name} " in out for name in COMMANDS)


def test_a_mistyped_command_gets_the_nearest_one() -> None:
    assert "Did you mean 'halt'?" in refused("hal")


@pytest.mark.parametrize("name", ["status", "halt", "stop", "panic"])
def test_who_is_in_a_hurry_waits_for_no_import_of_ray(name: str, tmp_path: Path) -> None:
    code = (
        "import sys; from bigwheel.cli import main\n"
        f"sys.argv = ['bigwheel', {name!r}, '--store', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, sorted({'ray', 'pyarrow', 'plotly'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "2 []", done
