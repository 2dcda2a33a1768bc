"""The one table of modes: by venue and mode the hosts, whether a key is needed, and what its names are.

It lies here because configurations are checked against it as they are read; adapters reach it
through ``exchanges.modes``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from runtime.errors import SetupError

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


class Mode(enum.StrEnum):
    """Where prices come from and where orders go."""

    SIM = "sim"
    """Embedded simulators on this machine for both."""
    PAPER = "paper"
    """The venue's real prices; orders are matched on this side and never leave it."""
    DEMO = "demo"
    """The venue's demo account."""
    LIVE = "live"
    """Real money."""


class ModeError(SetupError, ValueError):
    """Mode, address, key or account don't belong together: nothing may be started with them."""


class Access(NamedTuple):
    """One cell of the table.

    ``hosts`` are by the name of the setting that holds the address, the default host first.
    ``needs_key`` says whether nothing works without a key, ``foreign`` how the keys of the venue's other
    environment begin ("" where they can't be told apart).
    """

    hosts: Mapping[str, tuple[str, ...]]
    needs_key: bool
    foreign: str = ""

    @property
    def defaults(self) -> dict[str, str]:
        """The venue's own addresses by setting, empty where there is none."""
        return {name: _url(name, hosts[0]) if hosts else "" for name, hosts in self.hosts.items()}


def _url(name: str, host: str) -> str:
    return f"{'https' if name in REST else 'wss'}://{host}"


REST = ("rest_url", "data_url")
"""The settings that hold addresses of REST calls; all others are of streams."""

_BYBIT_REST = (
    "api.bybit.com",
    "api.bytick.com",
    "api.bybit.nl",
    "api.bybit-tr.com",
    "api.bybit.kz",
    "api.bybitgeorgia.ge",
    "api.bybit.ae",
    "api.bybit.eu",
    "api.bybit.id",
)
_BYBIT_STREAM = ("stream.bybit.com", "stream.bybit-tr.com", "stream.bybit.kz")
_BYBIT = {"rest_url": _BYBIT_REST, "public_url": _BYBIT_STREAM, "private_url": _BYBIT_STREAM}
_BYBIT_DEMO = {
    "rest_url": ("api-demo.bybit.com",),
    "public_url": _BYBIT_STREAM,
    "private_url": ("stream-demo.bybit.com",),
}
_ALPACA_DATA = {"data_url": ("data.alpaca.markets",), "data_stream_url": ("stream.data.alpaca.markets",)}
_ALPACA = {"rest_url": ("api.alpaca.markets",), "stream_url": ("api.alpaca.markets",), **_ALPACA_DATA}
_ALPACA_PAPER = {
    "rest_url": ("paper-api.alpaca.markets",),
    "stream_url": ("paper-api.alpaca.markets",),
    **_ALPACA_DATA,
}
_KALSHI_HOSTS = ("external-api.kalshi.com", "api.elections.kalshi.com")
_KALSHI = {"rest_url": _KALSHI_HOSTS, "socket_url": ("external-api-ws.kalshi.com", *_KALSHI_HOSTS)}
_KALSHI_DEMO_HOSTS = ("external-api.demo.kalshi.co", "demo-api.kalshi.co")
_KALSHI_DEMO = {
    "rest_url": _KALSHI_DEMO_HOSTS,
    "socket_url": ("external-api-ws.demo.kalshi.co", *_KALSHI_DEMO_HOSTS),
}
_HYPERLIQUID_HOST = ("api.hyperliquid.xyz",)
_HYPERLIQUID = {"rest_url": _HYPERLIQUID_HOST, "socket_url": _HYPERLIQUID_HOST}
_HYPERLIQUID_TEST_HOST = ("api.hyperliquid-testnet.xyz",)
_HYPERLIQUID_TEST = {"rest_url": _HYPERLIQUID_TEST_HOST, "socket_url": _HYPERLIQUID_TEST_HOST}


def _embedded(*names: str) -> Access:
    return Access(dict.fromkeys(names, ()), needs_key=False)


