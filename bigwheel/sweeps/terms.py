"""What all runs of a sweep have in common, and the runs made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from bigwheel.backtests.run import Moment, span_ns, symbols_of
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.grid import Params, Value
from bigwheel.sweeps.identity import data_identity, digest, program, settings_identity, strategy_identity
from bigwheel.sweeps.trial import Case, Job
from conf import Settings, load
from strategies.registry import resolve
from strategies.strategy import Strategy


class Terms(msgspec.Struct, frozen=True):
    """The arguments of ``bigwheel.backtest`` but for the parameters, each in its final form.

    ``name`` is empty where the strategy was given as a class; ``identity`` is what the results depend on, and
    ``root`` a hash of that.
    """

    owner: type[Strategy]
    name: str
    source: Path
    symbols: tuple[str, ...]
    start_ns: int
    end_ns: int
    settings: Settings
    cash: str | None
    costs: dict[str, str] | None
    latency_ms: float
    seed: int
    identity: dict[str, Any]
    root: str

    @property
    def strategy(self) -> str | type[Strategy]:
        """What ``bigwheel.backtest`` takes."""
        return self.name or self.owner

    def job(self, catalog: Path, *, pickled: bool = True) -> Job:
        """What a worker needs to know; ``pickled`` where it is another process that a class must travel to."""
        by_value = b""
        if pickled and not self.name:
            from bigwheel.pickling import pickled_class  # here: it takes Ray along

            by_value = pickled_class(self.owner)
        config = self.settings.model_dump_json()
        return Job(self.name, str(catalog), self.symbols, config, self.cash, self.costs, by_value)

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
    strategy: str | type[Strategy], data: str | Path, symbols: str | Sequence[str], out: Path, options: Options
) -> Terms:
    """See ``bigwheel.sweep``.

    Raises:
        SweepError: ``out`` lies within the data.
        BacktestError, StrategyError, ConfigError, RecordingError: an argument can't be used.
    """
    wanted = symbols_of(symbols)
    first_ns, end_ns = span_ns(options.get("start"), options.get("end"))
    cash, costs, latency_ms = options.get("cash"), options.get("costs"), options.get("latency_ms")
    owner = strategy if isinstance(strategy, type) else resolve(strategy)
    source = Path(data)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise SweepError(f"expected --out outside of the data, found {out} within {source}; give another folder")
    name = "" if isinstance(strategy, type) else _absolute(strategy)
    settings = _settings(options.get("config", "backtest"))
    paid = None if costs is None else {each: str(rate) for each, rate in costs.items()}
    money = None if cash is None else str(cash)
    identity = {
        "version": program(),
        "strategy": strategy_identity(name or owner.__name__, owner),
        "data": data_identity(source, wanted, first_ns, end_ns),
        "symbols": wanted,
        "config": settings_identity(settings),
        "cash": money,
        "costs": paid,
    }
    latency = settings.simulator.latency_ms if latency_ms is None else float(latency_ms)
    told = (wanted, first_ns, end_ns, settings, money, paid, latency, options.get("seed", 0))
    return Terms(owner, name, source, *told, identity, digest(identity))


def _settings(config: str | Settings | Mapping[str, object]) -> Settings:
    """The configuration as it is here: workers elsewhere have neither our environment's variables nor our files."""
    if isinstance(config, Settings):
        return config
    return load(config) if isinstance(config, str) else load("backtest", config)


def _absolute(strategy: str) -> str:
    """The name with a file's whole path: workers may stand in another folder."""
    where, colon, attribute = strategy.rpartition(":")
    return f"{Path(where).expanduser().resolve()}:{attribute}" if colon and where.endswith(".py") else strategy
