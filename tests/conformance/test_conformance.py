"""Runs the table of cases against every venue."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.cases import Case
from tests.conformance.desk import Stand, desk
from tests.conformance.stands import STANDS
from tests.conformance.stop_cases import CASES

pytestmark = pytest.mark.timeout(180)


def test_each_number_stands_for_one_case() -> None:
    numbers = [case.number for case in CASES]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number:02}")
@pytest.mark.parametrize("stand", STANDS, ids=lambda stand: stand.venue)
def test_the_venue_conforms(stand: Stand, case: Case) -> None:
    async def run() -> None:
        adapter = {**case.adapter, **(stand.wrong_key if case.wrong_key else {})}
        chosen = (stand.coin if case.coin else None) or stand
        async with desk(chosen, case.simulator, adapter) as made:
            if case.connected:
                await made.up()
            await case.run(made)

    asyncio.run(run())
