"""Market data frames: both codecs, every nanosecond, and a bad message that costs only itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import msgpack
import pytest

from exchanges.alpaca.frames import Frames
from exchanges.model.market import Bar, MarketData, Quote, Trade

NS = 1_642_547_382_151_875_584
STAMP = msgpack.Timestamp(NS // 10**9, NS % 10**9)
TRADE: dict[str, Any] = {"T": "t", "S": "AAPL", "i": 9, "x": "V", "p": 1.5, "s": 10, "c": ["@"], "z": "C", "t": STAMP}
QUOTE: dict[str, Any] = {
    "T": "q",
    "S": "AAPL",
    "bp": 1.4,
    "bs": 2,
    "ap": 1.6,
    "as": 3,
    "c": ["R"],
    "z": "C",
    "t": STAMP,
}
BAR: dict[str, Any] = {
    "T": "b",
    "S": "BTC/USD",
    "o": 2,
    "h": 4,
    "l": 1,
    "c": 3,
    "v": 0.5,
    "n": 3,
    "vw": 2.5,
    "t": STAMP,
}


def read(*rows: Any, frame: str | bytes | None = None) -> tuple[list[MarketData], list[Any], list[str], Counter[str]]:
    counters: Counter[str] = Counter()
    problems: list[str] = []
    reader = Frames(counters, lambda text, problem: problems.append(problem))
    data, controls = reader.read(msgpack.packb(list(rows)) if frame is None else frame, 7)
    return list(data), list(controls), problems, counters


def test_a_frame_becomes_its_messages_in_order_to_the_nanosecond() -> None:
    data, controls, problems, _ = read(TRADE, QUOTE, BAR)
    assert data == [
        Trade("alpaca:AAPL", 0, 0, NS, 7, 1.5, 10.0, "", "9"),
        Quote("alpaca:AAPL", 0, 0, NS, 7, 1.4, 2.0, 1.6, 3.0),
        Bar("alpaca:BTC/USD", 0, 0, NS, 7, 2.0, 4.0, 1.0, 3.0, 0.5, 60_000_000_000, True),
    ]
    assert (controls, problems) == ([], [])


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (msgpack.Timestamp(5, 0), 5 * 10**9),
        (msgpack.Timestamp(5, 1), 5 * 10**9 + 1),
        (msgpack.Timestamp(2**34 - 1, 999_999_999), (2**34 - 1) * 10**9 + 999_999_999),
        ("2022-01-18T23:09:42.151875584Z", NS),
    ],
)
def test_every_form_of_a_timestamp_is_read(stamp: Any, expected: int) -> None:
    assert read({**TRADE, "t": stamp})[0][0].ts_ns == expected


def test_json_says_the_same_as_messagepack() -> None:
    rows = [{**row, "t": "2022-01-18T23:09:42.151875584Z"} for row in (TRADE, QUOTE, BAR)]
    assert read(frame=json.dumps(rows))[0] == read(TRADE, QUOTE, BAR)[0]


def test_the_taker_of_a_crypto_trade_is_its_side() -> None:
    data, *_ = read(*({**TRADE, "S": "BTC/USD", "tks": side} for side in ("B", "S", "?")))
    assert [trade.side for trade in data if isinstance(trade, Trade)] == ["buy", "sell", ""]


@pytest.mark.parametrize(
    "bad",
    [
        {**TRADE, "p": 0}, {**TRADE, "p": -1.0}, {**TRADE, "p": float("nan")}, {**TRADE, "p": float("inf")},
        {**TRADE, "p": "1.5"}, {**TRADE, "s": 0}, {**TRADE, "t": 5}, {**TRADE, "t": msgpack.Timestamp(-5, 7)},
        {**TRADE, "S": ""}, {**TRADE, "S": None}, {**QUOTE, "bp": -1}, {**QUOTE, "as": float("nan")}, {"T": "t"},
        {**BAR, "l": 5}, {**BAR, "h": 2}, {**BAR, "v": -1}, {"S": "AAPL"}, 5, None, [],
    ],
)  # fmt: skip
def test_a_message_that_cannot_be_read_is_told_and_costs_only_itself(bad: Any) -> None:
    data, _, problems, _ = read(TRADE, bad, QUOTE)
    assert [type(piece) for piece in data] == [Trade, Quote]
    assert len(problems) == 1


def test_a_quote_with_an_empty_side_is_counted_and_left_out_and_a_crossed_one_counted() -> None:
    data, _, problems, counters = read({**QUOTE, "ap": 0}, {**QUOTE, "bp": 0, "bs": 0}, {**QUOTE, "bp": 1.7})
    assert [quote.bid for quote in data if isinstance(quote, Quote)] == [1.7]
    assert (problems, counters["quotes_one_sided"], counters["quotes_crossed"]) == ([], 2, 1)


def test_answers_and_unknown_kinds_come_beside_the_data() -> None:
    data, controls, problems, _ = read({"T": "success", "msg": "connected"}, TRADE, {"T": "novelty", "S": "AAPL"})
    assert (len(data), [control.T for control in controls], problems) == (1, ["success", "novelty"], [])


@pytest.mark.parametrize("frame", [b"\xc1", b"", "", "{}", b"\x81\xa1T\xa1t", "not json", b"\xff" * 9, "[" * 5000])
def test_a_frame_that_is_none_is_told(frame: str | bytes) -> None:
    data, controls, problems, _ = read(frame=frame)
    assert (data, controls, len(problems)) == ([], [], 1)


def test_no_damage_to_a_frame_raises_or_gets_a_wrong_number_past() -> None:
    rng = random.Random(7)
    whole = msgpack.packb([TRADE, QUOTE, BAR, {"T": "success", "msg": "authenticated"}])
    spoilt = 0
    for _ in range(10_000):
        frame = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 8))):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        if rng.random() < 0.1:
            del frame[rng.randrange(len(frame)) :]
        data, _, problems, _ = read(frame=bytes(frame))
        spoilt += bool(problems)
        for piece in data:
            prices = [
                getattr(piece, name) for name in ("price", "size", "bid", "ask", "low", "open") if hasattr(piece, name)
            ]
            assert all(0 < price < float("inf") for price in prices), piece
            assert 0 <= piece.ts_ns < 2**64
    assert spoilt > 1_000
