"""Every recorded Alpaca message decodes, and no mutation of one gets a wrong number past the decoders."""

from __future__ import annotations

import json
import math
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exchanges.alpaca.values import WireError
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.venue import FillReport, OrderReport
from tests.unit.alpaca_samples import MISSING, WIRE, load, names, numbers, private_text, reader

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason=MISSING)

MUTATIONS = 40_000
SEED = 20_260_701
_ODD: tuple[Any, ...] = (
    *(None, "", " ", "0", "-1", "1e400", "NaN", "Infinity", "-0.0", "1_000", "１２", "0x10", "9" * 40, "1,5", "new"),
    *(0, -1, 10**30, 1e308, -0.5, True, False, [], {}, [[]], {"a": 1}, "2019-13-45T99:99:99Z", "\ud83d", "\x00"),
)


@pytest.mark.parametrize("name", names())
def test_a_recorded_message_decodes(name: str) -> None:
    made = reader(name)(load(name))
    empty = "empty_response" in name or "not_found" in name
    assert bool(made) is not empty
    for found in numbers(made):
        assert math.isfinite(found)


def test_the_recorded_order_update_is_the_order_it_shows() -> None:
    (report,) = reader("ws_trading_order_update")(load("ws_trading_order_update"))
    assert isinstance(report, OrderReport)
    order = report.order
    assert (order.symbol, order.quantity, order.price) == ("alpaca:AAPL", Decimal(1), Decimal(1))
    assert order.updated_ns == 1_639_079_326_185_346_448


def test_the_recorded_quote_keeps_its_nanoseconds_in_either_codec() -> None:
    made = reader("ws_stream_quote_element")(load("ws_stream_quote_element"))
    assert [(quote.bid, quote.ask, quote.ts_ns) for quote in made] == [(258.8, 259.99, 1_642_547_382_151_875_584)] * 2


def test_no_mutation_of_a_recorded_message_crashes_a_decoder_or_gets_a_wrong_number_past_it() -> None:
    rng = random.Random(SEED)
    samples = [(name, load(name)) for name in names()]
    refused = 0
    for number in range(MUTATIONS):
        name, value = samples[number % len(samples)]
        try:
            made = _read_mutated(rng, name, value)
        except WireError:
            refused += 1
            continue
        for part in made:
            _check(part, name)
    assert refused > MUTATIONS // 10, "hardly a mutation did harm: the mutations are too mild to show anything"


# -- mutations -------------------------------------------------------------------------------


def _read_mutated(rng: random.Random, name: str, value: Any) -> list[Any]:
    """Decode one mutation: of the text where the stream decodes it itself, of the values elsewhere."""
    if name.startswith("ws_trading") and rng.random() < 0.5:
        return private_text(_damaged(rng, json.dumps(value)))
    mutated = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        mutated = _mutated(rng, mutated)
    return reader(name)(mutated)


def _mutated(rng: random.Random, value: Any) -> Any:
    """``value`` with one part replaced, removed, doubled or swapped."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: _mutated(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.95:
        place = rng.randrange(len(value))
        rows = [*value[:place], _mutated(rng, value[place]), *value[place + 1 :]]
        return rows + rows[:1] if rng.random() < 0.05 else rows
    if isinstance(value, str) and value and rng.random() < 0.5:
        return _damaged(rng, value)
    return rng.choice(_ODD)


def _damaged(rng: random.Random, text: str) -> str:
    place = rng.randrange(len(text))
    kind = rng.randrange(4)
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1:
        return text[:place] + chr(rng.randrange(1, 0x250)) + text[place + 1 :]
    if kind == 2:
        return text[:place] + rng.choice('-+eE.0{}[]",:nN_') + text[place:]
    return text[:place] + text[place : place + 5] * 2 + text[place + 5 :]


# -- what must hold of what gets past --------------------------------------------------------


def _check(part: Any, name: str) -> None:
    for found in numbers(part):
        assert math.isfinite(found), (name, part)
    if isinstance(part, Trade):
        assert part.price > 0 and part.size > 0, (name, part)
    elif isinstance(part, Quote):
        assert part.bid > 0 and part.ask > 0 and part.bid_size >= 0 and part.ask_size >= 0, (name, part)
    elif isinstance(part, Bar):
        assert 0 < part.low <= min(part.open, part.close) <= max(part.open, part.close) <= part.high, (name, part)
    elif isinstance(part, FillReport):
        assert part.fill.price > 0 and part.fill.quantity > 0, (name, part)
    elif isinstance(part, OrderReport):
        order = part.order
        assert order.filled >= 0 and order.quantity >= 0 and (order.price is None or order.price > 0), (name, part)
    elif isinstance(part, Instrument):
        assert part.lot > 0 and part.tick > 0 and part.min_quantity > 0, (name, part)
    elif isinstance(part, msgspec.Struct) and hasattr(part, "cumulative"):
        assert part.price > 0 and 0 < part.quantity <= part.cumulative, (name, part)
