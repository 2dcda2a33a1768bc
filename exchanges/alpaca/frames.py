"""Alpaca's market data frames, in MessagePack or JSON: one bad message costs itself, not its frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from exchanges.alpaca.values import SECOND, WireError, full, instant, measure, price
from exchanges.model.market import Bar, MarketData, Quote, Trade

MINUTE = 60 * SECOND
_FIXED = {b"\xd6\xff": 4, b"\xd7\xff": 8}
_LONG = b"\xc7\x0c\xff"
_SIDES = {"B": "buy", "S": "sell"}


class TradeRow(msgspec.Struct, tag_field="T", tag="t", gc=False):
    S: str
    p: float
    s: float
    t: msgspec.Raw
    i: int | str = ""
    tks: str = ""


class QuoteRow(msgspec.Struct, tag_field="T", tag="q", gc=False):
    S: str
    bp: float
    bs: float
    ap: float
    as_: float = msgspec.field(name="as")
    t: msgspec.Raw = msgspec.Raw(b"null")


class BarRow(msgspec.Struct, tag_field="T", tag="b", gc=False):
    S: str
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float
    t: msgspec.Raw


class Control(msgspec.Struct):
    """What is not market data: greetings, consents, errors, and kinds we did not ask for."""

    T: str
    msg: str = ""
    code: int = 0
    trades: list[str] = []
    quotes: list[str] = []
    bars: list[str] = []


Row = TradeRow | QuoteRow | BarRow
_ROWS = (TradeRow, QuoteRow, BarRow)
_TAGS = ("t", "q", "b")
_decode_raw_mp = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_raw_js = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_rows_mp = msgspec.msgpack.Decoder(list[Row]).decode
_decode_rows_js = msgspec.json.Decoder(list[Row]).decode
_decode_row_mp = msgspec.msgpack.Decoder(Row).decode
_decode_row_js = msgspec.json.Decoder(Row).decode
_decode_control_mp = msgspec.msgpack.Decoder(Control).decode
_decode_control_js = msgspec.json.Decoder(Control).decode


class Frames:
    """Reads frames of the market data stream.

    Args:
        counters: Gets ``quotes_one_sided``, ``quotes_crossed`` and ``kinds_unknown``.
        malformed: Told of each message that can't be read, and why.
    """

    def __init__(self, counters: Counter[str], malformed: Callable[[str, str], None]) -> None:
        self._counters = counters
        self._malformed = malformed

    def read(self, frame: str | bytes, recv_ns: int) -> tuple[Sequence[MarketData], Sequence[Control]]:
        """The market data of a frame in the order it came, and what else was in it."""
        binary = isinstance(frame, bytes)
        try:
            rows: Sequence[Row] = _decode_rows_mp(frame) if binary else _decode_rows_js(frame)  # type: ignore[arg-type]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._one_by_one(frame, recv_ns)
        made: list[MarketData] = []
        for row in rows:
            self._take(row, binary, recv_ns, made)
        return made, ()

    def _one_by_one(self, frame: str | bytes, recv_ns: int) -> tuple[Sequence[MarketData], Sequence[Control]]:
        """A frame with something else than rows in it: each message on its own."""
        binary = isinstance(frame, bytes)
        made: list[MarketData] = []
        controls: list[Control] = []
        try:
            raws = _decode_raw_mp(frame) if binary else _decode_raw_js(frame)  # type: ignore[arg-type]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._malformed(_readable(frame), f"expected a list of messages: {error}")
            return made, controls
        for raw in raws:
            try:
                control = _decode_control_mp(raw) if binary else _decode_control_js(raw)
                if control.T not in _TAGS:
                    controls.append(control)
                    continue
                self._take(_decode_row_mp(raw) if binary else _decode_row_js(raw), binary, recv_ns, made)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._malformed(_readable(bytes(raw)), f"{type(error).__name__}: {error}")
        return made, controls

    def _take(self, row: Row, binary: bool, recv_ns: int, made: list[MarketData]) -> None:
        try:
            found = self._message(row, binary, recv_ns)
        except WireError as error:
            self._malformed(repr(row), str(error))
            return
        if found is not None:
            made.append(found)

    def _message(self, row: Row, binary: bool, recv_ns: int) -> MarketData | None:
        ts_ns = stamp(row.t, binary)
        if isinstance(row, TradeRow):
            return _trade(row.S, row.p, row.s, row.i, row.tks, ts_ns, recv_ns)
        if isinstance(row, BarRow):
            return _bar(row.S, (row.o, row.h, row.l, row.c, row.v), ts_ns, recv_ns, MINUTE)
        bid, ask = measure(row.bp, "bp"), measure(row.ap, "ap")
        bid_size, ask_size = measure(row.bs, "bs"), measure(row.as_, "as")
        if not bid or not ask:
            self._counters["quotes_one_sided"] += 1
            return None
        if bid > ask:
            self._counters["quotes_crossed"] += 1
        return Quote(full(_symbol(row.S)), 0, 0, ts_ns, recv_ns, bid, bid_size, ask, ask_size)


def stamp(raw: msgspec.Raw, binary: bool) -> int:
    """A MessagePack timestamp or an RFC 3339 text as ns since the epoch."""
    data = bytes(raw)
    if not binary:
        try:
            return instant(msgspec.json.decode(data), "t")
        except (msgspec.DecodeError, RecursionError) as error:
            raise WireError(f"expected a time in t: {error}") from error
    head, length = data[:2], len(data) - 2
    if _FIXED.get(head) == length == 4:
        return int.from_bytes(data[2:], "big") * SECOND
    if _FIXED.get(head) == length == 8:
        packed = int.from_bytes(data[2:], "big")
        return _stamp(packed & ((1 << 34) - 1), packed >> 34)
    if data[:3] == _LONG and len(data) == 15:
        return _stamp(int.from_bytes(data[7:], "big", signed=True), int.from_bytes(data[3:7], "big"))
    try:
        return instant(msgspec.msgpack.decode(data), "t")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"expected a timestamp in t, found {data[:16].hex()}") from error


def _stamp(seconds: int, nanoseconds: int) -> int:
    if nanoseconds >= SECOND or not 0 <= seconds < 1 << 34:
        raise WireError(f"expected a timestamp in t, found {seconds} s and {nanoseconds} ns")
    return seconds * SECOND + nanoseconds


# -- history ---------------------------------------------------------------------------------


def bar(name: str, fields: dict[str, Any], recv_ns: int, interval_ns: int) -> Bar:
    """One candle of the history."""
    values = tuple(fields.get(part) for part in ("o", "h", "l", "c", "v"))
    return _bar(name, values, instant(fields.get("t"), "t"), recv_ns, interval_ns)


def trade(name: str, fields: dict[str, Any], recv_ns: int) -> Trade:
    """One public trade of the history."""
    taker, number = fields.get("tks", ""), fields.get("i", "")
    ts_ns = instant(fields.get("t"), "t")
    return _trade(name, fields.get("p"), fields.get("s"), number, taker, ts_ns, recv_ns)


def _trade(name: str, paid: object, size: object, number: object, taker: object, ts_ns: int, recv_ns: int) -> Trade:
    """Equity trades don't say who took: their side is empty."""
    side = _SIDES.get(taker, "") if isinstance(taker, str) else ""
    return Trade(full(_symbol(name)), 0, 0, ts_ns, recv_ns, price(paid, "p"), price(size, "s"), side, str(number))


def _bar(name: str, values: Sequence[object], ts_ns: int, recv_ns: int, interval_ns: int) -> Bar:
    opened, high, low, closed = (price(value, part) for value, part in zip(values, "ohlc", strict=False))
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise WireError(f"expected l <= o, c <= h, found o={opened} h={high} l={low} c={closed}")
    volume = measure(values[4], "v")
    return Bar(full(_symbol(name)), 0, 0, ts_ns, recv_ns, opened, high, low, closed, volume, interval_ns, True)


def _symbol(name: str) -> str:
    if not name or not name.isascii():
        raise WireError(f"expected a symbol in S, found {name!r}")
    return name


def _readable(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.hex()
