"""How the venue writes things down: money as strings, market data as numbers, times as RFC 3339."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from exchanges.hours import local
from exchanges.simulators.candles import Candle
from exchanges.simulators.feeds.row import Row

Json = dict[str, Any]

CRYPTO_EXCHANGE = "CRYPTO"
FEED_EXCHANGE = "V"
"""IEX, whose trades and quotes the free feed holds."""
_SECOND_NS = 1_000_000_000
_MOST_JSON_INT = 1 << 53
_PRICE_DIGITS = Decimal("0.0000000001")


class Stamp:
    """A time in market data: text in JSON, a Timestamp extension in MessagePack."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns


def _as_text(value: object) -> str:
    if isinstance(value, Stamp):
        return time(value.ns)
    raise NotImplementedError(f"expected what JSON can hold or a time, found {type(value).__name__}")


def _as_extension(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, Stamp):
        seconds, rest = divmod(value.ns, _SECOND_NS)
        return msgspec.msgpack.Ext(-1, struct.pack(">Q", rest << 34 | seconds))
    raise NotImplementedError(f"expected what MessagePack can hold or a time, found {type(value).__name__}")


_json = msgspec.json.Encoder(enc_hook=_as_text)
_packed = msgspec.msgpack.Encoder(enc_hook=_as_extension)


def as_json(message: object) -> bytes:
    return _json.encode(message)


def as_msgpack(message: object) -> bytes:
    return _packed.encode(message)


def time(ns: int) -> str:
    """Nanoseconds since the epoch as ``2021-12-09T19:48:46.176628398Z``."""
    seconds, rest = divmod(ns, _SECOND_NS)
    whole = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}Z" if rest else f"{whole}Z"


def local_time(ns: int) -> str:
    """The same in New York's time with its offset, as clock and calendar are told."""
    return local(ns).isoformat()


def time_or_null(ns: int) -> str | None:
    return time(ns) if ns else None


def text(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros."""
    if not value:
        return "0"
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def text_or_null(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def average(value: Decimal, quantity: Decimal) -> Decimal:
    """An average price, with at most ten decimals."""
    return (value / quantity).quantize(_PRICE_DIGITS, ROUND_HALF_EVEN) if quantity else Decimal(0)


def position_name(key: str) -> str:
    """What positions call a symbol: a crypto pair loses its slash."""
    return key.replace("/", "")


def trade_number(trade_id: str) -> int:
    """A trade's number: its identifier if that is one, else the same number for the same identifier."""
    if trade_id.isdigit() and int(trade_id) < _MOST_JSON_INT:
        return int(trade_id)
    return int.from_bytes(hashlib.blake2b(trade_id.encode(), digest_size=6).digest(), "big")


def trade(row: Row, *, crypto: bool) -> Json:
    ts_ns, _, price, size, side, trade_id = row
    told: Json = {"t": Stamp(ts_ns), "p": price, "s": _size(size), "i": trade_number(trade_id)}
    if crypto:
        return told | {"tks": "B" if side.sign > 0 else "S"}
    conditions = ["@"] if size >= 100 else ["@", "I"]
    return told | {"x": FEED_EXCHANGE, "c": conditions, "z": "C"}


def quote(levels: tuple[float, float, float, float], ts_ns: int, *, crypto: bool) -> Json:
    """``levels``: bid, its size, ask, its size."""
    bid, bid_size, ask, ask_size = levels
    told: Json = {"t": Stamp(ts_ns), "bp": bid, "bs": _size(bid_size), "ap": ask, "as": _size(ask_size)}
    return told if crypto else told | {"bx": FEED_EXCHANGE, "ax": FEED_EXCHANGE, "c": ["R"], "z": "C"}


def bar(candle: Candle, count: int) -> Json:
    """``count``: how many trades it is made of."""
    return {
        "t": Stamp(candle.start * 1_000_000),
        "o": candle.open,
        "h": candle.high,
        "l": candle.low,
        "c": candle.close,
        "v": _size(round(candle.volume, 9)),
        "n": count,
        "vw": round(candle.turnover / candle.volume, 6) if candle.volume else candle.close,
    }


def _size(size: float) -> float | int:
    whole = int(size)
    return whole if whole == size else size
