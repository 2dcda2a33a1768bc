"""The recorded Alpaca messages, and what reads each of them."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import requests
from alpaca.common.exceptions import APIError

from exchanges.alpaca import failures, frames, hours, wire
from exchanges.alpaca.frames import Frames
from exchanges.alpaca.hours import Clock, Hours
from exchanges.alpaca.instruments import instrument
from exchanges.alpaca.lineage import Lineage
from exchanges.alpaca.reporter import Reporter, message
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import WireError, fields_of, rows_of, text
from exchanges.failures import Failure
from exchanges.modes import Mode

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
WIRE = DATA / "wire" / "alpaca"
MISSING = "recorded messages are not here; set BIGWHEEL_DATA"

SETTINGS = AlpacaSettings(mode=Mode.DEMO, key="k", secret="hidden-secret")
OPEN = Hours(Clock(1, True, 10**18, 10**18))

Reader = Callable[[Any], list[Any]]


def names() -> list[str]:
    """The samples' names, none where the data is absent."""
    return sorted(path.stem for path in WIRE.glob("*.json")) if WIRE.is_dir() else []


def load(name: str) -> Any:
    return json.loads((WIRE / f"{name}.json").read_text())


# -- readers, one for each kind of message ---------------------------------------------------


def _asset(value: Any) -> list[Any]:
    return [instrument(value, SETTINGS, OPEN, 1, shorting=True)]


def _each(read: Callable[[Any], Any]) -> Reader:
    return lambda value: [read(row) for row in rows_of(value, "rows")]


def _one(read: Callable[[Any], Any]) -> Reader:
    return lambda value: [read(value)]


def _history(what: str) -> Reader:
    """A page of the history, by symbol or of one symbol, or the latest row of each."""

    def read(value: Any) -> list[Any]:
        page = fields_of(value, "a page")
        held = page.get(what)
        by_symbol = {text(page, "symbol"): held} if isinstance(held, list) else fields_of(held, what)
        made: list[Any] = []
        for name, rows in by_symbol.items():
            for row in rows if isinstance(rows, list) else [rows]:
                made.append(_row(what, name, fields_of(row, "a row")))
        return made

    return read


def _row(what: str, name: str, row: dict[str, Any]) -> Any:
    if what == "bars":
        return frames.bar(name, row, 1, frames.MINUTE)
    if what == "trades":
        return frames.trade(name, row, 1)
    return _stream([{**row, "T": "q", "S": name}])


def _snapshot(value: Any) -> list[Any]:
    made: list[Any] = []
    for name, parts in fields_of(value, "a snapshot").items():
        parts = fields_of(parts, "a snapshot")
        made.append(_row("trades", name, fields_of(parts.get("latestTrade"), "a trade")))
        made.append(_row("quotes", name, fields_of(parts.get("latestQuote"), "a quote")))
        made += [_row("bars", name, fields_of(parts.get(bar), "a bar")) for bar in ("minuteBar", "dailyBar")]
    return made


def _positions(value: Any) -> list[Any]:
    rows = value if isinstance(value, list) else [value]
    return [wire.position(row) for row in rows] + [wire.closable(row) for row in rows]


def _closed(value: Any) -> list[Any]:
    made: list[Any] = []
    for row in rows_of(value, "rows"):
        body = fields_of(row, "a row").get("body")
        made.append(wire.order(body) if row.get("status") == 200 else refusal(403, json.dumps(body)))
    return made


def _refusal(value: Any) -> list[Any]:
    return [refusal(422, json.dumps(value))]


def refusal(status: int, body: str, headers: dict[str, str] | None = None) -> Failure:
    """What an error answer of the venue means, through the SDK's own exception."""
    response = requests.Response()
    response.status_code = status
    response.raw = io.BytesIO(body.encode())
    response.headers.update(headers or {})
    return failures.classify(APIError(body, requests.HTTPError("refused", response=response)), 0)


def private(value: Any) -> list[Any]:
    """A message of the trading stream."""
    return private_text(json.dumps(value))


def private_text(frame: str) -> list[Any]:
    said = message(frame)
    if said.get("stream") != "trade_updates":
        return [said]
    counters: Counter[str] = Counter()
    reporter = Reporter(Lineage(counters), Decimal("0.0025"), lambda order_id: None, counters)
    return list(reporter.take(said.get("data")))


