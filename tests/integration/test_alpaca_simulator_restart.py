"""An Alpaca simulator that is stopped or killed comes back with its books."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from exchanges.hours import AlwaysOpen, Phase
from exchanges.simulators.alpaca import AlpacaSimulator, SimulatorSettings
from exchanges.simulators.errors import SimulatorError
from tests.integration.alpaca_bench import Running, code_of, market, order, running, trading
from tests.integration.venue_process import VenueProcess


def started(**settings: Any) -> VenueProcess:
    """The venue in a process of its own, which can be killed."""
    return VenueProcess(AlpacaSimulator, SimulatorSettings(query_limit=0, **settings))


def facts(client: Any) -> dict[str, Any]:
    """What must be the same before and after; nothing that moves with the market."""
    held = client.get_all_positions()
    return {
        "orders": client.get("/orders", {"status": "all"}),
        "fills": client.get("/account/activities/FILL"),
        "positions": [{name: row[name] for name in ("asset_id", "qty", "cost_basis")} for row in held],
        "cash": client.get_account()["cash"],
        "since": client.get_account()["created_at"],
    }


def test_a_killed_venue_comes_back_with_its_orders_fills_positions_and_cash(tmp_path: Path) -> None:
    venue = started(folder=tmp_path, rate=50.0)
    client = trading(venue)
    while client.get("/positions") == []:
        client.post("/orders", market(qty="1.5"))
        time.sleep(0.05)
    old = client.post("/orders", order(limit_price="20", client_order_id="open", time_in_force="gtc"))
    new = client.patch(f"/orders/{old['id']}", {"limit_price": "21"})
    before = facts(client)
    venue.kill()
    venue = started(folder=tmp_path, rate=50.0)
    client = trading(venue)
    try:
        assert facts(client) == before
        assert code_of(lambda: client.post("/orders", order(client_order_id="open"))) == (422, 40010001)
        again = client.patch(f"/orders/{new['id']}", {"limit_price": "22"})
        assert again["id"] not in json.dumps(before)
        client.cancel_order_by_id(again["id"])
        assert client.get("/orders") == []
        assert client.get_order_by_id(old["id"])["replaced_by"] == new["id"]
    finally:
        venue.kill()


class Shutters(AlwaysOpen):
    """A market that is open when the test says so."""

    now = Phase.REGULAR

    def phase(self, now_ns: int) -> Phase:
        return self.now


def test_an_order_that_waits_for_the_open_still_waits_after_a_restart(tmp_path: Path) -> None:
    hours = Shutters()
    with running(hours, folder=tmp_path) as bench:
        client = trading(bench)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        resting = client.post("/orders", order(limit_price="229", time_in_force="gtc"))
        hours.now = Phase.CLOSED
        placed = client.post("/orders", market(qty="2"))
        power = client.get_account()["buying_power"]
    with running(hours, folder=tmp_path) as bench:
        client = trading(bench)
        assert client.get_account()["buying_power"] == power
        status = {row["id"]: row["status"] for row in client.get("/orders")}
        assert status == {placed["id"]: "accepted", resting["id"]: "new"}
        hours.now = Phase.REGULAR
        assert client.get_order_by_id(placed["id"])["status"] == "filled"
        bench.trade("AAPL", 228.0, 100.0, "sell")
        assert client.get_order_by_id(resting["id"])["status"] == "filled"


def test_an_order_the_venue_died_over_is_forgotten_with_its_client_order_id(tmp_path: Path) -> None:
    with running(folder=tmp_path) as bench:
        placed = trading(bench).post("/orders", order(client_order_id="whole"))
        desk = bench.simulator.desk

        def die(changes: Any) -> None:
            raise KeyboardInterrupt

        async def half() -> None:
            desk.venue.apply = die
            with pytest.raises(KeyboardInterrupt):
                desk.place("main", order(client_order_id="half"))

        bench.run(half)
    with running(folder=tmp_path) as bench:
        client = trading(bench)
        assert [row["id"] for row in client.get("/orders")] == [placed["id"]]
        assert client.post("/orders", order(client_order_id="half"))["client_order_id"] == "half"


def test_a_folder_that_can_not_be_used_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulatorError, match="expected a writable folder"):
        Running(AlpacaSimulator(SimulatorSettings(folder=tmp_path / "file", feed="none")))