TABLE: Mapping[str, Mapping[Mode, Access]] = {
    "bybit": {
        Mode.SIM: _embedded("rest_url", "public_url", "private_url"),
        Mode.PAPER: Access(_BYBIT, needs_key=False),
        # The demo account has no prices of its own: they come from the venue's public stream.
        Mode.DEMO: Access(_BYBIT_DEMO, needs_key=True),
        Mode.LIVE: Access(_BYBIT, needs_key=True),
    },
    "alpaca": {
        Mode.SIM: _embedded("rest_url", "stream_url", "data_url", "data_stream_url"),
        # Prices, market hours and assets need a key; one of the paper account is enough for them.
        Mode.PAPER: Access(_ALPACA_PAPER, needs_key=True, foreign="AK"),
        Mode.DEMO: Access(_ALPACA_PAPER, needs_key=True, foreign="AK"),
        Mode.LIVE: Access(_ALPACA, needs_key=True, foreign="PK"),
    },
    "kalshi": {
        Mode.SIM: _embedded("rest_url", "socket_url"),
        # The stream is signed even for prices.
        Mode.PAPER: Access(_KALSHI, needs_key=True),
        Mode.DEMO: Access(_KALSHI_DEMO, needs_key=True),
        Mode.LIVE: Access(_KALSHI, needs_key=True),
    },
    "hyperliquid": {
        Mode.SIM: _embedded("rest_url", "socket_url"),
        Mode.PAPER: Access(_HYPERLIQUID, needs_key=False),
        # The testnet: a chain of its own, with play money and prices of its own.
        Mode.DEMO: Access(_HYPERLIQUID_TEST, needs_key=True),
        Mode.LIVE: Access(_HYPERLIQUID, needs_key=True),
    },
}


def access(venue: str, mode: Mode) -> Access:
    """What ``mode`` may reach at ``venue``.

    Raises:
        ModeError: no such venue.
    """
    found = TABLE.get(venue)
    if found is None:
        raise ModeError(f"expected one of the venues {', '.join(TABLE)}, found {venue!r}; choose one of them")
    return found[mode]


# -- addresses -------------------------------------------------------------------------------


