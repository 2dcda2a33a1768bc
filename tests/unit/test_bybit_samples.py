"""Recorded messages of Bybit's: what concerns us decodes, and nothing spoilt gets a wrong number through."""

from __future__ import annotations

import json
import math
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchanges.bybit import wire
from exchanges.bybit.parser import Parser
from exchanges.bybit.settings import BybitSettings
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, Book, Quote, Ticker, Trade
from exchanges.model.venue import BalanceReport, FillReport, OrderReport, PaymentReport, VenuePosition
from exchanges.modes import Mode
from runtime.message import Message

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
WIRE = DATA / "wire" / "bybit"
recorded = pytest.mark.skipif(not WIRE.is_dir(), reason="recorded messages are not here; set BIGWHEEL_DATA")
SETTINGS = BybitSettings(mode=Mode.DEMO, key="k", secret="s")
D = Decimal
ROUNDS = int(os.environ.get("BIGWHEEL_FUZZ", "6000"))

FOREIGN = re.compile(
    r"ws_(linear_Liquidations|private_Greeks|private_SpreadUserTrade|private_MinimalUserTrades)_push"
    r"|ws_account_execution_fast|ws_public_trade|ws_ticker_option|ws_account_position_with_open_time"
)
"""Topics nobody subscribed to, another product's shape, and a position outside of its envelope."""

HEDGED = "ws_private_Position_push"
READERS: dict[str, Callable[[dict[str, Any], str], object]] = {
    r"rest_(get_orders?_|doc_GetOrders$|doc_GetOrderHistory).*": wire.order,
    r"rest_(get_executions|doc_GetUserTrades)": lambda row, category: (
        wire.fill(row, category) or wire.payment(row, category)
    ),
    r"rest_get_positions.*": lambda row, category: wire.position(row),
    r"rest_(get_wallet_balance|doc_GetBalances).*": lambda row, category: wire.balances(row),
    r"rest_(get_instruments_linear|doc_GetLinearInverseSymbols).*": lambda row, category: wire.instrument(
        row, D(0), D(0), "linear"
    ),
    r"rest_(get_instruments_spot|doc_GetSpotSymbols).*": lambda row, category: wire.instrument(row, D(0), D(0), "spot"),
    r"rest_(get_trades_recent|doc_GetTradeHistory)": lambda row, category: wire.recent_trades([row], 1, category),
    r"rest_(get_klines_linear|doc_GetKlines)": lambda row, category: wire.kline_rows(
        [row], "bybit:BTCUSDT", 60_000_000_000, 1 << 62
    ),
    r"rest_(get_fee_rate|doc_GetFeeRate)": lambda row, category: wire.amount(row, "takerFeeRate"),
}


def samples(prefix: str) -> list[Path]:
    return sorted(WIRE.glob(f"{prefix}*.json"))


def read(text: str) -> tuple[list[Message], list[str]]:
    problems: list[str] = []
    parser = Parser(SETTINGS, Counter(), lambda _text, problem: problems.append(problem))
    return list(parser.parse(text, 9)), problems


@recorded
@pytest.mark.parametrize("path", samples("ws_"), ids=lambda path: path.stem)
def test_a_recorded_stream_message_is_read_or_told_as_foreign(path: Path) -> None:
    found, problems = read(json.dumps(json.loads(path.read_text()), separators=(",", ":")))
    if path.stem == HEDGED:
        assert "one-way mode" in problems[0]
    elif FOREIGN.match(path.stem):
        assert problems or path.stem == "ws_ticker_option" or not found
    else:
        assert problems == []
        check(found)


@recorded
@pytest.mark.parametrize("path", samples("rest_"), ids=lambda path: path.stem)
def test_a_recorded_answer_is_read_whole(path: Path) -> None:
    reader = next((reader for name, reader in READERS.items() if re.fullmatch(name, path.stem)), None)
    answer = json.loads(path.read_text())
    assert "retCode" in answer
    if reader is None:
        return
    result = answer["result"]
    category = str(result.get("category") or ("spot" if "spot" in path.stem.lower() else "linear"))
    rows = result["list"]
    assert rows
    for row in rows:
        made = reader(row, category if category in ("linear", "spot") else "linear")
        assert made is not None
        check([made] if isinstance(made, Message) else [])


