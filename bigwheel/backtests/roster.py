"""The strategies of a run, by whatever way they are told: one, several, or those that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bigwheel.backtests.errors import BacktestError
from conf import Settings, load, relaid
from conf.trading import Parameter, StrategySettings, check_symbols
from conf.venues import VENUES, VenueSections
from strategies.errors import StrategyError
from strategies.registry import resolve
from strategies.strategy import Strategy

Entry = str | type[Strategy] | Mapping[str, Any]
"""A strategy by name, the class itself, or an entry as under ``strategies:``, whose ``name`` may be a class."""
Strategies = Entry | Sequence[Entry] | None
Config = str | Settings | Mapping[str, object]

ALONE = "backtest"
"""The environment of backtests. What it names is an example, so a run of its strategies has to be asked for."""


class Member(NamedTuple):
    """A strategy of a run, tried out: ``instances`` are as many as it will have, and trade nothing."""

    entry: StrategySettings
    owner: type[Strategy]
    symbols: tuple[str, ...]
    instances: tuple[Strategy, ...]


class Lineup(NamedTuple):
    """All strategies of a run, found and tried out, and the configuration with their parameters."""

    settings: Settings
    members: tuple[Member, ...]

    @property
    def title(self) -> str:
        """The labels in one line."""
        return ", ".join(member.entry.tag for member in self.members)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name; of several strategies by ``LABEL.name``."""
        alone = len(self.members) == 1
        return {
            name if alone else f"{member.entry.tag}.{name}": value
            for member in self.members
            for name, value in member.entry.params.items()
        }

    @property
    def traders(self) -> dict[str, list[str]]:
        """By symbol the labels of those who trade it."""
        found: dict[str, list[str]] = {}
        for member in self.members:
            for symbol in member.symbols:
                found.setdefault(symbol, []).append(member.entry.tag)
        return found


class Roster(NamedTuple):
    """The strategies of a run: the configuration that names them and what they trade, and the class of each."""

    settings: Settings
    owners: tuple[type[Strategy], ...]

    def lineup(self, params: Mapping[str, Any]) -> Lineup:
        """The strategies, made once with these parameters, so that what is wrong with them is told at once.

        Args:
            params: laid over those of the configuration, by name, or by ``LABEL.name``.

        Raises:
            BacktestError: a label is not there.
            StrategyError: the parameters are not the strategy's own.
            ConfigError: a parameter is no number, text or truth value.
        """
        entries = _with_params(self.settings.strategies, params)
        laid = {"strategies": [entry.model_dump(mode="json") for entry in entries]}
        settings = relaid(self.settings, laid) if params else self.settings
        alone = len(entries) == 1
        pairs = zip(settings.strategies, self.owners, strict=True)
        return Lineup(settings, tuple(_member(entry, owner, settings, alone=alone) for entry, owner in pairs))


def enroll(strategies: Strategies, symbols: str | Sequence[str] | None, config: Config) -> Roster:
    """The strategies of a run.

    Args:
        strategies: see ``bigwheel.backtest``; ``None``: those of ``config``.
        symbols: of those that name none of their own; ``None``: the configuration's.
        config: see ``bigwheel.backtest``.

    Raises:
        BacktestError: no strategies or symbols are told.
        StrategyError: there is no such strategy.
        ConfigError: the configuration can't be read, or two strategies have one label.
    """
    wanted = symbols_of(symbols) if symbols is not None else None
    entries, told = _entries(strategies, wanted)
    settings = _configured(entries, wanted, config)
    if not settings.strategies:
        raise BacktestError("expected strategies in the configuration, found an empty list; name one")
    owners = told or [None] * len(settings.strategies)
    found = [owner or resolve(entry.name) for entry, owner in zip(settings.strategies, owners, strict=True)]
    traded = dict.fromkeys(symbol for entry in settings.strategies for symbol in settings.symbols_of(entry))
    return Roster(relaid(settings, {"symbols": list(traded)}), tuple(found))


def symbols_of(symbols: str | Sequence[str]) -> tuple[str, ...]:
    """The symbols, each once, told one by one or with commas; ``BacktestError`` for anything else."""
    told = symbols.split(",") if isinstance(symbols, str) else symbols
    wanted = tuple(symbol.strip() for symbol in told)
    try:
        return check_symbols(wanted)
    except ValueError as error:
        raise BacktestError(f"{error}; name symbols as bybit:BTCUSDT") from error


# -- entries ---------------------------------------------------------------------------------


