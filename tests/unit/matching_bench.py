"""An engine with three accounts, and short ways to place and quote.

Use it as ``from tests.unit.matching_bench import Bench``.
"""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import ContractKind, FeeModel, Instrument
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import AmendOrder, PlaceOrder

SYMBOL = "test:BTCUSDT"
BTC = Instrument(
    symbol=SYMBOL,
    venue="test",
    native="BTCUSDT",
    kind=ContractKind.LINEAR_PERPETUAL,
    base="BTC",
    quote="USDT",
    tick=D("0.1"),
    lot=D("0.001"),
    min_quantity=D("0.001"),
    max_quantity=D(1000),
    min_notional=D(5),
    maker_fee=D("0.0002"),
    taker_fee=D("0.00055"),
)
COIN = msgspec.structs.replace(
    BTC,
    symbol="test:COIN",
    native="COIN",
    kind=ContractKind.SPOT,
    base="COIN",
    tick=D("0.01"),
    lot=D("0.1"),
    min_quantity=D("0.1"),
    maker_fee=D(0),
    taker_fee=D("0.001"),
    short=False,
)
SHARE = msgspec.structs.replace(
    COIN, symbol="test:SHARE", native="SHARE", kind=ContractKind.EQUITY, quote="USD", taker_fee=D(0), short=True
)
EVENT = msgspec.structs.replace(
    COIN,
    symbol="test:EVENT",
    native="EVENT",
    kind=ContractKind.BINARY_EVENT,
    quote="USD",
    lot=D(1),
    min_quantity=D(1),
    min_notional=D(0),
    taker_fee=D("0.07"),
    fee_model=FeeModel.QUADRATIC,
    short=True,
)


class Bench:
    """An engine with the accounts a, b and c, and a counter for client order ids and times."""

    def __init__(
        self,
        instrument: Instrument = BTC,
        balance: D = D(100_000),
        *,
        depth: SyntheticDepth | None = None,
        multiplier: D = D(1),
    ) -> None:
        self.symbol = instrument.symbol
        self.engine = MatchingEngine(depth=depth)
        self.engine.list_instrument(instrument)
        for name in ("a", "b", "c"):
            self.engine.open_account(name, balance, instrument.quote, multiplier)
        self.count = 0

    def place(
        self,
        account: str,
        side: Side,
        quantity: str,
        price: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        *,
        reduce_only: bool = False,
        client_id: str = "",
    ) -> tuple[OrderRecord, Changes]:
        self.count += 1
        command = PlaceOrder(
            client_id=client_id or f"c{self.count}",
            symbol=self.symbol,
            side=side,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=D(quantity),
            price=None if price is None else D(price),
            time_in_force=time_in_force,
            reduce_only=reduce_only,
        )
        changes = self.engine.place(account, command, self.count)
        assert changes.subject is not None
        return changes.subject, changes

    def refused(self, *args: object, **options: object) -> Reject:
        with pytest.raises(OrderRejectedError) as caught:
            self.place(*args, **options)  # type: ignore[arg-type]
        return caught.value.code

    def amend(self, account: str, client_id: str, quantity: str | None = None, price: str | None = None) -> OrderRecord:
        self.count += 1
        command = AmendOrder(client_id, self.symbol, D(quantity) if quantity else None, D(price) if price else None)
        changes = self.engine.amend(account, command, self.count)
        assert changes.subject is not None
        return changes.subject

    def quote(self, bid: str, ask: str, bid_size: str = "1", ask_size: str = "1") -> None:
        self.engine.on_quote(self.symbol, (D(bid), D(bid_size)), (D(ask), D(ask_size)))


def prices(changes: Changes, account: str) -> list[tuple[str, str]]:
    return [(str(e.fill.price), str(e.fill.quantity)) for e in changes.executions if e.account == account]