@recorded
def test_the_numbers_of_a_recorded_order_execution_and_wallet_are_the_venues() -> None:
    found, _ = read((WIRE / "ws_account_execution.json").read_text())
    row = json.loads((WIRE / "ws_account_execution.json").read_text())["data"][0]
    (report,) = found
    assert isinstance(report, FillReport)
    fill = report.fill
    assert (fill.price, fill.quantity, fill.fee) == (D(row["execPrice"]), D(row["execQty"]), D(row["execFee"]))
    found, _ = read((WIRE / "ws_account_wallet.json").read_text())
    (wallet,) = found
    assert isinstance(wallet, BalanceReport)
    coins = json.loads((WIRE / "ws_account_wallet.json").read_text())["data"][0]["coin"]
    assert {b.currency: b.total for b in wallet.balances} == {c["coin"]: D(c["walletBalance"]) for c in coins}


# -- spoilt messages -------------------------------------------------------------------------


def check(messages: list[Any]) -> None:
    """What got through holds numbers that can be believed."""
    for message in messages:
        if isinstance(message, Trade):
            positive(message.price)
        elif isinstance(message, Quote):
            positive(message.bid, message.ask)
        elif isinstance(message, Bar):
            positive(message.open, message.high, message.low, message.close)
        elif isinstance(message, Ticker):
            positive(message.mark)
        elif isinstance(message, Book):
            positive(*(price for price, _ in (*message.bids, *message.asks)))
        elif isinstance(message, FillReport):
            positive(message.fill.price, message.fill.quantity)
            assert message.fill.fee.is_finite()
        elif isinstance(message, OrderReport):
            assert message.order.quantity.is_finite()
            assert message.order.filled.is_finite()
        elif isinstance(message, VenuePosition):
            assert message.quantity.is_finite()
        elif isinstance(message, PaymentReport):
            assert message.amount.is_finite()
        elif isinstance(message, Instrument):
            positive(message.tick, message.lot)


def positive(*numbers: float | Decimal) -> None:
    assert all(math.isfinite(number) and number > 0 for number in numbers), numbers


JUNK = (None, "", "nan", "-1", "1e400", "x", [], {}, 0, -5, True, "0", "Infinity", "１２", "\x00", 10**30, 1.5)


def spoil(value: Any, dice: random.Random) -> Any:
    """A copy with one thing in it replaced, dropped, doubled or turned around."""
    if isinstance(value, dict) and value:
        key = dice.choice(sorted(value))
        if dice.random() < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: spoil(value[key], dice)}
    if isinstance(value, list) and value:
        place = dice.randrange(len(value))
        if dice.random() < 0.2:
            return [*value, value[place]] if dice.random() < 0.5 else value[:place]
        return [*value[:place], spoil(value[place], dice), *value[place + 1 :]]
    return dice.choice(JUNK)


def texts() -> list[str]:
    return [json.dumps(json.loads(path.read_text()), separators=(",", ":")) for path in samples("ws_")]


@recorded
def test_no_spoilt_message_stops_the_parser_or_passes_a_wrong_number_on() -> None:
    dice, originals = random.Random(11), texts()
    passed = refused = 0
    for _ in range(ROUNDS):
        text = dice.choice(originals)
        if dice.random() < 0.3:
            cut = dice.randrange(len(text))
            spoilt = text[:cut] + dice.choice(("", "\ufffd", '"', "}", "9" * 400)) + text[cut + dice.randrange(3) :]
        else:
            spoilt = json.dumps(spoil(json.loads(text), dice), separators=(",", ":"))
        found, problems = read(spoilt)
        check(found)
        passed += bool(found)
        refused += bool(problems)
    assert passed > ROUNDS / 20
    assert refused > ROUNDS / 20


@recorded
def test_no_spoilt_answer_passes_a_wrong_number_on() -> None:
    dice = random.Random(12)
    sources = [
        (reader, row)
        for path in samples("rest_")
        for name, reader in READERS.items()
        if re.fullmatch(name, path.stem)
        for row in json.loads(path.read_text())["result"]["list"]
    ]
    refused = 0
    for _ in range(ROUNDS):
        reader, row = dice.choice(sources)
        try:
            made = reader(spoil(row, dice), "linear")
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            refused += 1
            continue
        made = made if isinstance(made, list) else [made]
        check([wire_message(one) for one in made])
    assert refused > ROUNDS / 50


def wire_message(made: Any) -> Any:
    """A fill as the report it becomes."""
    return FillReport(made) if type(made).__name__ == "Fill" else made
