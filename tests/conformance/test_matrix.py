"""Every fault at every venue: nothing is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.conformance.desk import Stand
from tests.conformance.matrix import FAULTS, Cell, Fault, put_through, table
from tests.conformance.stands import STANDS

pytestmark = pytest.mark.timeout(420)

CELL_S = 120.0
AT_ONCE = 6
"""Sessions side by side: most of their time is waiting."""


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Cell]]:
    """What the tests have found, written down after the last one where ``BIGWHEEL_MATRIX`` says so."""
    return {fault.title: {} for fault in FAULTS}


@pytest.mark.parametrize("stand", STANDS, ids=lambda stand: stand.venue)
def test_no_fault_loses_or_doubles_an_order_or_a_fill(
    stand: Stand, rows: dict[str, dict[str, Cell]], tmp_path: Path
) -> None:
    async def run() -> dict[str, Cell]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, fault: Fault) -> tuple[str, Cell]:
            async with gate:
                try:
                    work = put_through(stand, fault, tmp_path / str(number))
                    return fault.title, await asyncio.wait_for(work, CELL_S)
                except (AssertionError, TimeoutError) as error:
                    return fault.title, Cell("did not come to an end", False, (repr(error)[:600],))

        return dict(await asyncio.gather(*(one(number, fault) for number, fault in enumerate(FAULTS))))

    found = asyncio.run(run())
    for title, cell in found.items():
        rows[title][stand.venue] = cell
    assert {title: cell.differences for title, cell in found.items() if not cell.good} == {}
    assert any("executed" in cell.text for cell in found.values())
    target = os.environ.get("BIGWHEEL_MATRIX")
    if target:
        Path(target).write_text(table(rows, [each.venue for each in STANDS]))