def _entries(
    strategies: Strategies, wanted: tuple[str, ...] | None
) -> tuple[list[dict[str, Any]] | None, list[type[Strategy] | None]]:
    """What is told as a configuration has it, and the classes among it; ``None``: nothing is."""
    if strategies is None:
        return None, []
    one = isinstance(strategies, str | type | Mapping)
    told: Sequence[Entry] = [strategies] if one else list(strategies)  # type: ignore[list-item, arg-type]
    if not told:
        raise BacktestError("expected at least one strategy, found an empty list; name one")
    entries, owners = [], []
    for each in told:
        entry, owner = _entry(each)
        own = entry.get("symbols")
        entry["symbols"] = list(symbols_of(own) if own else wanted or ())
        entries.append(entry)
        owners.append(owner)
    return entries, owners


def _entry(told: Entry) -> tuple[dict[str, Any], type[Strategy] | None]:
    entry = dict(told) if isinstance(told, Mapping) else {"name": told}
    name = entry.get("name")
    if isinstance(name, type) and issubclass(name, Strategy):
        return {**entry, "name": name.__name__}, name
    if not isinstance(name, str):
        raise BacktestError(
            "expected a strategy as a name, a class derived from Strategy, or an entry such as "
            f"{{'name': 'trend', 'label': 'slow', 'params': {{}}, 'symbols': []}}, found {told!r}"
        )
    return entry, None


def _configured(entries: list[dict[str, Any]] | None, wanted: tuple[str, ...] | None, config: Config) -> Settings:
    """The configuration, with what was told besides it."""
    laid: dict[str, object] = {"mode": "sim", **_apart()}
    if entries is None:
        _ensure_named(config)
        if wanted is not None:
            laid["symbols"] = list(wanted)
    else:
        laid["strategies"] = entries
        lacking = [str(entry["name"]) for entry in entries if not entry["symbols"]]
        own = list(dict.fromkeys(symbol for entry in entries for symbol in entry["symbols"]))
        if not lacking:
            laid["symbols"] = own
        elif config == ALONE or (isinstance(config, Mapping) and "symbols" not in config):
            raise BacktestError(
                f"expected symbols to trade, found none for {', '.join(lacking)}; give symbols such as bybit:BTCUSDT"
            )
    if isinstance(config, str):
        return load(config, laid)
    if isinstance(config, Settings):
        return relaid(config, laid)
    return load(ALONE, {**config, **laid})


def _apart() -> dict[str, object]:
    """A backtest opens no connection, so addresses and names of keys, which belong to a mode, are none of it."""
    laid: dict[str, object] = {}
    for venue in VENUES:
        section = VenueSections.model_fields[venue].annotation
        laid |= {f"exchange.{venue}.{name}": "" for name in getattr(section, "addresses", ())}
        laid[f"exchange.{venue}.credentials"] = {}
    return laid


def _ensure_named(config: Config) -> None:
    if config == ALONE or (isinstance(config, Mapping) and "strategies" not in config):
        raise BacktestError(
            "expected a strategy, several, or a configuration whose `strategies` are to be run, found none of them; "
            "name a strategy such as trend, or give the configuration of a session"
        )


def _with_params(entries: Sequence[StrategySettings], params: Mapping[str, Parameter]) -> list[StrategySettings]:
    """The entries with parameters laid over theirs."""
    labels = [entry.tag for entry in entries]
    own: dict[str, dict[str, Parameter]] = {entry.tag: dict(entry.params) for entry in entries}
    for told, value in params.items():
        label, dot, name = told.rpartition(".")
        if dot and label in own:
            own[label][name] = value
        elif len(labels) == 1:
            own[labels[0]][told] = value
        else:
            raise BacktestError(
                f"expected the parameters of several strategies as LABEL.name with one of the labels "
                f"{', '.join(labels)}, found {told!r}; write {labels[0]}.{name}"
            )
    return [entry.model_copy(update={"params": own[entry.tag]}) for entry in entries]


def _member(entry: StrategySettings, owner: type[Strategy], settings: Settings, *, alone: bool) -> Member:
    symbols, params = settings.symbols_of(entry), dict(entry.params)
    try:
        made: tuple[Strategy, ...]
        if owner.together or entry.symbols_together:
            made = (owner.create(symbols[0], params, "", symbols),)
        else:
            made = tuple(owner.create(symbol, params) for symbol in symbols)
    except StrategyError as error:
        if alone:
            raise
        raise StrategyError(f"{entry.tag}: {error}") from error
    return Member(entry, owner, symbols, made)
