"""The help of the command line: every command and every option in a sentence."""

from __future__ import annotations

import pytest

from tests.unit.front_door import bigwheel

ACTING = ["adopt", "panic", "halt", "reduce", "resume", "stop"]
COMMANDS = ["run", "sweep", "status", "signals", "why", "orders", *ACTING, "journal"]


def test_the_help_lists_every_command_with_a_sentence() -> None:
    answer = bigwheel("--help")
    assert answer.status == 0
    for command in COMMANDS:
        line = next(line for line in answer.out.splitlines() if f" {command} " in line)
        assert len(line.strip("│ ").split()) > 3, line


@pytest.mark.parametrize(
    "command", [*COMMANDS, *(f"journal {name}" for name in ("verify", "backup", "restore", "export"))]
)
def test_every_option_of_every_command_is_explained(command: str) -> None:
    answer = bigwheel(*command.split(), "--help")
    assert answer.status == 0
    options = [line for line in answer.out.splitlines() if line.lstrip("│* ").startswith("--")]
    assert options
    for line in options:
        assert len(line.strip("│ ").split()) >= 4, line


def test_nothing_given_prints_the_help() -> None:
    answer = bigwheel()
    assert answer.status == 2
    assert "Usage" in answer.out
    assert "Traceback" not in answer.err
