"""What all runs of a sweep have in common, and the runs made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from bigwheel.backtests.roster import ALONE, Roster, Strategies, enroll
from bigwheel.backtests.run import Moment, span_ns
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.grid import Params, Value
from bigwheel.sweeps.identity import data_identity, digest, program, settings_identity, strategy_identity
from bigwheel.sweeps.trial import Case, Job
from conf import Settings, relaid


class Terms(msgspec.Struct, frozen=True):
    """The arguments of ``bigwheel.backtest`` but for the parameters, each in its final form.

    ``title`` names the strategies; ``given`` are the places of those that came as a class and not by name.
    ``identity`` is what the results depend on, and ``root`` a hash of that.
    """

    roster: Roster
    title: str
    given: tuple[int, ...]
    source: Path
    start_ns: int
    end_ns: int
    cash: str | None
    costs: dict[str, str] | None
    latency_ms: float
    seed: int
    identity: dict[str, Any]
    root: str

    @property
    def settings(self) -> Settings:
        """The configuration, with the strategies and their symbols."""
        return self.roster.settings

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return self.settings.symbols

    def job(self, catalog: Path, *, pickled: bool = True) -> Job:
        """What a worker needs to know; ``pickled`` where it is another process that a class must travel to."""
        by_value = {}
        if pickled and self.given:
            from bigwheel.pickling import pickled_class  # here: it takes Ray along

            by_value = {place: pickled_class(self.roster.owners[place]) for place in self.given}
        return Job(str(catalog), self.settings.model_dump_json(), self.cash, self.costs, by_value)

    def case(
        self,
        params: Params,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        seed: int | None = None,
        latency_ms: float | None = None,
        tables: bool = False,
    ) -> Case:
        """A run with these parameters; what is not told is as it is for all."""
        told = (
            params,
            self.start_ns if start_ns is None else start_ns,
            self.end_ns if end_ns is None else end_ns,
            self.seed if seed is None else seed,
            self.latency_ms if latency_ms is None else latency_ms,
        )
        return Case(digest((self.root, *told)), *told, tables)


class Options(TypedDict, total=False):
    """The keywords of ``bigwheel.backtest`` that a sweep passes on; ``params`` are those that all runs share."""

    start: Moment
    end: Moment
    params: Mapping[str, Value] | None
    config: str | Settings | Mapping[str, object]
    cash: Decimal | float | str | None
    costs: Mapping[str, object] | None
    latency_ms: float | None
    seed: int


def terms_of(
    strategy: Strategies, data: str | Path, symbols: str | Sequence[str] | None, out: Path, options: Options
) -> Terms:
    """See ``bigwheel.sweep``.

    Raises:
        SweepError: ``out`` lies within the data.
        BacktestError, StrategyError, ConfigError, RecordingError: an argument can't be used.
    """
    first_ns, end_ns = span_ns(options.get("start"), options.get("end"))
    cash, costs, latency_ms = options.get("cash"), options.get("costs"), options.get("latency_ms")
    source = Path(data)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise SweepError(f"expected --out outside of the data, found {out} within {source}; give another folder")
    told = enroll(strategy, symbols, options.get("config", ALONE))
    entries = [entry.model_copy(update={"name": _absolute(entry.name)}) for entry in told.settings.strategies]
    # Two names that end alike have two labels already; a whole path does not change what they end in.
    laid = {"strategies": [entry.model_dump(mode="json") for entry in entries]}
    roster = Roster(relaid(told.settings, laid), told.owners)
    paid = None if costs is None else {each: str(rate) for each, rate in costs.items()}
    money = None if cash is None else str(cash)
    alone = isinstance(strategy, str | type)
    identity = {
        "version": program(),
        **(_alone(roster) if alone else _several(roster)),
        "data": data_identity(source, roster.settings.symbols, first_ns, end_ns),
        "symbols": roster.settings.symbols,
        "config": settings_identity(roster.settings),
        "cash": money,
        "costs": paid,
    }
    title = entries[0].name if alone else ", ".join(entry.tag for entry in entries)
    given = tuple(place for place, owner in enumerate(_classes(strategy)) if owner)
    latency = roster.settings.simulator.latency_ms if latency_ms is None else float(latency_ms)
    rest = (source, first_ns, end_ns, money, paid, latency, options.get("seed", 0))
    return Terms(roster, title, given, *rest, identity, digest(identity))


def _classes(strategy: Strategies) -> list[bool]:
    """By place whether a strategy was told as a class."""
    if strategy is None:
        return []
    told = [strategy] if isinstance(strategy, str | type | Mapping) else strategy
    return [isinstance(each.get("name") if isinstance(each, Mapping) else each, type) for each in told]


def _alone(roster: Roster) -> dict[str, Any]:
    """One strategy, of which nothing but its class is told."""
    return {"strategy": strategy_identity(roster.settings.strategies[0].name, roster.owners[0])}


def _several(roster: Roster) -> dict[str, Any]:
    """By label all that is told of the strategies."""
    pairs = zip(roster.settings.strategies, roster.owners, strict=True)
    return {
        "strategies": {
            entry.tag: {**entry.model_dump(mode="json"), **strategy_identity(entry.name, owner)}
            for entry, owner in pairs
        }
    }


def _absolute(strategy: str) -> str:
    """The name with a file's whole path: workers may stand in another folder."""
    where, colon, attribute = strategy.rpartition(":")
    return f"{Path(where).expanduser().resolve()}:{attribute}" if colon and where.endswith(".py") else strategy