def _stream(value: Any) -> list[Any]:
    """A frame of the market data stream, or one element of it, as JSON and as MessagePack.

    Raises:
        WireError: something in it could not be read, which the stream itself only reports.
    """
    rows = value if isinstance(value, list) else [value]
    made: list[Any] = []
    for frame in _frames(rows):
        problems: list[str] = []
        data, controls = Frames(Counter(), lambda shown, problem, into=problems: into.append(problem)).read(frame, 1)
        if problems:
            raise WireError(problems[0])
        made += [*data, *controls]
    return made


def _frames(rows: list[Any]) -> list[str | bytes]:
    """JSON, and MessagePack where it can hold the values at all."""
    try:
        return [json.dumps(rows), msgspec.msgpack.encode(rows)]
    except (OverflowError, UnicodeEncodeError):
        return [json.dumps(rows)]


READERS: dict[str, Reader] = {
    "rest_account_routes_get_account_configurations": _one(lambda value: fields_of(value, "a configuration")),
    "rest_account_routes_get_account": _one(wire.account),
    "rest_asset_routes_get_all_assets": lambda value: [made for row in rows_of(value, "rows") for made in _asset(row)],
    "rest_asset_routes_get_asset": _asset,
    "rest_historical_stock_data_get_bars": _history("bars"),
    "rest_historical_stock_data_get_latest_quote": _history("quotes"),
    "rest_historical_stock_data_get_latest_trade": _history("trades"),
    "rest_historical_stock_data_get_multisymbol_latest_trade": _history("trades"),
    "rest_historical_stock_data_get_quotes": _history("quotes"),
    "rest_historical_stock_data_get_snapshot": _snapshot,
    "rest_historical_stock_data_get_trades": _history("trades"),
    "rest_historical_stock_data_multi_stock_latest_bar": _history("bars"),
    "rest_historical_stock_data_multisymbol_get_bars": _history("bars"),
    "rest_historical_stock_data_multisymbol_get_trades": _history("trades"),
    "rest_historical_stock_data_multisymbol_quotes": _history("quotes"),
    "rest_historical_stock_data_stock_latest_bar": _history("bars"),
    "rest_lib_account_activities_reference_non_trade": _one(lambda value: fields_of(value, "an activity")),
    "rest_lib_account_activities_reference_trade": _one(wire.activity),
    "rest_lib_account_config": _one(lambda value: fields_of(value, "a configuration")),
    "rest_lib_account_reference": _one(wire.account),
    "rest_lib_asset": _asset,
    "rest_lib_bars": _history("bars"),
    "rest_lib_clock": _one(hours.clock),
    "rest_lib_last_quotes": _history("quotes"),
    "rest_lib_order": _one(wire.order),
    "rest_lib_position": _positions,
    "rest_lib_trades": _history("trades"),
    "rest_order_routes_cancel_orders": wire.cancelled,
    "rest_order_routes_get_orders": _each(wire.order),
    "rest_order_routes": _one(wire.order),
    "rest_position_routes_close_all": _closed,
    "rest_position_routes_close_position": _one(wire.order),
    "rest_position_routes_get_all": _positions,
    "rest_sdk_CancelAllPositions_2": _refusal,
    "rest_sdk_CancelAllPositions": _one(lambda value: text(fields_of(value, "a row"), "id")),
    "ws_stream_subscribe_sent": _one(lambda value: fields_of(value, "a request")),
    "ws_stream_unsubscribe_sent": _one(lambda value: fields_of(value, "a request")),
    "ws_stream": _stream,
    "ws_trading_listen_sent": _one(lambda value: fields_of(value, "a request")),
    "ws_trading": private,
}


def reader(name: str) -> Reader:
    """What reads a sample: the entry with the longest beginning of its name."""
    return READERS[max((start for start in READERS if name.startswith(start)), key=len)]


def numbers(value: Any) -> Iterator[float | Decimal]:
    """Every number in what a decoder made, to whatever depth."""
    if isinstance(value, bool):
        return
    if isinstance(value, float | Decimal):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from numbers(getattr(value, name))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from numbers(part)
