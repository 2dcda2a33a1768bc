"""Processor time of the processes that a process has started, and of those that they have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """One line of ``/proc/PID/stat``, as far as it matters here."""

    pid: int
    parent: int
    ticks: int


def parsed(stat: str) -> Process:
    """Of the text of a ``stat`` file (proc(5)); the name, in brackets, may hold anything."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    return Process(int(head.partition(" ")[0]), int(fields[1]), int(fields[11]) + int(fields[12]))


def below(root: int, processes: list[Process]) -> list[Process]:
    """Those that descend from ``root``."""
    family, found = {root}, list[Process]()
    while fresh := [each for each in processes if each.parent in family and each.pid not in family]:
        family.update(each.pid for each in fresh)
        found += fresh
    return found


def started_s(root: int) -> float:
    """Seconds of processor time of all living descendants; 0 where there is no ``/proc``."""
    processes = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            processes.append(parsed(path.read_text()))
        except OSError:
            continue  # it has ended since it was listed
    return sum(each.ticks for each in below(root, processes)) / os.sysconf("SC_CLK_TCK")
