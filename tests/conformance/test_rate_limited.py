"""A venue that answers no REST call any more, and cuts both streams: data flow again, and nothing new is risked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exchanges.model.order import Side
from exchanges.simulators.faults import FaultOrder, RequestFault, RequestRule, StreamFault
from tests.conformance.desk import Desk, Stand, desk
from tests.conformance.floor import Floor
from tests.conformance.stands import STANDS

EVER = 1_000_000


@pytest.mark.parametrize("stand", STANDS, ids=lambda stand: stand.venue)
def test_streams_come_back_while_rest_is_rate_limited_and_orders_only_once_the_account_is_known_again(
    stand: Stand, tmp_path: Path
) -> None:
    async def run() -> None:
        async with desk(stand, {}, {}) as made:
            floor = Floor(made, tmp_path, made.simulator.currency)
            try:
                await floor.open()
                await limited(made, floor)
            finally:
                await made.exchange.close()
                floor.close()
                await asyncio.sleep(0)

    asyncio.run(run())


async def limited(made: Desk, floor: Floor) -> None:
    state: Any = floor.brain(floor.exchange_name).state  # type: ignore[attr-defined]
    counts = made.exchange.stats
    rule = RequestRule("", RequestFault.RATE_LIMIT_BARE, count=EVER)
    made.simulator.inject(FaultOrder(requests=[rule]))
    for stream in ("public", "private"):
        made.stream_fault(stream, StreamFault.DROP)
    await floor.until(lambda: not state.private_up, "the private stream to be cut")
    await floor.until(lambda: state.public_up and state.private_up, "both streams to come back", 10)
    seen = heard(floor)
    await floor.until(lambda: heard(floor) > seen + 3, "market data to flow", 10)
    assert counts()["reconnects_public"] >= 1
    assert not state.reconciled
    floor.want(Side.BUY)
    await floor.until(floor.ended, "the signal to be stopped")
    assert not made.books()["orders"]
    assert {state.value for state in floor.books().states.values()} <= {"BLOCKED", "EXPIRED"}
    made.simulator.inject(FaultOrder(clear=True))
    await floor.until(lambda: state.reconciled, "the account to be known again")
    floor.want(Side.BUY)
    found = await floor.quiet()
    assert found.reconciled, found.differences
    assert len(made.books()["orders"]) == 1


def heard(floor: Floor) -> int:
    """How many messages have come over the public stream."""
    return int(floor.desk.exchange.stats()["messages_public"])
