"""The adapter of a connection's venue, made from the session's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.venue.note import VenueNote
from conf import Settings
from conf.venues import VenueSettings
from exchanges.credentials import Credentials, Secret
from exchanges.interface import Exchange
from exchanges.modes import Mode
from exchanges.paper import PaperExchange, PaperSettings

SIMULATOR_KEY = "simulator-key"
SIMULATOR_SECRET = "simulator-secret"  # of the embedded venues, which guard nothing


def simulated_addresses(section: VenueSettings, note: VenueNote) -> dict[str, str]:
    """Where the embedded venue listens, for each of the section's addresses."""
    plain = ("rest_url", "data_url")
    return {name: note.http if name in plain else note.socket for name in section.addresses}


def simulated_keys(venue: str, folder: Path) -> Credentials:
    """The credentials the embedded venue accepts; ``folder`` is where it keeps its books, and a key of its own."""
    key, secret = _SIMULATED.get(venue, _simulated)(folder)
    return Credentials(Secret(key), Secret(secret), "the embedded venue")


def _simulated(folder: Path) -> tuple[str, str]:
    return SIMULATOR_KEY, SIMULATOR_SECRET


def _simulated_kalshi(folder: Path) -> tuple[str, str]:
    from exchanges.simulators.kalshi.keypair import private_pem

    return SIMULATOR_KEY, private_pem(folder)


def _simulated_hyperliquid(folder: Path) -> tuple[str, str]:
    from exchanges.simulators.hyperliquid.wallets import account_of, private_key_of

    return account_of(SIMULATOR_KEY), private_key_of(SIMULATOR_SECRET)


_SIMULATED: dict[str, Callable[[Path], tuple[str, str]]] = {
    "kalshi": _simulated_kalshi,
    "hyperliquid": _simulated_hyperliquid,
}
"""The embedded venues whose keys have a form of their own."""


def make_adapter(settings: Settings, venue: str, addresses: Mapping[str, str], keys: Credentials | None) -> Exchange:
    """An adapter that is not connected yet. ``addresses`` replace the configured ones."""
    key, secret = (keys.key.reveal(), keys.secret.reveal()) if keys is not None else ("", "")
    return _MAKERS[venue](Mode(settings.mode), settings.exchange[venue], addresses, key, secret)


def make_exchange(settings: Settings, venue: str, addresses: Mapping[str, str], keys: Credentials | None) -> Exchange:
    """What a session trades with: the adapter, in mode paper behind our own matching engine."""
    exchange = make_adapter(settings, venue, addresses, keys)
    if Mode(settings.mode) is not Mode.PAPER:
        return exchange
    told, leverage = settings.paper, getattr(settings.exchange[venue], "leverage", None)
    paper = PaperSettings(
        balance=told.starting_balance,
        folder=settings.store / "paper" / venue,
        latency_s=told.latency_ms / 1_000,
        leverage=None if leverage is None else Decimal(leverage),
    )
    return PaperExchange(exchange, paper)


def _told(kind: type[Any], section: VenueSettings, addresses: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """What adapter settings of ``kind`` take over from the configuration: the fields of the same name."""
    shared = {name: getattr(section, name) for name in kind.__struct_fields__ if hasattr(section, name)}
    return {**shared, **addresses, **more}


def _bybit(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], key: str, secret: str) -> Exchange:
    from exchanges.bybit import BybitExchange, BybitSettings

    told = _told(BybitSettings, section, addresses, mode=mode, key=key, secret=secret)
    return BybitExchange(BybitSettings(**told))


def _alpaca(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], key: str, secret: str) -> Exchange:
    from exchanges.alpaca import AlpacaExchange, AlpacaSettings

    told = _told(AlpacaSettings, section, addresses, mode=mode, key=key, secret=secret)
    return AlpacaExchange(AlpacaSettings(**told))


def _kalshi(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], key: str, secret: str) -> Exchange:
    from exchanges.kalshi import KalshiExchange, KalshiSettings

    told = _told(KalshiSettings, section, addresses, mode=mode, key_id=key, private_key=secret)
    return KalshiExchange(KalshiSettings(**told))


def _hyperliquid(mode: Mode, section: VenueSettings, addresses: Mapping[str, str], key: str, secret: str) -> Exchange:
    from exchanges.hyperliquid import HyperliquidExchange, HyperliquidSettings

    told = _told(HyperliquidSettings, section, addresses, mode=mode, account=key, private_key=secret)
    return HyperliquidExchange(HyperliquidSettings(**told))


_MAKERS: dict[str, Callable[[Mode, VenueSettings, Mapping[str, str], str, str], Exchange]] = {
    "bybit": _bybit,
    "alpaca": _alpaca,
    "kalshi": _kalshi,
    "hyperliquid": _hyperliquid,
}
"""The SDKs are slow to import and each process needs one: they are imported when they are needed."""
