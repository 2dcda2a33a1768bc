"""Flows in a session whose actors are killed in the middle of them: they complete, and every quantity is exact."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bigwheel.client import GatewayClient
from bigwheel.executions import ExecutionStatus, execute, execution_status, withdraw
from bigwheel.queries import open_journal
from exchanges.model.flow import SECOND, Iceberg, Oco, Twap
from tests.integration.stage import Evidence, Stage, brain_positions, on_stage, settings, until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

BTC, ETH = "bybit:BTCUSDT", "bybit:ETHUSDT"
HELD, SLICED, SHOWN = Decimal("0.02"), Decimal("0.017"), Decimal("0.4")
VICTIMS = ("exchange/bybit", "bus", "risk")


class Aftermath(NamedTuple):
    """The three flows as the journal tells them, before each kill and at the end."""

    evidence: Evidence
    statuses: dict[str, ExecutionStatus]
    during: list[dict[str, ExecutionStatus]]
    overview: dict[str, Any]


class Desk:
    """Gives signals to a session by hand and reads what comes of them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.client = GatewayClient(stage.store, stage.settings.gateway.token_file)

    def price(self, symbol: str) -> Decimal:
        last = until(lambda: self.stage.overview().get("symbols", {}).get(symbol, {}).get("price"), 30, "a price")
        return Decimal(str(last))

    def status(self, signal: str) -> ExecutionStatus:
        with open_journal(self.stage.store) as journal:
            return execution_status(journal, signal)

    def until_over(self, signal: str, within_s: float) -> bool:
        """Whether its flow ends in that time."""
        try:
            until(lambda: not self.status(signal).working, within_s, f"{self.status(signal)} to end")
        except AssertionError:
            return False
        return True


def _give(desk: Desk) -> dict[str, str]:
    """A position, two exits for it, and two flows that have just begun."""
    held = execute(desk.client, BTC, "buy", quantity=str(HELD))
    until(lambda: desk.status(held).state in ("EXECUTED", "LEARNED"), 30, f"{desk.status(held)} to be executed")
    price = desk.price(BTC)
    exits = Oco(price * Decimal("1.002"), price * Decimal("0.998"))
    oco = execute(desk.client, BTC, "sell", quantity=str(HELD), reduce_only=True, flow=exits)
    twap = execute(desk.client, BTC, "buy", quantity=str(SLICED), strategy="slicer", flow=Twap(18 * SECOND, 9))
    limit = str((desk.price(ETH) * Decimal("1.002")).quantize(Decimal("0.01")))
    parts = Iceberg(Decimal("0.01"), 120 * SECOND)
    iceberg = execute(desk.client, ETH, "buy", quantity=str(SHOWN), strategy="hider", limit_price=limit, flow=parts)
    until(lambda: desk.status(twap).filled and desk.status(iceberg).filled, 30, "both flows to have begun")
    return {"oco": oco, "twap": twap, "iceberg": iceberg}


@pytest.fixture(scope="module")
def aftermath(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    store: Path = tmp_path_factory.mktemp("flows")
    told = settings(store, "flows", supervision={"spares": {"core": 1, "exchange": 1, "strategy": 0}}, strategies=[])
    with on_stage(told) as stage:
        stage.await_spares()
        desk = Desk(stage)
        flows, during = _give(desk), []
        for victim in VICTIMS:
            during.append({name: desk.status(signal) for name, signal in flows.items()})
            stage.kill(victim)
        assert all(desk.until_over(flows[name], 60) for name in ("twap", "iceberg"))
        if not desk.until_over(flows["oco"], 5):
            withdraw(desk.client, flows["oco"], "the test is over")
            assert desk.until_over(flows["oco"], 30)
        stage.settle()
        statuses = {name: desk.status(signal) for name, signal in flows.items()}
        venue, overview = stage.venue(), stage.overview()
    yield Aftermath(Evidence(store, venue), statuses, during, overview)


def test_the_flows_were_under_way_when_their_actors_died(aftermath: Aftermath) -> None:
    first = aftermath.during[0]
    assert all(first[name].working for name in ("twap", "oco"))
    assert 0 < first["twap"].filled < SLICED
    assert any(leg.role == "take_profit" for leg in first["oco"].legs) or first["oco"].state == "APPROVED"


def test_twap_and_iceberg_complete_with_exact_quantities(aftermath: Aftermath) -> None:
    for name, quantity in (("twap", SLICED), ("iceberg", SHOWN)):
        status = aftermath.statuses[name]
        assert (status.filled, status.remaining, status.reason) == (quantity, 0, "FILLED"), status
        assert sum((leg.filled for leg in status.legs), Decimal(0)) == quantity
    assert len({leg.client_id for leg in aftermath.statuses["twap"].legs}) >= 3


def test_of_two_exits_no_more_is_filled_than_is_held(aftermath: Aftermath) -> None:
    status = aftermath.statuses["oco"]
    assert status.filled <= HELD
    assert status.filled == HELD or status.reason.startswith("WITHDRAWN")
    assert all(leg.status in ("filled", "cancelled", "rejected", "expired") for leg in status.legs)


def test_the_venue_had_each_order_once_and_within_its_plan(aftermath: Aftermath) -> None:
    evidence = aftermath.evidence
    assert evidence.unapproved_orders() == []
    legs = {leg.client_id: leg for status in aftermath.statuses.values() for leg in status.legs}
    at_venue = {str(order["orderLinkId"]): Decimal(order["cumExecQty"]) for order in evidence.venue["orders"]}
    assert {name: leg.filled for name, leg in legs.items() if name in at_venue} == {
        name: filled for name, filled in at_venue.items() if name in legs
    }
    theirs, ours = evidence.executions()
    assert theirs == ours


def test_the_journal_is_sound_and_all_books_are_equal(aftermath: Aftermath) -> None:
    evidence = aftermath.evidence
    assert evidence.problems() == []
    assert evidence.journal_positions() == evidence.venue_positions() == evidence.risk_positions()
    assert brain_positions(aftermath.overview) == evidence.venue_positions()
    assert evidence.journal_cash() == evidence.venue_cash()
