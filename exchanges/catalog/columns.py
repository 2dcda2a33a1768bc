"""Which of a file's columns is what: by the names that are usual, or as told."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from exchanges.catalog.errors import DataError
from exchanges.catalog.series import BARS
from exchanges.recording.schemas import BOOKS, FUNDING, QUOTES, TICKERS, TRADES

TIME = "ts_ns"
SYMBOL = "symbol"
MAKER = "buyer_is_maker"
"""A column that is true where the taker sold."""
CENTS = "last_cents"
"""The price of an event contract in cents, as Kalshi's recordings have it."""
QUOTE_BARS = "quote_bars"
"""Bars of quotes, of which the closing quote is kept."""

_ALIASES: Mapping[str, tuple[str, ...]] = {
    TIME: (
        *("tsns", "timestamp", "ts", "timems", "unix", "unixtime", "opentime", "transacttime", "datetime"),
        *("time", "date", "t", "createdtime"),
    ),
    SYMBOL: ("symbol", "ticker", "instrument", "pair", "tic"),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice", "closelast"),
    "volume": ("volume", "v", "vol", "size", "qty"),
    "price": ("price", "p", "lastprice", "tradeprice"),
    "size": ("size", "qty", "quantity", "amount", "q", "count", "foreignnotionalsize"),
    "side": ("side", "takerside", "direction"),
    MAKER: ("isbuyermaker", "buyerismaker", "m"),
    "trade_id": ("tradeid", "id", "aggtradeid", "trdmatchid", "a"),
    "bid_price": ("bidprice", "bid", "bestbidprice", "bidpx", "bp"),
    "bid_size": ("bidsize", "bidqty", "bestbidqty", "bidamount", "bidsz", "bs"),
    "ask_price": ("askprice", "ask", "bestaskprice", "askpx", "ap"),
    "ask_size": ("asksize", "askqty", "bestaskqty", "askamount", "asksz", "as"),
    "bid_close": ("bidclose",),
    "ask_close": ("askclose",),
    "rate": ("rate", "fundingrate", "lastfundingrate"),
    "mark": ("mark", "markprice"),
    "index": ("index", "indexprice"),
    "funding_rate": ("fundingrate",),
    "funding_ns": ("fundingns",),
    "recv_ns": ("recvns",),
    CENTS: ("last",),
    **{name: (name.replace("_", ""),) for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")},
}


class Form(NamedTuple):
    """A kind of file: the columns it must have, those it may have, and names that must be there as they are."""

    kind: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


FORMS = (
    Form(BARS, ("open", "high", "low", "close"), ("volume", "recv_ns")),
    Form(BOOKS, ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"), ("recv_ns",)),
    Form(QUOTE_BARS, ("bid_close", "ask_close"), ("bid_size", "ask_size")),
    Form(QUOTES, ("bid_price", "ask_price"), ("bid_size", "ask_size", "recv_ns")),
    Form(TRADES, ("price", "size"), ("side", MAKER, "trade_id", "recv_ns")),
    Form(TRADES, (CENTS, "size", "side"), ("trade_id",), ("ticker", "last", "count", "taker_side")),
    Form(TICKERS, ("mark",), ("index", "funding_rate", "funding_ns", "recv_ns")),
    Form(FUNDING, ("rate",), ()),
)
"""Told apart in this order by the columns they need."""

KLINES = ("time", "open", "high", "low", "close", "volume", *(f"-{number}" for number in range(6)))
AGGREGATES = ("trade_id", "price", "size", "-first", "-last", "time", MAKER)
PUBLIC_TRADES = ("trade_id", "price", "size", "-quote", "time", MAKER)
HEADERLESS = (KLINES, AGGREGATES, (*AGGREGATES, "-best"), PUBLIC_TRADES, (*PUBLIC_TRADES, "-best"))
"""What exchanges publish without a header: Binance's archive."""


class Mapped(NamedTuple):
    """The form of a file, and the file's name of each of our columns."""

    form: Form
    names: Mapping[str, str]


def mapped(where: str, found: Sequence[str], told: Mapping[str, str], kind: str = "") -> Mapped:
    """Which of the columns ``found`` is what; ``told`` (ours to theirs) comes before what is guessed.

    Raises:
        DataError: no form fits, or a column that was told is not there.
    """
    if kind and kind not in {form.kind for form in FORMS}:
        raise DataError(f"expected a kind of file among {', '.join(_kinds())}, found {kind!r}")
    strange = sorted(set(told.values()) - set(found))
    if strange:
        raise DataError(f"{where}: expected the columns {strange} of the column map, found {list(found)}; correct it")
    unknown = sorted(set(told) - set(_ALIASES))
    if unknown:
        raise DataError(f"{where}: expected a column map of our columns {sorted(_ALIASES)}, found {unknown}")
    for form in FORMS:
        unwanted = kind and form.kind != kind and not (kind == QUOTES and form.kind == QUOTE_BARS)
        if unwanted or not set(form.named) <= set(found):
            continue
        names = _names(form, found, told)
        if names.keys() >= {TIME, *form.needed}:
            return Mapped(form, names)
    raise DataError(
        f"{where}: expected {_wanted(kind)}, found the columns {list(found)}; give a column map such as "
        f"--columns {TIME}=Date,close=Last"
    )


def _names(form: Form, found: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    taken = set(told.values())
    plain = {_plain(name): name for name in reversed(found) if name not in taken}
    names = {}
    for ours in (TIME, SYMBOL, *form.needed, *form.optional):
        theirs = told.get(ours) or _guessed(ours, plain)
        if theirs:
            names[ours] = theirs
    return names


def _guessed(ours: str, plain: Mapping[str, str]) -> str:
    for alias in _ALIASES[ours]:
        if alias in plain:
            return plain[alias]
    if ours == "volume":  # such as "Volume BTC"
        return next((plain[short] for short in reversed(list(plain)) if short.startswith("volume")), "")
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _kinds() -> dict[str, tuple[str, ...]]:
    """The kinds a person can name, and the columns they need."""
    return {form.kind: form.needed for form in reversed(FORMS) if form.kind != QUOTE_BARS}


def _wanted(kind: str) -> str:
    forms = _kinds()
    if kind in forms:
        return f"a time and {', '.join(forms[kind])} for {kind}"
    return "a time and " + " or ".join(f"{', '.join(needed)} ({name})" for name, needed in reversed(forms.items()))


def known(names: Collection[str]) -> bool:
    """Whether a line can be the header of a file: it names a time and the columns of some form."""
    try:
        mapped("", list(names), {})
    except DataError:
        return False
    return True