def address_faults(venue: str, mode: Mode, given: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with addresses by setting; an empty one stands for the venue's own and is right."""
    names = access(venue, mode).hosts
    for name, url in given.items():
        if name not in names:
            yield f"expected addresses {', '.join(names)} of {venue}, found {name!r}; correct its name"
        elif url:
            fault = address_fault(venue, mode, name, url)
            if fault:
                yield fault


def address_fault(venue: str, mode: Mode, name: str, url: str) -> str:
    """Why ``url`` can't be the ``name`` of ``venue`` in ``mode``; empty if it can."""
    head = f"expected {name} of {venue} in mode {mode.value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"{head} to be an address such as {_url(name, 'HOST')}, found one that can't be read; correct it"
    if "\\" in url or any(letter.isspace() for letter in url):
        return f"{head} to be an address such as {_url(name, 'HOST')}, found spaces or backslashes in it; remove them"
    if parts.username is not None or parts.query or parts.fragment:
        return f"{head} to be scheme, host and path alone, found more; remove user name, query and fragment"
    if mode is not Mode.LIVE and host in LOOPBACK:
        return _local_fault(head, name, parts)
    own = access(venue, mode).hosts[name]
    if mode is Mode.SIM:
        return f"{head} on this machine (127.0.0.1), found {host or 'no host'}; leave it empty, or change the mode"
    if host not in own:
        return (
            f"{head} at {' or '.join(own)}, found {_described(venue, name, host)}; leave it empty, or change the mode"
        )
    if parts.scheme != _url(name, "").partition(":")[0] or port not in (None, 443):
        return f"{head} to be {_url(name, host)}, found another scheme or port; leave it empty"
    return ""


def _local_fault(head: str, name: str, parts: SplitResult) -> str:
    """On this machine a proxy or recorder may stand in for the venue, in every mode but live."""
    wanted = ("http", "https") if name in REST else ("ws", "wss")
    if parts.scheme in wanted:
        return ""
    return f"{head} to begin with {wanted[0]}:// or {wanted[1]}://, found {parts.scheme or 'no scheme'}; correct it"


def _described(venue: str, name: str, host: str) -> str:
    """The host, and which mode it is of."""
    if host in LOOPBACK:
        return f"{host}, this machine"
    modes = [mode.value for mode, cell in TABLE[venue].items() if host in cell.hosts[name]]
    return f"{host or 'no host'}, which is {'that of mode ' + ' and '.join(modes) if modes else 'none of its hosts'}"


def check_addresses(venue: str, mode: Mode, given: Mapping[str, str]) -> dict[str, str]:
    """The addresses in force: those given, and the venue's own for the others.

    Raises:
        ModeError: an address belongs to another mode, or in ``sim`` one is missing.
    """
    faults = list(address_faults(venue, mode, given))
    cell = access(venue, mode)
    missing = [name for name in cell.hosts if mode is Mode.SIM and not given.get(name)]
    if missing:
        faults.append(f"expected {' and '.join(missing)} of {venue} in mode sim, found none; give the simulator's")
    if faults:
        raise ModeError("; ".join(faults))
    return {name: (given.get(name) or own).rstrip("/") for name, own in cell.defaults.items()}


# -- keys ------------------------------------------------------------------------------------


class KeyNames(NamedTuple):
    """Where a key is looked for unless the configuration says otherwise. The mode is part of every name."""

    key_env: str
    secret_env: str
    file: str
    pass_entry: str
    keyring_service: str


def key_names(venue: str, mode: Mode) -> KeyNames:
    """The default names of the key of ``venue`` in ``mode``."""
    stem = f"{venue}-{mode.value}"
    prefix = f"{venue}_{mode.value}".upper()
    return KeyNames(
        f"{prefix}_KEY", f"{prefix}_SECRET", f"~/.config/bigwheel/{stem}.toml", f"bigwheel/{stem}", f"bigwheel/{stem}"
    )


def name_faults(venue: str, mode: Mode, given: Mapping[str, str]) -> Iterator[str]:
    """Names of a key that are the default names of another mode's, by setting."""
    for other in Mode:
        names = key_names(venue, other)._asdict()
        for setting, name in given.items():
            if other is not mode and name and names.get(setting) == name:
                yield (
                    f"expected a {setting} of {venue} for mode {mode.value}, found {name}, the name for mode "
                    f"{other.value}; leave it empty, or change the mode"
                )


def check_key(venue: str, mode: Mode, key: str) -> None:
    """Refuse a key that is missing, was copied badly or belongs to the venue's other environment.

    Raises:
        ModeError: it can't be right; the text holds none of it but the two letters it begins with.
    """
    cell = access(venue, mode)
    if not key:
        if cell.needs_key:
            raise ModeError(
                f"expected a key of {venue} for mode {mode.value}, found none; {where_keys_go(venue, mode)}"
            )
        return
    if key != key.strip() or not key.isascii() or not key.isprintable():
        raise ModeError(
            f"expected a key of {venue} of printable characters without spaces around it, found others; copy it anew"
        )
    if cell.foreign and key.startswith(cell.foreign):
        kind = "the paper account" if cell.foreign == "PK" else "the live account"
        raise ModeError(
            f"expected a key of {venue} for mode {mode.value}, found one that begins with {cell.foreign} as those of "
            f"{kind} do; use the other key, or change the mode"
        )


def where_keys_go(venue: str, mode: Mode) -> str:
    """What to do to give a key."""
    names = key_names(venue, mode)
    return f"set {names.key_env} and {names.secret_env}, or write them to {names.file} (mode 600)"


# -- the account -----------------------------------------------------------------------------


def check_account(venue: str, mode: Mode, typed: str, found: str) -> None:
    """In ``live`` the account that the venue reports must be the one that was typed out.

    Raises:
        ModeError: nothing was typed, the venue named none, or it is another one. The reported account
            is never shown whole, so that it can't be copied from the error.
    """
    if mode is not Mode.LIVE:
        return
    if not typed:
        raise ModeError(missing_account(venue))
    if not found:
        raise ModeError(f"expected {venue} to name the account of the key, found none; check the key's permissions")
    if typed != found:
        raise ModeError(
            f"expected the key of {venue} to belong to account {typed}, found that it belongs to another, which ends "
            f"in ...{found[-3:]}; use the key of {typed}, or type out the account you mean"
        )


def missing_account(venue: str) -> str:
    """What is said when ``live`` was asked for without an account."""
    return (
        f"expected the account of {venue} typed out by hand for mode live, found none; look its id up at the venue and "
        f"pass --live-account {venue}:ID (or set exchange.{venue}.live_account)"
    )
