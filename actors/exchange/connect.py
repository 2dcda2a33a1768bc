"""The adapter of a connection's venue, made from the session's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from actors.venue.note import VenueNote
from conf import Settings
from conf.venues import VenueSettings
from exchanges.interface import Exchange
from exchanges.modes import Mode

SIMULATOR_KEY = "simulator-key"
SIMULATOR_SECRET = "simulator-secret"  # of the embedded venues, which guard nothing


class Keys(NamedTuple):
    """An API key: its id and its secret (a PEM at Kalshi)."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(...)"


def simulated_addresses(section: VenueSettings, note: VenueNote) -> dict[str, str]:
    """Where the embedded venue listens, for each of the section's addresses."""
    plain = ("rest_url", "data_url")
    return {name: note.http if name in plain else note.socket for name in section.addresses}


def simulated_keys(venue: str, folder: Path) -> Keys:
    """The credentials the embedded venue accepts; Kalshi's has left its key in ``folder``."""
    if venue == "kalshi":
        from exchanges.simulators.kalshi.keypair import private_pem

        return Keys(SIMULATOR_KEY, private_pem(folder))
    return Keys(SIMULATOR_KEY, SIMULATOR_SECRET)


def make_exchange(settings: Settings, venue: str, addresses: Mapping[str, str], keys: Keys) -> Exchange:
    """An adapter that is not connected yet. ``addresses`` replace the configured ones."""
    section = settings.exchange[venue]
    return _MAKERS[venue](Mode(settings.mode), section, addresses, keys)


def _told(kind: type[Any], section: VenueSettings, addresses: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """What adapter settings of ``kind`` take over from the configuration: the fields of the same name."""
    shared = {name: getattr(section, name) for name in kind.__struct_fields__ if hasattr(section, name)}
    return {**shared, **addresses, **more}


def _bybit(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], keys: Keys) -> Exchange:
    from exchanges.bybit import BybitExchange, BybitSettings

    told = _told(BybitSettings, section, addresses, mode=mode, key=keys.key, secret=keys.secret)
    return BybitExchange(BybitSettings(**told))


def _alpaca(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], keys: Keys) -> Exchange:
    from exchanges.alpaca import AlpacaExchange, AlpacaSettings

    told = _told(AlpacaSettings, section, addresses, mode=mode, key=keys.key, secret=keys.secret)
    return AlpacaExchange(AlpacaSettings(**told))


def _kalshi(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], keys: Keys) -> Exchange:
    from exchanges.kalshi import KalshiExchange, KalshiSettings

    told = _told(KalshiSettings, section, addresses, mode=mode, key_id=keys.key, private_key=keys.secret)
    return KalshiExchange(KalshiSettings(**told))


_MAKERS: dict[str, Callable[[Mode, VenueSettings, Mapping[str, str], Keys], Exchange]] = {
    "bybit": _bybit,
    "alpaca": _alpaca,
    "kalshi": _kalshi,
}
"""The SDKs are slow to import and each process needs one: they are imported when they are needed."""
